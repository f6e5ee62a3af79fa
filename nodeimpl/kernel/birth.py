"""How a database comes to have the schema of this version, without Alembic where nothing differs.

A fresh database is made by statements compiled from the metadata and stamped with the newest
revision, which the names of the migration files say. Alembic, which takes most of a second to
import, is loaded only when an older revision is found.
"""

from __future__ import annotations

import functools
from pathlib import Path

from sqlalchemy.schema import CreateIndex, CreateTable

from nodeimpl.kernel.engine import Engine, Session
from nodeimpl.kernel.errors import SchemaBroken, SchemaNewer
from nodeimpl.kernel.schema import metadata, store_meta, store_writer
from nodeimpl.kernel.statements import DIALECTS, sql

VERSIONS = Path(__file__).parent.parent / "migrations" / "versions"
"""Migration files are named `NNNN_what.py`, and `NNNN` is the revision."""

_VERSION_TABLE = (
    "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL, "
    "CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"
)
"""As Alembic makes it; a test compares."""

_STAMP_SQLITE = "INSERT INTO alembic_version VALUES (:revision)"
_STAMP_POSTGRESQL = "INSERT INTO alembic_version VALUES (%(revision)s)"
_NEW_META = sql(store_meta.insert())
_NEW_WRITER = sql(store_writer.insert())


@functools.cache
def revisions() -> tuple[str, ...]:
    """Return all revisions that this version knows, oldest first."""
    found = sorted(path.name.split("_", 1)[0] for path in VERSIONS.glob("[0-9]*_*.py"))
    assert found, f"no migrations in {VERSIONS}"
    return tuple(found)


def head_revision() -> str:
    """Return the newest revision that this version knows."""
    return revisions()[-1]


def prepare(engine: Engine, session: Session, *, url: str) -> None:
    """Make, check or migrate the schema, on a session that nobody uses yet.

    Raises:
        SchemaNewer: a newer version has written it.
        SchemaBroken: tables are missing, or there are tables but no revision.
    """
    tables = set(engine.table_names(session))
    expected = set(metadata.tables)
    if "alembic_version" not in tables:
        if tables & expected:
            raise SchemaBroken("there are tables, but no schema revision")
        _create(session)
        return
    found = found_revision(session)
    if found not in revisions():
        raise SchemaNewer(
            f"the database has schema {found}, this version knows up to {head_revision()}"
        )
    if found != head_revision():
        # Deferred: it takes longer to import than everything else here takes to run.
        from nodeimpl.migrations import upgrade

        upgrade(url)
        tables = set(engine.table_names(session))
    if expected - tables:
        raise SchemaBroken(f"tables are missing: {', '.join(sorted(expected - tables))}")


def found_revision(session: Session) -> str:
    """Return the revision that a database says it has.

    Raises:
        SchemaBroken: it says none.
    """
    row = session.execute("SELECT version_num FROM alembic_version", {}).fetchone()
    if row is None:
        raise SchemaBroken("the schema revision is missing")
    return str(row[0])


def _create(session: Session) -> None:
    """Make every table, and the first generation, in one transaction."""
    dialect = DIALECTS[session.name]
    session.begin()
    for table in metadata.sorted_tables:
        session.execute(str(CreateTable(table).compile(dialect=dialect)), {})
        for index in sorted(table.indexes, key=lambda index: str(index.name)):
            session.execute(str(CreateIndex(index).compile(dialect=dialect)), {})
    session.execute(_VERSION_TABLE, {})
    stamp = _STAMP_SQLITE if session.name == "sqlite" else _STAMP_POSTGRESQL
    session.execute(stamp, {"revision": head_revision()})
    first_rows(session)
    session.commit()


def first_rows(session: Session) -> None:
    """Write the rows that every database starts with, inside a transaction."""
    for statement, row in (
        (_NEW_META, {"name": "generation", "value": 1}),
        (_NEW_WRITER, {"id": 1, "fence": 0, "commits": 0}),
    ):
        text = statement.sqlite if session.name == "sqlite" else statement.postgresql
        session.execute(text, row)
