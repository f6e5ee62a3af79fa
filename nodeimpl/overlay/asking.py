"""Questions of the table's machine: what became of each, and how long answers usually take.

Source: ADR 0030; RFC 6298 (mean and deviation of round trips).
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass

from nodeimpl.overlay.lookup import Pace
from nodeimpl.overlay.port import Contact, Outbox
from nodeimpl.overlay.table import Table
from opkit.wire.base import Did, Wire
from opkit.wire.dht import ContactText
from opkit.wire.errors import REFUSALS

USELESS = frozenset({"method-unknown", "frame-malformed", "wrong-network"})
"""Refusals of somebody who serves none of this: as a contact that is as bad as silence."""

OnEnd = Callable[[Wire | None, str], None]
"""Takes an answer, or None and why there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AskingLimits:
    """Bounds.

    Attributes:
        pending_max: questions under way; what wants more waits.
        question_ms: how long one may take, dialling included.
        slow_ms_first: when a question is slow, before any answer said how long they take.
        slow_ms_min: less than this is never slow.
        late_after: how many times as long until it is late.
        late_ms_min: less than this is never late.
    """

    pending_max: int = 256
    question_ms: int = 2_000
    slow_ms_first: int = 250
    slow_ms_min: int = 15
    late_after: int = 4
    late_ms_min: int = 100


class Moment:
    """What time it is: `now_ms` for what is signed, `at_ms` for waiting.

    The latter stands still while the clock goes back, and then goes on.
    """

    __slots__ = ("at_ms", "now_ms")

    def __init__(self) -> None:
        """Begin when it is first told."""
        self.at_ms = 0
        self.now_ms = 0

    def see(self, now_ms: int) -> None:
        """Be told the real time."""
        if now_ms > self.now_ms > 0:
            self.at_ms += now_ms - self.now_ms
        self.now_ms = now_ms

    def real(self, at_ms: int) -> int:
        """Return when by the clock it will be that time, if it does not jump."""
        return self.now_ms + at_ms - self.at_ms


@dataclass(slots=True, eq=False)
class Question:
    """One under way: since when, and when it is slow and late.

    `counted`: it was late, and the contact is suspected for that.
    """

    contact: ContactText
    sent_ms: int
    slow_ms: int
    late_ms: int
    on_end: OnEnd
    counted: bool = False


