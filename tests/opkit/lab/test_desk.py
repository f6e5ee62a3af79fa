"""A network on a desk: everything by name, asked for and drawn, on real nodes in this process."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

import opkit
from devnet import drawn
from devnet.inprocess import open_inprocess
from devnet.lab import run_again
from flows import FLOWS
from flows.modules import module
from opkit.lab import Desk, open_desk
from opkit.lab.desk import bundle_of
from opkit.views.reproverlay import Reached
from opkit.wire.compute import BlobUnknown, Outcome, ReceiptBundle, TaskLimits, TaskUnknown

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

DEADLINE_S = 90
RIVER, BRIGHT, HARBOR = (
    "river-city-tool-library",
    "brightworks-cooperative",
    "harbor-homes-cooperative",
)


def on_a_desk(work: Callable[[Desk], Awaitable[None]]) -> None:
    """Do `work` on a fresh network of three nodes."""

    async def go() -> None:
        async with asyncio.timeout(DEADLINE_S):
            net = await open_desk(open_inprocess("three", seed=7), flows=FLOWS)
            try:
                await work(net)
            finally:
                await net.close()

    asyncio.run(go())


def test_everything_is_found_by_name():
    async def work(net: Desk) -> None:
        assert sorted(net.nodes) == sorted([RIVER, BRIGHT, HARBOR])
        assert net.nodes.harbor.org == HARBOR
        assert net.nodes["river"].title == "River City Tool Library"
        assert net.members.mara.member_id == f"{RIVER}/mara"
        assert net.members.hugo.coop == BRIGHT
        assert net.flows.a is FLOWS["a"]
        assert "harbor_homes_cooperative" in dir(net.nodes)
        drawn = net._repr_html_()
        for typed in ("net.nodes.harbor_homes_cooperative", "net.members.hugo", "net.flows.a"):
            assert typed in drawn
        assert "Hugo, secretary" in net.members.hugo._repr_html_()
        assert net.nodes.harbor.url in net.nodes.harbor._repr_html_()
        with pytest.raises(ValueError, match="are no processes"):
            _ = net.chaos

    on_a_desk(work)


def test_a_fresh_network_says_what_there_is_and_what_to_do_for_more():
    async def work(net: Desk) -> None:
        status = await net.status()
        assert [now.up for now in status] == [True] * 3
        assert {now.peers for now in status} == {2}
        assert len(opkit.frame(await net.peers())) == 6
        for empty, words in (
            (await net.modules(), "No module yet."),
            (await net.tasks(), "No task yet."),
            (await net.receipts(), "No receipt yet."),
        ):
            assert len(empty) == 0
            assert words in str(empty._repr_html_())
            assert len(opkit.frame(empty).columns) > 4
        members = await net.nodes.river.members()
        assert f"{BRIGHT}/hugo" in {member.member_id for member in members}
        events = await net.events(of="network.")
        assert {entry.type for entry in events[HARBOR]} == {"network.peer-connected"}
        assert len(await net.nodes.harbor.events(2)) == 2
        assert "is linked to" in str(events[HARBOR]._repr_html_())

    on_a_desk(work)


def test_a_member_has_a_task_run_and_everybody_can_check_it():
    async def work(net: Desk) -> None:
        program = await net.members.mara.deploy(module("upper"), name="upper")
        result = await net.members.hugo.run(program, "hello", at="harbor")
        assert result.output == b"HELLO"
        by_hash = await net.members.leila.run(program.wasm_hash, b"again", at="harbor")
        assert by_hash.output == b"AGAIN"
        limits = TaskLimits(fuel=100)
        short = await net.members.hugo.run(program, "hello", at="river", limits=limits)
        assert short.outcome is Outcome.FUEL
        tasks = await net.tasks()
        assert [task.task_id for task in tasks] == [
            short.view.task_id, by_hash.view.task_id, result.view.task_id,
        ]  # fmt: skip
        assert len(await net.tasks(2)) == 2
        assert (await net.nodes.bright.task(result.view.task_id)).state == "done"
        assert [each.wasm_hash for each in await net.modules()] == [program.wasm_hash]
        receipts = await net.receipts()
        assert all(net.verify(each).status == "verified" for each in receipts)
        assert net.verify(result).checks == net.verify(result.view).checks
        forged = ReceiptBundle(receipt=result.bundle.receipt, manifest=by_hash.bundle.manifest)
        assert net.verify(forged).status == "failed"

    on_a_desk(work)


def test_a_receipt_is_run_again_and_one_whose_input_is_gone_cannot_be():
    async def work(net: Desk) -> None:
        program = await net.members.mara.deploy(module("upper"), name="upper")
        result = await net.members.hugo.run(program, "hello", at="harbor")
        again = await run_again(net, result)
        assert again.status == "verified"
        assert [check.name for check in again.checks][-4:] == [
            "outcome", "reason", "output", "fuel",
        ]  # fmt: skip
        elsewhere = await open_desk(open_inprocess("three", seed=7))
        try:
            with pytest.raises(BlobUnknown):
                await run_again(elsewhere, result)
        finally:
            await elsewhere.close()

    on_a_desk(work)


def test_two_nodes_are_compared():
    async def work(net: Desk) -> None:
        await net.members.mara.deploy(module("upper"), name="upper")
        said = await net.compare("river", "harbor")
        rows = {row.what: row for row in said.rows}
        assert rows["engine"].same
        assert rows["sees the other"].one == rows["sees the other"].other == "yes"
        assert rows["modules given"].one == "1, of them only here: upper"
        assert not rows["modules given"].same
        assert rows["modules given"] in said.differences
        drawn = said._repr_html_()
        assert drawn.index("modules given") < drawn.index("network")
        assert len(opkit.frame(said.rows)) == len(said.rows)

    on_a_desk(work)


def test_a_silent_node_is_shown_as_one_and_refusals_are_raised():
    async def work(net: Desk) -> None:
        with pytest.raises(TaskUnknown):
            await net.nodes.harbor.task("0" * 32)
        await net.world.kill(HARBOR)
        by_org = {now.org: now for now in await net.status()}
        assert not by_org[HARBOR].up
        assert by_org[HARBOR].why
        assert by_org[RIVER].up
        assert "silent" in by_org[HARBOR]._repr_html_()

    on_a_desk(work)


def test_a_task_without_a_receipt_cannot_be_verified():
    async def work(net: Desk) -> None:
        program = await net.members.mara.deploy(module("upper"), name="upper")
        result = await net.members.hugo.run(program, "", at="harbor")
        with pytest.raises(ValueError, match="has no receipt"):
            bundle_of(result.view.model_copy(update={"receipt": None}))

    on_a_desk(work)


def test_what_cannot_be_opened_says_why():
    async def closed() -> None:
        raise LookupError("the bakery is closed")

    with pytest.raises(LookupError, match="closed"):
        asyncio.run(open_desk(closed()))


def test_a_note_is_published_seen_to_spread_and_found_from_elsewhere():
    async def work(net: Desk) -> None:
        mara = net.members.mara
        reached = await net.spread(mara, "hours", "Mon 9-12")
        assert sorted(one.org for one in reached) == sorted([RIVER, BRIGHT, HARBOR])
        assert all(one.after_us is not None for one in reached)
        assert "River City Tool Library" in reached._repr_html_()
        assert "3 of 3 nodes" in repr(drawn.spread(reached))
        assert "<svg" in drawn.spread(reached)._repr_html_()
        found = await net.nodes.harbor.records("note", mara.note_name("hours"))
        assert opkit.frame(found)["value_text"].tolist() == ["Mon 9-12"]
        route = await net.nodes.harbor.route("note", mara.note_name("hours"))
        assert {one.did for one in route.contacts} <= {node.did for node in net.nodes.values()}
        told = await net.nodes.river.overlay()
        assert next(one.records for one in told.sets if one.namespace == "note") == 1
        later = await net.spread(mara, "hours", "Mon 9-13")
        assert len(later) == 3

    on_a_desk(work)


def test_a_record_that_reached_nobody_is_drawn_without_a_time():
    nobody = [Reached(org="x", title="X", after_us=None)]
    assert "0 of 1 nodes were seen to have it after no time" in repr(drawn.spread(nobody))
