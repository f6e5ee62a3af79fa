"""The composition root: the only place where the parts of a node meet.

Whoever starts a node brings what differs between worlds (identity, transport, clock, sandbox) and
closes it afterwards; the node owns what it made itself: store, blobs, peers, domains, app.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from fastapi import FastAPI

import opkit
from nodeimpl import configured
from nodeimpl.compute.routes import routes as compute_routes
from nodeimpl.compute.service import Compute
from nodeimpl.config import NodeConfig
from nodeimpl.gateway.app import build_app
from nodeimpl.history.keeper import Keeper
from nodeimpl.history.retention import Retention
from nodeimpl.history.routes import routes as history_routes
from nodeimpl.history.service import History
from nodeimpl.kernel.binding import Route
from nodeimpl.kernel.blobs import BlobStore
from nodeimpl.kernel.clock import Clock
from nodeimpl.kernel.collect import Collector
from nodeimpl.kernel.ending import Ending
from nodeimpl.kernel.folders import make_folder
from nodeimpl.kernel.metrics import Figure, Metrics
from nodeimpl.kernel.references import References
from nodeimpl.kernel.store import Store, Tx, metadata
from nodeimpl.kernel.vitals import Vitals
from nodeimpl.membership.routes import routes as membership_routes
from nodeimpl.membership.service import Membership
from nodeimpl.nearby import addresses_of, open_lan
from nodeimpl.network import rules as network_rules
from nodeimpl.network import store as network_store
from nodeimpl.network.links import LinkWatch
from nodeimpl.network.routes import routes as network_routes
from nodeimpl.network.service import About, Network
from nodeimpl.outside import Outside, join_overlay, make_records, watch_overlay
from nodeimpl.p2p.lan import Lan
from nodeimpl.p2p.peers import Peers
from nodeimpl.p2p.reaching import PeerAddress
from nodeimpl.p2p.transport import Transport
from nodeimpl.records.routes import routes as records_routes
from nodeimpl.sandbox.sandbox import Sandbox
from nodeimpl.witness.routes import routes as witness_routes
from nodeimpl.witness.service import Witness
from nodeimpl.witnessing import join_witness
from opkit.proof.genesis import GenesisView
from opkit.proof.keys import Identity
from opkit.wire.events import Event
from opkit.wire.network import NodeStarted, ProviderLied


@dataclass(frozen=True, kw_only=True)
class _Given:
    """What differs between worlds."""

    config: NodeConfig
    identity: Identity
    genesis: GenesisView
    transport: Transport
    clock: Clock
    sandbox: Sandbox
    ending: Ending = field(default_factory=Ending)


class Node:
    """One running node.

    Attributes:
        app: the ASGI app of its front door.
        peers: its connections.
        overlay: its part in the network's records and announcements.
        store: its state and journal.
    """

    def __init__(
        self,
        *,
        given: _Given,
        store: Store,
        keeper: Keeper,
        retention: Retention,
        blobs: BlobStore,
        peers: Peers,
        links: LinkWatch,
        outside: Outside,
        compute: Compute,
        collector: Collector,
        witness: Witness,
        app: FastAPI,
        lan: Lan | None,
    ) -> None:
        """Use `Node.start`."""
        self.did = given.identity.did
        self.store = store
        self.peers = peers
        self.overlay = outside.overlay
        self.app = app
        self._outside = outside
        self._links = links
        self._keeper = keeper
        self._retention = retention
        self._blobs = blobs
        self._transport = given.transport
        self._compute = compute
        self._ending = given.ending
        self._collector = collector
        self._witness = witness
        self._lan = lan
        self._work = asyncio.create_task(self._run(), name=f"node {self.did}")

    @classmethod
    async def start(
        cls,
        *,
        config: NodeConfig,
        identity: Identity,
        genesis: GenesisView,
        transport: Transport,
        clock: Clock,
        sandbox: Sandbox,
    ) -> Node:
        """Join the parts and start what runs by itself.

        Args:
            identity: the node's own; genesis names its DID for `config.node.org`.
            transport: started; closed by the caller after `close`.
            sandbox: launched before keys were loaded; closed by the caller after `close`.

        Raises:
            StoreError: the database cannot be owned, read or migrated, or is not the newest of this
                node's history.
        """
        given = _Given(
            config=config,
            identity=identity,
            genesis=genesis,
            transport=transport,
            clock=clock,
            sandbox=sandbox,
        )
        make_folder(config.node.folder)
        await sandbox.start()
        store = await Store.open(url=config.store_url(), clock=clock)
        try:
            # Before anything is written or signed.
            keeper = await Keeper.start(store, folder=config.node.folder)
            return await cls._join(given, store, keeper)
        except BaseException:
            await store.close()
            raise

    @classmethod
    async def _join(cls, given: _Given, store: Store, keeper: Keeper) -> Node:
        config, clock = given.config, given.clock
        blobs = BlobStore(config.node.folder / "blobs", config.store.blob_bytes_max)
        membership = Membership(
            store=store, identity=given.identity, genesis=given.genesis, clock=clock
        )
        await membership.seed()
        peers = await _make_peers(given, store)
        peers.serve_blobs(blobs)
        outside = await _join_overlay(given, peers=peers, blobs=blobs, store=store)
        compute = _make_compute(given, store=store, blobs=blobs, peers=peers, membership=membership)
        compute.serve_peers(peers)
        membership.while_revoking(compute.member_revoked)
        vitals = Vitals(folder=config.node.folder, store=store, blobs=blobs, ending=given.ending)
        network = Network(
            about=_about(given),
            genesis=given.genesis,
            store=store,
            clock=clock,
            links=(links := _watch_links(given, peers=peers, store=store)),
            blobs=blobs,
            waiting_for=lambda: () if node.runs() else ("its own tasks",),
            degraded=vitals.degraded,
            limits=network_rules.Limits(),
        )
        await network.restore()
        history = History(
            store=store, identity=given.identity, network=given.genesis.network, clock=clock
        )
        witness = await _join_witness(given, keeper, history=history, outside=outside, peers=peers)
        collector = _make_collector(given, store=store, blobs=blobs, compute=compute)
        metrics = _make_metrics(
            given, store=store, blobs=blobs, vitals=vitals, peers=peers, compute=compute
        )
        metrics.watch_collector(collector)
        metrics.watch_figures(witness.figures)
        watch_overlay(metrics, outside.overlay, peers)
        metrics.watch(links.metrics)
        app = _make_app(
            given,
            routes=[
                *network_routes(network),
                *membership_routes(membership),
                *compute_routes(compute),
                *history_routes(history),
                *witness_routes(witness),
                *records_routes(make_records(outside, peers=peers, blobs=blobs)),
            ],
            store=store,
            membership=membership,
            metrics=metrics,
        )
        started = NodeStarted(version=opkit.__version__, generation=store.generation)
        await store.write(lambda tx: tx.announce(started))
        node = cls(
            given=given,
            store=store,
            keeper=keeper,
            retention=_make_retention(config, store=store, history=history, keeper=keeper),
            blobs=blobs,
            peers=peers,
            links=links,
            outside=outside,
            compute=compute,
            collector=collector,
            witness=witness,
            app=app,
            lan=await _open_lan(given, outside),
        )
        return node

    def peer_addresses(self) -> tuple[str, ...]:
        """Return where peers can dial this node."""
        return self._transport.addresses()

    def runs(self) -> bool:
        """Return whether all that runs by itself does."""
        return not self._work.done()

    async def broke(self) -> Exception:
        """Return why the node must stop, once it must: a disk failed, or its own work did."""
        failing = [
            asyncio.create_task(self.store.failed()),
            asyncio.create_task(self._blobs.failed()),
        ]
        try:
            await asyncio.wait({*failing, self._work}, return_when=asyncio.FIRST_COMPLETED)
            for failed in failing:
                if failed.done():
                    return failed.result()
            error = self._work.exception()
            assert isinstance(error, Exception), "work that runs for ever ends by failing"
            return error
        finally:
            for failed in failing:
                failed.cancel()

    async def wind_down(
        self, *, most_ms: int, hurry: asyncio.Event, told: Callable[[tuple[str, ...]], None]
    ) -> bool:
        """Take nothing new and let running tasks end; return whether all did (`Ending`)."""
        return await self._ending.wind_down(self._compute, most_ms=most_ms, hurry=hurry, told=told)

    async def close(self) -> None:
        """End what runs by itself, also if it failed, then finish and close the store."""
        self._work.cancel()
        # Why it failed is told by `broke`; what the node holds is let go of all the same.
        await asyncio.wait({self._work})
        await self._outside.finish()
        await self.store.close()
        if not self.store.has_failed:
            await self._keeper.keep()
            return
        # What was told before the store broke is marked too: its database may have lost it.
        with contextlib.suppress(OSError):  # The disk broke with it, and the old mark stands.
            await self._keeper.keep()

    async def _run(self) -> None:
        """Own everything that runs by itself."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.peers.run())
            tasks.create_task(self._links.run())
            tasks.create_task(self._outside.run())
            tasks.create_task(self._compute.run())
            tasks.create_task(self._collector.run())
            tasks.create_task(self._keeper.run())
            tasks.create_task(self._witness.run())
            tasks.create_task(self._retention.run())
            if self._lan is not None:
                tasks.create_task(self._lan.run())


