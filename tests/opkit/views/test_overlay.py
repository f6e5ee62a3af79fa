"""The overlay's cards: what every node tells, in words; who is silent is said to be."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from opkit.views import network, overlay


def test_every_card_of_the_overlay_has_its_place_on_the_page(networks, overlays):
    figures = networks(3)
    drawn = network.cards(lambda: figures, told=overlays(figures))

    assert set(overlay.CARDS) <= set(drawn)
    assert all(f'data-card="{name}"' in network.frame() for name in overlay.CARDS)
    for name in overlay.CARDS:
        rows = re.findall(r'<tr id="([^"]+)"', drawn[name]())
        assert len(rows) == len(set(rows)) == 3


@pytest.mark.parametrize("count", [0, 3])
def test_before_nodes_have_told_anything_the_cards_say_what_will_stand_there(networks, count):
    figures = networks(count)

    for name, draw in overlay.cards(lambda: figures, lambda: None).items():
        assert 'class="empty"' in draw(), name


def test_a_node_that_has_all_records_and_one_that_lacks_some(networks, overlays):
    figures = networks(12)
    html = overlay.coverage(figures, overlays(figures))

    assert html.count("</i></span>") == 12
    assert html.count(">all</span>") == 11
    assert "1,201<small>of 1,204</small>" in html
    assert "99.8 %" in html
    assert "Forks" not in html


def test_a_node_that_lacks_one_of_very_many_does_not_have_all(networks, overlays):
    figures = networks(3)
    told = overlays(figures)
    one = replace(
        told.coverage[1],
        total=1_000_000,
        held=tuple((node.org, 999_999) for node in figures.nodes),
        is_exact=False,
    )

    html = overlay.coverage(figures, replace(told, coverage=(one,)))

    assert "99.9 %" in html
    assert ">all<" not in html
    assert "at least so many" in html


def test_a_node_that_is_down_is_silent_and_nothing_of_it_is_guessed(broken, overlays):
    told = overlays(broken)
    for name, draw in overlay.cards(lambda: broken, lambda: told).items():
        if name == "witnesses":
            continue
        assert "does not answer" in draw(), name
        assert "has not told yet" in draw(), name


def test_repairs_are_counted_and_dated(networks, overlays):
    figures = networks(3)
    html = overlay.repairs(figures, overlays(figures))

    assert "1,204" in html
    assert "never" in html
    assert html.count("<time") == 2
    assert 's-refused">' in html


def test_a_mesh_is_told_by_the_letters_of_the_nodes(networks, overlays):
    figures = networks(12)
    html = overlay.mesh(figures, overlays(figures))

    first = html.split("</tr>")[1]
    assert re.findall(r">([A-Z0-9]+)</abbr>", first) == (
        ["BW", "HH", "FL", "UN", "C6", "C7", "C8", "C9", "C10", "C11", "C12", "C9"]
    )
    assert "-5.5<small>Cooperative 12</small>" in first


def test_strangers_in_a_mesh_are_counted(networks, overlays):
    figures = networks(3)
    alone = replace(figures, nodes=figures.nodes[:1])

    assert "2 strangers" in overlay.mesh(alone, overlays(figures))


def test_room_is_told_by_sponsor_and_bans_by_key(networks, overlays):
    figures = networks(12)
    html = overlay.tables(figures, overlays(figures))

    assert "Cooperative 12<small>246 kB</small>" in html
    assert "and 10 more" in html
    assert html.count("1 peer</span>") == 1
    assert "3 blobs, 12 addresses, 1,204 notes" in html
    few = overlays(networks(1))
    assert "nobody vouches" in overlay.tables(networks(1), few)


def test_a_fork_and_a_growth_that_was_not_shown_are_told_of_whose_journal(networks, overlays):
    figures = networks(12)
    html = overlay.witnesses(figures, overlays(figures))

    rows = dict(re.findall(r'<tr id="witnessed-([^"]+)".*?>(.*?)</tr>', html))
    assert "1 fork proven" in rows["brightworks-cooperative"]
    assert "s-failed" in rows["brightworks-cooperative"]
    assert "it is shorter" in rows["fingerlakes-cdn"]
    assert ">none</span>" in rows["harbor-homes-cooperative"]


def test_what_a_node_tells_is_text_and_never_markup(networks, overlays):
    figures = networks(3)
    nodes = tuple(replace(node, title="<b>x</b>") for node in figures.nodes)
    evil = replace(figures, nodes=nodes)
    told = overlays(figures)

    for draw in overlay.cards(lambda: evil, lambda: told).values():
        assert "<b>x</b>" not in draw()


def test_the_cards_are_drawn_anew_only_if_what_they_show_is_new(networks, overlays):
    figures = networks(3)
    told = overlays(figures)
    later = replace(figures, now_ms=figures.now_ms + 500, happenings=())

    assert network.made_of("mesh", figures, told) == network.made_of("mesh", later, told)
    fewer = replace(told, nodes=told.nodes[1:])
    assert network.made_of("mesh", figures, told) != network.made_of("mesh", figures, fewer)
