"""A world in this process: the same nodes, joined in memory, called without sockets.

Time is virtual: it keeps pace with the machine's clock by default, and a story moves it ahead at
once. Modules run in one sandbox that all nodes share, in worker processes as always.
"""

from __future__ import annotations

import asyncio
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TextIO, cast

import structlog

from devnet.company import CAPABILITIES, Company
from devnet.doors import InProcessDoors
from devnet.genesis import MadeWorld, make_world
from devnet.hostile import hostile_peer
from devnet.seed import seed as seed_ledgers
from devnet.spec import DAY_MS, ProfileName
from devnet.state import OPERATOR, DevnetError
from devnet.timekeeper import Timekeeper
from nodeimpl.config import (
    ComputeSection,
    NodeConfig,
    NodeSection,
    P2pSection,
    PeerSection,
    StoreSection,
)
from nodeimpl.kernel import log
from nodeimpl.kernel.clock import VirtualClock
from nodeimpl.node import Node
from nodeimpl.p2p.memory import MemoryNetwork, MemoryTransport
from nodeimpl.p2p.reaching import PeerAddress
from nodeimpl.sandbox.sandbox import Sandbox
from opkit.client import AsgiEvents, NodeClient
from opkit.proof.genesis import GenesisView
from opkit.proof.keys import Identity
from opkit.wire.endpoint import Scope
from opkit.wire.network import MOVE_CLOCK, READY, AskHealth, MoveClock, NotReady
from opkit.wire.records import HttpEndpoint

READY_DEADLINE_MS = 60_000
TIDE_MS = 5
"""How often virtual time catches up with the machine's."""
STRIDE_MS_MAX = 500
"""By how much at once, at most: while the whole process stands still nobody in it can answer, and
no deadline is to pass by that."""


@dataclass(eq=False, kw_only=True)
class InProcessNode:
    """A node and what it is made of; `node` is None while it is killed.

    Attributes:
        url: a loopback name, as the front door asks for, that only this world's clients reach.
    """

    org: str
    title: str
    did: str
    url: str
    config: NodeConfig
    transport: MemoryTransport | None = None
    node: Node | None = None


@dataclass(eq=False, kw_only=True)
class InProcessHostile:
    """A hostile peer in this process."""

    did: str
    _peer: Any
    _stack: AsyncExitStack
    _stopped: bool = field(default=False)

    async def stats(self) -> Mapping[str, Any]:
        """Return what the peer was asked, and what it served."""
        said: Mapping[str, Any] = self._peer.stats()
        return said

    async def stop(self) -> None:
        """Disconnect it. Stopping twice is allowed."""
        if not self._stopped:
            self._stopped = True
            await self._stack.aclose()


class _Events:
    """Opens event streams to a node that may be killed meanwhile."""

    def __init__(self, one: InProcessNode) -> None:
        self._one = one

    @asynccontextmanager
    async def open(self, *, target: str, headers: dict[str, str]) -> AsyncIterator[Any]:
        """Hold one socket."""
        if self._one.node is None:
            raise ConnectionRefusedError("the node does not run")
        async with AsgiEvents(self._one.node.app).open(target=target, headers=headers) as socket:
            yield socket


