"""How a PostgreSQL server is connected to: what a URL says, and what it leaves open.

Source: https://www.postgresql.org/docs/15/libpq-connect.html (ADR 0022).
"""

from __future__ import annotations

import os
from typing import Any

from psycopg.conninfo import conninfo_to_dict, make_conninfo

CONNECTING = {
    "application_name": "opkit",
    "connect_timeout": "5",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "20000",
}
"""How to connect, where the URL does not say otherwise. Source: PostgreSQL 15, section 34.1.2."""

_LOCAL = frozenset({"", "localhost", "127.0.0.1", "::1"})
"""Hosts to which nothing leaves this machine, beside the folders of Unix sockets."""

STATEMENT_MS_MAX = 10_000
"""How long a statement may take. COMMIT is not bounded by it: it may wait for a standby."""

LOCK_MS_MAX = 2_000
"""How long a statement may wait for a lock: only a foreign session can hold one."""

SETTINGS = f"""
SET statement_timeout = {STATEMENT_MS_MAX};
SET lock_timeout = {LOCK_MS_MAX};
SET timezone = 'UTC';
SELECT set_config('synchronous_commit', 'on', false)
WHERE current_setting('synchronous_commit') IN ('off', 'local', 'remote_write')
"""
"""What each session is set to; a stricter `synchronous_commit` of the server's stays."""


def how_to_connect(url: str) -> str:
    """Return libpq's connection string for a URL: what it leaves open is filled in.

    A standby, or a server that takes no writes, is passed by for the next host of the URL. Over a
    network nothing travels in the clear, unless the URL or the environment says that it may.

    Raises:
        psycopg.ProgrammingError: the URL cannot be read.
    """
    said: dict[str, Any] = {**CONNECTING, **conninfo_to_dict(url)}
    hosts = f"{said.get('host', '')},{said.get('hostaddr', '')}".split(",")
    if not all(host.startswith("/") or host in _LOCAL for host in hosts):
        said.setdefault("sslmode", os.environ.get("PGSSLMODE", "require"))
    return make_conninfo(**{**said, "target_session_attrs": "read-write"})
