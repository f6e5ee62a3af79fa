"""The composition root: the only place where the parts of a node meet.

Whoever starts a node brings what differs between worlds (identity, transport, clock, sandbox) and
closes it afterwards; the node owns what it made itself: store, blobs, peers, domains, app.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from fastapi import FastAPI

import opkit
from nodeimpl.carding import Carding
from nodeimpl.cards.routes import routes as cards_routes
from nodeimpl.compute.routes import routes as compute_routes
from nodeimpl.compute.service import Compute
from nodeimpl.config import NodeConfig
from nodeimpl.discovering import join_discovery
from nodeimpl.discovery.routes import routes as discovery_routes
from nodeimpl.history.keeper import Keeper
from nodeimpl.history.retention import Retention
from nodeimpl.history.routes import routes as history_routes
from nodeimpl.history.service import History
from nodeimpl.kernel.blobs import BlobStore
from nodeimpl.kernel.clock import Clock
from nodeimpl.kernel.collect import Collector
from nodeimpl.kernel.folders import make_folder
from nodeimpl.kernel.store import Store
from nodeimpl.kernel.vitals import Vitals
from nodeimpl.measuring import make_metrics
from nodeimpl.naming.routes import routes as naming_routes
from nodeimpl.network.links import LinkWatch
from nodeimpl.network.routes import routes as network_routes
from nodeimpl.outside import Outside, make_records, watch_overlay
from nodeimpl.p2p.lan import Lan
from nodeimpl.p2p.peers import Peers
from nodeimpl.p2p.transport import Transport
from nodeimpl.parts import (
    Given,
    join_cards_of,
    join_coops_of,
    join_network_of,
    join_witness_of,
    lay_ground,
    make_app,
    make_collector,
    make_retention,
    open_lan_of,
    watch_links,
)
from nodeimpl.records.routes import routes as records_routes
from nodeimpl.registering import join_naming
from nodeimpl.sandbox.sandbox import Sandbox
from nodeimpl.standing import join_standing
from nodeimpl.witness.routes import routes as witness_routes
from nodeimpl.witness.service import Witness
from opkit.proof.genesis import GenesisView
from opkit.proof.keys import Identity
from opkit.wire.network import NodeStarted
from opkit.wire.records import HttpEndpoint


class Node:
    """One running node.

    Attributes:
        app: the ASGI app of its front door.
        peers: its connections.
        cards: finds agents' cards.
        overlay: its part in the network's records and announcements.
        store: its state and journal.
    """

    def __init__(
        self,
        *,
        given: Given,
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
        cards: Carding,
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
        self.cards = cards.cards
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
        endpoints: tuple[HttpEndpoint, ...] = (),
    ) -> Node:
        """Join the parts and start what runs by itself.

        Args:
            identity: the node's own; genesis names its DID for `config.node.org`.
            transport: started; closed by the caller after `close`.
            sandbox: launched before keys were loaded; closed by the caller after `close`.
            endpoints: where others are told that the front door is.

        Raises:
            StoreError: the database cannot be owned, read or migrated, or is not the newest of this
                node's history.
        """
        given = Given(
            config=config,
            identity=identity,
            genesis=genesis,
            transport=transport,
            clock=clock,
            sandbox=sandbox,
            endpoints=endpoints,
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
    async def _join(cls, given: Given, store: Store, keeper: Keeper) -> Node:
        config, clock = given.config, given.clock
        ground = await lay_ground(given, store)
        blobs, membership, peers = ground.blobs, ground.membership, ground.peers
        outside, compute = ground.outside, ground.compute
        vitals = Vitals(folder=config.node.folder, store=store, blobs=blobs, ending=given.ending)
        links = watch_links(given, peers=peers, store=store)
        network = await join_network_of(
            given, store, blobs, vitals=vitals, links=links, runs=lambda: bool(node.runs())
        )
        history = History(
            store=store, identity=given.identity, network=given.genesis.network, clock=clock
        )
        witness = await join_witness_of(
            given, keeper, history=history, outside=outside, peers=peers
        )
        names = await join_naming(
            given.identity, given.genesis, store, membership, outside, peers=peers, clock=clock
        )
        standing = join_standing(membership, outside, visitors=config.membership.visitors)
        cards = join_cards_of(given, outside=outside, peers=peers, blobs=blobs)
        collector = make_collector(given, store=store, blobs=blobs, compute=compute)
        metrics = make_metrics(
            given.sandbox, config, store, blobs, vitals, peers=peers, compute=compute
        )
        metrics.watch_collector(collector)
        metrics.watch_figures(lambda: (*witness.figures(), *standing.figures()))
        watch_overlay(metrics, outside.overlay, peers)
        metrics.watch(links.metrics)
        app = make_app(
            given,
            routes=[
                *network_routes(network),
                *standing.routes(),
                *compute_routes(compute),
                *history_routes(history),
                *witness_routes(witness),
                *naming_routes(names.naming),
                *await join_coops_of(given, store, ground, metrics=metrics),
                *cards_routes(cards.cards),
                *discovery_routes(join_discovery(outside, cards.cards, links, clock)),
                *records_routes(make_records(outside, peers=peers, blobs=blobs)),
            ],
            store=store,
            membership=membership,
            metrics=metrics,
            compute=compute,
        )
        cards.serve_own(app)
        started = NodeStarted(version=opkit.__version__, generation=store.generation)
        await store.write(lambda tx: tx.announce(started))
        node = cls(
            given=given,
            store=store,
            keeper=keeper,
            retention=make_retention(config, store=store, history=history, keeper=keeper),
            blobs=blobs,
            peers=peers,
            links=links,
            outside=outside,
            compute=compute,
            collector=collector,
            witness=witness,
            cards=cards,
            app=app,
            lan=await open_lan_of(given, outside),
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
        """End what runs by itself, also if it failed, then finish and close the store.

        Raises:
            Exception: what runs by itself failed as it was ended, by a defect of its own. What
                failed before is told by `broke`, and what the node holds is let go of all the same.
        """
        failed_before = self._work.done()
        self._work.cancel()
        await asyncio.wait({self._work})
        await self._outside.finish()
        await self.store.close()
        if not self.store.has_failed:
            await self._keeper.keep()
            error = None if failed_before or self._work.cancelled() else self._work.exception()
            if error is not None:
                raise error
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
            tasks.create_task(self.cards.run())
            if self._lan is not None:
                tasks.create_task(self._lan.run())
