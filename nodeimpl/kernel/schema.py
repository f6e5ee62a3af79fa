"""The one metadata that every table belongs to, the column type for keys, the kernel's own tables.

A domain's `store.py` declares `Table("name", metadata, …)`. Three types work alike on SQLite and
PostgreSQL, and no others are used: `Int64` or `BigInteger` (also for booleans, as 0 and 1), `Text`
and `LargeBinary`.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, MetaData, Table, Text

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)
"""Names of constraints follow from their columns, so migrations can name them on any engine."""

Int64 = BigInteger().with_variant(Integer(), "sqlite")
"""A 64-bit integer that is SQLite's row id when it is the primary key."""

store_meta = Table(
    "store_meta",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", BigInteger, nullable=False),
)
"""Facts about the store itself: its `generation`, and whether it is `marked` (ADR 0021)."""

store_writer = Table(
    "store_writer",
    metadata,
    Column("id", Int64, primary_key=True, autoincrement=False),
    Column("fence", BigInteger, nullable=False),
    Column("commits", BigInteger, nullable=False),
)
"""One row: who may write (`fence` grows with every owner), and how many groups were committed."""

journal = Table(
    "journal",
    metadata,
    Column("sequence", Int64, primary_key=True, autoincrement=False),
    Column("type", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("previous", Text, nullable=False),
    Column("hash", Text, nullable=False),
)
"""The events, in order, each linked to the one before by its hash."""

journal_tree = Table(
    "journal_tree",
    metadata,
    Column("level", Int64, primary_key=True, autoincrement=False),
    Column("position", Int64, primary_key=True, autoincrement=False),
    Column("hash", LargeBinary, nullable=False),
)
"""Nodes of the journal's Merkle tree: complete subtrees, of every eighth level but the leaves'."""

journal_cut = Table(
    "journal_cut",
    metadata,
    Column("size", BigInteger, primary_key=True, autoincrement=False),
    Column("hash", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
)
"""Checkpoints: the first `size` entries are gone, or going; the event as it was journalled."""

journal_leaves = Table(
    "journal_leaves",
    metadata,
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("hashes", LargeBinary, nullable=False),
)
"""What is left of removed entries: the hashes of 256 leaves each, one after another."""

journal_generation = Table(
    "journal_generation",
    metadata,
    Column("generation", BigInteger, primary_key=True, autoincrement=False),
    Column("opened_at_ms", BigInteger, nullable=False),
    Column("body", LargeBinary, nullable=False),
)
"""Every generation but the first: the event that opened it, as it was journalled."""

journal_listener = Table(
    "journal_listener",
    metadata,
    Column("name", Text, primary_key=True),
    Column("generation", BigInteger, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("hash", Text, nullable=False),
)
"""How far each listener has read."""

idempotency = Table(
    "idempotency",
    metadata,
    Column("principal", Text, primary_key=True),
    Column("endpoint", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("slot", BigInteger, nullable=False),
    Column("ask_hash", Text, nullable=False),
    Column("answer", LargeBinary, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Index("ix_idempotency_principal_slot", "principal", "slot", unique=True),
)
"""Answers by idempotency key; `slot` numbers a principal's keys in the order they came."""

timers = Table(
    "timers",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("due_ms", BigInteger, nullable=False),
    Index("ix_timers_due_ms_kind_key", "due_ms", "kind", "key"),
)
"""What is to be done, and at which world time (`nodeimpl.kernel.timers`)."""
