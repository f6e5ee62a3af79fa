"""A node's part in the network: joins its peers, the overlay, and the domain that looks into it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import structlog
from prometheus_client.core import CounterMetricFamily

from nodeimpl.config import PeerSection
from nodeimpl.kernel.blobs import BlobStore
from nodeimpl.kernel.clock import Clock
from nodeimpl.kernel.metrics import Figure, Metrics
from nodeimpl.kernel.store import Store, Tx
from nodeimpl.overlay.coverage import kept_below, kept_sets
from nodeimpl.overlay.gossip_state import MeshJoined, MeshLeft
from nodeimpl.overlay.namespaces import RULES
from nodeimpl.overlay.node import OverlayNode, OverlayNote
from nodeimpl.overlay.port import Contact, Outbox, key_id
from nodeimpl.overlay.search import unheard
from nodeimpl.overlay.shelf import Shelf
from nodeimpl.overlay.table import Prefix
from nodeimpl.p2p.driving import Driver
from nodeimpl.p2p.peers import Peers
from nodeimpl.records.keeping import ShelfKeeper
from nodeimpl.records.service import Records
from nodeimpl.records.telling import Telling
from opkit.proof.genesis import GenesisView
from opkit.proof.keys import Identity
from opkit.proof.record import Record, Verifier, make_record
from opkit.wire.base import Did, NetworkId
from opkit.wire.errors import Refusal
from opkit.wire.events import Event
from opkit.wire.overlay import Counted, MeshLink, Overlay, Room
from opkit.wire.records import Carried, HttpEndpoint, Namespace, NodeValue, RecordName

GOSSIP_OUTCOMES = (
    "published",
    "delivered",
    "forwarded",
    "duplicates",
    "stale",
    "rejected",
    "wanted",
    "repaired",
    "lost",
)
"""What may become of a message of gossip, besides that it is dropped."""

VERDICTS_MAX = 1_024
"""How many verdicts a node remembers: records come again within moments, or from the shelf."""

_log = structlog.get_logger("overlay")


class Outside:
    """A node's part in the overlay, and what keeps it: attributes to look at and to ask."""

    def __init__(self, own: Did, *, driver: Driver, keeper: ShelfKeeper, telling: Telling) -> None:
        """Join them; `own` is the node's key."""
        self.own = own
        self._telling = telling
        self.driver = driver
        self.overlay = driver.overlay
        self.keeper = keeper
        self._others: list[Callable[[], Coroutine[Any, Any, None]]] = []

    def run_too(self, other: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Have something run beside it that lives on the node's records; before `run`."""
        self._others.append(other)

    async def run(self) -> None:
        """Drive, keep what changes and journal what is noticed, until cancelled.

        Raises:
            StoreFailed: the store broke.
        """
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.driver.run())
            tasks.create_task(self.keeper.run())
            tasks.create_task(self._telling.run())
            for other in self._others:
                tasks.create_task(other())

    async def finish(self) -> None:
        """Keep what is left, once nothing runs any more."""
        await self.keeper.finish()


async def join_overlay(
    *,
    identity: Identity,
    genesis: GenesisView,
    known: Iterable[PeerSection],
    addresses: tuple[str, ...],
    endpoints: tuple[HttpEndpoint, ...] = (),
    peers: Peers,
    blobs: BlobStore,
    store: Store,
    clock: Clock,
    prefix: Prefix | None = None,
) -> Outside:
    """Return a node's part in the overlay, which has what it kept, says who it is, finds its way.

    Args:
        known: whom the operator named, by whom it comes in.
        addresses: where the node itself can be dialled.
        endpoints: where its front door is.
        prefix: at what place an address is, of which few contacts are taken; None: any number.

    Raises:
        StoreBusy, StoreFailed: what was kept cannot be read.
    """
    contact = Contact(did=identity.did, addresses=addresses)
    outbox = Outbox()
    signing = _Signing(identity, genesis=genesis, blobs=blobs)
    overlay = OverlayNode(
        contact=contact,
        verifier=Verifier(genesis, verdicts_max=VERDICTS_MAX),
        outbox=outbox,
        chance=random.Random(),  # noqa: S311 - spreads load and choices, hides nothing
        sign=signing.sign,
        prefix=prefix,
    )
    signing.shelf = overlay.shelf
    telling = Telling(clock=clock, announce=_announcing(store))

    def told(note: OverlayNote) -> None:
        _log_note(note)
        telling.note(note)

    driver = Driver(overlay, outbox=outbox, peers=peers, clock=clock, told=told)
    peers.find_blobs_by(driver.providers, provide=driver.provide)

    def again(record: Record) -> dict[str, Any] | None:
        """Say once more that a blob is here; if it is gone, the signing takes the word back."""
        body = record.body
        if body.owner != identity.did or body.aud != "blob" or body.value is None:
            return None
        return {**body.value, "addresses": list(addresses)}

    keeper = ShelfKeeper(overlay, store=store, clock=clock, again=again)
    await keeper.restore()
    now_ms = clock.now_ms()
    overlay.join([Contact(did=peer.did, addresses=peer.addresses) for peer in known], now_ms)
    about = NodeValue(addresses=contact.addresses, endpoints=endpoints).model_dump(mode="json")
    try:
        overlay.dht.keep("node", contact.did, about, unheard, now_ms)
    except Refusal as no:
        # The clock went back by more than anybody takes: the peers dial where they were told to.
        _log.warning("it is told to nobody where this node is", why=str(no))
    return Outside(identity.did, driver=driver, keeper=keeper, telling=telling)


