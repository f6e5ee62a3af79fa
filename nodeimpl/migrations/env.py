"""Alembic's entry: connects, and runs the migrations in one transaction."""

from __future__ import annotations

from alembic import context
from sqlalchemy import create_engine, pool

from nodeimpl.kernel.schema import metadata

assert not context.is_offline_mode(), "migrations run on a database, not on paper"

_url = context.config.get_main_option("sqlalchemy.url")
assert _url is not None, "the configuration names the database"

with create_engine(_url, poolclass=pool.NullPool).connect() as _connection:
    context.configure(
        connection=_connection,
        target_metadata=metadata,
        compare_type=True,
        render_as_batch=_connection.dialect.name == "sqlite",
        transaction_per_migration=False,
    )
    with context.begin_transaction():
        context.run_migrations()
