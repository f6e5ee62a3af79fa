"""The real transport: iroh, which is QUIC with a key as the address.

The endpoint's key is the node's identity key, so a peer's DID and its transport key are the same
32 bytes. Endpoints bind to the configured addresses only, use no relay and no discovery service.
Source: ADR 0006; RFC 9000 (QUIC).
"""

from __future__ import annotations

import asyncio
import os
import traceback
from collections.abc import Awaitable
from typing import Any, TypeVar

import structlog
from iroh import (
    BiStream,
    Endpoint,
    EndpointAddr,
    EndpointBuilder,
    EndpointId,
    Incoming,
    IrohError,
    RelayMode,
)
from iroh import Connection as QuicConnection

from nodeimpl.p2p import iroh_calls
from nodeimpl.p2p.iroh_buffers import adapt
from nodeimpl.p2p.prefixes import prefix_of
from nodeimpl.p2p.transport import (
    ConnectionEnded,
    DialFailed,
    LinkFigures,
    StreamEnded,
    TransportLimits,
)
from opkit.proof.checks import ProofError
from opkit.proof.did import did_of, public_key_of
from opkit.proof.keys import Identity
from opkit.wire.base import Did
from opkit.wire.peer import PROTOCOL

ALPN = PROTOCOL.encode("ascii")
LOOPBACK = ("127.0.0.1:0", "[::1]:0")
"""Both families, or the endpoint binds the missing one on every interface."""

CANDIDATES_MAX = 32
"""How many of its own addresses an endpoint tells a peer. Source: iroh, `MAX_QNT_ADDRESSES`."""

CLOSE_MS_MAX = 300
"""How long peers may take to confirm the end of their connections."""

_PROBE = b"\0" * 64
"""Nobody reads probes: the receiver keeps the newest 1.25 MB and drops older ones, so their size
bounds how many it keeps."""

_log = structlog.get_logger("p2p.iroh")
_T = TypeVar("_T")


async def _on_stream(doing: Awaitable[_T]) -> _T:
    try:
        return await doing
    except IrohError as gone:
        raise StreamEnded(gone.message()) from gone


async def _on_connection(doing: Awaitable[_T]) -> _T:
    try:
        return await doing
    except IrohError as gone:
        raise ConnectionEnded(gone.message()) from gone


async def _whatever(giving_up: Awaitable[Any]) -> None:
    """Give something up that may be over already."""
    try:
        await giving_up
    except IrohError as gone:
        _log.debug("it was over before it was given up", why=gone.message())


class IrohStream:
    """A QUIC stream, both ways."""

    def __init__(self, stream: BiStream) -> None:
        """Wrap what iroh gave."""
        self._sending = stream.send()
        self._receiving = stream.recv()

    async def send(self, data: bytes) -> None:
        """Send all of `data`. Raises `StreamEnded`."""
        await _on_stream(self._sending.write_all(data))

    async def finish(self) -> None:
        """Say that nothing more will be sent. Raises `StreamEnded`."""
        await _on_stream(self._sending.finish())

    async def receive(self, max_bytes: int) -> bytes:
        """Return 1 to `max_bytes` bytes, or `b""` at the end. Raises `StreamEnded`."""
        return await _on_stream(self._receiving.read(max_bytes))

    async def unwanted(self) -> None:
        """Return once the other side takes nothing more."""
        await _whatever(self._sending.stopped())

    async def ignore(self) -> None:
        """Take nothing more from the other side."""
        await _whatever(self._receiving.stop(0))

    async def reset(self) -> None:
        """Give both directions up."""
        await _whatever(self._sending.reset(0))
        await self.ignore()


