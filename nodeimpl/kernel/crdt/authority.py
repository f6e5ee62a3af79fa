"""Who is an author: judged for each operation by what it follows, never by when it arrived.

Admitting and expelling take voices of authors. A voice counts by its own causal past alone, so that
who stands in any past is the same on every replica, for good. An expulsion wins over the other
operations of the expelled that it has not seen; over their voices about authors it does not, for
then two who expel each other would each undo the other's word. What one of them signs as if it
were old is one voice of several. Source: ADR 0043.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nodeimpl.kernel.crdt.log import Control, Entry, Log
from opkit.proof.operations import Base
from opkit.wire.base import Did, RecordId
from opkit.wire.operations import AdmitAct, ExpelAct

_STANDINGS_MAX = 1_024


@dataclass(frozen=True, slots=True)
class Standing:
    """Who is an author, and who is none any more and never will be again."""

    authors: frozenset[Did]
    expelled: frozenset[Did]


class Authority:
    """Who stands, in any causal past of one log.

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
        self._votes: dict[Did, list[tuple[Entry, frozenset[RecordId]]]] = {}

    def standing(self, control: Control) -> Standing:
        """Return who stands after these operations about authors."""
        known = self._known.get(control)
        if known is None:
            if len(self._known) >= _STANDINGS_MAX:
                self._known.clear()
            known = self._known[control] = self._judge(control)
        return known

    def _judge(self, control: Control) -> Standing:
        admitted: dict[Did, set[Did]] = {}
        ended: dict[Did, set[Did]] = {}
        expelled = set(self._base.expelled)
        for each in control:
            entry = self._log.entries[each]
            act = entry.act
            if isinstance(act, AdmitAct):
                admitted.setdefault(act.did, set()).add(entry.said.did)
            elif isinstance(act, ExpelAct):
                ended.setdefault(act.did, set()).add(entry.said.did)
                if is_decisive(entry):
                    expelled.add(act.did)
        expelled |= _with(ended, self.expulsions_min)
        authors = self._base.authors | _with(admitted, self.admissions_min)
        return Standing(frozenset(authors - expelled), frozenset(expelled))

    def voice(self, entry: Entry) -> Did | None:
        """Take in an operation about authors; return whom it is to end, if anybody."""
        act = entry.act
        if not isinstance(act, ExpelAct):
            return None
        log = self._log
        of_them = frozenset(
            each for each in log.past([entry.said.id]) if log.entries[each].said.did == act.did
        )
        self._votes.setdefault(act.did, []).append((entry, of_them))
        return act.did

    def is_void(self, entry: Entry) -> bool:
        """Return whether an operation counts for nothing, for its author was expelled beside it.

        It does if as many have expelled them as it takes, none of whom had seen it.
        """
        votes = self._votes.get(entry.said.did)
        if votes is None or entry.about_authors:
            return False
        unseen = [vote for vote, seen in votes if entry.said.id not in seen]
        voices = {vote.said.did for vote in unseen}
        return len(voices) >= self.expulsions_min or any(map(is_decisive, unseen))


def is_decisive(entry: Entry) -> bool:
    """Return whether one voice to expel is enough: with proof of a fork, or their own."""
    act = entry.act
    return isinstance(act, ExpelAct) and (act.fork is not None or entry.said.did == act.did)


def _with(voices: Mapping[Did, set[Did]], voices_min: int) -> set[Did]:
    return {did for did, by in voices.items() if len(by) >= voices_min}