class InProcessWorld(Company):
    """A network in this process as a story sees it. Satisfies `opkit.story.World`."""

    def __init__(
        self,
        *,
        made: MadeWorld,
        run_id: str,
        seed: int,
        folder: Path,
        sandbox: Sandbox,
        store_url: Callable[[], str] | None,
        stack: AsyncExitStack,
    ) -> None:
        """Prepare the nodes; nothing runs before `start`."""
        super().__init__(identities={**made.members, OPERATOR: made.operator})
        self.run_id = run_id
        self.seed = seed
        self.profile: str = made.profile
        self.genesis: GenesisView = made.view
        self.capabilities = CAPABILITIES
        self.clock = VirtualClock(start_ms=time.time_ns() // 1_000_000)
        self.network = MemoryNetwork(clock=self.clock, seed=seed)
        self.doors = InProcessDoors()
        self._made = made
        self.folder = folder
        self._sandbox = sandbox
        self._store_url = store_url
        self._stack = stack
        self._time = Timekeeper(folder=folder, network=made.view.network, operator=made.operator)
        self._hostile: list[InProcessHostile] = []
        self._tide: asyncio.Task[None] | None = None
        (folder / "genesis.jws").write_text(made.genesis, "ascii")
        self._nodes: dict[str, InProcessNode] = {}
        self._addresses: dict[str, str] = {}

    async def start(self) -> None:
        """Start all nodes and return when all are ready and connected with each other."""
        self._tide = asyncio.get_running_loop().create_task(self._keep_pace())
        for member in self.genesis.genesis.nodes:
            transport = self.network.transport(self._made.nodes[member.org])
            await transport.start()
            (self._addresses[member.did],) = transport.addresses()
            one = InProcessNode(
                org=member.org,
                title=member.title,
                did=member.did,
                url=self.doors.open(partial(self._app_of, member.org)),
                config=self._config(member.org),
                transport=transport,
            )
            self._nodes[member.org] = one
        await asyncio.gather(*(self._start(one) for one in self._nodes.values()))
        await asyncio.gather(*(self._wait_ready(one) for one in self._nodes.values()))

    def _app_of(self, org: str) -> Any | None:
        """Return what answers at a node's front door; None while it is killed."""
        node = self._nodes[org].node
        return None if node is None else node.app

    def _config(self, org: str) -> NodeConfig:
        """Return a configuration by which the node dials all that were prepared before it."""
        folder = self.folder / org
        return NodeConfig(
            node=NodeSection(
                org=org,
                folder=folder,
                genesis=self.folder / "genesis.jws",
                keystore=folder / "keystore.json",
                key_file=folder / "keystore.key",
            ),
            p2p=P2pSection(
                peers=tuple(
                    PeerSection(did=one.did, addresses=(self._addresses[one.did],))
                    for one in self._nodes.values()
                )
            ),
            store=StoreSection(url=self._store_url() if self._store_url else ""),
            compute=ComputeSection(),
        )

    async def _start(self, one: InProcessNode) -> None:
        assert one.transport is not None
        one.node = await Node.start(
            config=one.config,
            identity=self._made.nodes[one.org],
            genesis=self.genesis,
            transport=one.transport,
            clock=self.clock,
            sandbox=self._sandbox,
            endpoints=(HttpEndpoint(url=one.url),),
        )

    async def _wait_ready(self, one: InProcessNode) -> None:
        """Wait until a node says it is ready and has a link to all others that run."""
        client = self.client(one.org, None)
        others = {
            other.did
            for other in self._nodes.values()
            if other is not one and other.node is not None
        }
        async with asyncio.timeout(READY_DEADLINE_MS / 1000):
            while True:
                try:
                    await client.call(READY, AskHealth())
                except NotReady:
                    await asyncio.sleep(TIDE_MS / 1000)
                    continue
                assert one.node is not None
                if others <= set(one.node.peers.connected()):
                    return
                await asyncio.sleep(TIDE_MS / 1000)

    async def _keep_pace(self) -> None:
        """Let virtual time pass as fast as the machine's, on top of every jump."""
        last = time.monotonic()
        while True:
            await asyncio.sleep(TIDE_MS / 1000)
            now = time.monotonic()
            passed_ms = int((now - last) * 1000)
            last += passed_ms / 1000
            self.clock.advance(min(passed_ms, STRIDE_MS_MAX))

    def _make_client(
        self, org: str, identity: Identity | None, scopes: tuple[Scope, ...] | None
    ) -> NodeClient:
        one = self.node(org)
        return NodeClient(
            url=one.url,
            node=one.did,
            network=self.genesis.network,
            identity=identity,
            scopes=scopes,
            genesis=self.genesis,
            http=self.doors.caller(),
            events=_Events(one),
            now_ms=self.clock.now_ms,
        )

    def node(self, org: str) -> InProcessNode:
        """Return the node of an organisation; `KeyError` if the network has none."""
        return self._nodes[org]

    async def hostile(
        self, kind: str, *, against: Sequence[str], about: str = ""
    ) -> InProcessHostile:
        """Connect a hostile peer of this kind to the nodes of these organisations."""
        targets = [
            PeerAddress(did=one.did, addresses=one.transport.addresses())
            for one in (self.node(org) for org in against)
            if one.transport is not None
        ]
        stack = AsyncExitStack()
        peer = await stack.enter_async_context(
            hostile_peer(
                kind,
                make=self.network.transport,
                genesis=self.genesis,
                targets=targets,
                clock=self.clock,
                about=about,
                doors=self.doors,
            )
        )
        after = {"about": about} if about else {}
        self._note("hostile", kind=kind, against=list(against), did=peer.did, **after)
        handle = InProcessHostile(did=peer.did, _peer=peer, _stack=stack)
        self._hostile.append(handle)
        return handle

    async def kill(self, org: str) -> None:
        """Make the node fall silent at once, then let go of what it held."""
        one = self.node(org)
        if one.node is None or one.transport is None:
            raise DevnetError(f"the node of {org!r} does not run")
        self._note("kill", org=org)
        node, one.node = one.node, None
        one.transport.die()
        await node.close()

    async def restart(self, org: str) -> None:
        """Start the organisation's node again and wait until it is ready."""
        one = self.node(org)
        self._note("restart", org=org)
        if one.node is not None:
            node, one.node = one.node, None
            await node.close()
        address = self._addresses[one.did]
        one.transport = MemoryTransport(
            network=self.network, identity=self._made.nodes[org], address=address
        )
        await one.transport.start()
        await self._start(one)
        await self._wait_ready(one)
        if self._time.record is not None:
            await self._move_clock(org)

    async def cut(self, a: str, b: str) -> None:
        """Cut the link between the nodes of two organisations."""
        self.network.cut(self.node(a).did, self.node(b).did)
        self._note("cut", a=a, b=b)

    async def heal(self, a: str, b: str) -> None:
        """Heal the link between the nodes of two organisations."""
        self.network.heal(self.node(a).did, self.node(b).did)
        self._note("heal", a=a, b=b)

    async def pass_time(self, *, days: int) -> None:
        """Move the network's world time ahead."""
        self._time.move(days * DAY_MS)
        self._note("pass-time", days=days, offset_ms=self._time.offset_ms)
        for org, one in self._nodes.items():
            if one.node is not None:
                await self._move_clock(org)

    async def _move_clock(self, org: str) -> None:
        assert self._time.record is not None
        key = secrets.token_hex(16)
        ask = MoveClock(record=self._time.record)
        await self.operator(org).call(MOVE_CLOCK, ask, idempotency_key=key)

    def _note(self, what: str, **facts: Any) -> None:
        self._notes.append({"at_ms": self.clock.now_ms(), "what": what, **facts})

    async def close(self) -> None:
        """End clients, hostile peers and nodes."""
        for handle in self._hostile:
            await handle.stop()
        await self.close_clients()
        running = [one.node for one in self._nodes.values() if one.node is not None]
        await asyncio.gather(*(node.close() for node in running))
        if self._tide is not None:
            self._tide.cancel()
        await self._stack.aclose()


class _StandardError:
    """Whatever standard error is when something is written: tests and notebooks replace it."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()


def _quiet_logs() -> None:
    """Let nodes in this process log errors only, unless the process has set up its own logging."""
    if not structlog.is_configured():
        log.configure(level="error", stream=cast("TextIO", _StandardError()))


async def open_inprocess(
    profile: ProfileName = "three",
    *,
    seed: int = 7,
    run_id: str | None = None,
    sandbox: Sandbox | None = None,
    store_url: Callable[[], str] | None = None,
    seeded: bool = True,
) -> InProcessWorld:
    """Return a fresh network in this process; closing it removes all that it made.

    Args:
        profile: which organisations take part.
        seed: fixes figures, order and faults; never keys.
        run_id: tells this telling from others; a random one if None.
        sandbox: workers to share with other worlds; the caller starts and closes them.
        store_url: gives each node the URL of an empty database; SQLite in its folder if None.
        seeded: whether the history of the demo world is posted to its ledgers.
    """
    _quiet_logs()
    folder = Path(tempfile.mkdtemp(prefix="opkit-inprocess-"))
    stack = AsyncExitStack()
    stack.callback(shutil.rmtree, folder)
    if sandbox is None:
        sandbox = Sandbox.launch(cache_folder=folder / "code")
        stack.push_async_callback(sandbox.close)
        await sandbox.start()
    world = InProcessWorld(
        made=make_world(profile, now_ms=time.time_ns() // 1_000_000),
        run_id=run_id or secrets.token_hex(8),
        seed=seed,
        folder=folder,
        sandbox=sandbox,
        store_url=store_url,
        stack=stack,
    )
    try:
        await world.start()
        if seeded:
            await seed_ledgers(world)
    except BaseException:  # Whatever ends the start, cancelling included, ends what was started.
        await world.close()
        raise
    return world


@asynccontextmanager
async def inprocess_world(
    profile: ProfileName = "three",
    *,
    seed: int = 7,
    run_id: str | None = None,
    sandbox: Sandbox | None = None,
    store_url: Callable[[], str] | None = None,
    seeded: bool = True,
) -> AsyncIterator[InProcessWorld]:
    """Hold a fresh network in this process. Arguments as of `open_inprocess`."""
    world = await open_inprocess(
        profile,
        seed=seed,
        run_id=run_id,
        sandbox=sandbox,
        store_url=store_url,
        seeded=seeded,
    )
    try:
        yield world
    finally:
        await world.close()
