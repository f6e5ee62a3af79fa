"""The shelf of a node and its database: what one has, the other has soon, and after a restart."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from devnet.sim.keys import identity_of, network_of
from nodeimpl.kernel.clock import VirtualClock
from nodeimpl.kernel.store import Store
from nodeimpl.overlay.node import OverlayNode
from nodeimpl.overlay.port import Contact, Outbox
from nodeimpl.records import keeping
from nodeimpl.records import store as table
from nodeimpl.records.keeping import ShelfKeeper
from opkit.proof.cid import cid_of
from opkit.proof.record import Record, Verifier, make_record
from opkit.wire.gateway import StoreBusy
from opkit.wire.records import Carried, RecordOutdated, RecordsExhausted

NOW_MS = 1_767_225_600_000
DAY_MS = 86_400_000
NODES = [identity_of(1, "node", number) for number in range(3)]
GENESIS = network_of(1, NODES)
OWN, OTHER = NODES[:2]
PLENTY_S = 60


def note(label: str = "a", *, owner=OTHER, at_ms: int = NOW_MS, term_ms: int = DAY_MS, text="x"):
    token = make_record(
        owner,
        network=GENESIS.network,
        namespace="note",
        name=f"{owner.did}/{label}",
        value={"text": text},
        at_ms=at_ms,
        term_ms=term_ms,
    )
    return Carried(jws=token)


def blob(owner, value: dict[str, Any] | None, *, at_ms: int = NOW_MS):
    token = make_record(
        owner,
        network=GENESIS.network,
        namespace="blob",
        name=cid_of(b"x"),
        value=value,
        at_ms=at_ms,
        term_ms=DAY_MS,
    )
    return Carried(jws=token)


def key_of(carried: Carried) -> table.RecordKey:
    body = Verifier(GENESIS).read(carried.jws).body
    return body.aud, body.name, body.owner


class Life:
    """One run of a node on a store, from its start to when it stops."""

    def __init__(self, store: Store, clock: VirtualClock) -> None:
        self.store = store
        self.clock = clock
        self.overlay = OverlayNode(
            contact=Contact(did=OWN.did, addresses=("sim:0",)),
            verifier=Verifier(GENESIS),
            outbox=Outbox(),
            chance=random.Random(1),
            sign=self.sign,
        )
        self.said: list[tuple[str, str]] = []
        self.keeper = ShelfKeeper(self.overlay, store=store, clock=clock, again=self.again)

    def sign(self, namespace, name, value, now_ms):
        self.said.append((namespace, name))
        return blob(OWN, value, at_ms=now_ms)

    def again(self, record: Record) -> dict[str, Any] | None:
        return record.body.value if record.body.owner == OWN.did else None

    def offer(self, *records: Carried) -> None:
        for record in records:
            self.overlay.shelf.offer(record, self.clock.now_ms())

    def standing(self) -> set[str]:
        return {row.jws for row in self.overlay.shelf.get("note", f"{OTHER.did}/a")}

    async def rows(self) -> list[Carried]:
        return [row.carried for row in await self.store.read(table.read)]

    async def until_written(self) -> None:
        while self.keeper.held()["unwritten"]:
            await asyncio.sleep(0.01)


@pytest.fixture
def lives(store_url: str):
    """Run a story that is given what begins a new run of the node, on the same database."""

    def run(story: Callable[[Callable[[], Coroutine[Any, Any, Life]]], Any]) -> None:
        clock, stores = VirtualClock(NOW_MS), []

        async def begin() -> Life:
            if stores:
                await stores.pop().close()
            stores.append(await Store.open(url=store_url, clock=clock))
            life = Life(stores[0], clock)
            await life.keeper.restore()
            return life

        async def main() -> None:
            try:
                await story(begin)
            finally:
                for store in stores:
                    await store.close()

        asyncio.run(asyncio.wait_for(main(), PLENTY_S))

    return run


def test_what_was_settled_stands_after_a_restart_though_nothing_else_was_written(lives) -> None:
    async def story(begin) -> None:
        life = await begin()
        life.offer(note(), note("b"))
        settled = life.keeper.settle(*key_of(note()))
        writing = asyncio.create_task(life.keeper.run())
        await settled
        writing.cancel()
        await asyncio.wait({writing})
        assert note() in await life.rows()
        life = await begin()
        assert life.standing() == {note().jws}
        assert life.keeper.held()["unwritten"] == 0

    lives(story)


def test_what_is_written_already_is_settled_at_once(lives) -> None:
    async def story(begin) -> None:
        life = await begin()
        life.offer(note())
        await life.keeper.finish()
        assert life.keeper.settle(*key_of(note())).done()

    lives(story)


def test_what_is_heard_is_written_soon_and_what_is_gone_is_dropped(lives) -> None:
    async def story(begin) -> None:
        life = await begin()
        writing = asyncio.create_task(life.keeper.run())
        life.offer(note(term_ms=600_000), note("b"))
        await life.until_written()
        assert life.keeper.held()["rows"] == 2
        life.overlay.shelf.tick(NOW_MS + 600_000)
        await life.until_written()
        assert await life.rows() == [note("b")]
        writing.cancel()

    lives(story)


def test_a_later_record_takes_the_row_of_the_one_before(lives) -> None:
    later = note(at_ms=NOW_MS + 1)

    async def story(begin) -> None:
        life = await begin()
        life.offer(note())
        await life.keeper.finish()
        life.clock.advance(10)
        life.offer(later)
        await life.keeper.finish()
        assert await life.rows() == [later]
        life = await begin()
        with pytest.raises(RecordOutdated):
            life.offer(note())

    lives(story)


def test_what_was_replaced_does_not_come_back_after_a_restart_either(lives) -> None:
    """The later record lapses first, and bars the earlier one until that would have lapsed."""
    later = note(at_ms=NOW_MS + 1, term_ms=600_000)

    async def story(begin) -> None:
        life = await begin()
        life.offer(note())
        life.clock.advance(10)
        life.offer(later)
        await life.keeper.finish()
        life = await begin()
        life.clock.advance(700_000)
        life.overlay.shelf.tick(life.clock.now_ms())
        assert life.standing() == set()
        life = await begin()
        assert life.standing() == set()
        with pytest.raises(RecordOutdated):
            life.offer(note())
        life.clock.advance(DAY_MS)
        life = await begin()
        assert await life.rows() == []

    lives(story)


def test_what_lapsed_while_the_node_was_down_is_removed(lives) -> None:
    async def story(begin) -> None:
        life = await begin()
        life.offer(note(), note("b", term_ms=600_000))
        await life.keeper.finish()
        life.clock.advance(600_000)
        life = await begin()
        assert await life.rows() == [note()]
        assert life.overlay.shelf.held()["records"] == 1

    lives(story)


def test_a_row_that_does_not_verify_is_not_believed_and_goes(lives) -> None:
    forged = Carried.model_construct(jws=note().jws[:-8] + "AAAAAAAA", proof=())

    async def story(begin) -> None:
        life = await begin()
        row = table.KeptRow(key=key_of(note()), carried=forged, until_ms=NOW_MS + DAY_MS)
        await life.store.write(lambda tx: table.write(tx, [row], ()))
        life = await begin()
        assert life.overlay.shelf.held()["records"] == 0
        await life.keeper.finish()
        assert await life.rows() == []

    lives(story)


def test_more_rows_than_are_read_at_once_follow_while_the_node_serves(lives, monkeypatch) -> None:
    monkeypatch.setattr(keeping, "AT_ONCE_MAX", 1)
    notes = [note(f"{number}") for number in range(table.PAGE + 5)]

    async def story(begin) -> None:
        life = await begin()
        life.offer(*notes)
        await life.keeper.finish()
        life = await begin()
        assert life.overlay.shelf.held()["records"] == table.PAGE
        running = asyncio.create_task(life.keeper.run())
        while life.overlay.shelf.held()["records"] < len(notes):
            await asyncio.sleep(0.01)
        running.cancel()

    lives(story)


def test_a_flood_that_comes_and_goes_leaves_nothing_to_write(lives) -> None:
    """Keys that nobody vouches for displace each other: what was never written is forgotten."""

    async def story(begin) -> None:
        life = await begin()
        for number in range(1_500):
            stranger = identity_of(2, "stranger", number)
            try:
                life.offer(note(owner=stranger))
            except RecordsExhausted:
                continue
        held = life.overlay.shelf.held()["records"]
        assert held < 1_500
        assert life.keeper.held() == {"unwritten": held, "rows": 0}
        await life.keeper.finish()
        assert life.keeper.held() == {"unwritten": 0, "rows": held}

    lives(story)


def test_who_waits_is_told_that_the_store_was_busy_and_the_record_is_written_later(lives) -> None:
    async def story(begin) -> None:
        life = await begin()
        write, busy = life.store.write, [True]

        async def refuse(work):
            if busy.pop():
                raise StoreBusy(why="full")
            life.store.write = write
            return await write(work)

        busy.insert(0, False)
        life.store.write = refuse
        life.offer(note())
        settled = life.keeper.settle(*key_of(note()))
        running = asyncio.create_task(life.keeper.run())
        with pytest.raises(StoreBusy):
            await settled
        await life.until_written()
        running.cancel()
        assert await life.rows() == [note()]

    lives(story)


def test_what_the_node_said_itself_it_says_again_and_holds_what_others_said(lives) -> None:
    async def story(begin) -> None:
        life = await begin()
        life.offer(blob(OWN, {"size_bytes": 1}), note())
        await life.keeper.finish()
        life = await begin()
        assert life.overlay.dht.upkeep.held() == {"own": 1, "to put again": 1}
        life.clock.advance(2_000)
        life.overlay.tick(life.clock.now_ms())
        assert life.said == [("blob", cid_of(b"x"))]

    lives(story)


def test_a_word_that_was_taken_back_is_not_said_again(lives) -> None:
    async def story(begin) -> None:
        life = await begin()
        life.offer(blob(OWN, None))
        await life.keeper.finish()
        life = await begin()
        assert life.overlay.dht.upkeep.held()["own"] == 0

    lives(story)
