"""The history domain: signs where the journal stands, and shows what is in it.

A head is read from what the store has committed, so no signature is ever ahead of the disk.
"""

from __future__ import annotations

from collections.abc import Sequence

from nodeimpl.history.rules import judge_place
from nodeimpl.kernel import cutting, generations, tree
from nodeimpl.kernel.binding import Caller
from nodeimpl.kernel.clock import Clock
from nodeimpl.kernel.journal import read_size
from nodeimpl.kernel.store import Store
from nodeimpl.kernel.tx import Tx
from opkit.proof import jws
from opkit.proof.keys import Identity
from opkit.wire import journal as wire
from opkit.wire.base import Jws, NetworkId, RecordId


class History:
    """Answers for the journal of one store, under the node's key."""

    def __init__(
        self, *, store: Store, identity: Identity, network: NetworkId, clock: Clock
    ) -> None:
        """Keep the parts; `identity` is the node's own."""
        self._store = store
        self._identity = identity
        self._network = network
        self._clock = clock

    async def head(self, ask: wire.AskJournalHead, caller: Caller | None) -> wire.SignedJournalHead:
        """Sign where the journal stands: over all that anybody could have read before they asked.

        Who reads beside the writer sees what is committed a moment before the head covers it.
        """
        committed = await self._store.read(read_size)
        await self._store.journal_grew(committed - 1)
        return wire.SignedJournalHead(head=self.sign_head())

    def sign_head(self) -> Jws:
        """Return a head over all that is committed now.

        Raises:
            StoreBusy: this node signs nothing any more, for others hold more of its history.
        """
        self._store.check_unbarred()
        cursor, frontier = self._store.head(), self._store.tree()
        head = wire.JournalHead(
            network=self._network,
            aud="journal",
            node=self._identity.did,
            generation=cursor.generation,
            size=frontier.size,
            root=frontier.root().hex(),
            hash=cursor.hash,
            issued_at_ms=self._clock.now_ms(),
        )
        return jws.sign(head, typ=wire.JOURNAL_HEAD_TYP, identity=self._identity)

    async def inclusion(self, ask: wire.AskInclusion, caller: Caller | None) -> wire.InclusionProof:
        """Show that an entry is among the first so many; refuses as `judge_place` does."""
        judge_place(shown=ask.sequence, tree=ask.size, size=self._store.tree().size)
        path = await self._store.read(
            lambda tx: tree.inclusion_path(tx, index=ask.sequence - 1, size=ask.size)
        )
        return wire.InclusionProof(
            generation=self._store.generation,
            sequence=ask.sequence,
            size=ask.size,
            path=_hex(path),
        )

    async def consistency(
        self, ask: wire.AskConsistency, caller: Caller | None
    ) -> wire.ConsistencyProof:
        """Show that one tree begins another; refuses as `judge_place` does."""
        judge_place(shown=ask.first, tree=ask.second, size=self._store.tree().size)
        path = await self._store.read(
            lambda tx: tree.consistency_path(tx, first=ask.first, second=ask.second)
        )
        return wire.ConsistencyProof(
            generation=self._store.generation,
            first=ask.first,
            second=ask.second,
            path=_hex(path),
        )

    def origin(
        self, tx: Tx, ask: wire.AskJournalOrigin, caller: Caller | None, _: None
    ) -> wire.JournalOrigin:
        """Tell which histories the journal went through, and where it begins."""
        return wire.JournalOrigin(
            generation=self._store.generation,
            openings=generations.openings(tx),
            cut=cutting.last_checkpoint(tx),
        )


def _hex(path: Sequence[bytes]) -> tuple[RecordId, ...]:
    return tuple(each.hex() for each in path)
