"""Lets the journal's oldest entries go, while the node runs: checkpoint first, then block by block.

Source: ADR 0021.
"""

from __future__ import annotations

import asyncio
import contextlib

from nodeimpl.history.keeper import Keeper
from nodeimpl.history.rules import Keeping, find_cut
from nodeimpl.history.service import History
from nodeimpl.kernel import cutting
from nodeimpl.kernel.journal import read_cut
from nodeimpl.kernel.store import Store
from nodeimpl.kernel.tx import Tx
from opkit.wire.gateway import StoreBusy

LOOK_EVERY_S = 60.0
"""How often it is looked whether something may go."""

PAUSE_S = 0.02
"""How long others have the writer to themselves between two blocks."""


class Retention:
    """What is kept of one node's journal."""

    def __init__(self, *, store: Store, history: History, keeper: Keeper, keeping: Keeping) -> None:
        """Keep the parts; `history` signs the head that stands for what goes."""
        self._store = store
        self._history = history
        self._keeper = keeper
        self._keeping = keeping

    async def run(self) -> None:
        """Look now and then, until cancelled.

        Raises:
            StoreFailed: the store broke.
            OSError: the disk is broken.
        """
        while True:
            # Busy is a full disk or a lost connection: nothing happened, and nothing is urgent.
            with contextlib.suppress(StoreBusy):
                await self.cut()
            await asyncio.sleep(LOOK_EVERY_S)

    async def cut(self) -> int:
        """Cut off what may go; return how many entries went.

        Raises:
            StoreBusy: the store could not; what is going goes on going the next time.
            StoreFailed: the store broke.
            OSError: the disk is broken.
        """
        went = await self._remove()
        size = await self._store.read(self._find)
        if size is None:
            return went
        marked = await self._keeper.keep()
        if marked is None or marked.size < size:
            # Without room for the mark: a mark before the cut could not be compared any more.
            return went
        head = self._history.sign_head()
        await self._store.write(lambda tx: cutting.checkpoint(tx, size=size, head=head))
        return went + await self._remove()

    def _find(self, tx: Tx) -> int | None:
        size = self._store.head().sequence
        return find_cut(
            self._keeping,
            begins=read_cut(tx)[0],
            size=size,
            heard=cutting.heard_by_all(tx, size=size),
            now_ms=tx.now_ms,
            at_ms=lambda sequence: cutting.at_ms(tx, sequence),
            block=cutting.BLOCK,
        )

    async def _remove(self) -> int:
        """Remove what the last checkpoint lets go, also what an earlier process began."""
        went = 0
        while await self._store.read(cutting.is_going):
            await self._store.write(cutting.remove_block)
            went += cutting.BLOCK
            await asyncio.sleep(PAUSE_S)
        return went
