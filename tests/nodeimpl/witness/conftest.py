"""Nodes that are witnesses, over both transports, and one that shows each peer what it likes."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from nodeimpl.history.keeper import Keeper
from nodeimpl.history.service import History
from nodeimpl.kernel.blobs import BlobStore
from nodeimpl.kernel.clock import RealClock
from nodeimpl.kernel.store import Store
from nodeimpl.outside import Outside, join_overlay
from nodeimpl.p2p.iroh_transport import IrohTransport
from nodeimpl.p2p.memory import MemoryNetwork
from nodeimpl.p2p.peers import Peers
from nodeimpl.p2p.reaching import PeerAddress
from nodeimpl.p2p.transport import Transport
from nodeimpl.witness.rules import Limits
from nodeimpl.witness.service import Witness
from nodeimpl.witnessing import join_witness
from opkit.proof import jws
from opkit.proof.genesis import GenesisView
from opkit.proof.journal import JOURNAL_START, entry_hash, stored_bytes
from opkit.proof.keys import Identity
from opkit.proof.merkle import Frontier, consistency_path, leaf_hash
from opkit.proof.witness import check_shown
from opkit.wire.base import Jws
from opkit.wire.events import Event
from opkit.wire.journal import JOURNAL_HEAD_TYP, JournalHead
from opkit.wire.network import PeerLost
from opkit.wire.witness import GROW, AskGrowth, AskWitnesses, Grown, Growth, WitnessedNode

WAIT_S = 100
SOON = Limits(ask_ms=500, ask_ms_min=50, publish_ms=100, publish_ms_a_node=1, grace_ms=200)
"""What takes a minute takes half a second in these tests."""


class Told:
    """A journal of its own, of which heads are signed and growth is shown as a node would."""

    def __init__(self, identity: Identity, network: str, words: Sequence[str]) -> None:
        self.identity, self.network = identity, network
        self.trees, self.hashes, self.leaves = [Frontier()], [JOURNAL_START], []
        for at, word in enumerate(words, 1):
            body = b'{"what":"%s"}' % word.encode()
            stored = stored_bytes(sequence=at, type_name="a.b", at_ms=at, body=body)
            self.hashes.append(entry_hash(previous=self.hashes[-1], stored=stored))
            self.leaves.append(leaf_hash(stored))
            self.trees.append(self.trees[-1].append(self.leaves[-1])[0])

    def head(self, size: int | None = None, **changes: Any) -> Jws:
        """Return a signed head over the first so many entries, or all."""
        size = len(self.leaves) if size is None else size
        fields: dict[str, Any] = {
            "network": self.network,
            "aud": "journal",
            "node": self.identity.did,
            "generation": 1,
            "size": size,
            "root": self.trees[size].root().hex(),
            "hash": self.hashes[size],
            "issued_at_ms": 5,
        }
        head = JournalHead(**{**fields, **changes})
        return jws.sign(head, typ=JOURNAL_HEAD_TYP, identity=self.identity)

    def _subtree(self, level: int, position: int) -> bytes:
        tree = Frontier()
        for leaf in self.leaves[position << level : (position + 1) << level]:
            tree, _ = tree.append(leaf)
        return tree.root()

    def grown(self, ask: AskGrowth) -> Grown:
        """Answer as a node of this one history."""
        size = len(self.leaves)
        growths = []
        for token in ask.seen:
            first = jws.peek(token).payload["size"]
            if first <= size:
                path: tuple[bytes, ...] = ()
                if 0 < first < size:
                    path = consistency_path(first=first, second=size, subtree=self._subtree)
                root = self.trees[first].root().hex()
                said = tuple(each.hex() for each in path)
                growths.append(Growth(size=first, root=root, path=said))
        return Grown(head=self.head(), growths=tuple(growths))


@dataclass
class Site:
    """The parts of one node that witness, running.

    Attributes:
        ended: what its witness ended with, once it did.
    """

    identity: Identity
    genesis: GenesisView
    addresses: tuple[str, ...]
    store: Store
    peers: Peers
    outside: Outside
    witness: Witness
    history: History
    stack: AsyncExitStack
    ended: asyncio.Future[BaseException | None]

    @property
    def did(self) -> str:
        """The node's key."""
        return self.identity.did

    async def of(self, did: str) -> WitnessedNode:
        """Return what this node tells of another one, or of itself, all of which it shows."""
        (shown,) = (await self.witness.witnesses(AskWitnesses(node=did), None)).nodes
        _, checks = check_shown(shown, genesis=self.genesis)
        assert all(check.ok for check in checks if check.name != "one-history"), checks
        return shown

    async def grow(self, count: int = 1) -> None:
        """Journal something, so many times."""
        for number in range(count):
            event = PeerLost(peer=self.did, why=f"made up {number}")
            await self.store.write(lambda tx, event=event: tx.announce(event))

    async def told(self, kind: type[Event]) -> list[Event]:
        """Return the journalled events of a type."""
        page = await self.store.read_journal(after=None, entries_max=1000)
        return [kind.model_validate_json(each.body) for each in page if each.type == kind.type]

    async def close(self) -> None:
        """End it."""
        await self.stack.aclose()


