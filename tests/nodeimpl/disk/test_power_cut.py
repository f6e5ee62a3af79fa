"""Power is lost at any moment: what was acknowledged is there, whatever else reached the disk."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import random
import sqlite3
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import pytest
from sqlalchemy import select

from devnet.layout import last_words
from nodeimpl import node as all_tables
from nodeimpl.compute import holdings
from nodeimpl.compute import store as table
from nodeimpl.kernel.blobs import BlobStore
from nodeimpl.kernel.clock import VirtualClock
from nodeimpl.kernel.errors import SchemaBroken
from nodeimpl.kernel.store import Store, Tx, sql
from opkit.client.node import NodeClient
from opkit.proof import jws
from opkit.proof.cid import cid_of
from opkit.proof.wasm import add_custom_section
from opkit.wire.compute import PUT_BLOB, PutBlob
from opkit.wire.errors import CoopError
from opkit.wire.events import Cursor

pytestmark = [pytest.mark.disk, pytest.mark.timeout(240)]

WASM = Path(__file__).resolve().parents[3] / "wasm"
STORY_S_MAX = 200
CALLERS = 6
ROUNDS = 14
ROUNDS_MAX = 10 * ROUNDS
"""How many a node may answer before its disk is asked for what fails."""
CUTS = 25
PAGE = 100
NO_SYNC = """
from nodeimpl.kernel.sqlite import SqliteEngine
def careless(engine, session):
    session._connection.execute("PRAGMA synchronous = OFF")
SqliteEngine.settle = careless
"""
NO_BLOB_SYNC = """
from nodeimpl.kernel import shelf
import os, types
shelf.os = types.SimpleNamespace(**vars(os))
shelf.os.fsync = lambda descriptor: None
"""
T = TypeVar("T")
assert all_tables, "whoever opens a node's store knows all tables"


@dataclass
class Said:
    """What the node acknowledged, each with how far the disk's journal was when the answer came."""

    uploads: list[tuple[int, str]] = field(default_factory=list)
    modules: list[tuple[int, str]] = field(default_factory=list)
    tasks: list[tuple[int, str]] = field(default_factory=list)
    receipts: list[tuple[int, tuple[str, str]]] = field(default_factory=list)
    events: list[tuple[int, tuple[int, str]]] = field(default_factory=list)

    def places(self) -> list[int]:
        """Return where anything was acknowledged, in order."""
        every = (self.uploads, self.modules, self.tasks, self.receipts, self.events)
        return sorted(place for each in every for place, _ in each)


async def work(node: Any, client: NodeClient, number: int, said: Said, rounds: int) -> None:
    """Upload, deploy and run, round after round, noting each answer as it comes."""
    module = (WASM / "upper.wasm").read_bytes()
    chance = random.Random(number)
    for turn in range(rounds):
        content = chance.randbytes(chance.choice([100, 5_000, 80_000]))
        info = await client.call(PUT_BLOB, PutBlob(content=content))
        said.uploads.append((node.place(), info.cid))
        mine = add_custom_section(module, "mine", f"{number} {turn // 7}".encode())
        deployed = await client.wasm.deploy(mine, name="m")
        said.modules.append((node.place(), deployed.wasm_hash))
        data = chance.randbytes(chance.choice([1_000, 60_000, 90_000]))
        handle = await client.compute.submit(deployed.wasm_hash, data)
        said.tasks.append((node.place(), handle.task_id))
        await handle.result()
        said.receipts.append((node.place(), (handle.task_id, jws.record_id(handle.manifest))))


async def listen(node: Any, client: NodeClient, said: Said) -> None:
    """Note every event as it comes."""
    async for page in client.events():
        place = node.place()
        said.events += [(place, (entry.sequence, entry.hash)) for entry in page.entries]


async def busy(node: Any, said: Said, *, rounds: int = ROUNDS) -> list[BaseException | None]:
    """Let several callers work at once, and somebody listen; return how each of them ended."""
    async with contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(node.client()) for _ in range(CALLERS + 1)]
        listening = asyncio.create_task(listen(node, clients[-1], said))
        try:
            return await asyncio.gather(
                *(work(node, each, who, said, rounds) for who, each in enumerate(clients[:-1])),
                return_exceptions=True,
            )
        finally:
            listening.cancel()
            with contextlib.suppress(asyncio.CancelledError, CoopError):
                await listening


