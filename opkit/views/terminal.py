"""What a run looks like in a terminal: the same five states, in the nearest colours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text
from rich.theme import Theme

from opkit.story.record import FlowRecord, RunRecord
from opkit.story.states import State
from opkit.views.tokens import DARK, LIGHT
from opkit.views.values import place, state_in, took, was_cut_short

NARROW: Final = 110
"""Columns below which a running step is told without its marker's name."""

WIDE: Final = 160
"""Columns from which a marker is one row of the table."""

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
    """Return one step as a line: shape, sentence, marker, how long it took or its state's word.

    Where the terminal is narrow the marker's name is left out: the table at the end has it.
    """
    last = took(took_ms) if took_ms is not None else state.word if state is State.RUNNING else ""

    def lay_out(width: int) -> Table:
        row = Table.grid(padding=(0, 1), expand=True)
        row.add_column(width=1)
        row.add_column(ratio=1)
        if width >= NARROW:
            row.add_column(justify="right", no_wrap=True)
        row.add_column(justify="right", width=8, no_wrap=True)
        cells = [
            state_text(state, ascii_only=ascii_only),
            Text(sentence, style="soft" if state is State.WAITING else ""),
            Text(marker, style="soft"),
            Text(last, style=state.token),
        ]
        row.add_row(*(cells if width >= NARROW else [*cells[:2], cells[3]]))
        return row

    return _Fitting(lay_out)


def marker_table(
    flows: Sequence[FlowRecord], *, ascii_only: bool = False, interrupted: bool = False
) -> RenderableType:
    """Return every marker of a run with its state in a word, its evidence counted, its time.

    The sentence gets the room. In a wide terminal a marker is one row; in any other the sentence
    has the line to itself, and what belongs to it stands small below.
    """

    def lay_out(width: int) -> Table:
        rows = _Rows(wide=width >= WIDE, ascii_only=ascii_only, interrupted=interrupted)
        for flow in flows:
            rows.head(flow)
            for index in range(len(flow.planned)):
                rows.marker(flow, index)
        return rows.table

    return _Fitting(lay_out)


class _Fitting:
    """Laid out for the width it is printed at."""

    def __init__(self, lay_out: Callable[[int], Table]) -> None:
        self._lay_out = lay_out

    def __rich_console__(self, _: Console, options: ConsoleOptions) -> RenderResult:
        yield self._lay_out(options.max_width)


class _Rows:
    """The rows of a marker table, in either of its two layouts."""

    def __init__(self, *, wide: bool, ascii_only: bool, interrupted: bool) -> None:
        self._wide = wide
        self._interrupted = interrupted
        self._ascii = ascii_only
        self.table = Table(box=None, header_style="soft", pad_edge=False, show_header=wide)
        self.table.add_column("", no_wrap=True)
        self.table.add_column("Sentence", ratio=1)
        if wide:
            for name in ("Marker", "State"):
                self.table.add_column(name, no_wrap=True)
            self.table.add_column("Checks", justify="right", no_wrap=True)
        self.table.add_column("Time", justify="right", no_wrap=True)

    def head(self, flow: FlowRecord) -> None:
        """Add the line over a flow's markers."""
        title = Text(f"Flow {flow.name.upper()}: {flow.title}", style="bold")
        self.table.add_row("", title, *([""] * (4 if self._wide else 1)))

    def marker(self, flow: FlowRecord, index: int) -> None:
        """Add a planned marker, told or not."""
        name = flow.planned[index]
        state = state_in(flow, index, interrupted=self._interrupted)
        told = flow.markers[index] if index < len(flow.markers) else None
        held = sum(check.ok for check in told.checks) if told else 0
        count = f"{held}/{len(told.checks)}" if told and told.checks else ""
        time = Text(took(told.took_ms) if told else "", style=state.token)
        word = Text(state.word, style=state.token)
        shape = state_text(state, ascii_only=self._ascii)
        sentence = Text(told.sentence) if told else Text("not told", style="soft")
        if self._wide:
            self.table.add_row(shape, sentence, Text(name, "soft"), word, count, time)
            return
        below = Text(f"{name}  ", style="soft") + word
        if count:
            below.append(f"  {count} checks", "soft")
        self.table.add_row(shape, Group(sentence, below), time)


def closing(run: RunRecord) -> RenderableType:
    """Return how a run ended: one line a flow, and where one stopped."""
    return Group(*(_verdict(flow, interrupted=run.interrupted) for flow in run.flows))


def _verdict(flow: FlowRecord, *, interrupted: bool) -> Text:
    count = f"{len(flow.shown)} of {len(flow.planned)} markers"
    if flow.ok:
        return Text(f"FLOW_OK {flow.name}  {count}, {len(flow.setup)} set-up", style="done")
    line = Text(f"FLOW_FAILED {flow.name}  {count}", style="fail")
    if was_cut_short(flow, interrupted=interrupted):
        line.append(f"\n  interrupted {place(flow)}", "fail")
        return line
    if flow.stopped is not None:
        line.append(f"\n  stopped {place(flow)}: {flow.stopped.why}", "fail")
    if flow.failure is not None and flow.failure.source:
        line.append(f"\n  in cell {flow.failure.cell}: {flow.failure.source.splitlines()[0]}")
    return line
