"""Genesis: verified whole, or not at all."""

from __future__ import annotations

from typing import Any

import pytest

from opkit.proof import jws
from opkit.proof.checks import ProofError
from opkit.proof.genesis import GenesisView, read_genesis, sign_charter, sign_genesis
from opkit.proof.keys import Identity
from opkit.wire.base import Wire
from opkit.wire.genesis import CHARTER_TYP, GENESIS_TYP, GenesisNode, SignedCharter


def refused(token: str, why: str) -> None:
    """Assert that a genesis is refused for this reason."""
    with pytest.raises(ProofError, match=why):
        read_genesis(token)


def test_a_good_genesis_answers_who_belongs_to_the_network(network: Any, parts: Any) -> None:
    view: GenesisView = network.view
    assert (view.network, view.operator, view.devnet) == ("a" * 26, parts.operator.did, True)
    node = view.node(parts.nodes["tool-library"].did)
    assert node is not None
    assert node == view.node_of("tool-library")
    charter = view.charter("tool-library")
    assert charter is not None
    assert charter.home_node == node.did
    founder = view.founder("tool-library/mira")
    assert founder is not None
    assert founder.did == parts.members["tool-library/mira"].did
    founders = view.founders()
    assert tuple((coop, founder.name) for coop, founder in founders) == (
        ("tool-library", "Mira"),
        ("tool-library", "Ondrej"),
        ("building-yard", "Ruth"),
    )
    assert founders == view.founders()
    assert view.record_id == jws.record_id(view.token)


def test_who_is_not_in_it_is_answered_with_none(network: Any) -> None:
    view: GenesisView = network.view
    stranger = Identity.generate().did
    assert view.node(stranger) is None
    assert (view.node_of("x"), view.charter("x"), view.founder("x")) == (None, None, None)


def test_a_genesis_signed_by_another_than_its_operator_is_refused(parts: Any) -> None:
    other = Identity.generate()
    refused(jws.sign(parts.genesis, typ=GENESIS_TYP, identity=other), "signed by")
    with pytest.raises(ProofError, match="operator that it names"):
        sign_genesis(parts.genesis, other)


def test_something_else_of_the_operator_is_no_genesis(parts: Any) -> None:
    refused(jws.sign(parts.genesis, typ=CHARTER_TYP, identity=parts.operator), "not a")
    refused("x", "compact")


class Odd(Wire):
    """What somebody signs as a genesis whose operator and network are no texts."""

    operator: tuple[int, ...] = (1,)
    network: tuple[int, ...] = (2,)


def test_a_genesis_whose_operator_is_no_text_is_refused_like_any_other(parts: Any) -> None:
    refused(jws.sign(Odd(), typ=GENESIS_TYP, identity=parts.operator), "signed by")


def test_signing_refuses_what_reading_would(parts: Any) -> None:
    doubled = parts.genesis.model_copy(update={"nodes": parts.genesis.nodes * 2})
    with pytest.raises(ProofError, match="twice"):
        sign_genesis(doubled, parts.operator)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_key_with_two_purposes_is_refused(parts: Any, place: int) -> None:
    """One key, one purpose: a member's, a node's, or the operator's."""
    taken = (
        parts.operator.did,
        parts.nodes["tool-library"].did,
        parts.members["tool-library/mira"].did,
    )[place]
    node = GenesisNode(org="more", title="More", did=taken, coop=None)
    genesis = parts.genesis.model_copy(update={"nodes": (*parts.genesis.nodes, node)})
    refused(parts.token(genesis), f"the key {taken} occurs twice")


def test_a_key_that_is_no_good_point_is_refused(parts: Any) -> None:
    bad = "did:key:z6Mk" + "1" * 44
    node = GenesisNode(org="more", title="More", did=bad, coop=None)
    genesis = parts.genesis.model_copy(update={"nodes": (*parts.genesis.nodes, node)})
    refused(parts.token(genesis), "key")


def test_an_organisation_with_two_nodes_of_one_name_is_refused(parts: Any) -> None:
    node = GenesisNode(org="loner", title="Again", did=Identity.generate().did, coop=None)
    genesis = parts.genesis.model_copy(update={"nodes": (*parts.genesis.nodes, node)})
    refused(parts.token(genesis), "the organisation loner occurs twice")


def test_a_node_of_a_coop_without_charter_is_refused(parts: Any) -> None:
    genesis = parts.genesis.model_copy(update={"charters": parts.charters[:1]})
    refused(parts.token(genesis), "building-yard, which has no charter")


def test_two_charters_of_one_coop_are_refused(parts: Any) -> None:
    """With fresh keys for the second one, so that nothing but the coop's name is double."""
    charter = parts.charters[1].charter
    ruth = Identity.generate()
    founder = charter.founders[0].model_copy(update={"did": ruth.did})
    again = sign_charter(
        charter.model_copy(update={"founders": (founder,)}), {founder.member_id: ruth}
    )
    genesis = parts.genesis.model_copy(update={"charters": (*parts.charters, again)})
    refused(parts.token(genesis), "the coop building-yard occurs twice")


