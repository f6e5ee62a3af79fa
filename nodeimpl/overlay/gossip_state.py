"""What the parts of gossip share: peers, topics, messages, counts, and what is seen as wrong."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from enum import Enum

from nodeimpl.overlay.drafts import Draft
from nodeimpl.overlay.gossip_limits import GossipLimits
from nodeimpl.overlay.mesh import Mesh
from nodeimpl.overlay.messages import Message, Messages
from nodeimpl.overlay.pace import Allowance, Steady
from nodeimpl.overlay.port import Ban, Chance, Outbox
from nodeimpl.overlay.scores import BANNED_MAX, Remembered, Standing, factor
from nodeimpl.overlay.seen import Seen
from opkit.wire.base import Did
from opkit.wire.gossip import ENDING_CHARACTERS, ENDINGS_MAX, Envelope


class Verdict(Enum):
    """What a node says of a message that it was told.

    ACCEPT: good and new; it is delivered and handed on.
    IGNORE: good, but known, outdated or without room; whoever handed it on is not to blame.
    STALE: good once, but its time is over or not yet come; to blame is who sends many.
    REJECT: nobody honest hands it on: it does not verify, or is none of its topic.
    """

    ACCEPT = "accept"
    IGNORE = "ignore"
    STALE = "stale"
    REJECT = "reject"


@dataclass(slots=True)
class GossipCounts:
    """What happened so far.

    Attributes:
        published: own messages.
        delivered: messages of others that were judged good.
        forwarded: copies that were sent, pushed or on demand.
        duplicates: copies that came of what was known.
        judged, ignored, stale, rejected: verdicts.
        announced: ids that were told.
        wanted: ids that were asked for; repaired: that then came; lost: that nobody gave.
        banned: peers.
        dropped: what was not done for want of room or allowance, by cause.
    """

    published: int = 0
    delivered: int = 0
    forwarded: int = 0
    duplicates: int = 0
    judged: int = 0
    ignored: int = 0
    stale: int = 0
    rejected: int = 0
    announced: int = 0
    wanted: int = 0
    repaired: int = 0
    lost: int = 0
    banned: int = 0
    dropped: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True, kw_only=True)
class MeshJoined:
    """A peer is in a topic's mesh from now on."""

    topic: str
    peer: Did


@dataclass(frozen=True, slots=True, kw_only=True)
class MeshLeft:
    """A peer is no longer in a topic's mesh."""

    topic: str
    peer: Did
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerBanned:
    """Gossip wants the link to a peer ended."""

    peer: Did
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageMissed:
    """A message was announced, and nobody who did gave it: to be looked for by reconciliation."""

    topic: str
    id: bytes


Note = MeshJoined | MeshLeft | PeerBanned | MessageMissed


@dataclass(slots=True, eq=False)
class Waiting:
    """A message that waits to be judged; `also`: who was sent it too, as its bringer says."""

    envelope: Envelope
    id: bytes
    bytes: int
    also: tuple[str, ...] = ()


@dataclass(slots=True, eq=False)
class Peer:
    """One linked peer.

    Attributes:
        dialled: whether this node dialled it.
        bit: by which messages remember whether it has them.
        topics: what it subscribes to.
        slow: too much sent to it is not gone yet: it is in no mesh.
        stalled: so much that it is sent nothing.
        asked: messages that it was asked for and has not given yet.
        backlog: ids that it is told at the next beats, for they came before it did.
        owed: ids that it asked for and that wait for its allowance.
        told: serial of the last message that it was told or needs not be told.
        draft: what it is to be told; None: nothing.
    """

    did: Did
    dialled: bool
    bit: int
    standing: Standing
    judging: Allowance
    sent: Allowance
    heard: Allowance
    ids: Allowance
    frames: Allowance
    topics: dict[str, None] = field(default_factory=dict)
    draft: Draft | None = None
    waiting: deque[Waiting] = field(default_factory=deque)
    waiting_bytes: int = 0
    backlog: deque[bytes] = field(default_factory=deque)
    owed: deque[bytes] = field(default_factory=deque)
    slow: bool = False
    stalled: bool = False
    banned: bool = False
    asked: int = 0
    told: int = 0

    def cut_off(self) -> bool:
        """Return whether it was banned, perhaps by what it just said."""
        return self.banned


