"""Chains as they spread: which links stand, in whatever order and number they are heard."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nacl import bindings

from opkit.proof import jws
from opkit.proof.checks import ProofError
from opkit.proof.keys import Identity
from opkit.proof.standing import (
    choose_links,
    link_name,
    may_write_member,
    may_write_standing,
    read_member,
    standing_of,
)
from opkit.wire.base import Jws, b64encode
from opkit.wire.records import RecordBody
from opkit.wire.standing import MemberValue, StandingValue

ILSE = "tool-library/ilse"
MIRA = "tool-library/mira"
KEYS = [Identity.from_seed(bytes([number]) * 32).did for number in range(4)]
ORDER = 2**252 + 27742317777372353535851937790883648493
"""Of the group that Ed25519 signs in. Source: RFC 8032, section 5.1."""


def body(name: str) -> RecordBody:
    return RecordBody(
        network="a" * 26,
        aud="member",
        name=name,
        owner=KEYS[0],
        sequence=1,
        issued_at_ms=1,
        lapses_at_ms=2,
        value={},
    )


def test_a_link_is_read_under_its_own_name(network: Any) -> None:
    token = network.record(ILSE, did=KEYS[0])
    record = read_member(body(f"{ILSE}/1"), MemberValue(record=token), network.view)
    assert (record.member_id, record.sequence) == (ILSE, 1)
    assert link_name(ILSE, 1) == f"{ILSE}/1"


@pytest.mark.parametrize("name", [f"{ILSE}/2", f"{ILSE}", f"{MIRA}/1", "x"])
def test_a_link_under_another_name_is_none(network: Any, name: str) -> None:
    token = network.record(ILSE, did=KEYS[0])
    with pytest.raises(ProofError, match="it is link 1 of tool-library/ilse"):
        read_member(body(name), MemberValue(record=token), network.view)


def test_a_link_by_anybody_but_the_operator_is_none(network: Any) -> None:
    token = network.record(ILSE, did=KEYS[0], signer=network.members[MIRA])
    with pytest.raises(ProofError, match="signed by"):
        read_member(body(f"{ILSE}/1"), MemberValue(record=token), network.view)


def test_no_link_is_about_the_operator(network: Any) -> None:
    token = network.record("-/operator", did=KEYS[0])
    with pytest.raises(ProofError, match="stands in genesis"):
        read_member(body("-/operator/1"), MemberValue(record=token), network.view)


def test_nodes_hand_links_on_and_nobody_else(network: Any) -> None:
    for node in network.nodes.values():
        assert may_write_member(node.did, network.view)
    assert not may_write_member(network.members[MIRA].did, network.view)
    assert not may_write_member(network.operator.did, network.view)


def test_the_home_speaks_for_its_coop_and_nobody_else(network: Any) -> None:
    home, other = network.nodes["tool-library"].did, network.nodes["building-yard"].did
    assert may_write_standing(home, "tool-library", network.view)
    assert not may_write_standing(other, "tool-library", network.view)
    assert not may_write_standing(home, "building-yard", network.view)
    assert not may_write_standing(home, "no-such-coop", network.view)
    assert not may_write_standing(home, "-", network.view)


def test_nobody_is_known_without_links(network: Any) -> None:
    assert choose_links(ILSE, genesis=network.view, known={}) == ((), None)


def test_a_founder_stands_without_links(network: Any) -> None:
    chain, member = choose_links(MIRA, genesis=network.view, known={})
    assert chain == ()
    assert member is not None and member.active and member.sequence == 0


def test_a_chain_ends_where_a_link_is_missing(network: Any) -> None:
    first, third = (network.record(ILSE, did=KEYS[0], sequence=number) for number in (1, 3))
    chain, member = choose_links(ILSE, genesis=network.view, known={1: [first], 3: [third]})
    assert chain == (first,)
    assert member is not None and member.sequence == 1


def test_a_revocation_stands_before_what_else_was_signed_for_its_place(network: Any) -> None:
    renewed = [network.record(MIRA, did=did, name=str(did)) for did in KEYS]
    revoked = network.record(MIRA, did=network.members[MIRA].did, action="revoke")
    chain, member = choose_links(MIRA, genesis=network.view, known={1: [*renewed, revoked]})
    assert chain == (revoked,)
    assert member is not None and not member.active
    lowest = min(renewed, key=jws.record_id)
    assert choose_links(MIRA, genesis=network.view, known={1: renewed})[0] == (lowest,)


def test_a_decided_link_stands_before_the_operators_whatever_either_says(assembly: Any) -> None:
    """After it the operator's word counts no more, also where nothing else is known."""
    record, view = assembly.network.record, assembly.network.view
    decided = assembly.decided(MIRA, did=KEYS[0])
    revoked = record(MIRA, did=assembly.network.members[MIRA].did, action="revoke")
    late = record(MIRA, did=KEYS[1], sequence=2)
    for order in permutations([decided, revoked, record(MIRA, did=KEYS[2])]):
        chain, member = choose_links(MIRA, genesis=view, known={1: order, 2: [late]})
        assert chain == (decided,)
        assert member is not None and member.did == KEYS[0]
    again = assembly.decided(MIRA, did=KEYS[1], sequence=2)
    assert choose_links(MIRA, genesis=view, known={1: [decided], 2: [late, again]})[0] == (
        decided,
        again,
    )


