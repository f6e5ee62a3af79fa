"""The rules that every machine keeps at every moment, looked at after each event.

A rule that is broken ends the run: what follows a broken rule shows nothing. What only has to come
about in the end is for `devnet.sim.ending`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from devnet.sim.truth import Key, Truth
from devnet.sim.violation import Violation
from devnet.sim.world import Peer, World
from opkit.wire.records import Carried

UNVERIFIED = "nothing unverified is kept or delivered"
BACKWARDS = "a sequence never goes back at a reader"
BOUNDED = "memory keeps its bounds"

HELD_EVERY = 16
"""Of how many events of a node one is followed by counting all that it holds, which is slow."""


class Watch:
    """Looks at honest nodes.

    Attributes:
        kept_max: the most that any node held of anything.
    """

    def __init__(self, world: World, truth: Truth) -> None:
        """Look at nobody yet."""
        self.kept_max: dict[str, int] = {}
        self._world = world
        self._truth = truth
        self._bounds: dict[int, tuple[Callable[[], Mapping[str, int]], Mapping[str, int]]] = {}
        self._read: dict[int, dict[Key, int]] = {}
        self._events: dict[int, int] = {}

    def begin(
        self, peer: Peer, held: Callable[[], Mapping[str, int]], bounds: Mapping[str, int]
    ) -> None:
        """Look at a node from its start; what it read in an earlier life is forgotten.

        Args:
            peer: which one.
            held: says how many of each it holds.
            bounds: how many of each it may hold.
        """
        self._bounds[peer.index] = (held, bounds)
        self._read[peer.index] = {}

    def end(self, peer: Peer) -> None:
        """Look at a node no more."""
        self._bounds.pop(peer.index, None)

    def believed(self, peer: Peer, carried: Carried) -> None:
        """Check a record that a node keeps, or hands to whoever asked for it.

        Raises:
            Violation: nobody signed it so, or a later one of its owner was believed before.
        """
        known = self._truth.of(carried.jws)
        if known is None:
            raise Violation(UNVERIFIED, peer.index, f"it believes {carried.jws[-24:]}")
        read = self._read[peer.index]
        if read.get(known.key, 0) > known.sequence:
            why = f"{known.key} went from {read[known.key]} to {known.sequence}"
            raise Violation(BACKWARDS, peer.index, why)
        read[known.key] = known.sequence

    def touched(self, peer: Peer) -> None:
        """Check what a node holds, every so many events of it."""
        index = peer.index
        events = self._events[index] = self._events.get(index, 0) + 1
        if events % HELD_EVERY == 0:
            self.holds(peer)

    def holds(self, peer: Peer) -> None:
        """Check what a node holds.

        Raises:
            Violation: it is more than it may be.
        """
        watched = self._bounds.get(peer.index)
        if watched is None:
            return
        held, bounds = watched
        kept_max = self.kept_max
        for name, count in held().items():
            if count > kept_max.get(name, 0):
                kept_max[name] = count
                if count > bounds.get(name, -1):
                    why = f"{name}: {count} where {bounds.get(name)} may be"
                    raise Violation(BOUNDED, peer.index, why)

    def keeps(self, peer: Peer, count: int) -> None:
        """Check how many records a node keeps: none that it was not seen to take.

        Raises:
            Violation: it keeps more than it was ever seen to believe.
        """
        read = self._read[peer.index]
        if count > len(read):
            why = f"it keeps {count} records, and was seen to take {len(read)}"
            raise Violation(UNVERIFIED, peer.index, why)
