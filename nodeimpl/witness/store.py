"""What the witness domain keeps: the last head of each node, and forks that were proven."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import BigInteger, Column, Table, Text, select

from nodeimpl.kernel.schema import metadata
from nodeimpl.kernel.store import Tx, insert_new, sql, upsert
from nodeimpl.witness.rules import Known
from opkit.proof.checks import ProofError
from opkit.proof.forks import Seen, read_seen
from opkit.wire.base import Did, NetworkId
from opkit.wire.witness import ForkValue

witness_heads = Table(
    "witness_heads",
    metadata,
    Column("node", Text, primary_key=True),
    Column("head", Text, nullable=True),
    Column("asked_at_ms", BigInteger, nullable=False),
    Column("announced_at_ms", BigInteger, nullable=False),
    Column("unproven", Text, nullable=True),
    Column("told_at_ms", BigInteger, nullable=False),
)
"""Of each node of the genesis the last head from which its journal was seen to grow."""

witness_forks = Table(
    "witness_forks",
    metadata,
    Column("node", Text, primary_key=True),
    Column("generation", BigInteger, primary_key=True, autoincrement=False),
    Column("proof", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
)
"""Proofs that a node has two histories: one for each generation that has."""

_KEEP = upsert(witness_heads)
_KNOWN = sql(select(witness_heads))
_ADD_FORK = insert_new(witness_forks)
_FORKS = sql(
    select(witness_forks.c.node, witness_forks.c.generation, witness_forks.c.proof).order_by(
        witness_forks.c.node, witness_forks.c.generation
    )
)


def known(tx: Tx, *, network: NetworkId) -> Iterator[Known]:
    """Yield what is known of each node; a head that does not verify counts as none."""
    for node, head, asked_at_ms, announced_at_ms, unproven, told_at_ms in tx.all(_KNOWN):
        yield Known(
            node=node,
            seen=_seen(head, node=node, network=network),
            asked_at_ms=asked_at_ms,
            announced_at_ms=announced_at_ms,
            unproven=unproven,
            told_at_ms=told_at_ms,
        )


def _seen(head: str | None, *, node: Did, network: NetworkId) -> Seen | None:
    if head is None:
        return None
    try:
        return read_seen(head, node=node, network=network)
    except ProofError:
        return None


def keep(tx: Tx, known: Known) -> None:
    """Keep what is known of a node."""
    tx.run(
        _KEEP,
        node=known.node,
        head=None if known.seen is None else known.seen.token,
        asked_at_ms=known.asked_at_ms,
        announced_at_ms=known.announced_at_ms,
        unproven=known.unproven,
        told_at_ms=known.told_at_ms,
    )


def forks(tx: Tx) -> dict[Did, dict[int, ForkValue]]:
    """Return the forks that are proven, of each node by generation."""
    found: dict[Did, dict[int, ForkValue]] = {}
    for node, generation, proof in tx.all(_FORKS):
        found.setdefault(node, {})[generation] = ForkValue.model_validate_json(proof)
    return found


def add_fork(tx: Tx, value: ForkValue, *, node: Did, generation: int) -> bool:
    """Keep the proof of a fork, and return whether it is the first of its generation."""
    proof = value.model_dump_json()
    row = {"node": node, "generation": generation, "proof": proof, "at_ms": tx.now_ms}
    return tx.run(_ADD_FORK, **row) == 1