def test_a_member_named_twice_is_refused(parts: Any) -> None:
    charter = parts.charters[0].charter
    twice = charter.founders[0].model_copy(update={"did": Identity.generate().did})
    changed = charter.model_copy(update={"founders": (*charter.founders, twice)})
    signed = SignedCharter(charter=changed, signatures=())
    genesis = parts.genesis.model_copy(update={"charters": (signed, parts.charters[1])})
    refused(parts.token(genesis), "the member tool-library/mira occurs twice")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"network": "b" * 26}, "the charter of tool-library belongs to another network"),
        ({"home_node": "did:key:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp"}, "home node"),
    ],
)
def test_a_charter_that_does_not_fit_the_genesis_is_refused(
    parts: Any, changes: dict[str, str], why: str
) -> None:
    charter = parts.charters[0].charter.model_copy(update=changes)
    refused(parts.token(parts.with_charter(charter)), why)


def test_a_charter_with_a_home_at_another_coops_node_is_refused(parts: Any) -> None:
    home = parts.nodes["building-yard"].did
    charter = parts.charters[0].charter.model_copy(update={"home_node": home})
    refused(parts.token(parts.with_charter(charter)), "no node of that coop")


def test_a_charter_with_a_member_of_another_coop_is_refused(parts: Any) -> None:
    charter = parts.charters[0].charter
    founder = charter.founders[0].model_copy(update={"member_id": "elsewhere/mira"})
    changed = charter.model_copy(update={"founders": (founder, charter.founders[1])})
    members = {**parts.members, "elsewhere/mira": parts.members["tool-library/mira"]}
    signed = sign_charter(changed, members)
    genesis = parts.genesis.model_copy(update={"charters": (signed, parts.charters[1])})
    refused(parts.token(genesis), "no member id of tool-library")


def test_a_coop_is_audited_by_whom_its_own_charter_names(parts: Any) -> None:
    charter = parts.charters[0].charter.model_copy(update={"auditors": ("building-yard",)})
    view = read_genesis(parts.token(parts.with_charter(charter)))
    assert view.auditors_at(parts.nodes["tool-library"].did) == {"building-yard"}
    for org in ("building-yard", "loner"):
        assert view.auditors_at(parts.nodes[org].did) == frozenset()
    assert view.auditors_at(Identity.generate().did) == frozenset()


@pytest.mark.parametrize(
    "auditors", [("tool-library",), ("elsewhere",), ("building-yard", "building-yard")]
)
def test_a_charter_that_names_no_other_coop_as_auditor_is_refused(
    parts: Any, auditors: tuple[str, ...]
) -> None:
    charter = parts.charters[0].charter.model_copy(update={"auditors": auditors})
    refused(parts.token(parts.with_charter(charter)), "the auditors of tool-library")


def test_auditors_that_the_founders_did_not_agree_on_are_refused(parts: Any) -> None:
    signed = parts.charters[0]
    open_to_all = signed.charter.model_copy(update={"auditors": ("building-yard",)})
    other = SignedCharter(charter=open_to_all, signatures=signed.signatures)
    genesis = parts.genesis.model_copy(update={"charters": (other, parts.charters[1])})
    refused(parts.token(genesis), "signed another charter")


def test_a_charter_without_one_founders_signature_is_refused(parts: Any) -> None:
    """An operator cannot found a coop in other people's names."""
    signed = parts.charters[0]
    for signatures in (signed.signatures[:1], signed.signatures * 2, ()):
        less = SignedCharter(charter=signed.charter, signatures=signatures)
        genesis = parts.genesis.model_copy(update={"charters": (less, parts.charters[1])})
        refused(parts.token(genesis), "lacks a founder's signature")


def test_signatures_out_of_order_or_given_twice_are_refused(parts: Any) -> None:
    signed = parts.charters[0]
    first, second = signed.signatures
    for signatures in ((second, first), (first, first)):
        other = SignedCharter(charter=signed.charter, signatures=signatures)
        genesis = parts.genesis.model_copy(update={"charters": (other, parts.charters[1])})
        refused(parts.token(genesis), "signed by")


def test_founders_may_be_listed_in_any_order(parts: Any) -> None:
    charter = parts.charters[0].charter
    turned = charter.model_copy(update={"founders": charter.founders[::-1]})
    for listed in (charter, turned):
        view = read_genesis(parts.token(parts.with_charter(listed)))
        assert view.charter("tool-library") == listed


def test_terms_that_the_founders_did_not_sign_are_refused(parts: Any) -> None:
    signed = parts.charters[0]
    easier = signed.charter.model_copy(update={"approval_percent": 1})
    other = SignedCharter(charter=easier, signatures=signed.signatures)
    genesis = parts.genesis.model_copy(update={"charters": (other, parts.charters[1])})
    refused(parts.token(genesis), "signed another charter")


def test_a_charter_is_signed_only_with_all_its_founders_own_keys(parts: Any) -> None:
    charter = parts.charters[0].charter
    for keys in ({}, {**parts.members, "tool-library/mira": Identity.generate()}):
        with pytest.raises(ProofError, match="no key of tool-library/"):
            sign_charter(charter, keys)
