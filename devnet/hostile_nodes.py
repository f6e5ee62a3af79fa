"""Nodes that lie: they take part in the overlay as everybody does, and lie in what they answer."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from devnet.hostile_base import CONNECT_MS_MAX, Conduct, HostilePeer, Scene, on_transport
from devnet.hostile_providers import forget
from nodeimpl.overlay.fingerprints import FINGERPRINT_BYTES, WAYS
from nodeimpl.overlay.node import OverlayNode, OverlayNote
from nodeimpl.overlay.port import Contact, Outbox, key_id, node_id
from nodeimpl.p2p.driving import Driver
from nodeimpl.p2p.peers import Peers
from nodeimpl.p2p.transport import Transport
from opkit.proof import jws
from opkit.proof.keys import Identity
from opkit.proof.record import Verifier
from opkit.wire.base import Did, Wire
from opkit.wire.dht import (
    CONTACTS_MAX,
    ContactText,
    FindRecords,
    NodesFound,
    PutRecord,
    RecordsFound,
    RecordTaken,
)
from opkit.wire.reconcile import ID_BYTES, Compare, Compared, Fetch, Range, RecordsGiven
from opkit.wire.records import Carried

SEEN_MAX = 1_024
SYBILS = 24
"""How many keys surround a name: more than any node asks, or puts to."""

GROUND_PER_SYBIL = 32
"""How many keys are made for each that is to be near a place; the nearest are taken."""

NAMED = 6
MADE_UP_IDS = 25
"""More than a peer may list and not give, and few enough to be listed whatever is asked."""

Lie = Callable[[Wire, Wire], Wire]
"""Given a question and the true answer, returns what is answered."""


class LyingNode(OverlayNode):
    """A node that answers otherwise than it should, and compares with nobody by itself.

    Attributes:
        asked: how often it was asked what.
    """

    def __init__(self, lie: Lie, **parts: Any) -> None:
        """Lie so; `parts` are those of any node."""
        super().__init__(**parts)
        self.asked: Counter[str] = Counter()
        self._lie = lie

    def joined(self, peer: Did, now_ms: int, *, dialled: bool = False) -> None:
        """Learn that a link stands."""
        self.gossip.joined(peer, now_ms, dialled=dialled)
        self.dht.joined(peer, now_ms)

    def answer(self, peer: Did, question: Wire, now_ms: int) -> Wire:
        """Answer with a lie."""
        self.asked[type(question).__name__] += 1
        return self._lie(question, super().answer(peer, question, now_ms))


class Liar:
    """One lying node at work, with its connections."""

    def __init__(self, scene: Scene, *, who: Identity, end: Transport, lie: Lie) -> None:
        """Prepare; the transport has been started."""
        self.kind = scene.kind
        self.did = who.did
        self._peers = Peers(
            transport=end,
            genesis=scene.genesis,
            org=None,
            version="hostile",
            clock=scene.clock,
            announce=forget,
            bootstrap=scene.targets,
        )
        outbox = Outbox()
        self.contact = Contact(did=end.did, addresses=end.addresses())
        self.node = LyingNode(
            lie,
            contact=self.contact,
            verifier=Verifier(scene.genesis),
            outbox=outbox,
            chance=random.Random(),
        )
        self._driver = Driver(
            self.node, outbox=outbox, peers=self._peers, clock=scene.clock, told=_unheard
        )
        known = [Contact(did=each.did, addresses=each.addresses) for each in scene.targets]
        self.node.join(known, scene.clock.now_ms())

    def stats(self) -> dict[str, int]:
        """Return how often it was asked what."""
        return dict(self.node.asked)

    async def run(self) -> None:
        """Take part until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._peers.run())
            tasks.create_task(self._driver.run())

    async def wait_connected(self, scene: Scene) -> None:
        """Return once it is connected with every target. Raises `Unreachable`."""
        for target in scene.targets:
            await self._peers.wait_connected(target.did, CONNECT_MS_MAX)


def _unheard(_note: OverlayNote) -> None:
    """Tell no operator."""


@asynccontextmanager
async def _at_work(scene: Scene, *, who: Identity, end: Transport, lie: Lie) -> AsyncIterator[Liar]:
    async with on_transport(end) as running:
        liar = Liar(scene, who=who, end=end, lie=lie)
        running.append(asyncio.create_task(liar.run()))
        await liar.wait_connected(scene)
        yield liar


def lying(make: Callable[[], Lie]) -> Conduct:
    """Return a conduct: a node that lies in one way."""

    @asynccontextmanager
    async def conduct(scene: Scene) -> AsyncIterator[HostilePeer]:
        at_work = _at_work(scene, who=scene.identity, end=scene.transport, lie=make())
        async with at_work as liar:
            yield liar

    return conduct


def empty(question: Wire, truth: Wire) -> Wire:
    """Know nobody, have nothing, and say to keep what it is given."""
    if isinstance(question, PutRecord):
        return RecordTaken(new=True)
    if isinstance(truth, RecordsFound):
        return RecordsFound(records=(), contacts=())
    return NodesFound(contacts=()) if isinstance(truth, NodesFound) else truth


