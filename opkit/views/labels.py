"""Where words stand on a map's lines, so that none lies over another, over a node or over its name.

A map's places are parts of its size, and its size depends on the screen. So labels are kept apart
on each of the fields that a map is drawn on, in the sizes that its style gives them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple


class Place(NamedTuple):
    """A place on the map, in hundredths of its width and height."""

    x: float
    y: float


class Size(NamedTuple):
    """Width and height in rem: a field's, or a label's on it."""

    width: float
    height: float


@dataclass(frozen=True, kw_only=True)
class Box:
    """Something that takes room: a place, how large it is, and by how much it stands off.

    What is round takes the room of a circle as wide as it is.
    """

    at: Place
    size: Size
    down_rem: float = 0
    is_round: bool = False


_CHAR_REM: Final = 0.46
"""How wide a letter of a label is, about."""

_SMALL_CHAR_REM: Final = 0.4

_TITLE_CHAR_REM: Final = 0.6
"""How wide a letter of a node's name is, about."""

_TITLE_WIDTH_REM: Final = 13.0
_LINE_REM: Final = 1.3
_ALONG: Final = (0.0, 0.08, -0.08, 0.16, -0.16, 0.24, -0.24, 0.32, -0.32)
"""How far from where it would stand a label may move along its line, best first."""
_ENDS: Final = 0.16
"""How near to an end of its line a label may stand."""


def plain_size(words: str) -> Size:
    """Return how large a figure on a line is."""
    return Size(_CHAR_REM * len(words) + 1, _LINE_REM)


def flag_size(words: str, *, small: bool = False) -> Size:
    """Return how large a flag on a line is; on a map of many nodes it is small."""
    if small:
        return Size(_SMALL_CHAR_REM * len(words) + 1.3, 1.4)
    return Size(_CHAR_REM * len(words) + 1.9, 1.8)


def name_box(at: Place, title: str, *, circle_rem: float, above: bool) -> Box:
    """Return the room that a node's name and its word take, above or below its circle."""
    whole = _TITLE_CHAR_REM * len(title)
    lines = math.ceil(whole / _TITLE_WIDTH_REM)
    height = _LINE_REM * (lines + 1)
    off = circle_rem / 2 + 0.5 + height / 2
    size = Size(whole / lines + 1, height)
    return Box(at=at, size=size, down_rem=-off if above else off)


class Room:
    """What is taken on a map. Whoever is put first has the better place."""

    def __init__(self, *fields: Size, taken: Sequence[Box] = ()) -> None:
        """Begin with what is there.

        Args:
            fields: the sizes in which the map is drawn on the screens that it must fit.
            taken: what no label may lie over.
        """
        self._fields = fields
        self._taken = list(taken)

    def is_clear(self, box: Box) -> bool:
        """Return whether nothing is there yet, on no field."""
        return not any(
            _overlap(box, other, on=field) for field in self._fields for other in self._taken
        )

    def find(self, one: Place, other: Place, *, along: float, size: Size) -> Place | None:
        """Return the clear place on a line that is nearest to `along`, and take it; None: none is.

        Args:
            one: the line's beginning.
            other: the line's end.
            along: where the label would stand best, 0 to 1.
            size: how large it is.
        """
        for place in _places(one, other, along=along):
            box = Box(at=place, size=size)
            if self.is_clear(box):
                self._taken.append(box)
                return place
        return None

    def take(self, box: Box) -> None:
        """Take room for what must stand where it stands."""
        self._taken.append(box)


def between(one: Place, other: Place, along: float) -> Place:
    """Return the place so far along a line."""
    return Place(one.x + (other.x - one.x) * along, one.y + (other.y - one.y) * along)


def _places(one: Place, other: Place, *, along: float) -> Iterator[Place]:
    for step in _ALONG:
        if _ENDS <= along + step <= 1 - _ENDS:
            yield between(one, other, along + step)


def _overlap(one: Box, other: Box, *, on: Size) -> bool:
    """Return whether two lie over each other; of two, at most the second is round."""
    across = abs(one.at.x - other.at.x) / 100 * on.width
    down = abs((one.at.y - other.at.y) / 100 * on.height + one.down_rem - other.down_rem)
    if other.is_round:
        beside = max(0.0, across - one.size.width / 2)
        below = max(0.0, down - one.size.height / 2)
        return math.hypot(beside, below) < other.size.width / 2
    return (
        across < (one.size.width + other.size.width) / 2
        and down < (one.size.height + other.size.height) / 2
    )
