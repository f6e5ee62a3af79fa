"""The network's page: every node and link in place, states in words, evidence behind every line."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from opkit.views import network
from opkit.views.ground import ring
from opkit.views.topology import TRAFFIC_MS, link_words, topology


def drawn(figures, **selection):
    return {name: draw() for name, draw in network.cards(lambda: figures, **selection).items()}


def places(html):
    return re.findall(r'id="node-([^"]+)" class="[^"]*" style="left:([\d.]+)%;top:([\d.]+)%', html)


def test_the_frame_has_a_place_for_every_card(networks):
    wanted = set(drawn(networks(3))) - {"health"}

    assert set(re.findall(r'data-card="([^"]+)"></div>', network.frame())) == wanted


def test_the_map_shows_nodes_links_and_what_just_moved(networks):
    html = topology(networks(3))

    assert len(places(html)) == 3
    assert html.count("<line ") == 3
    assert "23 kB verified<small>RC → HH</small>" in html
    assert "1.2 ms" in html
    assert "running, 3.1 M fuel" in html


def test_nothing_on_the_map_moves_when_figures_change(networks):
    figures = networks(5)
    later = replace(
        figures,
        now_ms=figures.now_ms + TRAFFIC_MS,
        links=tuple(replace(each, round_trip_us=77_000) for each in figures.links),
    )

    assert places(topology(figures)) == places(topology(later))
    assert "23 kB verified" not in topology(later)
    assert "77 ms" in topology(later)


def test_a_dead_node_and_a_cut_link_are_said_in_words(broken):
    html = topology(broken)

    assert "down since 14:31:02<" in html
    assert "starting since 14:32:04<" in html
    assert 'cut<span class="why"> on purpose</span>' in html
    assert html.count('class="lost"') == 4
    # That its links are lost is said by the dead node itself.
    assert "lost</span>" not in html


def test_a_link_that_is_lost_between_two_living_nodes_says_so(networks):
    figures = networks(3)
    lost = replace(figures.links[0], state="lost")

    assert "lost</span>" in topology(replace(figures, links=(lost,)))
    assert link_words(lost) == "lost"
    assert link_words(replace(lost, state="cut")) == "cut on purpose"


def test_the_line_down_to_a_node_is_labelled_clear_of_the_name_above_that_node(networks):
    figures = networks(5)
    places = dict(zip((node.org for node in figures.nodes), ring(5), strict=True))
    tops = {
        frozenset((link.a, link.b)): re.search(
            rf'id="link-{link.a}-{link.b}" class="on-line" style="left:[\d.]+%;top:([\d.]+)%"',
            topology(figures),
        )
        for link in figures.links
    }
    top = min(places, key=lambda org: places[org].y)
    sides = {org: tops[frozenset((top, org))] for org in places if 0 < places[org].y < 49}
    assert len(sides) == 2
    for org, found in sides.items():
        assert found is not None
        assert float(found[1]) < places[org].y * 0.4


def test_a_crowded_map_labels_only_what_has_something_to_say(networks):
    figures = networks(12)

    assert topology(figures).count('class="on-line"') == 1
    labelled = re.findall(r'id="link-(\S+)" class="on-line"', topology(figures, selected="coop-7"))
    # A label that has no room beside another is left out; there are never others.
    assert len(labelled) > 9
    moved = figures.traffic[0]
    others = [each for each in labelled if "coop-7" not in each]
    assert others == [f"{moved.source}-{moved.target}"]


def test_a_link_to_a_node_that_is_unknown_is_not_drawn(networks):
    figures = networks(3)
    stray = replace(figures.links[0], b="nobody")
    moved = replace(figures.traffic[0], target="nobody")

    html = topology(replace(figures, links=(stray,), traffic=(moved,)))

    assert "<line " not in html
    assert "23 kB" not in html


def test_a_click_on_a_selected_node_selects_none(networks):
    org = networks(3).nodes[0].org

    assert f'data-act="select" data-org="{org}" aria-pressed="false"' in topology(networks(3))
    chosen = topology(networks(3), selected=org)
    assert 'data-act="select" data-org="" aria-pressed="true"' in chosen


def test_key_figures_count_what_is_up(broken, networks):
    assert "<b>3</b><span>of 5 nodes up</span>" in network.nodes_up(broken)
    assert "<b>5</b><span>of 10 links up</span>" in network.links_up(broken)
    assert "t-failed" in network.links_up(broken)
    assert "<b>1.6</b><span>ms at most</span>" in network.round_trip(networks(3))
    assert "<b>4.2</b><span>kB/s on all links</span>" in network.traffic(networks(3))
    assert "no link is up" in network.round_trip(networks(1))


def test_links_that_are_quicker_than_is_counted_are_not_said_to_take_no_time(networks):
    figures = networks(2)
    quick = replace(figures, links=tuple(replace(e, round_trip_us=0) for e in figures.links))
    assert "<b>≤ 1</b><span>ms at most</span>" in network.round_trip(quick)


def test_a_cut_link_alone_is_no_failure(networks):
    figures = networks(3)
    cut = replace(figures.links[0], state="cut")

    html = network.links_up(replace(figures, links=(cut, *figures.links[1:])))

    assert 'class="shown"><span class="state t-running"' in html


def test_a_nodes_page_shows_what_it_says_of_itself(networks):
    figures = networks(3)
    html = network.node(figures, figures.nodes[0].org)

    assert "How is River City Tool Library?" in html
    assert figures.nodes[0].did in html
    assert figures.nodes[0].journal_hash in html
    assert "wasmtime 36.0.2" in html
    assert html.count('id="of-') == 2


def test_a_dead_nodes_figures_are_called_old(broken):
    html = network.node(broken, broken.nodes[1].org)

    assert "<p>It does not answer: killed.</p>" in html
    assert "What follows is what it said at" in html
    assert "Nobody." in html


def test_a_node_whose_time_was_moved_says_how_far(networks):
    figures = networks(3)
    ahead = replace(figures.nodes[0], world_ms=figures.nodes[0].seen_ms + 3 * 86_400_000)

    html = network.node(replace(figures, nodes=(ahead,)), ahead.org)

    assert "3.0 days ahead" in html


def test_without_a_choice_all_nodes_are_listed(networks):
    html = network.node(networks(5), "")

    assert html.count('data-act="select"') == 5
    assert "running, 3.1 M fuel" in html
    assert "version 0.1.0" in html


def test_links_in_trouble_come_first(broken):
    rows = re.findall(r'<tr id="row-[^"]+".*?</tr>', network.links(broken))

    assert len(rows) == 10
    assert all("lost" in row or "cut on purpose" in row for row in rows[:5])
    assert not any("lost" in row for row in rows[5:])


def test_happenings_open_to_the_entry_they_rest_on(networks):
    figures = networks(3)
    key = figures.happenings[2].key

    closed = network.happenings(figures)
    opened = network.happenings(figures, opened=key)

    assert closed.count("<li ") == network.HAPPENINGS_SHOWN
    assert f'data-act="open" data-entry="{key}" aria-expanded="false"' in closed
    assert 'data-act="close" data-entry="" aria-expanded="true"' in opened
    assert "1,098" in opened
    assert "on purpose" in closed


def test_what_is_open_stays_however_much_happens(networks):
    figures = networks(3)
    old = figures.happenings[-1]

    assert old.sentence
    assert f"h-{old.key}" not in network.happenings(figures)
    assert f"h-{old.key}" in network.happenings(figures, opened=old.key)


def test_an_empty_network_says_what_to_do(networks):
    cards = drawn(networks(0))

    assert "opkit devnet up" in cards["map"]
    assert "opkit devnet up" in cards["node"]
    assert "A link appears when" in cards["links"]
    assert "Nothing happened yet." in cards["happenings"]


def test_a_name_cannot_inject_markup(networks):
    figures = networks(3)
    evil = replace(figures.nodes[0], title="<img src=x>", busy="<b>", why="<i>", initials="<")
    happening = replace(figures.happenings[0], sentence="<script>", entry={"<x>": "<y>"})

    cards = drawn(
        replace(figures, nodes=(evil, *figures.nodes[1:]), happenings=(happening,)),
        selected=evil.org,
        opened=happening.key,
    )

    assert not any(re.search(r"<(?:img|script|x|y)\b", html) for html in cards.values())


_NAMES = ("org", "a", "b", "health", "state", "did", "tone", "source", "target")
"""What only some texts may stand in."""


def altered(one):
    """Return a figure once for each of its fields, with another value in it."""
    for name, value in vars(one).items():
        match value:
            case bool() | tuple() | None:
                continue
            case int():
                yield replace(one, **{name: value + 77_000_000})
            case str() if name not in _NAMES:
                yield replace(one, **{name: f"{value}, altered"})


def with_first(figures, **changed):
    return replace(
        figures, **{name: (one, *getattr(figures, name)[1:]) for name, one in changed.items()}
    )


def variants(figures):
    """Return the figures with one thing changed, for each thing that a page could show."""
    yield from altered(figures)
    for name in ("nodes", "links", "happenings", "traffic"):
        first = getattr(figures, name)[0]
        yield from (with_first(figures, **{name: one}) for one in altered(first))
        yield replace(figures, **{name: getattr(figures, name)[1:]})
    node, link = figures.nodes[0], figures.links[0]
    yield from (
        with_first(figures, nodes=replace(node, health=one)) for one in ("starting", "down")
    )
    yield from (with_first(figures, links=replace(link, state=one)) for one in ("cut", "lost"))
    yield with_first(figures, links=replace(link, recent=(1, 2, 3)))
    yield with_first(figures, nodes=replace(node, links=()))


@pytest.mark.parametrize("count", [3, 7])
@pytest.mark.parametrize("selected", ["", "river-city-tool-library"])
def test_a_card_made_of_the_same_figures_looks_the_same(networks, count, selected):
    """Otherwise a card that is kept while what it is made of stays would show what was."""
    figures = networks(count)
    before = drawn(figures, selected=selected)

    for other in variants(figures):
        after = drawn(other, selected=selected)
        changed = {name for name in before if before[name] != after[name]}
        noticed = {
            name
            for name in before
            if network.made_of(name, figures) != network.made_of(name, other)
        }
        assert changed <= noticed, other


def test_what_only_dates_a_look_draws_no_table_anew(networks):
    figures = networks(5)
    later = replace(
        figures,
        now_ms=figures.now_ms + 1,
        nodes=tuple(replace(each, seen_ms=each.seen_ms + 1) for each in figures.nodes),
    )

    for name in ("map", "links", "happenings"):
        assert network.made_of(name, figures) == network.made_of(name, later)


def test_a_link_that_does_badly_says_so_on_the_map_in_the_table_and_above(networks):
    figures = replace(networks(3), traffic=())
    first, second, third = figures.links
    losing = replace(first, amiss="loss", lost_permille=204)
    slow = replace(third, amiss="delay", round_trip_us=240_000)
    bad = replace(figures, links=(second, losing, slow))

    assert "20 % lost</span>" in topology(bad)
    assert "slow: 240 ms</span>" in topology(bad)
    assert topology(bad).count('class="bad"') == 2
    assert "loses much" in network.links(bad)
    rows = re.findall(r'<tr id="row-([^"]+)"', network.links(bad))
    assert rows[0] == f"{losing.a}-{losing.b}"
    assert "of 3 links up, 2 badly" in network.links_up(bad)
    crowd = networks(12)
    one = replace(crowd.links[40], amiss="delay", round_trip_us=240_000)
    assert ">slow</span>" in topology(replace(crowd, links=(*crowd.links[:40], one)))
