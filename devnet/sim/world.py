"""Nodes and the links between them: what a machine wants sent arrives, late, twice, or never.

A question has exactly one end: its answer, a refusal, or silence until its time is over; so one
event at a time is planned for it. A one-way message travels on a standing link, behind those sent
before it; one that is lost is sent again by the transport, or its link breaks. Source: ADR 0028.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from operator import attrgetter
from random import Random
from typing import Any, Protocol
from zlib import crc32

from devnet.sim.scheduler import Scheduler
from devnet.sim.violation import Violation
from devnet.sim.weather import Weather
from nodeimpl.overlay.port import Ask, Ban, Cast, Contact, Effect, Outbox
from opkit.proof.keys import Identity
from opkit.wire.base import Did, Wire
from opkit.wire.errors import Refusal

EPOCH_MS = 1_767_225_600_000
"""What time it is when a run begins: 1 January 2026."""

LINKS_MAX = 64
"""How many links a node keeps; the one that was used least recently is closed for a new one."""

NOTICED_MS = 2_000
"""After how long a node notices that the other end of a link has gone without a word."""

BREAKS = 1 / 50
"""How many of the lost one-way messages take their link with them; others are sent again."""

SAMPLED = 256
"""Of how many messages one is spelled out, to know how many bytes they take."""

SILENCE = "timeout"
"""Why a question failed that nobody answered."""


class Machine(Protocol):
    """What runs at each place: `nodeimpl.overlay.node.OverlayNode`, or somebody who lies."""

    def joined(self, peer: Did, now_ms: int, *, dialled: bool) -> None:
        """Learn that a link stands, and who made it."""

    def left(self, peer: Did, now_ms: int) -> None:
        """Learn that it is gone."""

    def answer(self, peer: Did, question: Wire, now_ms: int) -> Wire:
        """Answer a question, or refuse it."""

    def answered(self, token: int, answer: Wire, now_ms: int) -> None:
        """Learn what came back."""

    def failed(self, token: int, why: str, now_ms: int) -> None:
        """Learn that nothing did."""

    def heard(self, peer: Did, cast: Wire, now_ms: int) -> None:
        """Take a one-way message."""

    def tick(self, now_ms: int) -> None:
        """Do what is due."""

    def due_ms(self) -> int | None:
        """Return when something will be due."""

    def flush(self) -> None:
        """Put into the outbox what is to be sent."""


@dataclass(slots=True, eq=False, kw_only=True)
class Peer:
    """One place in the network, and who stands there now.

    Attributes:
        epoch: counts its starts: what was under way for an earlier life of it is not its own.
        tick_at_ms: when it is looked at next, in true time; 0: it is not.
        lies: how it lies, or empty.
    """

    index: int
    identity: Identity
    contact: Contact
    outbox: Outbox
    chance: Random
    skew_ms: int = 0
    lies: str = ""
    machine: Machine | None = None
    epoch: int = 0
    tick_at_ms: int = 0
    links: dict[Did, Link] = field(default_factory=dict)
    banned_until_ms: dict[Did, int] = field(default_factory=dict)

    @property
    def did(self) -> Did:
        """Its key."""
        return self.identity.did


@dataclass(slots=True, eq=False)
class Link:
    """A connection between two peers; `last` says when the latest message arrives at each."""

    a: Peer
    b: Peer
    used_ms: int
    up: bool = True
    last: dict[int, int] = field(default_factory=dict)


_used_ms = attrgetter("used_ms")


class World:
    """All peers, in virtual time.

    Attributes:
        counts: what happened how often.
        trace: a number that depends on every message and its time: equal for equal runs.
        touched: called with every peer that something has just happened to.
    """

    def __init__(self, scheduler: Scheduler, weather: Weather, *, chance: Random) -> None:
        """Begin without peers."""
        self.scheduler = scheduler
        self.weather = weather
        self.peers: list[Peer] = []
        self.by_did: dict[Did, Peer] = {}
        self.counts: Counter[str] = Counter()
        self.trace = 0
        self.touched: Callable[[Peer], None] = lambda _: None
        self._chance = chance
        self._messages = 0
        self._names: dict[type, bytes] = {}

    @property
    def messages(self) -> int:
        """How many messages were sent: questions, answers and one-way ones."""
        return self._messages

    def add(self, peer: Peer) -> None:
        """Give a peer a place; it is down until it is started."""
        self.peers.append(peer)
        self.by_did[peer.did] = peer

    def now_of(self, peer: Peer) -> int:
        """Return what time a peer believes it is."""
        return EPOCH_MS + self.scheduler.now_ms + peer.skew_ms

    def start(self, peer: Peer, machine: Machine) -> None:
        """Bring a peer up."""
        assert peer.machine is None, "it is up already"
        peer.machine = machine
        peer.epoch += 1
        peer.tick_at_ms = 0
        peer.banned_until_ms.clear()
        self.settle(peer)

    def crash(self, peer: Peer) -> None:
        """Take a peer down without a word: others notice when its links stay silent."""
        peer.machine = None
        peer.outbox.take()
        for link in list(peer.links.values()):
            self.scheduler.after(NOTICED_MS, self._unlink, link)
        peer.links.clear()

    def cut(self, nodes: frozenset[int]) -> None:
        """Cut these off from all others; who is linked across notices after a while."""
        self.weather.cut(nodes)
        for peer in self.peers:
            for link in peer.links.values():
                if link.a is peer and self.weather.cuts(link.a.index, link.b.index):
                    self.scheduler.after(NOTICED_MS, self._unlink_if_cut, link)

    def act(self, peer: Peer, deed: Callable[..., Any], *args: Any) -> Any:
        """Have a peer's machine do something; carry what it wants sent; return what it returned.

        Raises:
            Violation: the machine raised, or a rule is broken.
        """
        try:
            done = deed(*args)
        except Violation:
            raise
        except Exception as bad:
            raise Violation("no machine raises", peer.index, repr(bad)) from bad
        self.settle(peer)
        return done

    def settle(self, peer: Peer) -> None:
        """Carry what a peer wants sent, plan when it is looked at next, have the rules checked."""
        machine = peer.machine
        if machine is not None:
            machine.flush()
        for effect in peer.outbox.take():
            self._carry(peer, effect)
        if machine is None:
            return
        self._plan(peer, machine.due_ms())
        self.touched(peer)

    def _plan(self, peer: Peer, due_ms: int | None) -> None:
        """Plan when a peer is looked at next, unless it is looked at before that anyway."""
        if due_ms is not None:
            now_ms = self.scheduler.now_ms
            at_ms = max(now_ms + 1, due_ms - EPOCH_MS - peer.skew_ms)
            if not now_ms < peer.tick_at_ms <= at_ms:
                peer.tick_at_ms = at_ms
                self.scheduler.at(at_ms, self._tick, peer, peer.epoch, at_ms)

    def _tick(self, peer: Peer, epoch: int, at_ms: int) -> None:
        """Tell a machine that time has passed; one that has nothing to do any more, when it has."""
        machine = peer.machine
        if peer.epoch != epoch or machine is None or peer.tick_at_ms != at_ms:
            return
        now_ms, due_ms = self.now_of(peer), machine.due_ms()
        if due_ms is not None and due_ms <= now_ms:
            self.act(peer, machine.tick, now_ms)
        else:
            self._plan(peer, due_ms)

    def _carry(self, peer: Peer, effect: Effect) -> None:
        if isinstance(effect, Cast):
            self._cast(peer, effect)
        elif isinstance(effect, Ask):
            self._ask(peer, effect)
        else:
            self._ban(peer, effect)

    def _note(self, source: Peer, target: Peer, message: Wire) -> None:
        """Count a message that is sent, and let the trace depend on it."""
        self._messages += 1
        kind = type(message)
        name = self._names.get(kind) or self._names.setdefault(kind, kind.__name__.encode())
        at = b"%d %d %d " % (self.scheduler.now_ms, source.index, target.index)
        self.trace = crc32(at + name, self.trace)
        self.counts[kind.__name__] += 1
        if self._messages % SAMPLED == 1:
            self.counts["sampled messages"] += 1
            self.counts["sampled bytes"] += len(message.model_dump_json())

    def _cast(self, peer: Peer, cast: Cast) -> None:
        link = peer.links.get(cast.to)
        if link is None:
            self.counts["casts without a link"] += 1
            return
        target = link.b if link.a is peer else link.a
        self._note(peer, target, cast.message)
        if self.weather.cuts(peer.index, target.index):
            return
        now_ms = self.scheduler.now_ms
        at_ms = now_ms + self.weather.delay_ms()
        while self.weather.loses():
            self.counts["messages lost"] += 1
            if self._chance.random() < BREAKS:
                self.scheduler.after(NOTICED_MS, self._unlink, link)
                return
            at_ms += 2 * self.weather.delay_ms()
        if not self.weather.reorders():
            at_ms = link.last[target.index] = max(at_ms, link.last.get(target.index, 0))
        link.used_ms = now_ms
        self.scheduler.at(at_ms, self._hear, link, peer.did, target, cast.message)
        if self.weather.duplicates():
            again_ms = at_ms + self.weather.delay_ms()
            self.scheduler.at(again_ms, self._hear, link, peer.did, target, cast.message)

    def _hear(self, link: Link, source: Did, target: Peer, message: Wire) -> None:
        if target.machine is not None and target.links.get(source) is link:
            self.act(target, target.machine.heard, source, message, self.now_of(target))

    def _ask(self, peer: Peer, ask: Ask) -> None:
        deadline_ms = self.scheduler.now_ms + ask.timeout_ms
        target = self.by_did.get(ask.to.did)
        fail = (peer, peer.epoch, ask.token, SILENCE)
        if target is None or target is peer:
            self.counts["questions to nobody"] += 1
            self.scheduler.at(deadline_ms, self._fail, *fail)
            return
        self._note(peer, target, ask.question)
        if self.weather.loses():
            self.counts["messages lost"] += 1
            self.scheduler.at(deadline_ms, self._fail, *fail)
            return
        link = peer.links.get(target.did)
        if link is not None:
            link.used_ms = self.scheduler.now_ms
        trips = 1 if link is not None else 3
        under_way_ms = sum(self.weather.delay_ms() for _ in range(trips))
        args = (peer, peer.epoch, target, ask, deadline_ms)
        self.scheduler.after(under_way_ms, self._question, *args)
        if self.weather.duplicates():
            again_ms = under_way_ms + self.weather.delay_ms()
            self.scheduler.after(again_ms, self._repeated, peer, target, ask)

    def _question(self, peer: Peer, epoch: int, target: Peer, ask: Ask, deadline_ms: int) -> None:
        """A question arrives, dialling done; what comes of it is planned."""
        fail = (peer, epoch, ask.token, SILENCE)
        here = target.machine is not None and not self.weather.cuts(peer.index, target.index)
        if not here or peer.epoch != epoch or peer.machine is None or self._is_banned(peer, target):
            self.scheduler.at(deadline_ms, self._fail, *fail)
            return
        link = peer.links.get(target.did)
        if link is None or target.links.get(peer.did) is not link:
            self.link(peer, target)
        answer, why = self._answer(peer, target, ask.question)
        if answer is None and not why:
            self.scheduler.at(deadline_ms, self._fail, *fail)
            return
        if answer is not None:
            self._note(target, peer, answer)
        at_ms = self.scheduler.now_ms + self.weather.delay_ms()
        if self.weather.loses() or at_ms > deadline_ms:
            self.counts["messages lost"] += 1
            self.scheduler.at(deadline_ms, self._fail, *fail)
        elif answer is None:
            self.scheduler.at(at_ms, self._fail, peer, epoch, ask.token, why)
        else:
            self.scheduler.at(at_ms, self._answered, peer, epoch, ask.token, answer)

    def _repeated(self, peer: Peer, target: Peer, ask: Ask) -> None:
        """A question arrives a second time; nobody waits for its answer."""
        if target.machine is not None and peer.did in target.links:
            self._answer(peer, target, ask.question)

    def _answer(self, peer: Peer, target: Peer, question: Wire) -> tuple[Wire | None, str]:
        """Return the answer, or why there is none; neither: whoever lies keeps silent."""
        machine = target.machine
        if machine is None:  # It ended when the link was made.
            return None, ""
        try:
            answer = machine.answer(peer.did, question, self.now_of(target))
        except Refusal as no:
            self.settle(target)
            self.counts[f"refused: {no.code}"] += 1
            return None, no.code
        except Silent:
            return None, ""
        except Violation:
            raise
        except Exception as bad:
            raise Violation("no machine raises", target.index, repr(bad)) from bad
        self.settle(target)
        return answer, ""

    def _answered(self, peer: Peer, epoch: int, token: int, answer: Wire) -> None:
        if peer.epoch == epoch and peer.machine is not None:
            self.act(peer, peer.machine.answered, token, answer, self.now_of(peer))

    def _fail(self, peer: Peer, epoch: int, token: int, why: str) -> None:
        if peer.epoch == epoch and peer.machine is not None:
            self.counts["questions failed"] += 1
            self.act(peer, peer.machine.failed, token, why, self.now_of(peer))

    def link(self, a: Peer, b: Peer) -> None:
        """Have a link stand between two peers that are up, which `a` made; both learn of it."""
        assert a.machine is not None and b.machine is not None, "both are up"
        link = Link(a, b, self.scheduler.now_ms)
        for one, other in ((a, b), (b, a)):
            old = one.links.get(other.did)
            if old is not None:  # The other has crashed and come back before this was noticed.
                old.up = False
                self._tell_left(one, other)
            one.links[other.did] = link
        self.counts["links made"] += 1
        for one, other in ((a, b), (b, a)):
            if one.machine is not None and link.up:
                joined = partial(one.machine.joined, dialled=one is a)
                self.act(one, joined, other.did, self.now_of(one))
        for one in (a, b):
            self._trim(one)

    def _trim(self, peer: Peer) -> None:
        while len(peer.links) > LINKS_MAX:
            self._unlink(min(peer.links.values(), key=_used_ms))

    def _unlink_if_cut(self, link: Link) -> None:
        if self.weather.cuts(link.a.index, link.b.index):
            self._unlink(link)

    def _unlink(self, link: Link) -> None:
        if not link.up:
            return
        link.up = False
        self.counts["links lost"] += 1
        for one, other in ((link.a, link.b), (link.b, link.a)):
            if one.links.get(other.did) is link:
                del one.links[other.did]
                self._tell_left(one, other)

    def _tell_left(self, peer: Peer, other: Peer) -> None:
        if peer.machine is not None:
            self.act(peer, peer.machine.left, other.did, self.now_of(peer))

    def _ban(self, peer: Peer, ban: Ban) -> None:
        self.counts["bans"] += 1
        peer.banned_until_ms[ban.peer] = self.scheduler.now_ms + ban.ban_ms
        link = peer.links.get(ban.peer)
        if link is not None:
            self.scheduler.after(0, self._unlink, link)

    def _is_banned(self, a: Peer, b: Peer) -> bool:
        now_ms = self.scheduler.now_ms
        return a.banned_until_ms.get(b.did, 0) > now_ms or b.banned_until_ms.get(a.did, 0) > now_ms


class Silent(Exception):
    """Whoever lies answers nothing."""
