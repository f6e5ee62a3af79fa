"""When two nodes compare what they keep: on meeting, from time to time, and on suspicion.

One session runs with a peer at a time, and few at once. It repairs both sides, so whoever is asked
first puts off a session of its own, once. A peer that lies loses the session and is asked again
later and later. Source: ADR 0029.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from nodeimpl.overlay.port import Chance, Contact, Outbox
from nodeimpl.overlay.repair import (
    Bounds,
    Declined,
    Lied,
    Session,
    answer_compare,
    answer_fetch,
    answer_push,
)
from nodeimpl.overlay.shelf import Shelf
from opkit.wire.base import Did, Wire
from opkit.wire.peer import FrameMalformed
from opkit.wire.reconcile import (
    ID_BYTES,
    IDS_MAX,
    Compare,
    Fetch,
    Push,
    Pushed,
    RecordsGiven,
)
from opkit.wire.records import RecordNotOwners, SignedRecordRejected

QUESTIONS = (Compare, Fetch, Push)
"""What a `Reconciler` answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconcilerLimits:
    """What reconciliation may cost, and when it runs.

    Attributes:
        joined_ms_max: a session begins up to so long after a link stands, at random: of two who
            meet one is first, and the other need not.
        interval_ms: how long after a session the next one with the same peer begins, within half
            of it more or less.
        suspicion_ms: sessions on suspicion of one peer are so far apart at least.
        tries_max: how often a question is asked before a session is given up.
        session_ms_max: how long a session may take; one that gets on goes on soon after.
        backoff_ms: how long a peer that lied is left alone, doubled each time up to
            `backoff_ms_max`.
        liars_max: how many peers that lied are remembered.
    """

    joined_ms_max: int = 500
    interval_ms: int = 120_000
    suspicion_ms: int = 5_000
    timeout_ms: int = 5_000
    tries_max: int = 3
    session_ms_max: int = 120_000
    sessions_max: int = 4
    peers_max: int = 512
    backoff_ms: int = 30_000
    backoff_ms_max: int = 3_600_000
    liars_max: int = 1_024
    declined_max: int = 8_192
    declined_ms: int = 600_000
    notes_max: int = 256
    bounds: Bounds = field(default_factory=Bounds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Repaired:
    """A session found differences: `kept` records came here, `pushed` went to the peer."""

    peer: Did
    kept: int
    pushed: int
    questions: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerLied:
    """A peer said what no honest one says; it is left alone for a while."""

    peer: Did
    why: str
    strikes: int


@dataclass(slots=True, eq=False)
class _Peer:
    """A peer with a link: when it is asked next, and what led to it.

    Attributes:
        met: a session with it was done. Only then all namespaces are compared in one question:
            while two meet, much is on its way, and a first session that takes longer sees it.
    """

    next_ms: int
    begun_ms: int = 0
    yielded: bool = False
    met: bool = False
    session: Session | None = None
    deadline_ms: int = 0
    token: int = 0
    tries: int = 0
    question: Wire | None = None


class Reconciler:
    """Keeps what this node has equal to what its peers have.

    Attributes:
        counts: how often what happened, to be measured.
        notes: what operators should hear of, until the driver takes it (`take_notes`).
        repaired_ms: when comparing last brought a record here or to a peer; None: never.
    """

    def __init__(
        self,
        shelf: Shelf,
        *,
        outbox: Outbox,
        chance: Chance,
        limits: ReconcilerLimits | None = None,
    ) -> None:
        """Compare what is on `shelf`; questions go out through `outbox`."""
        self.counts: Counter[str] = Counter()
        self.notes: list[Repaired | PeerLied] = []
        self.repaired_ms: int | None = None
        self._shelf = shelf
        self._outbox = outbox
        self._chance = chance
        self._limits = limits or ReconcilerLimits()
        self._peers: dict[Did, _Peer] = {}
        self._running: dict[Did, _Peer] = {}
        self._tokens: dict[int, Did] = {}
        self._liars: dict[Did, tuple[int, int]] = {}
        self._declined = Declined(
            ids_max=self._limits.declined_max, keep_ms=self._limits.declined_ms
        )
        self._due_ms: int | None = None
        self._due_known = True

    def joined(self, peer: Did, now_ms: int) -> None:
        """Compare with a peer soon: a link stands."""
        if peer in self._peers:
            return
        if len(self._peers) >= self._limits.peers_max:
            self.counts["peers beyond the limit"] += 1
            return
        _, until_ms = self._liars.get(peer, (0, 0))
        soon_ms = now_ms + self._chance.randrange(self._limits.joined_ms_max + 1)
        self._peers[peer] = _Peer(max(soon_ms, until_ms))
        self._sooner(max(soon_ms, until_ms))

    def left(self, peer: Did, now_ms: int) -> None:
        """Give up whatever was asked of a peer: the link is gone."""
        del now_ms
        self._declined.forget(peer)
        gone = self._peers.pop(peer, None)
        if self._running.pop(peer, None) is not None:
            self.counts["sessions cut"] += 1
            self._due_known = False
        elif gone is not None and gone.next_ms == self._due_ms:
            self._due_known = False

    def suspect(self, peer: Did, now_ms: int) -> None:
        """Compare with a peer now: it seems to know something else than this node."""
        here = self._peers.get(peer)
        _, until_ms = self._liars.get(peer, (0, 0))
        if here is None or here.session is not None or until_ms > now_ms:
            return
        here.next_ms = min(here.next_ms, max(now_ms, here.begun_ms + self._limits.suspicion_ms))
        self.counts["suspicions"] += 1
        self._sooner(here.next_ms)

    def answer(self, peer: Did, question: Compare | Fetch | Push, now_ms: int) -> Wire:
        """Answer a peer's question about what is kept here, or keep what it offers.

        Refuses, in this order:
            FrameMalformed: ids that are cut off.
            SignedRecordRejected: what is pushed does not verify.
            RecordNotOwners: what is pushed is under a name of somebody else's.
        """
        if isinstance(question, Compare):
            self._yield_to(peer, question, now_ms)
            return answer_compare(self._shelf, question, ids_max=IDS_MAX)
        if isinstance(question, Fetch):
            if len(question.ids) % ID_BYTES:
                raise FrameMalformed(why=f"ids: not a multiple of {ID_BYTES} bytes")
            return self._given(answer_fetch(self._shelf, question))
        return self._answer_push(peer, question, now_ms)

    def owns(self, token: int) -> bool:
        """Return whether a question is one of this machine's that has not ended."""
        return token in self._tokens

    def answered(self, token: int, answer: Wire, now_ms: int) -> None:
        """Go on with a session: its question was answered."""
        here = self._end_of(token)
        if here is None or here.session is None:
            return
        try:
            here.session.take(answer, now_ms)
        except Lied as lie:
            self._finish(here, now_ms)
            self._blame(here.session.peer, lie.why, now_ms)
            here.session = None
            return
        self._go_on(here, now_ms)

    def failed(self, token: int, why: str, now_ms: int) -> None:
        """Ask again, or give a session up: its question was refused, or nothing came."""
        here = self._end_of(token)
        if here is None or here.session is None:
            return
        if here.session.refused(why, now_ms):
            self._go_on(here, now_ms)
        elif here.tries < self._limits.tries_max and now_ms < here.deadline_ms:
            self._ask(here)
        else:
            self.counts["sessions without answer"] += 1
            self._finish(here, now_ms)
            here.next_ms = now_ms + self._about(self._limits.interval_ms // 4)
            here.session = None

    def tick(self, now_ms: int) -> None:
        """Begin the sessions that are due, as far as there are places."""
        due: list[tuple[int, Did]] = []
        next_ms: int | None = None
        for peer, here in self._peers.items():
            if here.session is not None:
                continue
            if here.next_ms <= now_ms:
                due.append((here.next_ms, peer))
            elif next_ms is None or here.next_ms < next_ms:
                next_ms = here.next_ms
        free = self._limits.sessions_max - len(self._running)
        self._due_ms, self._due_known = (next_ms if len(due) < free else None), True
        # A session that ends as soon as it begins has what is due reckoned anew.
        for _, peer in sorted(due)[: max(free, 0)]:
            self._begin(peer, now_ms)

    def due_ms(self) -> int | None:
        """Return when `tick` is wanted next; None while nobody waits or all places are taken."""
        if not self._due_known:
            self._due_known = True
            free = len(self._running) < self._limits.sessions_max
            waiting = [here.next_ms for here in self._peers.values() if here.session is None]
            self._due_ms = min(waiting, default=None) if free else None
        return self._due_ms

    def take_notes(self) -> list[Repaired | PeerLied]:
        """Return what operators should hear of, once."""
        taken, self.notes = self.notes, []
        return taken

    def held(self) -> dict[str, int]:
        """Return how many of each there are: what the limits bound."""
        sessions = [here.session for here in self._running.values() if here.session is not None]
        return {
            "peers": len(self._peers),
            "sessions": len(self._running),
            "waiting": sum(session.held() for session in sessions),
            "questions": len(self._tokens),
            "liars": len(self._liars),
            "declined": len(self._declined),
            "notes": len(self.notes),
        }

    def _begin(self, peer: Did, now_ms: int) -> None:
        here = self._peers[peer]
        here.session = Session(
            peer,
            shelf=self._shelf,
            declined=self._declined,
            bounds=self._limits.bounds,
            together=here.met,
        )
        here.begun_ms = now_ms
        here.deadline_ms = now_ms + self._limits.session_ms_max
        here.yielded = False
        self._running[peer] = here
        self.counts["sessions begun"] += 1
        self._go_on(here, now_ms)

    def _go_on(self, here: _Peer, now_ms: int) -> None:
        """Ask the next question of a session, or end it."""
        session = here.session
        assert session is not None, "there is a session to go on with"
        late = now_ms >= here.deadline_ms
        here.question = None if late else session.question()
        if here.question is not None:
            here.tries = 0
            self._ask(here)
            return
        self._finish(here, now_ms)
        here.session = None
        if not (session.spent or late):
            self._liars.pop(session.peer, None)
            self.counts["sessions done"] += 1
            here.met = True
        elif session.kept or session.pushed:
            self.counts["sessions at their bounds"] += 1
            here.next_ms = now_ms + self._about(self._limits.interval_ms // 4)
        elif late:
            # Slow is no lie, and the clock may have jumped; but others wait for the place.
            self.counts["sessions too late"] += 1
            here.next_ms = now_ms + self._about(self._limits.interval_ms * 4)
        else:
            self._blame(session.peer, "its differences come to no end", now_ms)

    def _ask(self, here: _Peer) -> None:
        assert here.session is not None and here.question is not None, "there is what to ask"
        here.tries += 1
        contact = Contact(did=here.session.peer, addresses=())
        timeout_ms = self._limits.timeout_ms
        here.token = self._outbox.ask(contact, here.question, timeout_ms=timeout_ms)
        self._tokens[here.token] = here.session.peer
        self.counts["questions"] += 1

    def _end_of(self, token: int) -> _Peer | None:
        """Return whose question has ended, if its session still runs."""
        peer = self._tokens.pop(token)
        here = self._running.get(peer)
        return here if here is not None and here.token == token else None

    def _finish(self, here: _Peer, now_ms: int) -> None:
        """Free the place of a session, and say what it did."""
        session = here.session
        assert session is not None, "there is a session to finish"
        del self._running[session.peer]
        here.next_ms = now_ms + self._about(self._limits.interval_ms)
        self._due_known = False
        self.counts["records kept"] += session.kept
        self.counts["records pushed"] += session.pushed
        if session.kept or session.pushed:
            self.repaired_ms = now_ms
            self._note(
                Repaired(
                    peer=session.peer,
                    kept=session.kept,
                    pushed=session.pushed,
                    questions=session.questions,
                )
            )

    def _blame(self, peer: Did, why: str, now_ms: int) -> None:
        """Leave a peer that lied alone for a while."""
        limits = self._limits
        strikes = self._liars.pop(peer, (0, 0))[0] + 1
        if len(self._liars) >= limits.liars_max:
            del self._liars[next(iter(self._liars))]
        away_ms = min(limits.backoff_ms << min(strikes - 1, 16), limits.backoff_ms_max)
        self._liars[peer] = (strikes, now_ms + away_ms)
        here = self._peers.get(peer)
        if here is not None:
            here.next_ms = now_ms + away_ms
        self._due_known = False
        self.counts["lies"] += 1
        self._note(PeerLied(peer=peer, why=why, strikes=strikes))

    def _yield_to(self, peer: Did, question: Compare, now_ms: int) -> None:
        """Put off a session of this node's own, once: one that the peer began repairs both."""
        here = self._peers.get(peer)
        begins = question.prefixes == ("",)
        if here is None or not begins or here.yielded or here.session is not None:
            return
        here.yielded = True
        self._due_known &= here.next_ms != self._due_ms
        here.next_ms = max(here.next_ms, now_ms + self._about(self._limits.interval_ms))

    def _answer_push(self, peer: Did, question: Push, now_ms: int) -> Pushed:
        try:
            answer = answer_push(self._shelf, question, now_ms)
        except (SignedRecordRejected, RecordNotOwners) as no:
            self._blame(peer, f"it pushes a record that is refused: {no.code}", now_ms)
            raise
        self.counts["records taken"] += answer.kept
        if answer.kept:
            self.repaired_ms = now_ms
        return answer

    def _given(self, answer: RecordsGiven) -> RecordsGiven:
        self.counts["records given"] += len(answer.records)
        return answer

    def _sooner(self, next_ms: int) -> None:
        """Take note of a peer that waits, perhaps for less long than all others."""
        if self._due_known and len(self._running) < self._limits.sessions_max:
            self._due_ms = next_ms if self._due_ms is None else min(self._due_ms, next_ms)

    def _about(self, delay_ms: int) -> int:
        """Return between half of a delay and one and a half."""
        return delay_ms // 2 + self._chance.randrange(delay_ms + 1)

    def _note(self, note: Repaired | PeerLied) -> None:
        if len(self.notes) >= self._limits.notes_max:
            self.counts["notes dropped"] += 1
        else:
            self.notes.append(note)
