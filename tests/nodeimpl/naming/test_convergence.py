"""Nodes that saw the same records of names hold the same, and what is no record changes nothing."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nodeimpl.naming.index import Index
from nodeimpl.overlay.shelf import Shelf
from opkit.proof.checks import ProofError
from opkit.proof.names import read_claim, read_takeover
from opkit.proof.record import Verifier, make_record
from opkit.wire import names as wire
from opkit.wire.base import b64decode, b64encode
from opkit.wire.errors import Refusal
from opkit.wire.records import Carried, RecordOutdated, SignedRecordRejected

NAMES = ("saw.yard", "plane.yard")
NODES = 4
NOW_MS = 1_800_000_000_000
SECOND_MS = 1_000


class Node:
    """A shelf and its index, as a node has them; `proven` are the pairs it came across."""

    def __init__(self, verifier: Verifier, home: str) -> None:
        self.shelf = Shelf(verifier)
        self.index = Index(lambda name: self.shelf.standing("name", name, home))
        self.proven: set[frozenset[str]] = set()
        self.shelf.on_changed.append(lambda _, name, __: self.index.see(name) and None)
        self.shelf.on_compared["name"] = self.compare
        self.genesis = verifier.genesis

    def compare(self, one: Carried, other: Carried) -> None:
        try:
            proof = read_takeover(one.jws, other.jws, self.genesis)
        except ProofError:
            return
        self.proven.add(frozenset((proof.first.id, proof.second.id)))

    def take(self, carried: Carried) -> None:
        with suppress(RecordOutdated):
            self.shelf.offer(carried, NOW_MS + SECOND_MS)

    def kept(self) -> list[Carried]:
        return [each for name in self.shelf.names("name") for each in self.shelf.get("name", name)]

    def says(self) -> list[tuple[str, str, str]]:
        page, _ = self.index.page(
            prefix="", owner="", after="", names_max=99, now_ms=NOW_MS + SECOND_MS
        )
        return [(view.name, view.member_id, view.id) for view in page]


@pytest.fixture(scope="module")
def said(make_home: Any) -> list[Carried]:
    """Return records of a home that lies: it countersigns each name for many, some at one time."""
    records = []
    for name in NAMES:
        for who in "abc":
            for later_ms in (0, 0, 7):
                home = make_home()
                home.name, home.now_ms = name, NOW_MS + later_ms
                held = home.hand_in(home.claim(who, sequence=NOW_MS - len(records)))
                records.append(Carried(jws=held.record))
        home.now_ms += 20
        home.standing = held
        records.append(Carried(jws=home.hand_in(home.claim("c", target=None)).record))
    return records


@pytest.fixture(scope="module")
def verifier(make_home: Any) -> Verifier:
    return Verifier(make_home().genesis)


@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_nodes_that_saw_the_same_records_hold_the_same_whatever_came_when(
    said: list[Carried], verifier: Verifier, home_key: Any, data: st.DataObject
) -> None:
    """Each record reaches some nodes, in any order, many times; then they compare."""
    nodes = [Node(verifier, home_key.did) for _ in range(NODES)]
    picked = data.draw(st.lists(st.sampled_from(said), min_size=1, max_size=12))
    deliveries = [
        (node, record)
        for record in picked
        for node in data.draw(st.lists(st.integers(0, NODES - 1), min_size=1, max_size=NODES + 2))
    ]
    for node, record in data.draw(st.permutations(deliveries)):
        nodes[node].take(record)
    pairs = data.draw(st.permutations([(a, b) for a in range(NODES) for b in range(NODES)]))
    for _ in range(NODES):
        for a, b in pairs:
            for record in nodes[a].kept():
                nodes[b].take(record)
    assert all(node.says() == nodes[0].says() for node in nodes)
    everything = Node(verifier, home_key.did)
    for record in picked:
        everything.take(record)
    assert everything.says() == nodes[0].says()


def test_whoever_sees_two_countersignatures_says_so_in_either_order(
    said: list[Carried], verifier: Verifier, home_key: Any
) -> None:
    for one in said[:4]:
        for other in said[:4]:
            there, back = Node(verifier, home_key.did), Node(verifier, home_key.did)
            for node, pair in ((there, (one, other)), (back, (other, one))):
                for record in pair:
                    node.take(record)
            assert there.proven == back.proven == contradicting(verifier, one, other)


def contradicting(verifier: Verifier, one: Carried, other: Carried) -> set[frozenset[str]]:
    """Return what two records prove together."""
    try:
        proof = read_takeover(one.jws, other.jws, verifier.genesis)
    except ProofError:
        return set()
    return {frozenset((proof.first.id, proof.second.id))}


DEEP = 20_000
BOMBS = (
    "[" * DEEP + "]" * DEEP,
    '{"a":' * DEEP + "1" + "}" * DEEP,
    json.dumps("\U0001f4a3" * 50_000),
    str(2**53),
    "9" * 4_000,
    "-1",
    "1.5",
    '{"a":{"b":"\\u0000"}}',
)
"""What costs a careless reader its stack, its memory, or its numbers."""


@pytest.mark.parametrize("number", range(len(BOMBS)))
@pytest.mark.parametrize("field", ["target", "sequence", "name", "lapses_at_ms", "zz"])
def test_a_bomb_in_a_claim_is_refused_by_the_first_reader(
    home: Any, number: int, field: str
) -> None:
    header, body, signature = home.claim().split(".")
    said = json.loads(b64decode(body))
    said[field] = 0.5
    body = b64encode(json.dumps(said).replace("0.5", BOMBS[number]).encode())
    with pytest.raises(ProofError):
        read_claim(f"{header}.{body}.{signature}", network=home.genesis.network)


@pytest.mark.parametrize(
    "value",
    [
        {"claim": "a.b.c"},
        {"claim": "\U0001f4a3" * 500},
        {"claim": "a.b.c", "member": ["x"] * 9},
        {"claim": "a.b.c", "more": [[[[]]]] * 50},
        {"claim": 2**53 - 1},
        None,
    ],
)
def test_a_home_that_signs_a_bomb_has_it_refused(
    home: Any, verifier: Verifier, home_key: Any, value: Any
) -> None:
    node = Node(verifier, home_key.did)
    good = Carried(jws=home.hand_in(home.claim()).record)
    node.take(good)
    bomb = make_record(
        home_key,
        network=home.genesis.network,
        namespace="name",
        name=home.name,
        value=value,
        at_ms=NOW_MS + 5,
        term_ms=wire.NAME_TERM_MS_MAX,
    )
    with pytest.raises(SignedRecordRejected):
        node.shelf.offer(Carried(jws=bomb), NOW_MS + SECOND_MS)
    assert [each[0] for each in node.says()] == [home.name]


def test_what_is_signed_by_anybody_but_the_home_changes_nothing(
    home: Any, verifier: Verifier, home_key: Any, stranger: Any
) -> None:
    node = Node(verifier, home_key.did)
    held = home.hand_in(home.claim())
    node.take(Carried(jws=held.record))
    value = wire.NameValue(claim=home.claim("b")).model_dump(mode="json")
    forged = make_record(
        stranger,
        network=home.genesis.network,
        namespace="name",
        name=home.name,
        value=value,
        at_ms=NOW_MS + 5,
        term_ms=86_400_000 - 5,
    )
    with pytest.raises(Refusal):
        node.shelf.offer(Carried(jws=forged), NOW_MS + SECOND_MS)
    assert [each[1] for each in node.says()] == ["yard/a"]
