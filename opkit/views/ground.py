"""Where everything stands on the map of a network: what follows from which nodes there are.

Nodes and links stay while figures change, so that a ground is laid out once and drawn on often.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property, lru_cache
from typing import Final

from opkit.views.labels import Box, Place, Room, Size, between, flag_size, name_box, plain_size

CROWDED: Final = 6
"""From so many nodes on, lines are labelled only where there is something to say."""

GROUNDS_MAX: Final = 32
"""How many grounds are kept: those of each node selected, in each shape."""

Pair = tuple[str, str]
"""The organisations of a link's two nodes."""

_BOW: Final = 26
"""How far the ends of a bow lie below its middle, in hundredths of the map's height."""

_NAMED_ABOVE: Final = 49
"""Nodes that stand higher than this have their names above them, the others below."""

_FIELDS: Final = (Size(20.7, 29), Size(46, 9))
"""How large the map of a few nodes is: in the console, and on the network's page."""

_CROWDED_FIELDS: Final = {False: (Size(50, 12.5),), True: (Size(12.7, 34),)}
"""How large the map of many nodes is, by whether it is tall."""

_CIRCLE_REM: Final = 4.0
_CROWDED_CIRCLE_REM: Final = 3.0


def ring(count: int, *, tall: bool = False) -> tuple[Place, ...]:
    """Return the places of so many nodes, first to last clockwise; the same count, the same places.

    A few stand on a ring: an odd number has one on top, an even number stands on a flat side. Many
    stand on two bows, one above the other, so that there is room for their names; on a tall map
    they stand on a ring with one on top.
    """
    if count >= CROWDED and not tall:
        above = count - count // 2
        return (*_bow(above, top=True), *reversed(_bow(count - above, top=False)))
    flat = count % 2 == 0 and count < CROWDED
    start = -math.pi / 2 - (math.pi / count if flat else 0)
    angles = [start + 2 * math.pi * index / count for index in range(count)]
    xs = _fitted([math.cos(angle) for angle in angles])
    ys = _fitted([math.sin(angle) for angle in angles])
    return tuple(Place(round(x, 2), round(y, 2)) for x, y in zip(xs, ys, strict=True))


def _bow(count: int, *, top: bool) -> tuple[Place, ...]:
    xs = [index / (count - 1) * 100 for index in range(count)]
    ys = [_BOW * (x / 50 - 1) ** 2 for x in xs]
    return tuple(
        Place(round(x, 2), round(y if top else 100 - y, 2)) for x, y in zip(xs, ys, strict=True)
    )


def _fitted(values: Sequence[float]) -> list[float]:
    """Return values stretched to the whole of the map; all in its middle if they are the same."""
    bottom, top = min(values), max(values)
    if top - bottom < 1e-9:
        return [50.0] * len(values)
    return [(value - bottom) / (top - bottom) * 100 for value in values]


@lru_cache(maxsize=GROUNDS_MAX)
def ground_of(
    titles: tuple[tuple[str, str], ...],
    pairs: tuple[Pair, ...],
    *,
    selected: str = "",
    tall: bool = False,
) -> Ground:
    """Return the ground of a map, laid out before if it is the same as before.

    Args:
        titles: each node's organisation and its title, in their order.
        pairs: the links.
        selected: the organisation whose node is selected, or empty.
        tall: it stands in a narrow column: many nodes then have their names beside them.
    """
    return Ground(titles, pairs, selected=selected, tall=tall)


