"""The parts of a node, each made and joined to the others that it needs: what `node` is made of."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from fastapi import FastAPI

import opkit
from nodeimpl import configured
from nodeimpl.agreeing import join_agreements
from nodeimpl.agreements.routes import routes as agreements_routes
from nodeimpl.carding import Carding, join_cards
from nodeimpl.clearing.checking import set_aside
from nodeimpl.clearing.routes import routes as clearing_routes
from nodeimpl.compute.service import Compute
from nodeimpl.config import NodeConfig
from nodeimpl.exchanging import join_clearing
from nodeimpl.federating import Shares, join_federation, join_sharing
from nodeimpl.federation.routes import routes as federation_routes
from nodeimpl.gateway.app import build_app
from nodeimpl.governance.routes import routes as governance_routes
from nodeimpl.governing import join_governance
from nodeimpl.history.keeper import Keeper
from nodeimpl.history.retention import Retention
from nodeimpl.history.service import History
from nodeimpl.introducing import about_node, join_network
from nodeimpl.kernel.binding import Route
from nodeimpl.kernel.blobs import BlobStore
from nodeimpl.kernel.clock import Clock
from nodeimpl.kernel.collect import Collector
from nodeimpl.kernel.ending import Ending
from nodeimpl.kernel.metrics import Metrics
from nodeimpl.kernel.references import References
from nodeimpl.kernel.store import Store, Tx, metadata
from nodeimpl.kernel.timers import Timers
from nodeimpl.kernel.vitals import Vitals
from nodeimpl.ledgering import join_ledger
from nodeimpl.measuring import watch_coops
from nodeimpl.membership.service import Membership
from nodeimpl.nearby import addresses_of, open_lan
from nodeimpl.network import store as network_store
from nodeimpl.network.links import LinkWatch
from nodeimpl.network.service import Network
from nodeimpl.outside import Outside, join_overlay
from nodeimpl.p2p.lan import Lan
from nodeimpl.p2p.peers import Peers
from nodeimpl.p2p.reaching import PeerAddress
from nodeimpl.p2p.transport import Transport
from nodeimpl.sandbox.sandbox import Sandbox
from nodeimpl.witness.service import Witness
from nodeimpl.witnessing import join_witness
from opkit.proof.genesis import GenesisView
from opkit.proof.keys import Identity
from opkit.wire.events import Event
from opkit.wire.network import ProviderLied
from opkit.wire.records import HttpEndpoint


@dataclass(frozen=True, kw_only=True)
class Given:
    """What differs between worlds."""

    config: NodeConfig
    identity: Identity
    genesis: GenesisView
    transport: Transport
    clock: Clock
    sandbox: Sandbox
    endpoints: tuple[HttpEndpoint, ...] = ()
    ending: Ending = field(default_factory=Ending)


@dataclass(frozen=True, kw_only=True)
class Ground:
    """What all domains stand on: bytes, members, connections, the network around, and its work.

    Attributes:
        shares: the objects that this node keeps together with others.
    """

    blobs: BlobStore
    membership: Membership
    peers: Peers
    outside: Outside
    shares: Shares
    compute: Compute


async def lay_ground(given: Given, store: Store) -> Ground:
    """Return what the domains of a node stand on."""
    config, clock = given.config, given.clock
    blobs = BlobStore(config.node.folder / "blobs", config.store.blob_bytes_max)
    membership = Membership(
        store=store, identity=given.identity, genesis=given.genesis, clock=clock
    )
    await membership.seed()
    peers = await make_peers(given, store)
    peers.serve_blobs(blobs)
    outside = await join_overlay_of(given, peers=peers, blobs=blobs, store=store)
    shares = join_sharing(given.identity, given.genesis, store, outside, peers=peers, clock=clock)
    compute = make_compute(given, store=store, blobs=blobs, peers=peers, membership=membership)
    compute.serve_peers(peers)
    membership.while_revoking(compute.member_revoked)
    return Ground(
        blobs=blobs,
        membership=membership,
        peers=peers,
        outside=outside,
        shares=shares,
        compute=compute,
    )


async def make_peers(given: Given, store: Store) -> Peers:
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


def watch_links(given: Given, *, peers: Peers, store: Store) -> LinkWatch:
    """Return what watches how links do."""
    return LinkWatch(
        peers,
        orgs={node.did: node.org for node in given.genesis.genesis.nodes},
        clock=given.clock,
        announce=_announcing(store),
    )


async def join_network_of(
    given: Given,
    store: Store,
    blobs: BlobStore,
    *,
    vitals: Vitals,
    links: LinkWatch,
    runs: Callable[[], bool],
) -> Network:
    """Return what says of the node who it is, and whether it is ready."""
    return await join_network(
        about_node(given.config, given.identity, given.sandbox, given.clock),
        given.genesis,
        given.clock,
        store=store,
        blobs=blobs,
        vitals=vitals,
        links=links,
        waiting_for=lambda: () if runs() else ("its own tasks",),
    )


async def join_overlay_of(given: Given, *, peers: Peers, blobs: BlobStore, store: Store) -> Outside:
    """Return the node's part in the overlay."""
    return await join_overlay(
        identity=given.identity,
        genesis=given.genesis,
        known=given.config.p2p.peers,
        addresses=addresses_of(given.config.p2p, given.transport),
        endpoints=given.endpoints,
        prefix=given.transport.place_of,
        peers=peers,
        blobs=blobs,
        store=store,
        clock=given.clock,
    )