def missing(folder: Path, said: Said, place: int) -> list[str]:
    """Return what was acknowledged up to `place` and is not in `folder`."""
    blobs = BlobStore(folder / "blobs", 2**30)
    lost = [f"upload {cid}" for cid in upto(said.uploads, place) if not is_whole(blobs, cid)]
    lost += [f"module {cid}" for cid in upto(said.modules, place) if not is_whole(blobs, cid)]
    try:
        return lost + asyncio.run(asyncio.wait_for(missing_rows(folder, said, place), 60))
    except (SchemaBroken, sqlite3.DatabaseError) as broken:
        return [*lost, f"every receipt and event: {broken}"]


def upto(said: list[tuple[int, T]], place: int) -> list[T]:
    """Return what had been acknowledged at `place`."""
    return [what for at, what in said if at <= place]


def is_whole(blobs: BlobStore, cid: str) -> bool:
    return blobs.size(cid) is not None and cid_of(blobs.path(cid).read_bytes()) == cid


async def missing_rows(folder: Path, said: Said, place: int) -> list[str]:
    """Return what was acknowledged up to `place` and is not in the database."""

    def look(tx: Tx) -> list[str]:
        modules, tasks = upto(said.modules, place), upto(said.tasks, place)
        lost = [f"module {cid}" for cid in modules if table.module(tx, cid) is None]
        lost += [f"task {task_id}" for task_id in tasks if table.task(tx, task_id) is None]
        for task_id, manifest_hash in upto(said.receipts, place):
            task = table.task(tx, task_id)
            if task is None or task.receipt is None or not table.receipt_of(tx, manifest_hash):
                lost.append(f"receipt of {task_id}")
        return lost

    store = await Store.open(url=f"sqlite:///{folder}/node.db", clock=VirtualClock())
    try:
        lost = await store.read(look)
        known = await journal_of(store)
    finally:
        await store.close()
    return lost + [f"event {event}" for event in upto(said.events, place) if event not in known]


async def journal_of(store: Store) -> set[tuple[int, str]]:
    """Return the sequence and hash of every entry: as many pages as there are."""
    known: set[tuple[int, str]] = set()
    cursor: Cursor | None = None
    while page := await store.read_journal(after=cursor, entries_max=PAGE):
        known |= {(entry.sequence, entry.hash) for entry in page}
        cursor = page[-1].cursor(store.generation)
    return known


