"""Migrations of the node's database: Alembic, loaded only where a schema differs.

`python -m nodeimpl.migrations make "what changes"` writes the next revision from the tables as they
are declared. A fresh database is not made from here (`nodeimpl.kernel.birth`); a test compares.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from alembic.config import Config
    from sqlalchemy import Engine

FOLDER = Path(__file__).parent

POSTGRESQL = "postgresql+psycopg:"
"""How SQLAlchemy begins a URL to PostgreSQL by the driver that is used here."""


def driver_url(url: str) -> str:
    """Return `url` as SQLAlchemy spells it, with the drivers that are used here."""
    scheme, separator, rest = url.partition("://")
    if scheme in {"postgresql", "postgres"}:
        return f"{POSTGRESQL.removesuffix(':')}{separator}{rest}"
    return url


def engine_at(url: str) -> Engine:
    """Return SQLAlchemy's engine for the database at `url`, which keeps no connection.

    PostgreSQL's driver reads the URL itself, as the store's does: SQLAlchemy knows neither several
    hosts nor services.
    """
    from sqlalchemy import create_engine, pool

    if not url.startswith(POSTGRESQL):
        return create_engine(url, poolclass=pool.NullPool)
    import psycopg

    from nodeimpl.kernel.connecting import how_to_connect

    def connect() -> psycopg.Connection[Any]:
        return psycopg.connect(how_to_connect(url.replace(POSTGRESQL, "postgresql:", 1)))

    return create_engine(f"{POSTGRESQL}//", creator=connect, poolclass=pool.NullPool)


def config(url: str, *, folder: Path | None = None) -> Config:
    """Return Alembic's configuration for the database at `url`, with the scripts in `folder`."""
    from alembic.config import Config

    made = Config()
    made.set_main_option("script_location", str(folder or FOLDER))
    made.set_main_option("file_template", "%%(rev)s_%%(slug)s")
    # The option's value goes through interpolation, where a percent sign is doubled.
    made.set_main_option("sqlalchemy.url", driver_url(url).replace("%", "%%"))
    return made


def upgrade(url: str, *, folder: Path | None = None) -> None:
    """Bring the database at `url` forward to the newest revision, in one transaction."""
    from alembic import command

    command.upgrade(config(url, folder=folder), "head")