class GossipState:
    """Everything that gossip holds; the parts that act on it are `Spread`, `Intake`, `Wants`.

    Attributes:
        dirty: peers with a draft.
        owing: peers that are owed something.
        busy: all peers of whom something waits in either direction, and perhaps others.
        topics: how many topics are remembered of all peers together.
    """

    def __init__(self, *, outbox: Outbox, chance: Chance, limits: GossipLimits) -> None:
        """Begin with nothing."""
        self.outbox = outbox
        self.chance = chance
        self.limits = limits
        self.steady = Steady()
        self.counts = GossipCounts()
        self.notes: list[Note] = []
        self.peers: dict[Did, Peer] = {}
        self.meshes: dict[str, Mesh] = {}
        self.dirty: dict[Did, Peer] = {}
        self.remembered = Remembered(peers_max=limits.remembered_max)
        self.seen = Seen(span_ms=limits.seen_ms, ids_max=limits.seen_max)
        self.messages = Messages(
            span_ms=limits.cached_ms,
            count_max=limits.cached_max,
            bytes_max=limits.cached_bytes_max,
        )
        self.unsent = Messages(
            span_ms=2**62, count_max=limits.unsent_max, bytes_max=limits.unsent_bytes_max
        )
        self.owing: dict[Did, Peer] = {}
        self.busy: dict[Did, Peer] = {}
        self.topics = 0
        self.queued: set[bytes] = set()
        self.serial = 0
        self.beats = 0
        self.fresh = 0.0
        self._bits = list(range(limits.peers_max))[::-1]
        self._endings: dict[str, int] = {}
        self._ends: dict[int, str] = {}

    def admit(self, did: Did, at_ms: int, *, dialled: bool) -> Peer | None:
        """Return a new peer, or None if there are too many."""
        if not self._bits:
            self.counts.dropped["peers"] += 1
            return None
        limits = self.limits
        peer = Peer(
            did=did,
            dialled=dialled,
            bit=1 << self._bits.pop(),
            standing=self.remembered.take(did, at_ms),
            judging=Allowance(per_s=limits.judged_per_s, burst=limits.judged_burst),
            sent=Allowance(per_s=limits.sent_bytes_per_s, burst=limits.sent_bytes_burst),
            heard=Allowance(per_s=limits.heard_bytes_per_s, burst=limits.heard_bytes_burst),
            ids=Allowance(per_s=limits.ids_per_s, burst=limits.ids_burst),
            frames=Allowance(per_s=limits.frames_per_s, burst=limits.frames_burst),
            told=self.serial,
        )
        self.peers[did] = peer
        self._ends[peer.bit] = ending = did[-ENDING_CHARACTERS:]
        self._endings[ending] = peer.bit
        return peer

    def dismiss(self, peer: Peer, at_ms: int) -> None:
        """Forget a peer, but for its standing."""
        del self.peers[peer.did]
        self.busy.pop(peer.did, None)
        self.topics -= len(peer.topics)
        if self._endings.get(ending := self._ends.pop(peer.bit)) == peer.bit:
            del self._endings[ending]
        self._unqueue(peer)
        self.dirty.pop(peer.did, None)
        self.remembered.keep(peer.did, peer.standing, at_ms)
        self.messages.forget(peer.bit)
        self._bits.append(peer.bit.bit_length() - 1)
        for topic, mesh in self.meshes.items():
            if peer.did in mesh.members:
                mesh.gone(peer.did)
                self.note(MeshLeft(topic=topic, peer=peer.did, why="its link is gone"))

    def draft(self, peer: Peer) -> Draft:
        """Return what is to be told a peer, to add to it."""
        self.dirty[peer.did] = peer
        if peer.draft is None:
            peer.draft = Draft()
        return peer.draft

    def endings(self, bits: int) -> tuple[str, ...]:
        """Return by what a frame names these peers, as many as it may name."""
        found: list[str] = []
        while bits and len(found) < ENDINGS_MAX:
            lowest = bits & -bits
            bits ^= lowest
            ending = self._ends.get(lowest)
            if ending is not None:
                found.append(ending)
        return tuple(found)

    def bits(self, endings: tuple[str, ...]) -> int:
        """Return the bits of those of these peers that are linked with this node."""
        bits = 0
        for ending in endings:
            bits |= self._endings.get(ending, 0)
        return bits

    def score(self, did: Did) -> float:
        """Return what a linked peer is worth."""
        return self.peers[did].standing.score(self.fresh)

    def dialled(self, did: Did) -> bool:
        """Return whether this node dialled a linked peer."""
        return self.peers[did].dialled

    def members(self, topic: str) -> dict[Did, None]:
        """Return a topic's mesh; that of a topic which is none of this node's is empty."""
        mesh = self.meshes.get(topic)
        return {} if mesh is None else mesh.members

    def subscribers(self, topic: str) -> list[Peer]:
        """Return the peers that want to hear of a topic, in the order in which they came."""
        return [peer for peer in self.peers.values() if topic in peer.topics and not peer.banned]

    def weigh(self, peer: Peer, why: str) -> None:
        """Ban a peer if it has done too much wrong."""
        if not peer.banned and peer.standing.score(self.fresh) <= BANNED_MAX:
            self.ban(peer, why)

    def ban(self, peer: Peer, why: str) -> None:
        """Hear and tell a peer nothing more, and want its link ended: longer each time."""
        ban_ms = min(self.limits.ban_ms << min(peer.standing.bans, 20), self.limits.ban_ms_max)
        peer.standing.bans += 1
        peer.standing.banned_until_ms = self.steady.at_ms + ban_ms
        self.counts.banned += 1
        self.cut_off(peer, why, ban_ms=ban_ms)

    def cut_off(self, peer: Peer, why: str, *, ban_ms: int) -> None:
        """Hear and tell a peer nothing more, and want its link ended for so long."""
        peer.banned = True
        self._unqueue(peer)
        peer.draft = None
        self.dirty.pop(peer.did, None)
        for topic, mesh in self.meshes.items():
            if peer.did in mesh.members:
                mesh.gone(peer.did)
                self.note(MeshLeft(topic=topic, peer=peer.did, why=why))
        self.outbox.put(Ban(peer=peer.did, why=why, ban_ms=ban_ms))
        self.note(PeerBanned(peer=peer.did, why=why))

    def cache(self, message: Message) -> None:
        """Hand a message out on demand from now on."""
        self.counts.dropped["cache"] += len(self.messages.add(message))

    def age(self, at_ms: int) -> None:
        """Forget what is old."""
        self.messages.age(at_ms)
        self.seen.age(at_ms)

    def note(self, note: Note) -> None:
        """Keep a note for operators; the earliest goes if nobody takes them."""
        if len(self.notes) >= self.limits.notes_max:
            del self.notes[0]
            self.counts.dropped["notes"] += 1
        self.notes.append(note)

    def decay(self, elapsed_ms: int) -> None:
        """Let what peers did count for less."""
        by = factor(elapsed_ms)
        self.fresh *= by
        for peer in self.peers.values():
            peer.standing.decay(by)

    def message(self, each: bytes, envelope: Envelope, size: int, at_ms: int) -> Message:
        """Return a new message with the next serial, and remember that it was seen."""
        self.serial += 1
        self.seen.add(each, at_ms)
        self.fresh += 1
        return Message(
            id=each,
            envelope=envelope,
            bytes=size,
            serial=self.serial,
            at_ms=at_ms,
            beat=self.beats,
        )

    def held(self) -> dict[str, int]:
        """Return how much is kept of what each peer said or is to be told, over all of them."""
        waiting = waiting_bytes = queued = drafts = 0
        # Hardly any peer has any of this, and it is asked often.
        for did, peer in list(self.busy.items()):
            here = len(peer.backlog) + len(peer.owed)
            queued += here
            waiting += len(peer.waiting)
            waiting_bytes += peer.waiting_bytes
            if not here and not peer.waiting:
                del self.busy[did]
        for peer in self.dirty.values():
            if peer.draft is not None:
                drafts += peer.draft.held()
        return {
            "topics": self.topics + len(self.meshes),
            "waiting": waiting,
            "waiting_bytes": waiting_bytes,
            "queued": queued,
            "drafts": drafts,
        }

    def _unqueue(self, peer: Peer) -> None:
        """Judge nothing more of what a peer sent, and give it nothing of what it wants."""
        peer.owed.clear()
        self.owing.pop(peer.did, None)
        self.queued.difference_update(waiting.id for waiting in peer.waiting)
        peer.waiting.clear()
        peer.waiting_bytes = 0
