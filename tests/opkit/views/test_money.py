"""Amounts and accounts in words: exact at any size, and no account without its path."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opkit.views.money import (
    MINUS,
    account_html,
    account_name,
    amount_html,
    amount_text,
    figure_text,
    unit_name,
)

TITLES = {"river-city-tool-library": "River City Tool Library"}


@pytest.mark.parametrize(
    ("amount", "unit", "words"),
    [
        (1_200_000, "usd-cents", "12,000.00 $"),
        (5, "usd-cents", "0.05 $"),
        (-5, "usd-cents", f"{MINUS}0.05 $"),
        (-40, "commons-credits", f"{MINUS}40 cc"),
        (3_840, "patronage-credits", "3,840 pc"),
        (0, "patronage-credits", "0 pc"),
        (7, "seed-packets", "7 seed-packets"),
        (2**53 - 1, "usd-cents", "90,071,992,547,409.91 $"),
    ],
)
def test_an_amount_is_said_with_its_unit(amount, unit, words):
    assert amount_text(amount, unit) == words


@given(amount=st.integers(min_value=-(2**53), max_value=2**53))
def test_no_amount_is_rounded(amount):
    said = figure_text(amount, "usd-cents").replace(",", "").replace(MINUS, "-").replace(".", "")
    assert int(said) == amount


def test_a_unit_has_a_name_even_if_nobody_gave_it_one():
    assert unit_name("usd-cents") == "US dollars"
    assert unit_name("seed-packets") == "seed packets"


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("member/ana", "Ana"),
        ("member/mary-ann", "Mary Ann"),
        ("reserve", "Reserve"),
        ("reserve/2026-q1/a1b2", "Reserve"),
        ("surplus/2026-q1", "Surplus"),
        ("due/river-city-tool-library", "River City Tool Library"),
        ("due/bakery", "Bakery"),
        ("vendor/roof-repair", "Roof repair"),
        ("vendor/2026-q1/x7", "Vendor"),
        ("equity/opening", "Opening equity"),
        ("income/dues/2026", "Dues"),
        ("cash", "Cash"),
    ],
)
def test_an_account_is_said_by_whose_it_is(path, words):
    assert account_name(f"harbor-homes:{path}", TITLES) == (words, path)
    assert f"<small>{path}</small>" in account_html(f"harbor-homes:{path}", TITLES)


def test_an_amount_has_its_smallest_steps_in_its_title():
    html = amount_html(-1_250, "usd-cents")
    assert 'title="-1,250 usd-cents"' in html
    assert f"{MINUS}12.50 <i>$</i>" in html
