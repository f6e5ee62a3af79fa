"""Modules, tasks, manifests and receipts, as a notebook draws them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final

from opkit.client import TaskHandle, TaskResult
from opkit.proof.receipt import claimed_receipt, verify_receipt
from opkit.story.states import State
from opkit.views.amounts import size_text
from opkit.views.cards import pill, said_state
from opkit.views.outcomes import outcome_state, task_state
from opkit.views.reprstyle import (
    amount,
    bytes_html,
    card,
    checks_table,
    facts,
    hint,
    json_html,
    moment,
    name_html,
    opened,
)
from opkit.wire.compute import (
    Manifest,
    ModuleInfo,
    Outcome,
    Receipt,
    ReceiptBundle,
    TaskView,
)

MODULE_TITLES: Final = ("module", "size#", "owner", "deployed", "hash")
TASK_TITLES: Final = ("task", "state", "member", "outcome", "fuel#", "accepted", "executor")
RECEIPT_TITLES: Final = ("receipt#", "outcome", "member", "fuel#", "took#", "ended", "executor")


def module(info: ModuleInfo) -> str:
    """Return a module: what it is known by, and whose it is."""
    named = {
        "hash": name_html(info.wasm_hash),
        "size": amount(info.size_bytes, "bytes"),
        "owner": f"<code>{escape(info.owner)}</code>",
        "deployed": moment(info.deployed_at_ms),
    }
    return card(info.name, facts(named))


def module_row(info: ModuleInfo) -> Sequence[str]:
    """Return a module in one row."""
    return (
        escape(info.name),
        size_text(info.size_bytes),
        f"<code>{escape(info.owner)}</code>",
        moment(info.deployed_at_ms)[:19],
        name_html(info.wasm_hash),
    )


def handle(task: TaskHandle) -> str:
    """Return a task that was submitted, before anybody asked how it is doing."""
    return card(
        f"Task {task.task_id[:8]} was submitted",
        facts({"task": name_html(task.task_id)})
        + hint("Wait for its end, checked:", "await task.result()"),
    )


def task(view: TaskView) -> str:
    """Return a task as its node knows it, with what its receipt claims."""
    fetched = view.fetched
    outcome = claimed_receipt(view.receipt).outcome if view.receipt else ""
    named = {
        "task": name_html(view.task_id),
        "for": f"<code>{escape(view.member_id)}</code>",
        "by": name_html(view.executor, what="executor"),
        "accepted": moment(view.accepted_at_ms),
        "code fetched": f"{size_text(fetched.size_bytes)} in {fetched.took_us / 1000:.1f} ms from "
        f"{name_html(fetched.peer)}"
        if fetched
        else "",
        "refused because": escape(str(view.problem.get("title") or view.problem.get("code")))
        if view.problem
        else "",
    }
    parts = [facts(named)]
    if view.output_inline:
        parts.append(opened("Its output", bytes_html(view.output_inline), wide=True))
    if view.problem:
        parts.append(opened("The refusal", json_html(view.problem)))
    if view.receipt:
        kept = ReceiptBundle(receipt=view.receipt, manifest=view.manifest, records=view.records)
        parts.append(opened("Its receipt, and each check of it", _bundle(kept)))
    ended = task_state(view.state, outcome, _code(view))
    return card(f"Task {view.task_id[:8]}", "".join(parts), beside=pill(*ended))


def task_row(view: TaskView) -> Sequence[str]:
    """Return a task in one row."""
    claimed = claimed_receipt(view.receipt) if view.receipt else None
    return (
        name_html(view.task_id),
        said_state(*task_state(view.state, claimed.outcome if claimed else "", _code(view))),
        f"<code>{escape(view.member_id)}</code>",
        _outcome_words(claimed) if claimed else "",
        amount(claimed.fuel_used) if claimed else "",
        moment(view.accepted_at_ms)[:19],
        name_html(view.executor),
    )


def _code(view: TaskView) -> str:
    return str(view.problem.get("code", "")) if view.problem else ""


def result(ended: TaskResult) -> str:
    """Return how a task ended: the output, and the receipt that it rests on."""
    output = opened("Its output", bytes_html(ended.output), wide=True) if ended.output else ""
    checked = opened("Its receipt, and each check of it", _bundle(ended.bundle))
    named = {
        "fuel used": _of(ended.receipt.fuel_used, ended.receipt.limits.fuel),
        "for": f"<code>{escape(ended.receipt.aud)}</code>",
        "by": name_html(ended.receipt.executor),
    }
    return card(
        f"Task {ended.view.task_id[:8]} ended: {_outcome_words(ended.receipt)}",
        facts(named) + output + checked,
        beside=_outcome(ended.receipt.outcome),
    )


def manifest(asked: Manifest) -> str:
    """Return what a submitter signed."""
    named = {
        "for": f"<code>{escape(asked.member_id)}</code>",
        "task": name_html(asked.task_id),
        "module": name_html(asked.wasm_hash),
        "input": name_html(asked.input_hash),
        "who may run it": name_html(asked.aud),
        **_limits(asked.limits.model_dump()),
        "good until": moment(asked.expires_at_ms),
    }
    return card(f"Task {asked.task_id[:8]}, as its submitter signed it", facts(named))


def receipt(said: Receipt) -> str:
    """Return what an executor says happened. Whether they signed it is not looked at here."""
    return card(
        f"Receipt {said.sequence:,}: {_outcome_words(said)}",
        facts(_receipt_facts(said)),
        beside=_outcome(said.outcome),
        below="what the executor says; its signature is in the bundle",
    )


def receipt_row(said: Receipt) -> Sequence[str]:
    """Return a receipt in one row."""
    return (
        f"{said.sequence:,}",
        _outcome_words(said),
        f"<code>{escape(said.aud)}</code>",
        amount(said.fuel_used),
        f"{said.time_used_us / 1000:.1f} ms",
        moment(said.ended_at_ms)[:19],
        name_html(said.executor),
    )


def bundle(kept: ReceiptBundle) -> str:
    """Return a receipt with each check that needs no genesis."""
    said = claimed_receipt(kept.receipt)
    return card(
        f"Receipt {said.sequence:,}: {_outcome_words(said)}",
        _bundle(kept),
        beside=_outcome(said.outcome),
    )


def bundle_row(kept: ReceiptBundle) -> Sequence[str]:
    """Return a receipt with its manifest in one row."""
    return receipt_row(claimed_receipt(kept.receipt))


def _bundle(kept: ReceiptBundle) -> str:
    """Draw what the receipt claims and its checks; without a genesis they anchor nothing."""
    verdict = verify_receipt(kept, genesis=None)
    held = sum(check.ok for check in verdict.checks)
    tone = State.DONE if verdict.ok else State.FAILED
    return (
        facts(_receipt_facts(claimed_receipt(kept.receipt)))
        + pill(tone, f"{held} of {len(verdict.checks)} checks hold: {verdict.status}")
        + checks_table(verdict.checks)
        + hint("Whose signatures these are says the genesis that you keep:", "net.verify(receipt)")
    )


def _receipt_facts(said: Receipt) -> Mapping[str, str]:
    return {
        "for": f"<code>{escape(said.aud)}</code>",
        "by": name_html(said.executor),
        "module": name_html(said.wasm_hash),
        "input": name_html(said.input_hash),
        "output": f"{name_html(said.output_hash)} {size_text(said.output_bytes)}"
        if said.output_hash
        else "none",
        "fuel used": _of(said.fuel_used, said.limits.fuel),
        "time used": f"{said.time_used_us / 1000:.1f} of {said.limits.time_ms:,} ms",
        "memory at its peak": f"{size_text(said.memory_peak_bytes)} of "
        f"{size_text(said.limits.memory_bytes)}",
        "engine": escape(f"{said.engine.name} {said.engine.version}"),
        "ended": moment(said.ended_at_ms),
        "in its chain": f"receipt {said.sequence:,} of generation {said.generation}, "
        + (f"after {name_html(said.previous)}" if said.previous else "the first"),
    }


def _limits(limits: Mapping[str, Any]) -> dict[str, str]:
    return {f"{name.replace('_', ' ')} at most": amount(value) for name, value in limits.items()}


def _of(part: int, whole: int) -> str:
    return f"{part:,} of {whole:,}"


def _outcome_words(said: Receipt) -> str:
    return escape(f"{said.outcome.value}, {said.reason}" if said.reason else said.outcome.value)


def _outcome(outcome: Outcome) -> str:
    return pill(outcome_state(outcome), outcome.value)
