"""Grants at work on real nodes: tasks in a member's name, within what the member signed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from nodeimpl.compute import grantbook as book
from nodeimpl.compute.granting import MessageTaken, Wanted
from nodeimpl.compute.peering import Peering
from opkit.proof import jws
from opkit.proof.cid import cid_of
from opkit.proof.grants import claimed_manifest, task_id_of
from opkit.proof.keys import Identity
from opkit.proof.receipt import verify_receipt
from opkit.wire import compute as wire
from opkit.wire import grants as granted
from opkit.wire.base import Jws
from opkit.wire.peer import OfferTask

RIVER, BRIGHT = "river-city-tool-library", "brightworks-cooperative"
MARA, HUGO = f"{RIVER}/mara", f"{BRIGHT}/hugo"
DAY_MS = 86_400_000
InTown = Callable[..., Any]
Module = Callable[[str], bytes]


def grant_of(town: Any, member_id: str = MARA, **changes: Any) -> Jws:
    """Return a grant that a member signed for River City's node."""
    now_ms = town.clock.now_ms()
    signer = changes.pop("signer", None) or town.world.members[member_id]
    fields = {
        "network": town.world.view.network,
        "aud": town.world.nodes[RIVER].did,
        "member_id": member_id,
        "did": signer.did,
        "fuel_max": 2_000_000_000,
        "tasks_max": 3,
        "issued_at_ms": now_ms,
        "lapses_at_ms": now_ms + DAY_MS,
    } | changes
    return jws.sign(granted.Grant(**fields), typ=granted.GRANT_TYP, identity=signer)


def wanted_of(module: bytes, stdin: bytes = b"x", **changes: Any) -> Wanted:
    fields: dict[str, Any] = {
        "wasm_hash": cid_of(module),
        "input_hash": cid_of(stdin),
        "stdin": stdin,
        "limits": None,
        "executor": "any",
        "message_id": "m1",
        "context_id": "c1",
    }
    return Wanted(**fields | changes)


async def give(town: Any, token: Jws, *, sender: str = MARA) -> granted.GrantHeld:
    at = town.at[RIVER]
    caller = at.caller(sender, town.world.members[sender].did)
    ask = granted.GiveGrant(grant=token)
    held: granted.GrantHeld = await at.store.write(
        lambda tx: at.compute.granting.give(tx, ask, caller, None)
    )
    return held


async def submit(town: Any, wanted: Wanted, *, sender: str = MARA) -> Any:
    at = town.at[RIVER]
    caller = at.caller(sender, town.world.members[sender].did)
    return await at.store.write(lambda tx: at.compute.granting.submit(tx, wanted, caller))


async def revoke(town: Any, grant_id: str, *, sender: str = MARA) -> granted.GrantHeld:
    at = town.at[RIVER]
    caller = at.caller(sender, town.world.members[sender].did)
    ask = granted.RevokeGrant(grant_id=grant_id)
    held: granted.GrantHeld = await at.store.write(
        lambda tx: at.compute.granting.revoke(tx, ask, caller, None)
    )
    return held


async def listed(town: Any, *, sender: str = MARA, **ask: Any) -> granted.GrantPage:
    at = town.at[RIVER]
    caller = at.caller(sender, town.world.members[sender].did)
    page: granted.GrantPage = await at.store.read(
        lambda tx: at.compute.granting.list(tx, granted.ListGrants(**ask), caller, None)
    )
    return page


def test_a_node_runs_a_task_in_the_name_of_who_granted_it(in_town: InTown, module: Module) -> None:
    async def story(town: Any) -> None:
        await town.deploy(RIVER, module("upper"), member_id=MARA)
        held = await give(town, grant_of(town))
        task, view = await submit(town, wanted_of(module("upper"), b"hello"))
        assert task.task_id == task_id_of(held.grant_id, 1) == view.task_id
        ended = await town.result(RIVER, task.task_id, member_id=MARA)
        assert (ended.state, ended.output_inline) == (wire.TaskState.DONE, b"HELLO")
        verdict = verify_receipt(town.bundle(ended), genesis=town.world.view)
        assert verdict.status == "verified", verdict.failures
        assert (await listed(town)).grants[0].tasks_used == 1
        assert (await town.at[RIVER].journal()).count("grants.given") == 1

    in_town(story, RIVER)


