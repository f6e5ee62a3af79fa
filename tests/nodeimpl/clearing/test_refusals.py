"""What a side or an arbiter says no to, by name: too late, too early, too much, elsewhere."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from nodeimpl.clearing import store as tables
from nodeimpl.clearing.rules import Limits
from opkit.wire import clearing as wire
from opkit.wire.base import RecordId, Slug
from opkit.wire.clearing import Leg
from tests.simulation.story import tell_in
from tests.simulation.town import ARBITER, LIMITS, Town, terms_of
from tests.simulation.truths import at_rest

TWO = terms_of("apple", "birch")
TTL_MS = 5_000


def in_town(
    folder: Path, story: Callable[[Town], Awaitable[None]], *, limits: Limits = LIMITS
) -> None:
    """Tell a story in a fresh town."""
    tell_in(Town(folder, limits=limits), story)


async def evidence(town: Town, coop: Slug, exchange: RecordId) -> wire.Evidence:
    """Return what a side keeps of an exchange."""
    kept = await town.homes[coop].store.read(
        lambda tx: tables.get(tx, coop=coop, exchange=exchange)
    )
    assert kept is not None
    return kept.evidence


def test_an_offer_that_comes_too_late_or_after_its_end_is_refused(tmp_path: Path) -> None:
    async def story(town: Town) -> None:
        name = town.agreements.add(TWO)
        town.weather = lambda _: "no-ask"
        half = await town.offer("apple", "birch", 40, agreement=name, ttl_ms=TTL_MS)
        ask = wire.OfferExchange(
            offer=(await evidence(town, "apple", half.hash)).offer, coop="birch"
        )
        town.clock.advance(TTL_MS)
        with pytest.raises(wire.OfferLapsed) as late:
            await town.hear("birch", wire.OFFER_EXCHANGE.name, ask)
        assert late.value.now_ms == late.value.expires_ms == half.expires_ms
        town.weather = lambda message: "no-answer" if message.method == "clearing.offer" else "pass"
        heard = await town.offer("apple", "birch", 40, agreement=name, name="x2", ttl_ms=TTL_MS)
        town.clock.advance(TTL_MS)
        town.weather = lambda _: "pass"
        await town.come_to_rest()
        with pytest.raises(wire.OfferLapsed):
            await town.hear("birch", wire.OFFER_EXCHANGE.name, ask)
        again = wire.OfferExchange(
            offer=(await evidence(town, "apple", heard.hash)).offer, coop="birch"
        )
        with pytest.raises(wire.ExchangeEnded) as ended:
            await town.hear("birch", wire.OFFER_EXCHANGE.name, again)
        assert (ended.value.exchange, ended.value.state) == (heard.hash, "aborted")
        await at_rest(town)

    in_town(tmp_path, story)


def test_the_arbiter_alone_rules_and_not_before_its_time(tmp_path: Path) -> None:
    async def story(town: Town) -> None:
        name = town.agreements.add(TWO)
        town.weather = lambda _: "no-answer"
        half = await town.offer("apple", "birch", 40, agreement=name, ttl_ms=TTL_MS)
        asked = wire.AskRuling(coop="birch", evidence=await evidence(town, "birch", half.hash))
        town.weather = lambda _: "pass"
        with pytest.raises(wire.ArbiterElsewhere) as elsewhere:
            await town.hear("cedar", wire.ASK_RULING.name, asked)
        assert elsewhere.value.arbiter == ARBITER
        with pytest.raises(wire.RulingEarly) as early:
            await town.hear(ARBITER, wire.ASK_RULING.name, asked)
        assert early.value.until_ms == half.expires_ms + LIMITS.rule_after_ms
        town.clock.advance(TTL_MS + LIMITS.rule_after_ms)
        # The proposer is there, and still decides by itself.
        with pytest.raises(wire.RulingEarly) as there:
            await town.hear(ARBITER, wire.ASK_RULING.name, asked)
        assert there.value.until_ms == town.clock.now_ms() + LIMITS.grace_ms
        await town.stop("apple")
        ruled = await town.hear(ARBITER, wire.ASK_RULING.name, asked)
        assert ruled == await town.hear(ARBITER, wire.ASK_RULING.name, asked), "once"
        assert ruled.evidence.ruling is not None
        await town.start("apple")
        await town.come_to_rest()
        await at_rest(town)

    in_town(tmp_path, story)


def test_agreements_that_name_several_arbiters_are_not_netted_together(tmp_path: Path) -> None:
    async def story(town: Town) -> None:
        other = terms_of("apple", "cedar").model_copy(update={"arbiter": "birch"})
        ring = (TWO, terms_of("birch", "cedar"), other)
        names = [town.agreements.add(terms) for terms in ring]
        for (payer, payee), name in zip(
            (("apple", "birch"), ("birch", "cedar"), ("cedar", "apple")), names, strict=True
        ):
            await town.offer(payer, payee, 20, agreement=name, name=payer)
        legs = (
            Leg(agreement=names[0], payer="birch", payee="apple", amount=20),
            Leg(agreement=names[1], payer="cedar", payee="birch", amount=20),
            Leg(agreement=names[2], payer="apple", payee="cedar", amount=20),
        )
        with pytest.raises(wire.ArbiterDiffers) as no:
            await town.net("apple", legs)
        assert {no.value.arbiter, no.value.agreed} == {ARBITER, "birch"}
        await town.come_to_rest()
        await at_rest(town)

    in_town(tmp_path, story)


def test_so_many_exchanges_with_one_other_are_in_doubt_and_no_more(tmp_path: Path) -> None:
    async def story(town: Town) -> None:
        name = town.agreements.add(TWO)
        town.weather = lambda _: "no-ask"
        for number in range(2):
            half = await town.offer("apple", "birch", 1, agreement=name, name=f"x{number}")
            assert half.in_doubt
        with pytest.raises(wire.ExchangesExhausted) as no:
            await town.offer("apple", "birch", 1, agreement=name, name="x3")
        assert (no.value.other, no.value.limit) == ("birch", 2)
        town.weather = lambda _: "pass"
        await town.come_to_rest()
        assert (await town.offer("apple", "birch", 1, agreement=name, name="x3")).state == (
            "committed"
        )
        await at_rest(town)

    in_town(tmp_path, story, limits=Limits(doubt_per_side_max=2))