class Ground:
    """A genesis of some nodes, and transports for each of its keys."""

    def __init__(
        self, identities: list[Identity], genesis: GenesisView, *, folder: Path, iroh: bool
    ) -> None:
        self.identities = identities
        self.folder = folder
        self._memory = None if iroh else MemoryNetwork()
        self._addresses: dict[str, tuple[str, ...]] = {}
        self.genesis = genesis

    def told(self, number: int, words: Sequence[str]) -> Told:
        """Return a journal that a node makes up."""
        return Told(self.identities[number], self.genesis.network, words)

    def data(self, number: int) -> Path:
        """Return a node's folder."""
        return self.folder / f"n{number}"

    def put_back(self, number: int, copy: Path) -> None:
        """Put a copy of a node's whole folder in its place, mark and all."""
        shutil.rmtree(self.data(number))
        shutil.copytree(copy, self.data(number))

    async def _transport(self, number: int, stack: AsyncExitStack) -> Transport:
        who = self.identities[number]
        made: Transport
        if self._memory is None:
            made = IrohTransport(identity=who, fixed_paths=True)
        else:
            made = self._memory.transport(who)
        await made.start()
        stack.push_async_callback(made.close)
        return made

    async def site(
        self, number: int, *, knows: Sequence[int] = (), data: Path | None = None
    ) -> Site:
        """Start what of a node is a witness.

        Args:
            knows: whom it stays connected with; they run already.
            data: its folder, if it is not its own.
        """
        stack = AsyncExitStack()
        try:
            return await self._site(number, knows, data or self.data(number), stack)
        except BaseException:
            await stack.aclose()
            raise

    async def _site(
        self, number: int, knows: Sequence[int], folder: Path, stack: AsyncExitStack
    ) -> Site:
        clock = RealClock()
        folder.mkdir(exist_ok=True)
        identity = self.identities[number]
        transport = await self._transport(number, stack)
        self._addresses[identity.did] = transport.addresses()
        store = await Store.open(url=f"sqlite:///{folder}/node.db", clock=clock)
        stack.push_async_callback(store.close)
        keeper = await Keeper.start(store, folder=folder)
        peers = self._peers(transport, number, knows)
        history = History(store=store, identity=identity, network=self.genesis.network, clock=clock)
        outside = await join_overlay(
            identity=identity,
            genesis=self.genesis,
            known=(),
            addresses=transport.addresses(),
            peers=peers,
            blobs=BlobStore(folder / "blobs", 2**20),
            store=store,
            clock=clock,
        )
        witness = await join_witness(
            identity=identity,
            genesis=self.genesis,
            keeper=keeper,
            history=history,
            outside=outside,
            peers=peers,
            clock=clock,
            limits=SOON,
        )
        ended: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()
        await stack.enter_async_context(_running(peers, outside, keeper, witness, ended))
        return Site(
            identity=identity,
            genesis=self.genesis,
            addresses=transport.addresses(),
            store=store,
            peers=peers,
            outside=outside,
            witness=witness,
            history=history,
            stack=stack,
            ended=ended,
        )

    def _peers(self, transport: Transport, number: int, knows: Sequence[int]) -> Peers:
        async def announce(event: Event) -> None:
            del event  # Nobody looks at what becomes of links.

        bootstrap = [
            PeerAddress(did=who.did, addresses=self._addresses[who.did])
            for who in (self.identities[each] for each in knows)
        ]
        return Peers(
            transport=transport,
            genesis=self.genesis,
            org=f"n{number}",
            version="test",
            clock=RealClock(),
            announce=announce,
            bootstrap=bootstrap,
        )

    @asynccontextmanager
    async def forger(
        self, number: int, answer: Callable[[str, AskGrowth], Grown]
    ) -> AsyncIterator[Peers]:
        """Run a node that answers `journal.grow` as it likes, to each peer as it likes."""
        async with AsyncExitStack() as stack:
            transport = await self._transport(number, stack)
            self._addresses[transport.did] = transport.addresses()
            peers = self._peers(transport, number, ())

            async def grow(peer: str, ask: AskGrowth) -> Grown:
                return answer(peer, ask)

            peers.serve(GROW, grow)
            task = asyncio.create_task(peers.run())
            try:
                yield peers
            finally:
                task.cancel()
                await asyncio.wait({task})


@asynccontextmanager
async def _running(
    peers: Peers,
    outside: Outside,
    keeper: Keeper,
    witness: Witness,
    ended: asyncio.Future[BaseException | None],
) -> AsyncIterator[None]:
    """Run a node's own work; what its witness ends with is told, and ends the node's work."""
    others = [asyncio.create_task(each.run()) for each in (peers, outside, keeper)]
    own = asyncio.create_task(witness.run())

    def over(task: asyncio.Task[None]) -> None:
        ended.set_result(None if task.cancelled() else task.exception())
        for other in others:
            other.cancel()

    own.add_done_callback(over)
    try:
        yield
    finally:
        own.cancel()
        await asyncio.wait({own, *others})
        await outside.finish()
        await keeper.keep()


@pytest.fixture(params=[True, False], ids=["iroh", "memory"])
def iroh(request: pytest.FixtureRequest) -> bool:
    """Whether nodes speak over the real transport."""
    return bool(request.param)


@pytest.fixture
def play(tmp_path: Path, iroh: bool, genesis_for: Callable[..., GenesisView]) -> Callable[..., Any]:
    """Run a test on a ground of so many nodes; whatever it starts ends with it."""

    def run(count: int, main: Callable[[Ground], Awaitable[None]]) -> None:
        nodes = [Identity.generate() for _ in range(count)]
        ground = Ground(nodes, genesis_for(*nodes), folder=tmp_path, iroh=iroh)

        async def whole() -> None:
            async with asyncio.timeout(2 * WAIT_S):
                await main(ground)

        asyncio.run(whole())

    return run