class Asking:
    """The questions of one node that are under way.

    Attributes:
        counts: questions by their end.
        on_doubt: called with a contact for whose place another one waits.
        on_dropped: called with a contact that the table has no more, for it did not answer.
    """

    def __init__(
        self, *, outbox: Outbox, table: Table, moment: Moment, limits: AskingLimits
    ) -> None:
        """Ask nothing yet."""
        self.counts: Counter[str] = Counter()
        self.on_doubt: Callable[[ContactText], None] = lambda _: None
        self.on_dropped: Callable[[ContactText], None] = lambda _: None
        self._outbox = outbox
        self._table = table
        self._moment = moment
        self._limits = limits
        self._pending: dict[int, Question] = {}
        self._slow_next: deque[int] = deque()
        self._late_next: deque[int] = deque()
        self._slow: set[Did] = set()
        self._mean_ms = -1.0
        self._deviation_ms = 0.0
        self._pace = Pace(slow_ms=limits.slow_ms_first, late_ms=limits.question_ms)

    def __len__(self) -> int:
        """Return how many are under way."""
        return len(self._pending)

    @property
    def pace(self) -> Pace:
        """When a question that is asked now would be slow, and late."""
        return self._pace

    def room(self) -> int:
        """Return how many more may be asked now."""
        return self._limits.pending_max - len(self._pending)

    def owns(self, token: int) -> bool:
        """Return whether a question was asked here."""
        return token in self._pending

    def ask(self, contact: ContactText, question: Wire, on_end: OnEnd) -> int:
        """Ask a contact, at the addresses that it itself said, if it ever did."""
        contact = self._table.get(contact.did) or contact
        to = Contact(did=contact.did, addresses=contact.addresses)
        token = self._outbox.ask(to, question, timeout_ms=self._limits.question_ms)
        at_ms, pace = self._moment.at_ms, self._pace
        self._pending[token] = Question(
            contact, at_ms, at_ms + pace.slow_ms, at_ms + pace.late_ms, on_end
        )
        self._slow_next.append(token)
        self._late_next.append(token)
        self.counts["asked"] += 1
        return token

    def answered(self, token: int, answer: Wire) -> None:
        """Take an answer."""
        question = self._end(token)
        self._measure(self._moment.at_ms - question.sent_ms)
        self.counts["answered"] += 1
        doubtful = self._table.heard(question.contact, self._moment.at_ms, own_word=False)
        if doubtful is not None:
            self.on_doubt(doubtful)
        question.on_end(answer, "")

    def failed(self, token: int, why: str) -> None:
        """Take a refusal's code, which only the living give, or why there was silence."""
        question = self._end(token)
        if why in REFUSALS and why not in USELESS:
            self.counts["refused"] += 1
            self._table.alive(question.contact.did, self._moment.at_ms)
        else:
            self.counts["silent"] += 1
            if not question.counted:
                self._suspect(question)
        question.on_end(None, why)

    def doubts(self, contact: ContactText) -> bool:
        """Return whether a contact is suspected, or owes an answer for longer than is usual."""
        return contact.did in self._slow or self._table.suspects.doubts(contact)

    def tick(self) -> None:
        """Doubt who is slow, and suspect who is late: they may answer yet.

        However many questions are late at once, that is one failure.
        """
        at_ms = self._moment.at_ms
        while (slow := self._head(self._slow_next)) and slow.slow_ms <= at_ms:
            self._slow_next.popleft()
            self._slow.add(slow.contact.did)
        while (late := self._head(self._late_next)) and late.late_ms <= at_ms:
            self._late_next.popleft()
            if not self._table.suspects.doubts(late.contact):
                late.counted = True
                self._suspect(late)

    def due_ms(self) -> int | None:
        """Return when `tick` is wanted next. A question of a slower time holds up none for long."""
        slow, late = self._head(self._slow_next), self._head(self._late_next)
        if late is None:
            return None
        return late.late_ms if slow is None else min(slow.slow_ms, late.late_ms)

    def _head(self, queue: deque[int]) -> Question | None:
        """Return the first question in a queue that has not ended."""
        while queue:
            question = self._pending.get(queue[0])
            if question is not None:
                return question
            queue.popleft()
        return None

    def _end(self, token: int) -> Question:
        question = self._pending.pop(token)
        self._slow.discard(question.contact.did)
        return question

    def _suspect(self, question: Question) -> None:
        """Count a failure, unless it is of the silence that was counted after it was asked."""
        contact = question.contact
        failed_ms = self._table.suspects.failed_ms(contact)
        if failed_ms is not None and question.sent_ms < failed_ms:
            return
        if self._table.failed(contact, self._moment.at_ms):
            self.counts["dropped"] += 1
            self.on_dropped(contact)

    def _measure(self, took_ms: int) -> None:
        """Learn from an answer how long they take."""
        if self._mean_ms < 0:
            self._mean_ms, self._deviation_ms = float(took_ms), took_ms / 2
        else:
            off_ms = took_ms - self._mean_ms
            self._mean_ms += off_ms / 8
            self._deviation_ms += (abs(off_ms) - self._deviation_ms) / 4
        limits = self._limits
        usual_ms = int(self._mean_ms + 4 * self._deviation_ms) + 1
        slow_ms = min(max(usual_ms, limits.slow_ms_min), limits.question_ms // 2)
        late_ms = min(max(slow_ms * limits.late_after, limits.late_ms_min), limits.question_ms)
        self._pace = Pace(slow_ms=slow_ms, late_ms=late_ms)