def test_another_node_executes_and_judges_for_itself(in_town: InTown, module: Module) -> None:
    async def story(town: Any) -> None:
        await town.deploy(BRIGHT, module("upper"), member_id=HUGO)
        await give(town, grant_of(town, module=cid_of(module("upper"))))
        bright = town.at[BRIGHT]
        task, _ = await submit(town, wanted_of(module("upper"), b"far", executor=bright.did))
        ended = await town.result(RIVER, task.task_id, member_id=MARA)
        assert (ended.state, ended.output_inline) == (wire.TaskState.DONE, b"FAR")
        assert ended.executor == bright.did
        assert verify_receipt(town.bundle(ended), genesis=town.world.view).status == "verified"

    in_town(story, RIVER, BRIGHT)


def forged(town: Any, module: bytes, **changes: Any) -> Jws:
    """Return what River City's node would sign if it went beyond its grant."""
    grant, now_ms = changes.pop("grant", grant_of(town)), town.clock.now_ms()
    place = changes.get("place", 1)
    fields = {
        "network": town.world.view.network,
        "aud": "any",
        "task_id": task_id_of(jws.record_id(grant), place),
        "member_id": MARA,
        "wasm_hash": cid_of(module),
        "input_hash": cid_of(b"x"),
        "limits": wire.TaskLimits(),
        "issued_at_ms": now_ms,
        "expires_at_ms": now_ms + 60_000,
        "place": place,
        "grant": grant,
    }
    signer = changes.pop("signer", town.world.nodes[RIVER])
    made = granted.GrantedManifest(**fields | changes)
    return jws.sign(made, typ=granted.GRANTED_TASK_TYP, identity=signer)


BEYOND: dict[str, tuple[Callable[[Any, bytes], Jws], str]] = {
    "more fuel": (
        lambda town, wasm: forged(town, wasm, limits=wire.TaskLimits(fuel=3_000_000_000)),
        "grant-fuel",
    ),
    "more tasks": (lambda town, wasm: forged(town, wasm, place=4), "grant-tasks"),
    "another module": (
        lambda town, wasm: forged(town, wasm, grant=grant_of(town, module=cid_of(b"other"))),
        "grant-module",
    ),
    "longer": (
        lambda town, wasm: forged(
            town, wasm, grant=grant_of(town, lapses_at_ms=town.clock.now_ms() + 1_000)
        ),
        "grant-term",
    ),
    "another task id": (lambda town, wasm: forged(town, wasm, task_id="0" * 32), "grant-task-id"),
    "another member": (
        lambda town, wasm: forged(town, wasm, member_id=HUGO),
        "signed by",
    ),
    "another node": (
        lambda town, wasm: forged(town, wasm, signer=town.world.nodes[BRIGHT]),
        "signed by",
    ),
    "no grant": (
        lambda town, wasm: forged(town, wasm, grant=grant_of(town, signer=Identity.generate())),
        "signed by",
    ),
}


@pytest.mark.parametrize("what", BEYOND)
def test_an_executor_refuses_a_node_that_goes_beyond_its_grant(
    in_town: InTown, module: Module, what: str
) -> None:
    make, why = BEYOND[what]

    async def story(town: Any) -> None:
        bright = town.at[BRIGHT]
        desk = Peering(bright.compute.parts, bright.compute.executor)
        manifest = make(town, module("upper"))
        with pytest.raises(wire.ManifestRejected, match=why):
            await desk.offer(
                town.world.nodes[RIVER].did, OfferTask(manifest=manifest, input_inline=b"x")
            )
        assert bright.compute.executor.jobs == 0

    in_town(story, BRIGHT)


