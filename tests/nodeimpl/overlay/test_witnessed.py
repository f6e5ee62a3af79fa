"""The namespaces `head` and `fork`: nobody keeps what the node in the name has not signed."""

from __future__ import annotations

from typing import Any

import pytest

from nodeimpl.overlay.namespaces import GOSSIPED, RECONCILED, RULES
from nodeimpl.overlay.shelf import Shelf
from opkit.proof import jws
from opkit.proof.keys import Identity
from opkit.wire.journal import JOURNAL_HEAD_TYP, JournalHead
from opkit.wire.records import Carried, RecordNotOwners, RecordsExhausted, SignedRecordRejected

NETWORK = "a" * 26


@pytest.fixture
def shelf(land: Any) -> Shelf:
    """An empty shelf."""
    return Shelf(land.verifier)


def head(node: Identity, *, signer: Identity | None = None, **changes: Any) -> str:
    fields = {"generation": 1, "size": 7, "root": "1" * 64, "hash": "2" * 64, "issued_at_ms": 5}
    said: dict[str, Any] = {"network": NETWORK, "node": node.did, **fields, **changes}
    whole = JournalHead(aud="journal", **said)
    return jws.sign(whole, typ=JOURNAL_HEAD_TYP, identity=signer or node)


def witnessed(land: Any, owner: Identity, node: Identity, **changes: Any) -> Carried:
    value = changes.pop("value", None) or {"head": head(node, **changes)}
    return forked(land, owner, node, value, namespace="head")


def forked(
    land: Any, owner: Identity, node: Identity, value: Any, *, namespace: str = "fork"
) -> Carried:
    term_ms = RULES[namespace].term_ms_max  # type: ignore[index]  # a namespace by its name
    record: Carried = land.record(owner, namespace, node.did, value=value, term_ms=term_ms)
    return record


def test_a_countersigned_head_is_kept_gossiped_and_compared(land: Any, shelf: Shelf) -> None:
    node, *others = land.nodes
    for other in others:
        shelf.offer(witnessed(land, other, node), land.now_ms)
    assert len(shelf.get("head", node.did)) == len(others)
    for namespace in ("head", "fork"):
        assert namespace in GOSSIPED
        assert namespace in RECONCILED


def test_a_head_that_its_node_did_not_sign_is_refused(land: Any, shelf: Shelf) -> None:
    node, other, witness = land.nodes[:3]
    forged = [
        {"signer": witness},
        {"network": "b" * 26},
        {"value": {"head": head(other)}},
        {"value": {"head": "a.b.c"}},
        {"value": {"head": head(node), "more": 1}},
        {"value": {"size": 3}},
    ]
    for changes in forged:
        with pytest.raises(SignedRecordRejected):
            shelf.offer(witnessed(land, witness, node, **changes), land.now_ms)
    assert not shelf.get("head", node.did)


def test_nobody_is_their_own_witness_nor_that_of_what_is_no_key(land: Any, shelf: Shelf) -> None:
    node = land.nodes[0]
    with pytest.raises(RecordNotOwners):
        shelf.offer(witnessed(land, node, node), land.now_ms)
    gone = land.record(node, "head", "nobody", value=None, term_ms=RULES["head"].term_ms_max)
    with pytest.raises(RecordNotOwners):
        shelf.offer(gone, land.now_ms)


def test_twenty_witnesses_of_a_node_are_kept_and_strangers_give_way(
    land: Any, shelf: Shelf
) -> None:
    node = land.nodes[0]
    for number in range(30):
        try:
            shelf.offer(witnessed(land, land.stranger(number), node), land.now_ms)
        except RecordsExhausted:
            continue
    assert len(shelf.get("head", node.did)) == 20
    for other in land.nodes[1:]:
        shelf.offer(witnessed(land, other, node), land.now_ms)
    owners = [jws.peek(each.jws).kid for each in shelf.get("head", node.did)]
    assert len(owners) == 20
    assert set(owners) >= {other.did for other in land.nodes[1:]}


def test_a_proven_fork_is_kept_and_what_proves_none_is_refused(land: Any, shelf: Shelf) -> None:
    node, other, witness = land.nodes[:3]
    one, two = head(node), head(node, root="3" * 64)
    bad = [
        {"first": one, "second": one},
        {"first": one, "second": head(node, root="3" * 64, signer=witness)},
        {"first": one, "second": head(other, root="3" * 64)},
        {"first": one, "second": head(node, root="3" * 64, generation=2)},
        {"first": one, "second": head(node, size=9), "root": "4" * 64, "path": ["5" * 64]},
        {"first": one},
    ]
    for value in bad:
        with pytest.raises(SignedRecordRejected):
            shelf.offer(forked(land, witness, node, value), land.now_ms)
    assert not shelf.get("fork", node.did)
    shelf.offer(forked(land, witness, node, {"first": one, "second": two}), land.now_ms)
    assert len(shelf.get("fork", node.did)) == 1
