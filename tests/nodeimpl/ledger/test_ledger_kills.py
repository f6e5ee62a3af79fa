"""A node that is killed while its ledger commits: what it acknowledged stands, once and whole."""

from __future__ import annotations

import asyncio

import pytest

from bench import ledger_kills as bench
from bench.ledger_kills import KILLS, Lost, Told, killed
from bench.node import asked_node
from bench.rows import Engine
from opkit.client.ledger import LedgerCalls

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("unmeasured_processes"),
]


@pytest.mark.timeout(1_200)
@pytest.mark.parametrize(
    ("engine", "times"),
    [("SQLite", KILLS), pytest.param("PostgreSQL", 10, marks=pytest.mark.postgres)],
)
def test_everything_acknowledged_stands_after_kills_and_nothing_in_part(
    engine: Engine, times: int
) -> None:
    with asked_node(engine) as node:
        taken, told = asyncio.run(killed(node, times=times))
    assert len(taken) == times
    assert len(told.entries) > times * 10
    assert told.under_way, "each kill came while something was under way"


@pytest.mark.timeout(300)
def test_an_entry_that_was_acknowledged_and_is_not_kept_is_found_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The check can fail: here officers believe in entries that never left them."""
    honest = bench._post

    async def boast(ledger: LedgerCalls, told: Told, name: str) -> None:
        if len(told.entries) >= 5:
            told.entries["boast"] = "0" * 64
        await honest(ledger, told, name)

    monkeypatch.setattr(bench, "_post", boast)
    with asked_node("SQLite") as node, pytest.raises(Lost, match="acknowledged"):
        asyncio.run(killed(node, times=1))


@pytest.mark.timeout(300)
def test_an_entry_that_nobody_asked_for_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    honest, secret = bench._post, list[str]()

    async def secretly(ledger: LedgerCalls, told: Told, name: str) -> None:
        await honest(ledger, told, name)
        if len(told.entries) >= 5 and not secret:
            secret.append(name)
            del told.entries[name]

    monkeypatch.setattr(bench, "_post", secretly)
    with asked_node("SQLite") as node, pytest.raises(Lost, match="nobody asked"):
        asyncio.run(killed(node, times=1))
