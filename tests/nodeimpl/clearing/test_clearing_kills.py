"""Nodes that are killed while coops sign, exchange, settle and net: what stands, stands once."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from bench.at_work import at_work
from devnet.attach import AttachedWorld, open_world
from devnet.launch import Launched, launch
from opkit.proof.agreement import examine_agreement, read_agreement_file
from opkit.proof.checks import VERIFIED
from opkit.wire.agreements import AgreementSigned
from tests.nodeimpl.clearing.killed import (
    BRIGHT,
    HARBOR,
    LAKES,
    PAIRS,
    RIVER,
    Killing,
    Lost,
    decided,
    officer,
    sign,
    terms_of,
    until_active,
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("unmeasured_processes"),
    pytest.mark.timeout(600),
]

ENGINES = pytest.mark.parametrize(
    "engine", ["SQLite", pytest.param("PostgreSQL", marks=pytest.mark.postgres)]
)
STORY_S_MAX = 560
AGREEMENTS = 4
Story = Callable[[AttachedWorld], Awaitable[None]]


@pytest.fixture
def launched(engine: str, request: pytest.FixtureRequest, short_home: Path) -> Iterator[Launched]:
    """The five organisations, each with a process; all is removed afterwards."""
    database = ""
    if engine == "PostgreSQL":
        database = request.getfixturevalue("postgres_cluster").url("kills")
    made = launch(name="k", profile="federation", seed=7, temporary=True, database=database)
    try:
        made.wait_ready()
        yield made
    finally:
        made.down()


@pytest.fixture
def short_home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A state folder whose path leaves room for that of a Unix socket."""
    import shutil
    import tempfile

    made = Path(tempfile.mkdtemp(prefix="ok-"))
    monkeypatch.setenv("OPKIT_HOME", str(made))
    yield made
    shutil.rmtree(made)


def tell(story: Story) -> None:
    """Tell a story of the network."""

    async def main() -> None:
        async with asyncio.timeout(STORY_S_MAX):
            world = await open_world("k", run_id="kills", seed=7)
            try:
                await story(world)
            finally:
                await world.close()

    asyncio.run(main())


@ENGINES
@pytest.mark.usefixtures("launched")
def test_what_was_exchanged_settled_or_netted_before_a_kill_stands_on_all_sides_once() -> None:
    async def story(world: AttachedWorld) -> None:
        killing = Killing(world)
        await killing.agree()
        for victims in ([RIVER], [BRIGHT], [RIVER, LAKES], [BRIGHT, LAKES, RIVER]):
            await killing.exchange(victims)
        await killing.check()
        for number, victim in enumerate(PAIRS[1]):
            await killing.settle(PAIRS[1], f"2026-01/r{number}", [victim])
        await killing.net(RIVER, [BRIGHT])
        await killing.net(BRIGHT, [BRIGHT])
        # One is gone when it begins, who proposes dies over it, and it happens nevertheless.
        await killing.net(RIVER, [RIVER], before=[LAKES])
        await killing.check()
        assert len(killing.settled) == 2
        done = Counter(each.kind for each in killing.told.values() if each.state == "committed")
        assert done["exchange"] > 10, done

    tell(story)


@ENGINES
@pytest.mark.usefixtures("launched")
def test_what_was_signed_before_a_kill_is_in_force_with_all_and_signed_once() -> None:
    async def story(world: AttachedWorld) -> None:
        chance = random.Random(7)
        parties = (BRIGHT, RIVER)
        terms = [await terms_of(world, parties, f"Agreement {n}") for n in range(AGREEMENTS)]
        proposals = await decided(world, terms)
        told: dict[tuple[str, str], str] = {}

        async def go_on(coop: str) -> None:
            for each in proposals:
                told[coop, each[coop]] = await sign(world, coop, each[coop])

        for victims in ([RIVER], [BRIGHT, HARBOR]):
            async with at_work(map(go_on, parties), acknowledged=lambda: len(told)) as until:
                await until(chance.randint(1, AGREEMENTS // 2))
                await asyncio.gather(*map(world.kill, victims))
            await asyncio.gather(*map(world.restart, victims))
        names = {
            coop: [await sign(world, coop, each[coop]) for each in proposals] for coop in parties
        }
        assert names[BRIGHT] == names[RIVER]
        for (coop, proposal), name in told.items():
            at = [each[coop] for each in proposals].index(proposal)
            assert names[coop][at] == name, "what was acknowledged is what stands"
        for name in names[RIVER]:
            for org in (*parties, HARBOR):
                await until_active(world, org, name)
            files = {await officer(world, org).agreements.fetch(name) for org in (*parties, HARBOR)}
            assert len(files) == 1
            file = read_agreement_file(files.pop())
            verdict, facts = examine_agreement(file, genesis=world.genesis)
            assert verdict.status == VERIFIED, verdict.failures
            assert facts is not None and len(facts.signatures) == len(parties)
        for org in (*parties, HARBOR):
            said: Counter[tuple[str, str]] = Counter()
            async for page in world.operator(org).journal():
                for event in page.entries:
                    if event.type == AgreementSigned.type:
                        said[event.body["agreement"], event.body["coop"]] += 1
            assert said == Counter((name, coop) for name in names[RIVER] for coop in parties)

    tell(story)


SABOTAGES = {
    "DELETE FROM clearing_exchanges WHERE sequence = 1": "has it no more|at .* alone",
    "UPDATE clearing_positions SET balance = balance + 1": "the position of",
    "UPDATE clearing_exchanges SET side = replace(side, 'committed', 'aborted')": (
        "is aborted|is committed at"
    ),
}


@pytest.mark.parametrize("engine", ["SQLite"])
def test_what_is_gone_after_a_kill_is_found_out(launched: Launched) -> None:
    """The checks can fail: here a database loses what was committed, one thing at a time."""

    async def story(world: AttachedWorld) -> None:
        killing = Killing(world)
        await killing.agree()
        await killing.offer(RIVER, PAIRS[-1], payer=RIVER)
        await killing.exchange([RIVER])
        await killing.check()
        (file,) = (each for each in launched.folder.rglob("node.db") if RIVER in str(each))
        for sabotage, why in SABOTAGES.items():
            await world.kill(RIVER)
            table = next(word for word in sabotage.split() if word.startswith("clearing_"))
            with sqlite3.connect(file) as database:
                kept = database.execute(f"SELECT * FROM {table}").fetchall()
                assert database.execute(sabotage).rowcount > 0
            database.close()
            await world.restart(RIVER)
            with pytest.raises(Lost, match=why):
                await killing.check()
            await world.kill(RIVER)
            with sqlite3.connect(file) as database:
                database.execute(f"DELETE FROM {table}")
                marks = ", ".join("?" * len(kept[0]))
                database.executemany(f"INSERT INTO {table} VALUES ({marks})", kept)
            database.close()
            await world.restart(RIVER)
        await killing.check()

    tell(story)
