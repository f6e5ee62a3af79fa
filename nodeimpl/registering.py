"""A node that countersigns and answers names: joins its tables, its peers and its records."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass

import structlog

from nodeimpl.kernel.clock import Clock
from nodeimpl.kernel.store import Store
from nodeimpl.membership.service import Membership
from nodeimpl.naming.index import Index
from nodeimpl.naming.registry import Registry
from nodeimpl.naming.rules import Limits
from nodeimpl.naming.service import Naming
from nodeimpl.naming.watch import Watch
from nodeimpl.outside import Outside
from nodeimpl.overlay.shelf import Shelf
from nodeimpl.p2p.peers import Peers
from nodeimpl.p2p.reaching import PeerAddress
from opkit.proof import jws
from opkit.proof.genesis import GenesisView
from opkit.proof.keys import Identity
from opkit.proof.names import home_of
from opkit.wire.base import Did
from opkit.wire.dht import GET, FindRecords
from opkit.wire.errors import CoopError, Refusal
from opkit.wire.names import CLAIM_NAME, NameHeld, NameText, PassClaim
from opkit.wire.records import Carried, Namespace, NodeValue, RecordBody, RecordName

REACH_MS = 2_000
"""How long it is tried to connect with a home node."""

RECALL_MS = 10_000
"""For how long after its start a node asks others what it countersigned, before it does again."""

ASKED_MAX = 16
"""How many of the network's nodes are asked."""

_log = structlog.get_logger("naming")


@dataclass(frozen=True, kw_only=True)
class Names:
    """A node's part in names: what answers, what runs, and what is known."""

    naming: Naming
    watch: Watch
    index: Index


async def join_naming(
    identity: Identity,
    genesis: GenesisView,
    store: Store,
    membership: Membership,
    outside: Outside,
    *,
    peers: Peers,
    clock: Clock,
    limits: Limits | None = None,
) -> Names:
    """Return a node's part in names; what it countersigned before is on its shelf then.

    What is to run for it runs with `outside`.

    Raises:
        StoreBusy, StoreFailed: what was kept cannot be read.
    """
    limits = limits or Limits()
    shelf = _Shelved(genesis, outside=outside, peers=peers, clock=clock)
    index = Index(shelf.standing)
    registry = Registry(
        identity, network=genesis.network, store=store, members=membership, shelf=shelf
    )
    watch = Watch(
        identity.did,
        genesis=genesis,
        store=store,
        clock=clock,
        shelf=shelf,
        index=index,
        registry=registry,
        limits=limits,
    )
    await registry.restore()
    on_shelf = outside.overlay.shelf
    for name in on_shelf.names("name"):
        index.see(name)

    def changed(namespace: Namespace, name: RecordName, owner: Did) -> None:
        del owner  # The home node is the only one.
        if namespace == "name":
            watch.changed(name)

    on_shelf.on_changed.append(changed)
    on_shelf.on_compared["name"] = watch.compared
    membership.while_revoking(registry.member_revoked)
    naming = Naming(
        own=identity.did,
        genesis=genesis,
        store=store,
        clock=clock,
        members=membership,
        shelf=shelf,
        homes=_Homes(peers, shelf=on_shelf),
        index=index,
        registry=registry,
        limits=limits,
    )
    peers.serve(CLAIM_NAME, naming.claim)
    outside.run_too(watch.run)
    return Names(naming=naming, watch=watch, index=index)


class _Shelved:
    """The node's shelf, and gossip with it: what is kept there is told to everybody."""

    def __init__(
        self, genesis: GenesisView, *, outside: Outside, peers: Peers, clock: Clock
    ) -> None:
        self._genesis = genesis
        self._outside = outside
        self._peers = peers
        self._clock = clock
        self._started_ms = clock.now_ms()
        nodes = [each.did for each in genesis.genesis.nodes if each.did != peers.did]
        self._others = nodes[:ASKED_MAX]

    def standing(self, name: NameText) -> Carried | None:
        """Return the record of a name that stands here."""
        home = home_of(name, genesis=self._genesis)
        shelf = self._outside.overlay.shelf
        return None if home is None else shelf.standing("name", name, home)

    async def recall(self, name: NameText) -> None:
        """Ask others, soon after the start, what this node countersigned under a name and lost.

        A database that was put back from an old copy does not have it, and its node is told so by
        whoever comes first: it must not countersign something else meanwhile.
        """
        if self._clock.now_ms() >= self._started_ms + RECALL_MS:
            return
        await self._company()
        company = set(self._others) & set(self._peers.connected())
        for records in await asyncio.gather(*(self._told(each, name) for each in company)):
            for carried in records:
                with suppress(Refusal):
                    self._outside.overlay.shelf.offer(carried, self._clock.now_ms())

    async def _told(self, peer: Did, name: NameText) -> tuple[Carried, ...]:
        """Return what a peer keeps under a name; nothing if it does not say."""
        try:
            found = await self._peers.ask(peer, GET, FindRecords(namespace="name", name=name))
        except CoopError as no:
            _log.info("a peer does not say what it keeps", peer=peer, why=str(no))
            return ()
        return found.records

    async def _company(self) -> None:
        """Return once a node of the network is connected, or none is for a while."""
        if not self._others or set(self._others) & set(self._peers.connected()):
            return
        waiting = [
            asyncio.ensure_future(self._peers.wait_connected(did, REACH_MS)) for did in self._others
        ]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waiting:
                each.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

    def keep(self, carried: Carried) -> None:
        """Keep a record and tell others of it; one that is refused is only logged."""
        try:
            self._outside.overlay.shelf.offer(carried, self._clock.now_ms())
        except Refusal as no:
            _log.info("a name is not kept on the shelf", why=str(no))
        self._outside.driver.touch()


class _Homes:
    """Other nodes, as homes of their coops."""

    def __init__(self, peers: Peers, *, shelf: Shelf) -> None:
        self._peers = peers
        self._shelf = shelf

    async def ask(self, home: Did, ask: PassClaim) -> NameHeld:
        """Have a home node countersign a claim, connecting with it if need be.

        Raises:
            Refusal: it said no.
            Unreachable: it did not answer.
            Fault: it is broken, or answers outside the protocol.
        """
        if home not in self._peers.connected():
            at = PeerAddress(did=home, addresses=self._addresses(home))
            await self._peers.reach(at, deadline_ms=REACH_MS)
        return await self._peers.ask(home, CLAIM_NAME, ask)

    def _addresses(self, home: Did) -> tuple[str, ...]:
        """Return where a node says that it can be dialled."""
        carried = self._shelf.standing("node", home, home)
        if carried is None:
            return ()
        body = RecordBody.model_validate(jws.peek(carried.jws).payload)
        if body.value is None:
            return ()
        return NodeValue.model_validate(body.value, strict=False).addresses
