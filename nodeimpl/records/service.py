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
from opkit.wire.base import Cid, Did, RecordId
from opkit.wire.compute import BlobUnknown, HashMalformed
from opkit.wire.reconcile import Prefix, ReconciledNamespace
from opkit.wire.records import Carried, Namespace, RecordName

Search = Callable[[Callable[[OnDone, int], None]], Awaitable[Outcome]]
"""Begins a search by what it is given, and returns what came of it."""


Settle = Callable[[Namespace, RecordName, Did], Awaitable[None]]
"""Has what is here of an owner under a name committed, and returns then."""


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
        settle: Settle,
        own: Did,
        show: Callable[[], wire.Overlay],
        below: Callable[[ReconciledNamespace, Prefix], wire.KeptBelow],
        place_of: Callable[[Namespace, RecordName], int],
        blobs: Kept,
    ) -> None:
        """Keep the parts.

        Args:
            search: begins a search of `network`'s and waits for its end.
            settle: has what is here of an owner under a name committed, at once.
            own: the node's key.
            show: gathers what an operator is shown.
            below: says what is here of the records that nodes compare.
            place_of: where in the overlay a name lies.
        """
        self._network = network
        self._search = search
        self._settle = settle
        self._own = own
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
        journalled that it was published here. What the node itself keeps is committed when this
        returns, while others were asked. Refuses: as `PUBLISH` says.
        """
        settled: list[Awaitable[None]] = []

        def begin(done: OnDone, now_ms: int) -> None:
            self._network.publish(ask.carried, done, now_ms)
            said = jws.peek(ask.carried.jws)
            settled.append(
                self._settle(said.payload["aud"], said.payload["name"], said.payload["owner"])
            )

        done = await self._search(begin)
        await settled[0]
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
        said = await self._search(lambda done, now: self._network.provide(ask.cid, size, done, now))
        await self._settle("blob", ask.cid, self._own)
        return said

    def provide(
        self, tx: Tx, ask: wire.ProvideBlob, caller: Caller | None, said: Outcome
    ) -> wire.Provided:
        """Return with how many nodes it stands now that the blob is here."""
        return wire.Provided(cid=ask.cid, holders=said.kept)
