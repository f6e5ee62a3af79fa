"""The two transports, so that one test runs over both."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from nodeimpl.p2p.iroh_transport import IrohTransport
from nodeimpl.p2p.memory import MemoryNetwork
from nodeimpl.p2p.transport import Transport
from opkit.proof.keys import Identity

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
