"""Gossip of many nodes in memory, or of one that is told by hand; virtual time, unreliable links.

Messages are tokens whose signature is a hash over the rest and a word that honest nodes share: as
cheap to make as to forge wrongly, and judged like one that is verified.
"""

from __future__ import annotations

import base64
import hashlib
import heapq
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from nodeimpl.overlay.gossip import Gossiper, GossipLimits, Verdict
from nodeimpl.overlay.intake import message_id
from nodeimpl.overlay.port import Ban, Cast, Outbox
from opkit.wire.base import b64encode
from opkit.wire.gossip import Envelope, Gossip, Have, packed, unpacked
from opkit.wire.records import Carried

TOPIC = "records"
LIMITS = GossipLimits()
START_MS = 1_790_000_000_000
HEADER = b64encode(b'{"alg":"Ed25519"}')


def signature(signed: str, word: str = "honest") -> str:
    return b64encode(hashlib.sha512(f"{word}.{signed}".encode()).digest())


def message(text: str, *, size: int = 0, word: str = "honest", lapses_ms: int = 2**50) -> Carried:
    """Return a message with a text of its own, of about `size` characters."""
    body = b64encode(f"{lapses_ms} {text} ".encode().ljust(size * 3 // 4, b"."))
    signed = f"{HEADER}.{body}"
    return Carried(jws=f"{signed}.{signature(signed, word)}")


def text_of(carried: Carried) -> str:
    body = carried.jws.split(".")[1]
    raw = base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))
    return str(raw.decode().split(" ")[1])


def judge(_topic: str, carried: Carried, now_ms: int) -> Verdict:
    """Verify what `message` signs."""
    signed, _, found = carried.jws.rpartition(".")
    if found != signature(signed):
        return Verdict.REJECT
    body = carried.jws.split(".")[1]
    raw = base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))
    return Verdict.STALE if int(raw.split(b" ")[0]) <= now_ms else Verdict.ACCEPT


class Node:
    """An honest node and what it got."""

    def __init__(self, swarm: Swarm, name: str, limits: GossipLimits | None = None) -> None:
        self.name = name
        self.outbox = Outbox()
        self.got: Counter[str] = Counter()
        self.got_at: dict[str, int] = {}
        self.judged = 0
        self.suspected: list[str] = []
        self.bans: list[Ban] = []
        self.swarm = swarm
        self.machine = Gossiper(
            outbox=self.outbox,
            chance=random.Random(f"{swarm.seed} {name}"),
            judge=self.judge,
            deliver=self.deliver,
            suspect=self.suspected.append,
            limits=limits,
        )

    def judge(self, topic: str, carried: Carried, now_ms: int) -> Verdict:
        self.judged += 1
        return judge(topic, carried, now_ms)

    def deliver(self, topic: str, carried: Carried, now_ms: int) -> None:
        self.got[text_of(carried)] += 1
        self.got_at.setdefault(text_of(carried), now_ms)

    def publish(self, carried: Carried) -> bool:
        out = self.machine.publish(TOPIC, carried, self.swarm.now_ms)
        self.got[text_of(carried)] += 1
        self.got_at.setdefault(text_of(carried), self.swarm.now_ms)
        self.swarm.settle(self)
        return out


class Link:
    """One direction of a link: what is under way, in order."""

    def __init__(self, *, latency_ms: int, loss: float, bytes_per_s: int) -> None:
        self.latency_ms = latency_ms
        self.loss = loss
        self.bytes_per_s = bytes_per_s
        self.free_ms = 0.0
        self.unsent = 0
        self.unsent_max = 0


