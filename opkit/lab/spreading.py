"""How a record spreads: it is published, and every node is asked again and again whether it has it.

The nodes are asked one question after another each, so what is measured is when a node was *seen*
to have it: some milliseconds more than it took.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Sequence
from typing import Final

from opkit.lab.listing import Listing
from opkit.lab.nodes import NodeDesk
from opkit.views.reproverlay import Reached
from opkit.wire.overlay import BELOW, AskBelow
from opkit.wire.reconcile import ID_BYTES

WATCH_S_MAX: Final = 15
"""How long nodes are asked at most."""

EVERY_MS: Final = 10
"""How long after its answer a node is asked again: a node answers one caller only so often."""

Ids = frozenset[bytes]


class TooManyRecords(Exception):
    """There are more notes in the network than a node tells by their ids."""


async def watch_spread(
    nodes: Sequence[NodeDesk], publishing: Awaitable[object]
) -> Listing[Reached]:
    """Publish a note, and return when each node was seen to have it, the first first.

    Args:
        nodes: the first one is where it is published.
        publishing: publishes one note.

    Raises:
        TooManyRecords: more than a node tells by their ids.
        CoopError: a node refused or did not answer, or the note was not published.
    """
    before = await _ids(nodes[0])
    began = time.perf_counter()
    seen: dict[str, list[tuple[int, Ids]]] = {node.org: [] for node in nodes}
    done = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for node in nodes:
            group.create_task(_look(node, seen[node.org], began=began, done=done))
        await publishing
        new = (await _ids(nodes[0])) - before
        limit = time.perf_counter() + WATCH_S_MAX
        while not all(_after(seen[node.org], new) is not None for node in nodes):
            if time.perf_counter() > limit:
                break
            await asyncio.sleep(EVERY_MS / 1000)
        done.set()
    found = [
        Reached(org=node.org, title=node.title, after_us=_after(seen[node.org], new))
        for node in nodes
    ]
    return Listing(
        Reached,
        sorted(found, key=lambda one: (one.after_us is None, one.after_us)),
        nothing="No node was asked.",
        what_to_do="Start a network: opkit devnet up",
    )


async def _look(
    node: NodeDesk, seen: list[tuple[int, Ids]], *, began: float, done: asyncio.Event
) -> None:
    """Ask one node until all have it; what it has is noted whenever that is something else."""
    while not done.is_set():
        ids = await _ids(node)
        if not seen or seen[-1][1] != ids:
            seen.append((round(1e6 * (time.perf_counter() - began)), ids))
        await asyncio.sleep(EVERY_MS / 1000)


async def _ids(node: NodeDesk) -> Ids:
    told = await node.client.call(BELOW, AskBelow(namespace="note"))
    if told.ids is None:
        raise TooManyRecords(f"{node.org} keeps {told.records} notes")
    return frozenset(told.ids[at : at + ID_BYTES] for at in range(0, len(told.ids), ID_BYTES))


def _after(seen: list[tuple[int, Ids]], new: Ids) -> int | None:
    """Return when all that is new was there first; None if it never was."""
    return next((after_us for after_us, ids in seen if new <= ids), None)
