"""The client of one node: any endpoint by its value, with the token, the retries and the types."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncGenerator, Callable
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Self

from opkit.client.asks import Request, decode, encode
from opkit.client.retry import PASSING, Patience
from opkit.client.session import Session
from opkit.client.transport import Transport
from opkit.wire.base import Did, MemberId, NetworkId, Slug
from opkit.wire.endpoint import Answer, Ask, Endpoint, Scope
from opkit.wire.errors import CoopError, Unreachable
from opkit.wire.events import READ_JOURNAL, Cursor, JournalPage, ReadJournal
from opkit.wire.gateway import TokenRejected
from opkit.wire.membership import Token

if TYPE_CHECKING:
    import httpx

    from opkit.client.agreements import AgreementCalls
    from opkit.client.cards import CardCalls
    from opkit.client.clearing import ClearingCalls
    from opkit.client.compute import ComputeCalls
    from opkit.client.federation import FederationCalls
    from opkit.client.governance import GovernanceCalls
    from opkit.client.ledger import LedgerCalls
    from opkit.client.member import AsMember
    from opkit.client.names import NameCalls
    from opkit.client.pinning import Pin
    from opkit.client.sockets import EventsPort
    from opkit.client.wasm import WasmCalls
    from opkit.proof.genesis import GenesisView
    from opkit.proof.keys import Identity
    from opkit.proof.services import ProvenService
    from opkit.wire.audit import CoopEvidence

DEADLINE_MS = 10_000


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _pin(tls_key_hash: str) -> Pin:
    from opkit.client.pinning import Pin

    return Pin(tls_key_hash)


class NodeClient:
    """Calls one node as one identity, or as nobody.

    With an identity it logs in when a call first needs a token, and once more when the node says
    that the token has ended. Without one it calls as nobody, or with the token it was given.
    """

    def __init__(
        self,
        *,
        url: str,
        node: Did,
        network: NetworkId,
        identity: Identity | None = None,
        scopes: tuple[Scope, ...] | None = None,
        genesis: GenesisView | None = None,
        http: httpx.AsyncBaseTransport | None = None,
        events: EventsPort | None = None,
        deadline_ms: int = DEADLINE_MS,
        patience: Patience | None = None,
        now_ms: Callable[[], int] = _now_ms,
        tls_key_hash: str | None = None,
    ) -> None:
        """Remember whom to call; nothing is opened yet.

        Args:
            url: where the node listens, without a path.
            node: the node's DID: a challenge of any other node is not signed.
            network: the network's id.
            identity: who logs in; None calls without a login.
            scopes: what tokens ask for; None asks for all that the member's roles grant.
            genesis: what is found through this client is verified against, unless a call says.
            http: how requests travel, if not over TCP.
            events: how event streams travel, if not over TCP.
            deadline_ms: how long a call may take, repeats included.
            patience: how often what is safe to repeat is repeated.
            now_ms: the clock that dates what this client signs.
            tls_key_hash: the key that the node's door has to show, as the node's own record names
                it (`HttpEndpoint`); None for plain HTTP, or a certificate that this machine trusts.
        """
        self.url = url.rstrip("/")
        self.node = node
        self.network = network
        self.identity = identity
        self.genesis = genesis
        self.deadline_ms = deadline_ms
        self.patience = patience or Patience()
        self.now_ms = now_ms
        self.http = http
        self._events = events
        self._pin = None if tls_key_hash is None else _pin(tls_key_hash)
        self._transport = Transport(url=url, http=http, pin=self._pin)
        self._assemblies: dict[Slug, GovernanceCalls] = {}
        self._session = Session(
            url=self.url,
            node=node,
            network=network,
            identity=identity,
            scopes=scopes,
            patience=self.patience,
            now_ms=now_ms,
        )

    async def __aenter__(self) -> Self:
        """Return the client; connections are opened when they are needed."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the connections."""
        await self.close()

    async def close(self) -> None:
        """Close the connections; the client may be used again and then opens new ones."""
        await self._transport.close()

    @property
    def token(self) -> str | None:
        """The token that calls carry now, if any."""
        return self._session.token

    def with_token(self, token: str) -> NodeClient:
        """Return a client without identity that calls the same node with this token."""
        other = NodeClient(
            url=self.url,
            node=self.node,
            network=self.network,
            genesis=self.genesis,
            http=self.http,
            events=self._events,
            deadline_ms=self.deadline_ms,
            patience=self.patience,
            now_ms=self.now_ms,
            tls_key_hash=None if self._pin is None else self._pin.expected,
        )
        other._session.adopt(token)
        # Both share one pool of connections, so that this one needs no closing of its own.
        other._transport = self._transport
        return other

    async def login(
        self, *, scopes: tuple[Scope, ...] | None = None, ttl_ms: int | None = None
    ) -> Token:
        """Log in anew and return the token; calls carry it from now on.

        Raises:
            WrongNode: whoever answered is not the node that was dialled; nothing was signed.
            Refusal, Unreachable, Fault: as `call`, for `membership.token`.
        """
        return await self._session.log_in(self.ask_once, scopes=scopes, ttl_ms=ttl_ms)

    async def member_id(self) -> MemberId:
        """Return the member id of this client's identity at this node, logging in if needed."""
        assert self.identity is not None, "nobody has no member id"
        if self._session.granted is None:
            await self._session.ensure(self.ask_once, instead_of=self._session.token)
        assert self._session.granted is not None, "a login grants a token"
        return self._session.granted.member_id

    async def ask_once(self, endpoint: Endpoint[Ask, Answer], ask: Ask) -> Answer:
        """Ask the node one question that needs no token, once.

        Whoever only wants to know whether a node is there need not wait for one that is gone.

        Raises:
            Refusal, Unreachable, Fault: as `call`.
        """
        return await self._once(endpoint, encode(endpoint, ask), {})

    async def call(
        self, endpoint: Endpoint[Ask, Answer], ask: Ask, *, idempotency_key: str | None = None
    ) -> Answer:
        """Ask the node one question.

        A GET, and a change under its idempotency key, is repeated while the node is silent or its
        store busy; anything else is asked once.

        Args:
            endpoint: the question.
            ask: its fields.
            idempotency_key: what makes a repeat the same change; a random one unless given.

        Raises:
            Refusal: the node said no; the leaf class says why.
            Unreachable: no answer in time; the effect is unknown.
            Fault: the node is broken, or answered what the endpoint does not declare.
            WrongNode: a login was needed, and whoever answered is not the node that was dialled.
        """
        request = encode(endpoint, ask)
        headers = {}
        if endpoint.changes:
            headers["Idempotency-Key"] = idempotency_key or secrets.token_hex(16)
        wait_ms = int(getattr(ask, "wait_ms", 0))
        budget_s = (self.deadline_ms + wait_ms) / 1000
        try:
            async with asyncio.timeout(budget_s):
                return await self._authorised(endpoint, request, headers, wait_ms=wait_ms)
        except TimeoutError as late:
            why = f"no answer to {endpoint.name} within {budget_s:g} s"
            raise Unreachable(where=self.url, why=why) from late

    def events(self, after: Cursor | None = None) -> AsyncGenerator[JournalPage, None]:
        """Return the node's events as they happen, after a cursor or from the beginning.

        A lost connection is opened again where it broke, so that no event is missing and none
        comes twice. Close the iterator (`contextlib.aclosing`) when it is left early.

        Raises:
            JournalDiverged: the cursor is of another history.
            TokenRejected: the token ended and no identity can renew it.
            Unreachable: the node stayed silent as long as patience lasts.
            Fault: the stream is not what a node sends.
        """
        from opkit.client.stream import follow

        return follow(
            open_socket=self._port().open,
            token=self._stream_token,
            patience=self.patience,
            where=self.url,
            after=after,
        )

    async def journal(self, after: Cursor | None = None) -> AsyncGenerator[JournalPage, None]:
        """Return the pages of the node's journal, up to its present end."""
        position = after
        while True:
            text = "" if position is None else str(position)
            page = await self.call(READ_JOURNAL, ReadJournal(after=text, entries_max=1000))
            if not page.entries and not page.passed_through:
                return
            yield page
            position = page.cursor

    async def discover(
        self,
        *,
        type: Slug = "",  # noqa: A002 - the very word of the question that is asked.
        capability: Slug = "",
        region: Slug = "",
        genesis: GenesisView | None = None,
    ) -> tuple[ProvenService, ...]:
        """Return the services that the node finds and that verify here, each with its proofs.

        What does not verify is left out (`opkit.client.discovery.look_for` says what that was). The
        one of whose node was heard last comes first. A node may hide services, never forge one.

        Args:
            type: what the service is; empty for any.
            capability: what it can, by its name's record or its node's card.
            region: where it is.
            genesis: what it is verified against; the client's own unless said.

        Raises:
            Refusal, Unreachable, Fault, WrongNode: as `call`, for `services.find`.
        """
        from opkit.client.discovery import look_for
        from opkit.wire.services import FindServices

        anchor = genesis or self.genesis
        assert anchor is not None, "nothing can be verified without a genesis of one's own"
        asked = FindServices(type=type, capability=capability, region=region)
        return (await look_for(self, asked, genesis=anchor)).proven

    def as_member(self, identity: Identity) -> AsMember:
        """Return what connects with services that were found, as the member with this key."""
        from opkit.client.member import AsMember

        return AsMember(self, identity)

    @cached_property
    def wasm(self) -> WasmCalls:
        """Modules: deploy, get, fetch, list."""
        from opkit.client.wasm import WasmCalls

        return WasmCalls(self)

    @cached_property
    def names(self) -> NameCalls:
        """Names: register, renew, withdraw, get, list."""
        from opkit.client.names import NameCalls

        return NameCalls(self)

    @cached_property
    def agreements(self) -> AgreementCalls:
        """Agreements: propose, sign, give notice, get, list, use, bring."""
        from opkit.client.agreements import AgreementCalls

        return AgreementCalls(self)

    @cached_property
    def clearing(self) -> ClearingCalls:
        """Exchanges under agreements: offer, settle, net, get, list, positions."""
        from opkit.client.clearing import ClearingCalls

        return ClearingCalls(self)

    @cached_property
    def federation(self) -> FederationCalls:
        """The federation: members, attestations, forks; register, vouch, attest, revoke."""
        from opkit.client.federation import FederationCalls

        return FederationCalls(self)

    @cached_property
    def cards(self) -> CardCalls:
        """Agent cards: publish, revoke, resolve."""
        from opkit.client.cards import CardCalls

        return CardCalls(self)

    @cached_property
    def compute(self) -> ComputeCalls:
        """Tasks: submit, and a handle for each."""
        from opkit.client.compute import ComputeCalls

        return ComputeCalls(self)

    def ledger(self, coop: Slug) -> LedgerCalls:
        """A coop's ledger: post, settle, hold, read; by its home node, for no other keeps it."""
        from opkit.client.ledger import LedgerCalls

        return LedgerCalls(self, coop)

    def governance(self, coop: Slug) -> GovernanceCalls:
        """A coop's assembly: propose, vote, delegate, count again; by its home node."""
        from opkit.client.governance import GovernanceCalls

        return self._assemblies.setdefault(coop, GovernanceCalls(self, coop))

    async def gather(self, coop: Slug) -> CoopEvidence:
        """Return all that an auditor gathers of a coop at its home node, to be verified at leisure.

        What is refused or not answered is in it as a gap (`opkit.client.gathering`).
        """
        from opkit.client.gathering import gather_coop

        return await gather_coop(self, coop)

    async def _authorised(
        self,
        endpoint: Endpoint[Ask, Answer],
        request: Request,
        headers: dict[str, str],
        *,
        wait_ms: int,
    ) -> Answer:
        """Ask with a token if the endpoint wants one; renew it once if the node says it ended."""
        if endpoint.scope is None:
            return await self._patiently(endpoint, request, headers, wait_ms=wait_ms)
        token = await self._session.ensure(self.ask_once)
        if token is None:
            return await self._patiently(endpoint, request, headers, wait_ms=wait_ms)
        try:
            bearing = {**headers, "Authorization": f"Bearer {token}"}
            return await self._patiently(endpoint, request, bearing, wait_ms=wait_ms)
        except TokenRejected:
            if self.identity is None:
                raise
        token = await self._session.ensure(self.ask_once, instead_of=token)
        bearing = {**headers, "Authorization": f"Bearer {token}"}
        return await self._patiently(endpoint, request, bearing, wait_ms=wait_ms)

    async def _patiently(
        self,
        endpoint: Endpoint[Ask, Answer],
        request: Request,
        headers: dict[str, str],
        *,
        wait_ms: int,
    ) -> Answer:
        if endpoint.method == "GET" or endpoint.changes:
            for pause_ms in self.patience.pauses_ms():
                try:
                    return await self._once(endpoint, request, headers, wait_ms=wait_ms)
                except PASSING:
                    await asyncio.sleep(pause_ms / 1000)
        return await self._once(endpoint, request, headers, wait_ms=wait_ms)

    async def _once(
        self,
        endpoint: Endpoint[Ask, Answer],
        request: Request,
        headers: dict[str, str],
        *,
        wait_ms: int = 0,
    ) -> Answer:
        status, body = await self._transport.exchange(
            request, headers=headers, deadline_ms=self.deadline_ms + wait_ms
        )
        said = decode(endpoint, status=status, body=body, where=self.url)
        if isinstance(said, CoopError):
            raise said
        return said

    async def _stream_token(self, instead_of: str | None) -> str | None:
        return await self._session.ensure(self.ask_once, instead_of=instead_of)

    def _port(self) -> EventsPort:
        if self._events is None:
            from opkit.client.ws_events import WebSocketEvents

            self._events = WebSocketEvents(url=self.url, pin=self._pin)
        return self._events
