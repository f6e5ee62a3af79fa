"""What tasks name, and what members are charged for, of the tasks and modules that there are."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

ROWS_PER_READ = 1_000


def upgrade() -> None:
    """Bring the schema forward."""
    uses = op.create_table(
        "compute_uses",
        sa.Column("cid", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("cid", name=op.f("pk_compute_uses")),
    )
    charges = op.create_table(
        "compute_charges",
        sa.Column("member_id", sa.Text(), nullable=False),
        sa.Column("cid", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("member_id", "cid", name=op.f("pk_compute_charges")),
    )
    op.create_index("ix_compute_charges_cid", "compute_charges", ["cid"], unique=False)
    accounts = op.create_table(
        "compute_accounts",
        sa.Column("member_id", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("member_id", name=op.f("pk_compute_accounts")),
    )
    known: set[str] = set()
    for cid in _named():
        if cid not in known:
            known.add(cid)
            op.get_bind().execute(uses.insert(), {"cid": cid})
    modules = sa.table(
        "compute_modules", sa.column("owner"), sa.column("wasm_hash"), sa.column("size_bytes")
    )
    by_owner = sa.select(modules.c.owner, modules.c.wasm_hash, modules.c.size_bytes)
    op.get_bind().execute(
        charges.insert().from_select(["member_id", "cid", "size_bytes"], by_owner)
    )
    total = sa.cast(sa.func.sum(modules.c.size_bytes), sa.BigInteger())
    totals = sa.select(modules.c.owner, total).group_by(modules.c.owner)
    op.get_bind().execute(accounts.insert().from_select(["member_id", "size_bytes"], totals))


def _named() -> Iterator[str]:
    """Yield what tasks and jobs name: their modules, inputs and outputs."""
    for table, key in (("compute_tasks", "task_id"), ("compute_jobs", "manifest_hash")):
        columns = [sa.column(name, sa.Text()) for name in (key, "manifest", "output_hash")]
        rows = sa.table(table, *columns)
        first = columns[0]
        after = ""
        while True:
            page = sa.select(*columns).select_from(rows).where(first > after).order_by(first)
            found = op.get_bind().execute(page.limit(ROWS_PER_READ)).all()
            for row in found:
                manifest, output_hash = str(row[1]), str(row[2])
                said = manifest.split(".")[1]
                body = json.loads(base64.urlsafe_b64decode(said + "=" * (-len(said) % 4)))
                yield from (body["wasm_hash"], body["input_hash"])
                if output_hash:
                    yield output_hash
            if len(found) < ROWS_PER_READ:
                break
            after = found[-1][0]
