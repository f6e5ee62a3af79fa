"""Flow A on the real nodes in one process: told again and again, and every marker can be lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

import nodeimpl.compute.executor
import nodeimpl.compute.placement
import nodeimpl.compute.service
import nodeimpl.compute.store
import nodeimpl.compute.supply
import nodeimpl.gateway.admit
import nodeimpl.gateway.door
import nodeimpl.p2p.fetching
import opkit.client.compute
from devnet.inprocess import inprocess_world
from flows import FLOWS
from flows.a import flow
from nodeimpl.compute.sandbox import Sandbox
from nodeimpl.gateway.admit import Admission, Admitted
from opkit.proof import jws
from opkit.proof.checks import Verdict
from opkit.proof.cid import cid_of
from opkit.proof.keys import Identity
from opkit.story import Report, that
from opkit.wire.compute import BlobUnknown, Fetched, Outcome, QuotaExceeded, TaskState
from opkit.wire.endpoint import Scope
from opkit.wire.gateway import ScopeMissing, TokenMissing

PINNED = (
    "MODULE_DEPLOYED",
    "MODULE_LISTED",
    "TASK_SUBMITTED",
    "MODULE_FETCHED",
    "TASK_COMPLETED",
    "RECEIPT_VERIFIED",
    "UNKNOWN_HASH_REFUSED",
    "BAD_HASH_REFUSED",
    "OVERSIZE_REFUSED",
    "TAMPERED_MODULE_REFUSED",
    "LOOP_STOPPED",
    "MEMORY_BOUNDED",
    "UNAUTHENTICATED_REFUSED",
    "SCOPE_REFUSED",
)
ADVERSARIAL = PINNED[6:]
DEADLINE_S = 60

Patch = Callable[[pytest.MonkeyPatch], None]


def tell(times: int = 1) -> list[Report]:
    """Tell the flow on one fresh network, so many times in a row."""

    async def go() -> list[Report]:
        reports = []
        async with inprocess_world("three", seed=7) as world:
            for place in range(times):
                world.run_id = f"telling-{place}"
                reports.append(await flow.tell(world).run())
        return reports

    return asyncio.run(asyncio.wait_for(go(), DEADLINE_S))


def test_the_markers_are_the_ones_that_were_promised():
    assert flow.markers == PINNED
    assert tuple(step.marker for step in flow.steps if step.kind == "refused") == ADVERSARIAL
    assert FLOWS["a"] is flow


def test_every_sentence_is_short_and_names_somebody():
    names = ("Mara", "Hugo", "River City", "BrightWorks", "Harbor", "stranger", "We")
    for step in flow.steps:
        assert len(step.sentence) <= 100, step.sentence
        assert any(name in step.sentence for name in names), step.sentence


@pytest.mark.slow
def test_it_is_told_three_times_in_a_row_on_one_network():
    reports = tell(times=3)

    for report in reports:
        assert report.ok, report.stopped
        assert report.shown == PINNED
        assert len(report.setup) == 1
    hashes = {report.markers[0].evidence["module"]["wasm_hash"] for report in reports}
    assert len(hashes) == 3


def _names_by_something_else(patch: pytest.MonkeyPatch) -> None:
    """A module is named by the hash of other bytes."""
    patch.setattr(nodeimpl.compute.service, "cid_of", lambda data: cid_of(data + b"!"))


def _lists_nothing(patch: pytest.MonkeyPatch) -> None:
    """The list of modules is empty."""
    patch.setattr(nodeimpl.compute.store, "module_page", lambda *_, **__: [])


def _takes_no_task(patch: pytest.MonkeyPatch) -> None:
    """The submitter's node takes no task on."""

    def refuse(*_: Any) -> None:
        raise QuotaExceeded(limit=0)

    patch.setattr(nodeimpl.compute.service, "judge_submission", refuse)


def _names_another_provider(patch: pytest.MonkeyPatch) -> None:
    """The executor says that it got the bytes from somebody else."""
    stranger = Identity.generate().did
    patch.setattr(
        nodeimpl.p2p.fetching, "Fetched", lambda **said: Fetched(**{**said, "peer": stranger})
    )


def _computes_wrongly(patch: pytest.MonkeyPatch) -> None:
    """The worker's output is another."""
    honest = Sandbox.run

    async def run(self: Sandbox, job: Any, **more: Any) -> Any:
        result = await honest(self, job, **more)
        return replace(result, output=result.output.replace(b"879", b"880"))

    patch.setattr(Sandbox, "run", run)


def _signs_with_a_strange_key(patch: pytest.MonkeyPatch) -> None:
    """The executor signs as a node that genesis does not know; neither node nor client looks."""
    stranger = Identity.generate()

    class Signer:
        """Signs receipts in another name."""

        def __getattr__(self, name: str) -> Any:
            return getattr(jws, name)

        def sign(self, payload: Any, *, typ: str, identity: Identity) -> str:
            assert identity.did == payload.executor
            strange = payload.model_copy(update={"executor": stranger.did})
            return jws.sign(strange, typ=typ, identity=stranger)

    said = Verdict(subject="receipt", checks=(that("said so", True),), anchored=False)
    patch.setattr(nodeimpl.compute.executor, "jws", Signer())
    patch.setattr(nodeimpl.compute.placement, "judge_end", lambda *_, **__: "")
    patch.setattr(opkit.client.compute, "verify_receipt", lambda *_, **__: said)