def wrong() -> Lie:
    """Name neighbours that do not exist, where nobody is."""
    made_up = tuple(
        ContactText(did=Identity.generate().did, addresses=("127.0.0.1:9",)) for _ in range(NAMED)
    )

    def lie(_question: Wire, truth: Wire) -> Wire:
        if isinstance(truth, RecordsFound):
            return RecordsFound(records=(), contacts=made_up)
        return NodesFound(contacts=made_up) if isinstance(truth, NodesFound) else truth

    return lie


def _remembering(choose: Callable[[FindRecords, Sequence[Carried]], Sequence[Carried]]) -> Lie:
    """Return what answers with some of all the records that were ever put, the first one first."""
    seen: list[Carried] = []

    def lie(question: Wire, truth: Wire) -> Wire:
        if isinstance(question, PutRecord) and len(seen) < SEEN_MAX:
            seen.append(question.record)
        if isinstance(question, FindRecords) and isinstance(truth, RecordsFound):
            return truth.model_copy(update={"records": tuple(choose(question, seen))})
        return truth

    return lie


def old() -> Lie:
    """Hand out the first record that it was given under a name, for ever."""
    return _remembering(lambda ask, seen: [each for each in seen if _name_of(each) == ask.name][:1])


def unasked() -> Lie:
    """Hand out records of other names than the one that was asked for."""
    return _remembering(lambda ask, seen: [each for each in seen if _name_of(each) != ask.name][:1])


def forging() -> Lie:
    """Hand out records with the signatures of others."""

    def forged(ask: FindRecords, seen: Sequence[Carried]) -> list[Carried]:
        signature = seen[0].jws.rpartition(".")[2] if seen else ""
        named = [each.jws for each in seen if _name_of(each) == ask.name]
        return [Carried(jws=f"{each.rpartition('.')[0]}.{signature}") for each in named[-1:]]

    return _remembering(forged)


def _name_of(carried: Carried) -> str:
    """Return the name that a record claims, unverified: whoever lies, may."""
    return str(jws.peek(carried.jws).payload["name"])


def endless(question: Wire, truth: Wire) -> Wire:
    """Never have the same fingerprints, at whatever depth."""
    if not isinstance(question, Compare):
        return truth
    size = WAYS * FINGERPRINT_BYTES
    return Compared(ranges=tuple(Range(children=random.randbytes(size)) for _ in question.prefixes))


def empty_handed(question: Wire, truth: Wire) -> Wire:
    """List items that it never gives."""
    if isinstance(question, Fetch):
        return RecordsGiven(records=(), upto=len(question.ids) // ID_BYTES)
    if not isinstance(question, Compare):
        return truth
    return Compared(ranges=tuple(Range(ids=_made_up(prefix)) for prefix in question.prefixes))


def _made_up(prefix: str) -> bytes:
    """Return ids that begin so, in order, as few as every question allows."""
    made = (random.randbytes(ID_BYTES).hex() for _ in range(MADE_UP_IDS))
    ids = {prefix + each[len(prefix) :] for each in made}
    return b"".join(map(bytes.fromhex, sorted(ids)))


def identities_near(place: int, count: int) -> list[Identity]:
    """Return fresh keys whose places are near one place: each costs a moment."""
    made = [Identity.generate() for _ in range(count * GROUND_PER_SYBIL)]
    return sorted(made, key=lambda one: node_id(one.did) ^ place)[:count]


@asynccontextmanager
async def surrounding(scene: Scene, place: int, *, count: int = SYBILS) -> AsyncIterator[Crowd]:
    """Surround a place with so many keys that know only each other, and hide what is there."""
    named: list[ContactText] = []

    def hide(question: Wire, truth: Wire) -> Wire:
        if isinstance(question, PutRecord):
            return RecordTaken(new=True)
        contacts = tuple(named[:CONTACTS_MAX])
        if isinstance(truth, RecordsFound):
            return RecordsFound(records=(), contacts=contacts)
        return NodesFound(contacts=contacts) if isinstance(truth, NodesFound) else truth

    async with AsyncExitStack() as stack:
        liars = [
            await stack.enter_async_context(_at_work(scene, who=who, end=scene.make(who), lie=hide))
            for who in identities_near(place, count)
        ]
        named += [ContactText(did=it.did, addresses=it.contact.addresses) for it in liars]
        yield Crowd(scene.kind, liars)


class Crowd:
    """Many keys of one person."""

    def __init__(self, kind: str, liars: Sequence[Liar]) -> None:
        """Speak for all of them."""
        self.kind = kind
        self.did = liars[0].did
        self.dids = frozenset(each.did for each in liars)
        self._liars = liars

    def stats(self) -> dict[str, int]:
        """Return how often they were asked what, together."""
        return dict(sum((each.node.asked for each in self._liars), Counter()))


@asynccontextmanager
async def eclipse(scene: Scene) -> AsyncIterator[HostilePeer]:
    """Surround the place where it stands where the first target can be dialled."""
    async with surrounding(scene, key_id("node", scene.targets[0].did)) as crowd:
        yield crowd


CONDUCTS: Mapping[str, Conduct] = {
    "dht-empty": lying(lambda: empty),
    "dht-wrong": lying(wrong),
    "dht-old": lying(old),
    "dht-unasked": lying(unasked),
    "dht-forging": lying(forging),
    "reconcile-endless": lying(lambda: endless),
    "reconcile-empty-handed": lying(lambda: empty_handed),
    "eclipse": eclipse,
}
"""Each kind of liar here, and what it does."""
