"""Publish and subscribe as a machine: messages reach every subscriber, and no lie does.

A message is pushed at once to a small mesh of peers, told by id to some others, and asked for by
whoever missed it. It is judged before it is handed on. Whatever is held, sent, judged or waited for
has a bound; what a bound cuts off is counted, and repaired by announcements or reconciliation.
Source: ADR 0031; gossipsub v1.1 (libp2p specifications), whose ideas these are.
"""

from __future__ import annotations

from dataclasses import dataclass

from nodeimpl.overlay.gossip_limits import GossipLimits
from nodeimpl.overlay.gossip_state import (
    GossipCounts,
    GossipState,
    MeshJoined,
    MeshLeft,
    Note,
    Peer,
    Verdict,
)
from nodeimpl.overlay.intake import Deliver, Intake, Judge, message_id
from nodeimpl.overlay.mesh import Mesh
from nodeimpl.overlay.messages import Message, weight
from nodeimpl.overlay.port import Chance, Outbox
from nodeimpl.overlay.spread import Spread
from nodeimpl.overlay.wants import Suspect, Wants
from opkit.wire.base import Did, Jws
from opkit.wire.gossip import Envelope, Gossip, unpacked
from opkit.wire.records import Carried

__all__ = ["GossipLimits", "Gossiper", "MeshPeer", "Verdict"]

