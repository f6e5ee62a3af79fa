"""What others say, or keep to themselves, costs a side no more than its limit and its patience."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from structlog.testing import capture_logs

from opkit.proof import clearing as proof
from opkit.proof import jws
from opkit.wire import clearing as wire
from opkit.wire.base import Jws, Slug
from opkit.wire.clearing import Leg
from opkit.wire.errors import refusal_from
from tests.simulation.town import ARBITER, LIMITS, NETWORK, START_MS, UNIT, Town, key_of, terms_of

TWO = terms_of("apple", "birch")
TTL_MS = 5_000


def in_town(folder: Path, story: Callable[[Town], Awaitable[None]]) -> None:
    """Tell a story in a fresh town."""

    async def main() -> None:
        async with asyncio.timeout(120), Town(folder) as town:
            await story(town)

    asyncio.run(main())


def offered(agreement: str, **changes: Any) -> Jws:
    """Return an offer by which birch would owe apple, that apple signed without keeping it."""
    said = {
        "network": NETWORK,
        "did": key_of("apple").did,
        "coop": "apple",
        "parties": ("apple", "birch"),
        "exchange_id": "unkept",
        "kind": "exchange",
        "unit": UNIT,
        "legs": (Leg(agreement=agreement, payer="birch", payee="apple", amount=40),),
        "what": "nothing",
        "period": None,
        "arbiter": ARBITER,
        "sequence": 1,
        "offered_ms": START_MS,
        "expires_ms": START_MS + TTL_MS,
    }
    return proof.sign_offer(wire.Offer.model_validate(said | changes), key_of("apple"))


async def accepted(town: Town, token: Jws, coop: Slug = "birch") -> Jws:
    """Have a coop accept an offer; return its acceptance."""
    ask = wire.OfferExchange(offer=token, coop=coop)
    said: wire.OfferAccepted = await town.hear(coop, wire.OFFER_EXCHANGE.name, ask)
    return said.acceptance


async def side_of(town: Town, token: Jws, coop: Slug = "birch") -> wire.Exchange:
    """Return how a side stands."""
    return (await town.sides())[jws.record_id(token)][coop]


async def pass_time(town: Town, ms: int, *coops: Slug, step_ms: int = 1_000) -> None:
    """Let some homes say what they have to while time passes."""
    for _ in range(ms // step_ms):
        for coop in coops:
            await town.serve(coop)
        town.clock.advance(step_ms)


def test_an_arbiter_that_names_a_time_far_off_is_asked_again_soon(tmp_path: Path) -> None:
    async def story(town: Town) -> None:
        token = offered(town.agreements.add(TWO))
        await accepted(town, token)
        await town.stop("apple")
        umpire = town.homes[ARBITER].handlers
        honest = umpire[wire.ASK_RULING.name]
        far = refusal_from(wire.RulingEarly(until_ms=10**30).problem())
        asked: list[int] = []

        async def put_off(peer: str, ask: Any) -> Any:
            del peer, ask
            asked.append(town.clock.now_ms())
            raise far

        umpire[wire.ASK_RULING.name] = put_off
        await pass_time(town, TTL_MS + 4 * LIMITS.rule_after_ms, "birch")
        waited = [later - before for before, later in zip(asked, asked[1:], strict=False)]
        assert len(asked) >= 3 and max(waited) <= LIMITS.rule_after_ms + LIMITS.retry_ms_max
        umpire[wire.ASK_RULING.name] = honest
        await pass_time(town, 2 * LIMITS.rule_after_ms, "birch")
        side = await side_of(town, token)
        assert (side.state, side.ruled) == ("aborted", True)

    in_town(tmp_path, story)


def test_a_defect_costs_the_errand_that_met_it_and_is_seen(tmp_path: Path) -> None:
    async def story(town: Town) -> None:
        name = town.agreements.add(TWO)
        first, second = offered(name), offered(name, exchange_id="other")
        for token in (first, second):
            await accepted(town, token)
        apple = town.homes["apple"].handlers

        async def answer(peer: str, ask: wire.AskOutcome) -> wire.OutcomeTaken:
            del peer
            if ask.offer == first:
                raise ZeroDivisionError
            abort = wire.Abort(
                network=NETWORK,
                did=key_of("apple").did,
                coop="apple",
                offer=jws.record_id(second),
                why="rethought",
                decided_ms=START_MS,
            )
            ended = proof.sign_outcome(abort, key_of("apple"))
            return wire.OutcomeTaken(
                state="aborted", evidence=wire.Evidence(offer=second, outcome=ended)
            )

        honest, apple[wire.ASK_OUTCOME.name] = apple[wire.ASK_OUTCOME.name], answer
        town.clock.advance(LIMITS.ask_after_ms)
        with capture_logs() as logged:
            await town.serve("birch")
        assert (await side_of(town, second)).state == "aborted"
        assert (await side_of(town, first)).in_doubt
        broke = [each for each in logged if each["event"] == "an errand broke"]
        assert [(each["log_level"], each["task"], each["exchange"]) for each in broke] == [
            ("error", "ask", jws.record_id(first))
        ]
        assert isinstance(broke[0]["exc_info"], ZeroDivisionError)
        assert town.homes["birch"].clearing.counts.broken == 1
        # It is tried again, and not at once.
        await town.serve("birch")
        assert town.homes["birch"].clearing.counts.broken == 1
        town.clock.advance(LIMITS.retry_ms_max)
        await town.serve("birch")
        assert town.homes["birch"].clearing.counts.broken == 2
        apple[wire.ASK_OUTCOME.name] = honest
        await town.come_to_rest()
        assert (await side_of(town, first)).state == "aborted"

    in_town(tmp_path, story)


def test_a_proposer_that_answers_and_never_decides_is_ruled_on(tmp_path: Path) -> None:
    async def story(town: Town) -> None:
        name = town.agreements.add(TWO)
        token = offered(name)
        await accepted(town, token)

        async def shrug(peer: str, ask: Any) -> wire.OutcomeTaken:
            del peer, ask
            return wire.OutcomeTaken(state="offered", evidence=wire.Evidence(offer=token))

        town.homes["apple"].handlers[wire.ASK_OUTCOME.name] = shrug
        await pass_time(town, TTL_MS + 2 * LIMITS.rule_after_ms, "birch", ARBITER)
        # Until then it may still decide.
        assert (await side_of(town, token)).in_doubt
        await pass_time(town, LIMITS.rule_after_ms, "birch", ARBITER)
        side = await side_of(town, token)
        assert (side.state, side.ruled, side.in_doubt) == ("aborted", True, False)
        assert (await town.account("birch", "due/apple")).held == 0
        assert (await town.position("birch", "apple", name)).doubt_out == 0

    in_town(tmp_path, story)