class Ground:
    """The places of nodes, and those where figures and flags stand on the lines between them.

    Attributes:
        places: where each organisation's node stands.
        crowded: there are so many that only what says something is labelled.
        tall: they are crowded in a narrow column.
    """

    def __init__(
        self,
        titles: tuple[tuple[str, str], ...],
        pairs: tuple[Pair, ...],
        *,
        selected: str,
        tall: bool,
    ) -> None:
        """Lay out nodes; places on lines are found when they are first asked for."""
        self.crowded = len(titles) >= CROWDED
        self.tall = tall and self.crowded
        self._titles = dict(titles)
        self._pairs = pairs
        self._selected = selected
        self.places = dict(zip(self._titles, ring(len(titles), tall=tall), strict=True))
        self._order = {org: number for number, org in enumerate(self._titles)}

    def side(self, org: str) -> str:
        """Return on which side of its node a name stands."""
        place = self.places[org]
        if self.tall and abs(place.x - 50) > 1:
            return "left" if place.x < 50 else "right"
        return "above" if place.y < _NAMED_ABOVE else "below"

    @cached_property
    def figures(self) -> dict[Pair, Place]:
        """Where each link's figures stand, those of the middle last; some have no room."""
        room = self.room()
        found = {}
        among = [pair for pair in self._pairs if not self.crowded or self._selected in pair]
        for pair in sorted(among, key=lambda pair: not self._is_side(pair)):
            one, other, along = self._usual(pair)
            size = plain_size("10.0 ms" if len(self._titles) > 4 else "10.0 ms  1.2 kB/s")
            place = room.find(one, other, along=along, size=size)
            if place is not None:
                found[pair] = place
        return found

    def room(self, *, taken: bool = True) -> Room:
        """Return the room for labels: what nodes, and names where there are few, leave of it.

        Args:
            taken: whether nodes and names take room, or nothing does.
        """
        fields = _CROWDED_FIELDS[self.tall] if self.crowded else _FIELDS
        return Room(*fields, taken=self._taken if taken else ())

    def flag(self, pair: Pair, words: str, *, rooms: tuple[Room, Room]) -> Place:
        """Return where a flag stands, near its link's figures, and take the room for it.

        It is clear of what the first room holds, or else of what the second does, or else it stands
        where it may.
        """
        one, other, along = self._usual(pair)
        best = self.figures.get(pair, between(one, other, along))
        length = math.dist(one, other)
        near = math.dist(one, best) / length if length else along
        size = flag_size(words, small=self.crowded)
        found = (room.find(one, other, along=near, size=size) for room in rooms)
        place = next((each for each in found if each is not None), best)
        for room in rooms:
            room.take(Box(at=place, size=size))
        return place

    @cached_property
    def _taken(self) -> tuple[Box, ...]:
        """What nodes take, and where there are few, their names."""
        circle = _CROWDED_CIRCLE_REM if self.crowded else _CIRCLE_REM
        circles = [
            Box(at=at, size=Size(circle, circle), is_round=True) for at in self.places.values()
        ]
        names = [
            name_box(at, self._titles[org], circle_rem=circle, above=at.y < _NAMED_ABOVE)
            for org, at in self.places.items()
            if not self.crowded
        ]
        return (*circles, *names)

    def _ahead(self, pair: Pair) -> int:
        """Return how many nodes further on the ring a link ends."""
        return (self._order[pair[1]] - self._order[pair[0]]) % len(self._titles)

    def _is_side(self, pair: Pair) -> bool:
        return len(self._titles) < 4 or self._ahead(pair) in (1, len(self._titles) - 1)

    def _usual(self, pair: Pair) -> tuple[Place, Place, float]:
        """Return a link's ends and where on it its words would stand, if it were alone.

        In the middle of a side; on a diagonal at a place near its first end, clockwise. A side that
        comes down to a node whose name stands above it is labelled near its upper end, clear of the
        name. Diagonals meet in the middle of the map, where their labels would cover each other.
        Those of a selected node stand near the others' ends for the same reason.
        """
        first, second = pair if self._ahead(pair) * 2 <= len(self._titles) else pair[::-1]
        side = self._is_side(pair)
        along = 0.5 if side else 0.36
        if self.crowded and self._selected in pair:
            along = 0.7 if first == self._selected else 0.3
        one, other = self.places[first], self.places[second]
        if side and not self.crowded and one.y != other.y and max(one.y, other.y) < _NAMED_ABOVE:
            along = 0.34 if one.y < other.y else 0.66
        return one, other, along
