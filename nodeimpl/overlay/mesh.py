"""One topic's mesh: to whom its messages are pushed at once, and who may not come back yet.

Both sides of a link push to each other; who leaves says for how long it wants to be left alone.
Some members are peers that this node dialled itself: who only comes from outside, however often and
however well it behaves, cannot fill the mesh.
Source: ADR 0031; gossipsub v1.1, "Prune backoff" and "Outbound mesh quotas".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from nodeimpl.overlay.gossip_limits import GossipLimits
from nodeimpl.overlay.port import Chance
from opkit.wire.base import Did

Score = Callable[[Did], float]
Dialled = Callable[[Did], bool]


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

    def takes(self, peer: Did, *, dialled: Dialled) -> bool:
        """Return whether who asks may join.

        A full mesh takes only whom this node dialled, as long as there are too few of them.
        """
        return not self.full() or (dialled(peer) and self._lacks(self.members, dialled) > 0)

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

    def tend(self, others: Sequence[Did], *, score: Score, dialled: Dialled, at_ms: int) -> Changes:
        """Return what to change: out who is worth nothing, up to enough, down from too many.

        Args:
            others: subscribers outside the mesh that might join.
            score: what a peer is worth.
            dialled: whether this node dialled a peer.
            at_ms: now, by steady time.
        """
        prunes = [peer for peer in self.members if score(peer) < 0]
        stay = [peer for peer in self.members if score(peer) >= 0]
        limits = self._limits
        if len(stay) > limits.mesh_max:
            surplus = self._surplus(stay, score, dialled)
            prunes += surplus
            stay = [peer for peer in stay if peer not in surplus]
        few, lacks = len(stay) < limits.mesh_min, self._lacks(stay, dialled)
        if not few and lacks <= 0:
            return Changes((), tuple(prunes))
        welcome = [peer for peer in others if few or dialled(peer)]
        welcome = [peer for peer in welcome if score(peer) >= 0]
        welcome = [peer for peer in welcome if not self.stays_away(peer, at_ms)]
        grafts = self._some(list(filter(dialled, welcome)), lacks)
        if few:
            rest = [peer for peer in welcome if peer not in grafts]
            grafts += self._some(rest, limits.mesh_want - len(stay) - len(grafts))
        return Changes(tuple(grafts), tuple(prunes))

    def better(self, others: Sequence[Did], *, score: Score, at_ms: int) -> tuple[Did, ...]:
        """Return up to two who are worth more than half of the mesh, if that gives nothing."""
        ranked = sorted(score(peer) for peer in self.members)
        if not ranked or ranked[len(ranked) // 2] >= 1 or self.full():
            return ()
        median = ranked[len(ranked) // 2]
        found = [each for each in others if score(each) > median]
        found = [each for each in found if not self.stays_away(each, at_ms)]
        room = self._limits.mesh_max - len(self.members)
        return tuple(self._chance.sample(found, min(2, room, len(found))))

    def _surplus(self, stay: list[Did], score: Score, dialled: Dialled) -> list[Did]:
        """Return who goes of too many.

        The best are kept, as many as should be of those that this node dialled, and of the others
        whom chance picks.
        """
        mixed = list(stay)
        self._chance.shuffle(mixed)
        mixed.sort(key=score, reverse=True)
        kept, rest = mixed[: self._limits.mesh_best], mixed[self._limits.mesh_best :]
        kept += self._some(list(filter(dialled, rest)), self._lacks(kept, dialled))
        rest = [peer for peer in rest if peer not in kept]
        kept += self._some(rest, self._limits.mesh_want - len(kept))
        return [peer for peer in rest if peer not in kept]

    def _lacks(self, members: Iterable[Did], dialled: Dialled) -> int:
        """Return how many that this node dialled are too few among some."""
        return self._limits.mesh_out - sum(map(dialled, members))

    def _some(self, peers: list[Did], count: int) -> list[Did]:
        """Return so many by chance, or all if there are fewer."""
        return self._chance.sample(peers, max(0, min(count, len(peers))))
