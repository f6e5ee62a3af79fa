"""Operations that came before what they follow."""

from __future__ import annotations

from collections.abc import Sequence

from opkit.proof.operations import ReadOperation
from opkit.wire.base import Did, RecordId


class Waiting:
    """What waits, so many of each author: of one who has more, the oldest goes.

    What goes is no loss: a peer gives it again, after what it follows.
    """

    def __init__(self, of_author_max: int) -> None:
        """Begin empty."""
        self._max = of_author_max
        self._reads: dict[RecordId, ReadOperation] = {}
        self._absent: dict[RecordId, set[RecordId]] = {}
        self._waiters: dict[RecordId, set[RecordId]] = {}
        self._of: dict[Did, dict[RecordId, None]] = {}
        self._arrived: dict[RecordId, None] = {}
        self._ready: dict[RecordId, ReadOperation] = {}

    def __len__(self) -> int:
        """Return how many wait."""
        return len(self._reads) + len(self._ready)

    def wants(self, operation: RecordId) -> bool:
        """Return whether something waits for an operation."""
        return operation in self._waiters

    def wanted(self) -> tuple[RecordId, ...]:
        """Return what is waited for and does not wait itself, in order."""
        known = (self._reads, self._ready, self._arrived)
        return tuple(sorted(each for each in self._waiters if not any(each in of for of in known)))

    def put(self, read: ReadOperation, absent: Sequence[RecordId]) -> None:
        """Have an operation wait for others."""
        if read.id in self._reads:
            return
        of = self._of.setdefault(read.operation.did, {})
        if len(of) >= self._max:
            self._drop(next(iter(of)))
        of[read.id] = None
        self._reads[read.id] = read
        self._absent[read.id] = set(absent)
        for each in absent:
            self._waiters.setdefault(each, set()).add(read.id)

    def arrived(self, operation: RecordId) -> None:
        """Have what waited for an operation wait for it no more."""
        if operation in self._waiters:
            self._arrived[operation] = None

    def next(self) -> ReadOperation | None:
        """Return the next one that waits for nothing any more, and forget it."""
        while self._arrived and not self._ready:
            first = next(iter(self._arrived))
            del self._arrived[first]
            self._release(first)
        return self._ready.pop(next(iter(self._ready))) if self._ready else None

    def _release(self, arrived: RecordId) -> None:
        for each in sorted(self._waiters.pop(arrived, ())):
            self._absent[each].discard(arrived)
            if not self._absent[each]:
                self._ready[each] = self._drop(each)

    def _drop(self, operation: RecordId) -> ReadOperation:
        for each in self._absent.pop(operation):
            waiters = self._waiters[each]
            waiters.discard(operation)
            if not waiters:
                del self._waiters[each]
        read = self._reads.pop(operation)
        of = self._of[read.operation.did]
        del of[operation]
        if not of:
            del self._of[read.operation.did]
        return read
