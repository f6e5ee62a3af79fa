"""What a run looks like in a terminal: the same five states, in the nearest colours."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text
from rich.theme import Theme

from opkit.story.record import FlowRecord, RunRecord
from opkit.story.states import State
from opkit.views.tokens import DARK, LIGHT

_NAMES = ("done", "shield", "run", "fail", "soft")
_SIXTEEN = dict(zip(_NAMES, ("cyan", "magenta", "yellow", "red", "bright_black"), strict=True))


def theme(*, colours: str | None = None, dark: bool = True) -> Theme:
    """Return the tokens as styles: `done`, `shield`, `run`, `fail`, `soft`.

    Args:
        colours: what the console can show (`Console.color_system`); with sixteen colours the
            nearest by hue are chosen, for Rich's own choice makes the shield grey.
        dark: whether the terminal's ground is dark.
    """
    if colours in {"standard", "windows"}:
        return Theme(_SIXTEEN)
    tokens = DARK if dark else LIGHT
    return Theme({name: tokens[name] for name in _NAMES})


def state_text(state: State, *, ascii_only: bool = False) -> Text:
    """Return a state's shape in its colour."""
    return Text(state.letter if ascii_only else state.shape, style=state.token)


def step_line(
    state: State, sentence: str, marker: str, *, took_ms: int | None, ascii_only: bool = False
) -> RenderableType:
    """Return one step as a line: shape, sentence, marker, how long it took or its state's word."""
    row = Table.grid(padding=(0, 1), expand=True)
    row.add_column(width=1)
    row.add_column(ratio=1)
    row.add_column(justify="right", no_wrap=True)
    row.add_column(justify="right", width=9, no_wrap=True)
    last = f"{took_ms} ms" if took_ms is not None else state.word if state is State.RUNNING else ""
    said = Text(sentence, style="soft" if state is State.WAITING else "")
    row.add_row(
        state_text(state, ascii_only=ascii_only),
        said,
        Text(marker, style="soft"),
        Text(last, style=state.token),
    )
    return row


def marker_table(flows: Sequence[FlowRecord], *, ascii_only: bool = False) -> RenderableType:
    """Return every marker of a run with its state in a word, its evidence counted, its time."""
    table = Table(box=None, header_style="soft", pad_edge=False)
    for name in ("", "Marker", "State"):
        table.add_column(name, no_wrap=True)
    table.add_column("Checks", justify="right", no_wrap=True)
    table.add_column("Time", justify="right", no_wrap=True)
    table.add_column("Sentence", ratio=1)
    for flow in flows:
        table.add_row("", Text(f"Flow {flow.name}", style="bold"), "", "", "", flow.title)
        for index, name in enumerate(flow.planned):
            _add(table, flow, index, name, ascii_only=ascii_only)
    return table


def closing(run: RunRecord) -> RenderableType:
    """Return how a run ended: one line a flow, and where one stopped."""
    return Group(*(_verdict(flow) for flow in run.flows))


def _verdict(flow: FlowRecord) -> Text:
    count = f"{len(flow.shown)} of {len(flow.planned)} markers"
    if flow.ok:
        return Text(f"FLOW_OK {flow.name}  {count}, {len(flow.setup)} set-up", style="done")
    line = Text(f"FLOW_FAILED {flow.name}  {count}", style="fail")
    if flow.stopped is not None:
        line.append(f"\n  stopped at {flow.stopped.at or 'the end'}: {flow.stopped.why}", "fail")
    if flow.failure is not None and flow.failure.source:
        line.append(f"\n  in cell {flow.failure.cell}: {flow.failure.source.splitlines()[0]}")
    return line


def _add(table: Table, flow: FlowRecord, index: int, name: str, *, ascii_only: bool) -> None:
    state = flow.state_at(index)
    told = flow.markers[index] if index < len(flow.markers) else None
    held = sum(check.ok for check in told.checks) if told else 0
    table.add_row(
        state_text(state, ascii_only=ascii_only),
        name,
        Text(state.word, style=state.token),
        f"{held}/{len(told.checks)}" if told and told.checks else "",
        f"{told.took_ms} ms" if told else "",
        escape(told.sentence) if told else "",
    )