def test_an_executor_runs_each_place_of_a_grant_once(in_town: InTown, module: Module) -> None:
    """A node that signs two tasks for one place finds nobody for the second."""

    async def story(town: Any) -> None:
        bright = town.at[BRIGHT]
        desk = Peering(bright.compute.parts, bright.compute.executor)
        grant, river = grant_of(town), town.world.nodes[RIVER].did
        while not bright.compute.executor._crew.runs:
            await asyncio.sleep(0.01)
        one = forged(town, module("upper"), grant=grant)
        other = forged(town, module("upper"), grant=grant, input_hash=cid_of(b"y"))
        await desk.offer(river, OfferTask(manifest=one, input_inline=b"x"))
        with pytest.raises(wire.TaskConflict):
            await desk.offer(river, OfferTask(manifest=other, input_inline=b"y"))

    in_town(story, BRIGHT)


def test_a_revoked_members_grants_are_good_nowhere(in_town: InTown, module: Module) -> None:
    async def story(town: Any) -> None:
        await town.deploy(RIVER, module("upper"), member_id=HUGO)
        held = await give(town, grant_of(town))
        river, bright = town.at[RIVER], town.at[BRIGHT]
        town.founders.revoke(MARA)
        await river.store.write(lambda tx: river.compute.member_revoked(tx, MARA))
        with pytest.raises(granted.GrantNeeded):
            await submit(town, wanted_of(module("upper")))
        desk = Peering(bright.compute.parts, bright.compute.executor)
        manifest = forged(town, module("upper"), grant=held.grant)
        with pytest.raises(wire.ManifestRejected, match="no active member"):
            await desk.offer(river.did, OfferTask(manifest=manifest, input_inline=b"x"))

    in_town(story, RIVER, BRIGHT)


def test_taking_a_grant_back_ends_what_runs_under_it(in_town: InTown, module: Module) -> None:
    async def story(town: Any) -> None:
        await town.deploy(RIVER, module("spin"), member_id=MARA)
        held = await give(town, grant_of(town, fuel_max=100_000_000_000))
        endless = wire.TaskLimits(fuel=100_000_000_000, time_ms=60_000)
        task, _ = await submit(town, wanted_of(module("spin"), limits=endless))
        gone = await revoke(town, held.grant_id)
        assert gone.state is granted.GrantState.REVOKED
        ended = await town.result(RIVER, task.task_id, member_id=MARA)
        assert ended.state is wire.TaskState.CANCELLED
        assert (await revoke(town, held.grant_id)).revoked_at_ms == gone.revoked_at_ms
        with pytest.raises(granted.GrantNeeded):
            await submit(town, wanted_of(module("spin"), message_id="m2"))
        with pytest.raises(granted.GrantTakenBack):
            await give(town, held.grant)
        assert (await town.at[RIVER].journal()).count("grants.revoked") == 1

    in_town(story, RIVER)


def test_nobody_sees_or_revokes_anothers_grant(in_town: InTown) -> None:
    async def story(town: Any) -> None:
        held = await give(town, grant_of(town))
        with pytest.raises(granted.GrantUnknown):
            await revoke(town, held.grant_id, sender=HUGO)
        assert (await listed(town, sender=HUGO)).grants == ()
        with pytest.raises(granted.GrantNotYours):
            await give(town, grant_of(town, HUGO))

    in_town(story, RIVER)


def test_a_grant_is_kept_once_and_pages_end(in_town: InTown) -> None:
    async def story(town: Any) -> None:
        tokens = [grant_of(town, tasks_max=place) for place in range(1, 4)]
        first = [(await give(town, token)).grant_id for token in tokens]
        assert [(await give(town, token)).grant_id for token in tokens] == first
        page = await listed(town, grants_max=2)
        rest = await listed(town, after=page.next_after, grants_max=2)
        assert [each.grant_id for each in (*page.grants, *rest.grants)] == sorted(first)
        assert rest.next_after == ""
        with pytest.raises(granted.GrantsFull):
            await give(town, grant_of(town, tasks_max=4))

    in_town(story, RIVER, grants_per_member_max=3)


