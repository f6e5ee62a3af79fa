"""Alembic's entry: connects, and runs all migrations in one transaction.

A process that ends on the way leaves the database as it was. PostgreSQL has it so by itself. SQLite
could, but Python's driver begins a transaction before rows are changed and none before tables are,
so that each new table would be there at once: here transactions are begun by hand, and Alembic is
told that tables belong to them. Source: ADR 0026; SQLAlchemy's notes on pysqlite's transactions.
"""

from __future__ import annotations

from typing import Any

from alembic import context
from sqlalchemy import Connection, event

from nodeimpl.kernel.schema import metadata
from nodeimpl.migrations import engine_at

assert not context.is_offline_mode(), "migrations run on a database, not on paper"

_url = context.config.get_main_option("sqlalchemy.url")
assert _url is not None, "the configuration names the database"

_engine = engine_at(_url)
_sqlite = _engine.dialect.name == "sqlite"


def _begin_nothing(connection: Any, _record: object) -> None:
    """Keep the driver from beginning and ending transactions by its own rules."""
    connection.isolation_level = None


def _begin(connection: Connection) -> None:
    """Begin a transaction that holds all that follows, tables included."""
    connection.exec_driver_sql("BEGIN IMMEDIATE")


if _sqlite:
    event.listen(_engine, "connect", _begin_nothing)
    event.listen(_engine, "begin", _begin)

with _engine.connect() as _connection:
    context.configure(
        connection=_connection,
        target_metadata=metadata,
        compare_type=True,
        render_as_batch=_sqlite,
        transaction_per_migration=False,
        transactional_ddl=True,
    )
    with context.begin_transaction():
        context.run_migrations()
