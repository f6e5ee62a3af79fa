"""One topic's mesh: to whom its messages are pushed at once, and who may not come back yet.

Both sides of a link push to each other; who leaves says for how long it wants to be left alone.
Source: ADR 0031; gossipsub v1.1, "Prune backoff".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nodeimpl.overlay.gossip_limits import GossipLimits
from nodeimpl.overlay.port import Chance
from opkit.wire.base import Did


@dataclass(frozen=True, slots=True)
class Changes:
    """Whom to take in, and whom to leave out."""

    grafts: tuple[Did, ...]
    prunes: tuple[Did, ...]


class Mesh:
    """The members of one topic's mesh.

    Members stand in the order in which they came: a choice among them depends on `Chance` alone.
    """

    def __init__(self, *, limits: GossipLimits, chance: Chance) -> None:
        """Begin empty."""
        self.members: dict[Did, None] = {}
        self._limits = limits
        self._chance = chance
        self._back_offs: dict[Did, int] = {}

    def held(self) -> int:
        """Return how much is kept."""
        return len(self.members) + len(self._back_offs)

    def stays_away(self, peer: Did, at_ms: int) -> bool:
        """Return whether a peer left, or was left out, too short a time ago."""
        return self._back_offs.get(peer, 0) > at_ms

    def full(self) -> bool:
        """Return whether nobody more may join."""
        return len(self.members) >= self._limits.mesh_max

    def hungry(self) -> bool:
        """Return whether one more is welcome."""
        return len(self.members) < self._limits.mesh_want

    def leave(self, peer: Did, *, until_ms: int) -> None:
        """Take a peer out, and not in again before a time."""
        self.members.pop(peer, None)
        self._back_offs[peer] = max(until_ms, self._back_offs.get(peer, 0))

    def gone(self, peer: Did) -> None:
        """Take a peer out whose link is gone; its back-off stays."""
        self.members.pop(peer, None)

    def age(self, at_ms: int) -> None:
        """Forget back-offs that are over; no more stay than there are peers and remembered ones."""
        over = [peer for peer, until_ms in self._back_offs.items() if until_ms <= at_ms]
        for peer in over:
            del self._back_offs[peer]
        excess = len(self._back_offs) - self._limits.remembered_max
        for peer in list(self._back_offs)[: max(0, excess)]:
            del self._back_offs[peer]

    def tend(self, others: Sequence[Did], *, score: Callable[[Did], float], at_ms: int) -> Changes:
        """Return what to change: out who is worth nothing, up to enough, down from too many.

        Args:
            others: subscribers outside the mesh that might join.
            score: what a peer is worth.
            at_ms: now, by steady time.
        """
        prunes = [peer for peer in self.members if score(peer) < 0]
        stay = [peer for peer in self.members if score(peer) >= 0]
        limits = self._limits
        if len(stay) > limits.mesh_max:
            prunes += self._surplus(stay, score)
        if len(stay) >= limits.mesh_min:
            return Changes((), tuple(prunes))
        welcome = [peer for peer in others if score(peer) >= 0]
        welcome = [peer for peer in welcome if not self.stays_away(peer, at_ms)]
        lacking = min(limits.mesh_want - len(stay), len(welcome))
        return Changes(tuple(self._chance.sample(welcome, lacking)), tuple(prunes))

    def better(
        self, others: Sequence[Did], *, score: Callable[[Did], float], at_ms: int
    ) -> tuple[Did, ...]:
        """Return up to two who are worth more than half of the mesh, if that gives nothing."""
        ranked = sorted(score(peer) for peer in self.members)
        if not ranked or ranked[len(ranked) // 2] >= 1 or self.full():
            return ()
        median = ranked[len(ranked) // 2]
        found = [each for each in others if score(each) > median]
        found = [each for each in found if not self.stays_away(each, at_ms)]
        room = self._limits.mesh_max - len(self.members)
        return tuple(self._chance.sample(found, min(2, room, len(found))))

    def _surplus(self, stay: list[Did], score: Callable[[Did], float]) -> list[Did]:
        """Return who goes of too many: the best are kept, and of the others whom chance picks."""
        mixed = list(stay)
        self._chance.shuffle(mixed)
        mixed.sort(key=score, reverse=True)
        best, rest = mixed[: self._limits.mesh_best], mixed[self._limits.mesh_best :]
        kept = self._chance.sample(rest, self._limits.mesh_want - len(best))
        return [peer for peer in rest if peer not in kept]
