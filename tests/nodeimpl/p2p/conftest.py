"""The two transports, so that one test runs over both, and small networks of peers on them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from nodeimpl.kernel.blobs import BlobStore
from nodeimpl.kernel.clock import RealClock
from nodeimpl.p2p.iroh_transport import IrohTransport
from nodeimpl.p2p.memory import MemoryNetwork, MemoryTransport
from nodeimpl.p2p.peers import Peers
from nodeimpl.p2p.reaching import PeerAddress
from nodeimpl.p2p.transport import Transport
from opkit.proof.genesis import GenesisView
from opkit.proof.keys import Identity
from opkit.wire.events import Event

Open = Callable[..., AbstractAsyncContextManager[list[Transport]]]


@asynccontextmanager
async def _iroh(*identities: Identity) -> AsyncIterator[list[Transport]]:
    ends: list[Transport] = [IrohTransport(identity=who, fixed_paths=True) for who in identities]
    for end in ends:
        await end.start()
    try:
        yield ends
    finally:
        for end in ends:
            await end.close()


@asynccontextmanager
async def _memory(*identities: Identity) -> AsyncIterator[list[Transport]]:
    network = MemoryNetwork()
    ends: list[Transport] = [network.transport(who) for who in identities]
    for end in ends:
        await end.start()
    try:
        yield ends
    finally:
        for end in ends:
            await end.close()


@pytest.fixture(params=[_iroh, _memory], ids=["iroh", "memory"])
def transports(request: pytest.FixtureRequest) -> Open:
    """Open one started transport per identity; closed with the context."""
    return request.param  # type: ignore[no-any-return]  # the params above


@dataclass
class Member:
    """One node's peers in a test, running."""

    peers: Peers
    transport: Transport
    blobs: BlobStore
    events: list[Event] = field(default_factory=list)
    task: asyncio.Task[None] | None = None

    @property
    def did(self) -> str:
        """The node's key."""
        return self.transport.did

    async def seen(self, kind: type[Event]) -> Event:
        """Return the first event of this type, once there is one."""
        async with asyncio.timeout(60):
            while True:
                for event in self.events:
                    if isinstance(event, kind):
                        return event
                await asyncio.sleep(0.005)


Network = Callable[..., AbstractAsyncContextManager[list[Member]]]


@pytest.fixture
def network(transports: Open, tmp_path: Path, genesis_for: Callable[..., GenesisView]) -> Network:
    """Run peers, all connected with each other; `others` options go to `Peers`."""

    @asynccontextmanager
    async def opened(
        count: int = 2,
        *,
        prepare: Callable[[Member], None] = lambda _: None,
        genesis: Sequence[GenesisView] = (),
        connected: bool = True,
        knowing: Callable[[list[PeerAddress]], list[PeerAddress]] = lambda where: where,
        **others: Any,
    ) -> AsyncIterator[list[Member]]:
        identities = [Identity.generate() for _ in range(count)]
        same = genesis_for(*identities)
        async with asyncio.timeout(200), transports(*identities) as ends:
            where = [PeerAddress(did=end.did, addresses=end.addresses()) for end in ends]
            members = []
            for number, end in enumerate(ends):
                events: list[Event] = []
                members.append(
                    Member(
                        peers=Peers(
                            transport=end,
                            genesis=genesis[number] if genesis else same,
                            org=f"n{number}",
                            version="test",
                            clock=RealClock(),
                            announce=_into(events),
                            **{"bootstrap": knowing(where), **others},
                        ),
                        transport=end,
                        blobs=BlobStore(tmp_path / f"blobs{number}", 2**30),
                        events=events,
                    )
                )
            for member in members:
                prepare(member)
            async with _running(members):
                if connected:
                    await all_connected(members)
                yield members

    return opened


def _into(events: list[Event]) -> Callable[[Event], Any]:
    async def announce(event: Event) -> None:
        events.append(event)

    return announce


@asynccontextmanager
async def _running(members: list[Member]) -> AsyncIterator[None]:
    for member in members:
        member.task = asyncio.create_task(member.peers.run())
        while member.peers._company._tasks is None:
            await asyncio.sleep(0)
    try:
        yield
    finally:
        for member in members:
            assert member.task is not None
            member.task.cancel()
        ends = await asyncio.gather(
            *(member.task for member in members if member.task), return_exceptions=True
        )
    assert all(isinstance(end, asyncio.CancelledError) for end in ends), ends


async def all_connected(members: list[Member]) -> None:
    """Return once everyone is connected with everyone."""
    for one in members:
        for other in members:
            if one is not other:
                await one.peers.wait_connected(other.did, 30_000)


@pytest.fixture
def stranger_to(transports: Open) -> Callable[..., AbstractAsyncContextManager[Any]]:
    """Connect a key that is no node to a member, as bytes without a protocol.

    The connection knows its own key as `here`, and a hello that the member would accept as
    `hello`; with `hello=True` it has said it.
    """

    @asynccontextmanager
    async def opened(member: Member, *, hello: bool = False) -> AsyncIterator[Any]:
        async with _beside(member, transports) as own:
            connection: Any = await own.dial(
                member.did, addresses=member.transport.addresses(), deadline_ms=30_000
            )
            connection.here = own.did
            connection.hello = member.peers._company._hello.model_dump(mode="json") | {"org": None}
            if hello:
                stream = await connection.open_stream()
                request = {"v": 1, "method": "peer.hello", "body": connection.hello}
                data = json.dumps(request).encode()
                await stream.send(len(data).to_bytes(4, "big") + data)
                await stream.finish()
                while await stream.receive(1000):
                    pass
            yield connection

    return opened


@asynccontextmanager
async def _beside(member: Member, transports: Open) -> AsyncIterator[Transport]:
    """Open one more transport that can reach the member's."""
    identity = Identity.generate()
    if isinstance(member.transport, MemoryTransport):
        own = member.transport._network.transport(identity)
        await own.start()
        yield own
        await own.close()
    else:
        async with transports(identity) as (own,):
            yield own
