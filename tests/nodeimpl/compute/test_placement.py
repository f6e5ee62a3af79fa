"""Tasks that run on another node: chosen, fetched, believed only after checking."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from nodeimpl.compute.peering import Peering
from nodeimpl.compute.rules import Policy
from opkit.proof import jws
from opkit.proof.cid import cid_of
from opkit.proof.receipt import verify_receipt
from opkit.wire import compute as wire
from opkit.wire.base import Did
from opkit.wire.peer import AWAIT_TASK, LOAD, AskLoad, AwaitTask, DropTask, Load, OfferTask

RIVER, BRIGHT, HARBOR = (
    "river-city-tool-library",
    "brightworks-cooperative",
    "harbor-homes-cooperative",
)
MARA, HUGO = f"{RIVER}/mara", f"{BRIGHT}/hugo"
NOBODY = Policy(accept_coops=frozenset())
InTown = Callable[..., Any]
Module = Callable[[str], bytes]
ENDLESS = wire.TaskLimits(fuel=100_000_000_000, time_ms=60_000)


async def hugo_runs(town: Any, module: Any, stdin: bytes = b"x", **more: Any) -> wire.TaskView:
    """Have Hugo submit a task on BrightWorks' node, and wait for its end."""
    manifest = town.manifest(HUGO, module, stdin, **more)
    view = await town.submit(BRIGHT, manifest, stdin, member_id=HUGO)
    ended: wire.TaskView = await town.result(BRIGHT, view.task_id, member_id=HUGO)
    return ended


def test_the_named_executor_fetches_the_module_and_its_receipt_verifies(
    in_town: InTown, module: Module
) -> None:
    async def story(town: Any) -> None:
        await town.deploy(RIVER, module("upper"), member_id=MARA)
        harbor = town.at[HARBOR]
        view = await hugo_runs(town, module("upper"), aud=harbor.did)
        assert view.state is wire.TaskState.DONE
        assert view.output_inline == b"X"
        assert view.executor == harbor.did
        assert view.fetched is not None
        assert view.fetched.peer == town.at[RIVER].did
        assert verify_receipt(town.bundle(view), genesis=town.world.view).ok
        assert await harbor.journal() == [
            "compute.module-fetched",
            "compute.task-started",
            "compute.task-finished",
        ]
        assert await town.at[BRIGHT].journal() == [
            "compute.task-accepted",
            "compute.task-placed",
            "compute.task-ended",
        ]
        again = await hugo_runs(town, module("upper"), b"y", aud=harbor.did)
        assert again.fetched is None

    in_town(story, RIVER, BRIGHT, HARBOR)


def test_any_goes_to_a_peer_when_the_own_node_does_not_accept(
    in_town: InTown, module: Module
) -> None:
    async def story(town: Any) -> None:
        await town.open(BRIGHT, policy=NOBODY)
        await town.deploy(RIVER, module("upper"), member_id=MARA)
        view = await hugo_runs(town, module("upper"))
        assert view.state is wire.TaskState.DONE
        assert view.executor == town.at[RIVER].did

    in_town(story, RIVER)


def test_any_avoids_the_busy(in_town: InTown, module: Module) -> None:
    async def story(town: Any) -> None:
        await town.deploy(RIVER, module("spin"), member_id=MARA)
        await town.deploy(RIVER, module("upper"), member_id=MARA)
        bright = await town.open(BRIGHT, own_workers=True)
        manifest = town.manifest(HUGO, module("spin"), b"", limits=ENDLESS, aud=bright.did)
        await town.submit(BRIGHT, manifest, b"", member_id=HUGO)
        async with asyncio.timeout(30):
            while bright.compute.executor.jobs != 1:
                await asyncio.sleep(0.01)
        view = await hugo_runs(town, module("upper"))
        assert view.executor != bright.did

    in_town(story, RIVER, HARBOR)


def test_nobody_who_accepts_is_told_at_once(in_town: InTown, module: Module) -> None:
    async def story(town: Any) -> None:
        await town.open(RIVER, policy=NOBODY)
        await town.open(BRIGHT, policy=NOBODY)
        view = await hugo_runs(town, module("upper"))
        assert view.state is wire.TaskState.REFUSED
        assert view.problem is not None
        assert view.problem["code"] == "executor-unavailable"

    in_town(story)


