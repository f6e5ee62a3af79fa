"""Witnesses are counted by whoever holds their words, and nobody counts who is none."""

from __future__ import annotations

from typing import Any

import pytest

from opkit.proof import jws
from opkit.proof.checks import ProofError
from opkit.proof.keys import Identity
from opkit.proof.record import make_record
from opkit.proof.witness import check_shown, read_witness, witnesses_of
from opkit.wire.base import Jws
from opkit.wire.journal import JOURNAL_HEAD_TYP, JournalHead
from opkit.wire.records import RECORD_CHARACTERS_MAX
from opkit.wire.witness import ForkValue, WitnessedNode

NODE, OTHER = "tool-library", "building-yard"


def head(network: Any, size: int, *, root: str = "1" * 64, signer: Any = None) -> Jws:
    node = network.nodes[NODE]
    said = JournalHead(
        network=network.name,
        aud="journal",
        node=node.did,
        generation=1,
        size=size,
        root=root,
        hash="2" * 64,
        issued_at_ms=5,
    )
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
        "head": None,
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
    bad = [
        (record(network, Identity.generate()), "no other node"),
        (record(network, node), "no other node"),
        (record(network, other, name=other.did), "no countersigned head"),
        (record(network, other, namespace="note"), "no countersigned head"),
        (record(network, other, value=None), "no countersigned head"),
        (record(network, other, value={"size": 3}), "holds no head"),
        (record(network, other, value={"head": head(network, 3, signer=other)}), "signed by"),
        (record(network, other, where="b" * 26), "network"),
    ]
    for token, why in bad:
        with pytest.raises(ProofError, match=why):
            read_witness(token, node=node.did, genesis=network.view)
    assert witnesses_of(node.did, [token for token, _ in bad], genesis=network.view) == {}


def test_each_witness_counts_once_with_the_longest_head_that_it_saw(network: Any) -> None:
    node, other = network.nodes[NODE].did, network.nodes[OTHER]
    words = [
        record(network, other, value={"head": head(network, size)}, at_ms=at)
        for size, at in ((3, 9), (7, 10), (5, 11))
    ]
    found = witnesses_of(node, [*words, "a" * (RECORD_CHARACTERS_MAX + 1)], genesis=network.view)
    assert {did: seen.size for did, seen in found.items()} == {other.did: 7}


def test_an_answer_that_claims_more_than_it_shows_fails(network: Any) -> None:
    found, checks = check_shown(shown(network), genesis=network.view)
    assert len(found) == 1
    assert all(check.ok for check in checks)
    _, checks = check_shown(shown(network, witnesses=2), genesis=network.view)
    assert not all(check.ok for check in checks)
    _, checks = check_shown(shown(network, records=()), genesis=network.view)
    assert not all(check.ok for check in checks)


def test_a_fork_is_told_and_what_proves_none_is_told_as_such(network: Any) -> None:
    fork = ForkValue(first=head(network, 3), second=head(network, 3, root="3" * 64))
    _, checks = check_shown(shown(network, fork_proofs=(fork,), forks=1), genesis=network.view)
    (told,) = [check for check in checks if not check.ok]
    assert told.name == "one-history"
    assert "two histories in generation 1" in str(told.actual)
    none = fork.model_copy(update={"second": fork.first})
    _, checks = check_shown(shown(network, fork_proofs=(none,), forks=1), genesis=network.view)
    assert [check.name for check in checks if not check.ok] == ["fork-proof"]
