"""What one peer may use of this node, and what this node waits for."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from nodeimpl.kernel.clock import Clock
from opkit.wire.base import Did
from opkit.wire.peer import PeerRateExceeded

GUARDS_MAX = 4096
"""How many peers' accounts are remembered; the longest unused is forgotten first."""


@dataclass(frozen=True, kw_only=True)
class PeersLimits:
    """Bounds on peers, each per peer unless it says otherwise. Configuration may only lower them.

    Attributes:
        connections_max: connections to and from everyone together.
        strangers_max: connections to peers that are no node of the genesis, together.
        streams_max: questions of one peer that are being answered at once.
        blob_streams_max: blobs that one peer fetches from here at once.
        frame_bytes_max: bytes of one peer's requests that are held at once.
        asks_per_second_max: questions of one peer, after a burst of twice as many.
        hello_ms_max: how long a new connection may take to say who it is.
        request_ms_max: how long a request frame may take to arrive.
        piece_ms_max: how long a provider may take for the next piece of a blob.
        offer_ms_max: how long more offers of a blob are waited for after the first.
        probe_ms: how often a silent link is probed.
        silent_probes_max: probes without an acknowledgement after which a link is dead.
        dial_ms_max: how long one attempt to connect may take; the next one starts earlier.
        backoff_ms_min: the pause between the first attempts to connect; it grows by half.
        backoff_ms_max: the longest pause between attempts.
        refused_ms: the pause after a peer refused the hello.
        crossing_ms: two connections made within this time crossed each other on the way.
        retire_ms: how long a replaced connection may still finish its questions.
    """

    connections_max: int = 256
    strangers_max: int = 64
    streams_max: int = 512
    blob_streams_max: int = 16
    frame_bytes_max: int = 8 * 2**20
    asks_per_second_max: int = 2_000
    hello_ms_max: int = 5_000
    request_ms_max: int = 5_000
    piece_ms_max: int = 3_000
    offer_ms_max: int = 300
    providers_max: int = 16
    probe_ms: int = 500
    silent_probes_max: int = 3
    dial_ms_max: int = 4_000
    dials_at_once_max: int = 10
    backoff_ms_min: int = 100
    backoff_ms_max: int = 400
    refused_ms: int = 10_000
    crossing_ms: int = 3_000
    retire_ms: int = 1_000


class Guard:
    """One peer's account: what it uses now, and how fast it asks."""

    def __init__(self, *, clock: Clock, limits: PeersLimits) -> None:
        """Open an account with a full burst."""
        self.streams = 0
        self.blob_streams = 0
        self.frame_bytes = 0
        self._clock = clock
        self._limits = limits
        self._burst = 2.0 * limits.asks_per_second_max
        self._tokens = self._burst
        self._counted_at = clock.monotonic()

    def ask(self) -> None:
        """Count one question.

        Raises:
            PeerRateExceeded: too fast, or too many at once.
        """
        now = self._clock.monotonic()
        earned = (now - self._counted_at) * self._limits.asks_per_second_max
        self._tokens = min(self._burst, self._tokens + earned)
        self._counted_at = now
        if self._tokens < 1:
            raise PeerRateExceeded(limit=self._limits.asks_per_second_max)
        if self.streams >= self._limits.streams_max:
            raise PeerRateExceeded(limit=self._limits.streams_max)
        self._tokens -= 1

    def hold_frame(self, size_bytes: int) -> None:
        """Reserve room for a request; give it back by reducing `frame_bytes`.

        Raises:
            PeerRateExceeded: this peer's requests fill all the room it has.
        """
        if self.frame_bytes + size_bytes > self._limits.frame_bytes_max:
            raise PeerRateExceeded(limit=self._limits.frame_bytes_max)
        self.frame_bytes += size_bytes

    def open_blob(self) -> None:
        """Count a blob on its way to the peer; reduce `blob_streams` after it.

        Raises:
            PeerRateExceeded: this peer fetches too many at once.
        """
        if self.blob_streams >= self._limits.blob_streams_max:
            raise PeerRateExceeded(limit=self._limits.blob_streams_max)
        self.blob_streams += 1

    @property
    def idle(self) -> bool:
        """Whether nothing is held for this peer now."""
        return not (self.streams or self.blob_streams or self.frame_bytes)


class Guards:
    """The accounts of all peers, kept over reconnections: a new connection is no new account."""

    def __init__(self, *, clock: Clock, limits: PeersLimits) -> None:
        """Begin with no account."""
        self._clock = clock
        self._limits = limits
        self._kept: OrderedDict[Did, Guard] = OrderedDict()

    def of(self, peer: Did) -> Guard:
        """Return the account of `peer`."""
        guard = self._kept.pop(peer, None) or Guard(clock=self._clock, limits=self._limits)
        self._kept[peer] = guard
        if len(self._kept) > GUARDS_MAX:
            oldest = next((did for did, kept in self._kept.items() if kept.idle), None)
            if oldest is not None and oldest != peer:
                del self._kept[oldest]
        return guard