def cuts(said: Said, *, end: int) -> list[int]:
    """Return where power is lost: as answers leave, and anywhere."""
    chance = random.Random(5)
    places = said.places()
    anywhere = [chance.randrange(places[0], end) for _ in range(CUTS // 3)]
    return sorted([*chance.sample(places, CUTS - len(anywhere) - 1), places[-1], *anywhere])


def losses(disk: Any, said: Said, places: list[int], into: Path) -> list[str]:
    """Return what is lost when power is cut at each of these places, in several ways."""
    lost = []
    for number, place in enumerate(places):
        disk.run(place)
        for way in range(2):
            folder = into / f"{number}-{way}"
            disk.rebuild(folder, chance=random.Random(number) if way else None)
            lost += [f"cut at {place}: {each}" for each in missing(folder, said, place)]
    return lost


def run(story: Any) -> None:
    asyncio.run(asyncio.wait_for(story, STORY_S_MAX))


async def restarted(node: Any, disk: Any, said: Said) -> None:
    """Let a node start on what was left, and answer with what was acknowledged."""
    disk.rebuild(node.folder / "left", chance=None)
    node.configure(node.folder / "left")
    await node.start(data=node.folder / "left")
    async with node.client() as mara:
        for _, cid in said.uploads:
            assert cid_of(await mara.wasm.fetch(cid)) == cid
        for _, (task_id, _) in said.receipts:
            assert (await mara.compute.handle(task_id, "").view()).receipt is not None
    node.kill()


def test_what_was_acknowledged_is_there_after_power_was_lost(node, power_cut, tmp_path) -> None:
    said = Said()

    async def story() -> None:
        await node.start()
        assert await busy(node, said) == [None] * CALLERS
        node.kill()

    run(story())
    assert min(map(len, (said.uploads, said.receipts, said.events))) >= CALLERS * ROUNDS
    places = cuts(said, end=node.place())
    disk = power_cut()
    assert losses(disk, said, places, tmp_path) == []
    run(restarted(node, disk, said))
    assert disk.syncs["node.db"] > 1, "what was written was moved from the log to its place"


def test_without_syncing_what_was_acknowledged_is_lost(node, power_cut, tmp_path) -> None:
    """The same look at the same disk notices a node that does not sync its database."""
    said = Said()

    async def story() -> None:
        await node.start(before=NO_SYNC)
        assert await busy(node, said) == [None] * CALLERS
        node.kill()

    run(story())
    lost = losses(power_cut(), said, [said.places()[-1]], tmp_path)
    assert any("receipt" in each for each in lost) and any("event" in each for each in lost)


def test_without_syncing_blobs_an_acknowledged_upload_is_lost(node, power_cut, tmp_path) -> None:
    said = Said()

    async def story() -> None:
        await node.start(before=NO_BLOB_SYNC)
        assert await busy(node, said) == [None] * CALLERS
        node.kill()

    run(story())
    lost = losses(power_cut(), said, [said.places()[-1]], tmp_path)
    assert any("upload" in each for each in lost)


@pytest.mark.parametrize(
    ("what", "code"),
    [
        ("node.db", errno.EIO),
        ("node.db-wal", errno.EIO),
        ("node.db-wal", errno.ENOSPC),
        ("blobs", errno.ENOSPC),
        ("blobs/partial/*", errno.EIO),
    ],
)
def test_after_a_failed_sync_a_node_stops_and_nothing_acknowledged_is_lost(
    node, power_cut, tmp_path, what, code
) -> None:
    """Neither is anything told that was not acknowledged: every event that was seen is there."""
    said = Said()

    async def story() -> None:
        await node.start()
        node.fail(f"sync {what} {code} {1 if what == 'node.db' else 40}")
        ends = await busy(node, said, rounds=ROUNDS_MAX)
        assert all(isinstance(end, CoopError) for end in ends), ends
        assert await node.ended() == 1
        assert last_words(node.log)[0].startswith("the node had to stop: ")

    run(story())
    assert said.receipts and said.events
    assert losses(power_cut(), said, [node.place()], tmp_path) == []
    node.fail()

    async def again() -> None:
        await node.start()
        async with node.client() as mara:
            assert cid_of(await mara.wasm.fetch(said.uploads[-1][1])) == said.uploads[-1][1]

    run(again())


HASTY = """
[store]
blob_grace_ms = 1_000
"""


def dangling(folder: Path) -> list[str]:
    """Return the blobs that rows name and charge for, and that are not there."""

    def look(tx: Tx) -> list[str]:
        every = [holdings.charges.c.cid, table.modules.c.wasm_hash]
        every += [table.jobs.c.output_hash, holdings.uses.c.cid]
        named = {str(cid) for column in every for (cid,) in tx.all(sql(select(column)))} - {""}
        return [cid for cid in named if table.content(tx, cid) is None]

    async def main() -> list[str]:
        store = await Store.open(url=f"sqlite:///{folder}/node.db", clock=VirtualClock())
        try:
            return await store.read(look)
        finally:
            await store.close()

    blobs = BlobStore(folder / "blobs", 2**30)
    named = asyncio.run(asyncio.wait_for(main(), 120))
    return [cid for cid in named if not is_whole(blobs, cid)]


def test_power_lost_while_blobs_are_collected_leaves_no_row_that_points_to_nothing(
    node, power_cut, tmp_path
) -> None:
    """The collector looks every tenth of a second, and what no task names is old in one."""
    said = Said()

    async def story() -> None:
        node.configure(node.data, HASTY)
        await node.start()
        while "blobs were collected" not in node.log.read_text():
            assert await busy(node, said) == [None] * CALLERS
        node.kill()

    run(story())
    disk, chance = power_cut(), random.Random(7)
    first = said.places()[0]
    for number, place in enumerate(sorted(chance.randrange(first, node.place()) for _ in range(9))):
        disk.run(place)
        for way in range(2):
            folder = tmp_path / f"{number}-{way}"
            disk.rebuild(folder, chance=random.Random(number) if way else None)
            assert dangling(folder) == []
            said_no_upload = replace(said, uploads=[])
            assert missing(folder, said_no_upload, place) == []