async def _make_peers(given: _Given, store: Store) -> Peers:
    """Return the connections, with who lied before and whom to stay connected with."""
    config = given.config
    return Peers(
        transport=given.transport,
        genesis=given.genesis,
        org=config.node.org,
        version=opkit.__version__,
        clock=given.clock,
        announce=_announcing(store),
        bootstrap=[
            PeerAddress(did=peer.did, addresses=peer.addresses) for peer in config.p2p.peers
        ],
        liars=await store.read(network_store.liars_known),
    )


def _watch_links(given: _Given, *, peers: Peers, store: Store) -> LinkWatch:
    """Return what watches how links do."""
    return LinkWatch(
        peers,
        orgs={node.did: node.org for node in given.genesis.genesis.nodes},
        clock=given.clock,
        announce=_announcing(store),
    )


async def _join_overlay(given: _Given, *, peers: Peers, blobs: BlobStore, store: Store) -> Outside:
    """Return the node's part in the overlay."""
    return await join_overlay(
        identity=given.identity,
        genesis=given.genesis,
        known=given.config.p2p.peers,
        addresses=addresses_of(given.config.p2p, given.transport),
        prefix=given.transport.place_of,
        peers=peers,
        blobs=blobs,
        store=store,
        clock=given.clock,
    )


async def _open_lan(given: _Given, outside: Outside) -> Lan | None:
    """Return the node's voice and ears on the local network; None if it is to have none."""
    return await open_lan(
        given.config.p2p,
        did=given.identity.did,
        network=given.genesis.network,
        transport=given.transport,
        found=outside.driver.meet,
    )


