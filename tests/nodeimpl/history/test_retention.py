"""Old entries go while the node runs, and everybody who reads the journal copes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from devnet.inprocess import inprocess_world
from nodeimpl.history.keeper import Keeper
from nodeimpl.history.mark import MarkFile
from nodeimpl.history.restoring import examine
from nodeimpl.history.retention import Retention
from nodeimpl.history.rules import Keeping
from nodeimpl.history.service import History
from nodeimpl.kernel import cutting
from nodeimpl.kernel.errors import HistoryLost
from nodeimpl.kernel.journal import read_cut
from opkit.proof.history import Rebuilding, check_growth, check_rebuilt, examine_cut, read_head
from opkit.wire.events import Cursor, JournalCut
from opkit.wire.gateway import StoreBusy
from opkit.wire.journal import (
    CONSISTENCY,
    HEAD,
    ORIGIN,
    AskConsistency,
    AskJournalHead,
    AskJournalOrigin,
    JournalHead,
    JournalOrigin,
)
from opkit.wire.network import NodeStarted

RIVER = "river-city-tool-library"
SEEN_S_MAX = 30


def run(main: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(main, 120))


def retention_of(world: Any, **keeping: int) -> Retention:
    node = world.node(RIVER).node
    history = History(
        store=node.store,
        identity=world._made.nodes[RIVER],
        network=world.genesis.network,
        clock=world.clock,
    )
    said = Keeping(**{"step_min": 256, **keeping})
    return Retention(store=node.store, history=history, keeper=node._keeper, keeping=said)


async def grow(world: Any, entries: int) -> None:
    said = [NodeStarted(version=str(at), generation=1) for at in range(entries)]
    store = world.node(RIVER).node.store
    await store.write(lambda tx: [tx.announce(each) for each in said])


async def head_of(world: Any) -> JournalHead:
    signed = await world.operator(RIVER).call(HEAD, AskJournalHead())
    return read_head(signed.head, genesis=world.genesis)


async def origin_of(world: Any) -> JournalOrigin:
    return await world.operator(RIVER).call(ORIGIN, AskJournalOrigin())


async def grew(world: Any, early: JournalHead, late: JournalHead) -> bool:
    ask = AskConsistency(first=early.size, second=late.size)
    return check_growth(early, late, (await world.operator(RIVER).call(CONSISTENCY, ask)).path).ok


def test_a_journal_is_verified_from_its_checkpoint_on_and_old_heads_with_it() -> None:
    async def main() -> None:
        async with inprocess_world("three") as world:
            early = await head_of(world)
            assert (await origin_of(world)).cut is None
            await grow(world, 700)
            middle = await head_of(world)
            assert await retention_of(world, entries_min=100).cut() == 512
            assert await retention_of(world, entries_min=100).cut() == 0, "nothing more to do"
            late, origin = await head_of(world), await origin_of(world)
            cut = origin.cut
            assert cut is not None
            assert cut.size == 512
            for head in (early, middle):
                assert await grew(world, head, late)
            rebuilt = Rebuilding(cut=cut, openings=origin.openings)
            async for page in world.operator(RIVER).journal(
                Cursor(generation=1, sequence=cut.size, hash=cut.hash)
            ):
                for entry in page.entries:
                    if rebuilt.tree.size < late.size:
                        rebuilt.add(entry)
            at_cut, checks = examine_cut(cut, late, genesis=world.genesis)
            assert at_cut is not None
            checks += check_rebuilt(late, rebuilt)
            assert [check for check in checks if not check.ok] == []
            assert await grew(world, at_cut, late)

    run(main())


def test_who_reads_is_told_where_to_go_on_and_who_begins_misses_what_went_and_knows_it() -> None:
    async def main() -> None:
        async with inprocess_world("three") as world:
            client = world.operator(RIVER)
            async with aclosing(client.events()) as pages:
                old = (await anext(pages)).cursor
            await grow(world, 600)
            await retention_of(world, entries_min=50).cut()
            resumes = []
            for reading in (client.events(old), client.journal(after=old)):
                with pytest.raises(JournalCut) as cut:
                    await anext(reading)
                resumes.append(cut.value.resume)
            assert resumes[0] == resumes[1]
            place = Cursor.parse(resumes[0])
            assert place.sequence == 512
            for reading in (client.events(place), client.journal(after=place)):
                async with aclosing(reading) as pages:
                    page = await anext(pages)
                    assert page.entries[0].sequence == 513
                    assert page.passed_through == 0
            for reading in (client.events(), client.journal()):
                async with aclosing(reading) as pages:
                    page = await anext(pages)
                    assert page.entries[0].sequence == 513
                    assert page.passed_through == 512, "what went is counted"

    run(main())


def test_a_node_that_is_killed_while_entries_go_goes_on_after_its_restart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def main() -> None:
        async with inprocess_world("three") as world:
            early = await head_of(world)
            await grow(world, 900)

            async def killed(self: Retention) -> int:
                return 0

            with monkeypatch.context() as never:
                never.setattr(Retention, "_remove", killed)
                await retention_of(world, entries_min=50).cut()
            store = world.node(RIVER).node.store
            assert await store.write(cutting.remove_block)
            assert await store.read(cutting.is_going)
            await world.kill(RIVER)
            await world.restart(RIVER)
            # The node's own: no limits are configured, and what began is finished all the same.
            store = world.node(RIVER).node.store
            async with asyncio.timeout(SEEN_S_MAX):
                while await store.read(cutting.is_going):
                    await asyncio.sleep(0.01)
            late = await head_of(world)
            assert await grew(world, early, late)
            assert (await store.read(read_cut))[0] == 768

    run(main())


def test_nothing_goes_before_the_mark_is_past_it_or_while_the_store_cannot(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def main() -> None:
        async with inprocess_world("three") as world:
            await grow(world, 600)
            retention = retention_of(world, entries_min=50)
            store = world.node(RIVER).node.store

            async def no_room(self: Keeper) -> None:
                return None

            with monkeypatch.context() as full:
                full.setattr(Keeper, "keep", no_room)
                assert await retention.cut() == 0
            assert (await store.read(read_cut))[0] == 0
            asked = []

            async def busy(work: Any) -> None:
                asked.append(work)
                raise StoreBusy(why="disk full")

            with monkeypatch.context() as full:
                full.setattr(store, "write", busy)
                full.setattr("nodeimpl.history.retention.LOOK_EVERY_S", 0.01)
                running = asyncio.create_task(retention.run())
                async with asyncio.timeout(SEEN_S_MAX):
                    while len(asked) < 3:
                        await asyncio.sleep(0.01)
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)
            assert await retention.cut() == 512

    run(main())


def test_a_mark_from_before_what_went_is_not_compared_but_refused() -> None:
    async def main() -> None:
        async with inprocess_world("three") as world:
            one = world.node(RIVER)
            await grow(world, 600)
            file = MarkFile(one.config.node.folder)
            old = file.read()
            assert old is not None
            await retention_of(world, entries_min=50).cut()
            await world.kill(RIVER)
            new = file.read()
            file.write(old.model_copy(update={"size": 5}))
            with pytest.raises(HistoryLost, match="begins after 512"):
                await world.restart(RIVER)
            assert new is not None
            file.write(new)
            await world.restart(RIVER)

    run(main())


def test_a_backup_of_a_journal_that_was_cut_is_verified_from_its_checkpoint(
    kit: Any, tmp_path: Path
) -> None:
    async def main() -> None:
        async with kit.world_at_work() as world:
            await grow(world, 600)
            await retention_of(world, entries_min=50).cut()
            made = await kit.made_backup(world, tmp_path / "b")
            _, verdict = examine(tmp_path / "b", genesis=world.genesis, clock=world.clock)
            assert verdict.status == "verified", verdict.failures
            await world.kill(RIVER)
            done = await kit.put_back(world, tmp_path / "b")
            assert done.opened.after.size == made.head.size
            await world.restart(RIVER)
            assert (await origin_of(world)).cut is not None

    run(main())


def test_what_is_kept_follows_from_the_configuration() -> None:
    async def main() -> None:
        async with inprocess_world("three") as world:
            one = world.node(RIVER)
            await grow(world, 1_000)
            await grow(world, 1_000)
            await world.kill(RIVER)
            history = one.config.history.model_copy(update={"keep_entries": 400})
            one.config = one.config.model_copy(update={"history": history})
            await world.restart(RIVER)
            store = one.node.store
            await eventually(lambda: first_of(store))
            assert (await store.read(read_cut))[0] == 1_536

    run(main())


async def first_of(store: Any) -> bool:
    gone = (await store.read(read_cut))[0] > 0
    return gone and not await store.read(cutting.is_going)


async def eventually(holds: Callable[[], Coroutine[Any, Any, bool]]) -> None:
    async with asyncio.timeout(SEEN_S_MAX):
        while not await holds():
            await asyncio.sleep(0.01)
