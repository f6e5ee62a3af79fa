"""Proposals in words: shares that are not rounded up, terms, moments, and every effect."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opkit.views.proposals import (
    KINDS,
    effect_text,
    member_name,
    needed,
    percent_text,
    share,
    term_text,
    until_text,
)
from opkit.wire.terms import AgreementEffect, Terms
from opkit.wire.votes import (
    AccountChange,
    ConfigurationEffect,
    EffectKind,
    MembershipEffect,
    RuleChange,
    TextEffect,
)

COOP = "bakery"
DID = "did:key:z6Mk" + "a" * 44
DAY, HOUR, MINUTE = 86_400_000, 3_600_000, 60_000


@given(percent=st.integers(1, 100), whole=st.integers(1, 20_000))
def test_so_many_are_needed_as_the_rule_asks_for_and_no_fewer(percent, whole):
    least = needed(percent, whole)
    assert least * 100 >= percent * whole > (least - 1) * 100


@given(part=st.integers(0, 500), whole=st.integers(1, 500), percent=st.integers(1, 100))
def test_a_share_is_said_to_reach_only_what_it_reaches(part, whole, percent):
    said = int(percent_text(part, whole).removesuffix(" %"))
    assert (said >= percent) == (part * 100 >= percent * whole)


def test_nobody_of_nobody_is_no_share():
    assert (percent_text(0, 0), share(0, 0), share(3, 2)) == ("0 %", 0.0, 100.0)


@pytest.mark.parametrize(
    ("term_ms", "words"),
    [
        (7 * DAY, "7 days"),
        (DAY, "1 day"),
        (36 * HOUR, "36 hours"),
        (90 * MINUTE, "90 minutes"),
        (5_000, "5 seconds"),
        (10, "1 second"),
        (0, "no time"),
    ],
)
def test_a_term_is_said_in_its_largest_whole_unit(term_ms, words):
    assert term_text(term_ms) == words


@pytest.mark.parametrize(
    ("off_ms", "words"),
    [
        (6 * DAY + HOUR, "in 6 days"),
        (-2 * HOUR, "2 hours ago"),
        (MINUTE, "in 1 minute"),
        (5, "in less than a minute"),
        (-5, "just now"),
    ],
)
def test_a_moment_is_said_by_how_far_off_it_is(off_ms, words):
    assert until_text(DAY * 100 + off_ms, now_ms=DAY * 100) == words


def member(action, **changes):
    return MembershipEffect(action=action, member_id=f"{COOP}/mary-ann", **changes)


@pytest.mark.parametrize(
    ("effect", "words"),
    [
        (TextEffect(), "Being accepted is all there is to it"),
        (member("admit", name="Mary", did=DID), "Mary becomes a member"),
        (member("remove"), "Mary Ann is a member no more"),
        (member("rekey", did=DID), "Mary Ann signs with another key"),
        (ConfigurationEffect(), "Nothing changes"),
        (
            ConfigurationEffect(
                rule=RuleChange(
                    quorum_percent=50,
                    approval_percent=75,
                    voting_period_ms=DAY,
                    challenge_window_ms=HOUR,
                    votes_final=True,
                ),
                accounts=(
                    AccountChange(account=f"{COOP}:cash", unit="usd-cents", floor=-500),
                    AccountChange(account=f"{COOP}:vendor/x", unit="usd-cents", closed=True),
                    AccountChange(account=f"{COOP}:vendor/y", unit="usd-cents", closed=False),
                ),
            ),
            (
                "The quorum is 50 %, approval takes 75 %, votes last 1 day, effects wait 1 hour, "
                "votes are final, Cash may owe 5.00 $, X is closed, Y is opened again"
            ),
        ),
        (ConfigurationEffect(rule=RuleChange(votes_final=False)), "Votes may be changed"),
    ],
)
def test_every_effect_is_a_sentence(effect, words):
    assert effect_text(effect, {}) == words


def test_an_agreement_is_said_by_its_title_and_its_parties():
    terms = Terms(
        network="a" * 26,
        parties=("bright", "river"),
        facilitator=None,
        arbiter="lakes",
        title="Machines",
        text="",
        starts_ms=1,
        term_days=1,
        renewable=False,
        notice_days=0,
    )
    adopt = AgreementEffect(action="adopt", agreement="7" * 64, terms=terms)
    said = effect_text(adopt, {"river": "River City"})
    assert said == "The coop signs “Machines”, an agreement of bright and River City"
    end = AgreementEffect(action="end", agreement="7" * 64)
    assert effect_text(end, {}) == f"The coop gives notice of agreement {'7' * 12}…"
    assert set(KINDS) == set(get_args(EffectKind))


def test_a_member_is_said_by_name():
    assert member_name(f"{COOP}/mary-ann") == "Mary Ann"
