"""A node of nothing but store, membership and gateway, with a small domain of its own to call."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from nodeimpl.gateway.app import build_app
from nodeimpl.gateway.limits import GatewayLimits
from nodeimpl.gateway.server import running_server
from nodeimpl.kernel.binding import Route
from nodeimpl.kernel.clock import Clock, RealClock
from nodeimpl.kernel.ids import network_id
from nodeimpl.kernel.metrics import Metrics
from nodeimpl.kernel.store import Store
from nodeimpl.membership.routes import routes as membership_routes
from nodeimpl.membership.rules import Limits
from nodeimpl.membership.service import Membership
from opkit.client.asgi_events import AsgiEvents
from opkit.client.node import NodeClient
from opkit.proof import jws
from opkit.proof.genesis import GenesisView, read_genesis, sign_charter, sign_genesis
from opkit.proof.keys import Identity
from opkit.proof.membership import audience_of
from opkit.wire.base import Jws
from opkit.wire.endpoint import Scope
from opkit.wire.genesis import Charter, Founder, Genesis, GenesisNode
from opkit.wire.membership import MEMBER_TYP, MemberRecord

ROLES = {
    "mill/ana": ("member",),
    "mill/ben": ("auditor",),
    "mill/gus": ("guest",),
    "far/zoe": ("member",),
}


@dataclass
class People:
    """A genesis with two coops, and the keys of all who stand in it."""

    operator: Identity = field(default_factory=Identity.generate)
    mill: Identity = field(default_factory=Identity.generate)
    far: Identity = field(default_factory=Identity.generate)
    members: dict[str, Identity] = field(
        default_factory=lambda: {name: Identity.generate() for name in ROLES}
    )
    genesis: GenesisView = field(init=False)

    def __post_init__(self) -> None:
        network = network_id()
        charters = [self._charter(network, coop) for coop in ("mill", "far")]
        signed = [sign_charter(charter, self.members) for charter in charters]
        genesis = Genesis(
            network=network,
            devnet=True,
            operator=self.operator.did,
            created_ms=1,
            nodes=tuple(
                GenesisNode(org=coop, title=coop.title(), did=self.node(coop).did, coop=coop)
                for coop in ("mill", "far")
            ),
            charters=tuple(signed),
        )
        self.genesis = read_genesis(sign_genesis(genesis, self.operator))

    def node(self, coop: str) -> Identity:
        return {"mill": self.mill, "far": self.far}[coop]

    def record(
        self,
        member_id: str,
        *,
        did: str,
        sequence: int = 1,
        action: str = "add",
        roles: tuple[str, ...] = ("member",),
        signer: Identity | None = None,
        network: str | None = None,
    ) -> Jws:
        """Return a membership record by the operator, or by `signer`."""
        record = MemberRecord(
            network=network or self.genesis.network,
            aud=audience_of(member_id),
            action=action,
            member_id=member_id,
            name=member_id,
            title="",
            did=did,
            roles=roles,
            sequence=sequence,
            issued_at_ms=1,
        )
        return jws.sign(record, typ=MEMBER_TYP, identity=signer or self.operator)

    def _charter(self, network: str, coop: str) -> Charter:
        founders = tuple(
            Founder(member_id=name, name=name, title="", did=self.members[name].did, roles=roles)
            for name, roles in ROLES.items()
            if name.startswith(f"{coop}/")
        )
        return Charter(
            network=network,
            coop=coop,
            title=coop.title(),
            home_node=self.node(coop).did,
            founders=founders,
            quorum_percent=60,
            approval_percent=67,
            voting_period_ms=1,
            challenge_window_ms=1,
        )


@dataclass
class SmallNode:
    """One running node of few parts; `app` is its ASGI app."""

    people: People
    store: Store
    membership: Membership
    clock: Clock
    metrics: Metrics
    app: FastAPI
    url: str = "http://localhost"

    def client(
        self,
        who: str | Identity | None = None,
        *,
        scopes: tuple[Scope, ...] | None = None,
        **named: Any,
    ) -> NodeClient:
        """Return a client in this process for a member (by id), the operator, or nobody."""
        identity = self._identity(who)
        ways: dict[str, Any] = {
            "http": httpx.ASGITransport(self.app),
            "events": AsgiEvents(self.app),
            **named,
        }
        return NodeClient(
            url=self.url,
            node=self.people.mill.did,
            network=self.people.genesis.network,
            identity=identity,
            scopes=scopes,
            now_ms=self.clock.now_ms,
            **ways,
        )

    def tcp_client(self, who: str | Identity | None = None, **named: Any) -> NodeClient:
        """Return a client over TCP."""
        return self.client(who, http=None, events=None, **named)

    def raw(self) -> httpx.AsyncClient:
        """Return a plain HTTP client in this process."""
        return httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url=self.url)

    def _identity(self, who: str | Identity | None) -> Identity | None:
        if isinstance(who, str):
            return self.people.operator if who == "operator" else self.people.members[who]
        return who


class Doorstep:
    """Starts small nodes under one folder."""

    def __init__(self, folder: Path, urls: Callable[[str], str]) -> None:
        self.folder = folder
        self.urls = urls
        self.people = People()

    @contextlib.asynccontextmanager
    async def node(
        self,
        *,
        routes: Callable[[Store], Sequence[Route]] | None = None,
        limits: GatewayLimits | None = None,
        member_limits: Limits | None = None,
        clock: Clock | None = None,
        people: People | None = None,
    ) -> AsyncIterator[SmallNode]:
        """Hold one node over the database in this folder; `routes` go before membership's own."""
        people = people or self.people
        clock = clock or RealClock()
        metrics = Metrics()
        store = await Store.open(url=self.urls("node"), clock=clock)
        try:
            membership = Membership(
                store=store,
                identity=people.mill,
                genesis=people.genesis,
                clock=clock,
                limits=member_limits,
            )
            await membership.seed()
            bound = {route.endpoint.name: route for route in membership_routes(membership)}
            bound |= {route.endpoint.name: route for route in (routes(store) if routes else ())}
            app = build_app(
                routes=list(bound.values()),
                store=store,
                membership=membership,
                clock=clock,
                metrics=metrics,
                limits=limits,
            )
            yield SmallNode(people, store, membership, clock, metrics, app)
        finally:
            await store.close()

    @contextlib.asynccontextmanager
    async def served(self, *, port: int = 0, **named: Any) -> AsyncIterator[SmallNode]:
        """Hold one node that listens on loopback."""
        async with self.node(**named) as node, running_server(node.app, port=port) as url:
            node.url = url
            yield node


@pytest.fixture
def doorstep(tmp_path: Path, store_urls: Callable[[str], str]) -> Doorstep:
    """Start small nodes for one test."""
    return Doorstep(tmp_path, store_urls)
