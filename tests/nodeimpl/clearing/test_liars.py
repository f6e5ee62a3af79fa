"""Homes and arbiters that sign what is not so: nobody honest moves by it, or all do alike."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nodeimpl.clearing.rules import DAY_MS, Limits
from opkit.proof import clearing as proof
from opkit.proof import jws
from opkit.wire import clearing as wire
from opkit.wire.base import Jws, Slug
from opkit.wire.clearing import Leg
from tests.simulation.story import tell_in
from tests.simulation.town import (
    ARBITER,
    GENESIS,
    LIMITS,
    NETWORK,
    START_MS,
    UNIT,
    Town,
    key_of,
    terms_of,
)
from tests.simulation.truths import always, at_rest

TWO = terms_of("apple", "birch")
RING = (TWO, terms_of("birch", "cedar"), terms_of("apple", "cedar"))
TTL_MS = 5_000


def in_town(
    folder: Path, story: Callable[[Town], Awaitable[None]], *, limits: Limits = LIMITS
) -> None:
    """Tell a story in a fresh town."""
    tell_in(Town(folder, limits=limits), story)


def offered(by: Slug, *legs: Leg, **changes: Any) -> Jws:
    """Return an offer that a home signs, whatever its node would have said of it."""
    said = {
        "network": NETWORK,
        "did": key_of(by).did,
        "coop": by,
        "parties": tuple(sorted({each for leg in legs for each in (leg.payer, leg.payee)})),
        "exchange_id": "lie",
        "kind": "exchange",
        "unit": UNIT,
        "legs": legs,
        "what": "nothing",
        "period": None,
        "arbiter": ARBITER,
        "sequence": 1,
        "offered_ms": START_MS,
        "expires_ms": START_MS + TTL_MS,
    }
    return proof.sign_offer(wire.Offer(**{**said, **changes}), key_of(by))


def ruled(token: Jws, by: Slug, ending: wire.Ending) -> Jws:
    said = wire.Ruling(
        network=NETWORK,
        did=key_of(by).did,
        coop=by,
        offer=jws.record_id(token),
        ending=ending,
        ruled_ms=1,
    )
    return proof.sign_ruling(said, key_of(by))


def aborted(token: Jws, by: Slug) -> Jws:
    said = wire.Abort(
        network=NETWORK,
        did=key_of(by).did,
        coop=by,
        offer=jws.record_id(token),
        why="lapsed",
        decided_ms=1,
    )
    return proof.sign_outcome(said, key_of(by))


def committed(token: Jws, by: Slug, acceptances: tuple[Jws, ...]) -> Jws:
    said = wire.Commit(
        network=NETWORK,
        did=key_of(by).did,
        coop=by,
        offer=jws.record_id(token),
        acceptances=tuple(jws.record_id(each) for each in acceptances),
        decided_ms=1,
    )
    return proof.sign_outcome(said, key_of(by))


async def tell(town: Town, coop: Slug, token: Jws, **said: Any) -> wire.OutcomeTaken:
    """Have a side told how an exchange ended."""
    ask = wire.TellOutcome(coop=coop, evidence=wire.Evidence(offer=token, **said))
    taken: wire.OutcomeTaken = await town.hear(coop, wire.TELL_OUTCOME.name, ask)
    return taken


async def accepted(town: Town, coop: Slug, token: Jws) -> Jws:
    """Have a side accept an offer."""
    ask = wire.OfferExchange(offer=token, coop=coop)
    said: wire.OfferAccepted = await town.hear(coop, wire.OFFER_EXCHANGE.name, ask)
    return said.acceptance


@pytest.mark.parametrize("accepts", [False, True])
@pytest.mark.parametrize(
    ("by", "arbiter"), [("apple", "apple"), ("cedar", "cedar"), ("apple", ARBITER)]
)
def test_no_ruling_has_a_side_post_what_was_not_committed(
    tmp_path: Path, by: Slug, arbiter: Slug, accepts: bool
) -> None:
    """Not by an arbiter whom a proposer names, nor by the true one, nor if the side accepted."""

    async def story(town: Town) -> None:
        name = town.agreements.add(TWO)
        leg = Leg(agreement=name, payer="birch", payee=by, amount=50 if accepts else 1_000)
        token = offered(by, leg, arbiter=arbiter)
        given: tuple[Jws, ...] = ()
        if accepts and (by, arbiter) == ("apple", ARBITER):
            given = (await accepted(town, "birch", token),)
        elif accepts:
            with pytest.raises((wire.ArbiterDiffers, wire.NotParty)):
                await accepted(town, "birch", token)
        ruling = ruled(token, arbiter, "committed")
        with pytest.raises(wire.OfferRejected, match="not committed"):
            await tell(town, "birch", token, acceptances=given, ruling=ruling)
        assert (await town.account("birch", f"due/{by}")).balance == 0
        assert len(await town.sides()) == len(given)
        await always(town)

    in_town(tmp_path, story)


def test_what_was_not_accepted_is_not_kept_however_it_ended(tmp_path: Path) -> None:
    async def story(town: Town) -> None:
        name = town.agreements.add(TWO)
        for number in range(5):
            for by in ("apple", "cedar"):
                leg = Leg(agreement=name, payer="birch", payee=by, amount=1)
                token = offered(by, leg, exchange_id=f"lie{number}")
                for said in (
                    {"outcome": aborted(token, by)},
                    {"ruling": ruled(token, ARBITER, "aborted")},
                ):
                    assert (await tell(town, "birch", token, **said)).state == "aborted"
        assert await town.sides() == {}
        # An offer that comes after its end is accepted, and its end is heard all the same.
        token = offered("apple", Leg(agreement=name, payer="birch", payee="apple", amount=1))
        await tell(town, "birch", token, outcome=aborted(token, "apple"))
        await accepted(town, "birch", token)
        taken = await tell(town, "birch", token, outcome=aborted(token, "apple"))
        assert taken.state == "aborted"
        assert (await town.account("birch", "due/apple")).held == 0
        await at_rest(town)

    in_town(tmp_path, story)


def test_an_offer_of_the_future_binds_nobody(tmp_path: Path) -> None:
    async def story(town: Town) -> None:
        name = town.agreements.add(TWO)
        leg = Leg(agreement=name, payer="birch", payee="apple", amount=100)
        far_ms = START_MS + LIMITS.skew_ms + 1
        with pytest.raises(wire.OfferRejected, match=f"it is of {far_ms}"):
            await accepted(
                town, "birch", offered("apple", leg, offered_ms=far_ms, expires_ms=far_ms + 1)
            )
        assert await town.sides() == {}
        # Within what clocks may differ it is accepted, and the arbiter ends it.
        near_ms = START_MS + LIMITS.skew_ms
        token = offered("apple", leg, offered_ms=near_ms, expires_ms=near_ms + TTL_MS)
        await accepted(town, "birch", token)
        await town.stop("apple")
        town.clock.advance(LIMITS.skew_ms + TTL_MS + LIMITS.rule_after_ms)
        await town.come_to_rest()
        (sides,) = (await town.sides()).values()
        assert (sides["birch"].state, sides["birch"].ruled) == ("aborted", True)

    in_town(tmp_path, story)


def test_a_netting_after_which_a_coop_owes_each_other_the_same_is_refused(tmp_path: Path) -> None:
    """It would have nothing to post; what goes around under two agreements is theirs to settle."""

    async def story(town: Town) -> None:
        legs = []
        for one, other in (("apple", "birch"), ("birch", "cedar")):
            for payer, payee in ((one, other), (other, one)):
                name = town.agreements.add(terms_of(one, other, title=f"{payer} to {payee}"))
                await town.offer(payer, payee, 10, agreement=name, name=name[:9])
                legs.append(Leg(agreement=name, payer=payee, payee=payer, amount=10))
        with pytest.raises(wire.ExchangeMalformed, match="nothing to post"):
            await town.net("birch", tuple(legs))
        token = offered("apple", *legs, kind="netting")
        with pytest.raises(wire.OfferRejected, match="nothing to post"):
            await accepted(town, "birch", token)
        for coop in town.coops:
            await town.restart(coop)
        await at_rest(town)

    in_town(tmp_path, story)


@pytest.mark.parametrize("to_birch", ["committed", "aborted"])
def test_sides_of_a_netting_that_were_told_two_ends_find_out_and_stand_the_same(
    tmp_path: Path, to_birch: str
) -> None:
    async def story(town: Town) -> None:
        names = [town.agreements.add(terms) for terms in RING]
        debts = (("apple", "birch"), ("birch", "cedar"), ("cedar", "apple"))
        for (payer, payee), name in zip(debts, names, strict=True):
            await town.offer(payer, payee, 20, agreement=name, name=f"{payer}")
        legs = tuple(
            Leg(agreement=name, payer=payee, payee=payer, amount=20)
            for (payer, payee), name in zip(debts, names, strict=True)
        )
        token = offered("apple", *legs, kind="netting")
        given = (await accepted(town, "birch", token), await accepted(town, "cedar", token))
        ends = {
            "committed": committed(token, "apple", given),
            "aborted": aborted(token, "apple"),
        }
        to_cedar = "aborted" if to_birch == "committed" else "committed"
        for coop, ending in (("birch", to_birch), ("cedar", to_cedar)):
            await tell(town, coop, token, acceptances=given, outcome=ends[ending])
        await town.come_to_rest()
        sides = (await town.sides())[jws.record_id(token)]
        for coop in ("birch", "cedar"):
            assert (sides[coop].state, sides[coop].ruled) == ("committed", True)
        for one, other in (("birch", "cedar"), ("cedar", "birch")):
            assert (await town.position(one, other, names[1])).balance == 0
            assert town.homes[one].clearing.counts.contradictions == 1

    in_town(tmp_path, story)


def test_nobody_settles_what_they_owe(tmp_path: Path) -> None:
    """Its home would have the other coop's give up what it is owed, and nobody there asked."""

    async def story(town: Town) -> None:
        name = town.agreements.add(TWO)
        await town.offer("apple", "birch", 40, agreement=name)
        with pytest.raises(wire.ExchangeMalformed, match="birch is owed"):
            await town.settle("apple", name, "2026-01")
        leg = Leg(agreement=name, payer="birch", payee="apple", amount=40)
        for period in ("2026-01", "2026-01/run-7"):
            token = offered("apple", leg, kind="settlement", period=period)
            with pytest.raises(wire.OfferRejected, match="birch is owed"):
                await accepted(town, "birch", token)
        assert (await town.position("birch", "apple", name)).balance == 40
        await at_rest(town)

    in_town(tmp_path, story)


