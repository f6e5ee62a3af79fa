"""The report of a run as one self-contained page: sentences first, every figure opens."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from html import escape
from typing import Any, Final
from urllib.parse import quote

from pydantic import ValidationError

from opkit.story.record import FlowRecord, NodeRecord, RunRecord
from opkit.story.report import AuditRecord, BlobRecord, MarkerRecord
from opkit.story.states import State
from opkit.views.checks import checks_table
from opkit.views.deeds import deed_sentence
from opkit.views.page import icon, page
from opkit.views.proofs import PROOF_NAMES, proof_json
from opkit.views.values import place, state_in, took, values_table, was_cut_short

EVIDENCE_ID: Final = "opkit-evidence"
_OPENING = f'<script type="application/json" id="{EVIDENCE_ID}">'
_CLOSING = "</script>"


def report_html(run: RunRecord) -> str:
    """Return a run's report: it opens offline, asks for nothing, and carries its evidence."""
    failed = [
        flow
        for flow in run.flows
        if not flow.ok and not was_cut_short(flow, interrupted=run.interrupted)
    ]
    told = "".join(_flow(flow, interrupted=run.interrupted) for flow in run.flows)
    body = (
        _header(run)
        + "<main>"
        + _trouble(run, failed)
        + f"<div>{told}</div>"
        + f'<div class="side">{_figures(run)}{_who(run)}{_done_to(run)}{_check_it(run)}</div>'
        + "</main>"
        + _embedded(run)
    )
    names = ", ".join(flow.name for flow in run.flows)
    verdict = "told whole" if run.ok else "not told whole"
    return page(title=escape(f"Flow {names}: {verdict}"), body=body)


def audit_name(flow: FlowRecord, told: MarkerRecord, number: int) -> str:
    """Return the path of an audit's files in the run folder, without what they end in."""
    return f"audit/{flow.name}-{told.name.lower()}-{number}"


def embedded_evidence(html: bytes) -> RunRecord | None:
    """Return the run that a report's page carries, or None if it carries none."""
    text = html.decode("utf-8", errors="replace")
    start = text.rfind(_OPENING)
    end = text.find(_CLOSING, start)
    if start < 0 or end < 0:
        return None
    try:
        return RunRecord.model_validate_json(text[start + len(_OPENING) : end])
    except ValidationError:
        return None


def _embedded(run: RunRecord) -> str:
    said = json.dumps(run.model_dump(mode="json"), ensure_ascii=False)
    # Inside a script only `<` could end it; in JSON it only stands in strings, where it can be
    # written as an escape.
    return _OPENING + said.replace("<", "\\u003c") + _CLOSING