class Swarm:
    """Nodes, links between them, and what will happen when."""

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed
        self.chance = random.Random(seed)
        self.now_ms = START_MS
        self.nodes: dict[str, Any] = {}
        self.links: dict[tuple[str, str], Link] = {}
        self.sent: Counter[str] = Counter()
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self._count = 0
        self._ticks: dict[str, int] = {}

    def add(self, name: str, limits: GossipLimits | None = None, *, subscribe: bool = True) -> Node:
        node = Node(self, name, limits)
        self.nodes[name] = node
        if subscribe:
            node.machine.subscribe(TOPIC)
        return node

    def put(self, other: Any) -> Any:
        """Put in somebody who has `name`, `outbox` and `machine`, honest or not."""
        self.nodes[other.name] = other
        return other

    def link(
        self,
        one: str,
        other: str,
        *,
        latency_ms: int = 5,
        loss: float = 0.0,
        bytes_per_s: int = 10**9,
    ) -> None:
        for a, b in ((one, other), (other, one)):
            self.links[a, b] = Link(latency_ms=latency_ms, loss=loss, bytes_per_s=bytes_per_s)
        for a, b in ((one, other), (other, one)):
            self.nodes[a].machine.joined(b, self.now_ms)
            self.settle(self.nodes[a])

    def cut(self, one: str, other: str) -> None:
        for a, b in ((one, other), (other, one)):
            if self.links.pop((a, b), None) is not None:
                self.nodes[a].machine.left(b, self.now_ms)
                self.settle(self.nodes[a])

    def after(self, ms: float, what: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._events, (int(self.now_ms + ms), self._count, what))

    def run(self, ms: int) -> None:
        """Let time pass."""
        until = self.now_ms + ms
        while self._events and self._events[0][0] <= until:
            at, _, what = heapq.heappop(self._events)
            self.now_ms = max(self.now_ms, at)
            what()
        self.now_ms = until

    def settle(self, node: Any) -> None:
        """Do what a node wants done, and wake it when it wants to be."""
        node.machine.flush()
        for effect in node.outbox.take():
            if isinstance(effect, Ban):
                node.bans.append(effect)
                self.cut(node.name, effect.peer)
            else:
                self._send(node, effect)
        due = node.machine.due_ms()
        if due is not None and self._ticks.get(node.name, 2**62) > due:
            self._ticks[node.name] = due
            self.after(max(0, due - self.now_ms), lambda: self._tick(node, due))

    def _tick(self, node: Any, due: int) -> None:
        if self._ticks.get(node.name) == due:
            del self._ticks[node.name]
            node.machine.tick(self.now_ms)
            self.settle(node)

    def _send(self, node: Any, cast: Cast) -> None:
        link = self.links.get((node.name, cast.to))
        if link is None:
            return
        size = bytes_of(cast.message)
        self.sent["frames"] += 1
        self.sent["bytes"] += size
        link.unsent += size
        link.unsent_max = max(link.unsent_max, link.unsent)
        if link.unsent > 65_536:
            node.machine.congested(cast.to, link.unsent, self.now_ms)
        link.free_ms = max(link.free_ms, self.now_ms) + size * 1_000 / link.bytes_per_s
        lost = self.chance.random() < link.loss
        self.after(link.free_ms - self.now_ms, lambda: self._gone(node, cast, size))
        if not lost:
            self.after(
                link.free_ms - self.now_ms + link.latency_ms, lambda: self._arrive(node, cast, link)
            )

    def _gone(self, node: Any, cast: Cast, size: int) -> None:
        link = self.links.get((node.name, cast.to))
        if link is not None:
            link.unsent = max(0, link.unsent - size)
            if link.unsent_max > 65_536:
                node.machine.congested(cast.to, link.unsent, self.now_ms)
                self.settle(node)

    def _arrive(self, node: Any, cast: Cast, link: Link) -> None:
        if self.links.get((node.name, cast.to)) is link:
            other = self.nodes[cast.to]
            other.machine.heard(node.name, cast.message, self.now_ms)
            self.settle(other)


def bytes_of(frame: Gossip) -> int:
    """Return about how long a frame is."""
    tokens = sum(
        len(each.carried.jws) + sum(map(len, each.carried.proof)) + 64 for each in frame.publish
    )
    ids = len(frame.want) + sum(len(have.ids) for have in frame.have)
    links = len(frame.subscribe) + len(frame.unsubscribe) + len(frame.graft) + len(frame.prune)
    return 32 + tokens + ids * 4 // 3 + 24 * links


