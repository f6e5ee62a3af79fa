"""Who has seen a node's journal: countersigned heads, counted by whoever holds them, offline.

A witness is a node of the genesis that signed a record over a head which the other node had signed.
Keys cost nothing, so others do not count, and nobody is their own witness. Source: ADR 0032.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from opkit.proof.checks import Check, ProofError, attempt, equal
from opkit.proof.forks import Fork, read_fork, read_seen
from opkit.proof.genesis import GenesisView
from opkit.proof.record import read_record
from opkit.wire.base import Did, Jws
from opkit.wire.journal import JournalHead
from opkit.wire.witness import ForkValue, HeadValue, WitnessedNode


def read_witness(token: Jws, *, node: Did, genesis: GenesisView) -> tuple[Did, JournalHead]:
    """Return who countersigned which head of a node.

    Raises:
        ProofError: the record or the head in it does not verify, is about another node, or its
            owner is no witness.
    """
    body = read_record(token, network=genesis.network)
    if body.aud != "head" or body.name != node or body.value is None:
        raise ProofError("it is no countersigned head of this node")
    if body.owner == node or genesis.node(body.owner) is None:
        raise ProofError(f"{body.owner} is no other node of the network")
    try:
        head = HeadValue.model_validate(body.value).head
    except ValueError as bad:
        raise ProofError("it holds no head") from bad
    return body.owner, read_seen(head, node=node, network=genesis.network).head


def witnesses_of(
    node: Did, records: Iterable[Jws], *, genesis: GenesisView
) -> dict[Did, JournalHead]:
    """Return the longest head of a node that each witness has countersigned.

    What is none, or does not verify, does not count; it is no fault of the node's.
    """
    found: dict[Did, JournalHead] = {}
    for token in records:
        try:
            owner, head = read_witness(token, node=node, genesis=genesis)
        except ProofError:
            continue
        before = found.get(owner)
        if before is None or (head.generation, head.size) > (before.generation, before.size):
            found[owner] = head
    return found


def check_shown(
    shown: WitnessedNode, *, genesis: GenesisView
) -> tuple[dict[Did, JournalHead], list[Check]]:
    """Return the witnesses that a node's answer proves, and the checks that it claims no more.

    Neither the node's growth nor its forks are taken on the word of whoever answers.

    Args:
        shown: the answer about one node, with its records and proofs.
    """
    found = witnesses_of(shown.node, shown.records, genesis=genesis)
    checks = [
        _check_head(shown, genesis),
        Check(
            name="witnesses-countersigned",
            ok=len(found) >= shown.witnesses,
            expected=f"{shown.witnesses} nodes of the network that countersigned a head",
            actual=f"{len(found)} of {len(shown.records)} records hold",
        ),
        Check(
            name="forks-shown",
            ok=len(shown.fork_proofs) >= shown.forks,
            expected=f"{shown.forks} proofs of forks",
            actual=f"{len(shown.fork_proofs)} are shown",
        ),
    ]
    checks.extend(_check_fork(shown.node, value, genesis) for value in shown.fork_proofs)
    return found, checks


def _check_head(shown: WitnessedNode, genesis: GenesisView) -> Check:
    """Return the check that a journal has as many entries as a head that its node signed."""
    told = _entries(shown.generation, shown.size)
    if shown.head is None:
        return equal("head-shown", expected=_entries(0, 0), actual=told)
    seen, signed = attempt(
        "head-shown",
        partial(read_seen, shown.head, node=shown.node, network=genesis.network),
    )
    if seen is None:
        return signed
    said = _entries(seen.head.generation, seen.head.size)
    return equal("head-shown", expected=said, actual=told)


def _entries(generation: int, size: int) -> str:
    return f"{size:,} entries in generation {generation}"


def _check_fork(node: Did, value: ForkValue, genesis: GenesisView) -> Check:
    """Return the check that a node has one history, which the proof of a fork fails."""
    expected = "a journal with one history"
    try:
        fork = read_fork(value, node=node, network=genesis.network)
    except ProofError as bad:
        return Check(name="fork-proof", ok=False, expected="a proof that holds", actual=bad.why)
    return Check(name="one-history", ok=False, expected=expected, actual=_said(fork))


def _said(fork: Fork) -> str:
    first, second = fork.first, fork.second
    return (
        f"two histories in generation {first.generation}: one with {first.size:,} entries, "
        f"and one with {second.size:,} that begins otherwise"
    )
