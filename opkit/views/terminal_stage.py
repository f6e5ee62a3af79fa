"""What a stage looks like in a terminal: blocks that scroll by, and two lines that stay below them.

Nothing takes the whole screen: what was shown can be scrolled back to, and copied.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.constrain import Constrain
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from opkit.story.report import CheckRecord, MarkerRecord, SetupRecord
from opkit.story.stage import Mode, StageStep, StageView
from opkit.story.states import State
from opkit.views.terminal import state_text, step_line
from opkit.views.values import took

COLUMNS_MAX: Final = 110
"""Longer lines are hard to read aloud from."""
CHECKS_MAX: Final = 6
"""How many checks stand under a step; all of them are in its evidence."""
FACT_CHARS_MAX: Final = 2_000

KEYS: Final = (
    ("space", "next"),
    ("←", "back"),
    ("p", "play"),
    ("r", "repeat"),
    ("g", "go to"),
    ("e", "evidence"),
    ("?", "help"),
    ("q", "quit"),
)
HELP: Final = (
    ("space  →  enter  n", "tell the next step, or show the one after"),
    ("←  backspace  b", "show the step before; nothing is told"),
    ("p", "play: go on by itself, at the pace of reading; again: pause"),
    ("r", "repeat: tell anew, without a pause, up to the step that is shown"),
    ("a", "again: begin a new telling and wait at its first step"),
    ("g 7 enter,  7 enter", "go to step 7: what comes before it is told without a pause"),
    ("e", "the evidence of the step that is shown: facts, checks, proofs"),
    ("q", "quit"),
    ("", "a clicker's forward and back are next and back"),
)
_NAME = re.compile(r"\S{41,}")


def stage_head(view: StageView) -> RenderableType:
    """Return the headline of a story, and the story in a few sentences."""
    title = Text(f"Flow {view.flow.upper()}: {view.title}", style="bold")
    return _block(title, Text(view.story))


def telling_line(view: StageView) -> RenderableType:
    """Return the run id of a telling that begins: each has its own."""
    return _block(Text(f"told from the beginning, as run {view.run_id}", style="soft"))


def setup_line(record: SetupRecord, *, ascii_only: bool = False) -> RenderableType:
    """Return a set-up step as a line."""
    state = State.DONE if record.ok else State.FAILED
    line = step_line(state, record.sentence, "", took_ms=record.took_ms, ascii_only=ascii_only)
    return Constrain(line, COLUMNS_MAX)


def skipped_line(step: StageStep, *, ascii_only: bool = False) -> RenderableType:
    """Return a step that was told without a pause as a line."""
    took_ms = step.record.took_ms if step.record is not None else None
    return Constrain(
        step_line(step.state, step.sentence, step.marker, took_ms=took_ms, ascii_only=ascii_only),
        COLUMNS_MAX,
    )


def step_block(view: StageView, index: int, *, ascii_only: bool = False) -> RenderableType:
    """Return a step as the room sees it: sentence, state in a word, what to say, its checks."""
    step = view.steps[index]
    record = step.record
    head = Text.assemble(
        state_text(step.state, ascii_only=ascii_only), " ", (step.sentence, "bold")
    )
    below = Text.assemble((f"{index + 1} of {len(view.steps)}  {step.marker}  ", "soft"))
    below.append(step.state.word, step.state.token)
    if record is not None:
        below.append(f"  {took(record.took_ms)}", "soft")
    parts: list[RenderableType] = [head, Padding(below, (0, 0, 0, 2))]
    if step.say:
        parts.append(Padding(Text(f"“{step.say}”", style="italic"), (1, 0, 0, 2)))
    if record is not None and record.problem:
        parts.append(Padding(Text(printable(record.problem), "fail"), (1, 0, 0, 2)))
    if record is not None and record.checks:
        parts.append(Padding(_checks(record.checks, CHECKS_MAX, ascii_only), (1, 0, 0, 2)))
    return _block(*parts)


def stop_block(view: StageView) -> RenderableType:
    """Return why a story ended before its end; empty where the step that failed says it itself."""
    told = any(step.state is State.FAILED for step in view.steps)
    if view.stopped is None or told:
        return Group()
    return _block(Text(printable(view.stopped.why), style="fail"))


def evidence_block(step: StageStep, *, ascii_only: bool = False) -> RenderableType:
    """Return all that a told step rests on: checks with both sides, facts, proofs."""
    record = step.record
    if record is None:
        return _block(Text(f"{step.marker} has not been told: it rests on nothing yet", "soft"))
    facts = Table.grid(padding=(0, 2))
    for name, value in record.evidence.items():
        facts.add_row(Text(name.replace("_", " "), "soft"), Text(_fact(value)))
    parts: list[RenderableType] = [
        Text(f"Evidence for {step.marker}", style="bold"),
        _checks(record.checks, len(record.checks), ascii_only),
    ]
    if record.evidence:
        parts.append(facts)
    parts.extend(Text(line, "soft") for line in _proofs(record))
    return _block(*parts)


def help_block() -> RenderableType:
    """Return what the keys do."""
    rows = Table.grid(padding=(0, 3))
    for keys, what in HELP:
        rows.add_row(Text(keys, "bold"), what)
    return _block(rows)


def foot(
    view: StageView, *, typed: str | None = None, notice: str = "", ascii_only: bool = False
) -> RenderableType:
    """Return the lines that stay below: what is going on or comes next, and the keys.

    Args:
        view: the stage.
        typed: the digits of a place that is being typed; None if none is.
        notice: why the last key did nothing, if it did not.
        ascii_only: whether the terminal lacks the shapes.
    """
    telling = view.mode is Mode.WAITING and any(step.state is State.RUNNING for step in view.steps)
    doing = "telling" if telling else view.mode.value
    keys = Text.assemble((f"{view.told} of {len(view.steps)}  {doing}", "run"))
    for key, what in KEYS:
        word = "pause" if key == "p" and view.mode in {Mode.PLAYING, Mode.SKIPPING} else what
        name = "<" if ascii_only and key == "←" else key
        keys.append("  ").append(name, "bold").append(f" {word}", "soft")
    if typed is not None:
        first = Text(f"go to step {typed}_   enter goes, escape does not", "run")
    elif notice:
        first = Text(printable(notice), "run")
    else:
        first = now_line(view, ascii_only=ascii_only)
    for line in (first, keys):
        line.no_wrap, line.overflow = True, "ellipsis"
    return Group("", first, keys)


def now_line(view: StageView, *, ascii_only: bool = False) -> Text:
    """Return what is going on, or what comes next, in a line."""
    if view.mode is Mode.OPENING:
        shape = state_text(State.RUNNING, ascii_only=ascii_only)
        return Text.assemble(shape, (" the network is opened and checked", "soft"))
    if view.mode is Mode.ENDED:
        return Text("told whole; a tells it again, q quits", "done")
    if view.mode is Mode.STOPPED:
        return Text("stopped; a tells it again, q quits", "fail")
    running = [step for step in view.steps if step.state is State.RUNNING]
    step = running[0] if running else view.steps[view.told]
    line = Text.assemble(state_text(step.state, ascii_only=ascii_only))
    line.append(" " if running else " next: ", "soft")
    if step.kind == "refused":
        line.append("an attack: ", "shield")
    line.append(step.sentence, "" if running else "soft")
    if not running and view.mode is Mode.PLAYING:
        line.append(f"  (after {took(view.pace_ms)})", "soft")
    return line


def end_line(view: StageView) -> Text:
    """Return how a telling has ended, or where it was left."""
    shown = sum(step.record is not None and step.record.ok for step in view.steps)
    count = f"{shown} of {len(view.steps)} markers"
    if view.mode is Mode.ENDED:
        return Text(f"FLOW_OK {view.flow}  {count}, {len(view.setup)} set-up", style="done")
    if view.stopped is None:
        return Text(f"left  {count}", style="soft")
    at = f"at {view.stopped.at}" if view.stopped.at else "before the first step"
    line = Text(f"FLOW_FAILED {view.flow}  {count}", style="fail")
    return line.append(f"\n  stopped {at}: {printable(view.stopped.why)}", "fail")


def printable(text: str) -> str:
    """Return a text of somebody else's without what steers a terminal."""
    return "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text)