def ring(swarm: Swarm, count: int, *, extra: int, **how: Any) -> list[Node]:
    """Return nodes in a ring, each linked to `extra` more by chance."""
    nodes = [swarm.add(f"n{n:03}") for n in range(count)]
    pairs = {tuple(sorted((n, (n + 1) % count))) for n in range(count)} - {(0, 0)}
    for n in range(count):
        for other in swarm.chance.sample(range(count), min(extra, count)):
            if other != n:
                pairs.add(tuple(sorted((n, other))))
    for one, other in sorted(pairs):
        if one != other:
            swarm.link(nodes[one].name, nodes[other].name, **how)
    return nodes


class Solo:
    """One machine, its clock, and what it wanted."""

    def __init__(self, *, subscribe: bool = True, judge: Any = judge, **limits: Any) -> None:
        self.now_ms = START_MS
        self.outbox = Outbox()
        self.got: list[str] = []
        self.judged = 0
        self.suspected: list[str] = []
        self.bans: list[Ban] = []
        self._judge = judge
        self.machine = Gossiper(
            outbox=self.outbox,
            chance=random.Random(1),
            judge=self.judge,
            deliver=lambda _, carried, __: self.got.append(text_of(carried)),
            suspect=self.suspected.append,
            limits=replace(LIMITS, **limits),
        )
        if subscribe:
            self.machine.subscribe(TOPIC)

    @property
    def counts(self) -> Any:
        return self.machine.counts

    def judge(self, topic: str, carried: Carried, now_ms: int) -> Any:
        self.judged += 1
        return self._judge(topic, carried, now_ms)

    def told(self) -> dict[str, list[Gossip]]:
        """Return what each peer is told since it was last asked."""
        self.machine.flush()
        found: dict[str, list[Gossip]] = {}
        for effect in self.outbox.take():
            if isinstance(effect, Ban):
                self.bans.append(effect)
            else:
                assert isinstance(effect, Cast)
                found.setdefault(effect.to, []).append(effect.message)
        return found

    def join(self, *peers: str, subscribe: bool = True, dialled: bool = False) -> None:
        for peer in peers:
            self.machine.joined(peer, self.now_ms, dialled=dialled)
            if subscribe:
                self.hear(peer, subscribe=(TOPIC,))
        self.told()

    def hear(self, peer: str, **parts: Any) -> None:
        self.machine.heard(peer, Gossip(**parts), self.now_ms)

    def give(self, peer: str, *carried: Carried, topic: str = TOPIC) -> None:
        envelopes = tuple(Envelope(topic=topic, carried=each) for each in carried)
        for at in range(0, len(envelopes), 256):
            self.hear(peer, publish=envelopes[at : at + 256])

    def announce(self, peer: str, *carried: Carried) -> None:
        self.hear(peer, have=(Have(topic=TOPIC, ids=ids_of(*carried)),))

    def run(self, ms: int) -> dict[str, list[Gossip]]:
        """Let time pass, ticking when it is wanted; return what was told meanwhile."""
        found: dict[str, list[Gossip]] = {}
        until = self.now_ms + ms
        for _ in range(10_000):
            due = self.machine.due_ms()
            if due is None or due > until:
                break
            self.now_ms = max(self.now_ms, due)
            self.machine.tick(self.now_ms)
            for peer, frames in self.told().items():
                found.setdefault(peer, []).extend(frames)
        self.now_ms = until
        return found

    def mesh(self) -> set[str]:
        return {peer.did for peer in self.machine.mesh()[TOPIC] if peer.in_mesh}


def ids_of(*carried: Carried) -> bytes:
    found = [message_id(each.jws) for each in carried]
    return packed([each for each in found if each is not None])


def wanted(told: dict[str, list[Gossip]]) -> dict[str, list[bytes]]:
    found = {peer: [i for f in frames for i in unpacked(f.want)] for peer, frames in told.items()}
    return {peer: ids for peer, ids in found.items() if ids}


def pushed(told: dict[str, list[Gossip]]) -> set[str]:
    return {peer for peer, frames in told.items() if any(frame.publish for frame in frames)}
