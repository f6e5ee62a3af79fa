"""Who is an author: judged for each operation by what it follows, never by when it arrived.

Admitting and expelling take voices of authors. A voice counts by its own causal past alone, so that
who stands in any past is the same on every replica, for good. An expulsion wins over the other
operations of the expelled that it has not seen; over their voices about authors it does not, for
then two who expel each other would each undo the other's word. What one of them signs as if it
were old is one voice of several. Source: ADR 0043.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from nodeimpl.kernel.crdt.log import Control, Entry, Log
from opkit.proof.operations import Base
from opkit.wire.base import Did, RecordId
from opkit.wire.operations import AUTHORS_MAX, Act, AdmitAct, ExpelAct, OperationRejected

VOICES_MAX = 4 * AUTHORS_MAX
"""How many voices one author has in one epoch: every replica has to say the same."""

_STANDINGS_MAX = 1_024


@dataclass(frozen=True, slots=True)
class Standing:
    """Who is an author, and who is none any more and never will be again."""

    authors: frozenset[Did]
    expelled: frozenset[Did]


class _Tally:
    """Voices as they are counted: each author has one for, and one against, anybody."""

    def __init__(self, base: Base, *, admissions_min: int, expulsions_min: int) -> None:
        self._authors = set(base.authors)
        self._expelled = set(base.expelled)
        self._admitted: dict[Did, set[Did]] = {}
        self._ended: dict[Did, set[Did]] = {}
        self._admissions_min = admissions_min
        self._expulsions_min = expulsions_min

    def add(self, entry: Entry) -> None:
        act = entry.act
        if isinstance(act, AdmitAct):
            by = self._admitted.setdefault(act.did, set())
            by.add(entry.said.did)
            if len(by) >= self._admissions_min:
                self._authors.add(act.did)
        elif isinstance(act, ExpelAct):
            by = self._ended.setdefault(act.did, set())
            by.add(entry.said.did)
            if len(by) >= self._expulsions_min or is_decisive(entry):
                self._expelled.add(act.did)

    def standing(self) -> Standing:
        return Standing(frozenset(self._authors - self._expelled), frozenset(self._expelled))


class Authority:
    """Who stands, in any causal past of one log, and after all voices that were taken in.

    Attributes:
        admissions_min: how many authors' voices make an author.
        expulsions_min: how many end one; their own voice does alone, and one with a proof.
    """

    def __init__(self, base: Base, log: Log, *, admissions_min: int, expulsions_min: int) -> None:
        """Judge by what the epoch began with."""
        assert admissions_min >= 1 and expulsions_min >= 1
        self.admissions_min = admissions_min
        self.expulsions_min = expulsions_min
        self._base = base
        self._log = log
        self._known: dict[Control, Standing] = {}
        self._all = self._tally()
        self._now = self._all.standing()
        # Of whom, by whom: which of their operations every voice of this one to expel had seen.
        self._seen: dict[Did, dict[Did, frozenset[RecordId]]] = {}
        self._seen_decisively: dict[Did, frozenset[RecordId]] = {}

    def _tally(self, voices: Iterable[Entry] = ()) -> _Tally:
        tally = _Tally(
            self._base, admissions_min=self.admissions_min, expulsions_min=self.expulsions_min
        )
        for each in voices:
            tally.add(each)
        return tally

    @property
    def standing(self) -> Standing:
        """Who stands after all voices that were taken in."""
        return self._now

    def standing_in(self, control: Control) -> Standing:
        """Return who stands after what these operations and their pasts say about authors."""
        known = self._known.get(control)
        if known is None:
            if len(self._known) >= _STANDINGS_MAX:
                self._known.clear()
            known = self._known[control] = self._tally(self._log.voices(control)).standing()
        return known

    def check_voice(self, did: Did, act: AdmitAct | ExpelAct, control: Control) -> None:
        """Return if an author has such a voice after what is said there about authors.

        A voice that was given stands for good, so that nobody needs it twice; without a bound one
        author could have all others keep whatever keys they name.

        Raises:
            OperationRejected: they have not, on any replica.
        """
        why = self._wrong_with(did, act, control)
        if why:
            raise OperationRejected(why=why)

    def _wrong_with(self, did: Did, act: AdmitAct | ExpelAct, control: Control) -> str:
        own = [each.act for each in self._log.voices(control) if each.said.did == did]
        if any(_is_same(act, each) for each in own):
            return "its author has said so before"
        if len(own) >= VOICES_MAX:
            return f"its author has said as much about authors as one may: {VOICES_MAX}"
        full = len(self.standing_in(control).authors) >= AUTHORS_MAX
        if full and isinstance(act, AdmitAct):
            return f"there are as many authors as there may be: {AUTHORS_MAX}"
        return ""

    def voice(self, entry: Entry) -> Did | None:
        """Take in an operation about authors; return whom it is to end, if anybody."""
        self._all.add(entry)
        self._now = self._all.standing()
        act = entry.act
        if not isinstance(act, ExpelAct):
            return None
        seen, by = self._seen_by(entry, act.did), self._seen.setdefault(act.did, {})
        by[entry.said.did] = seen & by.get(entry.said.did, seen)
        if is_decisive(entry):
            before = self._seen_decisively.get(act.did, seen)
            self._seen_decisively[act.did] = seen & before
        return act.did

    def _seen_by(self, entry: Entry, did: Did) -> frozenset[RecordId]:
        """Return the operations of an author that another one follows."""
        log = self._log
        if (did, 1) not in log.places:
            return frozenset()
        past = log.past([entry.said.id])
        return frozenset(each for each in past if log.entries[each].said.did == did)

    def is_void(self, entry: Entry) -> bool:
        """Return whether an operation counts for nothing, for its author was expelled beside it.

        It does if as many have expelled them as it takes, none of whom had seen it.
        """
        did, operation = entry.said.did, entry.said.id
        by = self._seen.get(did)
        if by is None or entry.about_authors:
            return False
        decisively = self._seen_decisively.get(did)
        if decisively is not None and operation not in decisively:
            return True
        return sum(operation not in seen for seen in by.values()) >= self.expulsions_min


def is_decisive(entry: Entry) -> bool:
    """Return whether one voice to expel is enough: with proof of a fork, or their own."""
    act = entry.act
    return isinstance(act, ExpelAct) and (act.fork is not None or entry.said.did == act.did)


def _is_same(one: Act, other: Act) -> bool:
    """Return whether two voices say the same; with a proof, one says more."""
    proofs = [isinstance(each, ExpelAct) and each.fork is not None for each in (one, other)]
    return (
        isinstance(one, AdmitAct | ExpelAct)
        and isinstance(other, AdmitAct | ExpelAct)
        and (one.kind, one.did, proofs[0]) == (other.kind, other.did, proofs[1])
    )
