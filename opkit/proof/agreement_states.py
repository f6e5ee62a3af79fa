"""How an agreement stands at a moment: from its terms, its signatures and what amends it alone.

No node's word and no order of arrival enters, so all who hold the same say the same. Times are
those of the signatures, in world time; intervals are half open. Source: ADR 0045.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from opkit.proof.terms import DAY_MS
from opkit.wire.agreements import AgreementState
from opkit.wire.base import SAFE_INT_MAX, RecordId, Slug, TimeMs
from opkit.wire.terms import Action, Terms

_ENDS: tuple[AgreementState, ...] = ("superseded", "ended", "lapsed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """A signature that verified: which coop gave it, for what, and when."""

    coop: Slug
    action: Action
    at_ms: TimeMs


@dataclass(frozen=True, slots=True, kw_only=True)
class Successor:
    """An agreement that amends another one and that all have signed: its id, and its beginning."""

    agreement: RecordId
    since_ms: TimeMs


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """What an agreement goes through, whenever it is looked at.

    Attributes:
        unsigned: the parties that have not signed.
        signed_ms: when the last one did; None if not all have.
        since_ms: its beginning; None if not all have signed.
        notice_ms: when notice was given first; None if it was not.
        end_ms, end: when it ends, and how; None if nothing says so yet.
        superseded_by: what took its place; None if nothing did before it ended otherwise.
    """

    unsigned: tuple[Slug, ...]
    signed_ms: TimeMs | None
    since_ms: TimeMs | None
    notice_ms: TimeMs | None
    end_ms: TimeMs | None
    end: AgreementState | None
    superseded_by: RecordId | None

    @property
    def holds(self) -> bool:
        """Whether it is or was in force from its beginning on: it did not end before that."""
        return self.since_ms is not None and (self.end_ms is None or self.since_ms < self.end_ms)

    def state(self, now_ms: TimeMs) -> AgreementState:
        """Return how it stands at a moment of world time."""
        if self.end_ms is not None and self.end_ms <= now_ms:
            assert self.end is not None, "what ends does so somehow"
            return self.end
        if self.signed_ms is None or now_ms < self.signed_ms:
            return "proposed"
        assert self.since_ms is not None, "what all have signed begins"
        if now_ms < self.since_ms:
            return "signed"
        return "active" if self.notice_ms is None or now_ms < self.notice_ms else "ending"

    def turns_ms(self, now_ms: TimeMs) -> TimeMs | None:
        """Return when it stands otherwise next; None if that is not known."""
        return min((each for each in self._turns if each > now_ms), default=None)

    def turned_ms(self, now_ms: TimeMs) -> TimeMs:
        """Return since when it stands as it does; 0 if since it was proposed."""
        return max((each for each in self._turns if each <= now_ms), default=0)

    @property
    def _turns(self) -> list[TimeMs]:
        """When it stands otherwise than before: a notice before it begins, say, changes nothing."""
        times = (self.signed_ms, self.since_ms, self.notice_ms, self.end_ms)
        return [
            each for each in times if each is not None and self.state(each) != self.state(each - 1)
        ]


def course_of(
    terms: Terms,
    given: Sequence[Given],
    *,
    successors: Sequence[Successor] = (),
    barred_by: Successor | None = None,
) -> Course:
    """Return the course of an agreement.

    It is in force from its beginning, or from when the last party signed. What is not renewable
    lapses with its term, whoever has signed by then. Notice before all had
    signed takes the party's signature back, at once. Of two agreements that amend one, only that
    which begins first (at the same moment, the one with the lower id) takes its place; the other
    never is in force. What ends in several ways at the same moment is superseded rather than ended,
    and ended rather than lapsed.

    Args:
        given: the signatures, each party's once for each action.
        successors: those that amend it, and hold (`Course.holds`) taken by themselves.
        barred_by: if it amends another, the one that took the place of that instead.
    """
    signed = {each.coop: each.at_ms for each in given if each.action == "adopt"}
    notices = [each.at_ms for each in given if each.action == "end"]
    unsigned = tuple(coop for coop in terms.parties if coop not in signed)
    signed_ms = None if unsigned else max(signed.values())
    notice_ms = min(notices, default=None)
    ends: list[tuple[TimeMs, int, RecordId | None]] = []
    term_end_ms = terms.starts_ms + terms.term_days * DAY_MS
    if not terms.renewable:
        ends.append((term_end_ms, _ENDS.index("lapsed"), None))
    if notice_ms is not None:
        withdrawn = signed_ms is None or notice_ms < signed_ms
        wait_ms = 0 if withdrawn else terms.notice_days * DAY_MS
        # A notice may be dated as late as there are times: what ends after them ends with them.
        over_ms = min(notice_ms + wait_ms, SAFE_INT_MAX)
        ends.append((over_ms, _ENDS.index("ended"), None))
    winner = first_of(successors if barred_by is None else [*successors, barred_by])
    if winner is not None:
        ends.append((winner.since_ms, _ENDS.index("superseded"), winner.agreement))
    first = min(ends, default=None)
    return Course(
        unsigned=unsigned,
        signed_ms=signed_ms,
        since_ms=None if signed_ms is None else max(signed_ms, terms.starts_ms),
        notice_ms=notice_ms,
        end_ms=None if first is None else first[0],
        end=None if first is None else _ENDS[first[1]],
        superseded_by=None if first is None else first[2],
    )


def first_of(successors: Iterable[Successor]) -> Successor | None:
    """Return which of several that amend one agreement takes its place; None of none."""
    return min(successors, default=None, key=lambda each: (each.since_ms, each.agreement))
