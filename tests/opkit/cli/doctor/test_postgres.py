"""What a doctor finds in a database of PostgreSQL."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from nodeimpl.kernel.clock import RealClock
from nodeimpl.kernel.store import Store

pytestmark = pytest.mark.postgres


def durable_server(url: str) -> bool:
    """Return whether the tests' own server syncs; one that need not survive may not."""
    import psycopg

    with psycopg.connect(url) as connection:
        row = connection.execute("SHOW fsync").fetchone()
    return row == ("on",)


def test_a_server_that_answers_is_empty_newer_or_gone(patient: Any, postgres_url: str) -> None:
    import psycopg

    patient.config["store"] = {"url": postgres_url}
    patient.write_config()
    durable = durable_server(postgres_url)
    said = patient.findings()["database"]["seen"]
    assert ("is empty" if durable else "fsync is off") in said

    async def make() -> None:
        async with asyncio.timeout(30):
            await (await Store.open(url=postgres_url, clock=RealClock())).close()

    asyncio.run(make())
    if durable:
        assert "journal up to 0" in patient.findings()["database"]["seen"]
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    assert "run the newer version" in patient.wrong("database")["hint"]
    patient.config["store"] = {"url": "postgresql://somebody:hidden@127.0.0.1:1/x"}
    patient.write_config()
    found = patient.wrong("database")
    assert "pg_isready" in found["hint"]
    assert "hidden" not in found["seen"]
