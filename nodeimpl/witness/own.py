"""This node's own journal before others: what it shows of it, and whether it is still its own.

What others hold of this node's key is compared before anything is signed. Who is behind takes no
change any more, raises the mark of its history, and is to end (ADR 0021, ADR 0032).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence

from nodeimpl.kernel import generations, tree
from nodeimpl.kernel.errors import HistoryLost
from nodeimpl.kernel.store import Store, Tx
from nodeimpl.witness.rules import find_own_fault
from opkit.proof.checks import ProofError
from opkit.proof.forks import Seen, examine_growth, place_of, read_seen
from opkit.wire import witness as wire
from opkit.wire.base import Did, Jws, NetworkId, RecordId
from opkit.wire.events import Cursor
from opkit.wire.journal import HistoryPlace, JournalHead

BEHIND_MAX = 32
"""How many heads are remembered that this journal does not have: the longest."""


class Own:
    """The journal of this node, as others may ask for it.

    Attributes:
        did: the node's own key.
        lost: why the node may sign nothing any more; None as long as it may.
    """

    def __init__(
        self,
        *,
        did: Did,
        network: NetworkId,
        store: Store,
        sign: Callable[[], Jws],
        mark: Callable[[HistoryPlace], Awaitable[None]],
    ) -> None:
        """Keep the parts.

        Args:
            sign: signs a head over all that is committed now.
            mark: keeps, outside the database, a place that this node has signed for.
        """
        self.did = did
        self.lost: HistoryLost | None = None
        self._network = network
        self._store = store
        self._sign = sign
        self._mark = mark
        self._behind: tuple[Seen, ...] = ()
        self._signed: tuple[Cursor, Seen] | None = None
        self.on_lost: Callable[[], None] = lambda: None

    async def grow(self, peer: Did, ask: wire.AskGrowth) -> wire.Grown:
        """Sign where the journal stands, and show that it grew from what the peer has seen.

        If it did not, nothing is signed any more; what was signed before may still be shown.

        Refuses, in this order:
            HeadRejected: this node did not sign one of the heads.
            HistoryBehind: it did, and its journal does not have what it counts.
        """
        del peer  # What is shown is the same for everybody.
        try:
            seen = [read_seen(token, node=self.did, network=self._network) for token in ask.seen]
        except ProofError as bad:
            raise wire.HeadRejected(why=bad.why) from bad
        behind = await self.hear(seen)
        if self.lost is None:
            late = self._head()
        else:
            kept = [each for each in seen if each not in behind]
            if not kept:
                raise wire.HistoryBehind(size=max((it.head.size for it in behind), default=0))
            late = max(kept, key=lambda it: (it.head.generation, it.head.size))
        return await self._store.read(lambda tx: _grown(tx, seen, late))

    async def hear(self, heads: Iterable[Seen]) -> list[Seen]:
        """Compare heads of this node's key with its journal; return those that it does not have."""
        every = list(heads)
        if not every:
            return []
        faults = await self._store.read(lambda tx: [_fault(tx, each.head) for each in every])
        behind = [(each, why) for each, why in zip(every, faults, strict=True) if why is not None]
        if behind and self.lost is None:
            why = max(behind, key=lambda it: _length(it[0]))[1]
            # Before anybody is answered, and before anything else is written.
            self._store.bar(why)
            self.lost = HistoryLost(why)
            self.on_lost()
        if behind:
            told = {each.token: each for each in (*self._behind, *(it[0] for it in behind))}
            # Others may tell of more until the node has ended; the longest is what counts.
            self._behind = tuple(sorted(told.values(), key=_length)[-BEHIND_MAX:])
        return [each for each, _ in behind]

    async def confess(self) -> wire.ForkValue | None:
        """Return the proof of this node's two histories, if it has signed enough of this one.

        Nothing is signed for it: it needs a head that was signed before.
        """
        if self._signed is None:
            return None
        late = self._signed[1]
        shown = await self._store.read(lambda tx: _grown(tx, self._behind, late))
        for lost in self._behind:
            found = examine_growth(lost, late, shown)
            if isinstance(found, wire.ForkValue):
                return found
        return None

    async def mark_lost(self) -> None:
        """Mark what this node has signed for and does not have: its next start is refused."""
        await self._mark(place_of(self._behind[-1].head))

    def _head(self) -> Seen:
        """Return a head over all that is committed; one that was signed is good until it grows."""
        cursor = self._store.head()
        if self._signed is None or self._signed[0] != cursor:
            token = self._sign()
            seen = read_seen(token, node=self.did, network=self._network)
            self._signed = (cursor, seen)
        return self._signed[1]


def _length(seen: Seen) -> tuple[int, int]:
    """Return how far a history goes that a head stands for."""
    return seen.head.generation, seen.head.size


def _fault(tx: Tx, head: JournalHead) -> str | None:
    """Return why the journal that a transaction sees is not the one of a head."""
    stands = generations.place(tx)
    return find_own_fault(
        head,
        stands=stands,
        root_there=_root(tx, head.size) if head.size <= stands.size else None,
        openings=generations.openings(tx),
    )


def _root(tx: Tx, size: int) -> RecordId:
    return tree.read_frontier(tx, size=size).root().hex()


def _grown(tx: Tx, seen: Sequence[Seen], late: Seen) -> wire.Grown:
    """Return the growth from each head that is not longer, and how later generations were opened.

    Also from those that this journal does not have: what it had instead is proof of a fork.
    """
    size = late.head.size
    sizes = sorted({each.head.size for each in seen if each.head.size <= size})
    growths = []
    for first in sizes:
        path = () if first in (0, size) else tree.consistency_path(tx, first=first, second=size)
        growths.append(
            wire.Growth(size=first, root=_root(tx, first), path=tuple(each.hex() for each in path))
        )
    oldest = min((each.head.generation for each in seen), default=late.head.generation)
    return wire.Grown(
        head=late.token, growths=tuple(growths), openings=_openings(tx, after=oldest, size=size)
    )


def _openings(tx: Tx, *, after: int, size: int) -> tuple[wire.OpeningShown, ...]:
    """Return the entries that opened generations later than `after`, with their places."""
    entries = [
        entry
        for generation, entry in generations.opening_entries(tx)
        if generation > after and entry.sequence <= size
    ]
    shown = []
    for entry in entries[-wire.OPENINGS_SHOWN_MAX :]:
        path = tree.inclusion_path(tx, index=entry.sequence - 1, size=size)
        shown.append(wire.OpeningShown(entry=entry, path=tuple(each.hex() for each in path)))
    return tuple(shown)
