"""The journal's Merkle tree: a table for some of its nodes, filled from the entries there are."""

from __future__ import annotations

from collections.abc import Iterator

import sqlalchemy as sa
from alembic import op

from opkit.proof.journal import stored_bytes
from opkit.proof.merkle import Frontier, leaf_hash

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

LEVELS_PER_ROW = 8
ENTRIES_PER_READ = 1_000


def upgrade() -> None:
    """Bring the schema forward, and build the tree over the journal as it stands."""
    made = op.create_table(
        "journal_tree",
        sa.Column(
            "level",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column(
            "position",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("level", "position", name=op.f("pk_journal_tree")),
    )
    frontier = Frontier()
    for stored in _stored():
        frontier, completed = frontier.append(leaf_hash(stored))
        for level in range(LEVELS_PER_ROW, len(completed), LEVELS_PER_ROW):
            position = (frontier.size >> level) - 1
            row = {"level": level, "position": position, "hash": completed[level]}
            op.get_bind().execute(made.insert(), row)


def _stored() -> Iterator[bytes]:
    """Yield the stored bytes of every entry, in order, a bounded number at a time."""
    journal = sa.table(
        "journal",
        sa.column("sequence", sa.BigInteger()),
        sa.column("type", sa.Text()),
        sa.column("at_ms", sa.BigInteger()),
        sa.column("body", sa.LargeBinary()),
    )
    after = 0
    while True:
        page = sa.select(journal).where(journal.c.sequence > after).order_by(journal.c.sequence)
        rows = op.get_bind().execute(page.limit(ENTRIES_PER_READ)).all()
        for sequence, name, at_ms, body in rows:
            yield stored_bytes(sequence=sequence, type_name=name, at_ms=at_ms, body=body)
        if len(rows) < ENTRIES_PER_READ:
            return
        after = rows[-1][0]
