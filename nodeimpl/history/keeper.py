"""Keeps a node to its own history: refuses an old database at the start, and marks how far it came.

Nothing is signed before the mark was compared; the mark follows the journal at most once in two
seconds, in a thread, so a commit does not pay for it (ADR 0021).
"""

from __future__ import annotations

import asyncio
import errno
from pathlib import Path

from nodeimpl.history.mark import MarkFile
from nodeimpl.history.rules import find_fault
from nodeimpl.kernel import generations
from nodeimpl.kernel.errors import HistoryLost
from nodeimpl.kernel.journal import Head, read_cut
from nodeimpl.kernel.store import Store
from nodeimpl.kernel.tx import Tx
from opkit.wire.journal import HistoryPlace

MARK_EVERY_S = 2.0
"""How long the mark may lag behind a journal that grows."""

_PASSING = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM})
"""Errors of the disk after which the same may succeed later; the mark lags meanwhile."""


class Keeper:
    """The mark of one running node.

    Attributes:
        store: what it marks.
    """

    def __init__(self, store: Store, *, file: MarkFile) -> None:
        """Use `Keeper.start`."""
        self.store = store
        self._file = file
        self._kept: HistoryPlace | None = None
        self._given_up = False
        self._writing = asyncio.Lock()

    @classmethod
    async def start(cls, store: Store, *, folder: Path) -> Keeper:
        """Compare the store with the node's mark, and mark where it stands.

        A store that knows of no mark is of an earlier version, or new: it gets one.

        Args:
            folder: the node's own, where the mark lies.

        Raises:
            HistoryLost: the store is behind the mark, on another history, or its mark is gone.
            OSError: the disk is broken.
        """
        keeper = cls(store, file=MarkFile(folder))
        mark = await asyncio.to_thread(keeper._file.read)
        await store.read(lambda tx: check(tx, mark))
        kept = await keeper.keep()
        if kept is not None and not await store.read(generations.is_marked):
            # Only now: a database that says so is refused without its mark.
            await store.write(generations.set_marked)
        return keeper

    async def run(self) -> None:
        """Let the mark follow the journal until cancelled.

        Raises:
            OSError: the disk is broken.
        """
        while True:
            await self.store.journal_grew(self._kept.size if self._kept else 0)
            await self.keep()
            await asyncio.sleep(MARK_EVERY_S)

    async def give_up(self, place: HistoryPlace) -> None:
        """Mark a place that this node has signed for and does not have, and mark nothing after it.

        Others hold it. From then on the node is refused its start as behind its mark, and the next
        generation cites that place (ADR 0032).

        Raises:
            OSError: the disk is full or broken; the old mark stands.
        """
        async with self._writing:
            self._given_up = True
            await asyncio.to_thread(self._file.write, place)
            self._kept = place

    async def keep(self) -> HistoryPlace | None:
        """Mark where the journal stands now; return what is marked, older if there is no room.

        Raises:
            OSError: the disk is broken.
        """
        async with self._writing:
            cursor, frontier = self.store.head(), self.store.tree()
            place = generations.place_of(Head(cursor.hash, frontier), generation=cursor.generation)
            if self._given_up or place == self._kept:
                return self._kept
            try:
                await asyncio.to_thread(self._file.write, place)
            except OSError as error:
                if error.errno not in _PASSING:
                    raise
                return self._kept
            self._kept = place
            return place


def check(tx: Tx, mark: HistoryPlace | None) -> None:
    """Return if what a transaction sees is the history that is marked, or goes on from it.

    Raises:
        HistoryLost: it is not.
    """
    if mark is None:
        if generations.is_marked(tx):
            raise HistoryLost("the mark of this database is gone: it may be an old one")
        return
    openings = generations.openings(tx)
    fault = find_fault(
        mark,
        stands=generations.place(tx),
        hash_there=generations.hash_at(tx, mark.size),
        begins=read_cut(tx)[0],
        opening=openings[-1] if openings else None,
    )
    if fault is not None:
        raise HistoryLost(fault)
