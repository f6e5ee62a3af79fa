"""What is kept for tasks, what is collected, and who is charged for how much."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import Text, select

from nodeimpl.compute import holdings
from nodeimpl.compute import store as table
from nodeimpl.kernel.clock import VirtualClock
from nodeimpl.kernel.collect import Collector
from nodeimpl.kernel.references import References, says
from nodeimpl.kernel.schema import metadata
from nodeimpl.kernel.statements import sql
from nodeimpl.kernel.store import Store, Tx
from nodeimpl.migrations import config, driver_url
from nodeimpl.migrations.__main__ import import_all_tables
from opkit.proof.cid import cid_of, is_cid
from opkit.wire import compute as wire
from opkit.wire.errors import refusal_from
from opkit.wire.gateway import StoreBusy

RIVER, BRIGHT = "river-city-tool-library", "brightworks-cooperative"
MARA, THEO, HUGO = f"{RIVER}/mara", f"{RIVER}/theo", f"{BRIGHT}/hugo"
BIG = b"ab" * 50_000
InTown = Callable[..., Any]
Module = Callable[[str], bytes]


async def charges(at: Any) -> set[tuple[str, str]]:
    every = sql(select(holdings.charges))
    return {(row[0], row[1]) for row in await at.store.read(lambda tx: tx.all(every))}


async def run_big(town: Any, org: str, member_id: str, module: bytes, **more: Any) -> Any:
    """Run a task with an upload as its input and a blob as its output."""
    await town.upload(org, BIG, member_id=member_id)
    manifest = town.manifest(member_id, module, BIG, **more)
    view = await town.submit(org, manifest, None, member_id=member_id)
    return await town.result(org, view.task_id, member_id=member_id)


def named_by_tokens(tx: Tx) -> Iterator[str]:
    """Yield every content name in every manifest and receipt that is kept."""
    for column in (table.tasks.c.manifest, table.jobs.c.manifest, table.receipts.c.receipt):
        for (token,) in tx.all(sql(select(column))):
            said = token.split(".")[1]
            body = json.loads(base64.urlsafe_b64decode(said + "=" * (-len(said) % 4)))
            yield from (value for value in body.values() if is_cid(str(value)))


def undeclared(tx: Tx) -> set[str]:
    """Return the columns in which content names lie that do not say what they mean."""
    return {
        f"{rows.name}.{column.name}"
        for rows in metadata.sorted_tables
        for column in rows.columns
        if isinstance(column.type, Text) and says(column) is None
        for (value,) in tx.all(sql(select(column)))
        if is_cid(str(value))
    }


def test_nothing_is_collected_that_a_task_a_receipt_or_a_module_names(
    in_town: InTown, module: Module
) -> None:
    """On the submitter's node and on the executor's, however old; what nothing names goes."""

    async def story(town: Any) -> None:
        river, bright = town.at[RIVER], town.at[BRIGHT]
        info = await town.deploy(RIVER, module("upper"), member_id=MARA)
        view = await run_big(town, RIVER, MARA, module("upper"), aud=bright.did)
        assert view.state is wire.TaskState.DONE
        await run_big(town, RIVER, MARA, module("upper"), aud=river.did)
        unused = await town.upload(RIVER, b"nobody names this", member_id=MARA)
        assert await river.store.read(undeclared) == await bright.store.read(undeclared) == set()
        for at in (river, bright):
            at.age()
            before = at.kept()
            await at.collector().round()
            named = set(await at.store.read(lambda tx: list(named_by_tokens(tx))))
            assert {info.wasm_hash, cid_of(BIG), view.output_hash} <= named & at.kept()
            assert before - at.kept() == {unused} & before
            assert {cid for _, cid in await charges(at)} <= at.kept()
        assert unused not in river.kept()

    in_town(story, RIVER, BRIGHT)


def test_what_was_brought_within_the_grace_period_stays(in_town: InTown) -> None:
    async def story(town: Any) -> None:
        at = town.at[RIVER]
        first = await town.upload(RIVER, b"first", member_id=MARA)
        second = await town.upload(RIVER, b"second", member_id=MARA)
        await at.collector().round()
        assert at.kept() == {first, second}
        at.age()
        assert await town.upload(RIVER, b"second", member_id=MARA) == second
        await at.collector().round()
        assert at.kept() == {second}
        assert await charges(at) == {(MARA, second)}
        assert await at.charged(MARA) == len(b"second")

    in_town(story, RIVER)


class Between(Collector):
    """A collector that lets something happen between its two transactions."""

    between: Callable[[], Any]

    async def _step(self, cids: Any, *, older_than_ns: int) -> None:
        write = self._store.write

        async def watched(work: Any) -> Any:
            if "_remove_all" in work.__code__.co_names:
                await self.between()
            return await write(work)

        self._store.write = watched  # type: ignore[method-assign]  # one step of one test
        try:
            await super()._step(cids, older_than_ns=older_than_ns)
        finally:
            self._store.write = write  # type: ignore[method-assign]  # as above


def between(at: Any, happens: Callable[[], Any]) -> Between:
    made: Between = at.collector(Between)
    made.between = happens
    return made


def test_an_upload_between_the_two_steps_keeps_the_blob_and_its_charge(in_town: InTown) -> None:
    async def story(town: Any) -> None:
        at = town.at[RIVER]
        cid = await town.upload(RIVER, b"again", member_id=MARA)
        at.age()
        await between(at, lambda: town.upload(RIVER, b"again", member_id=MARA)).round()
        assert at.kept() == {cid}
        assert await charges(at) == {(MARA, cid)}
        assert await at.charged(MARA) == len(b"again")

    in_town(story, RIVER)


def test_a_task_that_names_the_blob_between_the_two_steps_keeps_it(
    in_town: InTown, module: Module
) -> None:
    async def story(town: Any) -> None:
        at = town.at[RIVER]
        await town.deploy(RIVER, module("upper"), member_id=MARA)
        cid = await town.upload(RIVER, BIG, member_id=MARA)
        manifest = town.manifest(MARA, module("upper"), BIG)
        at.age(cid)
        await between(at, lambda: town.submit(RIVER, manifest, None, member_id=MARA)).round()
        assert cid in at.kept()

    in_town(story, RIVER)


def test_a_crash_between_the_two_steps_leaves_a_file_and_no_row_and_the_next_round_ends_it(
    in_town: InTown,
) -> None:
    async def story(town: Any) -> None:
        at = town.at[RIVER]
        cid = await town.upload(RIVER, b"lost", member_id=MARA)
        at.age()

        async def crash() -> None:
            raise OSError("the power went")

        with pytest.raises(OSError, match="power"):
            await between(at, crash).round()
        assert (at.kept(), await charges(at), await at.charged(MARA)) == ({cid}, set(), 0)
        again = at.collector()
        await again.round()
        assert at.kept() == set()
        assert (again.collected.blobs, again.collected.size_bytes) == (1, 4)
        assert at.blobs.usage() == (0, 0)

    in_town(story, RIVER)


def test_bytes_that_were_collected_before_they_were_acknowledged_are_not_acknowledged(
    in_town: InTown,
) -> None:
    async def story(town: Any) -> None:
        at, ask = town.at[RIVER], wire.PutBlob(content=b"slow")
        caller = at.caller(MARA, town.world.members[MARA].did)
        staged = await at.compute.stage_blob(ask, caller)
        at.age()
        await at.collector().round()
        with pytest.raises(Exception, match="collected"):
            await at.store.write(lambda tx: at.compute.put_blob(tx, ask, caller, staged))
        assert await charges(at) == set()

    in_town(story, RIVER)


def test_uploads_and_tasks_beside_a_hasty_collector_lose_nothing(
    in_town: InTown, module: Module
) -> None:
    """Everything is old at once: what a task was accepted for is there all the same."""

    async def story(town: Any) -> None:
        at = town.at[RIVER]
        await town.deploy(RIVER, module("upper"), member_id=MARA)
        hasty, accepted = at.collector(), []
        contents = [bytes([65 + number]) * 70_000 for number in range(3)]

        async def member(number: int) -> None:
            # Six times each, and as often again as the collector was always the quicker one.
            for turn in itertools.takewhile(lambda turn: turn < 6 or not accepted, range(256)):
                data = contents[(number + turn) % 3] + bytes([turn])
                manifest = town.manifest(MARA, module("upper"), data)
                try:
                    await town.upload(RIVER, data, member_id=MARA)
                    view = await town.submit(RIVER, manifest, None, member_id=MARA)
                except (wire.BlobUnknown, StoreBusy):
                    # It was collected in the middle, and the member would bring it again.
                    continue
                accepted.append((view.task_id, cid_of(data)))

        async def collect() -> None:
            while True:
                at.age()
                await hasty.round()

        async def forgetful() -> None:
            """Bring what no task names, until some of it was collected."""
            number = 0
            while not hasty.collected.blobs:
                number += 1
                with contextlib.suppress(StoreBusy):
                    await town.upload(RIVER, b"unnamed %d" % number, member_id=MARA)

        collecting = asyncio.create_task(collect())
        await asyncio.gather(forgetful(), *(member(number) for number in range(4)))
        collecting.cancel()
        await asyncio.wait({collecting})
        assert collecting.cancelled(), collecting
        assert accepted
        for task_id, cid in accepted:
            assert cid in at.kept()
            view = await town.result(RIVER, task_id, member_id=MARA)
            assert view.state is wire.TaskState.DONE
            assert view.output_hash in at.kept()
        assert {cid for _, cid in await charges(at)} <= at.kept()

    in_town(story, RIVER)


def test_a_round_that_takes_too_long_goes_on_where_it_stopped(
    in_town: InTown, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nodeimpl.kernel.collect.STEP_BLOBS", 2)
    monkeypatch.setattr("nodeimpl.kernel.collect.ROUND_MS_MAX", 0)

    async def story(town: Any) -> None:
        at = town.at[RIVER]
        for number in range(5):
            await town.upload(RIVER, b"%d" % number, member_id=MARA)
        at.age()
        slow, left = at.collector(), []
        for _ in range(3):
            await slow.round()
            left.append(len(at.kept()))
        assert left == [3, 1, 0]

    in_town(story, RIVER)


def test_what_a_task_makes_a_node_keep_is_charged_to_its_member(
    in_town: InTown, module: Module
) -> None:
    """Its output, and what the executor must fetch for it; who has nothing left is refused."""
    size = len(module("upper"))

    async def story(town: Any) -> None:
        bright = town.at[BRIGHT]
        await town.deploy(RIVER, module("upper"), member_id=MARA)
        view = await run_big(town, RIVER, THEO, module("upper"), aud=bright.did)
        assert view.state is wire.TaskState.DONE
        assert await bright.charged(THEO) == size + 2 * len(BIG)
        assert await town.at[RIVER].charged(THEO) == 2 * len(BIG)
        other = BIG + b"c"
        await town.upload(RIVER, other, member_id=MARA)
        manifest = town.manifest(THEO, module("upper"), other, aud=bright.did)
        view = await town.submit(RIVER, manifest, None, member_id=THEO)
        view = await town.result(RIVER, view.task_id, member_id=THEO)
        assert isinstance(refusal_from(view.problem), wire.StorageQuotaExceeded)

    in_town(story, RIVER, BRIGHT, member_bytes_max=size + 2 * len(BIG))


def manifest_of(wasm: bytes, stdin: bytes) -> str:
    """Return what stands where a signed manifest would: only its body is read."""
    said = json.dumps({"wasm_hash": cid_of(wasm), "input_hash": cid_of(stdin)}).encode()
    return f"e30.{base64.urlsafe_b64encode(said).rstrip(b'=').decode()}.c2ln"


def released_rows() -> list[sa.Insert]:
    """Return two modules, a task and a job as a database of revision 0003 has them."""
    shared: dict[str, Any] = {
        "task_id": "1",
        "member_id": MARA,
        "state": "done",
        "fetched": "",
        "problem": "",
    }
    shared |= {"cancelling": 0, "accepted_at_ms": 5}
    task = shared | {"manifest_hash": "a", "manifest": manifest_of(b"m1", b"in"), "executor": ""}
    job = shared | {
        "manifest_hash": "b",
        "manifest": manifest_of(b"m2", b"theirs"),
        "origins": "{}",
    }
    module = {"owner": MARA, "name": "m", "deployed_at_ms": 5}
    return [
        table.modules.insert().values(
            [
                module | {"wasm_hash": cid_of(b"m1"), "position": 1, "size_bytes": 300},
                module | {"wasm_hash": cid_of(b"m3"), "position": 2, "size_bytes": 40},
            ]
        ),
        table.tasks.insert().values(**task, receipt="", output_hash=cid_of(b"out")),
        table.jobs.insert().values(**job, output_hash=""),
    ]


def test_tasks_and_modules_of_an_older_database_keep_their_blobs_and_are_charged(
    store_url: str,
) -> None:
    from alembic import command

    import_all_tables()
    command.upgrade(config(store_url), "0003")
    engine = sa.create_engine(driver_url(store_url), poolclass=sa.pool.NullPool)
    with engine.begin() as connection:
        connection.execute(sa.text("INSERT INTO store_meta VALUES ('generation', 1)"))
        connection.execute(sa.text("INSERT INTO store_writer VALUES (1, 0, 0)"))
        for rows in released_rows():
            connection.execute(rows)

    async def main() -> None:
        store = await Store.open(url=store_url, clock=VirtualClock())
        references = References(metadata)
        for cid in map(cid_of, (b"m1", b"m2", b"m3", b"in", b"theirs", b"out")):
            assert await store.read(lambda tx, cid=cid: references.hold(tx, cid))
        assert not await store.read(lambda tx: references.hold(tx, cid_of(b"other")))
        assert await store.read(lambda tx: holdings.charged(tx, MARA)) == 340
        await store.close()

    asyncio.run(asyncio.wait_for(main(), 120))
