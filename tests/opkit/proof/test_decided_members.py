"""Membership by decision: which of two links stands, and how they are handed on."""

from __future__ import annotations

from itertools import permutations
from typing import Any

from opkit.proof.standing import choose_links, link_name, read_member
from opkit.wire.records import RecordBody
from opkit.wire.standing import MemberValue
from tests.opkit.proof.decided import KEY, NEW, OTHER, decided


def test_a_decided_link_stands_before_the_operators_at_one_place(network: Any) -> None:
    links = [
        network.record(NEW, did=OTHER.did),
        network.record(NEW, did=OTHER.did, name="Again"),
        decided(network, name="Decided"),
    ]
    for order in permutations(links):
        chain, ilse = choose_links(NEW, genesis=network.view, known={1: order})
        assert chain == (links[2],)
        assert ilse is not None and ilse.name == "Decided"


def test_of_two_decided_links_a_revocation_stands(network: Any) -> None:
    first = decided(network)
    links = [
        decided(network, sequence=2, did=OTHER.did),
        decided(network, sequence=2, action="revoke"),
        network.record(NEW, did=KEY.did, sequence=2, action="revoke"),
    ]
    for order in permutations(links):
        chain, _ = choose_links(NEW, genesis=network.view, known={1: [first], 2: order})
        assert chain == (first, links[1])


def test_the_chain_ends_where_only_the_operators_word_would_follow(network: Any) -> None:
    first, late = decided(network), network.record(NEW, did=OTHER.did, sequence=2)
    chain, ilse = choose_links(NEW, genesis=network.view, known={1: [first], 2: [late]})
    assert chain == (first,)
    assert ilse is not None and ilse.did == KEY.did


def test_decided_links_are_handed_on_as_the_operators_are(network: Any) -> None:
    token = decided(network)
    body = RecordBody(
        network=network.name,
        aud="member",
        name=link_name(NEW, 1),
        owner=network.nodes["building-yard"].did,
        sequence=1,
        issued_at_ms=1,
        lapses_at_ms=2,
        value=MemberValue(record=token).model_dump(mode="json"),
    )
    assert read_member(body, MemberValue(record=token), network.view).member_id == NEW
