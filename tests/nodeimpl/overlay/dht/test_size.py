"""A lookup's price grows with the logarithm of the size, and what a node holds is bounded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from nodeimpl.overlay.dht import DhtLimits
from nodeimpl.overlay.port import node_id
from nodeimpl.overlay.table import TableLimits

SMALL = DhtLimits(table=TableLimits(bucket_max=4, spare_max=4))
"""Tables so small that a small network has hops."""


def mean_hops(web: Any, lookups: int) -> float:
    hops = 0
    for _ in range(lookups):
        place = web.chance.choice(web.places)
        hops += web.wait(place, place.dht.locate, web.chance.randrange(1 << 256)).hops
    return hops / lookups


def recall(web: Any, lookups: int) -> float:
    """Return what share of the twenty nearest nodes lookups find."""
    found = wanted = 0
    for _ in range(lookups):
        place, target = web.chance.choice(web.places), web.chance.randrange(1 << 256)
        others = (other.identity.did for other in web.places if other is not place)
        near = set(sorted(others, key=lambda did: node_id(did) ^ target)[:20])
        outcome = web.wait(place, place.dht.locate, target)
        found += len(near & {contact.did for contact in outcome.contacts})
        wanted += len(near)
    return found / wanted


def test_hops_grow_with_the_logarithm_of_the_size(web_of: Callable[[int], Any]) -> None:
    hops = []
    for count in (10, 40, 160):
        web = web_of(count)
        web.grow(count, limits=SMALL)
        hops.append(mean_hops(web, 40))
    assert hops[0] < hops[1] < hops[2]
    assert hops[2] - hops[1] < 2 * (hops[1] - hops[0]) + 1
    assert hops[2] < 5


def test_lookups_find_the_nearest_there_are(web: Any) -> None:
    web.grow(100)
    assert recall(web, 30) > 0.99


@pytest.mark.slow
@pytest.mark.usefixtures("unmeasured")
def test_among_four_hundred_nodes_the_nearest_are_found_in_a_few_hops(web: Any) -> None:
    web.grow(400)
    assert recall(web, 20) > 0.99
    assert mean_hops(web, 40) < 4
    check_bounds(web)


def test_what_a_node_holds_is_bounded_while_all_look_up_at_once(web: Any) -> None:
    web.grow(24)
    for place in web.places[:12]:
        for target in range(30):
            place.dht.locate(target * 2**250, lambda _: None, web.now_ms)
        web.act(place)
    for _ in range(40):
        web.run(25)
        check_bounds(web)
    web.run(60_000)
    assert all(place.dht.held()["searches"] == 0 for place in web.places)


def check_bounds(web: Any) -> None:
    for place in web.places:
        held = place.dht.held()
        assert held["searches"] <= 16
        assert held["searches waiting"] <= 256
        assert held["questions"] <= 256
        assert held["pings"] <= 32
        assert held["contacts"] <= 256 * 20
        assert held["suspects"] <= 2_048
        assert held["candidates"] <= 16 * 3 * (32 * 20 + 20)
