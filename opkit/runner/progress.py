"""Live progress of a run in a terminal: one line a step; plain lines where it is piped."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from opkit.runner.network import RunEvent
from opkit.story.states import State
from opkit.views.terminal import closing, marker_table, state_text, step_line, theme


class Progress:
    """Shows a run while it goes on. Give the instance itself as `on_event`.

    ```python
    with Progress(console) as progress:
        result = await run_flows(..., on_event=progress)
    ```
    """

    def __init__(self, console: Console) -> None:
        """Show on this console; nothing is written before the first event."""
        self._console = console
        self._ascii = not (console.encoding or "").lower().startswith("utf")
        self._steps: dict[str, dict[str, RunEvent]] = {}
        self._titles: dict[str, str] = {}
        self._note = "starting kernels and nodes"
        self._live = Live(
            console=console, refresh_per_second=12, get_renderable=self._render, transient=True
        )

    def __enter__(self) -> Self:
        """Begin to show."""
        self._console.push_theme(theme(colours=self._console.color_system))
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        """Stop showing; the lines that were told stay."""
        if self._console.is_terminal:
            self._live.stop()
        self._console.pop_theme()

    def __call__(self, event: RunEvent) -> None:
        """Take one event of the run."""
        if event.kind == "network":
            self._note = f"telling on {event.title}"
        elif event.kind == "flow":
            self._titles[event.flow] = event.title
            self._steps[event.flow] = {}
        elif event.kind == "step":
            self._step(event)
        elif event.kind == "end":
            self._note = "writing the report"
            self._titles.pop(event.flow, None)
        elif event.kind == "report" and event.run is not None:
            self._note = ""
            run = event.run
            table = marker_table(run.flows, ascii_only=self._ascii, interrupted=run.interrupted)
            self._console.print(table)
            self._console.print(closing(run))

    def _step(self, event: RunEvent) -> None:
        if event.flow not in self._steps:
            return
        if event.state is State.RUNNING:
            self._steps[event.flow][event.marker] = event
            return
        self._steps[event.flow].pop(event.marker, None)
        self._console.print(self._line(event))

    def _line(self, event: RunEvent) -> RenderableType:
        return step_line(
            event.state,
            event.sentence,
            event.marker,
            took_ms=event.took_ms,
            ascii_only=self._ascii,
        )

    def _render(self) -> RenderableType:
        running = [self._line(event) for steps in self._steps.values() for event in steps.values()]
        note = state_text(State.RUNNING, ascii_only=self._ascii) + Text(f" {self._note}", "soft")
        return Group(*running, *([note] if self._note else []))
