"""How much the gateway takes, from whom, and how fast."""

from __future__ import annotations

from dataclasses import dataclass, field

from nodeimpl.kernel.idempotency import KEYS_PER_PRINCIPAL_MAX
from opkit.wire.compute import BLOB_BYTES_MAX


@dataclass(frozen=True, kw_only=True)
class Rate:
    """So many a second in the long run, and so many at once after a pause."""

    per_second: int
    burst: int

    def __post_init__(self) -> None:
        """Refuse a rate that would let nothing pass."""
        assert self.per_second > 0 and self.burst > 0, self


@dataclass(frozen=True, kw_only=True)
class GatewayLimits:
    """Bounds of the front door. The configuration may only lower these.

    Attributes:
        address_rate: asks from one address. On loopback everybody shares it.
        principal_rate: asks of one member.
        open_rate: asks from one address to endpoints that take no token and cost a signature.
        fresh_rate: tokens from one address that were not verified before: each costs a signature
            to look at, whoever made it up.
        beside_rate: asks from one address for metrics and the schema, which are dear to make.
        rated_max: principals and addresses whose rate is remembered.
        body_bytes_max: the greatest body of any endpoint.
        body_ms_max: how long a body may take to arrive.
        bodies_bytes_max: bytes of bodies that may be on their way at once.
        unread_bytes_max: bytes of large answers that may wait to be read at once.
        unread_bytes_per_reader_max: those of one member.
        drain_bytes_max: how much of a refused body is read and dropped, so that whoever sends it
            gets to read why; beyond that the connection is closed.
        drain_ms_max: how long that may take: the refusal waits for it.
        keys_max: idempotency keys that one principal may hold.
        asks_max: asks that may be in hand at once.
        answer_ms_max: how long a domain may take to answer.
        streams_max: event streams that may be open at once.
        streams_per_principal_max: event streams of one member.
        stream_batch_ms: how long events are gathered before they are sent as one message.
        stream_entries_max: events looked at for one message.
        stream_stall_ms_max: how long one message may wait for a reader who does not read.
        tail_entries_max: how many of the last events are kept in memory for all streams.
        names: by which hosts' names the door may be called, besides those of loopback.
    """

    address_rate: Rate = field(default_factory=lambda: Rate(per_second=4_000, burst=16_000))
    principal_rate: Rate = field(default_factory=lambda: Rate(per_second=1_000, burst=4_000))
    open_rate: Rate = field(default_factory=lambda: Rate(per_second=200, burst=1_000))
    fresh_rate: Rate = field(default_factory=lambda: Rate(per_second=500, burst=4_000))
    beside_rate: Rate = field(default_factory=lambda: Rate(per_second=20, burst=200))
    rated_max: int = 10_000
    body_bytes_max: int = BLOB_BYTES_MAX
    body_ms_max: int = 30_000
    bodies_bytes_max: int = 4 * BLOB_BYTES_MAX
    unread_bytes_max: int = 16 * BLOB_BYTES_MAX
    unread_bytes_per_reader_max: int = 4 * BLOB_BYTES_MAX
    drain_bytes_max: int = 2 * BLOB_BYTES_MAX
    drain_ms_max: int = 2_000
    keys_max: int = KEYS_PER_PRINCIPAL_MAX
    asks_max: int = 1_000
    answer_ms_max: int = 60_000
    streams_max: int = 200
    streams_per_principal_max: int = 16
    stream_batch_ms: int = 8
    stream_entries_max: int = 500
    stream_stall_ms_max: int = 30_000
    tail_entries_max: int = 2_000
    names: frozenset[str] = frozenset()
