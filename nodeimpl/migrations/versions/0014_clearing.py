"""Clearing."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the schema forward."""
    _exchanges()
    _positions()
    _said()


def _exchanges() -> None:
    op.create_table(
        "clearing_exchanges",
        sa.Column("coop", sa.Text(), nullable=False),
        sa.Column("exchange", sa.Text(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("proposer", sa.Text(), nullable=False),
        sa.Column("exchange_id", sa.Text(), nullable=False),
        sa.Column("doubt", sa.BigInteger(), nullable=False),
        sa.Column("aside", sa.BigInteger(), nullable=False),
        sa.Column("side", sa.Text(), nullable=False),
        sa.Column("evidence", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("entry", sa.Text(), nullable=True),
        sa.Column("correction", sa.Text(), nullable=True),
        sa.Column("ended_ms", sa.BigInteger(), nullable=True),
        sa.Column("by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("coop", "exchange", name=op.f("pk_clearing_exchanges")),
    )
    with op.batch_alter_table("clearing_exchanges", schema=None) as batch_op:
        batch_op.create_index("ix_clearing_exchanges_aside", ["coop", "aside"], unique=False)
        batch_op.create_index(
            "ix_clearing_exchanges_coop_proposer_id",
            ["coop", "proposer", "exchange_id"],
            unique=True,
        )
        batch_op.create_index(
            "ix_clearing_exchanges_coop_sequence", ["coop", "sequence"], unique=True
        )
        batch_op.create_index(
            "ix_clearing_exchanges_doubt", ["doubt", "coop", "sequence"], unique=False
        )
        batch_op.create_index("ix_clearing_exchanges_exchange_id", ["exchange_id"], unique=False)

    op.create_table(
        "clearing_legs",
        sa.Column("coop", sa.Text(), nullable=False),
        sa.Column("exchange", sa.Text(), nullable=False),
        sa.Column("other", sa.Text(), nullable=False),
        sa.Column("agreement", sa.Text(), nullable=False),
        sa.Column("unit", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("doubt", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(
            "coop", "exchange", "other", "agreement", name=op.f("pk_clearing_legs")
        ),
    )
    with op.batch_alter_table("clearing_legs", schema=None) as batch_op:
        batch_op.create_index("ix_clearing_legs_agreement", ["agreement", "sequence"], unique=False)
        batch_op.create_index("ix_clearing_legs_with", ["coop", "other", "doubt"], unique=False)


def _said() -> None:
    op.create_table(
        "clearing_outbox",
        sa.Column("coop", sa.Text(), nullable=False),
        sa.Column("exchange", sa.Text(), nullable=False),
        sa.Column("task", sa.Text(), nullable=False),
        sa.Column("party", sa.Text(), nullable=False),
        sa.Column("node", sa.Text(), nullable=False),
        sa.Column("tries", sa.BigInteger(), nullable=False),
        sa.Column("due_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(
            "coop", "exchange", "task", "party", name=op.f("pk_clearing_outbox")
        ),
    )
    with op.batch_alter_table("clearing_outbox", schema=None) as batch_op:
        batch_op.create_index("ix_clearing_outbox_due_ms", ["due_ms"], unique=False)
        batch_op.create_index("ix_clearing_outbox_node_due_ms", ["node", "due_ms"], unique=False)
    op.create_table(
        "clearing_rulings",
        sa.Column("exchange", sa.Text(), nullable=False),
        sa.Column("ending", sa.Text(), nullable=False),
        sa.Column("evidence", sa.Text(), nullable=False),
        sa.Column("ruled_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("exchange", name=op.f("pk_clearing_rulings")),
    )


def _positions() -> None:
    op.create_table(
        "clearing_positions",
        sa.Column("coop", sa.Text(), nullable=False),
        sa.Column("other", sa.Text(), nullable=False),
        sa.Column("agreement", sa.Text(), nullable=False),
        sa.Column("unit", sa.Text(), nullable=False),
        sa.Column("balance", sa.BigInteger(), nullable=False),
        sa.Column("doubt_in", sa.BigInteger(), nullable=False),
        sa.Column("doubt_out", sa.BigInteger(), nullable=False),
        sa.Column("exchanges", sa.BigInteger(), nullable=False),
        sa.Column("settled", sa.Text(), nullable=True),
        sa.Column("changed_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(
            "coop", "other", "agreement", "unit", name=op.f("pk_clearing_positions")
        ),
    )
    with op.batch_alter_table("clearing_positions", schema=None) as batch_op:
        batch_op.create_index("ix_clearing_positions_agreement", ["agreement"], unique=False)
    op.create_table(
        "clearing_settlements",
        sa.Column("coop", sa.Text(), nullable=False),
        sa.Column("other", sa.Text(), nullable=False),
        sa.Column("agreement", sa.Text(), nullable=False),
        sa.Column("period", sa.Text(), nullable=False),
        sa.Column("exchange", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint(
            "coop", "other", "agreement", "period", name=op.f("pk_clearing_settlements")
        ),
    )