def test_of_a_link_that_was_signed_twice_every_reader_keeps_the_same(network: Any) -> None:
    token = network.record(ILSE, did=KEYS[0])
    twice = [token, signed_otherwise(token, network.operator)]
    assert twice[0] != twice[1] and jws.record_id(twice[0]) == jws.record_id(twice[1])
    for order in (twice, twice[::-1]):
        assert choose_links(ILSE, genesis=network.view, known={1: order})[0] == (min(twice),)


def signed_otherwise(token: Jws, signer: Identity) -> Jws:
    """Return another good signature: a signer may choose any nonce. Source: RFC 8032, 5.1.6."""
    signing_input = token.rpartition(".")[0]
    digest = hashlib.sha512(signer.seed).digest()
    secret = int.from_bytes(digest[:32], "little") & ((1 << 254) - 8) | (1 << 254)
    nonce = 123456789
    point = bindings.crypto_scalarmult_ed25519_base_noclamp(nonce.to_bytes(32, "little"))
    hashed = hashlib.sha512(point + signer.public_key + signing_input.encode()).digest()
    scalar = (nonce + int.from_bytes(hashed, "little") * secret) % ORDER
    return f"{signing_input}.{b64encode(point + scalar.to_bytes(32, 'little'))}"


def test_what_does_not_follow_is_passed_over(network: Any) -> None:
    added = network.record(ILSE, did=KEYS[0])
    foreign = network.record("tool-library/otto", did=KEYS[1])
    revoked = network.record(ILSE, did=KEYS[2], action="revoke")
    known = {1: [revoked, foreign, "a.b.c", added], 2: [revoked]}
    chain, member = choose_links(ILSE, genesis=network.view, known=known)
    assert chain == (added,)
    assert member is not None and member.did == KEYS[0]
    assert choose_links(ILSE, genesis=network.view, known={1: [foreign]}) == ((), None)


def every_link(record: Callable[..., Jws]) -> list[tuple[int, Jws]]:
    """Return links of three places, two or three for each."""
    return [
        (sequence, record(ILSE, did=did, sequence=sequence, action=action))
        for sequence in (1, 2, 3)
        for did, action in ((KEYS[0], "add"), (KEYS[1], "add"), (KEYS[0], "revoke"))
    ]


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_whoever_knows_the_same_links_believes_the_same(network: Any, data: Any) -> None:
    links = every_link(network.record)
    told = data.draw(st.lists(st.sampled_from(links), max_size=12))
    again = data.draw(st.permutations(told + told[:3]))

    def chosen(heard: list[tuple[int, Jws]]) -> Any:
        known: dict[int, list[Jws]] = {}
        for sequence, token in heard:
            known.setdefault(sequence, []).append(token)
        return choose_links(ILSE, genesis=network.view, known=known)

    assert chosen(told) == chosen(again)


def test_the_standing_of_a_coop_depends_on_all_of_its_members_and_on_nothing_else() -> None:
    members = [(ILSE, 1, "a" * 64), (MIRA, 0, None)]
    said = standing_of("tool-library", members)
    lines = f"tool-library\n{ILSE} 1 {'a' * 64}\n{MIRA} 0 -\n"
    assert said == StandingValue(members=2, digest=hashlib.sha256(lines.encode()).hexdigest())
    assert said == standing_of("tool-library", reversed(members))
    others = [
        standing_of("building-yard", members),
        standing_of("tool-library", members[:1]),
        standing_of("tool-library", [(ILSE, 2, "a" * 64), (MIRA, 0, None)]),
        standing_of("tool-library", [(ILSE, 1, "b" * 64), (MIRA, 0, None)]),
        standing_of("tool-library", [("tool-library/i", 1, "a" * 64), (MIRA, 0, None)]),
    ]
    assert len({each.digest for each in [said, *others]}) == 6
