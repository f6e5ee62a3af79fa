"""A coop and its names on a shelf, with nodes that come and go, for finding services."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from nodeimpl.discovering import join_discovery
from nodeimpl.discovery.rules import Limits
from nodeimpl.discovery.service import Discovery
from nodeimpl.kernel.clock import VirtualClock
from nodeimpl.outside import Outside
from nodeimpl.overlay.shelf import Shelf
from opkit.proof.cards import sign_card, value_of
from opkit.proof.genesis import GenesisView, read_genesis, sign_charter, sign_genesis
from opkit.proof.keys import Identity
from opkit.proof.names import make_claim
from opkit.proof.record import Verifier, make_record
from opkit.wire.agents import AgentParams
from opkit.wire.cards import CardUnknown, ResolvedCard
from opkit.wire.genesis import Charter, Founder, Genesis, GenesisNode
from opkit.wire.names import (
    NAME_TERM_MS_MAX,
    AliasTarget,
    NameTarget,
    NameValue,
    NodeTarget,
    ServiceTarget,
)
from opkit.wire.network import PeerLink
from opkit.wire.records import Carried, HttpEndpoint, NodeValue
from opkit.wire.services import FindServices, ServicePage
from tests.opkit.proof.yard import CARD

NETWORK = "a" * 26
COOP = "tool-library"
MIRA = f"{COOP}/mira"
DAY_MS = 86_400_000


class Around:
    """What finding services asks of the node: which links there are, and which cards.

    Attributes:
        linked: round trips of connected nodes, in microseconds.
        gone: when the link to a node went.
        cards: by agent; an agent without one has none.
        asked: for whose card it was asked, in order.
        waits: cards are given when it is set.
    """

    def __init__(self) -> None:
        self.linked: dict[str, int] = {}
        self.gone: dict[str, int] = {}
        self.cards: dict[str, ResolvedCard] = {}
        self.asked: list[str] = []
        self.waits = asyncio.Event()
        self.waits.set()

    def links(self) -> tuple[PeerLink, ...]:
        return tuple(
            PeerLink(
                did=did,
                org=None,
                round_trip_us=trip,
                sent_bytes=0,
                received_bytes=0,
                since_ms=1,
            )
            for did, trip in self.linked.items()
        )

    def heard_ms(self, did: str) -> int | None:
        return self.gone.get(did)

    async def resolve(self, did: str) -> ResolvedCard:
        self.asked.append(did)
        await self.waits.wait()
        if did not in self.cards:
            raise CardUnknown(did=did)
        return self.cards[did]


class Square:
    """A shelf of names, and what finds services in it."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.clock = VirtualClock()
        self.around = Around()
        self.home, self.mira = Identity.generate(), Identity.generate()
        self.genesis = _genesis(self.home, self.mira)
        self.shelf = Shelf(Verifier(self.genesis))
        self.discovery: Discovery | None = None
        self._limits = limits
        self._sequence = 0

    def join(self) -> Discovery:
        """Begin to find services, with what is on the shelf already."""
        outside = SimpleNamespace(own=self.home.did, overlay=SimpleNamespace(shelf=self.shelf))
        self.discovery = discovery = join_discovery(
            cast("Outside", outside), self.around, self.around, self.clock
        )
        if self._limits is not None:
            discovery._limits = self._limits
        return discovery

    async def find(self, **asked: Any) -> ServicePage:
        discovery = self.discovery or self.join()
        return await discovery.find(FindServices(**asked), None)

    async def names(self, **asked: Any) -> list[str]:
        return [found.name for found in (await self.find(**asked)).services]

    def put(self, label: str, target: NameTarget | None, *, term_ms: int = DAY_MS) -> None:
        """Have a name of the coop countersigned and kept."""
        name = f"{label}.{COOP}"
        at_ms = self.clock.now_ms() + self._next()
        claim = make_claim(
            self.mira,
            network=NETWORK,
            name=name,
            member_id=MIRA,
            target=target,
            at_ms=at_ms,
            term_ms=term_ms,
        )
        self._keep(
            self.home,
            namespace="name",
            name=name,
            value=NameValue(claim=claim).model_dump(mode="json"),
            at_ms=at_ms,
            term_ms=NAME_TERM_MS_MAX if target is None else term_ms,
        )

    def service(self, label: str, node: Identity, *, term_ms: int = DAY_MS, **said: Any) -> None:
        """Have a service of a node named."""
        target = ServiceTarget(**{"type": "booking", "node": node.did, **said})
        self.put(label, target, term_ms=term_ms)

    def alias(self, label: str, to: str) -> None:
        self.put(label, AliasTarget(name=f"{to}.{COOP}"))

    def node_name(self, label: str) -> None:
        self.put(label, NodeTarget(node=self.home.did))

    def own(self, node: Identity, *, gone: bool = False) -> None:
        """Have a node say where it is, or take that back."""
        value = NodeValue(endpoints=(HttpEndpoint(url="http://127.0.0.1:1"),))
        self._keep(
            node,
            namespace="node",
            name=node.did,
            value=None if gone else value.model_dump(mode="json"),
            at_ms=self.clock.now_ms() + self._next(),
            term_ms=DAY_MS,
        )

    def card(self, node: Identity, *, skill: str = "turn", large: bool = False) -> None:
        """Have a node publish a card."""
        said = {
            **CARD,
            "description": "so much " * 300 if large else "Books.",
            "documentationUrl": "x" * (9_000 if large else 1),
            "skills": [{"id": skill, "name": "S", "description": "S.", "tags": [f"{skill}s"]}],
        }
        agent = AgentParams(network=NETWORK, did=node.did, sequence=1)
        card = sign_card(said, agent=agent, identity=node)
        value = value_of(card)
        at_ms = self.clock.now_ms()
        record = make_record(
            node,
            network=NETWORK,
            namespace="card",
            name=node.did,
            value=value.model_dump(mode="json"),
            at_ms=at_ms,
            term_ms=DAY_MS,
        )
        self.around.cards[node.did] = ResolvedCard(
            did=node.did,
            cid=value.cid,
            sequence=at_ms,
            card_sequence=1,
            lapses_at_ms=at_ms + DAY_MS,
            card=card,
            record=Carried(jws=record),
            cached=False,
            hops=0,
        )

    def _keep(self, signer: Identity, **said: Any) -> None:
        record = make_record(signer, network=NETWORK, **said)
        self.shelf.offer(Carried(jws=record), self.clock.now_ms())

    def _next(self) -> int:
        self._sequence += 1
        return self._sequence


def _genesis(home: Identity, mira: Identity) -> GenesisView:
    operator = Identity.generate()
    charter = Charter(
        network=NETWORK,
        coop=COOP,
        title=COOP,
        home_node=home.did,
        founders=(Founder(member_id=MIRA, name="Mira", title="", did=mira.did, roles=("member",)),),
        quorum_percent=60,
        approval_percent=67,
        voting_period_ms=1,
        challenge_window_ms=1,
    )
    genesis = Genesis(
        network=NETWORK,
        devnet=True,
        operator=operator.did,
        created_ms=1,
        nodes=(GenesisNode(org=COOP, title=COOP, did=home.did, coop=COOP),),
        charters=(sign_charter(charter, {MIRA: mira}),),
    )
    return read_genesis(sign_genesis(genesis, operator))


@pytest.fixture
def square() -> Square:
    """Return a shelf without names."""
    return Square()


@pytest.fixture
def make_square() -> type[Square]:
    """Return what makes one, for a test that needs other limits."""
    return Square
