"""Putting: a record goes to the nearest, and to a few others in place of those that fail."""

from __future__ import annotations

from typing import Any

import pytest

from nodeimpl.overlay.dht import contact_text
from nodeimpl.overlay.port import key_id, node_id
from nodeimpl.overlay.searches import SearchesLimits
from opkit.wire.base import Did, Wire
from opkit.wire.dht import CONTACTS_MAX, FindNodes, Pong, PutRecord
from opkit.wire.peer import MethodUnknown
from opkit.wire.records import Carried

NODES = 50
SPARES_MAX = SearchesLimits().spares_max


def nearest(web: Any, publisher: Any, name: str) -> list[Any]:
    """Return the other nodes, those nearest to a name first."""
    place = key_id("note", name)
    others = [one for one in web.places if one is not publisher]
    return sorted(others, key=lambda one: node_id(one.identity.did) ^ place)


def fail(place: Any, how: str) -> None:
    """Let a node answer lookups, and never a put."""

    def lie(peer: Did, question: Wire, now_ms: int) -> Wire:
        if not isinstance(question, PutRecord):
            answer: Wire = place.dht.answer(peer, question, now_ms)
            if how == "dies" and isinstance(question, FindNodes):
                place.alive = False
            return answer
        if how == "serves nothing":
            raise MethodUnknown(method="dht.put")
        return Pong(contact=contact_text(place.contact))

    place.lie = lie


def put(web: Any, publisher: Any) -> tuple[Carried, Any]:
    name = f"{publisher.identity.did}/a"
    said = web.record(publisher, "note", name, value={"text": "x"}, now_ms=web.now_ms)
    publisher.asks.clear()
    return said, web.wait(publisher, publisher.dht.put, said)


@pytest.mark.parametrize("how", ["dies", "serves nothing", "says something else"])
def test_as_many_keep_a_record_though_some_of_the_nearest_fail(web: Any, how: str) -> None:
    web.grow(NODES)
    publisher = web.places[0]
    failing = nearest(web, publisher, f"{publisher.identity.did}/a")[:4]
    for place in failing:
        fail(place, how)
    said, outcome = put(web, publisher)
    assert outcome.kept == CONTACTS_MAX
    name = f"{publisher.identity.did}/a"
    keep = [one for one in web.places if said in one.dht.copies.get("note", name, web.now_ms)]
    assert len(keep) == CONTACTS_MAX + 1
    assert publisher.asks["PutRecord"] <= CONTACTS_MAX + len(failing)
    assert 1 <= publisher.dht.searches.counts["put instead"] <= len(failing)


def test_no_more_are_asked_in_place_of_others_than_may(web: Any) -> None:
    web.grow(NODES)
    publisher = web.places[0]
    for place in web.places[1:]:
        fail(place, "says something else")
    _, outcome = put(web, publisher)
    assert outcome.kept == 0
    assert CONTACTS_MAX < publisher.asks["PutRecord"] <= CONTACTS_MAX + SPARES_MAX


def test_who_refuses_a_record_is_not_asked_for_in_vain_elsewhere(web: Any) -> None:
    """They live, and know better: a later record of the owner stands with all of them."""
    web.grow(NODES)
    publisher = web.places[0]
    name = f"{publisher.identity.did}/a"
    later = web.record(publisher, "note", name, value={"text": "y"}, now_ms=web.now_ms, sequence=9)
    for place in web.places[1:]:
        place.shelf.offer(later, web.now_ms)
    early = web.record(publisher, "note", name, value={"text": "x"}, now_ms=web.now_ms, sequence=1)
    publisher.asks.clear()
    outcome = web.wait(publisher, publisher.dht.put, early)
    assert outcome.refused == (("record-outdated", CONTACTS_MAX),)
    assert publisher.asks["PutRecord"] == CONTACTS_MAX
