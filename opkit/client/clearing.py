"""Clearing, by a client: propose, settle, net, and believe no exchange that does not verify."""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator, Iterable
from typing import TYPE_CHECKING

from opkit.proof.checks import ProofError
from opkit.proof.clearing import read_evidence
from opkit.wire import clearing as wire
from opkit.wire.base import RecordId, Slug
from opkit.wire.errors import Fault

if TYPE_CHECKING:
    from opkit.client.node import NodeClient

TTL_MS = 30_000
"""For how long the other side may accept unless it is said."""

PAGE = 100
"""How many exchanges are asked for at once."""


class ClearingCalls:
    """The exchanges of the coops whose home a node is."""

    def __init__(self, client: NodeClient) -> None:
        """Call by this client."""
        self._client = client

    async def offer(
        self,
        agreement: RecordId,
        *,
        payer: Slug,
        payee: Slug,
        amount: int,
        unit: str = "commons-credits",
        what: str = "",
        exchange_id: str | None = None,
        ttl_ms: int = TTL_MS,
    ) -> wire.Exchange:
        """Propose an exchange under an agreement; the speaker's own coop is one of the two.

        Args:
            agreement: its id.
            payer: who gets what is exchanged, and owes for it.
            payee: who gives it.
            amount: in the unit's smallest step.
            unit: the agreement's.
            what: what is exchanged, for people.
            exchange_id: names it for good; a fresh one unless given.
            ttl_ms: for how long the other side may accept.

        Returns:
            How far it came: committed, or offered if the other side is silent; then it goes on by
            itself, and counts as in doubt.

        Raises:
            Refusal: see `clearing.offer`; one side or the other said no, and nothing comes of it.
            Unreachable: the node did not answer: ask again with the same id.
            Fault: the node is broken.
        """
        ask = wire.PostOffer(
            agreement=agreement,
            exchange_id=exchange_id or secrets.token_hex(16),
            payer=payer,
            payee=payee,
            unit=unit,
            amount=amount,
            what=what,
            ttl_ms=ttl_ms,
        )
        return await self._client.call(wire.POST_OFFER, ask)

    async def settle(
        self,
        agreement: RecordId,
        period: str,
        *,
        other: Slug | None = None,
        what: str = "",
        ttl_ms: int = TTL_MS,
    ) -> wire.Exchange:
        """Bring the position under an agreement to zero on both sides, for a period, once.

        The coop that is owed does so: it says by it that it is owed no more.

        Args:
            agreement: its id.
            period: `2026-03`, `2026-Q1`, or a part of one (`2026-Q1/run-7`).
            other: with whom, if the agreement has more than two parties.
            what: for people.
            ttl_ms: for how long the other side may accept.

        Raises:
            SettlementDone: the period was settled before.
            ExchangeMalformed: the caller's coop is who owes.
            Refusal, Unreachable, Fault: as `offer`.
        """
        ask = wire.SettlePeriod(
            agreement=agreement, period=period, other=other, what=what, ttl_ms=ttl_ms
        )
        return await self._client.call(wire.SETTLE_PERIOD, ask)

    async def net(
        self,
        legs: Iterable[wire.Leg],
        *,
        unit: str = "commons-credits",
        what: str = "",
        exchange_id: str | None = None,
        ttl_ms: int = TTL_MS,
    ) -> wire.Exchange:
        """Take debts that go around out of all positions at once, all or none.

        Args:
            legs: such as `opkit.proof.circles.circle_of` finds.
            unit: in which they are.
            what: for people.
            exchange_id: names it for good; a fresh one unless given.
            ttl_ms: for how long the others may accept.

        Raises:
            NettingExcessive: a leg is more than what is owed.
            Refusal, Unreachable, Fault: as `offer`.
        """
        ask = wire.NetDebts(
            exchange_id=exchange_id or secrets.token_hex(16),
            unit=unit,
            legs=tuple(legs),
            what=what,
            ttl_ms=ttl_ms,
        )
        return await self._client.call(wire.NET_DEBTS, ask)

    async def get(self, exchange: str, *, coop: str = "") -> wire.ExchangeAnswer:
        """Return an exchange by its hash or id, with its proofs.

        Raises:
            ExchangeUnknown: the node knows of none.
            Fault: what it answers does not verify, or is not what was asked for.
        """
        ask = wire.AskClearing(exchange=exchange, coop=coop)
        return self._checked(exchange, await self._client.call(wire.READ_EXCHANGE, ask))

    async def list(
        self, *, agreement: str = "", coop: str = "", doubt: bool = False, page: int = PAGE
    ) -> AsyncGenerator[wire.Exchange, None]:
        """Return exchanges, newest first; `get` verifies one.

        Args:
            agreement: only those under it.
            coop: whose, at a node that is the home of several.
            doubt: only those in doubt.
            page: how many are asked for at once.
        """
        before = 0
        while True:
            ask = wire.ListExchanges(
                agreement=agreement, coop=coop, doubt=doubt, before=before, exchanges_max=page
            )
            found = await self._client.call(wire.LIST_EXCHANGES, ask)
            for each in found.exchanges:
                yield each
            if not found.next_before:
                return
            before = found.next_before

    async def positions(
        self, *, agreement: str = "", coop: str = "", other: str = ""
    ) -> tuple[wire.ClearingPosition, ...]:
        """Return how the node's coop stands with others."""
        ask = wire.ListPositions(agreement=agreement, coop=coop, other=other)
        return (await self._client.call(wire.LIST_POSITIONS, ask)).positions

    def _checked(self, named: str, answer: wire.ExchangeAnswer) -> wire.ExchangeAnswer:
        """Return an answer, if it is of the exchange so named, its proofs verify and say the same.

        Without a genesis of one's own nothing can be verified, and it is as good as the node.
        """
        genesis, exchange = self._client.genesis, answer.exchange
        if named not in (exchange.hash, exchange.exchange_id):
            why = f"{named} was asked for, not {exchange.exchange_id}"
            raise Fault(where=self._client.node, incident="", why=why)
        if genesis is None:
            return answer
        try:
            told = read_evidence(answer.evidence, genesis)
        except ProofError as bad:
            raise Fault(where=self._client.node, incident="", why=bad.why) from bad
        ended = exchange.state if exchange.state in ("committed", "aborted") else None
        said = (exchange.hash, exchange.legs, exchange.unit, exchange.exchange_id, ended)
        offer = told.offer
        if said != (told.hash, offer.legs, offer.unit, offer.exchange_id, told.ending):
            why = f"what it says of {exchange.exchange_id} is not what was signed"
            raise Fault(where=self._client.node, incident="", why=why)
        return answer
