"""The node's own card: made from what the node is, signed once for as long as that stays the same.

It is published like any other, said again before it lapses, and served where A2A clients look for
it. Source: ADR 0036.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any

from nodeimpl.cards import rules
from opkit.proof.cards import read_card, sign_card, value_of
from opkit.proof.checks import ProofError
from opkit.proof.keys import Identity
from opkit.wire.agents import AgentParams, CardValue

FRESH_S = 60
"""How long a client may keep the card without asking again."""


@dataclass(frozen=True, kw_only=True)
class ServedCard:
    """A card as it is served: its bytes, and what an HTTP cache is told of them."""

    body: bytes
    etag: str
    modified: str
    cache_control: str = f"public, max-age={FRESH_S}"

    def is_known_to(self, if_none_match: str | None) -> bool:
        """Return whether a client has these very bytes. Source: RFC 9110, section 13.1.2."""
        if if_none_match is None:
            return False
        named = [tag.strip().removeprefix("W/") for tag in if_none_match[:1_024].split(",")]
        return self.etag in named or "*" in named


def own_card(
    identity: Identity,
    *,
    agent: AgentParams,
    title: str,
    version: str,
    urls: Sequence[str],
    before: dict[str, Any] | None,
) -> dict[str, Any]:
    """Return the node's card, signed: the one from before if it says the same.

    Args:
        agent: what stands in the extension; its sequence is that of a new card.
        title: the node's, by the genesis.
        version: of the software.
        urls: where the front door is.
        before: the value under which a card of the node's stands, if one does.

    Raises:
        ProofError: no reader would take it.
    """
    last = _last(before, agent)
    if last is not None:
        after = read_card(last, did=agent.did, network=agent.network).agent.sequence
        agent = agent.model_copy(update={"sequence": max(agent.sequence, after + 1)})
    bare = rules.node_card(title=title, version=version, urls=urls)
    card = sign_card(bare, agent=agent, identity=identity)
    return last if last is not None and rules.says_the_same(last, card) else card


def served(card: dict[str, Any], *, agent: AgentParams) -> ServedCard:
    """Return the card of an agent as it is served."""
    view = read_card(card, did=agent.did, network=agent.network)
    made_s = view.agent.sequence / 1_000
    return ServedCard(
        body=rules.bytes_of(view), etag=f'"{view.cid}"', modified=formatdate(made_s, usegmt=True)
    )


def publish(card: dict[str, Any], keep: Callable[[dict[str, Any]], None]) -> None:
    """Say in the network that this is the node's card, and keep saying it."""
    keep(value_of(card).model_dump(mode="json"))


def _last(before: dict[str, Any] | None, agent: AgentParams) -> dict[str, Any] | None:
    """Return the card that stands, if it is in its record and still one of this network."""
    if before is None:
        return None
    card = CardValue.model_validate(before).card
    if card is None:
        return None
    try:
        read_card(card, did=agent.did, network=agent.network)
    except ProofError:
        return None
    return card
