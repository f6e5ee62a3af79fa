"""The parts of every page: escaped, reachable by keyboard, honest when empty or broken."""

from __future__ import annotations

import pytest

from opkit.story.states import State
from opkit.views import cards
from opkit.views.cards import Column, Row
from opkit.views.header import bar, health

EVIL = "<script>'\"&"
SAFE = "&lt;script&gt;&#x27;&quot;&amp;"


@pytest.mark.parametrize(
    "html",
    [
        cards.card(EVIL, ""),
        cards.empty(EVIL, EVIL),
        cards.error_card(EVIL, why=EVIL, since_ms=1, hint=EVIL),
        cards.figure(EVIL, EVIL, EVIL),
        cards.figure(EVIL, EVIL, EVIL, opened="<ul></ul>"),
        cards.listed([(EVIL, "")]),
        cards.pill(State.DONE, EVIL),
        cards.said_state(State.DONE, EVIL),
        cards.control(EVIL, EVIL, key=EVIL, about=EVIL, org=EVIL),
        cards.table([Column(title=EVIL)], [Row(key=EVIL, cells=["1"])], name=EVIL),
        cards.scroll("", name=EVIL),
        cards.sparkline_svg([1, 2], words=EVIL),
        bar(EVIL, current="network", home=EVIL, address=lambda _: EVIL),
    ],
)
def test_what_is_no_markup_is_escaped(html):
    assert SAFE in html
    assert "<script" not in html


def test_a_broken_card_says_what_since_when_and_what_to_do():
    html = cards.error_card("The map", why="KeyError", since_ms=1_000, hint="Reload.")

    assert "The map" in html
    assert "Since 00:00:01 UTC." in html
    assert "Reload." in html
    assert 'role="alert"' in html
    assert "failed" in html


def test_a_figure_opens_only_to_something():
    assert "<details" not in cards.figure("How many?", "3", "nodes")
    assert "<details" in cards.figure("How many?", "3", "nodes", opened="<ul></ul>")
    assert "failed" in cards.figure("How many?", "3", "nodes", tone=State.FAILED)


def test_a_list_behind_a_figure_is_bounded():
    html = cards.listed([(f"row {number}", "") for number in range(cards.LISTED_MAX + 3)])

    assert html.count("<li") == cards.LISTED_MAX + 1
    assert "and 3 more" in html
    assert cards.listed([]) == ""


def test_a_control_says_what_it_asks_and_how_it_stands():
    html = cards.control(
        "Cut", "cut", kind="danger", key="x", about="Cuts it", pressed=False, disabled=True, a="b"
    )

    assert 'data-act="cut" data-a="b" data-key="x" title="Cuts it" aria-pressed="false"' in html
    assert "disabled" in html
    assert "aria-pressed" not in cards.control("Cut", "cut")


def test_a_table_names_its_cells_for_a_phone():
    columns = (Column(title="Who", grows=True), Column(title="Bytes", number=True))
    rows = [Row(key="r", cells=("Ana", "12"), opened="more", selected=True)]

    html = cards.table(columns, rows, name="People")

    assert '<td class="number" data-label="Bytes">12</td>' in html
    assert 'id="r" data-new aria-current=true' in html
    assert '<td colspan="2">more</td>' in html


def test_a_table_whose_row_lacks_a_cell_is_a_mistake():
    with pytest.raises(ValueError, match="argument 2"):
        cards.table([Column(title="Who")], [Row(key="r", cells=())], name="People")


def test_what_scrolls_is_within_reach_of_the_keyboard():
    assert 'tabindex="0" role="region" aria-label="Links"' in cards.scroll("", name="Links")


def test_a_sparkline_stands_on_zero_and_ends_with_a_dot():
    html = cards.sparkline_svg([0, 5, 10], words="rising")

    assert 'points="0,30.0 50,16.0 100,2.0"' in html
    assert '<i style="top:7%">' in html
    assert "<svg" not in cards.sparkline_svg([1], words="one look")
    assert "0,30.0 100,30.0" in cards.sparkline_svg([0, 0], words="silence")


def test_the_bar_marks_the_page_that_is_shown():
    html = bar("three nodes", current="network", home="/x/", address=lambda name: f"/x/{name}")

    assert '<a href="/x/network" aria-current=page>Network</a>' in html
    assert html.count("aria-current") == 1
    assert 'data-card="health"' in html
    assert "data-theme-switch" in html


def test_the_networks_health_is_a_shape_and_words(networks, broken):
    assert "3 of 3 nodes up" in health(networks(3))
    assert "12 tasks, 0 failed" in health(networks(3))
    assert "14:32<small> UTC" in health(networks(3))
    assert "t-failed" not in health(networks(3))
    assert "t-failed" in health(broken)
    assert "3 of 5 nodes up" in health(broken)
    assert "no node known yet" in health(networks(0))
