"""Opening another generation, by the operator's hand, while the node does not run."""

from __future__ import annotations

import asyncio
from pathlib import Path

from nodeimpl.history.keeper import check
from nodeimpl.history.mark import MarkFile
from nodeimpl.kernel import generations
from nodeimpl.kernel.clock import Clock
from nodeimpl.kernel.errors import HistoryEmpty, HistoryLost
from nodeimpl.kernel.journal import Head
from nodeimpl.kernel.store import Store
from nodeimpl.kernel.tx import Tx
from opkit.wire.journal import GenerationOpened, HistoryPlace


async def open_generation(
    *, url: str, folder: Path, clock: Clock, reason: str = ""
) -> GenerationOpened:
    """Open a generation behind what the database at `url` has, and mark it.

    A process that is killed in between leaves the old generation or the new one, both whole: the
    new one says which mark it knew.

    Args:
        folder: the node's own, where its mark lies.
        reason: what the operator says; it stands in the journal.

    Raises:
        StoreError: the database cannot be owned, read or migrated; the node may be running.
        HistoryEmpty: neither database nor mark know of a single entry.
        OSError: the disk is broken.
    """
    file = MarkFile(folder)
    mark = await asyncio.to_thread(_read, file)
    store = await Store.open(url=url, clock=clock)
    try:
        opened = await store.write(lambda tx: _open(tx, mark, reason))
    finally:
        await store.close()
    head = Head(store.head().hash, store.tree())
    place = generations.place_of(head, generation=opened.generation)
    await asyncio.to_thread(file.write, place)
    return opened


def _open(tx: Tx, mark: HistoryPlace | None, reason: str) -> GenerationOpened:
    if mark is None and not generations.is_marked(tx) and generations.place(tx).size == 0:
        raise HistoryEmpty("this node has no history: nothing was lost")
    lost = None
    try:
        check(tx, mark)
    except HistoryLost:
        lost = mark
    at_least = mark.generation + 1 if mark is not None else 0
    return generations.open_next(tx, lost=lost, at_least=at_least, reason=reason)


def _read(file: MarkFile) -> HistoryPlace | None:
    """Return the mark; one that is damaged says as much as none."""
    try:
        return file.read()
    except HistoryLost:
        return None
