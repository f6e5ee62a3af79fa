"""A node's cards, its own and those of others: joins the overlay, the blobs and the domain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from fastapi import FastAPI

import opkit
from nodeimpl.cards.own import ServedCard, own_card, publish, served
from nodeimpl.cards.rules import Limits
from nodeimpl.cards.service import Cards
from nodeimpl.config import CardSection
from nodeimpl.gateway.card import add_card
from nodeimpl.kernel.blobs import BlobStore
from nodeimpl.kernel.clock import Clock
from nodeimpl.outside import Outside
from nodeimpl.overlay.search import OnDone, Outcome, contact_text, unheard
from nodeimpl.overlay.shelf import Kept
from nodeimpl.p2p.peers import Peers
from opkit.proof.genesis import GenesisView
from opkit.proof.keys import Identity
from opkit.proof.record import Record
from opkit.wire.agents import AgentParams
from opkit.wire.base import Cid, Did
from opkit.wire.compute import BlobUnknown
from opkit.wire.errors import Refusal
from opkit.wire.records import Carried, HttpEndpoint

_log = structlog.get_logger("cards")


@dataclass(frozen=True, kw_only=True)
class Carding:
    """The cards domain, and the node's own card as it is served; None if it has no front door."""

    cards: Cards
    served: ServedCard | None

    def serve_own(self, app: FastAPI) -> None:
        """Let A2A clients find the node's own card at its front door."""
        if self.served is not None:
            add_card(app, self.served)


def join_cards(
    identity: Identity,
    genesis: GenesisView,
    section: CardSection,
    outside: Outside,
    *,
    endpoints: tuple[HttpEndpoint, ...],
    addresses: tuple[str, ...],
    peers: Peers,
    blobs: BlobStore,
    clock: Clock,
    limits: Limits | None = None,
) -> Carding:
    """Return what finds and publishes cards; the node's own is published, if it can be called.

    Args:
        section: what the operator says of the node in its card.
        endpoints: where the front door is.
        addresses: where peers can dial the node.
    """
    cards = Cards(
        network=genesis.network,
        overlay=_Overlay(outside, clock),
        blobs=_Blobs(blobs, peers),
        clock=clock,
        limits=limits,
    )

    def kept(kept: Kept) -> None:
        if kept.namespace == "card":
            cards.told(kept.owner)

    outside.overlay.shelf.on_kept.append(kept)
    if not endpoints:
        return Carding(cards=cards, served=None)
    agent = AgentParams(
        network=genesis.network,
        did=identity.did,
        sequence=clock.now_ms(),
        node=identity.did,
        addresses=contact_text(identity.did, addresses).addresses,
        region=section.region,
        prices=section.prices,
    )
    urls = [endpoint.url for endpoint in endpoints]
    return Carding(cards=cards, served=_own(identity, genesis, agent, urls=urls, outside=outside))


def _own(
    identity: Identity,
    genesis: GenesisView,
    agent: AgentParams,
    *,
    urls: Sequence[str],
    outside: Outside,
) -> ServedCard:
    """Make the node's card, or go on with the one that stands, and publish it."""
    did, overlay = identity.did, outside.overlay
    node = genesis.node(did)
    assert node is not None, "genesis names the node"
    stands = overlay.shelf.standing("card", did, did)
    card = own_card(
        identity,
        agent=agent,
        title=node.title,
        version=opkit.__version__,
        urls=urls,
        before=None if stands is None else overlay.shelf.read(stands).body.value,
    )

    def keep(value: dict[str, Any]) -> None:
        # Its sequence is the time that it was made at.
        overlay.dht.keep("card", did, value, unheard, agent.sequence)

    try:
        publish(card, keep)
    except Refusal as no:
        # The clock went back by more than anybody takes: the card is served, and told to nobody.
        _log.warning("this node's card is told to nobody", why=str(no))
    return served(card, agent=agent)


class _Overlay:
    """What the domain asks of the network. Satisfies `nodeimpl.cards.service.Overlay`."""

    def __init__(self, outside: Outside, clock: Clock) -> None:
        self._outside = outside
        self._overlay = outside.overlay
        self._clock = clock

    async def find(self, did: Did) -> Outcome:
        """Find what stands under an agent's name."""
        dht = self._overlay.dht
        return await self._outside.driver.search(
            lambda done, now_ms: dht.get("card", did, done, now_ms)
        )

    async def spread(self, carried: Carried) -> Outcome:
        """Keep a record here, committed, and have the nearest keep it."""
        owner = self.read(carried).body.owner

        def begin(done: OnDone, now_ms: int) -> None:
            self._overlay.publish(carried, done, now_ms)

        outcome = await self._outside.driver.search(begin)
        await self._outside.keeper.settle("card", owner, owner)
        return outcome

    def read(self, carried: Carried) -> Record:
        """Return a record that verifies."""
        return self._overlay.shelf.read(carried)

    def check(self, carried: Carried) -> Record:
        """Return a record that its namespace takes now."""
        return self._overlay.shelf.check(carried, self._clock.now_ms())

    def standing(self, did: Did) -> Carried | None:
        """Return what stands here under an agent's name."""
        return self._overlay.shelf.standing("card", did, did)


class _Blobs:
    """Large cards, here and elsewhere. Satisfies `nodeimpl.cards.service.Blobs`."""

    def __init__(self, blobs: BlobStore, peers: Peers) -> None:
        self._blobs = blobs
        self._peers = peers

    async def put(self, data: bytes, cid: Cid) -> None:
        """Keep bytes, and say so in the network."""
        await self._blobs.put(data, cid=cid)
        self._peers.provide(cid, len(data))

    async def get(self, cid: Cid, size_bytes: int) -> bytes:
        """Return bytes that are here or that somebody gives."""
        data = await self._blobs.get(cid)
        if data is None:
            await self._peers.fetch(cid, size_max=size_bytes, blobs=self._blobs)
            data = await self._blobs.get(cid)
        if data is None:
            raise BlobUnknown(cid=cid)
        return data

    def touch(self, cid: Cid) -> None:
        """Keep bytes from being collected for a while."""
        self._blobs.touch(cid)