def _block(*parts: RenderableType) -> RenderableType:
    return Constrain(Group("", *parts), COLUMNS_MAX)


def _checks(checks: tuple[CheckRecord, ...], shown: int, ascii_only: bool) -> RenderableType:
    """Return checks, those that fail first; one side is enough where both are equal."""
    rows = Table.grid(padding=(0, 2))
    ordered = sorted(checks, key=lambda check: check.ok)
    for check in ordered[:shown]:
        state = State.DONE if check.ok else State.FAILED
        found, expected = _side(check.actual), _side(check.expected)
        sides = Text(found)
        if found != expected:
            sides.append(f"  expected {expected}", "soft" if check.ok else "fail")
        rows.add_row(state_text(state, ascii_only=ascii_only), Text(printable(check.name)), sides)
    if len(ordered) > shown:
        rows.add_row("", Text(f"and {len(ordered) - shown} more", "soft"), "")
    return rows


def _proofs(record: MarkerRecord) -> list[str]:
    return [
        f"proof: the bytes {proof.cid}" if proof.kind == "blob" else "proof: a signed receipt"
        for proof in record.proofs
    ]


def _fact(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = printable(text)
    return text if len(text) <= FACT_CHARS_MAX else text[: FACT_CHARS_MAX - 1] + "…"


def _side(text: str) -> str:
    """Return a side of a check on one line; names are shortened in the middle."""
    line = printable(" ".join(text.split()))
    return _NAME.sub(lambda name: f"{name[0][:14]}…{name[0][-6:]}", line)
