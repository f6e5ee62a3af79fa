"""Telling a story in a notebook: one cell, one step, one marker shown and kept in the file.

Each marker is a display of three forms: JSON for the runner, HTML for people, text for terminals.
It is shown as running when the step begins and changes in place when it ends.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from html import escape
from typing import Any, TypeVar

from opkit.proof.cid import cid_of
from opkit.story.evidence import NotShown
from opkit.story.flow import Flow
from opkit.story.hold import Held, opened
from opkit.story.report import MarkerRecord, Report
from opkit.story.states import State
from opkit.story.telling import Telling, Told
from opkit.story.world import World
from opkit.wire.base import b64encode

S = TypeVar("S")

MIME = "application/vnd.opkit.marker+json"

_LAB_COLOURS = {
    "done": "--jp-success-color0",
    "shield": "--jp-mirror-editor-operator-color",
    "run": "--jp-warn-color0",
    "fail": "--jp-error-color0",
}
"""What JupyterLab's own themes call the colours next to the tokens, which are not defined there."""


class NotebookStory:
    """A telling whose world stays open from cell to cell. Get it from `tell`."""

    def __init__(self, telling: Telling[Any], held: Held[World]) -> None:
        """Take over a telling and the world it is told in."""
        self._telling = telling
        self._held = held

    async def step(self, marker: str) -> None:
        """Tell the step of this marker, showing it.

        Raises:
            NotShown: as `Telling.step`.
        """
        await self._telling.step(marker)

    def told(self, marker: str) -> MarkerRecord:
        """Return a step that was told, with its evidence, to be drawn in the next cell.

        Raises:
            NotShown: it was not told yet.
        """
        for record in self._telling.report().markers:
            if record.name == marker:
                return record
        raise NotShown(f"{marker} was not told yet")

    async def close(self) -> None:
        """Show how the story ended, and let go of the world.

        Raises:
            NotShown: not every planned marker was shown.
        """
        report = self._telling.report()
        _show(closing_bundle(report), display_id=f"opkit-{report.name}-end", first=True)
        await self._held.close()
        if not report.ok:
            raise NotShown(report.verdict)


async def tell(flow: Flow[S], opening: Awaitable[World]) -> NotebookStory:
    """Open a world and begin to tell a flow in it, one cell at a time.

    Args:
        flow: what to tell.
        opening: the coroutine that opens the world, not awaited yet: one task will own the world
            from here to `close`.
    """
    held = Held(opened(opening))
    world = await held.open()
    try:
        telling = flow.tell(world, on_told=show)
    except BaseException:
        await held.close()
        raise
    return NotebookStory(telling, held)


def show(told: Told) -> None:
    """Display a step that began, or change the display of one that ended."""
    display_id = f"opkit-{told.flow}-{told.marker}"
    _show(marker_bundle(told), display_id=display_id, first=told.state is State.RUNNING)


def marker_bundle(told: Told) -> dict[str, Any]:
    """Return the three forms of a step's display.

    `blobs` travels beside the record for the runner to keep, and is not saved in the notebook.
    """
    record = told.record
    said = {
        "v": 1,
        "flow": told.flow,
        "index": told.index,
        "total": told.total,
        "marker": told.marker,
        "sentence": told.sentence,
        "state": told.state.value,
        "record": None if record is None else record.model_dump(mode="json"),
        "setup": [each.model_dump(mode="json") for each in told.setup],
        "blobs": {cid_of(data): b64encode(data) for data in told.blobs},
    }
    problem = record.problem if record else ""
    text = f"{told.state.shape} {told.sentence} … {told.marker}"
    return {
        MIME: said,
        "text/html": _html(told.state, told.sentence, told.marker, problem),
        "text/plain": f"{text}\n  {problem}" if problem else text,
    }


def closing_bundle(report: Report) -> dict[str, Any]:
    """Return the three forms of a story's end: the report without its markers' evidence."""
    said = report.model_copy(update={"markers": ()}).model_dump(mode="json")
    said["shown"] = list(report.shown)
    line = report.verdict
    state = State.DONE if report.ok else State.FAILED
    count = f"{len(report.shown)} of {len(report.planned)} markers shown"
    return {
        MIME: {"v": 1, "flow": report.name, "end": said},
        "text/html": _html(state, count, line.split(" at ")[0], ""),
        "text/plain": line,
    }


def _html(state: State, sentence: str, name: str, problem: str) -> str:
    own = _LAB_COLOURS.get(state.token)
    shape = f"var(--opkit-{state.token}, {f'var({own}, currentColor)' if own else 'currentColor'})"
    word = f"var(--opkit-{state.token}, currentColor)"
    more = f"<br><small>{escape(problem)}</small>" if problem else ""
    return (
        f'<div class="opkit-marker opkit-{state.value}">'
        f'<svg viewBox="0 0 20 20" width="20" height="20" aria-hidden="true" stroke="currentColor" '
        f'stroke-linecap="round" style="color:{shape};vertical-align:-4px">{state.drawing}</svg> '
        f"{escape(sentence)} "
        f'<small style="color:{word}">{escape(state.word)}</small><br>'
        f"<code>{escape(name)}</code>{more}</div>"
    )


def _show(bundle: dict[str, Any], *, display_id: str, first: bool) -> None:
    from IPython import display  # only a kernel has it

    send: Callable[..., object] = display.display if first else display.update_display
    send(bundle, raw=True, display_id=display_id)
