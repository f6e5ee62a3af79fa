"""A devnet's databases on PostgreSQL: one a node, made with the devnet and removed with it.

The operator names a server by URL; the URL's database is the beginning of all names. A password
never stands in it, for it would show in process listings, state files and configurations: libpq
finds it in `PGPASSFILE`, `~/.pgpass` or a service file, here and in every node. Source: ADR 0022,
https://www.postgresql.org/docs/15/libpq-pgpass.html.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from devnet.state import DevnetError, DevnetState

if TYPE_CHECKING:
    from psycopg import Connection

PREFIX = "opkit"
"""How names begin if the URL names no database."""

NAME_BYTES_MAX = 63
"""Longer names are cut by the server, and two could become one. Source: PostgreSQL 15, 4.1.1."""

CONNECT_S_MAX = 10
FIRST_DATABASE = "postgres"
"""The database to connect to while none of ours is there. Source: initdb(1)."""


def check_server(url: str) -> None:
    """Refuse a URL that names no PostgreSQL server, or carries a password.

    Raises:
        DevnetError: it does.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"postgresql", "postgres"}:
        raise DevnetError(
            "a devnet's database is a PostgreSQL server's URL",
            hint="such as postgresql:///opkit or postgresql://user@host/opkit",
        )
    user, _, _ = parts.netloc.rpartition("@")
    if ":" in user or "password" in parse_qs(parts.query, keep_blank_values=True):
        raise DevnetError(
            "the URL carries a password, which would show in process listings",
            hint="leave it out; put it into ~/.pgpass, a file named by PGPASSFILE, or a service",
        )


def node_database(server: str, *, name: str, org: str) -> str:
    """Return the name of the database of one node.

    Raises:
        DevnetError: it would be too long.
    """
    prefix = urlsplit(server).path.removeprefix("/") or PREFIX
    made = f"{prefix}_{name}_{org}".replace("-", "_")
    if len(made.encode("utf-8")) > NAME_BYTES_MAX:
        raise DevnetError(
            f"the database's name {made!r} has more than {NAME_BYTES_MAX} bytes",
            hint="choose a shorter name for the devnet, or a shorter database in the URL",
        )
    return made


def node_url(server: str, *, name: str, org: str) -> str:
    """Return the URL of the database of one node; raises as `node_database`."""
    return _on(server, node_database(server, name=name, org=org))


def make_databases(state: DevnetState, *, fresh: bool) -> None:
    """Make the database of every node that has none.

    Args:
        fresh: whether the devnet is new, so that a database that holds anything is not its own.

    Raises:
        DevnetError: the server is not to be had, does not let us, or a database is in use.
    """
    server = state.spec.database
    with _connected(server, FIRST_DATABASE) as connection:
        for node in state.nodes:
            name = node_database(server, name=state.name, org=node.org)
            if not _is_there(connection, name):
                connection.execute(f'CREATE DATABASE "{name}"'.encode())
            elif fresh:
                _check_empty(server, name)


def drop_databases(state: DevnetState) -> None:
    """Remove the database of every node, whoever is connected to it.

    Raises:
        DevnetError: the server is not to be had, or does not let us.
    """
    server = state.spec.database
    with _connected(server, FIRST_DATABASE) as connection:
        for node in state.nodes:
            name = node_database(server, name=state.name, org=node.org)
            connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'.encode())


def _on(server: str, database: str) -> str:
    """Return the server's URL with another database."""
    parts = urlsplit(server)
    query = f"?{parts.query}" if parts.query else ""
    return f"{parts.scheme}://{parts.netloc}/{database}{query}"


def _is_there(connection: Connection[Any], name: str) -> bool:
    found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,))
    return found.fetchone() is not None


def _check_empty(server: str, name: str) -> None:
    with _connected(server, name) as connection:
        if connection.execute("SELECT 1 FROM pg_tables WHERE schemaname = 'public'").fetchone():
            raise DevnetError(
                f"the database {name!r} holds something, and this devnet is new",
                hint=f"dropdb {name}, or choose another name for the devnet",
            )


@contextmanager
def _connected(server: str, database: str) -> Iterator[Connection[Any]]:
    """Hold a connection, and say what went wrong on it in words that help."""
    try:
        import psycopg
    except ModuleNotFoundError as missing:
        raise DevnetError(
            "PostgreSQL's driver is not installed", hint="pip install 'opkit[postgres]'"
        ) from missing
    try:
        with psycopg.connect(
            _on(server, database), autocommit=True, connect_timeout=CONNECT_S_MAX
        ) as connection:
            yield connection
    except psycopg.errors.InsufficientPrivilege as no:
        raise DevnetError(
            f"the server does not let us: {_first_line(no)}",
            hint="ALTER ROLE … CREATEDB, or have the databases made beforehand",
        ) from no
    except psycopg.Error as bad:
        raise DevnetError(
            f"the database server is not to be had: {_first_line(bad)}",
            hint="does it run? May you connect: psql with the same URL; passwords: ~/.pgpass",
        ) from bad


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or ["no reason given"])[0][:300]
