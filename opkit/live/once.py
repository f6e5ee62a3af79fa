"""Values that several cards of one drawing share."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TypeVar

T = TypeVar("T")


def once(make: Callable[[], T]) -> Callable[[], T]:
    """Return what `make` returns, made when it is first asked for and never again.

    The cards of one drawing then agree with each other to the millisecond, and cost one look.
    """
    return cache(make)
