"""Modules, contents and tasks on one node, over a real store and real workers."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from typing import Any

import pytest

from nodeimpl.compute import executor
from nodeimpl.compute import replay as replaying
from nodeimpl.compute import routes as compute_routes
from opkit.proof.cid import cid_of
from opkit.proof.keys import Identity
from opkit.proof.membership import OPERATOR_ID
from opkit.proof.receipt import verify_chain, verify_receipt
from opkit.wire import compute as wire
from opkit.wire import grants

RIVER = "river-city-tool-library"
MARA, THEO = f"{RIVER}/mara", f"{RIVER}/theo"
InTown = Callable[..., Any]
Module = Callable[[str], bytes]
ENDLESS = wire.TaskLimits(fuel=100_000_000_000, time_ms=60_000)


async def run_here(town: Any, module: bytes, stdin: bytes, **more: Any) -> wire.TaskView:
    """Have Mara submit a task on River City's node, and wait for its end."""
    manifest = town.manifest(MARA, module, stdin, **more)
    view = await town.submit(RIVER, manifest, stdin, member_id=MARA)
    ended: wire.TaskView = await town.result(RIVER, view.task_id, member_id=MARA)
    return ended


def test_a_module_is_kept_once_and_belongs_to_who_brought_it(
    in_town: InTown, module: Module
) -> None:
    async def story(town: Any) -> None:
        first = await town.deploy(RIVER, module("upper"), member_id=MARA)
        second = await town.deploy(RIVER, module("upper"), member_id=THEO)
        assert first == second
        assert first.wasm_hash == cid_of(module("upper"))
        assert first.owner == MARA
        assert await town.at[RIVER].journal() == ["compute.module-deployed"]
        at = town.at[RIVER]
        got = await at.store.read(
            lambda tx: at.compute.get_module(
                tx, wire.GetModule(wasm_hash=first.wasm_hash), None, None
            )
        )
        assert got == first

    in_town(story, RIVER)


def test_what_is_no_module_is_not_kept(in_town: InTown) -> None:
    async def story(town: Any) -> None:
        for bad in (b"", b"no module", bytes(wire.MODULE_BYTES_MAX + 1)):
            with pytest.raises(wire.ModuleInvalid):
                await town.deploy(RIVER, bad, member_id=MARA)
        assert town.at[RIVER].blobs.usage()[0] == 0

    in_town(story, RIVER)


def test_a_hash_that_is_none_and_one_that_nobody_has_are_told_apart(in_town: InTown) -> None:
    async def story(town: Any) -> None:
        at = town.at[RIVER]

        def ask(wasm_hash: str) -> Any:
            wanted = wire.GetModule(wasm_hash=wasm_hash)
            return at.store.read(lambda tx: at.compute.get_module(tx, wanted, None, None))

        with pytest.raises(wire.HashMalformed):
            await ask("bafynot")
        with pytest.raises(wire.ModuleUnknown):
            await ask(cid_of(b"nowhere"))
        with pytest.raises(wire.HashMalformed):
            await at.compute.get_blob(wire.GetBlob(cid="bafynot"), None)
        with pytest.raises(wire.BlobUnknown):
            await at.compute.get_blob(wire.GetBlob(cid=cid_of(b"nowhere")), None)

    in_town(story, RIVER)


def test_modules_are_listed_by_owner_page_by_page(
    in_town: InTown, wat: Callable[..., bytes]
) -> None:
    async def story(town: Any) -> None:
        at, hashes = town.at[RIVER], []
        for n in range(5):
            made = wat(f'(func (export "_start") (drop (i32.const {n})))')
            owner = MARA if n % 2 == 0 else THEO
            hashes.append((await town.deploy(RIVER, made, member_id=owner)).wasm_hash)

        async def pages(owner: str) -> list[list[str]]:
            after, found = "", []
            while True:
                ask = wire.ListModules(owner=owner, after=after, modules_max=2)
                page = await at.store.read(
                    lambda tx, ask=ask: at.compute.list_modules(tx, ask, None, None)
                )
                found.append([info.wasm_hash for info in page.modules])
                after = page.next_after
                if not after:
                    return found

        assert await pages("") == [hashes[:2], hashes[2:4], hashes[4:]]
        assert await pages(MARA) == [[hashes[0], hashes[2]], [hashes[4]]]
        assert await pages("nobody/x") == [[]]
        lost = wire.ListModules(after=cid_of(b"never"))
        page = await at.store.read(lambda tx: at.compute.list_modules(tx, lost, None, None))
        assert page.modules == ()

    in_town(story, RIVER)