def test_a_peer_that_says_nothing_of_its_load_is_asked_again(
    in_town: InTown, module: Module
) -> None:
    """Silence, for a second under load, is no refusal: a task for any waits for its placement."""

    async def story(town: Any) -> None:
        await town.open(BRIGHT, policy=NOBODY)
        river = town.at[RIVER]
        await town.deploy(RIVER, module("upper"), member_id=MARA)
        honest = Peering(river.compute.parts, river.compute.executor)
        asked = 0

        async def load(peer: Did, ask: AskLoad) -> Load:
            nonlocal asked
            asked += 1
            if asked == 1:
                raise RuntimeError("it cannot say now")
            return await honest.load(peer, ask)

        river.peers._handlers._handlers[LOAD.name] = load
        view = await hugo_runs(town, module("upper"))
        assert view.state is wire.TaskState.DONE
        assert asked >= 2

    in_town(story, RIVER)


def test_a_named_executor_that_comes_back_in_time_gets_the_task(
    in_town: InTown, module: Module
) -> None:
    async def story(town: Any) -> None:
        await town.deploy(RIVER, module("upper"), member_id=MARA)
        manifest = town.manifest(HUGO, module("upper"), b"x", aud=town.at[RIVER].did)
        await town.close(RIVER)
        view = await town.submit(BRIGHT, manifest, b"x", member_id=HUGO)
        await town.open(RIVER)
        view = await town.result(BRIGHT, view.task_id, member_id=HUGO)
        assert view.state is wire.TaskState.DONE

    in_town(story, RIVER, BRIGHT, placement_ms_max=30_000)


def test_the_named_executors_refusal_is_the_tasks_end(in_town: InTown, module: Module) -> None:
    async def story(town: Any) -> None:
        await town.open(HARBOR, policy=NOBODY)
        view = await hugo_runs(town, module("upper"), aud=town.at[HARBOR].did)
        assert view.state is wire.TaskState.REFUSED
        assert view.problem is not None
        assert view.problem["code"] == "submitter-not-accepted"

    in_town(story, BRIGHT)


def test_a_named_executor_that_is_away_is_waited_for_and_then_given_up(
    in_town: InTown, module: Module
) -> None:
    async def story(town: Any) -> None:
        view = await hugo_runs(town, module("upper"), aud=town.world.nodes[HARBOR].did)
        assert view.state is wire.TaskState.REFUSED
        assert view.problem is not None
        assert view.problem["code"] == "executor-unavailable"

    in_town(story, BRIGHT, placement_ms_max=200)


def test_a_module_that_nobody_has_ends_the_task_as_refused(in_town: InTown) -> None:
    async def story(town: Any) -> None:
        absent = cid_of(b"absent")
        view = await hugo_runs(town, absent, aud=town.at[HARBOR].did)
        assert view.state is wire.TaskState.REFUSED
        assert view.problem is not None
        assert view.problem["code"] == "module-unknown"

    in_town(story, BRIGHT, HARBOR)


def test_large_inputs_and_outputs_travel_as_blobs(in_town: InTown, module: Module) -> None:
    async def story(town: Any) -> None:
        stdin = b"ab" * 100_000
        await town.deploy(RIVER, module("upper"), member_id=MARA)
        bright = town.at[BRIGHT]
        await town.upload(BRIGHT, stdin, member_id=HUGO)
        manifest = town.manifest(HUGO, module("upper"), stdin, aud=town.at[HARBOR].did)
        view = await town.submit(BRIGHT, manifest, None, member_id=HUGO)
        view = await town.result(BRIGHT, view.task_id, member_id=HUGO)
        assert view.state is wire.TaskState.DONE
        assert view.output_inline is None
        got = await bright.compute.get_blob(wire.GetBlob(cid=view.output_hash), None)
        assert got.content == stdin.upper()

    in_town(story, RIVER, BRIGHT, HARBOR)


