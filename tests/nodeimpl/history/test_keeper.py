"""Yesterday's database: a node that finds itself behind its mark does not start."""

from __future__ import annotations

import asyncio
import errno
import json
import shutil
import sqlite3
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from devnet.inprocess import inprocess_world
from nodeimpl.history import keeper as keeping
from nodeimpl.history.keeper import Keeper
from nodeimpl.history.mark import NAME, MarkFile
from nodeimpl.history.renewal import open_generation
from nodeimpl.kernel import generations
from nodeimpl.kernel.clock import VirtualClock
from nodeimpl.kernel.errors import HistoryLost, SchemaNewer
from nodeimpl.kernel.store import Store
from opkit.proof.history import check_growth, check_same_journal, read_head
from opkit.proof.receipt import verify_receipt
from opkit.wire.events import JournalDiverged
from opkit.wire.gateway import TokenRejected
from opkit.wire.journal import (
    CONSISTENCY,
    HEAD,
    ORIGIN,
    AskConsistency,
    AskJournalHead,
    AskJournalOrigin,
    HistoryPlace,
    JournalHead,
)
from opkit.wire.network import NodeStarted

MODULE = (Path(__file__).resolve().parents[3] / "wasm" / "upper.wasm").read_bytes()
RIVER = "river-city-tool-library"
SEEN_S_MAX = 30
BEHIND = r"2 journal entries.*committed 5.*new-generation"
LEFT = r"generation 1.*has been in generation 5000"


def run(main: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(main, 120))


async def opened(url: str) -> Store:
    return await Store.open(url=url, clock=VirtualClock(5_000_000))


async def announce(store: Store, count: int = 1) -> None:
    said = [NodeStarted(version="1", generation=1) for _ in range(count)]
    await store.write(lambda tx: [tx.announce(each) for each in said])