EARLY_MS = 1_000
"""So much too early somebody may come back: clocks do not run alike."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeshPeer:
    """What an operator sees of one subscriber of a topic."""

    did: Did
    in_mesh: bool
    score: float
    slow: bool


def _nothing(_topic: str, _carried: Carried, _now_ms: int) -> None:
    """Deliver to nobody: for whoever learns of messages by judging them."""


def _nobody(_peer: Did) -> None:
    """Suspect nobody."""


class Gossiper:
    """Gossip of one node.

    Args:
        outbox: takes what is to be sent, when `flush` is called.
        chance: makes its choices.
        judge: says what a message is worth; must be quick, and never raises.
        deliver: is told each message of others that was judged good, after it is on its way.
        suspect: is told a peer that messages may have been missed of: reconcile with it.
        limits: bounds.
    """

    def __init__(
        self,
        *,
        outbox: Outbox,
        chance: Chance,
        judge: Judge,
        deliver: Deliver = _nothing,
        suspect: Suspect = _nobody,
        limits: GossipLimits | None = None,
    ) -> None:
        """Begin without peers and topics."""
        self.limits = limits or GossipLimits()
        self._state = GossipState(outbox=outbox, chance=chance, limits=self.limits)
        self._spread = Spread(self._state)
        self._wants = Wants(self._state, suspect=suspect)
        self._intake = Intake(
            self._state, judge=judge, deliver=deliver, spread=self._spread, wants=self._wants
        )
        self._beat_ms: int | None = None
        self._beaten_ms = 0
        self._due_ms: int | None = None
        self._due_known = True

    @property
    def counts(self) -> GossipCounts:
        """What happened so far, for metrics."""
        return self._state.counts

    def notes(self) -> list[Note]:
        """Return what happened to meshes and peers since it was last asked."""
        taken, self._state.notes = self._state.notes, []
        return taken

    def subscribe(self, topic: str) -> None:
        """Want to hear of a topic, from now on."""
        state = self._state
        assert len(state.meshes) < self.limits.topics_max, "a node has a bounded number of topics"
        if topic in state.meshes:
            return
        mesh = state.meshes[topic] = Mesh(limits=self.limits, chance=state.chance)
        for peer in state.peers.values():
            state.draft(peer).subscriptions[topic] = True
            if topic in peer.topics and mesh.hungry() and not peer.slow:
                self._graft(mesh, topic, peer)

    def unsubscribe(self, topic: str) -> None:
        """Want to hear no more of a topic."""
        state = self._state
        mesh = state.meshes.pop(topic, None)
        if mesh is None:
            return
        for peer in state.peers.values():
            draft = state.draft(peer)
            draft.subscriptions[topic] = False
            draft.links.pop(topic, None)
        for did in mesh.members:
            state.note(MeshLeft(topic=topic, peer=did, why="this node left the topic"))

    def publish(self, topic: str, carried: Carried, now_ms: int) -> bool:
        """Publish a message that this node vouches for; return False if it is out already.

        It need not be this node's own: what was learned in another way is handed on like this too.
        Without any subscriber it waits for the first.
        """
        state = self._state
        at_ms = self._see(now_ms)
        each = message_id(carried.jws)
        assert each is not None, "what is published is signed"
        if each in state.seen or each == self._intake.judging:
            return False
        envelope = Envelope(topic=topic, carried=carried)
        size = weight(envelope)
        assert size <= self.limits.envelope_bytes_max, "what is published fits an envelope"
        message = state.message(each, envelope, size, at_ms)
        state.counts.published += 1
        self._wants.arrived(each)
        if state.subscribers(topic):
            state.cache(message)
            self._spread.push(message, at_ms)
        else:
            state.counts.dropped["unsent"] += len(state.unsent.add(message))
        return True

    def saw(self, jws: Jws, now_ms: int) -> None:
        """Take note that a message is here, which came in another way and needs not be told."""
        at_ms = self._see(now_ms)
        each = message_id(jws)
        if each is not None and each not in self._state.seen:
            self._state.seen.add(each, at_ms)
            self._wants.arrived(each)

    def joined(self, did: Did, now_ms: int, *, dialled: bool = False) -> None:
        """Begin to gossip with a peer, unless there are too many; `dialled`: by this node."""
        state = self._state
        at_ms = self._see(now_ms)
        if did in state.peers:
            self.left(did, now_ms)
        peer = state.admit(did, at_ms, dialled=dialled)
        if peer is None:
            return
        if self._beat_ms is None:
            self._beat_ms = at_ms + 1 + state.chance.randrange(self.limits.beat_ms)
            self._beaten_ms = at_ms
        left_ms = peer.standing.banned_until_ms - at_ms
        if left_ms > 0:
            state.cut_off(peer, "it came again before its ban was over", ban_ms=left_ms)
        elif state.meshes:
            state.draft(peer).subscriptions.update(dict.fromkeys(state.meshes, True))

    def left(self, did: Did, now_ms: int) -> None:
        """Forget a peer whose link is gone, but for its standing."""
        at_ms = self._see(now_ms)
        peer = self._state.peers.get(did)
        if peer is not None:
            self._wants.left(peer, at_ms)
            self._state.dismiss(peer, at_ms)

    def congested(self, did: Did, unsent_bytes: int, now_ms: int) -> None:
        """Take note how much that was sent to a peer has not gone yet.

        The driver says so whenever it has sent something to the peer, or some of it has gone.
        """
        at_ms = self._see(now_ms)
        peer = self._state.peers.get(did)
        if peer is None or peer.banned:
            return
        peer.stalled = unsent_bytes >= self.limits.stalled_bytes
        if not peer.slow and unsent_bytes >= self.limits.slow_bytes:
            peer.slow = True
            for topic, mesh in self._state.meshes.items():
                if did in mesh.members:
                    self._prune(mesh, topic, peer, why="it is slow", at_ms=at_ms)
        elif peer.slow and unsent_bytes <= self.limits.quick_bytes:
            peer.slow = False
            peer.backlog.clear()
            for topic in peer.topics:
                if topic in self._state.meshes:
                    self._spread.catch_up(peer, topic)
            self._wants.suspects[did] = None

    def undecodable(self, did: Did, now_ms: int) -> None:
        """Take note that a peer sent what is no frame of gossip."""
        self._see(now_ms)
        peer = self._state.peers.get(did)
        if peer is not None and not peer.banned:
            self._intake.bad_frame(peer)

    def heard(self, did: Did, frame: Gossip, now_ms: int) -> None:
        """Take in what a peer says."""
        state = self._state
        at_ms = self._see(now_ms)
        peer = state.peers.get(did)
        if peer is None or peer.banned:
            state.counts.dropped["nobody"] += 1
            return
        if not peer.frames.spend(1, at_ms):
            self._intake.excess(peer, "frames")
            return
        self._intake.begin()
        if frame.subscribe or frame.unsubscribe or frame.graft or frame.prune:
            self._hear_links(peer, frame, at_ms)
        for envelope in frame.publish:
            if peer.cut_off():
                return
            self._intake.take(peer, envelope, also=frame.also, at_ms=at_ms, now_ms=now_ms)
        if (frame.have or frame.want) and not peer.cut_off():
            self._hear_ids(peer, frame, at_ms)
        self._wants.pursue(at_ms)
        self._wants.tell()

    def tick(self, now_ms: int) -> None:
        """Do what is due."""
        at_ms = self._see(now_ms)
        self._intake.begin()
        self._intake.drain(at_ms=at_ms, now_ms=now_ms)
        self._wants.pursue(at_ms)
        self._spread.settle(at_ms)
        if self._beat_ms is not None and at_ms >= self._beat_ms:
            self._beat_ms = at_ms + self.limits.beat_ms
            self._beat(at_ms)
        self._wants.tell()

    def due_ms(self) -> int | None:
        """Return when `tick` is wanted next; a heartbeat is due only among peers."""
        if not self._due_known:
            self._due_known = True
            state = self._state
            due_ms = self._beat_ms if state.peers else None
            for each_ms in (self._intake.due_ms(), self._wants.due_ms(), self._spread.due_ms()):
                if each_ms is not None and (due_ms is None or each_ms < due_ms):
                    due_ms = each_ms
            self._due_ms = None if due_ms is None else state.steady.real(due_ms)
        return self._due_ms

    def flush(self) -> None:
        """Put what is to be sent into the outbox; the driver calls this before it takes from it."""
        if self._state.dirty:
            self._spread.flush()

    def gathers(self) -> bool:
        """Return whether there is anything to flush."""
        return bool(self._state.dirty)

    def mesh(self) -> dict[str, tuple[MeshPeer, ...]]:
        """Return who subscribes to each topic of this node, and who of them is in its mesh."""
        state = self._state
        return {
            topic: tuple(
                MeshPeer(
                    did=peer.did,
                    in_mesh=peer.did in mesh.members,
                    score=peer.standing.score(state.fresh),
                    slow=peer.slow,
                )
                for peer in state.subscribers(topic)
            )
            for topic, mesh in state.meshes.items()
        }

    def held(self) -> dict[str, int]:
        """Return how much of each kind is kept, to be compared with the limits."""
        state = self._state
        return {
            **state.held(),
            "peers": len(state.peers),
            "remembered": len(state.remembered),
            "mesh": sum(mesh.held() for mesh in state.meshes.values()),
            "messages": len(state.messages),
            "message_bytes": state.messages.bytes,
            "unsent": len(state.unsent),
            "unsent_bytes": state.unsent.bytes,
            "seen": len(state.seen) + self._intake.held(),
            "missing": self._wants.held(),
            "notes": len(state.notes),
        }

    def _see(self, now_ms: int) -> int:
        """Return the steady time; what is due is reckoned anew, for something happens now."""
        self._due_known = False
        return self._state.steady.see(now_ms)

    def _hear_links(self, peer: Peer, frame: Gossip, at_ms: int) -> None:
        """Take in what a peer subscribes to, and of which meshes it is."""
        state = self._state
        for topic in frame.subscribe:
            if topic not in peer.topics:
                self._subscribed(peer, topic, at_ms)
        for topic in frame.unsubscribe:
            if topic in peer.topics:
                del peer.topics[topic]
                state.topics -= 1
            mesh = state.meshes.get(topic)
            if mesh is not None and peer.did in mesh.members:
                mesh.gone(peer.did)
                state.note(MeshLeft(topic=topic, peer=peer.did, why="it left the topic"))
        for topic in frame.graft:
            mesh = state.meshes.get(topic)
            if mesh is not None and topic in peer.topics:
                self._hear_graft(mesh, topic, peer, at_ms)
        for prune in frame.prune:
            mesh = state.meshes.get(prune.topic)
            if mesh is not None:
                was = peer.did in mesh.members
                mesh.leave(peer.did, until_ms=at_ms + prune.back_off_ms)
                if was:
                    state.note(MeshLeft(topic=prune.topic, peer=peer.did, why="it wished so"))

    def _subscribed(self, peer: Peer, topic: str, at_ms: int) -> None:
        """Take note that a peer wants to hear of a topic, and tell it what it missed."""
        state = self._state
        if len(peer.topics) >= self.limits.topics_max:
            state.counts.dropped["topics"] += 1
            return
        peer.topics[topic] = None
        state.topics += 1
        mesh = state.meshes.get(topic)
        if mesh is not None and mesh.hungry() and self._welcome(mesh, peer, at_ms):
            self._graft(mesh, topic, peer)
        for message in state.unsent.take(topic):
            state.serial += 1
            message.serial, message.at_ms, message.beat = state.serial, at_ms, state.beats
            state.cache(message)
            self._spread.push(message, at_ms)
        self._spread.catch_up(peer, topic)
        self._spread.remind(peer, at_ms)

    def _hear_graft(self, mesh: Mesh, topic: str, peer: Peer, at_ms: int) -> None:
        """Let a peer join a mesh, or tell it to stay away."""
        if peer.did in mesh.members:
            return
        if mesh.stays_away(peer.did, at_ms + EARLY_MS):
            peer.standing.rude += 1
            self._state.weigh(peer, "it does not stay away")
        if peer.cut_off():
            return
        takes = mesh.takes(peer.did, dialled=self._state.dialled)
        if not takes or not self._welcome(mesh, peer, at_ms + EARLY_MS):
            self._prune(mesh, topic, peer, why="it is not welcome", at_ms=at_ms)
        else:
            mesh.members[peer.did] = None
            self._state.note(MeshJoined(topic=topic, peer=peer.did))

    def _hear_ids(self, peer: Peer, frame: Gossip, at_ms: int) -> None:
        """Take in what a peer announces and what it wants."""
        state = self._state
        try:
            wanted = unpacked(frame.want)
            announced = [(have.topic, unpacked(have.ids)) for have in frame.have]
        except ValueError:
            # Cut off in the middle of an id: nobody's program writes that by accident.
            self._intake.bad_frame(peer)
            return
        if not peer.ids.spend(len(wanted) + sum(len(ids) for _, ids in announced), at_ms):
            self._intake.excess(peer, "ids")
            return
        if not self._spread.trusted(peer):
            state.counts.dropped["untrusted"] += 1
            return
        for topic, ids in announced:
            if topic in state.meshes:
                for each in ids:
                    self._announced(peer, topic, each, at_ms)
        if wanted:
            self._spread.owe(peer, wanted, at_ms)

    def _announced(self, peer: Peer, topic: str, each: bytes, at_ms: int) -> None:
        message = self._state.messages.get(each)
        if message is not None:
            message.known_by |= peer.bit
        elif each not in self._state.seen and not self._intake.expects_nothing_of(each):
            self._wants.announced(peer, topic, each, at_ms)

    def _welcome(self, mesh: Mesh, peer: Peer, at_ms: int) -> bool:
        return (
            not peer.slow
            and not mesh.stays_away(peer.did, at_ms)
            and peer.standing.score(self._state.fresh) >= 0
        )

    def _graft(self, mesh: Mesh, topic: str, peer: Peer) -> None:
        """Take a peer into a mesh, and ask it to do the same."""
        mesh.members[peer.did] = None
        self._state.draft(peer).links[topic] = None
        self._state.note(MeshJoined(topic=topic, peer=peer.did))

    def _prune(self, mesh: Mesh, topic: str, peer: Peer, *, why: str, at_ms: int) -> None:
        """Leave a peer out of a mesh, and tell it for how long to stay away."""
        if peer.did in mesh.members:
            self._state.note(MeshLeft(topic=topic, peer=peer.did, why=why))
        mesh.leave(peer.did, until_ms=at_ms + self.limits.back_off_ms)
        self._state.draft(peer).links[topic] = self.limits.back_off_ms

    def _beat(self, at_ms: int) -> None:
        """Tend the meshes, announce what came lately, and forget what is old."""
        state, limits = self._state, self.limits
        state.decay(at_ms - self._beaten_ms)
        self._beaten_ms = at_ms
        state.beats += 1
        state.age(at_ms)
        self._intake.age(at_ms)
        by_topic: dict[str, list[Message]] = {}
        longest_ms = (limits.announced_after[-1] + 1) * limits.beat_ms
        for message in state.messages.since(at_ms - longest_ms):
            if state.beats - message.beat in limits.announced_after:
                by_topic.setdefault(message.envelope.topic, []).append(message)
        for topic, mesh in state.meshes.items():
            self._tend(mesh, topic, at_ms)
            if topic in by_topic:
                self._spread.announce(topic, by_topic[topic], at_ms)
        if state.beats % limits.refresh_beats == 0:
            self._refresh()
        for peer in state.peers.values():
            if peer.backlog:
                self._spread.remind(peer, at_ms)

    def _refresh(self) -> None:
        """Say again what still holds, for whoever did not hear it."""
        state = self._state
        for topic, mesh in state.meshes.items():
            for peer in state.peers.values():
                if not peer.banned and not peer.stalled:
                    draft = state.draft(peer)
                    draft.subscriptions[topic] = True
                    if peer.did in mesh.members:
                        draft.links.setdefault(topic, None)

    def _tend(self, mesh: Mesh, topic: str, at_ms: int) -> None:
        """Leave out who is worth nothing, fill a mesh up, and now and then look for better ones."""
        state = self._state
        mesh.age(at_ms)
        others = [
            peer.did
            for peer in state.subscribers(topic)
            if peer.did not in mesh.members and not peer.slow
        ]
        changes = mesh.tend(others, score=state.score, dialled=state.dialled, at_ms=at_ms)
        for did in changes.prunes:
            self._prune(mesh, topic, state.peers[did], why="others are worth more", at_ms=at_ms)
        for did in changes.grafts:
            self._graft(mesh, topic, state.peers[did])
        if not changes.grafts and state.beats % self.limits.opportunity_beats == 0:
            for did in mesh.better(others, score=state.score, at_ms=at_ms):
                self._graft(mesh, topic, state.peers[did])
