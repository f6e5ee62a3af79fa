"""Where nodes stand on a map, and that a ground is laid out once."""

from __future__ import annotations

from itertools import pairwise

import pytest

from opkit.views.ground import CROWDED, ground_of, ring


@pytest.mark.parametrize("count", range(1, 14))
def test_nodes_stand_apart_and_within_the_map(count):
    stood = ring(count)

    assert len(set(stood)) == count
    assert all(0 <= each.x <= 100 and 0 <= each.y <= 100 for each in stood)
    assert ring(count) == stood


@pytest.mark.parametrize("count", [CROWDED, CROWDED + 1, 12])
def test_many_nodes_have_room_for_their_names(count):
    stood = ring(count)
    above = [each.x for each in stood if each.y < 50]
    below = [each.x for each in stood if each.y >= 50]

    assert all(right - left >= 100 / count for left, right in pairwise(above))
    assert all(left - right >= 100 / count for left, right in pairwise(below))


def test_the_same_nodes_and_links_have_the_same_ground():
    titles = tuple((f"coop-{each}", f"Cooperative {each}") for each in range(5))
    pairs = (("coop-0", "coop-1"), ("coop-1", "coop-3"))

    ground = ground_of(titles, pairs)

    assert ground_of(titles, pairs) is ground
    assert ground_of(titles, pairs, selected="coop-1") is not ground
    assert set(ground.figures) == set(pairs)


def test_a_flag_finds_another_place_than_the_flag_before_it():
    titles = tuple((f"coop-{each}", f"Cooperative {each}") for each in range(3))
    ground = ground_of(titles, (("coop-0", "coop-1"),))
    rooms = ground.room(), ground.room(taken=False)

    first = ground.flag(("coop-0", "coop-1"), "cut on purpose", rooms=rooms)
    second = ground.flag(("coop-0", "coop-1"), "cut on purpose", rooms=rooms)

    assert first != second