def test_the_same_message_once_more_is_the_same_task(in_town: InTown, module: Module) -> None:
    async def story(town: Any) -> None:
        await town.deploy(RIVER, module("upper"), member_id=MARA)
        await give(town, grant_of(town))
        task, _ = await submit(town, wanted_of(module("upper")))
        assert await submit(town, wanted_of(module("upper"))) == (task, None)
        with pytest.raises(MessageTaken):
            await submit(town, wanted_of(module("upper"), b"another"))
        assert (await listed(town)).grants[0].tasks_used == 1

    in_town(story, RIVER)


def test_a_grant_is_used_up_and_its_taken_places_are_passed(
    in_town: InTown, module: Module
) -> None:
    """Who learned the grant may have squatted its next task id: that place is lost, no more."""

    async def story(town: Any) -> None:
        await town.deploy(RIVER, module("upper"), member_id=MARA)
        held = await give(town, grant_of(town))
        squatted = task_id_of(held.grant_id, 1)
        manifest = town.manifest(HUGO, module("upper"), b"x", task_id=squatted)
        await town.submit(RIVER, manifest, b"x", member_id=HUGO)
        for place in (2, 3):
            task, view = await submit(town, wanted_of(module("upper"), message_id=f"m{place}"))
            assert task.task_id == task_id_of(held.grant_id, place)
            assert claimed_manifest(view.manifest).model_dump()["place"] == place
        assert (await listed(town)).grants[0].state is granted.GrantState.USED_UP
        with pytest.raises(granted.GrantNeeded):
            await submit(town, wanted_of(module("upper"), message_id="m4"))

    in_town(story, RIVER)


def test_places_that_are_all_taken_use_a_grant_up(in_town: InTown, module: Module) -> None:
    async def story(town: Any) -> None:
        held = await give(town, grant_of(town, tasks_max=1))
        squatted = town.manifest(HUGO, module("upper"), b"x", task_id=task_id_of(held.grant_id, 1))
        await town.submit(RIVER, squatted, b"x", member_id=HUGO)
        with pytest.raises(granted.GrantNeeded):
            await submit(town, wanted_of(module("upper")))

    in_town(story, RIVER)


def test_the_grant_for_the_very_module_is_used_before_one_for_any(
    in_town: InTown, module: Module
) -> None:
    async def story(town: Any) -> None:
        await give(town, grant_of(town))
        own = await give(town, grant_of(town, module=cid_of(module("upper"))))
        task, _ = await submit(town, wanted_of(module("upper")))
        assert task.grant_id == own.grant_id
        too_much = wire.TaskLimits(fuel=2_000_000_001)
        for wanted in (
            wanted_of(module("upper"), limits=too_much, message_id="m2"),
            wanted_of(module("upper"), message_id="m3"),
        ):
            if wanted.limits is not None:
                with pytest.raises(granted.GrantNeeded):
                    await submit(town, wanted)
        at = town.at[RIVER]
        newest = await at.store.read(lambda tx: book.newest_tasks(tx, MARA, count=5))
        assert newest == [task]
        assert (
            await at.store.read(
                lambda tx: book.granted_task(tx, task_id=task.task_id, member_id=HUGO)
            )
            is None
        )

    in_town(story, RIVER)


@pytest.mark.parametrize("token", ["no.token", "a.b.c", "x"])
def test_nonsense_is_refused_as_a_grant(in_town: InTown, token: str) -> None:
    async def story(town: Any) -> None:
        with pytest.raises(granted.GrantRejected):
            await give(town, token)
        with pytest.raises(granted.GrantRejected, match="no member that is known"):
            await give(town, grant_of(town, "-/nobody", signer=Identity.generate()))

    in_town(story, RIVER)
