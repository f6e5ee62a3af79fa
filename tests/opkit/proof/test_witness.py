"""Witnesses are counted by whoever holds their words, and nobody counts who is none."""

from __future__ import annotations

from typing import Any

import pytest

from opkit.proof import jws
from opkit.proof.checks import Check, ProofError
from opkit.proof.keys import Identity
from opkit.proof.record import make_record
from opkit.proof.witness import check_shown, read_witness, witnesses_of
from opkit.wire.base import Jws
from opkit.wire.journal import JOURNAL_HEAD_TYP, JournalHead
from opkit.wire.records import RECORD_CHARACTERS_MAX
from opkit.wire.witness import ForkValue, WitnessedNode

NODE, OTHER = "tool-library", "building-yard"


def head(
    network: Any, size: int, /, *, root: str = "1" * 64, signer: Any = None, **changes: Any
) -> Jws:
    node = network.nodes[NODE]
    fields: dict[str, Any] = {
        "network": network.name,
        "aud": "journal",
        "node": node.did,
        "generation": 1,
        "size": size,
        "root": root,
        "hash": "2" * 64,
        "issued_at_ms": 5,
    }
    said = JournalHead(**{**fields, **changes})
    return jws.sign(said, typ=JOURNAL_HEAD_TYP, identity=signer or node)


def record(network: Any, owner: Identity, **changes: Any) -> Jws:
    fields: dict[str, Any] = {
        "network": changes.pop("where", network.name),
        "namespace": "head",
        "name": network.nodes[NODE].did,
        "value": {"head": head(network, 3)},
        "at_ms": 9,
        "term_ms": 1_000,
    }
    return make_record(owner, **{**fields, **changes})


def shown(network: Any, **changes: Any) -> WitnessedNode:
    fields: dict[str, Any] = {
        "node": network.nodes[NODE].did,
        "head": head(network, 3),
        "generation": 1,
        "size": 3,
        "asked_at_ms": None,
        "witnesses": 1,
        "records": (record(network, network.nodes[OTHER]),),
        "forks": 0,
    }
    return WitnessedNode(**{**fields, **changes})


def test_a_node_of_the_network_that_countersigned_a_head_is_a_witness(network: Any) -> None:
    node, other = network.nodes[NODE].did, network.nodes[OTHER]
    owner, seen = read_witness(record(network, other), node=node, genesis=network.view)
    assert (owner, seen.size) == (other.did, 3)


def test_whoever_else_signs_is_none(network: Any) -> None:
    node, other = network.nodes[NODE], network.nodes[OTHER]
    elsewhere = head(network, 3, network="b" * 26)
    bad = [
        (record(network, Identity.generate()), "no other node"),
        (record(network, node), "no other node"),
        (record(network, other, name=other.did), "no countersigned head"),
        (record(network, other, namespace="note"), "no countersigned head"),
        (record(network, other, value=None), "no countersigned head"),
        (record(network, other, value={"size": 3}), "holds no head"),
        (record(network, other, value={"head": head(network, 3, signer=other)}), "signed by"),
        (record(network, other, value={"head": elsewhere}), "another network"),
        (record(network, other, where="b" * 26), "another network"),
    ]
    for token, why in bad:
        with pytest.raises(ProofError, match=why):
            read_witness(token, node=node.did, genesis=network.view)
    assert witnesses_of(node.did, [token for token, _ in bad], genesis=network.view) == {}


def test_each_witness_counts_once_with_the_longest_head_that_it_saw(network: Any) -> None:
    node, other = network.nodes[NODE].did, network.nodes[OTHER]
    heads = [
        head(network, 3),
        head(network, 7),
        head(network, 7, root="3" * 64),
        head(network, 5),
    ]
    words = [record(network, other, value={"head": each}) for each in heads]
    none = ["a" * (RECORD_CHARACTERS_MAX + 1), record(network, Identity.generate())]
    found = witnesses_of(node, [*none, *words], genesis=network.view)
    assert {did: (seen.size, seen.root) for did, seen in found.items()} == {
        other.did: (7, "1" * 64)
    }
    later = record(network, other, value={"head": head(network, 1, generation=2)})
    third = record(network, network.nodes["loner"])
    found = witnesses_of(node, [later, *words, third], genesis=network.view)
    assert {did: (seen.generation, seen.size) for did, seen in found.items()} == {
        other.did: (2, 1),
        network.nodes["loner"].did: (1, 3),
    }


