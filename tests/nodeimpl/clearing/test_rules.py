"""What a side judges of an offer by itself, whoever proposed it and whatever they looked at."""

from __future__ import annotations

import pytest

from nodeimpl.clearing.rules import (
    DAY_MS,
    Limits,
    Stand,
    judge_asker,
    judge_shape,
    judge_stands,
    judge_time,
    judge_undecided,
)
from opkit.wire import clearing as wire
from tests.opkit.proof.exchanges import AGREED, leg, offer_of
from tests.simulation.town import terms_of

TERMS = {AGREED: terms_of("apple", "birch")}
SETTLED = offer_of(leg("apple", "birch", 40), kind="settlement", period="2026-01")


def judge(stand: Stand) -> None:
    """Have birch judge a settlement by which it gets forty of apple."""
    judge_stands(
        SETTLED,
        "birch",
        terms=TERMS,
        stands={("apple", AGREED): stand},
        open_with={},
        limits=Limits(),
    )


def test_an_offer_that_contradicts_itself_is_malformed() -> None:
    with pytest.raises(wire.ExchangeMalformed, match="has a period"):
        judge_shape(offer_of(period="2026-01"))


def test_an_offer_is_accepted_from_when_it_may_be_made_until_its_end() -> None:
    offer, limits = offer_of(), Limits(skew_ms=10)
    judge_time(offer, now_ms=offer.offered_ms - 10, limits=limits)
    judge_time(offer, now_ms=offer.expires_ms - 1, limits=limits)
    with pytest.raises(wire.OfferRejected, match="and here it is"):
        judge_time(offer, now_ms=offer.offered_ms - 11, limits=limits)
    with pytest.raises(wire.OfferLapsed):
        judge_time(offer, now_ms=offer.expires_ms, limits=limits)


def test_an_arbiter_rules_so_often_for_a_coop_in_a_day() -> None:
    limits = Limits(rulings_per_day_max=2)
    judge_asker(1, now_ms=DAY_MS, limits=limits)
    for now_ms in (DAY_MS, 2 * DAY_MS - 1):
        with pytest.raises(wire.RulingEarly) as early:
            judge_asker(2, now_ms=now_ms, limits=limits)
        assert early.value.until_ms == 2 * DAY_MS


def test_a_settlement_is_taken_once_and_only_if_it_comes_to_zero_here() -> None:
    judge(Stand(balance=-40))
    with pytest.raises(wire.SettlementDone) as done:
        judge(Stand(balance=-40, done="1" * 64))
    assert (done.value.period, done.value.exchange) == ("2026-01", "1" * 64)
    for balance in (0, -39, 40):
        with pytest.raises(wire.NothingToSettle) as left:
            judge(Stand(balance=balance))
        assert left.value.balance == balance
    # Having been settled comes before there being something in doubt, and that before the sum.
    with pytest.raises(wire.SettlementDone):
        judge(Stand(done="1" * 64, doubtful="2" * 64))
    with pytest.raises(wire.InDoubt):
        judge(Stand(doubtful="2" * 64))


def test_who_answers_and_does_not_decide_is_waited_for_as_long_again_and_no_longer() -> None:
    limits, offer = Limits(grace_ms=2_000, rule_after_ms=600_000), offer_of()
    last_ms = offer.expires_ms + 1_200_000
    for now_ms, until_ms in ((last_ms - 600_000, last_ms - 598_000), (last_ms - 1, last_ms)):
        with pytest.raises(wire.RulingEarly) as early:
            judge_undecided(offer, now_ms=now_ms, limits=limits)
        assert early.value.until_ms == until_ms
    judge_undecided(offer, now_ms=last_ms, limits=limits)
