"""What was made of something, kept until that is something else.

Whatever changes, every page is drawn again, by every viewer; most of what is drawn is then made of
the very same things as the last time, and as for the viewer before.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, Final, TypeVar

KEPT_MAX: Final = 128
"""How many things are kept; what was not asked for longest goes."""

T = TypeVar("T")


class Kept:
    """Things by their keys, each with what it was made of."""

    def __init__(self, *, kept_max: int = KEPT_MAX) -> None:
        """Keep nothing yet."""
        self._kept_max = kept_max
        self._kept: OrderedDict[Hashable, tuple[object, Any]] = OrderedDict()

    def made(self, key: Hashable, of: object, make: Callable[[], T]) -> T:
        """Return what `make` returns, made anew only if it was made of something else before.

        Args:
            key: what it is; what is made in two ways has two keys.
            of: all that it is made of, to be compared; it must not change afterwards.
            make: makes it; what it raises is not kept.
        """
        held = self._kept.get(key)
        if held is None or held[0] != of:
            held = self._kept[key] = (of, make())
            if len(self._kept) > self._kept_max:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        thing: T = held[1]
        return thing