def _make_app(
    given: _Given,
    *,
    routes: list[Route],
    store: Store,
    membership: Membership,
    metrics: Metrics,
) -> FastAPI:
    """Return the node's front door."""
    return build_app(
        routes=routes,
        store=store,
        membership=membership,
        clock=given.clock,
        metrics=metrics,
        limits=configured.gateway_limits(given.config),
        ending=given.ending,
    )


def _make_retention(
    config: NodeConfig, *, store: Store, history: History, keeper: Keeper
) -> Retention:
    """Return what lets old entries of the journal go."""
    return Retention(
        store=store, history=history, keeper=keeper, keeping=configured.keeping(config)
    )


async def _join_witness(
    given: _Given, keeper: Keeper, *, history: History, outside: Outside, peers: Peers
) -> Witness:
    """Return what watches the journals of others, and answers them for this node's own."""
    return await join_witness(
        identity=given.identity,
        genesis=given.genesis,
        keeper=keeper,
        history=history,
        outside=outside,
        peers=peers,
        clock=given.clock,
    )


def _make_compute(
    given: _Given, *, store: Store, blobs: BlobStore, peers: Peers, membership: Membership
) -> Compute:
    """Return the compute domain; what it asks of others is answered by peers and membership."""
    return Compute(
        store=store,
        blobs=blobs,
        sandbox=given.sandbox,
        network=peers,
        members=membership,
        identity=given.identity,
        genesis=given.genesis,
        clock=given.clock,
        limits=configured.compute_limits(given.config),
        policy=configured.policy(given.config, given.genesis),
    )


def _make_metrics(
    given: _Given,
    *,
    store: Store,
    blobs: BlobStore,
    vitals: Vitals,
    peers: Peers,
    compute: Compute,
) -> Metrics:
    """Return what a scrape reads."""
    metrics = Metrics()
    metrics.watch_store(store)
    metrics.watch_blobs(blobs)
    metrics.watch_vitals(vitals)
    metrics.watch_figures(lambda: _figures(given, peers=peers, compute=compute))
    metrics.watch_ends(lambda: compute.executor.ends)
    engine = given.sandbox.engine
    metrics.watch_process(version=opkit.__version__, engine=f"{engine.name} {engine.version}")
    return metrics


def _figures(given: _Given, *, peers: Peers, compute: Compute) -> tuple[Figure, ...]:
    """Return what a scrape shows of connections and work."""
    sandbox = given.sandbox
    return (
        ("peers", "Peers that are connected.", len(peers.connected())),
        ("peers_wanted", "Peers to stay connected with.", len(given.config.p2p.peers)),
        ("jobs", "Jobs under way.", compute.running),
        ("workers", "Jobs that may run at once.", sandbox.slots),
        ("workers_busy", "Jobs that run now.", sandbox.running),
        ("jobs_waiting", "Jobs that wait for a worker.", sandbox.waiting),
    )


def _make_collector(
    given: _Given, *, store: Store, blobs: BlobStore, compute: Compute
) -> Collector:
    """Return what removes blobs that no domain names; all domains have declared their tables."""
    return Collector(
        store=store,
        blobs=blobs,
        references=References(metadata),
        counted=compute.parts.quotas,
        grace_ms=given.config.store.blob_grace_ms,
    )


def _about(given: _Given) -> About:
    """Return what the node says about itself for as long as it runs."""
    return About(
        did=given.identity.did,
        org=given.config.node.org,
        version=opkit.__version__,
        engine=given.sandbox.engine,
        started_ms=given.clock.now_ms(),
    )


def _announcing(store: Store) -> Callable[[Event], Awaitable[None]]:
    """Return what journals the peers' events; a liar is remembered in the same breath."""

    def work(event: Event) -> Callable[[Tx], None]:
        def record(tx: Tx) -> None:
            tx.announce(event)
            if isinstance(event, ProviderLied):
                network_store.remember_liar(tx, did=event.peer, cid=event.cid)

        return record

    async def announce(event: Event) -> None:
        await store.write(work(event))

    return announce
