"""Many names at once: claimed side by side, and what is held already is not claimed again.

So an import that was cut off is taken up by doing it again. Nothing is remembered but by the
network itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from opkit.client.names import TERM_MS
from opkit.wire.errors import Refusal
from opkit.wire.gateway import RateExceeded
from opkit.wire.names import HomeUnreachable, NameTarget, NameText

if TYPE_CHECKING:
    from opkit.client.names import NameCalls
    from opkit.wire.base import MemberId

AT_ONCE = 16
"""How many claims are under way at once."""

PAGE = 500
"""How many names are asked for at once, to see what is held already."""


@dataclass(frozen=True, kw_only=True)
class Claimed:
    """What became of one name: `refusal` is None if it is held; `before` says that it was."""

    name: NameText
    before: bool = False
    refusal: Refusal | None = None


async def hold_all(
    calls: NameCalls,
    wanted: Mapping[NameText, NameTarget],
    *,
    member_id: MemberId,
    term_ms: int = TERM_MS,
    at_once: int = AT_ONCE,
) -> AsyncGenerator[Claimed, None]:
    """Claim names, and yield what becomes of each, in whatever order that is known.

    Args:
        calls: by whose client.
        wanted: what each name is to stand for.
        member_id: who claims them.
        term_ms: for how long.
        at_once: how many claims are under way.

    Raises:
        HomeUnreachable: the home node is away: what is held stays so, do it again later.
        Unreachable, Fault: the node is away or broken: the same.
    """
    held = {each.name: each.target async for each in calls.list(owner=member_id, page=PAGE)}
    left = []
    for name, target in wanted.items():
        if held.get(name) == target:
            yield Claimed(name=name, before=True)
        else:
            left.append((name, target))
    async for each in _claim(calls, left, term_ms=term_ms, at_once=at_once, member_id=member_id):
        yield each


async def _claim(
    calls: NameCalls,
    wanted: Iterable[tuple[NameText, NameTarget]],
    *,
    member_id: MemberId,
    term_ms: int,
    at_once: int,
) -> AsyncGenerator[Claimed, None]:
    """Claim names side by side; who stops listening ends what is under way."""
    todo = (_one(calls, *each, member_id=member_id, term_ms=term_ms) for each in wanted)
    running: set[asyncio.Task[Claimed]] = set()
    try:
        while True:
            for claim in islice(todo, at_once - len(running)):
                running.add(asyncio.create_task(claim))
            if not running:
                return
            done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                yield task.result()
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def _one(
    calls: NameCalls, name: NameText, target: NameTarget, *, member_id: MemberId, term_ms: int
) -> Claimed:
    """Claim one name, as fast as the node lets."""
    while True:
        try:
            await calls.register(name, target, term_ms=term_ms, member_id=member_id)
        except RateExceeded as fast:
            await asyncio.sleep(fast.retry_after_ms / 1_000)
        except HomeUnreachable:
            raise
        except Refusal as no:
            return Claimed(name=name, refusal=no)
        else:
            return Claimed(name=name)
