"""Verifying a receipt here: it is fetched from its submitter's node, and believed for nothing."""

from __future__ import annotations

from opkit.live.live import Live
from opkit.live.ports import ControlRefused, PageRefused
from opkit.proof.receipt import examine_receipt
from opkit.story.report import CheckRecord
from opkit.views.figures import Verification
from opkit.wire.compute import GET_TASK, GetTask, Receipt, ReceiptBundle
from opkit.wire.errors import CoopError, Unreachable


async def verify_task(live: Live, task_id: str) -> Verification:
    """Return the receipt of a task with every check, made here from this machine's genesis.

    Raises:
        PageRefused: the task is not known here, has no receipt, or its node does not hand it over.
    """
    facts = live.book.tasks.get(task_id)
    if facts is None or not facts.home:
        raise PageRefused("This task is not known here; its node's journal may still have it.")
    try:
        view = await live.call(facts.home, GET_TASK, GetTask(task_id=task_id))
    except Unreachable as silent:
        raise PageRefused(f"Its home node does not answer: {silent.why}") from silent
    except (CoopError, ControlRefused) as refused:
        raise PageRefused(f"Its home node does not hand it over: {refused}") from refused
    if view.receipt is None:
        raise PageRefused(f"The task is {view.state.value} and has no receipt.")
    bundle = ReceiptBundle(receipt=view.receipt, manifest=view.manifest, records=view.records)
    return verify_bundle(live, task_id, bundle)


def verify_bundle(live: Live, task_id: str, bundle: ReceiptBundle) -> Verification:
    """Return a receipt with every check, whoever handed it over."""
    verdict, receipt = examine_receipt(bundle, genesis=live.source.genesis)
    return Verification(
        subject=task_id,
        at_ms=live.now_ms(),
        ok=verdict.ok and verdict.anchored,
        verdict=f"{verdict.subject}: {verdict.status}",
        checks=tuple(
            CheckRecord(name=one.name, ok=one.ok, expected=one.expected, actual=one.actual)
            for one in verdict.checks
        ),
        bundle=bundle,
        facts={} if receipt is None else _facts(receipt, live),
    )


def _facts(receipt: Receipt, live: Live) -> dict[str, str]:
    """Return what the receipt says beyond what the checks show, in words."""
    executor = live.source.genesis.node(receipt.executor)
    engine = receipt.engine
    said = {
        "run by": executor.title if executor else receipt.executor,
        "with": f"{engine.name} {engine.version}",
        "outcome": f"{receipt.outcome.value} {receipt.reason}".strip(),
        "time used": f"{receipt.time_used_us:,} µs",
        "memory at most": f"{receipt.memory_peak_bytes:,} bytes",
        "receipt number": f"{receipt.sequence} of history {receipt.generation}",
        "output": receipt.output_hash or "none",
    }
    return {name: text for name, text in said.items() if text}
