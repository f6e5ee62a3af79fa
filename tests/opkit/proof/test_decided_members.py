"""Membership by decision: links of a coop's home node beside the operator's."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest

from opkit.proof import jws
from opkit.proof.checks import ProofError
from opkit.proof.keys import Identity
from opkit.proof.membership import (
    apply_record,
    fold_member,
    is_decided,
    member_history,
    read_decided,
    read_link,
    read_record,
)
from opkit.proof.standing import choose_links, link_name, read_member
from opkit.wire.base import Jws
from opkit.wire.membership import DECIDED_MEMBER_TYP, MEMBER_TYP, DecidedMember, MemberRecord
from opkit.wire.records import RecordBody
from opkit.wire.standing import MemberValue

MIRA = "tool-library/mira"
NEW = "tool-library/ilse"
KEY = Identity.from_seed(b"\5" * 32)
OTHER = Identity.from_seed(b"\6" * 32)


def decided(network: Any, member_id: str = NEW, /, *, sequence: int = 1, **changes: Any) -> Jws:
    """Return a link by the home node of the tool library, or by `signer`."""
    home = network.nodes["tool-library"]
    signer = changes.pop("signer", home)
    typ = changes.pop("typ", DECIDED_MEMBER_TYP)
    fields = {
        "network": network.name,
        "aud": member_id.partition("/")[0],
        "action": "add",
        "member_id": member_id,
        "name": "Ilse",
        "title": "member",
        "did": KEY.did,
        "roles": ("member",),
        "sequence": sequence,
        "issued_at_ms": 6,
        "node": home.did,
        "proposal": "1" * 64,
        "decision": "2" * 64,
    }
    return jws.sign(DecidedMember(**{**fields, **changes}), typ=typ, identity=signer)


def test_a_decided_link_makes_a_member_as_the_operators_does(network: Any) -> None:
    token = decided(network)
    ilse = apply_record(token, genesis=network.view, standing=None)
    record = network.record(NEW, did=KEY.did)
    assert ilse == apply_record(record, genesis=network.view, standing=None)
    link = read_link(token, genesis=network.view)
    assert isinstance(link, DecidedMember)
    assert (link.decision, link.node) == ("2" * 64, network.nodes["tool-library"].did)
    assert is_decided(token) and not is_decided(record)
    assert type(read_link(record, genesis=network.view)) is MemberRecord


def test_a_founder_is_rekeyed_and_removed_by_decision(network: Any) -> None:
    rekey = decided(network, MIRA, name="Mira", did=OTHER.did)
    gone = decided(network, MIRA, name="Mira", did=OTHER.did, sequence=2, action="revoke")
    states = member_history(MIRA, genesis=network.view, records=[rekey, gone])
    assert [(state.did, state.active) for state in states] == [
        (network.members[MIRA].did, True),
        (OTHER.did, True),
        (OTHER.did, False),
    ]


def test_decided_links_follow_the_operators_and_none_of_those_follows_them(network: Any) -> None:
    first = network.record(NEW, did=KEY.did)
    second = decided(network, sequence=2, did=OTHER.did)
    third = network.record(NEW, did=KEY.did, sequence=3)
    fourth = decided(network, sequence=3)
    ilse = fold_member(NEW, genesis=network.view, records=[first, second, fourth])
    assert ilse is not None and ilse.did == KEY.did
    with pytest.raises(ProofError, match="operator no longer"):
        fold_member(NEW, genesis=network.view, records=[first, second, third])


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"signer": KEY}, "signed by"),
        ({"signer": KEY, "node": KEY.did}, "is not the home node"),
        ({"network": "b" * 26}, "another network"),
        ({"typ": "opkit-ballot+jws"}, "it is a"),
        ({"aud": "building-yard"}, "is not for 'building-yard'"),
        ({"member_id": "-/ilse", "aud": "-"}, "no DecidedMember|is not for"),
        ({"member_id": "bakery/ilse", "aud": "bakery"}, "no charter"),
        ({"member_id": "building-yard/ilse", "aud": "building-yard"}, "is not the home node"),
        ({"did": "did:key:z6Mk" + "1" * 44}, "."),
    ],
)
def test_what_the_home_did_not_say_is_no_decided_link(
    network: Any, changes: dict[str, Any], why: str
) -> None:
    token = decided(network, **changes)
    with pytest.raises(ProofError, match=why):
        read_decided(token, genesis=network.view)
    with pytest.raises(ProofError):
        fold_member(NEW, genesis=network.view, records=[token])


def test_another_coops_home_decides_nothing_here(network: Any) -> None:
    yard = network.nodes["building-yard"]
    with pytest.raises(ProofError, match="is not the home node"):
        read_decided(decided(network, signer=yard, node=yard.did), genesis=network.view)


def test_neither_kind_of_link_passes_for_the_other(network: Any) -> None:
    with pytest.raises(ProofError, match="not a"):
        read_record(decided(network), genesis=network.view)
    with pytest.raises(ProofError, match="not a"):
        read_decided(
            jws.sign(
                read_decided(decided(network), genesis=network.view),
                typ=MEMBER_TYP,
                identity=network.nodes["tool-library"],
            ),
            genesis=network.view,
        )
    by_operator = decided(network, signer=network.operator, typ=MEMBER_TYP)
    with pytest.raises(ProofError, match="no MemberRecord"):
        read_record(by_operator, genesis=network.view)


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
