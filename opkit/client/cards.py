"""Agent cards, by a client: signed here before they are published, verified here when they come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from opkit.proof import jws
from opkit.proof.cards import CardView, match_card, read_card, sign_card, value_of
from opkit.proof.checks import ProofError
from opkit.proof.record import make_record, read_record
from opkit.wire.agents import AgentParams, CardValue
from opkit.wire.base import Did, Jws, Slug, TimeMs
from opkit.wire.cards import (
    PUBLISH_CARD,
    RESOLVE_CARD,
    AskCard,
    PublishCard,
    PublishedCard,
    ResolvedCard,
)
from opkit.wire.errors import Fault
from opkit.wire.records import Carried, Sequence

if TYPE_CHECKING:
    from opkit.client.node import NodeClient
    from opkit.proof.keys import Identity

CARD_TERM_MS = 7 * 24 * 3_600_000
"""How long a card stands unless it is published again: as long as one may."""


@dataclass(frozen=True, kw_only=True)
class FoundCard:
    """A card that verifies, and how it was found.

    Attributes:
        sequence: that of the record that led to it, which lapses at `lapses_at_ms`.
        cached: the node had resolved it a moment ago.
    """

    view: CardView
    sequence: Sequence
    lapses_at_ms: TimeMs
    cached: bool
    hops: int


class CardCalls:
    """The cards of a network's agents, by one of its nodes."""

    def __init__(self, client: NodeClient) -> None:
        """Call by this client."""
        self._client = client

    async def publish(
        self,
        card: dict[str, Any],
        *,
        identity: Identity | None = None,
        node: Did | None = None,
        region: Slug | None = None,
        term_ms: int = CARD_TERM_MS,
        proof: tuple[Jws, ...] = (),
    ) -> PublishedCard:
        """Sign a card and have it found; a later one takes its place.

        Args:
            card: an A2A 1.0 card; what it says of this network and who signed it is made anew.
            identity: the agent's key; the client's own unless said.
            node: the node at which the agent is served.
            region: where it is.
            term_ms: for how long it stands.
            proof: the agent's chain of membership records, if genesis does not name its key.

        Raises:
            ProofError: no reader would take such a card.
            Refusal: see `cards.publish`.
            Unreachable: the node did not answer: whether it was published is unknown.
        """
        signer = self._signer(identity)
        at_ms = self._client.now_ms()
        agent = AgentParams(
            network=self._client.network,
            did=signer.did,
            sequence=at_ms,
            node=node,
            region=region,
        )
        signed = sign_card(card, agent=agent, identity=signer)
        value = value_of(signed)
        carried = self._record(signer, value, at_ms=at_ms, term_ms=term_ms, proof=proof)
        return await self._hand_in(carried, None if value.card is not None else signed)

    async def revoke(
        self, *, identity: Identity | None = None, proof: tuple[Jws, ...] = ()
    ) -> PublishedCard:
        """Take an agent's card back; raises as `publish`."""
        signer = self._signer(identity)
        at_ms = self._client.now_ms()
        carried = self._record(signer, None, at_ms=at_ms, term_ms=CARD_TERM_MS, proof=proof)
        return await self._hand_in(carried, None)

    async def resolve(self, did: Did) -> FoundCard:
        """Return the card of an agent, verified here: the node may be wrong.

        Raises:
            Refusal: see `cards.resolve`.
            Fault: what the node answers does not verify.
        """
        found = await self._client.call(RESOLVE_CARD, AskCard(did=did))
        try:
            view = check_resolved(found, did=did, network=self._client.network)
        except ProofError as bad:
            raise Fault(where=self._client.node, incident="", why=bad.why) from bad
        return FoundCard(
            view=view,
            sequence=found.sequence,
            lapses_at_ms=found.lapses_at_ms,
            cached=found.cached,
            hops=found.hops,
        )

    def _signer(self, identity: Identity | None) -> Identity:
        signer = identity or self._client.identity
        assert signer is not None, "a card is signed by its agent"
        return signer

    def _record(
        self,
        signer: Identity,
        value: CardValue | None,
        *,
        at_ms: TimeMs,
        term_ms: int,
        proof: tuple[Jws, ...],
    ) -> Carried:
        token = make_record(
            signer,
            network=self._client.network,
            namespace="card",
            name=signer.did,
            value=None if value is None else value.model_dump(mode="json"),
            at_ms=at_ms,
            term_ms=term_ms,
        )
        return Carried(jws=token, proof=proof)

    async def _hand_in(self, carried: Carried, card: dict[str, Any] | None) -> PublishedCard:
        ask = PublishCard(carried=carried, card=card)
        key = jws.record_id(carried.jws)
        return await self._client.call(PUBLISH_CARD, ask, idempotency_key=key)


def check_resolved(found: ResolvedCard, *, did: Did, network: str) -> CardView:
    """Return the card in an answer, if its record and the card verify and belong together.

    Raises:
        ProofError: they do not, or the answer says something else than they do.
    """
    body = read_record(found.record.jws, network=network)
    view = read_card(found.card, did=did, network=network)
    if (body.aud, body.name, body.owner) != ("card", did, did) or body.value is None:
        raise ProofError("the record is none of the agent's card")
    value = CardValue.model_validate(body.value)
    match_card(body, value, view)
    said = (found.did, found.cid, found.sequence, found.card_sequence, found.lapses_at_ms)
    if said != (did, view.cid, body.sequence, view.agent.sequence, body.lapses_at_ms):
        raise ProofError("the answer says something else than the record and the card")
    return view
