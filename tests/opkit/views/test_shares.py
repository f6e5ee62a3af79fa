"""A distribution in a notebook: every figure as it was told, and nothing of it as markup."""

from __future__ import annotations

from typing import Any

import pytest

from opkit.story.report import CheckRecord, MarkerRecord
from opkit.views.shares import BAR_WIDTH, Shares, Why, bars_svg

EVIL = "<script>alert(1)</script>"
LINES = [
    {"member": "Hugo", "hours": 120, "share": "879 pc", "amount": 879},
    {"member": EVIL, "hours": 87, "share": "638 pc", "amount": 638},
]


def told(**evidence: Any) -> MarkerRecord:
    """Return a marker that carries this."""
    return MarkerRecord(
        name="ALLOCATIONS_COMPUTED",
        ok=True,
        kind="shown",
        sentence="It adds up.",
        evidence=evidence,
        checks=(CheckRecord(name="sum", ok=True, expected="1", actual="1"),),
        at_ms=1,
        took_ms=1,
    )


def test_each_member_has_a_row_and_a_bar_and_the_sum_stands_below() -> None:
    html = Shares(told(lines=LINES, surplus="1,517 pc"))._repr_html_()
    for said in ("Hugo", "879 pc", "638 pc", "together", "1,517 pc", "207"):
        assert said in html
    assert html.count("<rect") == len(LINES)
    assert EVIL not in html


def test_the_longest_bar_is_the_largest_amount_and_others_are_in_proportion() -> None:
    svg = bars_svg(LINES)
    assert f'width="{BAR_WIDTH}"' in svg
    assert f'width="{BAR_WIDTH * 638 // 879}"' in svg
    assert 'aria-label="Hugo 879 pc; ' in svg


@pytest.mark.parametrize("amounts", [[], [0, 0]])
def test_of_nothing_nothing_is_drawn(amounts: list[int]) -> None:
    lines = [{"member": "A", "hours": 0, "share": "0 pc", "amount": each} for each in amounts]
    assert bars_svg(lines).count('width="0"') == len(amounts)


def test_why_names_each_link_and_escapes_it() -> None:
    chain = [
        {"link": "entry", "says": EVIL, "of": "a" * 64},
        {"link": "vote", "says": "Hugo: yes", "of": "did:key:z6Mk" + "a" * 44},
    ]
    html = Why(told(chain=chain))._repr_html_()
    assert "Hugo: yes" in html
    assert EVIL not in html
    assert "1 of 1 checks hold" in html