class IrohConnection:
    """A QUIC connection whose other end proved to hold the key of `peer`."""

    def __init__(
        self, connection: QuicConnection, *, dialled: bool, limits: TransportLimits
    ) -> None:
        """Bound what the peer may have open and under way on `connection`.

        Raises:
            ProofError: the peer's key is not one an honest node has.
        """
        self.peer: Did = did_of(connection.remote_id().to_bytes())
        self.dialled = dialled
        self._connection = connection
        connection.set_max_concurrent_bi_streams(limits.streams_per_peer_max)
        connection.set_max_concurrent_uni_streams(0)
        connection.set_receive_window(limits.window_bytes_max)

    async def open_stream(self) -> IrohStream:
        """Open a stream. Raises `ConnectionEnded`."""
        return IrohStream(await _on_connection(self._connection.open_bi()))

    async def accept_stream(self) -> IrohStream:
        """Return the next stream the peer opened. Raises `ConnectionEnded`."""
        return IrohStream(await _on_connection(self._connection.accept_bi()))

    def figures(self) -> LinkFigures:
        """Return what QUIC counted; it rounds round trips down to milliseconds.

        A datagram counts as a packet, which it is but in handshakes. Source: RFC 9002, 6.1 (loss).
        """
        counted = self._connection.stats()
        return LinkFigures(
            round_trip_us=(self._connection.rtt() or 0) * 1000,
            sent_bytes=counted.udp_tx_bytes,
            received_bytes=counted.udp_rx_bytes,
            sent_packets=counted.udp_tx_datagrams,
            lost_packets=counted.lost_packets,
        )

    def remote_addresses(self) -> tuple[str, ...]:
        """Return the addresses in use: for tests and for finding out why a link is slow."""
        return tuple(path.remote_addr for path in self._connection.paths())

    def probe(self) -> None:
        """Send a datagram, which the peer's QUIC acknowledges without asking its program."""
        try:
            self._connection.send_datagram(_PROBE)
        except IrohError as gone:
            _log.debug("no probe was sent", peer=self.peer, why=gone.message())

    async def close(self, why: str) -> None:
        """End the connection, telling the peer `why`."""
        try:
            self._connection.close(0, why.encode()[:256])
        except IrohError as gone:
            _log.debug("connection was over before its end", peer=self.peer, why=gone.message())

    async def ended(self) -> str:
        """Return once the connection is gone, with the reason."""
        return await self._connection.closed()


class IrohTransport:
    """One iroh endpoint. `limits` bound what strangers can make it hold.

    With `fixed_paths` a connection stays on the address that was dialled. Otherwise iroh tells
    the peer its own addresses and both move to whichever is quickest, which is right on a real
    network and wrong where links must be cut: see ADR 0006 for how and why.
    """

    def __init__(
        self,
        *,
        identity: Identity,
        bind: tuple[str, ...] = LOOPBACK,
        fixed_paths: bool = False,
        limits: TransportLimits | None = None,
    ) -> None:
        """Prepare; nothing is bound before `start`.

        Args:
            identity: whose key the endpoint authenticates with.
            bind: `host:port` per address family; port 0 lets the system choose.
            fixed_paths: whether connections stay on the dialled address.
            limits: what strangers may occupy.
        """
        self.did = identity.did
        self._seed = identity.seed
        self._bind = bind
        self._fixed_paths = fixed_paths
        self._limits = limits or TransportLimits()
        self._endpoint: Endpoint | None = None
        self._closed = False
        self._accepting: asyncio.Task[None] | None = None
        self._arrived: asyncio.Queue[IrohConnection | None] = asyncio.Queue(
            self._limits.waiting_max
        )

    async def start(self) -> None:
        """Bind and begin to accept; once."""
        assert self._endpoint is None, "a transport starts once"
        _spare_backtraces()
        adapt()
        iroh_calls.adapt()
        builder = EndpointBuilder()  # type: ignore[no-untyped-call]  # generated without types
        builder.apply_minimal()
        builder.relay_mode(RelayMode.disabled())
        builder.secret_key(self._seed)
        builder.alpns([ALPN])
        for address in self._bind:
            builder.bind_addr(address)
        self._endpoint = await builder.bind()
        if self._fixed_paths:
            await _tell_no_address(self._endpoint)
        self._accepting = asyncio.create_task(self._accept_all(self._endpoint))

    def addresses(self) -> tuple[str, ...]:
        """Return the bound socket addresses."""
        return tuple(self._endpoint.bound_sockets()) if self._endpoint else ()

    def place_of(self, address: str) -> str | None:
        """Return the public network or the private host; None on loopback."""
        return prefix_of(address)

    async def dial(
        self, did: Did, *, addresses: tuple[str, ...], deadline_ms: int
    ) -> IrohConnection:
        """Connect to the holder of `did`. Raises `DialFailed`."""
        assert self._endpoint is not None, "a transport dials after its start"
        try:
            target = EndpointAddr(EndpointId.from_bytes(public_key_of(did)), None, list(addresses))
            async with asyncio.timeout(deadline_ms / 1000):
                connection = await self._endpoint.connect(target, ALPN)
            return IrohConnection(connection, dialled=True, limits=self._limits)
        except TimeoutError as late:
            raise DialFailed(f"no answer within {deadline_ms} ms") from late
        except (IrohError, ProofError) as failed:
            raise DialFailed(_reason(failed)) from failed

    async def accept(self) -> IrohConnection:
        """Return the next connection whose handshake succeeded. Raises `ConnectionEnded`."""
        connection = await self._arrived.get()
        if connection is None:
            self._arrived.put_nowait(None)
            raise ConnectionEnded("the transport was closed")
        return connection

    async def close(self) -> None:
        """End all connections and give the addresses back.

        The peers are told at once; iroh would wait three seconds for one that does not confirm.
        """
        if self._endpoint is None or self._closed:
            return
        self._closed = True
        try:
            async with asyncio.timeout(CLOSE_MS_MAX / 1000):
                await self._endpoint.close()
        except TimeoutError:
            _log.debug("not every peer confirmed the end of its connection")
        if self._accepting is not None:
            self._accepting.cancel()
            await asyncio.wait({self._accepting})
            _let_go(self._accepting)
            self._accepting = None
        while self._arrived.full():
            self._arrived.get_nowait()
        self._arrived.put_nowait(None)
        self._endpoint = None

    async def _accept_all(self, endpoint: Endpoint) -> None:
        """Take handshakes until the endpoint is closed; each runs beside the others."""
        async with asyncio.TaskGroup() as handshakes:
            running: set[asyncio.Task[None]] = set()
            while (incoming := await endpoint.accept_next()) is not None:
                if len(running) >= self._limits.handshakes_max:
                    await _whatever(incoming.refuse())
                    continue
                handshake = handshakes.create_task(self._shake(incoming))
                running.add(handshake)
                handshake.add_done_callback(running.discard)

    async def _shake(self, incoming: Incoming) -> None:
        """Finish one handshake; what goes wrong in it concerns nobody else."""
        try:
            async with asyncio.timeout(self._limits.handshake_ms_max / 1000):
                accepting = await incoming.accept()
                accepted = await accepting.connect()
            connection = IrohConnection(accepted, dialled=False, limits=self._limits)
        except (TimeoutError, IrohError, ProofError) as failed:
            _log.info("a handshake failed", why=_reason(failed))
            return
        if self._arrived.full():
            await connection.close("too many connections are waiting")
            return
        self._arrived.put_nowait(connection)


