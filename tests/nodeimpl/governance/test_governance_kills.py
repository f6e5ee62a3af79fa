"""A home that is killed while its coop votes and pays: what it acknowledged stands, and once."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from bench.node import asked_node
from bench.rows import Engine
from tests.nodeimpl.governance.killed import Killing, Lost

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("unmeasured_processes"),
    pytest.mark.timeout(300),
]


@pytest.mark.parametrize(
    ("engine", "times"),
    [("SQLite", 6), pytest.param("PostgreSQL", 3, marks=pytest.mark.postgres)],
)
def test_what_was_voted_decided_and_executed_before_a_kill_stands_after_it_and_once(
    engine: Engine, times: int, tmp_path: Path
) -> None:
    with asked_node(engine) as node:
        killing = Killing(node, folder=tmp_path)
        asyncio.run(killing.run(times))
    told = killing.told
    assert len(killing.taken_s) == times
    assert len(told.votes) > times * 3
    assert told.closed and any(told.executed.values())


SABOTAGES = {
    "DELETE FROM governance_ballots": "the decision on",
    "UPDATE governance_proposals SET state = 'open', decision = NULL": "is not there as it was",
    "UPDATE governance_proposals SET state = 'accepted' WHERE state = 'executed'": (
        "was executed, and is accepted"
    ),
}


def test_what_is_gone_after_a_kill_is_found_out(tmp_path: Path) -> None:
    """The checks can fail: here the database loses what was committed, one thing at a time."""

    async def story(killing: Killing) -> None:
        await killing.run(2)
        killing.node.end()
        file = killing.node.folder / "data" / "node.db"
        for sabotage, why in SABOTAGES.items():
            table = next(word for word in sabotage.split() if word.startswith("governance_"))
            with sqlite3.connect(file) as database:
                kept = database.execute(f"SELECT * FROM {table}").fetchall()
                assert database.execute(sabotage).rowcount > 0
            database.close()
            await killing.node.start()
            with pytest.raises(Lost, match=why):
                await killing.check()
            killing.node.end()
            with sqlite3.connect(file) as database:
                database.execute(f"DELETE FROM {table}")
                marks = ", ".join("?" * len(kept[0]))
                database.executemany(f"INSERT INTO {table} VALUES ({marks})", kept)
            database.close()
        await killing.node.start()
        await killing.check()

    with asked_node("SQLite") as node:
        asyncio.run(story(Killing(node, folder=tmp_path)))