def test_an_answer_that_claims_more_than_it_shows_fails(network: Any) -> None:
    other = network.nodes[OTHER]
    for changes, claimed, holding, told in (
        ({}, 1, 1, 1),
        ({"witnesses": 0}, 0, 1, 1),
        ({"witnesses": 2}, 2, 1, 1),
        ({"records": ()}, 1, 0, 0),
        ({"records": (record(network, Identity.generate()), record(network, other))}, 1, 1, 2),
    ):
        found, checks = check_shown(shown(network, **changes), genesis=network.view)
        assert set(found) == ({other.did} if holding else set())
        assert checks == [
            Check(
                name="head-shown",
                ok=True,
                expected="3 entries in generation 1",
                actual="3 entries in generation 1",
            ),
            Check(
                name="witnesses-countersigned",
                ok=holding >= claimed,
                expected=f"{claimed} nodes of the network that countersigned a head",
                actual=f"{holding} of {told} records hold",
            ),
            Check(name="forks-shown", ok=True, expected="0 proofs of forks", actual="0 are shown"),
        ]


def test_a_journal_is_as_long_as_a_head_shows_that_its_node_signed(network: Any) -> None:
    def told(**changes: Any) -> Check:
        _, checks = check_shown(shown(network, **changes), genesis=network.view)
        return checks[0]

    long = head(network, 1_234, generation=2)
    other = network.nodes[OTHER]
    assert told(head=long, generation=2, size=1_234).ok
    assert told(head=None, generation=0, size=0).ok
    for changes, expected, actual in (
        ({"head": long}, "1,234 entries in generation 2", "3 entries in generation 1"),
        ({"head": long, "size": 1_234}, "1,234 entries in generation 2", "1,234 entries in gen"),
        ({"head": None}, "0 entries in generation 0", "3 entries in generation 1"),
        ({"head": head(network, 3, signer=other)}, "verifies", "it is signed by"),
        ({"head": head(network, 3, node=other.did, signer=other)}, "verifies", "another node"),
        ({"head": head(network, 3, network="b" * 26)}, "verifies", "another network"),
    ):
        bad = told(**changes)
        assert (bad.name, bad.ok, bad.expected) == ("head-shown", False, expected)
        assert actual in bad.actual


def test_who_tells_of_forks_shows_them(network: Any) -> None:
    """Nobody is called a liar on the word of whoever answers."""
    fork = ForkValue(first=head(network, 3), second=head(network, 3, root="3" * 64))
    for proofs, forks, ok in (((), 1, False), ((fork,), 2, False), ((fork,), 1, True)):
        said = shown(network, fork_proofs=proofs, forks=forks)
        _, checks = check_shown(said, genesis=network.view)
        assert [check for check in checks if check.name == "forks-shown"] == [
            Check(
                name="forks-shown",
                ok=ok,
                expected=f"{forks} proofs of forks",
                actual=f"{len(proofs)} are shown",
            )
        ]


def test_a_fork_is_told_and_what_proves_none_is_told_as_such(network: Any) -> None:
    fork = ForkValue(first=head(network, 3), second=head(network, 3, root="3" * 64))
    _, checks = check_shown(shown(network, fork_proofs=(fork,), forks=1), genesis=network.view)
    assert [check for check in checks if not check.ok] == [
        Check(
            name="one-history",
            ok=False,
            expected="a journal with one history",
            actual="two histories in generation 1: one with 3 entries, "
            "and one with 3 that begins otherwise",
        )
    ]
    elsewhere = [head(network, 3, root=root * 64, network="b" * 26) for root in "13"]
    for none, why in (
        (fork.model_copy(update={"second": fork.first}), "both heads say the same"),
        (ForkValue(first=elsewhere[0], second=elsewhere[1]), "it belongs to another network"),
    ):
        _, checks = check_shown(shown(network, fork_proofs=(none,), forks=1), genesis=network.view)
        assert [check for check in checks if not check.ok] == [
            Check(name="fork-proof", ok=False, expected="a proof that holds", actual=why)
        ]