def test_a_task_runs_in_two_commits_and_its_receipt_verifies(
    in_town: InTown, module: Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    # However busy the machine is, this run counts as a short one.
    monkeypatch.setattr(executor, "STARTED_AFTER_S", 20)

    async def story(town: Any) -> None:
        await town.deploy(RIVER, module("upper"), member_id=MARA)
        at = town.at[RIVER]
        before = at.store.figures().commits
        view = await run_here(town, module("upper"), b"bolts")
        assert at.store.figures().commits - before == 2
        assert view.state is wire.TaskState.DONE
        assert view.output_inline == b"BOLTS"
        assert view.output_hash == cid_of(b"BOLTS")
        assert view.executor == at.did
        verdict = verify_receipt(town.bundle(view), genesis=town.world.view)
        assert verdict.ok, [check for check in verdict.checks if not check.ok]
        assert (await at.journal())[1:] == [
            "compute.task-accepted",
            "compute.task-placed",
            "compute.task-started",
            "compute.task-finished",
            "compute.task-ended",
        ]
        for name in (view.output_hash, cid_of(b"bolts"), cid_of(b"")):
            assert await at.compute.get_blob(wire.GetBlob(cid=name), None) is not None

    in_town(story, RIVER)


def test_a_short_task_is_read_once_when_it_has_ended(in_town: InTown, module: Module) -> None:
    """Its input is at hand, and who waits for it need not look first whether it has ended."""

    async def story(town: Any) -> None:
        await town.deploy(RIVER, module("upper"), member_id=MARA)
        at, long = town.at[RIVER], b"b" * (executor.CARRIED_BYTES_MAX + 1)
        for stdin, reads in ((b"bolts", 1), (long, 2)):
            before = at.store.figures().reads
            view = await run_here(town, module("upper"), stdin)
            assert view.output_inline == stdin.upper()
            assert at.store.figures().reads - before == reads

    in_town(story, RIVER)


def test_who_waits_is_told_in_time_how_a_task_does_and_others_that_there_is_none(
    in_town: InTown, module: Module
) -> None:
    async def story(town: Any) -> None:
        await town.deploy(RIVER, module("spin"), member_id=MARA)
        at = town.at[RIVER]
        manifest = town.manifest(MARA, module("spin"), b"", limits=ENDLESS)
        view = await town.submit(RIVER, manifest, b"", member_id=MARA)
        seen = await town.result(RIVER, view.task_id, member_id=MARA, wait_ms=50)
        assert seen.state not in wire.FINAL
        with pytest.raises(wire.TaskUnknown):
            await asyncio.wait_for(town.result(RIVER, view.task_id, member_id=THEO), 10)
        waiting = asyncio.create_task(town.result(RIVER, view.task_id, member_id=MARA))
        ask = wire.CancelTask(task_id=view.task_id)
        await at.store.write(lambda tx: at.compute.cancel(tx, ask, at.caller(MARA, ""), None))
        assert (await waiting).state is wire.TaskState.CANCELLED
        assert at.compute.placement.progress.under_way == {}

    in_town(story, RIVER)


def test_receipts_form_one_chain_also_over_a_restart(in_town: InTown, module: Module) -> None:
    async def story(town: Any) -> None:
        await town.deploy(RIVER, module("upper"), member_id=MARA)
        receipts = [(await run_here(town, module("upper"), b"1")).receipt]
        views = await asyncio.gather(
            *(run_here(town, module("upper"), bytes([n])) for n in range(6))
        )
        await town.close(RIVER)
        await town.open(RIVER)
        views.append(await run_here(town, module("upper"), b"last"))
        receipts += [view.receipt for view in views]

        def place(token: str) -> int:
            from nodeimpl.compute.verdicts import receipt_of

            return receipt_of(token).sequence

        chain = sorted(receipts, key=place)
        assert [place(token) for token in chain] == list(range(1, 9))
        assert verify_chain(chain, genesis=town.world.view).ok

    in_town(story, RIVER)


def test_the_same_manifest_again_is_the_same_task(in_town: InTown, module: Module) -> None:
    async def story(town: Any) -> None:
        await town.deploy(RIVER, module("upper"), member_id=MARA)
        manifest = town.manifest(MARA, module("upper"), b"x")
        first = await town.submit(RIVER, manifest, b"x", member_id=MARA)
        done = await town.result(RIVER, first.task_id, member_id=MARA)
        again = await town.submit(RIVER, manifest, b"x", member_id=MARA)
        assert again == done
        assert (await town.at[RIVER].journal()).count("compute.task-finished") == 1

    in_town(story, RIVER)


def test_who_may_submit_what_is_judged_by_signature_member_and_time(
    in_town: InTown, module: Module
) -> None:
    async def story(town: Any) -> None:
        wasm, now_ms = module("upper"), town.clock.now_ms()

        async def refused(leaf: type[Exception], member_id: str = MARA, **more: Any) -> Any:
            signer = more.pop("signer", town.world.members[MARA])
            manifest = town.manifest(more.pop("of", MARA), wasm, b"x", signer=signer, **more)
            with pytest.raises(leaf) as no:
                await town.submit(RIVER, manifest, b"x", member_id=member_id)
            return no.value

        await refused(wire.ManifestRejected, signer=Identity.generate())
        await refused(wire.ManifestRejected, of="nowhere/nobody")
        await refused(wire.ManifestRejected, network="b" * 26)
        await refused(wire.ManifestRejected, aud=Identity.generate().did)
        await refused(wire.SubmitterMismatch, THEO)
        await refused(wire.HashMalformed, wasm_hash="bafynot")
        await refused(wire.ManifestExpired, issued_at_ms=1, expires_at_ms=2)
        await refused(wire.LimitsExcessive, expires_at_ms=now_ms + 10**9)
        await refused(wire.InputMismatch, input_hash=cid_of(b"y"))
        manifest = town.manifest(MARA, wasm, b"y")
        with pytest.raises(wire.BlobUnknown):
            await town.submit(RIVER, manifest, None, member_id=MARA)
        town.founders.revoke(MARA)
        assert "no active member" in (await refused(wire.ManifestRejected)).why
        with pytest.raises(wire.ManifestRejected):
            await town.submit(RIVER, "no.jws", b"x", member_id=MARA)

    in_town(story, RIVER)


def test_a_task_id_is_used_once(in_town: InTown, module: Module) -> None:
    async def story(town: Any) -> None:
        await town.deploy(RIVER, module("upper"), member_id=MARA)
        task_id = secrets.token_hex(16)
        for stdin in (b"x", b"y"):
            manifest = town.manifest(MARA, module("upper"), stdin, task_id=task_id)
            if stdin == b"x":
                await town.submit(RIVER, manifest, stdin, member_id=MARA)
                continue
            with pytest.raises(wire.TaskConflict):
                await town.submit(RIVER, manifest, stdin, member_id=MARA)

    in_town(story, RIVER)


def test_a_member_has_so_many_tasks_under_way(in_town: InTown, module: Module) -> None:
    async def story(town: Any) -> None:
        await town.deploy(RIVER, module("spin"), member_id=MARA)
        for n in range(3):
            manifest = town.manifest(MARA, module("spin"), b"", limits=ENDLESS)
            if n < 2:
                await town.submit(RIVER, manifest, b"", member_id=MARA)
                continue
            with pytest.raises(wire.QuotaExceeded):
                await town.submit(RIVER, manifest, b"", member_id=MARA)

    in_town(story, RIVER, unfinished_per_submitter_max=2)


def test_a_task_for_a_full_queue_is_refused_at_once_and_leaves_nothing(
    in_town: InTown, module: Module
) -> None:
    async def story(town: Any) -> None:
        await town.deploy(RIVER, module("spin"), member_id=MARA)
        at = town.at[RIVER]
        taken: list[wire.TaskView] = []
        for n in range(8):
            aud = at.did if n % 2 else "any"
            manifest = town.manifest(MARA, module("spin"), b"", limits=ENDLESS, aud=aud)
            if len(taken) < 4:
                taken.append(await town.submit(RIVER, manifest, b"", member_id=MARA))
                continue
            with pytest.raises(wire.QueueFull):
                await town.submit(RIVER, manifest, b"", member_id=MARA)
        journal = await at.journal()
        assert journal.count("compute.task-accepted") == 4
        caller = at.caller(MARA, town.world.members[MARA].did)
        with pytest.raises(wire.QueueFull):
            await at.compute.admit(wire.SubmitTask(manifest=manifest), caller)
        again = wire.SubmitTask(manifest=taken[0].manifest, input_inline=b"")
        view = await at.store.write(lambda tx: at.compute.submit(tx, again, caller, None))
        assert view.task_id == taken[0].task_id, "what is taken already is not refused"
        for view in taken:
            ask = wire.CancelTask(task_id=view.task_id)
            await at.store.write(lambda tx, ask=ask: at.compute.cancel(tx, ask, caller, None))
        for view in taken:
            await town.result(RIVER, view.task_id, member_id=MARA)
        later = town.manifest(MARA, module("spin"), b"", limits=ENDLESS)
        await at.compute.admit(wire.SubmitTask(manifest=later), caller)
        assert await town.submit(RIVER, later, b"", member_id=MARA)

    in_town(story, RIVER, queue_max=4)


def test_others_see_no_task_but_the_operator_does(in_town: InTown, module: Module) -> None:
    async def story(town: Any) -> None:
        await town.deploy(RIVER, module("upper"), member_id=MARA)
        view = await run_here(town, module("upper"), b"mine")
        at = town.at[RIVER]
        with pytest.raises(wire.TaskUnknown):
            await town.result(RIVER, view.task_id, member_id=THEO)
        with pytest.raises(wire.TaskUnknown):
            await town.result(RIVER, "0" * 32, member_id=MARA)
        operator = at.caller(OPERATOR_ID, town.world.operator.did)
        seen = await at.compute.get_task(wire.GetTask(task_id=view.task_id), operator)
        assert seen == view

    in_town(story, RIVER)


@pytest.mark.parametrize(
    ("name", "outcome"), [("spin", wire.Outcome.FUEL), ("balloon", wire.Outcome.MEMORY)]
)
def test_a_task_that_hits_a_limit_fails_with_a_receipt(
    in_town: InTown, module: Module, name: str, outcome: wire.Outcome
) -> None:
    async def story(town: Any) -> None:
        await town.deploy(RIVER, module(name), member_id=MARA)
        limits = wire.TaskLimits(fuel=20_000_000, memory_bytes=16 * 2**20)
        view = await run_here(town, module(name), b"", limits=limits)
        assert view.state is wire.TaskState.FAILED
        assert view.output_hash is None
        from nodeimpl.compute.verdicts import receipt_of

        receipt = receipt_of(view.receipt or "")
        assert receipt.outcome is outcome
        assert verify_receipt(town.bundle(view), genesis=town.world.view).ok

    in_town(story, RIVER)


def test_a_task_of_a_module_that_nobody_has_is_refused(in_town: InTown) -> None:
    async def story(town: Any) -> None:
        absent = cid_of(b"absent")
        view = await run_here(town, absent, b"")
        assert view.state is wire.TaskState.REFUSED
        assert view.problem is not None
        assert view.problem["code"] == "module-unknown"
        assert view.problem["details"] == {"wasm_hash": absent}
        assert view.receipt is None

    in_town(story, RIVER, peerless_ms_max=50)


def test_a_large_output_is_fetched_by_its_name(in_town: InTown, module: Module) -> None:
    async def story(town: Any) -> None:
        stdin = b"ab" * 100_000
        await town.deploy(RIVER, module("upper"), member_id=MARA)
        at = town.at[RIVER]
        assert await town.upload(RIVER, stdin, member_id=MARA) == cid_of(stdin)
        manifest = town.manifest(MARA, module("upper"), stdin)
        view = await town.submit(RIVER, manifest, None, member_id=MARA)
        view = await town.result(RIVER, view.task_id, member_id=MARA)
        assert view.output_inline is None
        got = await at.compute.get_blob(wire.GetBlob(cid=view.output_hash), None)
        assert got.content == stdin.upper()

    in_town(story, RIVER)


def test_a_running_task_is_cancelled_with_a_receipt(in_town: InTown, module: Module) -> None:
    async def story(town: Any) -> None:
        await town.deploy(RIVER, module("spin"), member_id=MARA)
        at = town.at[RIVER]
        manifest = town.manifest(MARA, module("spin"), b"", limits=ENDLESS)
        view = await town.submit(RIVER, manifest, b"", member_id=MARA)
        await journalled(at, "compute.task-started")
        running = await town.result(RIVER, view.task_id, member_id=MARA, wait_ms=0)
        assert running.state is wire.TaskState.RUNNING
        caller = at.caller(MARA, "")
        ask = wire.CancelTask(task_id=view.task_id)
        await at.store.write(lambda tx: at.compute.cancel(tx, ask, caller, None))
        ended = await town.result(RIVER, view.task_id, member_id=MARA)
        assert ended.state is wire.TaskState.CANCELLED
        assert verify_receipt(town.bundle(ended), genesis=town.world.view).ok
        again = await at.store.write(lambda tx: at.compute.cancel(tx, ask, caller, None))
        assert again.state is wire.TaskState.CANCELLED

    in_town(story, RIVER)


async def journalled(at: Any, event_type: str) -> None:
    """Return once an event of this type stands in the journal."""
    seen = 0
    while True:
        entries = await at.store.read_journal(after=None, entries_max=1000)
        if any(entry.type == event_type for entry in entries):
            return
        seen = len(entries)
        await at.store.journal_grew(seen)


def test_a_revoked_members_tasks_end(in_town: InTown, module: Module) -> None:
    async def story(town: Any) -> None:
        await town.deploy(RIVER, module("spin"), member_id=MARA)
        at = town.at[RIVER]
        manifest = town.manifest(MARA, module("spin"), b"", limits=ENDLESS)
        view = await town.submit(RIVER, manifest, b"", member_id=MARA)
        await journalled(at, "compute.task-started")
        await at.store.write(lambda tx: at.compute.member_revoked(tx, MARA))
        ended = await town.result(RIVER, view.task_id, member_id=MARA)
        assert ended.state is wire.TaskState.CANCELLED

    in_town(story, RIVER)


def test_waiting_ends_with_the_task_and_not_later(in_town: InTown, module: Module) -> None:
    async def story(town: Any) -> None:
        await town.deploy(RIVER, module("spin"), member_id=MARA)
        manifest = town.manifest(MARA, module("spin"), b"", limits=ENDLESS)
        view = await town.submit(RIVER, manifest, b"", member_id=MARA)
        soon = await town.result(RIVER, view.task_id, member_id=MARA, wait_ms=50)
        assert soon.state not in wire.FINAL
        limits = wire.TaskLimits(fuel=100_000_000_000, time_ms=300)
        manifest = town.manifest(MARA, module("spin"), b"", limits=limits)
        view = await town.submit(RIVER, manifest, b"", member_id=MARA)
        async with asyncio.timeout(20):
            ended = await town.result(RIVER, view.task_id, member_id=MARA, wait_ms=30_000)
        assert ended.state is wire.TaskState.FAILED

    in_town(story, RIVER)


def test_a_receipt_can_be_replayed_and_a_false_one_is_found(
    in_town: InTown, module: Module
) -> None:
    async def story(town: Any) -> None:
        wasm, stdin = module("patronage"), b"surplus 10\nann 1\nbob 2\n"
        await town.deploy(RIVER, wasm, member_id=MARA)
        bundle = town.bundle(await run_here(town, wasm, stdin))
        good = await replaying.replay(bundle, module=wasm, input_bytes=stdin)
        assert good.ok, good
        assert {check.name for check in good.checks} >= {"engine", "outcome", "output", "fuel"}
        other = await replaying.replay(bundle, module=wasm, input_bytes=b"other")
        assert not other.ok
        broken = bundle.model_copy(update={"receipt": "a.b.c"})
        assert not (await replaying.replay(broken, module=wasm, input_bytes=stdin)).ok

    in_town(story, RIVER)


def test_every_endpoint_of_the_domain_has_its_route(in_town: InTown) -> None:
    async def story(town: Any) -> None:
        bound = {route.endpoint.name for route in compute_routes.routes(town.at[RIVER].compute)}
        assert bound == {
            endpoint.name
            for endpoint in (
                wire.DEPLOY,
                wire.GET_MODULE,
                wire.LIST_MODULES,
                wire.PUT_BLOB,
                wire.GET_BLOB,
                wire.SUBMIT,
                wire.GET_TASK,
                wire.CANCEL,
                grants.GIVE_GRANT,
                grants.LIST_GRANTS,
                grants.REVOKE_GRANT,
            )
        }

    in_town(story, RIVER)
