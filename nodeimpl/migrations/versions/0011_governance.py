"""Governance."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the schema forward."""
    _assemblies()
    _votes()
    _lodged()


def _assemblies() -> None:
    op.create_table(
        "governance_assemblies",
        sa.Column("coop", sa.Text(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("next_nonce", sa.BigInteger(), nullable=False),
        sa.Column("decisions", sa.BigInteger(), nullable=False),
        sa.Column("last_decision", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("coop", name=op.f("pk_governance_assemblies")),
    )
    op.create_table(
        "governance_electorates",
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("electors", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("hash", name=op.f("pk_governance_electorates")),
    )
    op.create_table(
        "governance_proposals",
        sa.Column("coop", sa.Text(), nullable=False),
        sa.Column("proposal_id", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("signed", sa.Text(), nullable=False),
        sa.Column("member_id", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("treasury_nonce", sa.BigInteger(), nullable=True),
        sa.Column("electorate_hash", sa.Text(), nullable=False),
        sa.Column("electors", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("drafted_ms", sa.BigInteger(), nullable=False),
        sa.Column("opened_ms", sa.BigInteger(), nullable=True),
        sa.Column("closes_ms", sa.BigInteger(), nullable=True),
        sa.Column("closed_ms", sa.BigInteger(), nullable=True),
        sa.Column("challenge_ends_ms", sa.BigInteger(), nullable=True),
        sa.Column("executable_until_ms", sa.BigInteger(), nullable=True),
        sa.Column("executed_ms", sa.BigInteger(), nullable=True),
        sa.Column("ended_ms", sa.BigInteger(), nullable=True),
        sa.Column("yes", sa.BigInteger(), nullable=False),
        sa.Column("no", sa.BigInteger(), nullable=False),
        sa.Column("abstain", sa.BigInteger(), nullable=False),
        sa.Column("tally", sa.Text(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("decision", sa.Text(), nullable=True),
        sa.Column("entry", sa.Text(), nullable=True),
        sa.Column("voided_by", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("coop", "proposal_id", name=op.f("pk_governance_proposals")),
    )
    op.create_index(
        "ix_governance_proposals_coop_number",
        "governance_proposals",
        ["coop", "number"],
        unique=True,
    )
    op.create_index(
        "ix_governance_proposals_coop_state_number",
        "governance_proposals",
        ["coop", "state", "number"],
    )
    op.create_index(
        "ix_governance_proposals_coop_treasury_nonce",
        "governance_proposals",
        ["coop", "treasury_nonce"],
    )
    op.create_index("ix_governance_proposals_hash", "governance_proposals", ["hash"], unique=True)


def _votes() -> None:
    op.create_table(
        "governance_ballots",
        sa.Column("proposal", sa.Text(), nullable=False),
        sa.Column("member_id", sa.Text(), nullable=False),
        sa.Column("choice", sa.Text(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("did", sa.Text(), nullable=False),
        sa.Column("ballot", sa.Text(), nullable=False),
        sa.Column("salt", sa.Text(), nullable=False),
        sa.Column("receipt", sa.Text(), nullable=False),
        sa.Column("cast_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("proposal", "member_id", name=op.f("pk_governance_ballots")),
    )
    op.create_table(
        "governance_delegations",
        sa.Column("coop", sa.Text(), nullable=False),
        sa.Column("member_id", sa.Text(), nullable=False),
        sa.Column("delegate", sa.Text(), nullable=True),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("did", sa.Text(), nullable=False),
        sa.Column("delegation", sa.Text(), nullable=False),
        sa.Column("set_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("coop", "member_id", name=op.f("pk_governance_delegations")),
    )
    op.create_table(
        "governance_decisions",
        sa.Column("coop", sa.Text(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("proposal", sa.Text(), nullable=False),
        sa.Column("signed", sa.Text(), nullable=False),
        sa.Column("attested", sa.Text(), nullable=False),
        sa.Column("delegations", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("coop", "sequence", name=op.f("pk_governance_decisions")),
    )
    op.create_index(
        "ix_governance_decisions_proposal", "governance_decisions", ["proposal"], unique=True
    )


def _lodged() -> None:
    op.create_table(
        "governance_lodged",
        sa.Column("ballot_id", sa.Text(), nullable=False),
        sa.Column("coop", sa.Text(), nullable=False),
        sa.Column("home", sa.Text(), nullable=False),
        sa.Column("proposal", sa.Text(), nullable=False),
        sa.Column("member_id", sa.Text(), nullable=False),
        sa.Column("ballot", sa.Text(), nullable=False),
        sa.Column("receipt", sa.Text(), nullable=False),
        sa.Column("lodged_ms", sa.BigInteger(), nullable=False),
        sa.Column("keep_until_ms", sa.BigInteger(), nullable=False),
        sa.Column("tried_ms", sa.BigInteger(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("counted", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("ballot_id", name=op.f("pk_governance_lodged")),
    )
    op.create_index(
        "ix_governance_lodged_answer_tried_ms", "governance_lodged", ["answer", "tried_ms"]
    )
    op.create_index("ix_governance_lodged_keep_until_ms", "governance_lodged", ["keep_until_ms"])
    op.create_index("ix_governance_lodged_member_id", "governance_lodged", ["member_id"])
