"""What a side judges of an offer by itself, whoever proposed it and whatever they looked at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from nodeimpl.clearing.rules import (
    DAY_MS,
    Limits,
    Stand,
    day_of,
    judge_asker,
    judge_period,
    judge_ruling,
    judge_settling,
    judge_shape,
    judge_stands,
    judge_terms,
    judge_time,
    judge_undecided,
    own_legs,
)
from opkit.wire import clearing as wire
from opkit.wire.errors import Refusal
from opkit.wire.ledger import UnitUnknown
from opkit.wire.terms import ClearingTerms, Terms
from tests.nodeimpl.judged import judged
from tests.opkit.proof.exchanges import leg, offer_of
from tests.simulation.town import ARBITER, UNIT, terms_of

ONE, TWO, THREE = "1" * 64, "2" * 64, "3" * 64
"""Agreements of apple with birch, of birch with cedar, of cedar with apple."""
DOUBTFUL, SETTLING, DONE = "a" * 64, "b" * 64, "c" * 64
"""Exchanges."""

GIVEN = offer_of(leg("apple", "birch", 40, ONE))
"""Apple gets something of birch for forty."""
SETTLED = offer_of(leg("apple", "birch", 40, ONE), kind="settlement", period="2026-01")
"""Birch owes apple forty no more."""
NETTED = offer_of(
    leg("birch", "apple", 5, ONE),
    leg("cedar", "birch", 5, TWO),
    leg("apple", "cedar", 5, THREE),
    kind="netting",
)
"""Apple owes birch five less, birch cedar, and cedar apple."""
AGREED = {
    ONE: terms_of("apple", "birch", most=100),
    TWO: terms_of("birch", "cedar", most=100),
    THREE: terms_of("apple", "cedar", most=100),
}
QUARTERLY = ClearingTerms(unit=UNIT, imbalance_max=100, settled="quarterly")
IN_CENTS = ClearingTerms(unit="usd-cents", imbalance_max=100, settled="monthly")


def changed(agreement: str = ONE, **changes: Any) -> dict[str, Terms]:
    """Return what coops agreed on, one agreement changed."""
    return {**AGREED, agreement: AGREED[agreement].model_copy(update=changes)}


def stand_judged(
    offer: wire.Offer,
    coop: str,
    *,
    refusal: Refusal | None,
    open_with: Mapping[str, int] | None = None,
    open_max: int = 256,
    terms: Mapping[str, Terms] = AGREED,
    **stands: Stand,
) -> None:
    """Have a coop judge how it stands with the others, each by name."""
    names = {ONE: {"apple", "birch"}, TWO: {"birch", "cedar"}, THREE: {"apple", "cedar"}}
    held = {
        (other, agreement): stands.get(other, Stand())
        for agreement, sides in names.items()
        for other in sides - {coop}
        if coop in sides
    }
    limits = Limits(doubt_per_side_max=open_max)
    judged(
        lambda: judge_stands(
            offer, coop, terms=terms, stands=held, open_with=open_with or {}, limits=limits
        ),
        refusal=refusal,
    )


# The offer by itself.


def test_who_never_exchanged_is_even_and_in_no_doubt() -> None:
    assert Stand() == Stand(
        balance=0, doubt_in=0, doubt_out=0, exchanges=0, doubtful=None, settling=None, done=None
    )


def test_an_offer_that_contradicts_itself_is_malformed() -> None:
    with pytest.raises(wire.ExchangeMalformed, match="has a period"):
        judge_shape(offer_of(period="2026-01"))
    with pytest.raises(wire.ExchangeMalformed, match="has a period"):
        judge_shape(offer_of(period="2026-01", unit="shells"))


def test_an_offer_counts_in_what_is_counted() -> None:
    judge_shape(GIVEN)
    judged(lambda: judge_shape(offer_of(unit="shells")), refusal=UnitUnknown(unit="shells"))


def test_a_coop_takes_part_in_the_legs_in_which_it_gets_or_gives() -> None:
    to_birch, to_cedar, to_apple = NETTED.legs
    assert own_legs(NETTED, "apple") == (to_birch, to_apple)
    assert own_legs(NETTED, "cedar") == (to_cedar, to_apple)
    assert own_legs(NETTED, "dogwood") == ()


# What was agreed.


@pytest.mark.parametrize(
    ("offer", "coop", "terms", "refusal"),
    [
        (GIVEN, "birch", AGREED, None),
        (GIVEN, "apple", AGREED, None),
        # Of agreements that are not its own it judges none, nor need it have them.
        (NETTED, "apple", {ONE: AGREED[ONE], THREE: AGREED[THREE]}, None),
        (
            GIVEN,
            "birch",
            changed(parties=("cedar", "dogwood")),
            wire.NotParty(agreement=ONE, coop="birch"),
        ),
        (
            GIVEN,
            "birch",
            changed(parties=("birch", "cedar")),
            wire.NotParty(agreement=ONE, coop="apple"),
        ),
        (
            GIVEN,
            "apple",
            changed(parties=("apple", "cedar")),
            wire.NotParty(agreement=ONE, coop="birch"),
        ),
        (
            GIVEN,
            "birch",
            changed(clearing=IN_CENTS),
            wire.UnitMismatch(agreement=ONE, unit=UNIT, agreed="usd-cents"),
        ),
        (
            GIVEN,
            "birch",
            changed(clearing=None),
            wire.UnitMismatch(agreement=ONE, unit=UNIT, agreed=""),
        ),
        (
            GIVEN,
            "birch",
            changed(arbiter="elm"),
            wire.ArbiterDiffers(arbiter=ARBITER, agreed="elm"),
        ),
        (SETTLED, "birch", AGREED, None),
        (
            SETTLED,
            "birch",
            changed(clearing=QUARTERLY),
            wire.PeriodWrong(period="2026-01", settled="quarterly"),
        ),
    ],
)
def test_an_agreement_provides_for_what_is_offered(
    offer: wire.Offer, coop: str, terms: dict[str, Terms], refusal: Refusal | None
) -> None:
    judged(lambda: judge_terms(offer, coop, terms), refusal=refusal)


@pytest.mark.parametrize(
    ("one", "three", "refusal"),
    [
        (
            {"clearing": IN_CENTS, "arbiter": "fir"},
            {"parties": ("cedar", "dogwood"), "clearing": None, "arbiter": "elm"},
            wire.NotParty(agreement=THREE, coop="apple"),
        ),
        (
            {"clearing": IN_CENTS, "arbiter": "fir"},
            {"clearing": None, "arbiter": "elm"},
            wire.UnitMismatch(agreement=ONE, unit=UNIT, agreed="usd-cents"),
        ),
        (
            {"arbiter": "fir"},
            {"clearing": None, "arbiter": "elm"},
            wire.UnitMismatch(agreement=THREE, unit=UNIT, agreed=""),
        ),
        (
            {"arbiter": "fir"},
            {"arbiter": "elm"},
            wire.ArbiterDiffers(arbiter=ARBITER, agreed="fir"),
        ),
        ({}, {"arbiter": "elm"}, wire.ArbiterDiffers(arbiter=ARBITER, agreed="elm")),
    ],
)
def test_every_agreement_of_a_coop_is_looked_at_for_one_thing_before_the_next(
    one: dict[str, Any], three: dict[str, Any], refusal: Refusal
) -> None:
    terms = {**changed(ONE, **one), THREE: changed(THREE, **three)[THREE]}
    judged(lambda: judge_terms(NETTED, "apple", terms), refusal=refusal)


def test_who_arbitrates_is_judged_before_the_period() -> None:
    terms = changed(clearing=QUARTERLY, arbiter="elm")
    judged(
        lambda: judge_terms(SETTLED, "birch", terms),
        refusal=wire.ArbiterDiffers(arbiter=ARBITER, agreed="elm"),
    )


@pytest.mark.parametrize(
    ("period", "settled", "right"),
    [
        ("2026-03", "monthly", True),
        ("2026-Q1", "quarterly", True),
        ("2026-Q1", "monthly", False),
        ("2026-03", "quarterly", False),
    ],
)
def test_months_settle_what_is_settled_monthly_and_quarters_the_rest(
    period: str, settled: str, right: bool
) -> None:
    refusal = None if right else wire.PeriodWrong(period=period, settled=settled)
    judged(lambda: judge_period(period, settled=settled), refusal=refusal)


# How the sides stand.


@pytest.mark.parametrize(
    ("coop", "stand", "doubt"),
    [
        # What birch is owed rises by forty, to a hundred at most.
        ("birch", Stand(balance=60), None),
        ("birch", Stand(balance=61), 0),
        ("birch", Stand(balance=50, doubt_in=10, doubt_out=50), None),
        ("birch", Stand(balance=50, doubt_in=11, doubt_out=50), 11),
        ("birch", Stand(balance=-100, doubt_in=160), None),
        ("birch", Stand(balance=-100, doubt_in=161), 161),
        # What apple owes rises by as much.
        ("apple", Stand(balance=-60), None),
        ("apple", Stand(balance=-61), 0),
        ("apple", Stand(balance=-50, doubt_out=10, doubt_in=50), None),
        ("apple", Stand(balance=-50, doubt_out=11, doubt_in=50), 11),
        ("apple", Stand(balance=100, doubt_out=160), None),
        ("apple", Stand(balance=100, doubt_out=161), 161),
    ],
)
def test_a_balance_stays_within_what_was_agreed_whatever_comes_of_what_is_in_doubt(
    coop: str, stand: Stand, doubt: int | None
) -> None:
    refusal = None
    if doubt is not None:
        refusal = wire.Imbalance(
            agreement=ONE,
            coop=coop,
            unit=UNIT,
            balance=stand.balance,
            doubt=doubt,
            amount=40,
            imbalance_max=100,
        )
    other = {"apple": "birch", "birch": "apple"}[coop]
    stand_judged(GIVEN, coop, refusal=refusal, **{other: stand})


@pytest.mark.parametrize(("coop", "other"), [("birch", "apple"), ("apple", "birch")])
def test_the_least_that_is_exchanged_counts_too(coop: str, other: str) -> None:
    least = offer_of(leg("apple", "birch", 1, ONE))
    sign = 1 if coop == "birch" else -1
    stand_judged(least, coop, refusal=None, **{other: Stand(balance=99 * sign)})
    refusal = wire.Imbalance(
        agreement=ONE,
        coop=coop,
        unit=UNIT,
        balance=100 * sign,
        doubt=0,
        amount=1,
        imbalance_max=100,
    )
    stand_judged(least, coop, refusal=refusal, **{other: Stand(balance=100 * sign)})


@pytest.mark.parametrize(
    ("birch", "cedar", "excessive"),
    [
        # Apple owes birch five less, and is owed five less by cedar.
        (Stand(balance=-5), Stand(balance=5), None),
        (Stand(balance=-4), Stand(balance=5), ("birch", -4)),
        (Stand(balance=-5), Stand(balance=4), ("cedar", 4)),
        (Stand(balance=-8, doubt_in=3), Stand(balance=8, doubt_out=3), None),
        (Stand(balance=-8, doubt_in=4), Stand(balance=8, doubt_out=3), ("birch", -8)),
        (Stand(balance=-8, doubt_in=3), Stand(balance=8, doubt_out=4), ("cedar", 8)),
        (Stand(balance=-5, doubt_out=9), Stand(balance=5, doubt_in=9), None),
        (Stand(balance=9), Stand(balance=9), ("birch", 9)),
        (Stand(balance=-9), Stand(balance=-9), ("cedar", -9)),
        (Stand(), Stand(), ("birch", 0)),
    ],
)
def test_a_netting_takes_no_more_than_is_owed_whatever_comes_of_what_is_in_doubt(
    birch: Stand, cedar: Stand, excessive: tuple[str, int] | None
) -> None:
    refusal = None
    if excessive is not None:
        other, balance = excessive
        agreement = {"birch": ONE, "cedar": THREE}[other]
        refusal = wire.NettingExcessive(
            agreement=agreement, coop="apple", balance=balance, amount=5
        )
    stand_judged(NETTED, "apple", refusal=refusal, birch=birch, cedar=cedar)


@pytest.mark.parametrize("balance", [0, -39, -41, 40])
def test_a_settlement_comes_to_zero_here(balance: int) -> None:
    stand_judged(SETTLED, "birch", refusal=None, apple=Stand(balance=-40))
    stand_judged(SETTLED, "apple", refusal=None, birch=Stand(balance=40))
    refusal = wire.NothingToSettle(agreement=ONE, balance=balance)
    stand_judged(SETTLED, "birch", refusal=refusal, apple=Stand(balance=balance))


def test_a_settlement_is_taken_once_and_waits_for_all_that_is_in_doubt() -> None:
    """Having been settled comes before there being something in doubt, and that before the sum."""
    refusals: tuple[tuple[Stand, Refusal], ...] = (
        (
            Stand(done=DONE, doubtful=DOUBTFUL),
            wire.SettlementDone(agreement=ONE, period="2026-01", exchange=DONE),
        ),
        (
            Stand(doubtful=DOUBTFUL, settling=SETTLING),
            wire.InDoubt(agreement=ONE, exchange=DOUBTFUL),
        ),
    )
    for stand, refusal in refusals:
        stand_judged(SETTLED, "birch", refusal=refusal, apple=stand)


@pytest.mark.parametrize(("offer", "coop"), [(GIVEN, "birch"), (NETTED, "apple")])
def test_what_comes_after_waits_for_a_settlement_alone(offer: wire.Offer, coop: str) -> None:
    other = {"birch": "apple", "apple": "birch"}[coop]
    even = {"birch": Stand(balance=-5), "cedar": Stand(balance=5)}
    # It may have been settled before, and something else may be in doubt.
    before = Stand(balance=-5, doubtful=DOUBTFUL, done=DONE)
    stand_judged(offer, coop, refusal=None, **{**even, other: before})
    waits = Stand(balance=1_000, doubtful=DOUBTFUL, settling=SETTLING)
    refusal = wire.InDoubt(agreement=ONE, exchange=SETTLING)
    stand_judged(offer, coop, refusal=refusal, **{**even, other: waits})


def test_all_sides_are_asked_for_settlements_before_any_is_added_up() -> None:
    settling = Stand(settling=SETTLING)
    refusal = wire.InDoubt(agreement=THREE, exchange=SETTLING)
    stand_judged(NETTED, "apple", refusal=refusal, birch=Stand(balance=9), cedar=settling)


def test_so_many_exchanges_with_one_other_coop_are_in_doubt_and_no_more() -> None:
    full = wire.ExchangesExhausted(other="apple", limit=2)
    many = {"cedar": 9}
    stand_judged(GIVEN, "birch", refusal=None, open_with={**many, "apple": 1}, open_max=2)
    stand_judged(GIVEN, "birch", refusal=full, open_with={**many, "apple": 2}, open_max=2)
    stand_judged(GIVEN, "birch", refusal=full, open_with={**many, "apple": 3}, open_max=2)
    stand_judged(GIVEN, "birch", refusal=None, open_with=many, open_max=1)
    none = wire.ExchangesExhausted(other="apple", limit=0)
    stand_judged(GIVEN, "birch", refusal=none, open_with=many, open_max=0)


def test_what_is_too_much_is_said_before_that_there_are_too_many() -> None:
    refusal = wire.NettingExcessive(agreement=THREE, coop="apple", balance=4, amount=5)
    stand_judged(
        NETTED,
        "apple",
        refusal=refusal,
        open_with={"birch": 2},
        open_max=2,
        birch=Stand(balance=-5),
        cedar=Stand(balance=4),
    )


@pytest.mark.parametrize(
    ("stand", "refusal"),
    [
        (Stand(balance=1), None),
        (Stand(balance=-1), None),
        # Other settlements are in doubt by `doubtful` too.
        (Stand(balance=1, settling=SETTLING), None),
        (Stand(), wire.NothingToSettle(agreement=ONE, balance=0)),
        (Stand(doubtful=DOUBTFUL), wire.InDoubt(agreement=ONE, exchange=DOUBTFUL)),
        (Stand(balance=1, doubtful=DOUBTFUL), wire.InDoubt(agreement=ONE, exchange=DOUBTFUL)),
        (
            Stand(doubtful=DOUBTFUL, done=DONE),
            wire.SettlementDone(agreement=ONE, period="2026-01", exchange=DONE),
        ),
        (
            Stand(balance=1, done=DONE),
            wire.SettlementDone(agreement=ONE, period="2026-01", exchange=DONE),
        ),
    ],
)
def test_who_settles_has_something_to_settle_and_nothing_in_doubt(
    stand: Stand, refusal: Refusal | None
) -> None:
    judged(lambda: judge_settling(stand, agreement=ONE, period="2026-01"), refusal=refusal)


# When.


def test_an_offer_is_accepted_from_when_it_may_be_made_until_its_end() -> None:
    limits, from_ms, end_ms = Limits(skew_ms=10), GIVEN.offered_ms - 10, GIVEN.expires_ms
    for now_ms in (from_ms, end_ms - 1):
        judge_time(GIVEN, now_ms=now_ms, limits=limits)
    # Of one whose end is before its beginning the latter is said.
    for offer in (GIVEN, offer_of(expires_ms=from_ms - 1)):
        with pytest.raises(wire.OfferRejected, match=f"here it is {from_ms - 1}'"):
            judge_time(offer, now_ms=from_ms - 1, limits=limits)
    for now_ms in (end_ms, end_ms + 1):
        judged(
            lambda now_ms=now_ms: judge_time(GIVEN, now_ms=now_ms, limits=limits),
            refusal=wire.OfferLapsed(expires_ms=end_ms, now_ms=now_ms),
        )


@pytest.mark.parametrize(
    ("endings", "ending"),
    [
        ((), "aborted"),
        (("aborted",), "aborted"),
        (("committed",), "committed"),
        (("aborted", "committed"), "committed"),
    ],
)
def test_an_arbiter_rules_that_a_commit_that_it_saw_stands(
    endings: tuple[wire.Ending, ...], ending: str
) -> None:
    limits, until_ms = Limits(rule_after_ms=600_000), GIVEN.expires_ms + 600_000
    given = {"endings": frozenset(endings), "limits": limits}
    assert judge_ruling(GIVEN, now_ms=until_ms, **given) == ending
    judged(
        lambda: judge_ruling(GIVEN, now_ms=until_ms - 1, **given),
        refusal=wire.RulingEarly(until_ms=until_ms),
    )


def test_an_arbiter_rules_so_often_for_a_coop_in_a_day() -> None:
    limits = Limits(rulings_per_day_max=2)
    judge_asker(1, now_ms=DAY_MS, limits=limits)
    for given, now_ms in ((2, DAY_MS), (3, DAY_MS), (2, 2 * DAY_MS - 1)):
        judged(
            lambda given=given, now_ms=now_ms: judge_asker(given, now_ms=now_ms, limits=limits),
            refusal=wire.RulingEarly(until_ms=2 * DAY_MS),
        )


def test_a_day_has_24_hours() -> None:
    assert [day_of(hours * 3_600_000 - 1) for hours in (1, 24, 25, 48)] == [0, 0, 1, 1]
    assert day_of(48 * 3_600_000) == 2


def test_who_answers_and_does_not_decide_is_waited_for_as_long_again_and_no_longer() -> None:
    limits = Limits(grace_ms=2_000, rule_after_ms=600_000)
    last_ms = GIVEN.expires_ms + 1_200_000
    for now_ms, until_ms in ((last_ms - 600_000, last_ms - 598_000), (last_ms - 1, last_ms)):
        judged(
            lambda now_ms=now_ms: judge_undecided(GIVEN, now_ms=now_ms, limits=limits),
            refusal=wire.RulingEarly(until_ms=until_ms),
        )
    judge_undecided(GIVEN, now_ms=last_ms, limits=limits)
