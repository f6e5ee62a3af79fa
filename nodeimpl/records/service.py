"""Publishing and looking up records, and saying which blobs are here.

A record is its owner's word: the node checks it, keeps it and passes it on, and answers for none.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from nodeimpl.kernel.binding import Caller
from nodeimpl.kernel.tx import Tx
from nodeimpl.overlay.search import OnDone, Outcome
from opkit.proof import jws
from opkit.proof.cid import is_cid
from opkit.wire import overlay as wire
from opkit.wire.base import Cid, RecordId
from opkit.wire.compute import BlobUnknown, HashMalformed
from opkit.wire.reconcile import Prefix, ReconciledNamespace
from opkit.wire.records import Carried, Namespace, RecordName

Search = Callable[[Callable[[OnDone, int], None]], Awaitable[Outcome]]
"""Begins a search by what it is given, and returns what came of it."""


class Network(Protocol):
    """What this domain asks of the overlay; each call begins a search that ends by `on_done`."""

    def get(self, namespace: Namespace, name: RecordName, on_done: OnDone, now_ms: int) -> None:
        """Find what stands under a name."""

    def locate(self, target: int, on_done: OnDone, now_ms: int) -> None:
        """Find who is near a place."""

    def publish(self, carried: Carried, on_done: OnDone, now_ms: int) -> None:
        """Keep a record, announce it, and have the nearest keep it."""

    def provide(self, cid: Cid, size_bytes: int, on_done: OnDone, now_ms: int) -> None:
        """Say that a blob is here."""


class Kept(Protocol):
    """What this domain asks of the blob store."""

    def size(self, cid: Cid) -> int | None:
        """Return how many bytes a blob has that is here."""


class Records:
    """Answers members about the network's records."""

    def __init__(
        self,
        *,
        network: Network,
        search: Search,
        show: Callable[[], wire.Overlay],
        below: Callable[[ReconciledNamespace, Prefix], wire.KeptBelow],
        place_of: Callable[[Namespace, RecordName], int],
        blobs: Kept,
    ) -> None:
        """Keep the parts.

        Args:
            search: begins a search of `network`'s and waits for its end.
            show: gathers what an operator is shown.
            below: says what is here of the records that nodes compare.
            place_of: where in the overlay a name lies.
        """
        self._network = network
        self._search = search
        self._show = show
        self._below = below
        self._place_of = place_of
        self._blobs = blobs

    async def find(self, ask: wire.AskRecords, caller: Caller | None) -> wire.FoundRecords:
        """Find what stands under a name. Refuses: LookupsFull."""
        found = await self._search(
            lambda done, now: self._network.get(ask.namespace, ask.name, done, now)
        )
        return wire.FoundRecords(
            records=found.records,
            hops=found.hops,
            asked=found.asked,
            silent=found.silent,
            took_ms=found.took_ms,
        )

    async def route(self, ask: wire.AskRoute, caller: Caller | None) -> wire.Route:
        """Find who is nearest to a name. Refuses: LookupsFull."""
        place = self._place_of(ask.namespace, ask.name)
        found = await self._search(lambda done, now: self._network.locate(place, done, now))
        return wire.Route(
            contacts=found.contacts,
            hops=found.hops,
            asked=found.asked,
            silent=found.silent,
            took_ms=found.took_ms,
        )

    async def state(self, ask: wire.AskOverlay, caller: Caller | None) -> wire.Overlay:
        """Say what the node knows of the network around it."""
        return self._show()

    async def below(self, ask: wire.AskBelow, caller: Caller | None) -> wire.KeptBelow:
        """Say what is here whose ids begin with some digits."""
        return self._below(ask.namespace, ask.prefix)

    async def spread(self, ask: wire.PublishRecord, caller: Caller | None) -> int:
        """Have a record kept and announced; return with how many others it is.

        The record carries its owner's word, not the node's, so it may leave before the node has
        journalled that it was published here. Refuses: as `PUBLISH` says.
        """
        done = await self._search(lambda done, now: self._network.publish(ask.carried, done, now))
        return done.kept

    def publish(
        self, tx: Tx, ask: wire.PublishRecord, caller: Caller | None, holders: int
    ) -> wire.Published:
        """Journal that a record was published here."""
        body = jws.peek(ask.carried.jws)
        record: RecordId = jws.record_id(ask.carried.jws)
        tx.announce(
            wire.RecordPublished(
                record=record,
                namespace=body.payload["aud"],
                name=body.payload["name"],
                owner=body.kid,
            )
        )
        return wire.Published(record=record, holders=holders)

    async def say_provided(self, ask: wire.ProvideBlob, caller: Caller | None) -> Outcome:
        """Say in the network that a blob is here.

        Refuses, in this order: HashMalformed, BlobUnknown, RecordsExhausted, LookupsFull.
        """
        if not is_cid(ask.cid):
            raise HashMalformed(value=ask.cid)
        size = self._blobs.size(ask.cid)
        if size is None:
            raise BlobUnknown(cid=ask.cid)
        return await self._search(lambda done, now: self._network.provide(ask.cid, size, done, now))

    def provide(
        self, tx: Tx, ask: wire.ProvideBlob, caller: Caller | None, said: Outcome
    ) -> wire.Provided:
        """Return with how many nodes it stands now that the blob is here."""
        return wire.Provided(cid=ask.cid, holders=said.kept)
