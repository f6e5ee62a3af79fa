"""What one peer may use of this node, and what this node waits for."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from nodeimpl.kernel.clock import Clock
from opkit.wire.base import Did
from opkit.wire.errors import Conflict, Denied, Invalid, Lapsed, Refusal
from opkit.wire.peer import MethodUnknown, PeerRateExceeded

GUARDS_MAX = 4096
"""How many peers' accounts are remembered; the longest unused is forgotten first."""

INVALID_BLAME = 8
"""How many times as much a question weighs that is wrong in itself, whatever the answerer knows."""


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
        askable_max: of how many connected peers, the newest, it is asked whether they have a blob,
            beside those of whom the network says so.
        look_up_ms_max: how long it may take to find out who is said to have one, and as long again
            to connect with them.
        probe_ms: how often a silent link is probed.
        silent_probes_max: probes without an acknowledgement after which a link is dead.
        dial_ms_max: how long one attempt to connect may take; the next one starts earlier.
        backoff_ms_min: the pause between the first attempts to connect; it grows by half.
        backoff_ms_max: the longest pause between attempts.
        refused_ms: the pause after a peer refused the hello.
        crossing_ms: two connections made within this time crossed each other on the way.
        retire_ms: how long a replaced connection may still finish its questions, and one that stays
            beside a newer one may be silent.
        cast_bytes_per_second_max: casts of one peer that are read, after a burst of four times as
            many bytes; each counts for a kilobyte more than it has. What is more has to wait.
        unsent_bytes_max: casts of one kind that wait for one link; more are dropped.
        dialling_max: peers that are dialled at once because somebody wants to ask them.
        linked_max: connections beyond which those are ended that were dialled to ask something,
            the longest unused first.
        ban_ms: how long nothing is taken of a peer that broke the protocol.
        blame_max: what refused questions of one peer may weigh (`blame_of`) before it is banned.
        forgiven_per_second: how much of that is forgotten in a second.
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
    askable_max: int = 16
    look_up_ms_max: int = 2_000
    probe_ms: int = 500
    silent_probes_max: int = 3
    dial_ms_max: int = 4_000
    dials_at_once_max: int = 10
    backoff_ms_min: int = 100
    backoff_ms_max: int = 400
    refused_ms: int = 10_000
    crossing_ms: int = 3_000
    retire_ms: int = 1_000
    cast_bytes_per_second_max: int = 2 * 2**20
    unsent_bytes_max: int = 4 * 2**20
    dialling_max: int = 32
    linked_max: int = 128
    ban_ms: int = 60_000
    blame_max: int = 2_048
    forgiven_per_second: int = 32


def blame_of(no: Refusal) -> int:
    """Return how much a refused question speaks against whoever asked it.

    What is wrong in itself no honest program asks; that it may not, comes too late, or too often,
    an honest one may learn only by asking. What the node itself lacks speaks against nobody.
    """
    if isinstance(no, Invalid) and not isinstance(no, MethodUnknown):
        return INVALID_BLAME
    known_late = isinstance(no, Denied | Lapsed | Conflict | MethodUnknown | PeerRateExceeded)
    return 1 if known_late else 0


class _Bucket:
    """Tokens that are earned at a rate, up to a burst."""

    def __init__(self, *, clock: Clock, per_second: int, burst: int) -> None:
        """Begin full."""
        self._clock = clock
        self._per_second = per_second
        self._burst = float(burst)
        self._tokens = self._burst
        self._counted_at = clock.monotonic()

    def missing(self, count: int) -> float:
        """Return how many tokens are missing to take `count`; 0 if there are enough."""
        now = self._clock.monotonic()
        earned = (now - self._counted_at) * self._per_second
        self._tokens = min(self._burst, self._tokens + earned)
        self._counted_at = now
        return max(0.0, count - self._tokens)

    def take(self, count: int) -> None:
        """Take tokens, also more than there are: then `missing(0)` says how many."""
        self._tokens -= count

    def fill(self) -> None:
        """Have a whole burst again."""
        self._tokens = self._burst


class Guard:
    """One peer's account: what it uses now, and how fast it asks."""

    def __init__(self, *, clock: Clock, limits: PeersLimits) -> None:
        """Open an account with a full burst."""
        self.streams = 0
        self.blob_streams = 0
        self.frame_bytes = 0
        self._casts = _Bucket(
            clock=clock,
            per_second=limits.cast_bytes_per_second_max,
            burst=4 * limits.cast_bytes_per_second_max,
        )
        self._patience = _Bucket(
            clock=clock, per_second=limits.forgiven_per_second, burst=limits.blame_max
        )
        self._limits = limits
        self._asks = _Bucket(
            clock=clock,
            per_second=limits.asks_per_second_max,
            burst=2 * limits.asks_per_second_max,
        )

    def ask(self) -> None:
        """Count one question.

        Raises:
            PeerRateExceeded: too fast, or too many at once.
        """
        if self._asks.missing(1):
            raise PeerRateExceeded(limit=self._limits.asks_per_second_max)
        if self.streams >= self._limits.streams_max:
            raise PeerRateExceeded(limit=self._limits.streams_max)
        self._asks.take(1)

    def blame(self, no: Refusal) -> bool:
        """Count a refused question, and return whether this was one too many.

        Then counting begins anew: whoever is told acts once, not for each that is under way.
        """
        self._patience.take(blame_of(no))
        lost = self._patience.missing(0) > 0
        if lost:
            self._patience.fill()
        return lost

    def hear(self, size_bytes: int) -> float:
        """Count a cast, and return how many seconds its reader waits before the next."""
        self._casts.take(size_bytes)
        return self._casts.missing(0) / self._limits.cast_bytes_per_second_max

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


class Bans:
    """Peers of which nothing is taken for a while; the oldest ban gives way where there are many.

    A key costs nothing, so a ban keeps out a program that is broken, and slows down who is not.
    """

    def __init__(self, clock: Clock) -> None:
        """Begin with nobody."""
        self._clock = clock
        self._until_ms: OrderedDict[Did, int] = OrderedDict()

    def add(self, peer: Did, *, ms: int) -> None:
        """Ban `peer` for so long from now."""
        self._until_ms.pop(peer, None)
        self._until_ms[peer] = self._clock.now_ms() + ms
        if len(self._until_ms) > GUARDS_MAX:
            self._until_ms.popitem(last=False)

    def left_ms(self, peer: Did) -> int:
        """Return for how long `peer` is banned still; 0 if it is not."""
        left = self._until_ms.get(peer, 0) - self._clock.now_ms()
        if left > 0:
            return left
        self._until_ms.pop(peer, None)
        return 0

    def standing(self) -> tuple[Did, ...]:
        """Return who is banned, in order."""
        return tuple(sorted(did for did in tuple(self._until_ms) if self.left_ms(did)))


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
