"""Who may have a manifest run, and that nobody takes a task away by offering it first."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from nodeimpl.compute import store as table
from nodeimpl.compute.peering import Peering
from nodeimpl.kernel.clock import RealClock
from opkit.proof import jws
from opkit.proof.cid import cid_of
from opkit.proof.keys import Identity
from opkit.proof.receipt import verify_receipt
from opkit.wire import compute as wire
from opkit.wire.base import Did
from opkit.wire.errors import Refusal
from opkit.wire.gateway import TokenRejected
from opkit.wire.peer import AWAIT_TASK, AwaitTask, DropTask, OfferTask

RIVER, BRIGHT, HARBOR = (
    "river-city-tool-library",
    "brightworks-cooperative",
    "harbor-homes-cooperative",
)
MARA, HUGO = f"{RIVER}/mara", f"{BRIGHT}/hugo"
InTown = Callable[..., Any]
Module = Callable[[str], bytes]
DAY_MS = 86_400_000
ENDLESS = wire.TaskLimits(fuel=100_000_000_000, time_ms=60_000)


class Jumping(RealClock):
    """The machine's clock, and what it is put ahead by."""

    ahead_ms = 0

    def now_ms(self) -> int:
        return super().now_ms() + self.ahead_ms


def desk_of(at: Any) -> Peering:
    """Return what a node answers its peers with."""
    return Peering(at.compute.parts, at.compute.executor)


async def receipts_of(at: Any) -> int:
    """Return how many receipts an executor has signed."""
    sequence, _ = await at.store.read(lambda tx: table.last_receipt(tx, at.store.generation))
    return int(sequence)


def test_a_stranger_has_no_manifest_run(in_town: InTown, module: Module) -> None:
    async def story(town: Any) -> None:
        river = town.at[RIVER]
        manifest = town.manifest(HUGO, module("upper"), b"x")
        with pytest.raises(wire.ManifestRejected, match="no node of the network"):
            await desk_of(river).offer(Identity.generate().did, OfferTask(manifest=manifest))
        assert await receipts_of(river) == 0

    in_town(story, RIVER)


def test_offering_a_seen_manifest_first_takes_the_task_from_nobody(
    in_town: InTown, module: Module
) -> None:
    async def story(town: Any) -> None:
        await town.deploy(RIVER, module("upper"), member_id=MARA)
        river = town.at[RIVER]
        manifest = town.manifest(HUGO, module("upper"), b"x", aud=river.did)
        thief = town.world.nodes[HARBOR].did
        await desk_of(river).offer(thief, OfferTask(manifest=manifest, input_inline=b"x"))
        view = await town.submit(BRIGHT, manifest, b"x", member_id=HUGO)
        ended = await town.result(BRIGHT, view.task_id, member_id=HUGO)
        assert ended.state is wire.TaskState.DONE
        assert verify_receipt(town.bundle(ended), genesis=town.world.view).ok
        assert await receipts_of(river) == 1

    in_town(story, RIVER, BRIGHT)


@pytest.mark.parametrize("had_ended", [False, True])
def test_a_task_that_a_peer_offered_before_its_member_did_ends_for_both(
    in_town: InTown, module: Module, had_ended: bool
) -> None:
    async def story(town: Any) -> None:
        await town.deploy(RIVER, module("spin"), member_id=MARA)
        river, peer = town.at[RIVER], town.world.nodes[HARBOR].did
        limits = wire.TaskLimits(fuel=100_000_000_000, time_ms=300)
        manifest = town.manifest(MARA, module("spin"), b"", aud=river.did, limits=limits)
        taken = await desk_of(river).offer(peer, OfferTask(manifest=manifest, input_inline=b""))
        ask = AwaitTask(manifest_hash=taken.manifest_hash, wait_ms=30_000)
        if had_ended:
            await desk_of(river).wait(peer, ask)
        view = await town.submit(RIVER, manifest, b"", member_id=MARA)
        ended = await town.result(RIVER, view.task_id, member_id=MARA)
        assert ended.state is wire.TaskState.FAILED
        theirs = await desk_of(river).wait(peer, ask)
        assert theirs.receipt == ended.receipt
        assert await receipts_of(river) == 1

    in_town(story, RIVER)


def test_a_job_that_two_nodes_offered_ends_only_when_both_drop_it(
    in_town: InTown, module: Module
) -> None:
    async def story(town: Any) -> None:
        await town.deploy(RIVER, module("spin"), member_id=MARA)
        river = town.at[RIVER]
        manifest = town.manifest(HUGO, module("spin"), b"", aud=river.did, limits=ENDLESS)
        both = [town.world.nodes[org].did for org in (BRIGHT, HARBOR)]
        for peer in both:
            taken = await desk_of(river).offer(peer, OfferTask(manifest=manifest))
        drop = DropTask(manifest_hash=taken.manifest_hash)
        await desk_of(river).drop(both[1], drop)
        await desk_of(river).drop(both[1], drop)
        row = await river.store.read(lambda tx: table.job(tx, taken.manifest_hash))
        assert not row.cancelling
        await desk_of(river).drop(both[0], drop)
        ask = AwaitTask(manifest_hash=taken.manifest_hash, wait_ms=30_000)
        for peer in both:
            view = await desk_of(river).wait(peer, ask)
            assert view.state is wire.TaskState.CANCELLED

    in_town(story, RIVER)


