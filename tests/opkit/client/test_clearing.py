"""Exchanges by a client: what a node answers is what was asked for, or nothing."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, cast

import pytest

from opkit.client import NodeClient
from opkit.client.clearing import ClearingCalls
from opkit.proof import clearing as proof
from opkit.proof import jws
from opkit.proof.genesis import GenesisView
from opkit.wire import clearing as wire
from opkit.wire.errors import Fault
from tests.opkit.proof.exchanges import offer_of
from tests.simulation.town import GENESIS, key_of


@dataclass
class Answering:
    """A node that answers one exchange, whatever is asked."""

    answer: wire.ExchangeAnswer
    genesis: GenesisView | None = GENESIS
    node: str = key_of("apple").did

    async def call(self, *_: Any) -> wire.ExchangeAnswer:
        return self.answer


def answer() -> wire.ExchangeAnswer:
    """Return an exchange that apple offered and nobody answered."""
    offer = offer_of()
    token = proof.sign_offer(offer, key_of("apple"))
    exchange = wire.Exchange(
        coop="apple",
        hash=jws.record_id(token),
        proposer="apple",
        role="proposer",
        state="offered",
        in_doubt=True,
        ruled=False,
        untold=0,
        why="",
        entry=None,
        correction=None,
        ended_ms=None,
        **offer.model_dump(
            include={
                "exchange_id",
                "kind",
                "unit",
                "legs",
                "what",
                "period",
                "sequence",
                "offered_ms",
                "expires_ms",
            }
        ),
    )
    return wire.ExchangeAnswer(exchange=exchange, evidence=wire.Evidence(offer=token))


def get(named: str, *, genesis: GenesisView | None = GENESIS) -> wire.ExchangeAnswer:
    """Ask for an exchange."""
    client = cast("NodeClient", Answering(answer(), genesis))
    return asyncio.run(ClearingCalls(client).get(named))


@pytest.mark.parametrize("genesis", [GENESIS, None])
def test_an_exchange_is_answered_that_has_the_hash_or_the_id_that_was_asked_for(
    genesis: GenesisView | None,
) -> None:
    said = answer()
    for named in (said.exchange.hash, said.exchange.exchange_id):
        assert get(named, genesis=genesis) == said
    for other in ("f" * 64, "x2"):
        with pytest.raises(Fault, match="was asked for"):
            get(other, genesis=genesis)
