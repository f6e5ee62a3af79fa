"""What was accepted or taken survives the end of the process, and ends once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nodeimpl.compute import store as table
from nodeimpl.kernel.clock import RealClock
from opkit.proof.receipt import verify_receipt
from opkit.wire import compute as wire

RIVER, BRIGHT, HARBOR = (
    "river-city-tool-library",
    "brightworks-cooperative",
    "harbor-homes-cooperative",
)
MARA, HUGO = f"{RIVER}/mara", f"{BRIGHT}/hugo"
InTown = Callable[..., Any]
Module = Callable[[str], bytes]
SLOW = wire.TaskLimits(fuel=100_000_000_000, time_ms=700)
EXPIRED_MS = 60_000
"""So much later every manifest of a town has expired."""


async def receipts_of(at: Any) -> int:
    """Return how many receipts an executor has signed."""
    sequence, _ = await at.store.read(lambda tx: table.last_receipt(tx, at.store.generation))
    return int(sequence)


def test_a_local_task_that_was_running_runs_again_to_one_receipt(
    in_town: InTown, module: Module
) -> None:
    async def story(town: Any) -> None:
        await town.deploy(RIVER, module("spin"), member_id=MARA)
        manifest = town.manifest(MARA, module("spin"), b"", limits=SLOW)
        view = await town.submit(RIVER, manifest, b"", member_id=MARA)
        await town.at[RIVER].store.journal_grew(3)
        await town.close(RIVER)
        at = await town.open(RIVER)
        view = await town.result(RIVER, view.task_id, member_id=MARA)
        assert view.state is wire.TaskState.FAILED
        assert verify_receipt(town.bundle(view), genesis=town.world.view).ok
        assert await receipts_of(at) == 1

    in_town(story, RIVER)


def test_the_submitters_node_waits_again_after_a_restart(in_town: InTown, module: Module) -> None:
    async def story(town: Any) -> None:
        await town.deploy(RIVER, module("spin"), member_id=MARA)
        harbor = town.at[HARBOR]
        manifest = town.manifest(HUGO, module("spin"), b"", limits=SLOW, aud=harbor.did)
        view = await town.submit(BRIGHT, manifest, b"", member_id=HUGO)
        await harbor.store.journal_grew(1)
        await town.close(BRIGHT)
        await town.open(BRIGHT)
        view = await town.result(BRIGHT, view.task_id, member_id=HUGO)
        assert view.state is wire.TaskState.FAILED
        assert view.executor == harbor.did
        assert await receipts_of(harbor) == 1

    in_town(story, RIVER, HARBOR, BRIGHT)


def test_an_executor_that_restarts_runs_the_job_again(in_town: InTown, module: Module) -> None:
    async def story(town: Any) -> None:
        await town.deploy(RIVER, module("spin"), member_id=MARA)
        harbor = town.at[HARBOR]
        manifest = town.manifest(HUGO, module("spin"), b"", limits=SLOW, aud=harbor.did)
        view = await town.submit(BRIGHT, manifest, b"", member_id=HUGO)
        await harbor.store.journal_grew(1)
        await town.close(HARBOR)
        harbor = await town.open(HARBOR)
        view = await town.result(BRIGHT, view.task_id, member_id=HUGO)
        assert view.state is wire.TaskState.FAILED
        assert verify_receipt(town.bundle(view), genesis=town.world.view).ok
        assert await receipts_of(harbor) == 1

    in_town(story, RIVER, BRIGHT, HARBOR)


def test_a_task_for_any_moves_on_when_its_executor_stays_away(
    in_town: InTown, module: Module
) -> None:
    async def story(town: Any) -> None:
        from nodeimpl.compute.rules import Policy

        await town.open(BRIGHT, policy=Policy(accept_coops=frozenset()))
        for org in (RIVER, HARBOR):
            await town.deploy(org, module("spin"), member_id=MARA)
        # It is to run still when its executor goes, however late that is.
        limits = wire.TaskLimits(fuel=100_000_000_000, time_ms=3_000)
        manifest = town.manifest(HUGO, module("spin"), b"", limits=limits)
        view = await town.submit(BRIGHT, manifest, b"", member_id=HUGO)
        await town.at[BRIGHT].store.journal_grew(1)
        placed = await town.result(BRIGHT, view.task_id, member_id=HUGO, wait_ms=0)
        first = next(org for org in (RIVER, HARBOR) if town.at[org].did == placed.executor)
        await town.at[first].store.journal_grew(1)
        await town.close(first)
        view = await town.result(BRIGHT, view.task_id, member_id=HUGO)
        assert view.state is wire.TaskState.FAILED
        assert view.executor != placed.executor

    in_town(story, RIVER, HARBOR, silence_ms_max=200)


def test_a_task_that_expired_meanwhile_ends_as_refused(in_town: InTown, module: Module) -> None:
    async def story(town: Any) -> None:
        harbor_did = town.world.nodes[HARBOR].did
        manifest = town.manifest(HUGO, module("upper"), b"x", aud=harbor_did)
        view = await town.submit(BRIGHT, manifest, b"x", member_id=HUGO)
        await town.close(BRIGHT)
        town.clock = RealClock(skew_ms=EXPIRED_MS)
        await town.open(BRIGHT)
        view = await town.result(BRIGHT, view.task_id, member_id=HUGO)
        assert view.state is wire.TaskState.REFUSED
        assert view.problem is not None
        assert view.problem["code"] == "manifest-expired"

    in_town(story, BRIGHT)


def test_a_job_that_expired_in_the_queue_ends_as_refused(in_town: InTown, module: Module) -> None:
    async def story(town: Any) -> None:
        at = town.at[RIVER]
        manifest = town.manifest(MARA, module("upper"), b"x", aud=at.did)
        view = await town.submit(RIVER, manifest, b"x", member_id=MARA)
        await town.close(RIVER)
        town.clock = RealClock(skew_ms=EXPIRED_MS)
        await town.open(RIVER)
        view = await town.result(RIVER, view.task_id, member_id=MARA)
        assert view.state is wire.TaskState.REFUSED
        assert view.problem is not None
        assert view.problem["code"] == "manifest-expired"

    in_town(story, RIVER)