def test_a_small_input_that_was_uploaded_travels_with_the_offer(
    in_town: InTown, module: Module
) -> None:
    async def story(town: Any) -> None:
        await town.deploy(RIVER, module("upper"), member_id=MARA)
        await town.upload(BRIGHT, b"small", member_id=HUGO)
        manifest = town.manifest(HUGO, module("upper"), b"small", aud=town.at[HARBOR].did)
        view = await town.submit(BRIGHT, manifest, None, member_id=HUGO)
        view = await town.result(BRIGHT, view.task_id, member_id=HUGO)
        assert view.output_inline == b"SMALL"

    in_town(story, RIVER, BRIGHT, HARBOR)


def lying(at: Any, tamper: Callable[[wire.TaskView], wire.TaskView]) -> None:
    """Have an executor answer with tampered views from now on."""
    honest = Peering(at.compute.parts, at.compute.executor)

    async def wait(peer: Did, ask: AwaitTask) -> wire.TaskView:
        view = await honest.wait(peer, ask)
        return tamper(view) if view.state in wire.FINAL else view

    at.peers._handlers._handlers[AWAIT_TASK.name] = wait


def resigned(at: Any, view: wire.TaskView, **fields: Any) -> wire.TaskView:
    """Return the view with a receipt that the executor signed over other figures."""
    claims = wire.Receipt.model_validate(jws.peek(view.receipt or "").payload)
    receipt = claims.model_copy(update=fields)
    token = jws.sign(receipt, typ=wire.RECEIPT_TYP, identity=at.identity)
    return view.model_copy(update={"receipt": token})


LIES: dict[str, Callable[[Any, wire.TaskView], wire.TaskView]] = {
    "another output": lambda at, view: view.model_copy(update={"output_inline": b"lie"}),
    "another output hash": lambda at, view: view.model_copy(update={"output_hash": cid_of(b"l")}),
    "an output kept back": lambda at, view: view.model_copy(update={"output_inline": None}),
    "no receipt": lambda at, view: view.model_copy(update={"receipt": None}),
    "a damaged receipt": lambda at, view: view.model_copy(
        update={"receipt": (view.receipt or "")[:-4] + "AAAA"}
    ),
    "more fuel than allowed": lambda at, view: resigned(at, view, fuel_used=10**12),
    "another module": lambda at, view: resigned(at, view, wasm_hash=cid_of(b"other")),
    "another state": lambda at, view: view.model_copy(
        update={"state": wire.TaskState.FAILED, "output_hash": None, "output_inline": None}
    ),
}


@pytest.mark.parametrize("lie", LIES)
def test_an_executor_whose_word_does_not_verify_is_not_believed(
    in_town: InTown, module: Module, lie: str
) -> None:
    async def story(town: Any) -> None:
        await town.deploy(RIVER, module("upper"), member_id=MARA)
        harbor = town.at[HARBOR]
        lying(harbor, lambda view: LIES[lie](harbor, view))
        view = await hugo_runs(town, module("upper"), aud=harbor.did)
        assert view.state is wire.TaskState.REFUSED
        assert view.problem is not None
        assert view.problem["code"] == "executor-unavailable"
        assert view.receipt is None
        assert view.output_inline is None

    in_town(story, RIVER, BRIGHT, HARBOR)


def test_a_task_for_any_is_placed_elsewhere_after_a_lie(in_town: InTown, module: Module) -> None:
    async def story(town: Any) -> None:
        await town.open(BRIGHT, policy=NOBODY)
        await town.deploy(RIVER, module("upper"), member_id=MARA)
        first, second = sorted((town.at[RIVER], town.at[HARBOR]), key=lambda at: at.did)
        lying(first, lambda view: view.model_copy(update={"output_inline": b"lie"}))
        view = await hugo_runs(town, module("upper"))
        assert view.state is wire.TaskState.DONE
        assert view.executor == second.did
        assert view.output_inline == b"X"

    in_town(story, RIVER, HARBOR)


def test_cancelling_reaches_the_other_node(in_town: InTown, module: Module) -> None:
    async def story(town: Any) -> None:
        await town.deploy(RIVER, module("spin"), member_id=MARA)
        bright, harbor = town.at[BRIGHT], town.at[HARBOR]
        manifest = town.manifest(HUGO, module("spin"), b"", limits=ENDLESS, aud=harbor.did)
        view = await town.submit(BRIGHT, manifest, b"", member_id=HUGO)
        await harbor.store.journal_grew(1)
        caller = bright.caller(HUGO, "")
        ask = wire.CancelTask(task_id=view.task_id)
        await bright.store.write(lambda tx: bright.compute.cancel(tx, ask, caller, None))
        ended = await town.result(BRIGHT, view.task_id, member_id=HUGO)
        assert ended.state is wire.TaskState.CANCELLED
        assert verify_receipt(town.bundle(ended), genesis=town.world.view).ok
        assert town.sandbox.running == 0

    in_town(story, RIVER, BRIGHT, HARBOR)


