"""A member who calls services: dials out of a node's own record, and signs for that node alone."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from opkit.client.errors import DoorUnknown, ServiceLapsed, WrongKey, WrongNode
from opkit.client.node import NodeClient
from opkit.proof.services import ProvenService
from opkit.wire.base import Slug
from opkit.wire.endpoint import Scope
from opkit.wire.errors import Unreachable
from opkit.wire.records import HttpEndpoint

if TYPE_CHECKING:
    from opkit.proof.keys import Identity


class ServiceClient(NodeClient):
    """A client of the node that a service is on, signed in as a member.

    Attributes:
        service: the service, with the chain of its proofs.
    """

    service: ProvenService

    def path(self, protocol: Slug) -> str:
        """Return under which path of the node the service speaks a protocol; KeyError if none."""
        paths = {endpoint.protocol: endpoint.path for endpoint in self.service.endpoints}
        return paths[protocol]


class AsMember:
    """Calls services as one member, in the network of the client that it was made by."""

    def __init__(self, client: NodeClient, identity: Identity) -> None:
        """Remember who calls; nothing is dialled yet."""
        self._client = client
        self._identity = identity

    async def connect(
        self, service: ProvenService, *, scopes: tuple[Scope, ...] | None = None
    ) -> ServiceClient:
        """Return a client of the service's node that is signed in; close it, or use `async with`.

        The doors that the node names in its own signed record are tried in order. Whoever answers
        with a challenge of another node gets no signature, so a relay gets no token.

        Args:
            service: as it was proven (`NodeClient.discover`).
            scopes: what the token asks for; None asks for all that the member's roles grant.

        Raises:
            ServiceLapsed: its proofs have lapsed since; look for it again.
            DoorUnknown: the node's record names no door.
            WrongNode, WrongKey: somebody else answered at its door, and no other door opened.
            Refusal: the node grants no token, for one to whoever is no member of the network.
            Unreachable: no door opened in time.
        """
        now_ms = self._client.now_ms()
        if service.lapses_at_ms <= now_ms:
            raise ServiceLapsed(service=service.name, lapsed_at_ms=service.lapses_at_ms)
        if not service.doors:
            raise DoorUnknown(service=service.name, node=service.node)
        wrong: WrongNode | WrongKey | None = None
        silent: Unreachable | None = None
        for door in service.doors:
            try:
                return await self._sign_in(service, door, scopes)
            except (WrongNode, WrongKey) as other:
                wrong = wrong or other
            except Unreachable as gone:
                silent = silent or gone
        raise wrong or silent or AssertionError("each door opened, or said why not")

    async def _sign_in(
        self, service: ProvenService, door: HttpEndpoint, scopes: tuple[Scope, ...] | None
    ) -> ServiceClient:
        """Return a client that is signed in at one door."""
        asking = self._client
        client = ServiceClient(
            url=door.url,
            node=service.node,
            network=asking.network,
            identity=self._identity,
            scopes=scopes,
            http=asking.http,
            deadline_ms=asking.deadline_ms,
            patience=asking.patience,
            now_ms=asking.now_ms,
            genesis=asking.genesis,
            tls_key_hash=door.tls_key_hash,
        )
        client.service = service
        try:
            async with asyncio.timeout(asking.deadline_ms / 1000):
                await client.login()
        except TimeoutError as late:
            await client.close()
            why = f"nobody signed in within {asking.deadline_ms} ms"
            raise Unreachable(where=door.url, why=why) from late
        except BaseException:
            await client.close()
            raise
        return client