def test_one_task_id_under_many_offers_at_once_gives_one_receipt(
    in_town: InTown, module: Module
) -> None:
    async def story(town: Any) -> None:
        await town.deploy(RIVER, module("upper"), member_id=MARA)
        river = town.at[RIVER]
        manifest = town.manifest(HUGO, module("upper"), b"x", aud=river.did)
        offer = OfferTask(manifest=manifest, input_inline=b"x")
        peers = [town.world.nodes[org].did for org in (BRIGHT, HARBOR)] * 8
        taken = await asyncio.gather(*(desk_of(river).offer(peer, offer) for peer in peers))
        assert len({each.manifest_hash for each in taken}) == 1
        ask = AwaitTask(manifest_hash=taken[0].manifest_hash, wait_ms=30_000)
        views = await asyncio.gather(*(desk_of(river).wait(peer, ask) for peer in peers))
        assert len({view.receipt for view in views}) == 1
        assert await receipts_of(river) == 1
        assert (await river.journal()).count("compute.task-finished") == 1

    in_town(story, RIVER)


def test_a_failed_task_shows_no_output_that_no_receipt_names(
    in_town: InTown, module: Module
) -> None:
    async def story(town: Any) -> None:
        await town.deploy(RIVER, module("spin"), member_id=MARA)
        harbor = town.at[HARBOR]
        honest = desk_of(harbor)

        async def wait(peer: Did, ask: AwaitTask) -> wire.TaskView:
            view = await honest.wait(peer, ask)
            if view.state not in wire.FINAL:
                return view
            claims = wire.Receipt.model_validate(jws.peek(view.receipt or "").payload)
            receipt = claims.model_copy(update={"output_bytes": 100_000})
            signed = jws.sign(receipt, typ=wire.RECEIPT_TYP, identity=harbor.identity)
            shown = {"receipt": signed, "output_hash": cid_of(module("spin"))}
            return view.model_copy(update=shown)

        harbor.peers._handlers._handlers[AWAIT_TASK.name] = wait
        limits = wire.TaskLimits(fuel=100_000, time_ms=5_000)
        manifest = town.manifest(HUGO, module("spin"), b"", aud=harbor.did, limits=limits)
        view = await town.submit(BRIGHT, manifest, b"", member_id=HUGO)
        ended = await town.result(BRIGHT, view.task_id, member_id=HUGO)
        assert ended.state is wire.TaskState.REFUSED
        assert ended.output_hash is None

    in_town(story, RIVER, BRIGHT, HARBOR)


def test_an_executor_that_never_ends_and_never_waits_is_given_up_and_not_hurried(
    in_town: InTown, module: Module
) -> None:
    async def story(town: Any) -> None:
        town.clock = clock = Jumping()
        await town.open(BRIGHT)
        harbor = await town.open(HARBOR)
        honest, asked_s = desk_of(harbor), list[float]()

        async def wait(peer: Did, ask: AwaitTask) -> wire.TaskView:
            asked_s.append(time.monotonic())
            view = await honest.wait(peer, AwaitTask(manifest_hash=ask.manifest_hash, wait_ms=0))
            running = {"state": wire.TaskState.RUNNING, "problem": None}
            return view.model_copy(update=running)

        harbor.peers._handlers._handlers[AWAIT_TASK.name] = wait
        manifest = town.manifest(HUGO, module("upper"), b"", aud=harbor.did)
        view = await town.submit(BRIGHT, manifest, b"", member_id=HUGO)
        while len(asked_s) < 5:
            await asyncio.sleep(0.01)
        clock.ahead_ms = DAY_MS
        ended = await town.result(BRIGHT, view.task_id, member_id=HUGO)
        assert ended.state is wire.TaskState.REFUSED
        assert ended.problem is not None
        assert ended.problem["code"] == "manifest-expired"
        assert asked_s[4] - asked_s[0] > 0.6, "after a longer pause each time"

    in_town(story)


@pytest.mark.parametrize("said", [TokenRejected(why="log in again"), None])
def test_an_executor_ends_a_task_only_with_what_ends_tasks(
    in_town: InTown, module: Module, said: Refusal | None
) -> None:
    async def story(town: Any) -> None:
        harbor = town.at[HARBOR]
        honest = desk_of(harbor)

        async def wait(peer: Did, ask: AwaitTask) -> wire.TaskView:
            view = await honest.wait(peer, AwaitTask(manifest_hash=ask.manifest_hash, wait_ms=0))
            problem = None if said is None else said.problem()
            refused = {"state": wire.TaskState.REFUSED, "problem": problem}
            return view.model_copy(update=refused)

        harbor.peers._handlers._handlers[AWAIT_TASK.name] = wait
        manifest = town.manifest(HUGO, module("upper"), b"", aud=harbor.did)
        view = await town.submit(BRIGHT, manifest, b"", member_id=HUGO)
        ended = await town.result(BRIGHT, view.task_id, member_id=HUGO)
        assert ended.state is wire.TaskState.REFUSED
        assert ended.problem is not None
        assert ended.problem["code"] == "executor-unavailable"

    in_town(story, BRIGHT, HARBOR)