def test_a_peer_sees_and_drops_only_what_it_offered(in_town: InTown, module: Module) -> None:
    async def story(town: Any) -> None:
        await town.deploy(RIVER, module("upper"), member_id=MARA)
        river = town.at[RIVER]
        desk = Peering(river.compute.parts, river.compute.executor)
        manifest = town.manifest(HUGO, module("upper"), b"x", aud=river.did)
        offer = OfferTask(manifest=manifest, input_inline=b"x")
        taken = await desk.offer(town.at[BRIGHT].did, offer)
        assert taken == await desk.offer(town.at[BRIGHT].did, offer)
        theirs = await desk.wait(
            town.at[BRIGHT].did, AwaitTask(manifest_hash=taken.manifest_hash, wait_ms=30_000)
        )
        assert theirs.state is wire.TaskState.DONE
        for ask, handler in (
            (AwaitTask(manifest_hash=taken.manifest_hash, wait_ms=0), desk.wait),
            (DropTask(manifest_hash=taken.manifest_hash), desk.drop),
        ):
            with pytest.raises(wire.TaskUnknown):
                await handler(town.world.nodes[HARBOR].did, ask)

    in_town(story, RIVER, BRIGHT)


def test_a_node_says_how_busy_it_is_and_whom_it_accepts(in_town: InTown) -> None:
    async def story(town: Any) -> None:
        river = town.at[RIVER]
        desk = Peering(river.compute.parts, river.compute.executor)
        load = await desk.load(town.world.nodes[BRIGHT].did, AskLoad(member_id=HUGO))
        assert (load.running, load.waiting, load.slots, load.accepts) == (0, 0, 2, True)
        assert load.engine == town.sandbox.engine
        stranger = await desk.load(town.world.nodes[BRIGHT].did, AskLoad(member_id="-/x"))
        assert not stranger.accepts

    in_town(story, RIVER)


def test_the_executor_judges_for_itself(in_town: InTown, module: Module) -> None:
    async def story(town: Any) -> None:
        river = town.at[RIVER]
        desk = Peering(river.compute.parts, river.compute.executor)

        async def refused(leaf: type[Exception], **more: Any) -> None:
            manifest = town.manifest(HUGO, module("upper"), b"x", **more)
            with pytest.raises(leaf):
                await desk.offer(town.world.nodes[BRIGHT].did, OfferTask(manifest=manifest))

        await refused(wire.ManifestRejected, aud=town.world.nodes[HARBOR].did)
        await refused(wire.ManifestExpired, issued_at_ms=1, expires_at_ms=2)
        await refused(wire.LimitsExcessive, limits=wire.TaskLimits(time_ms=5_000))
        town.founders.revoke(HUGO)
        await refused(wire.ManifestRejected)

    in_town(story, RIVER, time_ms_max=1_000)


def test_a_full_queue_passes_and_the_offer_is_made_again(in_town: InTown, module: Module) -> None:
    async def story(town: Any) -> None:
        await town.deploy(RIVER, module("spin"), member_id=MARA)
        harbor = town.at[HARBOR]
        limits = wire.TaskLimits(fuel=100_000_000_000, time_ms=300)
        ids = []
        for _ in range(2):
            manifest = town.manifest(HUGO, module("spin"), b"", limits=limits, aud=harbor.did)
            ids.append((await town.submit(BRIGHT, manifest, b"", member_id=HUGO)).task_id)
        for task_id in ids:
            view = await town.result(BRIGHT, task_id, member_id=HUGO)
            assert view.state is wire.TaskState.FAILED

    in_town(story, RIVER, BRIGHT, HARBOR, queue_max=1)


def test_the_policy_of_a_node_names_single_members(in_town: InTown) -> None:
    policy = replace(NOBODY, accept_members=frozenset({HUGO}))
    assert policy.accepts(HUGO)