async def eventually(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(SEEN_S_MAX):
        while not holds():
            await asyncio.sleep(0.01)


def copy_of(folder: Path) -> Path:
    """Return a copy of a store's files, as a backup by hand would have them."""
    copy = folder.with_name(f"{folder.name}-yesterday")
    shutil.copytree(folder, copy)
    return copy


def put_back(copy: Path, folder: Path, *, but: str = NAME) -> None:
    """Put yesterday's database back, and leave the mark as it is."""
    for path in folder.glob("node.db*"):
        path.unlink()
    for path in copy.glob("*"):
        if path.is_file() and path.name != but:
            shutil.copy(path, folder / path.name)


# The mark.


def test_a_mark_says_its_version_and_one_of_a_newer_is_refused_and_stays(tmp_path) -> None:
    """It is not damaged: to open another generation over it would be the wrong advice."""

    async def main() -> None:
        url = f"sqlite:///{tmp_path}/node.db"
        store = await opened(url)
        await announce(store)
        await Keeper.start(store, folder=tmp_path)
        await store.close()
        path = tmp_path / NAME
        said = json.loads(path.read_bytes())
        assert said["version"] == 1
        newer = json.dumps({**said, "version": 2, "size": {"in": "another form"}})
        path.write_text(newer, "utf-8")
        store = await opened(url)
        with pytest.raises(SchemaNewer, match=r"newer version.*hint: run the newer version"):
            await Keeper.start(store, folder=tmp_path)
        await store.close()
        with pytest.raises(SchemaNewer):
            await open_generation(url=url, folder=tmp_path, clock=VirtualClock(5_000_000))
        assert path.read_text("utf-8") == newer
        del said["version"]
        path.write_text(json.dumps(said), "utf-8")
        store = await opened(url)
        await Keeper.start(store, folder=tmp_path)
        await store.close()

    run(main())


def test_the_mark_follows_the_journal_and_never_leads(store_url, tmp_path) -> None:
    async def main() -> None:
        store = await opened(store_url)
        keeper = await Keeper.start(store, folder=tmp_path)
        following = asyncio.create_task(keeper.run())
        file = MarkFile(tmp_path)
        await announce(store, 3)

        def there() -> bool:
            mark = file.read()
            assert mark is not None
            assert mark.size <= store.head().sequence
            return mark.size == 3

        await eventually(there)
        mark = file.read()
        assert mark == await store.read(generations.place)
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await announce(store, 3)
        await store.close()
        again = await opened(store_url)
        await Keeper.start(again, folder=tmp_path)
        assert file.read() == await again.read(generations.place), "what lagged is caught up"
        await again.close()

    run(main())


def test_a_full_disk_lets_the_mark_lag_and_a_broken_one_is_told(
    store_url, tmp_path, monkeypatch
) -> None:
    async def main() -> None:
        store = await opened(store_url)
        number = errno.ENOSPC

        def write(self: MarkFile, place: HistoryPlace) -> None:
            raise OSError(number, "no")

        with monkeypatch.context() as full:
            full.setattr(MarkFile, "write", write)
            keeper = await Keeper.start(store, folder=tmp_path)
            assert not await store.read(generations.is_marked), "no mark, and nothing says so"
            await announce(store)
            assert await keeper.keep() is None
            number = errno.EIO
            with pytest.raises(OSError, match="no"):
                await keeper.keep()
        kept = await keeper.keep()
        assert kept == MarkFile(tmp_path).read()
        await store.close()

    run(main())


# An old database.


def test_a_database_without_what_was_marked_is_refused_until_a_generation_is_opened(
    tmp_path,
) -> None:
    async def main() -> None:
        folder = tmp_path / "data"
        folder.mkdir()
        url = f"sqlite:///{folder}/node.db"
        store = await opened(url)
        keeper = await Keeper.start(store, folder=folder)
        await announce(store, 2)
        await keeper.keep()
        await store.close()
        copy = copy_of(folder)
        store = await opened(url)
        keeper = await Keeper.start(store, folder=folder)
        await announce(store, 3)
        lost = await keeper.keep()
        await store.close()
        put_back(copy, folder)
        for _ in range(2):
            store = await opened(url)
            with pytest.raises(HistoryLost, match=BEHIND):
                await Keeper.start(store, folder=folder)
            await store.close()
        done = await open_generation(
            url=url, folder=folder, clock=VirtualClock(5_000_000), reason="disk lost"
        )
        assert (done.after.size, done.lost, done.reason) == (2, lost, "disk lost")
        store = await opened(url)
        await Keeper.start(store, folder=folder)
        await store.close()
        # Yesterday's once more: now it is a generation that this node has left.
        put_back(copy, folder)
        store = await opened(url)
        with pytest.raises(HistoryLost, match=LEFT):
            await Keeper.start(store, folder=folder)
        await store.close()
        again = await open_generation(url=url, folder=folder, clock=VirtualClock(5_000_000))
        assert again.generation == 5_001

    run(main())


def test_a_database_of_another_history_is_refused(tmp_path) -> None:
    async def main() -> None:
        urls = [f"sqlite:///{tmp_path}/{name}.db" for name in ("one", "other")]
        store = await opened(urls[0])
        await announce(store, 3)
        await Keeper.start(store, folder=tmp_path)
        await store.close()
        store = await opened(urls[1])
        await store.write(lambda tx: tx.announce(NodeStarted(version="other", generation=1)))
        await announce(store, 5)
        with pytest.raises(HistoryLost, match="another journal entry 3"):
            await Keeper.start(store, folder=tmp_path)
        await store.close()

    run(main())


def test_a_database_that_was_marked_is_not_taken_without_its_mark(tmp_path) -> None:
    async def main() -> None:
        url = f"sqlite:///{tmp_path}/node.db"
        store = await opened(url)
        await Keeper.start(store, folder=tmp_path)
        await store.close()
        (tmp_path / NAME).unlink()
        store = await opened(url)
        with pytest.raises(HistoryLost, match="mark of this database is gone"):
            await Keeper.start(store, folder=tmp_path)
        await store.close()
        done = await open_generation(url=url, folder=tmp_path, clock=VirtualClock(5_000_000))
        assert done.lost is None
        store = await opened(url)
        await Keeper.start(store, folder=tmp_path)
        await store.close()

    run(main())


def test_a_generation_is_open_or_not_wherever_the_command_is_killed(tmp_path, monkeypatch) -> None:
    """Between the commit and the mark: the generation names the mark that it finds."""

    async def main() -> None:
        url = f"sqlite:///{tmp_path}/node.db"
        store = await opened(url)
        await announce(store, 2)
        file = MarkFile(tmp_path)
        file.write(HistoryPlace(generation=1, size=9, root="1" * 64, hash="2" * 64))
        await store.close()

        def killed(self: MarkFile, place: HistoryPlace) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as never:
            never.setattr(MarkFile, "write", killed)
            with pytest.raises(BaseException) as ended:
                await open_generation(url=url, folder=tmp_path, clock=VirtualClock(5_000_000))
            assert isinstance(ended.value, KeyboardInterrupt)
        store = await opened(url)
        assert store.generation == 5_000
        await Keeper.start(store, folder=tmp_path)
        mark = file.read()
        assert mark is not None
        assert mark.generation == 5_000
        await store.close()

    run(main())


def test_a_damaged_mark_is_mended_by_a_new_generation_only(tmp_path) -> None:
    async def main() -> None:
        url = f"sqlite:///{tmp_path}/node.db"
        store = await opened(url)
        await Keeper.start(store, folder=tmp_path)
        (tmp_path / NAME).write_text("{")
        with pytest.raises(HistoryLost, match="damaged"):
            await Keeper.start(store, folder=tmp_path)
        await store.close()
        await open_generation(url=url, folder=tmp_path, clock=VirtualClock(5_000_000))
        store = await opened(url)
        await Keeper.start(store, folder=tmp_path)
        await store.close()

    run(main())


# A whole node.


async def head_of(world: Any) -> JournalHead:
    signed = await world.operator(RIVER).call(HEAD, AskJournalHead())
    return read_head(signed.head, genesis=world.genesis)


async def receipt_of(world: Any) -> Any:
    mara = world.client(RIVER, f"{RIVER}/mara")
    info = await mara.wasm.deploy(MODULE, name="upper")
    return await (await mara.compute.submit(info.wasm_hash, b"x")).result()


async def one_day(world: Any) -> tuple[Any, JournalHead, JournalHead]:
    """Let a node work, keep its database, let it work on, and put the kept one back.

    Returns what it did before, and its heads before and after the database was kept.
    """
    done = await receipt_of(world)
    early = await head_of(world)
    folder = world.node(RIVER).config.node.folder
    await world.kill(RIVER)
    copy = copy_of(folder)
    await world.restart(RIVER)
    await receipt_of(world)
    late = await head_of(world)
    await world.kill(RIVER)
    put_back(copy, folder)
    return done, early, late


def test_a_node_with_yesterdays_database_signs_nothing_until_it_is_another_history() -> None:
    async def main() -> None:
        async with inprocess_world("three") as world:
            done, early, late = await one_day(world)
            one = world.node(RIVER)
            with pytest.raises(HistoryLost, match="it is an old one"):
                await world.restart(RIVER)
            assert one.node is None
            with sqlite3.connect(one.config.node.folder / "node.db") as database:
                (entries,) = database.execute("SELECT max(sequence) FROM journal").fetchone()
            assert early.size <= entries < late.size, "the attempt to start left no entry"
            opened_now = await open_generation(
                url=one.config.store_url(), folder=one.config.node.folder, clock=world.clock
            )
            await world.restart(RIVER)
            now = await head_of(world)
            origin = await world.operator(RIVER).call(ORIGIN, AskJournalOrigin())
            assert origin.generation == now.generation == opened_now.generation
            assert origin.openings == (opened_now,)
            assert opened_now.lost is not None
            assert opened_now.lost.size >= late.size
            ask = AskConsistency(first=early.size, second=now.size)
            path = (await world.operator(RIVER).call(CONSISTENCY, ask)).path
            told = check_same_journal(early, now, openings=origin.openings)
            assert [each.ok for each in (*told, check_growth(early, now, path))] == [True] * 4
            (no,) = [
                each
                for each in check_same_journal(late, now, openings=origin.openings)
                if not each.ok
            ]
            assert no.name == "kept-when-generation-ended"
            assert f"{late.size - opened_now.after.size} were lost" in no.actual
            assert verify_receipt(done.bundle, genesis=world.genesis).status == "verified"
            first = await receipt_of(world)
            assert verify_receipt(first.bundle, genesis=world.genesis).status == "verified"
            if first.receipt.executor == one.did:
                assert first.receipt.generation == now.generation

    run(main())


def test_without_the_mark_yesterdays_database_would_be_taken(monkeypatch) -> None:
    """The sabotage: the node starts, and signs another entry where it had signed one."""

    async def main() -> None:
        async with inprocess_world("three") as world:
            _, _, late = await one_day(world)
            monkeypatch.setattr(keeping, "check", lambda tx, mark: None)
            await world.restart(RIVER)
            while (now := await head_of(world)).size < late.size:
                await receipt_of(world)
            assert now.generation == late.generation
            path: tuple[str, ...] = ()
            ask = AskConsistency(first=late.size, second=now.size)
            path = (await world.operator(RIVER).call(CONSISTENCY, ask)).path
            assert not check_growth(late, now, path).ok, "two histories under one name"

    run(main())


def test_who_follows_is_told_that_it_is_another_history() -> None:
    async def main() -> None:
        async with inprocess_world("three") as world:
            client = world.operator(RIVER)
            async for page in client.events():
                cursor = page.cursor
                break
            token = (await client.login()).token
            await client.with_token(token).call(HEAD, AskJournalHead())
            await world.kill(RIVER)
            one = world.node(RIVER)
            await open_generation(
                url=one.config.store_url(), folder=one.config.node.folder, clock=world.clock
            )
            await world.restart(RIVER)
            with pytest.raises(TokenRejected, match="before the node was restored"):
                await client.with_token(token).call(HEAD, AskJournalHead())
            again = world.operator(RIVER)
            for pages in (again.events(cursor), again.journal(after=cursor)):
                with pytest.raises(JournalDiverged):
                    await anext(pages)

    run(main())


@pytest.mark.postgres
@pytest.mark.slow
def test_a_dump_of_yesterday_that_was_put_back_is_refused_until_a_generation_is_opened(
    postgres_database: Callable[[], str], tmp_path: Path
) -> None:
    """The runbook's way with PostgreSQL: `pg_dump`, a new database, `opkit node new-generation`."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_dump"))
    if not programs:
        pytest.skip("not run: pg_dump is missing (scripts/install-debian)")
    dump = tmp_path / "yesterday.sql"

    async def main() -> None:
        url, restored = postgres_database(), postgres_database()
        store = await opened(url)
        keeper = await Keeper.start(store, folder=tmp_path)
        await announce(store, 2)
        await keeper.keep()
        await call(programs[-1], f"--dbname={url}", f"--file={dump}")
        await announce(store, 3)
        lost = await keeper.keep()
        await store.close()
        await call(
            programs[-1].with_name("psql"), "--quiet", f"--dbname={restored}", f"--file={dump}"
        )
        store = await opened(restored)
        with pytest.raises(HistoryLost, match=BEHIND):
            await Keeper.start(store, folder=tmp_path)
        await store.close()
        done = await open_generation(url=restored, folder=tmp_path, clock=VirtualClock(5_000_000))
        assert (done.after.size, done.lost) == (2, lost)
        store = await opened(restored)
        await Keeper.start(store, folder=tmp_path)
        await announce(store, 1)
        assert store.generation == done.generation
        await store.close()

    run(main())


async def call(*command: object) -> None:
    process = await asyncio.create_subprocess_exec(
        *map(str, command), stdout=asyncio.subprocess.DEVNULL
    )
    assert await process.wait() == 0, command
