"""Grants."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the schema forward."""
    op.create_table(
        "compute_grants",
        sa.Column("member_id", sa.Text(), nullable=False),
        sa.Column("grant_id", sa.Text(), nullable=False),
        sa.Column("token", sa.Text(), nullable=False),
        sa.Column("tasks_used", sa.BigInteger(), nullable=False),
        sa.Column("lapses_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("revoked_at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("member_id", "grant_id", name=op.f("pk_compute_grants")),
    )
    op.create_table(
        "compute_granted",
        sa.Column("task_id", sa.Text(), nullable=False),
        sa.Column("member_id", sa.Text(), nullable=False),
        sa.Column("grant_id", sa.Text(), nullable=False),
        sa.Column("context_id", sa.Text(), nullable=False),
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("accepted_at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("task_id", name=op.f("pk_compute_granted")),
    )
    op.create_index(
        "ix_compute_granted_member_message",
        "compute_granted",
        ["member_id", "message_id"],
        unique=True,
    )
    op.create_index(
        "ix_compute_granted_member_accepted",
        "compute_granted",
        ["member_id", "accepted_at_ms", "task_id"],
    )
    op.create_index("ix_compute_granted_grant", "compute_granted", ["grant_id"])
