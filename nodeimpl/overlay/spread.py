"""How messages leave: pushed to a mesh at once, told by id to some others, given on demand.

What cannot be pushed now, for a peer is slow or has had its allowance, stays to be announced.
"""

from __future__ import annotations

from nodeimpl.overlay.drafts import Draft
from nodeimpl.overlay.gossip_state import GossipState, Peer
from nodeimpl.overlay.messages import Message
from nodeimpl.overlay.port import Cast
from nodeimpl.overlay.scores import TRUSTED_MIN
from opkit.wire.gossip import ID_BYTES, Gossip

FREE_IDS_MAX = 64
"""The most ids that ride on a frame that is sent anyway."""

ID_CHARGE = 44
"""What an id takes in a frame."""


class Spread:
    """What this node sends."""

    def __init__(self, state: GossipState) -> None:
        """Share `state` with the other parts of gossip."""
        self._state = state

    def push(self, message: Message, at_ms: int) -> None:
        """Push a message to its topic's mesh, or to some subscribers if there is no mesh."""
        state = self._state
        topic = message.envelope.topic
        mesh = state.meshes.get(topic)
        if mesh is not None and mesh.members:
            peers = state.peers
            for did in mesh.members:
                self._push_to(peers[did], message, at_ms)
            return
        others = [peer for peer in state.subscribers(topic) if self.trusted(peer)]
        for peer in state.chance.sample(others, min(state.limits.mesh_want, len(others))):
            self._push_to(peer, message, at_ms)

    def give(self, peer: Peer, each: bytes, at_ms: int) -> bool:
        """Give a peer a message that it wants; return whether that is done with.

        What is gone, or was given often enough, is done with too.
        """
        state = self._state
        message = state.messages.get(each)
        if message is None:
            state.counts.dropped["wanted-unknown"] += 1
            return True
        if not peer.sent.spend(self._charge(message), at_ms):
            return False
        if message.give(peer.bit) > state.limits.answers_max:
            state.counts.dropped["wanted-again"] += 1
            peer.standing.greedy += 1
            return True
        self._blame(peer, message)
        message.sent_to |= peer.bit
        state.draft(peer).publish.append(message)
        state.counts.forwarded += 1
        return True

    def owe(self, peer: Peer, ids: list[bytes], at_ms: int) -> None:
        """Give what a peer wants: now as far as it may be sent more, and the rest later."""
        limits = self._state.limits
        room = limits.owed_max - len(peer.owed)
        peer.owed.extend(ids[:room])
        if len(ids) > room:
            self._state.counts.dropped["wanted-too-many"] += len(ids) - room
            peer.standing.greedy += len(ids) - room
        self._state.owing[peer.did] = self._state.busy[peer.did] = peer
        self._settle(peer, at_ms)

    def settle(self, at_ms: int) -> None:
        """Give what is owed, as far as each peer may be sent more."""
        owing = self._state.owing
        for peer in list(owing.values()):
            self._settle(peer, at_ms)

    def due_ms(self) -> int | None:
        """Return when something owed can be given next, by steady time."""
        if not self._state.owing:
            return None
        size = self._state.limits.envelope_bytes_max
        owing = self._state.owing.values()
        found = [peer.sent.ready_ms(size) for peer in owing if not peer.stalled]
        return min(found, default=None)

    def announce(self, topic: str, recent: list[Message], at_ms: int) -> None:
        """Tell the mesh, and some of the others, what came lately and they may not have."""
        state = self._state
        mesh = state.meshes[topic].members
        rest = [peer for peer in state.subscribers(topic) if peer.did not in mesh]
        rest = [peer for peer in rest if self.trusted(peer)]
        slow = [peer for peer in rest if peer.slow]
        lazy = max(state.limits.lazy_want, len(rest) // 4)
        told = state.chance.sample(rest, min(lazy, len(rest)))
        chosen = {peer.did: peer for peer in [*map(state.peers.__getitem__, mesh), *told, *slow]}
        for peer in chosen.values():
            ids = [message.id for message in recent if not message.known_by & peer.bit]
            self._tell(peer, topic, ids[: state.limits.told_max], at_ms)

    def remind(self, peer: Peer, at_ms: int) -> None:
        """Tell a peer more of what came before it did."""
        state = self._state
        if peer.stalled:
            return
        by_topic: dict[str, list[bytes]] = {}
        for _ in range(min(len(peer.backlog), state.limits.told_max)):
            message = state.messages.get(peer.backlog.popleft())
            if message is not None and not message.known_by & peer.bit:
                by_topic.setdefault(message.envelope.topic, []).append(message.id)
        for topic, ids in by_topic.items():
            self._tell(peer, topic, ids, at_ms)

    def catch_up(self, peer: Peer, topic: str) -> None:
        """Plan to tell a peer of all that is still handed out of a topic."""
        held = [each for each in self._state.messages if each.envelope.topic == topic]
        peer.backlog.extend(each.id for each in held if not each.known_by & peer.bit)
        peer.told = self._state.serial
        if peer.backlog:
            self._state.busy[peer.did] = peer

    def trusted(self, peer: Peer) -> bool:
        """Return whether a peer takes part: it is told, asked and given messages."""
        return not peer.banned and peer.standing.score(self._state.fresh) >= TRUSTED_MIN

    def flush(self) -> None:
        """Put what is to be told into the outbox, one frame for each peer or as few as hold it.

        Peers that are told the same are given the same frame, so that it is written out once.
        """
        state = self._state
        shared: dict[tuple[int, ...], list[Gossip]] = {}
        for did, peer in state.dirty.items():
            draft = state.draft(peer)
            self._ride_along(peer, draft)
            key = tuple(each.serial for each in draft.publish) if draft.plain() else ()
            frames = shared.get(key) if key else None
            if frames is None:
                frames = draft.frames(bytes_max=state.limits.frame_bytes_max, endings=state.endings)
                shared[key] = frames
            for frame in frames:
                state.outbox.put(Cast(to=did, message=frame))
            peer.draft = None
        state.dirty.clear()

    def _blame(self, peer: Peer, message: Message) -> None:
        """Take note who said of a peer that it was sent what it now asks for."""
        if message.hinted & peer.bit and message.hinter is not None:
            message.hinted &= ~peer.bit
            hinter = self._state.peers.get(message.hinter)
            if hinter is not None:
                hinter.standing.misled += 1

    def _push_to(self, peer: Peer, message: Message, at_ms: int) -> None:
        if (message.known_by | message.sent_to) & peer.bit:
            return
        state = self._state
        if peer.slow or not peer.sent.spend(self._charge(message), at_ms):
            state.counts.dropped["push-slow" if peer.slow else "push-allowance"] += 1
            return
        message.sent_to |= peer.bit
        state.draft(peer).publish.append(message)
        state.counts.forwarded += 1

    def _tell(self, peer: Peer, topic: str, ids: list[bytes], at_ms: int) -> None:
        """Announce ids to a peer."""
        state = self._state
        if not ids:
            return
        if peer.stalled or not peer.sent.spend(ID_CHARGE * len(ids), at_ms):
            state.counts.dropped["announcement-slow"] += len(ids)
            return
        state.draft(peer).have.setdefault(topic, []).extend(ids)
        state.counts.announced += len(ids)

    def _ride_along(self, peer: Peer, draft: Draft) -> None:
        """Let ids of what came since ride on a frame that is sent anyway."""
        state = self._state
        if peer.told == state.serial:
            return
        since = state.messages.after(peer.told)
        peer.told = state.serial
        fit = [
            message
            for message in since[:FREE_IDS_MAX]
            if not (message.known_by | message.sent_to) & peer.bit
            and message.envelope.topic in peer.topics
            and peer.did not in state.members(message.envelope.topic)
        ]
        if fit and not peer.slow and self.trusted(peer):
            for message in fit:
                draft.have.setdefault(message.envelope.topic, []).append(message.id)
            state.counts.announced += len(fit)

    def _settle(self, peer: Peer, at_ms: int) -> None:
        while peer.owed and not peer.stalled and self.give(peer, peer.owed[0], at_ms):
            peer.owed.popleft()
        if not peer.owed:
            del self._state.owing[peer.did]

    def _charge(self, message: Message) -> int:
        return max(message.bytes, self._state.limits.charged_bytes_min)


assert ID_CHARGE >= -(-ID_BYTES * 4 // 3), "an id is charged with what it takes in base64"
