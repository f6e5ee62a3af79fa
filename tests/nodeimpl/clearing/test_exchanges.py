"""Exchanges between homes: every message met by every fate, and what both sides have then."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from opkit.wire import clearing as wire
from opkit.wire.agreements import AgreementInactive, AgreementUnknown
from opkit.wire.clearing import Leg
from opkit.wire.ledger import Overdrawn, UnitUnknown
from tests.simulation.story import tell_in
from tests.simulation.town import (
    FATES,
    MOST,
    UNIT,
    Died,
    Fate,
    Message,
    Town,
    officer_of,
    terms_of,
)
from tests.simulation.truths import always, at_rest

TWO = terms_of("apple", "birch")
RING = (TWO, terms_of("birch", "cedar"), terms_of("apple", "cedar"))


def in_town(
    folder: Path,
    story: Callable[[Town], Awaitable[None]],
    *,
    weather: Callable[[Message], Fate] = lambda _: "pass",
) -> None:
    """Tell a story in a fresh town."""
    folder.mkdir(exist_ok=True, parents=True)
    tell_in(Town(folder, weather=weather), story)


def one_fate(number: int, fate: Fate) -> Callable[[Message], Fate]:
    """Return weather that is fine but for one message."""
    return lambda message: fate if message.number == number else "pass"


async def try_it(town: Town, who: str, doing: Callable[[], Awaitable[object]]) -> None:
    """Do something, also if that kills who does it."""
    try:
        await doing()
    except Died:
        await town.restart(who)


async def ring(town: Town) -> tuple[Leg, ...]:
    """Have three coops owe each other in a circle; return the legs that net it."""
    names = [town.agreements.add(terms) for terms in RING]
    await town.offer("apple", "birch", 30, agreement=names[0], name="a")
    await town.offer("birch", "cedar", 20, agreement=names[1], name="b")
    await town.offer("cedar", "apple", 25, agreement=names[2], name="c")
    return (
        Leg(agreement=names[0], payer="birch", payee="apple", amount=20),
        Leg(agreement=names[1], payer="cedar", payee="birch", amount=20),
        Leg(agreement=names[2], payer="apple", payee="cedar", amount=20),
    )


def test_an_exchange_is_posted_on_both_sides_and_both_see_the_mirror(tmp_path: Path) -> None:
    async def story(town: Town) -> None:
        name = town.agreements.add(TWO)
        done = await town.offer("apple", "birch", 40, agreement=name)
        assert (done.state, done.in_doubt, done.untold) == ("committed", False, 0)
        assert [message.method for message, _ in town.told] == [
            "clearing.offer",
            "clearing.settled",
        ]
        mine, theirs = (
            await town.position("apple", "birch", name),
            await town.position("birch", "apple", name),
        )
        assert (mine.balance, theirs.balance) == (-40, 40)
        assert (await town.account("apple", "equity/exchanges")).balance == 40
        assert (await town.account("birch", "equity/exchanges")).balance == -40
        assert await town.waiting() == 0
        await at_rest(town)

    in_town(tmp_path, story)


def test_the_same_ask_does_it_once_and_another_under_its_id_is_refused(tmp_path: Path) -> None:
    async def story(town: Town) -> None:
        name = town.agreements.add(TWO)
        done = await town.offer("apple", "birch", 40, agreement=name)
        assert await town.offer("apple", "birch", 40, agreement=name) == done
        with pytest.raises(wire.ExchangeConflict):
            await town.offer("apple", "birch", 41, agreement=name)
        # The other side's ids are its own.
        await town.offer("birch", "apple", 5, agreement=name)
        assert (await town.position("apple", "birch", name)).balance == -35
        await at_rest(town)

    in_town(tmp_path, story)


@pytest.mark.parametrize("fate", FATES)
@pytest.mark.parametrize("number", [0, 1])
def test_whatever_becomes_of_a_message_both_sides_are_equal_in_the_end(
    tmp_path: Path, number: int, fate: Fate
) -> None:
    async def story(town: Town) -> None:
        name = town.agreements.add(TWO)
        await try_it(town, "apple", lambda: town.offer("apple", "birch", 40, agreement=name))
        await always(town)
        town.weather = lambda _: "pass"
        await town.come_to_rest()
        await at_rest(town)
        (sides,) = (await town.sides()).values()
        assert {side.state for side in sides.values()} == {"committed"}

    in_town(tmp_path, story, weather=one_fate(number, fate))


@pytest.mark.parametrize("fate", ["no-ask", "no-answer", "late"])
def test_a_side_cut_off_for_long_is_equal_when_it_is_back(tmp_path: Path, fate: Fate) -> None:
    """Every message has the same fate until long after the offer lapsed."""

    async def story(town: Town) -> None:
        name = town.agreements.add(TWO)
        await town.offer("apple", "birch", 40, agreement=name)
        town.cut.add(frozenset(("birch", "umpire")))
        for _ in range(40):
            for coop in ("apple", "birch"):
                await town.homes[coop].carrier.serve_due()
            town.clock.advance(1_000)
            await always(town)
        town.weather = lambda _: "pass"
        town.cut.clear()
        await town.come_to_rest()
        await at_rest(town)
        assert (await town.position("apple", "birch", name)).balance == 0

    in_town(tmp_path, story, weather=lambda _: fate)


def test_two_messages_with_every_pair_of_fates(tmp_path: Path) -> None:
    async def one(folder: Path, first: Fate, second: Fate) -> None:
        def weather(message: Message) -> Fate:
            return {0: first, 1: second}.get(message.number, "pass")

        async with Town(folder, weather=weather) as town:
            name = town.agreements.add(TWO)
            await try_it(town, "apple", lambda: town.offer("apple", "birch", 40, agreement=name))
            for coop in ("apple", "birch"):
                await try_it(town, coop, town.homes[coop].carrier.serve_due)
            await always(town)
            town.weather = lambda _: "pass"
            await town.come_to_rest()
            await at_rest(town)

    async def story() -> None:
        async with asyncio.timeout(200):
            for at, first in enumerate(FATES):
                for second in FATES:
                    folder = tmp_path / f"{at}-{second}"
                    folder.mkdir()
                    await one(folder, first, second)

    asyncio.run(story())


@pytest.mark.parametrize("fate", FATES)
@pytest.mark.parametrize("number", [0, 1, 2, 3])
def test_whatever_becomes_of_a_message_of_a_netting_all_are_equal_in_the_end(
    tmp_path: Path, number: int, fate: Fate
) -> None:
    async def story(town: Town) -> None:
        legs = await ring(town)
        before = [
            (await town.position(leg.payee, leg.payer, leg.agreement)).balance for leg in legs
        ]
        assert before == [-30, -20, -25]
        town.told.clear()
        town.weather = one_fate(number, fate)
        await try_it(town, "apple", lambda: town.net("apple", legs))
        await always(town)
        town.weather = lambda _: "pass"
        await town.come_to_rest()
        await at_rest(town)
        after = [(await town.position(leg.payee, leg.payer, leg.agreement)).balance for leg in legs]
        assert after in ([-10, 0, -5], before), "all or none"
        if fate != "no-ask" or number > 1:
            assert after == [-10, 0, -5]

    in_town(tmp_path, story)


def test_a_netting_that_one_refuses_moves_nothing(tmp_path: Path) -> None:
    async def story(town: Town) -> None:
        legs = await ring(town)
        # Cedar owes apple less by the time it is asked.
        await town.offer("apple", "cedar", 20, agreement=legs[2].agreement, name="d")
        with pytest.raises(wire.NettingExcessive):
            await town.net("birch", legs)
        await town.come_to_rest()
        await at_rest(town)
        assert (await town.position("apple", "birch", legs[0].agreement)).balance == -30

    in_town(tmp_path, story)


def test_the_arbiter_rules_while_the_proposer_is_silent_who_corrects_itself_then(
    tmp_path: Path,
) -> None:
    async def story(town: Town) -> None:
        name = town.agreements.add(TWO)
        town.weather = lambda message: "no-ask" if message.method == "clearing.settled" else "pass"
        done = await town.offer("apple", "birch", 40, agreement=name)
        assert (done.state, done.untold) == ("committed", 1)
        await town.stop("apple")
        town.weather = lambda _: "pass"
        assert (await town.position("birch", "apple", name)).doubt_in == 40
        await town.come_to_rest()
        (sides,) = (await town.sides()).values()
        assert (sides["birch"].state, sides["birch"].ruled) == ("aborted", True)
        assert (await town.position("birch", "apple", name)).doubt_in == 0
        await town.start("apple")
        await town.come_to_rest()
        await at_rest(town)
        (sides,) = (await town.sides()).values()
        mine = sides["apple"]
        assert (mine.state, mine.ruled) == ("aborted", True)
        assert mine.entry is not None and mine.correction is not None
        assert (await town.position("apple", "birch", name)).balance == 0

    in_town(tmp_path, story)


def test_an_arbiter_that_hears_the_proposer_passes_its_word_on_and_rules_nothing(
    tmp_path: Path,
) -> None:
    async def story(town: Town) -> None:
        name = town.agreements.add(TWO)
        town.weather = lambda message: "no-ask" if message.method == "clearing.settled" else "pass"
        await town.offer("apple", "birch", 40, agreement=name)
        town.cut.add(frozenset(("apple", "birch")))
        for _ in range(60):
            await town.homes["birch"].carrier.serve_due()
            town.clock.advance(1_000)
        (sides,) = (await town.sides()).values()
        assert (sides["birch"].state, sides["birch"].ruled) == ("committed", False)
        town.weather = lambda _: "pass"
        town.cut.clear()
        await town.come_to_rest()
        await at_rest(town)

    in_town(tmp_path, story)


def test_what_is_in_doubt_counts_against_the_greatest_imbalance_on_both_sides(
    tmp_path: Path,
) -> None:
    async def story(town: Town) -> None:
        name = town.agreements.add(TWO)
        town.weather = lambda message: "no-ask" if message.method == "clearing.settled" else "pass"
        await town.offer("apple", "birch", 60, agreement=name)
        town.weather = lambda message: "no-answer" if message.method == "clearing.offer" else "pass"
        half = await town.offer("apple", "birch", 30, agreement=name, name="x2")
        assert (half.state, half.in_doubt) == ("offered", True)
        assert (await town.position("apple", "birch", name)).doubt_out == 30
        assert (await town.position("birch", "apple", name)).doubt_in == 90
        await always(town)
        with pytest.raises(wire.Imbalance) as mine:
            await town.offer("apple", "birch", 11, agreement=name, name="x3")
        assert (mine.value.coop, mine.value.balance, mine.value.doubt) == ("apple", -60, 30)
        with pytest.raises(wire.Imbalance) as theirs:
            await town.offer("apple", "birch", 11, agreement=name, name="x4", by="birch")
        assert (theirs.value.coop, theirs.value.balance, theirs.value.doubt) == ("birch", 0, 90)
        town.weather = lambda _: "pass"
        await town.offer("apple", "birch", 10, agreement=name, name="x5")
        await town.come_to_rest()
        await at_rest(town)
        assert (await town.position("apple", "birch", name)).balance == -MOST

    in_town(tmp_path, story)


def test_what_the_other_side_refuses_is_refused_here_and_leaves_nothing_in_doubt(
    tmp_path: Path,
) -> None:
    async def story(town: Town) -> None:
        name = town.agreements.add(TWO)
        # Birch has sixty in doubt that apple has posted; apple settles nothing of it.
        town.weather = lambda message: "no-ask" if message.method == "clearing.settled" else "pass"
        await town.offer("birch", "apple", 60, agreement=name, by="birch")
        town.cut.add(frozenset(("apple", "birch")))
        town.weather = lambda _: "pass"
        town.cut.clear()
        with pytest.raises(wire.Imbalance) as no:
            await town.offer("birch", "apple", 41, agreement=name, by="apple", name="y")
        assert no.value.coop in ("apple", "birch")
        await town.come_to_rest()
        await at_rest(town)
        assert (await town.account("apple", "equity/exchanges")).held == 0

    in_town(tmp_path, story)


def test_a_settlement_brings_both_to_zero_once(tmp_path: Path) -> None:
    async def story(town: Town) -> None:
        name = town.agreements.add(TWO)
        await town.offer("apple", "birch", 40, agreement=name)
        await town.offer("birch", "apple", 15, agreement=name)
        done = await town.settle("birch", name, "2026-01")
        assert (done.kind, done.state, done.period) == ("settlement", "committed", "2026-01")
        assert (await town.position("apple", "birch", name)).balance == 0
        assert (await town.position("apple", "birch", name)).settled == "2026-01"
        for coop in ("apple", "birch"):
            with pytest.raises(wire.SettlementDone):
                await town.settle(coop, name, "2026-01")
        with pytest.raises(wire.NothingToSettle):
            await town.settle("apple", name, "2026-02")
        with pytest.raises(wire.PeriodWrong):
            await town.settle("apple", name, "2026-Q1")
        await at_rest(town)

    in_town(tmp_path, story)


def test_a_settlement_waits_for_what_is_in_doubt_and_others_wait_for_it(tmp_path: Path) -> None:
    async def story(town: Town) -> None:
        name = town.agreements.add(TWO)
        await town.offer("apple", "birch", 40, agreement=name)
        town.weather = lambda message: "no-answer" if message.method == "clearing.offer" else "pass"
        await town.offer("apple", "birch", 5, agreement=name, name="x2")
        with pytest.raises(wire.InDoubt):
            await town.settle("birch", name, "2026-01")
        town.weather = lambda _: "pass"
        await town.come_to_rest()
        town.weather = lambda message: "no-answer" if message.method == "clearing.offer" else "pass"
        assert (await town.settle("birch", name, "2026-01")).state == "offered"
        with pytest.raises(wire.InDoubt):
            await town.offer("apple", "birch", 5, agreement=name, name="x3")
        town.weather = lambda _: "pass"
        await town.come_to_rest()
        await at_rest(town)
        assert (await town.position("apple", "birch", name)).balance == 0

    in_town(tmp_path, story)


def test_what_agreements_do_not_provide_for_is_refused(tmp_path: Path) -> None:
    async def story(town: Town) -> None:
        name = town.agreements.add(TWO)
        with pytest.raises(AgreementUnknown):
            await town.offer("apple", "birch", 1, agreement="0" * 64)
        with pytest.raises(wire.NotParty):
            await town.offer("apple", "cedar", 1, agreement=name)
        with pytest.raises(wire.ExchangeMalformed):
            await town.offer("apple", "apple", 1, agreement=name)
        with pytest.raises(wire.ClearingNotYours):
            await town.offer("apple", "birch", 1, agreement=name, by="cedar")
        ask = wire.PostOffer(
            agreement=name,
            exchange_id="u",
            payer="apple",
            payee="birch",
            unit="shells",
            amount=1,
        )
        clearing = town.homes["apple"].clearing
        with pytest.raises(UnitUnknown):
            await clearing.offer(ask, officer_of("apple"))
        with pytest.raises(wire.UnitMismatch) as no:
            await clearing.offer(ask.model_copy(update={"unit": "usd-cents"}), officer_of("apple"))
        assert (no.value.unit, no.value.agreed) == ("usd-cents", UNIT)
        await town.offer("apple", "birch", 1, agreement=name)
        town.agreements.over.add(name)
        with pytest.raises(AgreementInactive):
            await town.offer("apple", "birch", 1, agreement=name, name="late")
        # What is owed is settled all the same.
        assert (await town.settle("birch", name, "2026-01")).state == "committed"
        assert not [message for message, _ in town.told if message.asked == "cedar"]
        await at_rest(town)

    in_town(tmp_path, story)


def test_what_the_ledger_cannot_bear_is_refused_before_anything_is_signed(tmp_path: Path) -> None:
    async def story(town: Town) -> None:
        name = town.agreements.add(terms_of("apple", "birch", most=5_000))
        with pytest.raises(Overdrawn):
            await town.offer("apple", "birch", 1_001, agreement=name)
        assert not town.told
        # Birch bears it not: it is birch that would owe.
        with pytest.raises(Overdrawn):
            await town.offer("birch", "apple", 1_001, agreement=name, by="apple", name="y")
        await town.come_to_rest()
        assert (await town.account("apple", "equity/exchanges")).held == 0
        (sides,) = (await town.sides()).values()
        assert (sides["apple"].state, sides["apple"].why) == ("aborted", "overdrawn")

    in_town(tmp_path, story)


def test_a_restart_in_the_middle_finds_what_was_set_aside(tmp_path: Path) -> None:
    async def story(town: Town) -> None:
        name = town.agreements.add(TWO)
        town.weather = lambda _: "no-answer"
        await town.offer("apple", "birch", 40, agreement=name)
        assert (await town.account("apple", "due/birch")).held == 40
        assert (await town.account("birch", "equity/exchanges")).held == 40
        for coop in ("apple", "birch"):
            await town.restart(coop)
        assert (await town.account("apple", "due/birch")).held == 40
        town.weather = lambda _: "pass"
        await town.come_to_rest()
        await at_rest(town)
        assert (await town.account("apple", "due/birch")).held == 0

    in_town(tmp_path, story)