def _confuses_unknown(patch: pytest.MonkeyPatch) -> None:
    """A module that nobody has is refused as if an input were missing."""
    patch.setattr(
        nodeimpl.compute.supply, "ModuleUnknown", lambda wasm_hash: BlobUnknown(cid=wasm_hash)
    )


def _takes_any_text_for_a_hash(patch: pytest.MonkeyPatch) -> None:
    """Nobody looks whether a hash is one."""
    patch.setattr(nodeimpl.compute.service, "is_cid", lambda _: True)


def _reads_any_length(patch: pytest.MonkeyPatch) -> None:
    """Bodies are read whatever their length."""
    honest = nodeimpl.gateway.door.Body

    def generous(receive: Any, *, limit: int, **more: Any) -> Any:
        return honest(receive, limit=2 * limit, **more)

    patch.setattr(nodeimpl.gateway.door, "Body", generous)


def _believes_providers(patch: pytest.MonkeyPatch) -> None:
    """What a peer sends is kept under the name that was asked for, unhashed."""

    async def fetch_from(self: Any, did: str, cid: str, *, size_max: int, blobs: Any) -> None:
        pieces = []
        async with self._providers.peers.open_blob(did, cid, size_max=size_max) as (_, reader):
            while piece := await reader.piece(65_536):
                pieces.append(piece)
        blobs.path(cid).parent.mkdir(parents=True, exist_ok=True)
        blobs.path(cid).write_bytes(b"".join(pieces))

    patch.setattr(nodeimpl.p2p.fetching.Fetching, "_fetch_from", fetch_from)


def _calls_a_loop_done(patch: pytest.MonkeyPatch) -> None:
    """A run that was stopped for its fuel counts as done."""
    honest = nodeimpl.compute.executor.state_of

    def state_of(outcome: Outcome) -> TaskState:
        return TaskState.DONE if outcome is Outcome.FUEL else honest(outcome)

    patch.setattr(nodeimpl.compute.executor, "state_of", state_of)
    patch.setattr(nodeimpl.compute.placement, "judge_end", lambda *_, **__: "")


def _gives_all_memory(patch: pytest.MonkeyPatch) -> None:
    """The memory limit of a task is not passed on to the worker."""
    honest = Sandbox.run

    async def run(self: Sandbox, job: Any, **more: Any) -> Any:
        limits = job.limits.model_copy(update={"memory_bytes": 268_435_456})
        return await honest(self, replace(job, limits=limits), **more)

    patch.setattr(Sandbox, "run", run)
    patch.setattr(nodeimpl.compute.placement, "judge_end", lambda *_, **__: "")


def _lets_strangers_in(patch: pytest.MonkeyPatch) -> None:
    """Who brings no token is let in."""
    honest = Admission.admit

    async def admit(self: Admission, *asked: Any, **more: Any) -> Admitted:
        try:
            return await honest(self, *asked, **more)
        except TokenMissing:
            return Admitted(None, self._membership.revision)

    patch.setattr(Admission, "admit", admit)


def _looks_at_no_scope(patch: pytest.MonkeyPatch) -> None:
    """A token is good for everything."""
    honest = Admission.admit

    async def admit(self: Admission, head: Any, scope: Any, **more: Any) -> Admitted:
        try:
            return await honest(self, head, scope, **more)
        except ScopeMissing:
            return await honest(self, head, Scope.WASM_READ, **more)

    patch.setattr(Admission, "admit", admit)


SABOTAGE: dict[str, Patch] = {
    "MODULE_DEPLOYED": _names_by_something_else,
    "MODULE_LISTED": _lists_nothing,
    "TASK_SUBMITTED": _takes_no_task,
    "MODULE_FETCHED": _names_another_provider,
    "TASK_COMPLETED": _computes_wrongly,
    "RECEIPT_VERIFIED": _signs_with_a_strange_key,
    "UNKNOWN_HASH_REFUSED": _confuses_unknown,
    "BAD_HASH_REFUSED": _takes_any_text_for_a_hash,
    "OVERSIZE_REFUSED": _reads_any_length,
    "TAMPERED_MODULE_REFUSED": _believes_providers,
    "LOOP_STOPPED": _calls_a_loop_done,
    "MEMORY_BOUNDED": _gives_all_memory,
    "UNAUTHENTICATED_REFUSED": _lets_strangers_in,
    "SCOPE_REFUSED": _looks_at_no_scope,
}
"""For each marker one rule that, broken, must take it away."""


def test_every_marker_has_its_sabotage():
    assert tuple(SABOTAGE) == PINNED


@pytest.mark.parametrize("lost", PINNED)
def test_a_broken_rule_stops_the_flow_at_exactly_its_marker(monkeypatch, lost):
    SABOTAGE[lost](monkeypatch)

    (report,) = tell()

    assert not report.ok
    assert report.stopped is not None
    assert report.stopped.at == lost, report.stopped
    assert report.shown == PINNED[: PINNED.index(lost)]
