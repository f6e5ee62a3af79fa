"""Beside the story: what the presenter says, and what the sentence rests on.

Every check is shown with both of its sides; what can be verified again is verified again here, by
a click, from the proofs themselves.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from typing import Final
from urllib.parse import quote

from opkit.story.report import BlobRecord, CheckRecord, MarkerRecord, SignedRecord
from opkit.story.stage import Mode, StageView
from opkit.story.states import State
from opkit.views.amounts import clock_text
from opkit.views.cards import control
from opkit.views.console import in_front, in_words, opened
from opkit.views.figures import ConsoleFigures, Verification
from opkit.views.page import icon
from opkit.views.proofs import proof_json
from opkit.views.values import text_html, values_table

_FAILED: Final = "“That did not hold, and nothing here hides it. The reason stands below.”"
"""Said in place of a step's own narration, which tells what would have been shown."""

EVIDENCE_ID = "console-evidence"
"""The element that holds the open evidence as JSON, to be copied."""


def say(figures: ConsoleFigures) -> str:
    """Return what the presenter says now; the audience sees it too."""
    stage = figures.stage
    if stage is None:
        words = (
            "Choose a story. Run tells it by itself, with time to read; step by step waits for you."
            if figures.may_act
            else "As soon as a story is told, what the presenter says stands here."
        )
        return f'<h2>Say</h2><p class="tell-words soft">{words}</p>'
    return f'<h2>Say</h2><p class="tell-words">{_words(stage)}</p>'


def _words(stage: StageView) -> str:
    step = in_front(stage)
    if step is None or stage.mode is Mode.OPENING:
        return escape(stage.story)
    if step.state is State.FAILED:
        return _FAILED
    return f"“{escape(step.say or step.sentence)}”"


def evidence(figures: ConsoleFigures) -> str:
    """Return what the open sentence rests on, or what will stand here."""
    step = opened(figures)
    if figures.stage is None:
        return ""
    if step is None or step.record is None:
        return (
            "<h2>Evidence</h2>"
            '<p class="soft">Nothing is told yet. The values, checks and proofs of each sentence '
            "stand here as soon as it is.</p>"
        )
    told = step.record
    again = figures.again if figures.again and figures.again.subject == step.marker else None
    chosen = figures.selected == step.marker
    follow = control("Follow the story", "follow") if chosen else ""
    place = f' data-begins="{escape(step.marker)}"'
    if chosen:
        place += f' data-bring="{escape(step.marker)}"'
    return (
        f"<h2{place}>Evidence for {escape(told.name)}</h2>{follow}"
        f"{_verdict(told)}{_problem(told, figures)}{_proofs(told)}{_again(again)}"
        f"{check_rows(told.checks)}{_values(told)}{_blobs(told)}"
    )


def check_rows(checks: Sequence[CheckRecord]) -> str:
    """Return checks with both sides each; where they are equal the value stands once."""
    rows = "".join(_check(check) for check in checks)
    return f'<ul class="tell-checks">{rows}</ul>' if rows else ""


def _check(check: CheckRecord) -> str:
    if check.expected == check.actual:
        sides = f"<dd>{_side(check.actual)}<i> as expected</i></dd>"
    else:
        sides = (
            f"<dd><i>expected </i>{_side(check.expected)}</dd><dd><i>is </i>"
            f"{_side(check.actual)}</dd>"
        )
    state = State.DONE if check.ok else State.FAILED
    return f"<li>{icon(state)}<dl><dt>{escape(check.name)}</dt>{sides}</dl></li>"


def _side(text: str) -> str:
    return text_html(text) if text else "nothing"


def _verdict(told: MarkerRecord) -> str:
    held = sum(check.ok for check in told.checks)
    if not told.checks:
        return ""
    tone = "done" if told.ok and held == len(told.checks) else "failed"
    return f'<p><span class="pill t-{tone}">holds: {held} of {len(told.checks)} checks</span></p>'


def _problem(told: MarkerRecord, figures: ConsoleFigures) -> str:
    if not told.problem:
        return ""
    why = in_words(told.problem, figures.network)
    return f'<pre class="tell-problem">{escape(why)}</pre>'


def _values(told: MarkerRecord) -> str:
    if not told.evidence:
        return ""
    return (
        f'<details class="tell-values" id="values-{escape(told.name)}"><summary class="act">'
        f"Show all values</summary>{values_table(told.evidence)}</details>"
    )


def _proofs(told: MarkerRecord) -> str:
    said = json.dumps(told.model_dump(mode="json"), indent=2, ensure_ascii=False)
    kept = said.replace("<", "\\u003c")
    parts = [control("Verify again", "verify", marker=told.name)] if told.proofs else []
    parts += [
        _saved(told, proof, number)
        for number, proof in enumerate(told.proofs)
        if not isinstance(proof, BlobRecord)
    ]
    parts += [
        f'<button type="button" class="act" data-from="{EVIDENCE_ID}">Copy evidence</button>',
        f'<script type="application/json" id="{EVIDENCE_ID}">{kept}</script>',
    ]
    return f'<div class="tell-acts">{"".join(parts)}</div>'


def _saved(told: MarkerRecord, proof: SignedRecord, number: int) -> str:
    return (
        f'<a class="act" download="{escape(told.name.lower())}-{number}.{proof.kind}.json" '
        f'href="data:application/json,{quote(proof_json(proof))}">Save proof</a>'
    )


def _blobs(told: MarkerRecord) -> str:
    named = "".join(
        f"<li>{text_html(proof.cid)}</li>" for proof in told.proofs if isinstance(proof, BlobRecord)
    )
    return f'<h2>Bytes it rests on</h2><ul class="tell-blobs">{named}</ul>' if named else ""


def _again(again: Verification | None) -> str:
    """Return what a verification just now, here, found."""
    if again is None:
        return ""
    held = sum(check.ok for check in again.checks)
    tone = "done" if again.ok else "failed"
    shown = "" if again.ok else " open"
    return (
        '<section class="tell-again" aria-live="polite">'
        f"<h2>Verified again, here, at {clock_text(again.at_ms)} UTC</h2>"
        f'<p><span class="pill t-{tone}">{escape(again.verdict)}: {held} of {len(again.checks)} '
        f'checks hold</span></p><details id="again-{escape(again.subject)}"{shown}>'
        f'<summary class="act">Show what was checked</summary>{check_rows(again.checks)}</details>'
        "</section>"
    )
