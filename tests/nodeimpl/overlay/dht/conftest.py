"""A web of tables' machines in virtual time: latency, loss, the dead, and those who lie."""

from __future__ import annotations

import hashlib
import heapq
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest

from nodeimpl.overlay.dht import Dht, DhtLimits
from nodeimpl.overlay.port import Ask, Contact, Outbox
from nodeimpl.overlay.search import Outcome
from nodeimpl.overlay.shelf import Shelf
from opkit.proof.keys import Identity
from opkit.wire.base import Did, Wire
from opkit.wire.errors import Refusal

START_MS = 1_767_225_600_000
TERM_MS = 86_400_000

Lie = Callable[[Did, Wire, int], Wire]


@dataclass
class Place:
    """One machine, and what it may do; until `busy_ms` it has no time for what arrives."""

    identity: Identity
    dht: Dht
    outbox: Outbox
    shelf: Shelf
    contact: Contact
    alive: bool = True
    lie: Lie | None = None
    tick_at_ms: int = 0
    busy_ms: int = 0
    asks: Counter[str] = field(default_factory=Counter)


class Web:
    """All machines of a test."""

    def __init__(self, land: Any, seed: int = 1) -> None:
        """Begin without nodes; those in `apart` reach nobody else, and nobody else them."""
        self.land = land
        self.chance = Random(seed)
        self.now_ms = START_MS
        self.places: list[Place] = []
        self.by_did: dict[Did, Place] = {}
        self.loss = 0.0
        self.apart: frozenset[Did] = frozenset()
        self.latency_ms = (5, 30)
        self.messages = 0
        self.timeouts: Counter[tuple[Did, Did, str]] = Counter()
        self._heap: list[tuple[int, int, Callable[..., None], tuple[Any, ...]]] = []
        self._order = 0

    def add(self, **options: Any) -> Place:
        """Add a node, which knows nobody; some have addresses of their own."""
        number = len(self.places)
        identity = Identity.from_seed(hashlib.sha256(b"dht %d" % number).digest())
        if number < len(self.land.nodes):
            identity = self.land.nodes[number]
        identity = options.pop("identity", identity)
        addresses = options.pop("addresses", (f"10.0.{number // 256}.{number % 256}:1",))
        contact = Contact(did=identity.did, addresses=addresses)
        outbox, shelf = Outbox(), Shelf(self.land.verifier)

        def sign(namespace: str, name: str, value: dict[str, Any] | None, now_ms: int) -> Any:
            return self.record(place, namespace, name, value=value, now_ms=now_ms)

        dht = Dht(
            contact,
            outbox=outbox,
            chance=Random(number),
            shelf=shelf,
            sign=options.pop("sign", sign),
            limits=options.pop("limits", DhtLimits()),
            **options,
        )
        place = Place(identity, dht, outbox, shelf, contact)
        self.places.append(place)
        self.by_did[identity.did] = place
        self.act(place)
        return place

    def record(
        self, place: Place, namespace: str, name: str, *, value: Any, now_ms: int, sequence: int = 0
    ) -> Any:
        """Return a record of a node's, with the time as its sequence."""
        return self.land.record(
            place.identity,
            namespace,
            name,
            value=value,
            issued_at_ms=now_ms,
            sequence=sequence or now_ms,
            term_ms=30 * TERM_MS if namespace == "note" else TERM_MS,
        )

    def grow(self, count: int, **options: Any) -> None:
        """Add nodes that come in by one or two who are there already."""
        for _ in range(count):
            place = self.add(**options)
            others = [one.contact for one in self.places[:-1] if one.alive]
            if others:
                first = self.chance.sample(others, min(2, len(others)))
                place.dht.bootstrap(first, self.now_ms)
                self.act(place)
                self.run(300)
        self.run(3_000)

    def kill(self, share: float, spare: Place | None = None) -> list[Place]:
        """Kill a share of the nodes."""
        rest = [one for one in self.places if one is not spare and one.alive]
        dead = self.chance.sample(rest, int(len(rest) * share))
        for place in dead:
            place.alive = False
        return dead

    def run(self, for_ms: int) -> None:
        """Let time pass."""
        until_ms = self.now_ms + for_ms
        while self._heap and self._heap[0][0] <= until_ms:
            self.now_ms, _, happen, args = heapq.heappop(self._heap)
            happen(*args)
        self.now_ms = until_ms

    def wait(self, place: Place, begin: Callable[..., None], *args: Any, **more: Any) -> Outcome:
        """Begin a search, and let time pass until it has ended."""
        ended: list[Outcome] = []
        begin(*args, ended.append, self.now_ms, **more)
        self.act(place)
        until_ms = self.now_ms + 60_000
        while not ended and self._heap and self._heap[0][0] <= until_ms:
            self.now_ms, _, happen, happen_args = heapq.heappop(self._heap)
            happen(*happen_args)
        assert len(ended) == 1
        return ended[0]

    def act(self, place: Place) -> None:
        """Carry out what a machine wants."""
        for effect in place.outbox.take():
            assert isinstance(effect, Ask)
            place.asks[type(effect.question).__name__] += 1
            self._send(place, effect)
        due_ms = place.dht.due_ms()
        if place.alive and (not place.tick_at_ms or due_ms < place.tick_at_ms):
            place.tick_at_ms = max(due_ms, self.now_ms)
            self._at(place.tick_at_ms, self._tick, place, place.tick_at_ms)

    def _at(self, at_ms: int, happen: Callable[..., None], *args: Any) -> None:
        self._order += 1
        heapq.heappush(self._heap, (at_ms, self._order, happen, args))

    def _tick(self, place: Place, at_ms: int) -> None:
        if place.alive and place.tick_at_ms == at_ms:
            place.tick_at_ms = 0
            place.shelf.tick(self.now_ms)
            place.dht.tick(self.now_ms)
            self.act(place)

    def _late(self) -> int:
        return self.chance.randrange(*self.latency_ms)

    def _send(self, place: Place, ask: Ask) -> None:
        self.messages += 1
        other = self.by_did.get(ask.to.did)
        there = other is not None and (not ask.to.addresses or ask.to == other.contact)
        there &= (place.identity.did in self.apart) == (ask.to.did in self.apart)
        if other is None or not there or self.chance.random() < self.loss:
            self._at(self.now_ms + ask.timeout_ms, self._silence, place, ask)
        else:
            self._at(self.now_ms + self._late(), self._arrive, place, other, ask, self.now_ms)

    def _silence(self, place: Place, ask: Ask) -> None:
        self.timeouts[place.identity.did, ask.to.did, type(ask.question).__name__] += 1
        if place.alive:
            place.dht.failed(ask.token, "timeout", self.now_ms)
            self.act(place)

    def _arrive(self, place: Place, other: Place, ask: Ask, sent_ms: int) -> None:
        over_ms = sent_ms + ask.timeout_ms
        if not other.alive or other.busy_ms >= over_ms:
            # What is read after the question's end is answered to nobody.
            self._at(over_ms, self._silence, place, ask)
            return
        if self.now_ms < other.busy_ms:
            self._at(other.busy_ms, self._arrive, place, other, ask, sent_ms)
            return
        said: Wire | str
        try:
            answer = other.lie or other.dht.answer
            said = answer(place.identity.did, ask.question, self.now_ms)
        except Refusal as no:
            said = no.code
        self.act(other)
        if self.chance.random() < self.loss:
            self._at(sent_ms + ask.timeout_ms, self._silence, place, ask)
            return
        self.messages += 1
        self._at(self.now_ms + self._late(), self._back, place, ask.token, said)

    def _back(self, place: Place, token: int, said: Wire | str) -> None:
        if not place.alive:
            return
        if isinstance(said, str):
            place.dht.failed(token, said, self.now_ms)
        else:
            place.dht.answered(token, said, self.now_ms)
        self.act(place)


@pytest.fixture
def web(land: Any) -> Web:
    """A web without nodes."""
    return Web(land)


@pytest.fixture
def web_of(land: Any) -> Callable[[int], Web]:
    """The maker of webs, by seed."""
    return lambda seed: Web(land, seed)