def _header(run: RunRecord) -> str:
    when = datetime.fromtimestamp(run.created_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")
    nodes = f"{len(run.nodes)} nodes" if run.nodes else "a network"
    return (
        f"<header><strong>opkit</strong><span class=soft>what {nodes} showed</span>"
        f"{_run_pill(run)}<span class=soft>{when}</span>"
        '<button type="button" id="theme" class="act">Light or dark</button></header>'
    )


def _run_pill(run: RunRecord) -> str:
    if run.ok:
        return f'<span class="pill t-done">{icon(State.DONE)}all shown</span>'
    word = "interrupted" if run.interrupted else "not all shown"
    return f'<span class="pill t-failed">{icon(State.FAILED)}{word}</span>'


def _trouble(run: RunRecord, failed: list[FlowRecord]) -> str:
    cards = [_broken(flow) for flow in failed]
    if run.interrupted:
        cards.insert(
            0,
            '<section class="card broken wide"><h1>The run was interrupted</h1>'
            f"<p>{_cut_short(run)} What had been told until then is below.</p>"
            "</section>",
        )
    return "".join(cards)


def _cut_short(run: RunRecord) -> str:
    ends = [
        f"Flow {flow.name.upper()} ended {place(flow)}."
        for flow in run.flows
        if was_cut_short(flow, interrupted=True)
    ]
    return escape(" ".join(["Somebody ended it before its end.", *ends]))


def _broken(flow: FlowRecord) -> str:
    stop = flow.stopped
    at = stop.at if stop and stop.at else "its end"
    why = escape(stop.why) if stop else "a set-up step failed"
    return (
        f'<section class="card broken wide"><h1>Flow {escape(flow.name.upper())} stopped at '
        f"{escape(at)}</h1><p>{why}</p>{_cell(flow)}</section>"
    )


def _cell(flow: FlowRecord) -> str:
    failure = flow.failure
    if failure is None or not failure.cell:
        return ""
    output = f"<h2>What it had printed</h2><pre>{escape(failure.output)}</pre>"
    return (
        f"<h2>Cell {failure.cell} of {failure.cells} in {escape(flow.notebook)}</h2>"
        f"<pre>{escape(failure.source)}</pre>{output if failure.output else ''}"
        f"<details><summary class=act>Show the traceback</summary>"
        f"<pre>{escape(failure.traceback)}</pre></details>"
    )


def _flow(flow: FlowRecord, *, interrupted: bool) -> str:
    planned = range(len(flow.planned))
    steps = "".join(_step(flow, each, interrupted=interrupted) for each in planned)
    setup = "".join(f"<li>{escape(step.sentence)} {took(step.took_ms)}</li>" for step in flow.setup)
    count = f"{len(flow.setup)} step{'s' if len(flow.setup) != 1 else ''}"
    before = (
        f"<details><summary class=act>Set up beforehand: {count}</summary>"
        f"<ul>{setup}</ul></details>"
        if flow.setup
        else ""
    )
    page_of = flow.notebook.removesuffix(".ipynb") + ".html"
    link = f'<a class="act" href="{escape(page_of)}">Open the notebook</a>' if flow.notebook else ""
    return (
        f'<section class="card flow" id="flow-{escape(flow.name)}">'
        f"<h1>Flow {escape(flow.name.upper())}: {escape(_lower_first(flow.title))}</h1>"
        f'<p class="soft">{escape(flow.story)}</p>'
        f'<ol class="steps">{steps}</ol>{before}{link}</section>'
    )


def _step(flow: FlowRecord, index: int, *, interrupted: bool) -> str:
    name, state = flow.planned[index], state_in(flow, index, interrupted=interrupted)
    if index >= len(flow.markers):
        return (
            f'<li id="{flow.name}-{name}"><div class="untold">{icon(state)}<span>not told</span>'
            f'<span class="took">{state.word}</span><span class="name">{name}</span></div></li>'
        )
    told = flow.markers[index]
    return (
        f'<li id="{flow.name}-{name}"><details{" open" if not told.ok else ""}><summary>'
        f"{icon(state)}<span>{escape(told.sentence)}</span>"
        f'<span class="took">{took(told.took_ms)}</span>'
        f'<span class="name">{name}<i>{state.word}</i></span></summary>'
        f'<div class="open">{_opened(flow, told)}</div></details></li>'
    )


def _opened(flow: FlowRecord, told: MarkerRecord) -> str:
    held = sum(check.ok for check in told.checks)
    parts = []
    if told.problem:
        parts.append(f"<pre>{escape(told.problem)}</pre>")
    if told.checks:
        tone = "done" if held == len(told.checks) else "failed"
        parts.append(
            f'<span class="pill t-{tone}">holds: {held} of {len(told.checks)} checks</span>'
        )
        parts.append(checks_table(told.checks))
    if told.evidence:
        parts.append(values_table(told.evidence))
    parts.append(_proofs(flow, told))
    return "".join(parts)


def _proofs(flow: FlowRecord, told: MarkerRecord) -> str:
    parts = []
    for number, proof in enumerate(told.proofs):
        if isinstance(proof, BlobRecord):
            parts.append(
                f'<a class="act" href="{proof.path}" download>Save {_short(proof.cid)}</a>'
            )
        else:
            if isinstance(proof, AuditRecord):
                parts.append(_audit_links(audit_name(flow, told, number)))
                continue
            file = f"{flow.name}-{told.name.lower()}-{number}.{proof.kind}.json"
            parts.append(
                f'<a class="act" download="{file}" href="data:application/json,'
                f'{quote(proof_json(proof))}">Save {PROOF_NAMES[proof.kind]}</a>'
            )
    parts.append(
        f'<button type="button" class="act" data-from="{EVIDENCE_ID}" '
        f'data-flow="{escape(flow.name)}" data-marker="{told.name}">Copy the evidence</button>'
    )
    return "".join(parts)


def _audit_links(name: str) -> str:
    """Return the ways to an audit's files, which lie beside the page: it grows with the books."""
    return (
        f'<a class="act" href="{name}.html">Open the report for funders</a>'
        f'<a class="act" href="{name}.csv" download>Save its figures</a>'
        f'<a class="act" href="{name}.json" download>Save {PROOF_NAMES["audit"]}</a>'
    )


def _short(cid: str) -> str:
    return f"{cid[:8]}…{cid[-5:]}"


def _figures(run: RunRecord) -> str:
    planned = sum(len(flow.planned) for flow in run.flows)
    told = [(flow, marker) for flow in run.flows for marker in flow.markers]
    shown = [(flow, each) for flow, each in told if each.ok]
    refused = [(flow, each) for flow, each in shown if each.state is State.REFUSED]
    checks = sum(len(each.checks) for _, each in shown)
    figures = (
        _figure(
            f"{len(shown)}",
            f"of {planned} markers shown",
            [(flow, each, each.state.word) for flow, each in shown],
        ),
        _figure(
            f"{len(refused)}",
            "attacks failed, as promised",
            [(flow, each, took(each.took_ms)) for flow, each in refused],
        ),
        _figure(
            f"{checks}",
            "checks hold",
            [(flow, each, f"{len(each.checks)}") for flow, each in shown if each.checks],
        ),
        _figure(
            f"{run.took_ms / 1000:.1f}",
            "seconds from start to report",
            [(flow, each, took(each.took_ms)) for flow, each in told],
        ),
    )
    return (
        '<section class="card"><h2>Was everything shown that was promised?</h2>'
        f"{''.join(figures)}</section>"
    )


def _figure(value: str, words: str, rows: list[tuple[FlowRecord, MarkerRecord, str]]) -> str:
    listed = "".join(
        f'<li><a href="#{flow.name}-{each.name}">{escape(each.name)}</a><span>{said}</span></li>'
        for flow, each, said in rows
    )
    return (
        f'<details class="figure"><summary><b>{value}</b>{words}<span class="took"></span>'
        f"</summary><ul>{listed}</ul></details>"
    )


def _who(run: RunRecord) -> str:
    rows = "".join(_node(node) for node in run.nodes)
    listed = f'<ul class="people">{rows}</ul>' if rows else "<p>No node answered at the end.</p>"
    return f'<section class="card"><h2>Who took part?</h2>{listed}</section>'


def _node(node: NodeRecord) -> str:
    facts: dict[str, Any] = {
        "DID": node.did,
        "version": node.version,
        "engine": f"{node.engine.name} {node.engine.version}",
        "settings": node.engine.settings,
    }
    count = len(node.witnessed)
    seen = f"{count} {'witness' if count == 1 else 'witnesses'} of its journal"
    return (
        f"<li><details><summary><span>{escape(node.title)}</span>"
        f'<span class="took soft">{seen}</span></summary>{values_table(facts)}</details></li>'
    )


def _done_to(run: RunRecord) -> str:
    titles = {node.org: node.title for node in run.nodes}
    moved = f"<p>World time was moved ahead by {_days(run.clock_moved_ms)}.</p>"
    rows = "".join(
        f"<li><details><summary><span>{escape(deed_sentence(each, titles=titles))}</span>"
        f'<span class="took soft"></span></summary>'
        f"{values_table({'told by': f'flow {flow.name.upper()}', **each})}</details></li>"
        for flow in run.flows
        for each in flow.disturbances
    )
    listed = f'<ul class="people">{rows}</ul>' if rows else ""
    nothing = (
        "" if rows or run.clock_moved_ms else "<p>Nothing: no node was killed, no link cut.</p>"
    )
    return (
        '<section class="card"><h2>What was done to the network on purpose?</h2>'
        f"{listed}{moved if run.clock_moved_ms else ''}{nothing}</section>"
    )


def _days(moved_ms: int) -> str:
    days = moved_ms / 86_400_000
    return "one day" if days == 1 else f"{days:.4g} days"


def _check_it(run: RunRecord) -> str:
    command = "opkit report verify . --genesis GENESIS"
    facts = {
        "run": run.run_id,
        "network": run.network,
        "operator": run.operator,
        "seed": run.seed,
        "profile": run.profile,
        **run.versions,
    }
    return (
        '<section class="card"><h2>How can I check this myself?</h2>'
        "<p>The network's operator signed the hash of every file in this folder. Use the genesis "
        "that you keep yourself, never the copy beside this page.</p>"
        f'<pre>{command}</pre><button type="button" class="act" data-copy="{command}">'
        f"Copy the command</button>{values_table(facts)}</section>"
    )


def _lower_first(title: str) -> str:
    return title[:1].lower() + title[1:]
