"""A blob of 20 MB from peer to peer, over real connections between two processes, verified."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import secrets
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median

import structlog

from bench.rows import Row, ms_of, row
from devnet.genesis import make_world
from nodeimpl.kernel.blobs import BlobStore
from nodeimpl.kernel.clock import RealClock
from nodeimpl.p2p.iroh_transport import IrohTransport
from nodeimpl.p2p.peers import Peers
from nodeimpl.p2p.reaching import PeerAddress
from opkit.proof.genesis import read_genesis
from opkit.proof.keys import Identity
from opkit.wire.base import Jws
from opkit.wire.events import Event

MB = 1_000_000
SIZE_BYTES = 20 * MB
TIMES = 7
QUOTA_BYTES = 1_000 * MB
CONNECT_MS_MAX = 10_000


def blobs() -> list[Row]:
    """Megabytes a second over several fetches of 20 MB, hashed while they arrive, kept durably."""
    made = make_world("three", now_ms=time.time_ns() // 1_000_000)
    ours, theirs = (identity.seed for identity in list(made.nodes.values())[:2])
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    provider = context.Process(target=provide, args=(there, theirs, made.genesis))
    provider.start()
    there.close()
    try:
        taken = asyncio.run(_fetch_all(here, seed=ours, genesis=made.genesis))
    finally:
        here.close()
        provider.join(timeout=10)
        provider.kill()
    rates = [SIZE_BYTES / MB / (ms / 1000) for ms in taken]
    return [row("blob of 20 MB, peer to peer", median(rates), "MB/s", target=">= 60", of=rates)]


def provide(pipe: Connection, seed: bytes, genesis: Jws) -> None:
    """Serve fresh blobs until the other end of the pipe is closed."""
    asyncio.run(_provide(pipe, seed=seed, genesis=genesis))


async def _provide(pipe: Connection, *, seed: bytes, genesis: Jws) -> None:
    with tempfile.TemporaryDirectory(prefix="opkit-bench-") as folder:
        store = BlobStore(Path(folder), quota_bytes=QUOTA_BYTES)
        names = [await store.put(secrets.token_bytes(SIZE_BYTES)) for _ in range(TIMES)]
        transport = IrohTransport(identity=Identity.from_seed(seed))
        async with _running(transport, genesis=genesis) as peers:
            peers.serve_blobs(store)
            pipe.send((transport.did, transport.addresses(), names))
            await asyncio.to_thread(_closed, pipe)


async def _fetch_all(pipe: Connection, *, seed: bytes, genesis: Jws) -> list[float]:
    did, addresses, names = await asyncio.to_thread(pipe.recv)
    provider = PeerAddress(did=did, addresses=addresses)
    transport = IrohTransport(identity=Identity.from_seed(seed))
    with tempfile.TemporaryDirectory(prefix="opkit-bench-") as folder:
        store = BlobStore(Path(folder), quota_bytes=QUOTA_BYTES)
        async with _running(transport, genesis=genesis, bootstrap=(provider,)) as peers:
            await peers.wait_connected(did, CONNECT_MS_MAX)
            taken = []
            for name in names:

                async def fetch(cid: str = name) -> None:
                    await peers.fetch(cid, size_max=SIZE_BYTES, blobs=store)

                taken.append(await ms_of(fetch))
            return taken


@asynccontextmanager
async def _running(
    transport: IrohTransport, *, genesis: Jws, bootstrap: tuple[PeerAddress, ...] = ()
) -> AsyncIterator[Peers]:
    """Have peers running on a transport meanwhile."""
    quiet = structlog.make_filtering_bound_logger(logging.WARNING)
    structlog.configure(wrapper_class=quiet)
    await transport.start()
    peers = Peers(
        transport=transport,
        genesis=read_genesis(genesis),
        org=None,
        version="bench",
        clock=RealClock(),
        announce=_ignore,
        bootstrap=bootstrap,
    )
    running = asyncio.create_task(peers.run())
    try:
        yield peers
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await transport.close()


async def _ignore(_event: Event) -> None:
    """Take an event that nobody wants."""


def _closed(pipe: Connection) -> None:
    """Return once the other end is closed."""
    try:
        pipe.recv()
    except EOFError:
        return