def _spare_backtraces() -> None:
    """Keep the library from reading debug symbols for every handshake that fails.

    Where `RUST_BACKTRACE` is set, as on many a developer's machine, a stranger's failed handshake
    would cost 65 ms of a core and 50 MB, and nobody reads what they were spent on. Whoever wants
    it sets `RUST_LIB_BACKTRACE`. Source: Rust, `std::backtrace`.
    """
    os.environ.setdefault("RUST_LIB_BACKTRACE", "0")


def _let_go(ended: asyncio.Task[None]) -> None:
    """Let what a task raised hold nothing of what the task had.

    It holds the task's frames, and a frame of its task group holds it: together they would keep the
    endpoint's sockets until Python's collector comes by.
    """
    try:
        raised = ended.exception()
    except asyncio.CancelledError as cancelled:
        traceback.clear_frames(cancelled.__traceback__)
        return
    if raised is not None:
        traceback.clear_frames(raised.__traceback__)


def _reason(failed: Exception) -> str:
    return failed.message() if isinstance(failed, IrohError) else str(failed) or "took too long"


async def _tell_no_address(endpoint: Endpoint) -> None:
    """Fill the endpoint's list of own addresses with ones that nothing can be sent to.

    iroh has no option against leaving the dialled path, but it tells a peer at most
    `CANDIDATES_MAX` addresses, in ascending order. 127.0.0.0 sorts before every other loopback
    address, and sending to it fails in the kernel before a packet exists.
    """
    for port in range(1, CANDIDATES_MAX + 1):
        await endpoint.add_external_addr(f"127.0.0.0:{port}")
    enough = CANDIDATES_MAX + len(endpoint.bound_sockets())
    async with asyncio.timeout(5):
        # The binding's own notice of a change comes on a thread that has no event loop.
        while len(endpoint.addr().direct_addresses()) < enough:  # noqa: ASYNC110 - as said above
            await asyncio.sleep(0.001)
