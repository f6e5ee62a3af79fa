"""How messages come in: cheap checks first, then the verdict, at a pace, and never twice.

What is remembered as bad is this very copy, not the message: its id does not cover signature and
proofs, so somebody else may still bring the same one whole. Source: ADR 0031.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable

from nodeimpl.overlay.gossip_state import GossipState, Peer, Verdict, Waiting
from nodeimpl.overlay.messages import Message, weight
from nodeimpl.overlay.pace import Allowance
from nodeimpl.overlay.scores import USELESS_FREE
from nodeimpl.overlay.seen import Seen
from nodeimpl.overlay.spread import Spread
from nodeimpl.overlay.wants import Wants
from opkit.wire.base import Did
from opkit.wire.gossip import Envelope
from opkit.wire.records import Carried

SIGNATURE_CHARACTERS = 86
"""An Ed25519 signature in base64url; what has another length is not signed."""

Judge = Callable[[str, Carried, int], Verdict]
Deliver = Callable[[str, Carried, int], None]


def message_id(jws: str) -> bytes | None:
    """Return the id of a signed message, or None if it is not even shaped like one.

    The same as `opkit.proof.jws.record_id`, as bytes, and with a look at the signature's length.
    """
    end = len(jws) - SIGNATURE_CHARACTERS - 1
    if end < 3 or jws.find(".", end) != end or jws.count(".") != 2 or not jws.isascii():
        return None
    return hashlib.sha256(jws[:end].encode("ascii")).digest()


class Intake:
    """What this node is told."""

    def __init__(
        self, state: GossipState, *, judge: Judge, deliver: Deliver, spread: Spread, wants: Wants
    ) -> None:
        """Share `state` with the other parts of gossip."""
        self._state = state
        self._judge = judge
        self._deliver = deliver
        self._spread = spread
        self._wants = wants
        limits = state.limits
        self._all = Allowance(per_s=limits.judged_all_per_s, burst=limits.judged_all_burst)
        self._order: deque[Did] = deque()
        self._left_at_once = 0
        self._ignored = Seen(span_ms=limits.seen_ms, ids_max=limits.seen_max // 4)
        self._rejected = Seen(span_ms=limits.seen_ms, ids_max=limits.seen_max // 4)
        self._unwanted = Seen(span_ms=limits.want_ms * 8, ids_max=limits.seen_max // 4)
        self.judging: bytes | None = None

    def held(self) -> int:
        """Return how much is kept."""
        return len(self._order) + len(self._ignored) + len(self._rejected) + len(self._unwanted)

    def begin(self) -> None:
        """Allow one more call to judge so many messages at once."""
        self._left_at_once = self._state.limits.judged_at_once

    def take(
        self,
        peer: Peer,
        envelope: Envelope,
        *,
        also: tuple[str, ...],
        at_ms: int,
        now_ms: int,
    ) -> None:
        """Refuse a message by the cheapest check that does, judge it, or let it wait."""
        state = self._state
        size = weight(envelope)
        if not peer.heard.spend(size, at_ms):
            self.excess(peer, "heard-bytes")
            return
        if envelope.topic not in state.meshes:
            state.counts.dropped["not-subscribed"] += 1
            peer.standing.useless += 1
            return
        each = message_id(envelope.carried.jws)
        if each is None or size > state.limits.envelope_bytes_max:
            self._invalid(peer)
            return
        if each in state.seen:
            self._duplicate(peer, each)
            return
        waiting = Waiting(envelope=envelope, id=each, bytes=size, also=also)
        if peer.waiting or not self._may_judge(peer, at_ms):
            self._wait(peer, waiting, at_ms)
        else:
            self._decide(peer, waiting, at_ms=at_ms, now_ms=now_ms)

    def drain(self, *, at_ms: int, now_ms: int) -> None:
        """Judge what waits, one message of each peer in turn, as far as all paces allow."""
        state = self._state
        passed = 0
        while self._order and passed < len(self._order):
            peer = state.peers.get(self._order[0])
            if peer is None or not peer.waiting:
                self._order.popleft()
                continue
            if not self._may_judge(peer, at_ms):
                self._order.rotate(-1)
                passed += 1
                continue
            passed = 0
            self._order.rotate(-1)
            waiting = peer.waiting.popleft()
            peer.waiting_bytes -= waiting.bytes
            state.queued.discard(waiting.id)
            if waiting.id in state.seen:
                self._duplicate(peer, waiting.id)
            else:
                self._decide(peer, waiting, at_ms=at_ms, now_ms=now_ms)

    def due_ms(self) -> int | None:
        """Return when `drain` can judge next, by steady time."""
        if not self._order:
            return None
        peers = [self._state.peers.get(did) for did in self._order]
        found = [peer.judging.ready_ms(1) for peer in peers if peer is not None and peer.waiting]
        return max(min(found), self._all.ready_ms(1)) if found else None

    def expects_nothing_of(self, each: bytes) -> bool:
        """Return whether a message waits here already, or is one that this node has no use for."""
        return each in self._state.queued or each in self._unwanted

    def age(self, at_ms: int) -> None:
        """Forget what is old."""
        for seen in (self._ignored, self._rejected, self._unwanted):
            seen.age(at_ms)

    def bad_frame(self, peer: Peer) -> None:
        """Take note of what no honest program sends."""
        self._invalid(peer)

    def _may_judge(self, peer: Peer, at_ms: int) -> bool:
        """Take one judgement from all allowances, or none from any."""
        if self._left_at_once <= 0 or peer.judging.ready_ms(1) > at_ms:
            return False
        if not self._all.spend(1, at_ms):
            return False
        self._left_at_once -= 1
        return peer.judging.spend(1, at_ms)

    def _wait(self, peer: Peer, waiting: Waiting, at_ms: int) -> None:
        limits = self._state.limits
        full = len(peer.waiting) >= limits.waiting_max
        if full or peer.waiting_bytes + waiting.bytes > limits.waiting_bytes_max:
            # Only who was faster than its own pace is to blame, not who came in a crowd.
            if peer.judging.ready_ms(1) > at_ms:
                self.excess(peer, "waiting")
            else:
                self._state.counts.dropped["waiting"] += 1
            self._wants.suspects[peer.did] = None
            return
        if not peer.waiting:
            self._order.append(peer.did)
        self._state.busy[peer.did] = peer
        self._state.queued.add(waiting.id)
        peer.waiting.append(waiting)
        peer.waiting_bytes += waiting.bytes

    def _decide(self, peer: Peer, waiting: Waiting, *, at_ms: int, now_ms: int) -> None:
        """Judge a message and act on the verdict."""
        state = self._state
        envelope, each = waiting.envelope, waiting.id
        copy = _copy_id(each, envelope)
        if copy in self._rejected:
            self._invalid(peer)
            return
        if copy in self._ignored:
            self._duplicate(peer, each)
            return
        state.counts.judged += 1
        self.judging = each
        verdict = self._judge(envelope.topic, envelope.carried, now_ms)
        self.judging = None
        if verdict is Verdict.ACCEPT:
            self._accept(peer, waiting, at_ms=at_ms, now_ms=now_ms)
            return
        if verdict is Verdict.REJECT:
            self._rejected.add(copy, at_ms)
            self._wants.useless(peer, each, at_ms)
            self._invalid(peer)
            return
        self._ignored.add(copy, at_ms)
        self._unwanted.add(each, at_ms)
        self._wants.given(peer, each)
        self._wants.arrived(each)
        if verdict is Verdict.STALE:
            state.counts.stale += 1
            peer.standing.stale += 1
            state.weigh(peer, "it sends what is long over")
        else:
            state.counts.ignored += 1

    def _accept(self, peer: Peer, waiting: Waiting, *, at_ms: int, now_ms: int) -> None:
        state = self._state
        message = state.message(waiting.id, waiting.envelope, waiting.bytes, at_ms)
        message.known_by = peer.bit
        self._believe(peer, message, waiting.also)
        state.cache(message)
        peer.standing.first += 1
        self._wants.given(peer, waiting.id)
        state.counts.repaired += self._wants.arrived(waiting.id)
        state.counts.delivered += 1
        self._spread.push(message, at_ms)
        self._deliver(waiting.envelope.topic, waiting.envelope.carried, now_ms)

    def _believe(self, peer: Peer, message: Message, also: tuple[str, ...]) -> None:
        """Leave it to announcements to tell those whom a peer says that it has sent a message."""
        if not also or not peer.standing.believed():
            return
        hinted = self._state.bits(also) & ~peer.bit
        peer.standing.hinted += hinted.bit_count()
        message.sent_to |= hinted
        message.hinted, message.hinter = hinted, peer.did

    def _duplicate(self, peer: Peer, each: bytes) -> None:
        """Count a copy of what is known; it is a fault only of who sends more than there is."""
        state = self._state
        state.counts.duplicates += 1
        message = state.messages.get(each)
        if message is not None:
            message.known_by |= peer.bit
        peer.standing.useless += 1
        if peer.standing.useless > USELESS_FREE:
            state.weigh(peer, "it repeats what is known")

    def _invalid(self, peer: Peer) -> None:
        self._state.counts.rejected += 1
        peer.standing.invalid += 1
        self._state.weigh(peer, "it sends what nobody honest hands on")

    def excess(self, peer: Peer, cause: str) -> None:
        """Take note that a peer sends faster than anybody may."""
        self._state.counts.dropped[cause] += 1
        peer.standing.excess += 1
        self._state.weigh(peer, "it sends more than anybody may")


def _copy_id(each: bytes, envelope: Envelope) -> bytes:
    """Return what names this copy of a message: also by its signature and its proofs."""
    carried = envelope.carried
    rest = ".".join((carried.jws[-SIGNATURE_CHARACTERS:], *carried.proof))
    return hashlib.sha256(each + rest.encode("utf-8")).digest()