def colluding(number: int, agreement: str, **changes: Any) -> wire.AskRuling:
    """Return what two coops ask of an arbiter, of an offer that both signed long after its end."""
    leg = Leg(agreement=agreement, payer="birch", payee="apple", amount=1)
    token = offered("apple", leg, exchange_id=f"lie{number}", **changes)
    said = wire.Acceptance(
        network=NETWORK,
        did=key_of("birch").did,
        coop="birch",
        aud="apple",
        offer=jws.record_id(token),
        accepted_ms=1,
    )
    given = (proof.sign_acceptance(said, key_of("birch")),)
    evidence = wire.Evidence(offer=token, acceptances=given)
    assert proof.read_evidence(evidence, GENESIS).acceptances.keys() == {"birch"}
    return wire.AskRuling(coop="birch", evidence=evidence)


def test_an_arbiter_rules_only_where_an_agreement_names_it(tmp_path: Path) -> None:
    async def story(town: Town) -> None:
        elsewhere = TWO.model_copy(update={"arbiter": "cedar"})
        others = terms_of("apple", "cedar")
        cases = [
            ("0" * 64, {}, "agreement-unknown"),
            (town.agreements.add(elsewhere), {}, "arbiter-differs"),
            (town.agreements.add(others), {}, "not-party"),
            (town.agreements.add(TWO), {"unit": "usd-cents"}, "unit-mismatch"),
        ]
        town.clock.advance(TTL_MS + LIMITS.rule_after_ms)
        for number, (agreement, changes, why) in enumerate(cases):
            ask = colluding(number, agreement, **changes)
            with pytest.raises(wire.OfferRejected, match=f"not agreed: {why}"):
                await town.hear(ARBITER, wire.ASK_RULING.name, ask)
        assert town.told == [] and await town.waiting() == 0
        good = colluding(0, town.agreements.add(TWO))
        said = await town.hear(ARBITER, wire.ASK_RULING.name, good)
        assert proof.read_evidence(said.evidence, GENESIS).ending == "aborted"

    in_town(tmp_path, story)


def test_an_arbiter_rules_for_a_coop_so_often_in_a_day(tmp_path: Path) -> None:
    async def story(town: Town) -> None:
        name = town.agreements.add(TWO)
        town.clock.advance(DAY_MS - START_MS % DAY_MS)
        asks = [colluding(number, name) for number in range(3)]
        for ask in asks[:2]:
            await town.hear(ARBITER, wire.ASK_RULING.name, ask)
        with pytest.raises(wire.RulingEarly) as early:
            await town.hear(ARBITER, wire.ASK_RULING.name, asks[2])
        assert early.value.until_ms == town.clock.now_ms() + DAY_MS
        # What it ruled it says again, and tomorrow it rules again.
        await town.hear(ARBITER, wire.ASK_RULING.name, asks[0])
        town.clock.advance(DAY_MS)
        await town.hear(ARBITER, wire.ASK_RULING.name, asks[2])
        assert town.homes[ARBITER].clearing.counts.ruled["aborted"] == 3

    in_town(tmp_path, story, limits=replace(LIMITS, rulings_per_day_max=2))
