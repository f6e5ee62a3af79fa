"""Work for a task group that may be ending.

A group that is cancelled, or one of whose tasks failed, takes nothing new, and neither does one
that is over. Whoever hands it work from outside cannot know that before, and the coroutine that it
does not take must be closed: to Python, one that nobody awaits is a defect. The group itself does
so since 3.13. Source: `asyncio.TaskGroup.create_task`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

_T = TypeVar("_T")


def begin_in(group: asyncio.TaskGroup, work: Coroutine[Any, Any, _T]) -> asyncio.Task[_T] | None:
    """Return the task that does `work` in `group`; None if the group ends, and `work` is closed.

    Whoever is in the group's own body needs none of this: it is cancelled before it could ask.
    """
    try:
        return group.create_task(work)
    except RuntimeError:
        work.close()
        return None