def join_cards_of(given: Given, *, outside: Outside, peers: Peers, blobs: BlobStore) -> Carding:
    """Return what finds and publishes cards, the node's own among them."""
    return join_cards(
        given.identity,
        given.genesis,
        given.config.card,
        outside,
        endpoints=given.endpoints,
        addresses=addresses_of(given.config.p2p, given.transport),
        peers=peers,
        blobs=blobs,
        clock=given.clock,
    )


async def join_coops_of(
    given: Given, store: Store, ground: Ground, *, metrics: Metrics
) -> list[Route]:
    """Return what answers of the coops whose home this is: their ledgers and their assemblies.

    Raises:
        LedgerDamaged: what is kept of a ledger contradicts itself.
    """
    timers = Timers(store=store, clock=given.clock)
    ledgers = await join_ledger(
        given.identity.did,
        given.genesis,
        store,
        ground.membership,
        timers=timers,
        others=set_aside,
    )
    agreements = join_agreements(
        given.identity, given.genesis, ground.shares.sharing, timers=timers
    )
    governance = join_governance(
        ground.membership,
        ledgers.ledger,
        agreements,
        ground.outside,
        store=store,
        peers=ground.peers,
        clock=given.clock,
        timers=timers,
    )
    federation = await join_federation(given.identity, given.genesis, store, ground.shares)
    clearing = join_clearing(
        given.identity,
        given.genesis,
        store,
        ledger=ledgers.ledger,
        agreements=agreements,
        outside=ground.outside,
        peers=ground.peers,
        clock=given.clock,
    )
    ground.outside.run_too(timers.run)
    watch_coops(
        metrics,
        store,
        replicator=ground.shares.replicator,
        agreements=agreements,
        clearing=clearing,
    )
    return [
        *ledgers.routes(),
        *governance_routes(governance),
        *agreements_routes(agreements),
        *federation_routes(federation),
        *clearing_routes(clearing),
    ]


async def open_lan_of(given: Given, outside: Outside) -> Lan | None:
    """Return the node's voice and ears on the local network; None if it is to have none."""
    return await open_lan(
        given.config.p2p,
        did=given.identity.did,
        network=given.genesis.network,
        transport=given.transport,
        found=outside.driver.meet,
    )


def make_app(
    given: Given,
    *,
    routes: list[Route],
    store: Store,
    membership: Membership,
    metrics: Metrics,
    compute: Compute,
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
        compute=compute,
    )


def make_retention(
    config: NodeConfig, *, store: Store, history: History, keeper: Keeper
) -> Retention:
    """Return what lets old entries of the journal go."""
    return Retention(
        store=store, history=history, keeper=keeper, keeping=configured.keeping(config)
    )


async def join_witness_of(
    given: Given, keeper: Keeper, *, history: History, outside: Outside, peers: Peers
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


def make_compute(
    given: Given, *, store: Store, blobs: BlobStore, peers: Peers, membership: Membership
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


def make_collector(given: Given, *, store: Store, blobs: BlobStore, compute: Compute) -> Collector:
    """Return what removes blobs that no domain names; all domains have declared their tables."""
    return Collector(
        store=store,
        blobs=blobs,
        references=References(metadata),
        counted=compute.parts.quotas,
        grace_ms=given.config.store.blob_grace_ms,
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