class _Signing:
    """Signs the node's own records; a blob that is gone is taken back.

    Attributes:
        shelf: where what the node said before stands.
    """

    shelf: Shelf

    def __init__(self, identity: Identity, *, genesis: GenesisView, blobs: BlobStore) -> None:
        """Sign with the node's key, for its network."""
        self._identity = identity
        self._network = genesis.network
        self._blobs = blobs

    def sign(
        self, namespace: Namespace, name: RecordName, value: dict[str, Any] | None, now_ms: int
    ) -> Carried:
        """Return the record: after the last one, also if the clock went back a little since."""
        gone = namespace == "blob" and self._blobs.size(name) is None
        return next_record(
            self._identity,
            network=self._network,
            shelf=self.shelf,
            namespace=namespace,
            name=name,
            value=None if gone else value,
            now_ms=now_ms,
        )


def next_record(
    owner: Identity,
    *,
    network: NetworkId,
    shelf: Shelf,
    namespace: Namespace,
    name: RecordName,
    value: dict[str, Any] | None,
    now_ms: int,
) -> Carried:
    """Return a record of an owner's: after the last one that is here, also if the clock went back.

    Raises:
        ProofError: no reader would take it.
    """
    before = shelf.kept(namespace, name, owner.did)
    after = 0 if before is None else shelf.read(before[0]).body.sequence
    token = make_record(
        owner,
        network=network,
        namespace=namespace,
        name=name,
        value=value,
        at_ms=max(now_ms, after + 1),
        term_ms=RULES[namespace].term_ms_max,
    )
    return Carried(jws=token)


def _announcing(store: Store) -> Callable[[Sequence[Event]], Awaitable[None]]:
    """Return what journals events, all in one transaction."""

    async def announce(events: Sequence[Event]) -> None:
        def record(tx: Tx) -> None:
            for event in events:
                tx.announce(event)

        await store.write(record)

    return announce


def _log_note(note: OverlayNote) -> None:
    """Log what the overlay noticed: who joined or left a mesh only for whoever looks closely."""
    what, said = type(note).__name__, str(note)[:1_024]
    if isinstance(note, MeshJoined | MeshLeft):
        _log.debug("a mesh changed", what=what, note=said)
    else:
        _log.info("the overlay noticed something", what=what, note=said)


def make_records(outside: Outside, *, peers: Peers, blobs: BlobStore) -> Records:
    """Return the records domain, which looks through the overlay."""
    overlay, keeper = outside.overlay, outside.keeper

    def show() -> Overlay:
        return Overlay(
            contacts=len(overlay.dht.table),
            records=_counted(overlay.shelf.by_namespace().items()),
            rooms=tuple(
                Room(sponsor=sponsor, records=room.records, bytes=room.bytes)
                for sponsor, room in overlay.shelf.rooms().items()
            ),
            mesh=tuple(
                MeshLink(
                    topic=topic,
                    did=peer.did,
                    in_mesh=peer.in_mesh,
                    score_milli=round(1_000 * peer.score),
                    slow=peer.slow,
                )
                for topic, members in overlay.gossip.mesh().items()
                for peer in members
            ),
            banned=peers.banned(),
            counts=_counted(counts_of(overlay).items()),
            sets=kept_sets(overlay.shelf),
            repaired_ms=overlay.reconciler.repaired_ms,
        )

    return Records(
        network=_Searches(overlay),
        search=outside.driver.search,
        settle=keeper.settle,
        own=outside.own,
        show=show,
        below=partial(kept_below, overlay.shelf),
        place_of=key_id,
        blobs=blobs,
    )


def _counted(counts: Iterable[tuple[str, int]]) -> tuple[Counted, ...]:
    return tuple(Counted(name=name, count=count) for name, count in sorted(counts))


class _Searches:
    """What the records domain asks of the overlay."""

    def __init__(self, overlay: OverlayNode) -> None:
        self.get = overlay.dht.get
        self.locate = overlay.dht.locate
        self.publish = overlay.publish
        self.provide = overlay.dht.provide


def watch_overlay(metrics: Metrics, overlay: OverlayNode, peers: Peers) -> None:
    """Let a scrape see what the node knows of the network, and how its gossip does."""

    def gauges() -> tuple[Figure, ...]:
        kept = overlay.shelf.held()
        return (
            ("overlay_contacts", "Nodes in the table.", len(overlay.dht.table)),
            ("overlay_records", "Records that are kept.", kept["records"]),
            ("overlay_records_unsponsored", "Those without sponsor.", kept["unsponsored"]),
            ("overlay_equivocations", "Owners who said two things.", kept["equivocations"]),
            ("overlay_banned", "Peers of which nothing is taken.", len(peers.banned())),
        )

    def messages() -> list[CounterMetricFamily]:
        told = overlay.gossip.counts
        family = CounterMetricFamily(
            "opkit_gossip_messages_total", "Messages of gossip.", labels=("outcome",)
        )
        for outcome in GOSSIP_OUTCOMES:
            family.add_metric((outcome,), getattr(told, outcome))
        family.add_metric(("dropped",), sum(told.dropped.values()))
        return [family]

    metrics.watch_figures(gauges)
    metrics.watch(messages)


def counts_of(overlay: OverlayNode) -> dict[str, int]:
    """Return how often what happened in the overlay since the node started, by machine."""
    gossip = asdict(overlay.gossip.counts)
    dropped = gossip.pop("dropped")
    told = {
        "shelf": overlay.shelf.counts,
        "dht": overlay.dht.counts,
        "gossip": gossip | {f"dropped: {why}": count for why, count in dropped.items()},
        "reconcile": overlay.reconciler.counts,
    }
    return {
        f"{machine}: {what}": count
        for machine, counts in told.items()
        for what, count in counts.items()
    }
