"""The transport port: authenticated connections that carry many independent byte streams.

Two transports stand behind it: iroh (QUIC, for real nodes) and memory (for tests and simulations,
with faults by seed). One set of tests runs over both. Who is on the other end is the key that the
transport authenticated, and nothing that a message says. Source: ADR 0006.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from opkit.wire.base import Did


class TransportError(Exception):
    """The network did not do what was asked; `why` is fit for a log line."""

    def __init__(self, why: str) -> None:
        """Say what happened."""
        super().__init__(why)
        self.why = why


class StreamEnded(TransportError):
    """The stream is gone: reset by the other side, by this one, or with its connection."""


class ConnectionEnded(TransportError):
    """The connection is gone."""


class DialFailed(TransportError):
    """Nobody who holds the wanted key answered at these addresses in time."""


@dataclass(frozen=True)
class TransportLimits:
    """How much one transport takes from others before anything above it reads a byte.

    Attributes:
        streams_per_peer_max: streams a peer may have open to this side at once; more must wait.
        window_bytes_max: bytes a peer may have under way to this side, over all streams, unread.
        handshakes_max: handshakes under way at once; more are refused.
        waiting_max: accepted connections that nobody has taken yet; more are closed.
    """

    streams_per_peer_max: int = 640
    window_bytes_max: int = 16 * 2**20
    handshakes_max: int = 64
    waiting_max: int = 64
    handshake_ms_max: int = 5_000


@dataclass(frozen=True, kw_only=True)
class LinkFigures:
    """What the transport itself measured. A round trip below its resolution is 0.

    Attributes:
        lost_packets: how many of `sent_packets` it gave up; each end counts what it sent itself.
    """

    round_trip_us: int
    sent_bytes: int
    received_bytes: int
    sent_packets: int
    lost_packets: int


class Stream(Protocol):
    """Two independent byte sequences, one each way. Not safe for two senders or two receivers."""

    async def send(self, data: bytes) -> None:
        """Send all of `data`, waiting while the other side does not read.

        Raises:
            StreamEnded: nothing more can be sent.
        """

    async def finish(self) -> None:
        """Say that nothing more will be sent.

        Raises:
            StreamEnded: the stream was gone before.
        """

    async def receive(self, max_bytes: int) -> bytes:
        """Return at least one byte and at most `max_bytes`; `b""` once the other side finished.

        Raises:
            StreamEnded: the other side reset the stream, or the connection is gone.
        """

    async def unwanted(self) -> None:
        """Return once the other side takes nothing more from here. Not beside `send`."""

    async def ignore(self) -> None:
        """Take nothing more from the other side; what was sent from here still arrives."""

    async def reset(self) -> None:
        """Give the stream up in both directions. Never fails; harmless after the end."""


class Connection(Protocol):
    """An authenticated connection to the holder of one key.

    Attributes:
        peer: the DID of the key that the other side proved to hold.
        dialled: whether this side dialled.
    """

    peer: Did
    dialled: bool

    async def open_stream(self) -> Stream:
        """Open a stream, waiting while the peer allows no more.

        Raises:
            ConnectionEnded: the connection is gone.
        """

    async def accept_stream(self) -> Stream:
        """Return the next stream that the peer opened.

        Raises:
            ConnectionEnded: the connection is gone.
        """

    def figures(self) -> LinkFigures:
        """Return what the transport measured so far."""

    def probe(self) -> None:
        """Send something small that the peer's transport must acknowledge.

        If `figures().received_bytes` then does not grow for a while, the link is dead. Costs no
        stream and asks nothing of the peer's program. Never fails.
        """

    async def close(self, why: str) -> None:
        """End the connection and tell the peer why. Never fails; harmless after the end."""

    async def ended(self) -> str:
        """Return once the connection is gone, with the reason."""


class Transport(Protocol):
    """One end: a key, addresses, and connections in and out."""

    did: Did

    async def start(self) -> None:
        """Bind and begin to accept; once."""

    def addresses(self) -> tuple[str, ...]:
        """Return where others can dial this transport; empty before `start`."""

    def place_of(self, address: str) -> str | None:
        """Return at what place an address is, of which few are one person's; None: nobody knows."""

    async def dial(self, did: Did, *, addresses: tuple[str, ...], deadline_ms: int) -> Connection:
        """Connect to the holder of `did` at one of `addresses`.

        Raises:
            DialFailed: nobody answered in time, or whoever did holds another key.
        """

    async def accept(self) -> Connection:
        """Return the next connection whose handshake succeeded.

        A failed handshake is not shown here and ends nothing.

        Raises:
            ConnectionEnded: the transport was closed.
        """

    async def close(self) -> None:
        """End all connections and give the addresses back. Harmless when repeated."""
