"""For each marker of flow A one rule that, broken, must take it away.

What is broken is broken where nodes and clients of this process look it up: of the in-process world
by its test, of a node in a process of its own by `sabotaged_node`, and of the client that tells it.
"""

from __future__ import annotations

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
from flows.a import MARA
from nodeimpl.compute.service import Compute
from nodeimpl.gateway.admit import Admission, Admitted
from nodeimpl.sandbox.sandbox import Sandbox
from opkit.proof import jws
from opkit.proof.checks import Verdict
from opkit.proof.cid import cid_of
from opkit.proof.keys import Identity
from opkit.story import that
from opkit.wire.compute import (
    BlobUnknown,
    Fetched,
    ModuleInfo,
    Outcome,
    Receipt,
    ReceiptBundle,
    TaskState,
)
from opkit.wire.endpoint import Scope
from opkit.wire.gateway import ScopeMissing, TokenMissing

Patch = Callable[[pytest.MonkeyPatch], None]


def _believe_receipts(patch: pytest.MonkeyPatch) -> None:
    """Let the submitter's node and client believe any receipt, so that the flow itself must look.

    Both would refuse the executor's word earlier, and the marker would be lost without the flow.
    """
    said = Verdict(subject="receipt", checks=(that("said so", True),), anchored=False)
    patch.setattr(nodeimpl.compute.placement, "judge_end", lambda *_, **__: "")

    def believe(bundle: ReceiptBundle, **_: Any) -> tuple[Verdict, Receipt]:
        return said, Receipt.model_validate(jws.peek(bundle.receipt).payload)

    patch.setattr(opkit.client.compute, "examine_receipt", believe)


def _names_by_something_else(patch: pytest.MonkeyPatch) -> None:
    """A module is answered with the hash of other bytes."""
    honest = Compute.deploy

    def deploy(self: Compute, tx: Any, ask: Any, caller: Any, kept: Any) -> ModuleInfo:
        other = cid_of(ask.module + b"!")
        return honest(self, tx, ask, caller, kept).model_copy(update={"wasm_hash": other})

    patch.setattr(Compute, "deploy", deploy)


def _lists_nothing(patch: pytest.MonkeyPatch) -> None:
    """The list of modules is empty."""
    patch.setattr(nodeimpl.compute.store, "module_page", lambda *_, **__: [])


def _keeps_what_nobody_gave(patch: pytest.MonkeyPatch) -> None:
    """Every node says to keep every module."""

    def get_module(self: Compute, tx: Any, ask: Any, caller: Any, _: None) -> ModuleInfo:
        return ModuleInfo(
            wasm_hash=ask.wasm_hash, owner=MARA, name="patronage", size_bytes=1, deployed_at_ms=1
        )

    patch.setattr(Compute, "get_module", get_module)


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

    patch.setattr(nodeimpl.compute.executor, "jws", Signer())
    _believe_receipts(patch)


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

    async def receive(self: Any, did: str, cid: str, *, reader: Any, blobs: Any, **_: Any) -> None:
        pieces = []
        while piece := await reader.piece(65_536):
            pieces.append(piece)
        blobs.path(cid).parent.mkdir(parents=True, exist_ok=True)
        blobs.path(cid).write_bytes(b"".join(pieces))

    patch.setattr(nodeimpl.p2p.fetching.Fetching, "_receive", receive)


def _calls_a_loop_done(patch: pytest.MonkeyPatch) -> None:
    """A run that was stopped for its fuel counts as done."""
    honest = nodeimpl.compute.executor.state_of

    def state_of(outcome: Outcome) -> TaskState:
        return TaskState.DONE if outcome is Outcome.FUEL else honest(outcome)

    patch.setattr(nodeimpl.compute.executor, "state_of", state_of)
    _believe_receipts(patch)


def _gives_all_memory(patch: pytest.MonkeyPatch) -> None:
    """The memory limit of a task is not passed on to the worker."""
    honest = Sandbox.run

    async def run(self: Sandbox, job: Any, **more: Any) -> Any:
        limits = job.limits.model_copy(update={"memory_bytes": 268_435_456})
        return await honest(self, replace(job, limits=limits), **more)

    patch.setattr(Sandbox, "run", run)
    _believe_receipts(patch)


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


SABOTAGE: dict[str, tuple[Patch, str]] = {
    "MODULE_DEPLOYED": (_names_by_something_else, "which is not its hash"),
    "MODULE_LISTED": (_lists_nothing, "listed by owner: expected"),
    "TASK_SUBMITTED": (_keeps_what_nobody_gave, "BrightWorks holds the program: expected 'no'"),
    "MODULE_FETCHED": (_names_another_provider, "from River City's node: expected"),
    "TASK_COMPLETED": (_computes_wrongly, "output: expected 'Hugo 879"),
    "RECEIPT_VERIFIED": (_signs_with_a_strange_key, "executor-known: expected 'a node"),
    "UNKNOWN_HASH_REFUSED": (_confuses_unknown, "got BlobUnknown"),
    "BAD_HASH_REFUSED": (_takes_any_text_for_a_hash, "got ModuleUnknown"),
    "OVERSIZE_REFUSED": (_reads_any_length, "got ModuleInvalid"),
    "TAMPERED_MODULE_REFUSED": (
        _believes_providers,
        # In one process River City's worker, which has the module, runs it for Harbor.
        "no such network.provider-lied|the bytes are not the module of this name",
    ),
    "LOOP_STOPPED": (_calls_a_loop_done, "state: expected 'failed', got 'done'"),
    "MEMORY_BOUNDED": (_gives_all_memory, "memory within the limit: expected '16777216'"),
    "UNAUTHENTICATED_REFUSED": (_lets_strangers_in, "but it was allowed"),
    "SCOPE_REFUSED": (_looks_at_no_scope, "but it was allowed"),
}
"""For each marker one rule that, broken, must take it away, and by what the flow notices.

The latter is a regular expression that is found in what the stopped flow says.
"""
