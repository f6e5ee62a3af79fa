"""Taking from a peer what is lacking here: page after page, until all pages brought nothing new.

It brings one side what the other has; for both to have the same, both pull. The asker drives, the
answerer keeps nothing between two questions. A page may have nothing new and the next one may: a
frontier does not name all that is here, and what counts for nothing here is refused. Whoever gives
what does not verify, or what is no answer, has lied: the session ends, and what verified before is
kept. Source: ADR 0043.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from nodeimpl.kernel.crdt.replica import Replica, Taken
from nodeimpl.kernel.crdt.told import OPERATIONS_GIVEN_MAX, Delta, Frontier, Wanted
from opkit.proof import jws
from opkit.wire.base import Jws, RecordId
from opkit.wire.errors import Refusal
from opkit.wire.operations import OperationNotAuthors, OperationRejected

QUESTIONS_MAX = 4_096
"""How many questions one session asks; what is left comes with the next one."""


def answer(replica: Replica, question: Frontier | Wanted) -> Delta:
    """Return what a replica answers.

    Raises:
        EpochOver: the asker stands on another checkpoint.
    """
    if isinstance(question, Wanted):
        return replica.give(question.ids)
    return replica.lacking(question)


class Pull:
    """One session with one peer.

    Attributes:
        replica: what pulls.
        taken: how many operations came that were new here, those included that waited for them.
        lied: what an honest peer does not do, if this one did; empty otherwise.
        complete: whether the peer has given all that it has, and nothing of it has to come again.
    """

    def __init__(self, replica: Replica) -> None:
        """Ask for what this replica lacks."""
        self.taken = 0
        self.lied = ""
        self.complete = False
        self.replica = replica
        self._questions = 0
        self._asked: Frontier | Wanted | None = None
        self._wanted_once: set[RecordId] = set()
        self._after: RecordId | None = None
        self._moved = False
        self._comes_again = False
        self._over = False

    def question(self) -> Frontier | Wanted | None:
        """Return what to ask next; None once there is nothing more to ask."""
        if self._over or self.lied or self._questions >= QUESTIONS_MAX:
            return None
        self._questions += 1
        wanted = [each for each in self.replica.missing() if each not in self._wanted_once]
        if wanted and self._asked is not None:
            ids = tuple(wanted[:OPERATIONS_GIVEN_MAX])
            self._wanted_once.update(ids)
            self._asked = Wanted(aud=self.replica.spec.aud, ids=ids)
        else:
            self._asked = replace(self.replica.frontier(), after=self._after)
        return self._asked

    def begin_anew(self, replica: Replica) -> None:
        """Ask everything again, for what was taken was undone: this replica has not had it."""
        self.replica = replica
        self._asked, self._after, self._moved = None, None, False
        self._over = self.complete = self._comes_again = False
        self._wanted_once.clear()

    def answered(
        self, delta: Delta, now_ms: int, *, take: Callable[[Jws, int], Taken] | None = None
    ) -> None:
        """Take what came; an operation that does not count here, or not yet, is no lie.

        Args:
            take: takes an operation as `Replica.take` does, which it is unless said.
        """
        take = take or self.replica.take
        asked = self._asked
        assert asked is not None, "an answer follows a question"
        if isinstance(asked, Wanted) and len(delta.operations) > len(asked.ids):
            self.lied = "it gave more than it was asked for"
            return
        before = len(self.replica)
        moved = self.replica.go_on()
        for token in delta.operations:
            try:
                moved |= take(token, now_ms) is Taken.NEW
            except OperationRejected as no:
                self.lied = no.why
                break
            except Refusal as no:
                self.replica.counts[no.code] += 1
                self._comes_again |= not isinstance(no, OperationNotAuthors)
        self.taken += len(self.replica) - before
        fresh = any(each not in self._wanted_once for each in self.replica.missing())
        self._moved |= moved or fresh
        if isinstance(asked, Frontier) and not self.lied:
            self._turn_page(delta)

    def _turn_page(self, delta: Delta) -> None:
        """Go on after a page; after the last one, begin anew if any of them brought something."""
        last = jws.record_id(delta.operations[-1]) if delta.more and delta.operations else None
        if last is not None:
            # Who gives a page again would be asked for it without end.
            self._over = last == self._after
            self._after = last
            return
        self._over = not self._moved
        self.complete = self._over and not self._comes_again
        self._after, self._moved, self._comes_again = None, False, False
