"""A report as plain text: one line a step, the last line says whether it was told whole."""

from __future__ import annotations

from opkit.story.report import Report
from opkit.story.states import State


def lines_of(report: Report, *, ascii_only: bool = False) -> tuple[str, ...]:
    """Return the report as lines for a terminal, without colour."""
    told = [
        f"{_shape(marker.state, ascii_only)} {marker.sentence} … {marker.name}"
        for marker in report.markers
    ]
    waiting = report.planned[len(report.markers) :]
    unseen = [f"{_shape(State.WAITING, ascii_only)} not told … {name}" for name in waiting]
    return (*told, *unseen, verdict_line(report))


def verdict_line(report: Report) -> str:
    """Return `FLOW_OK name n/n`, or `FLOW_FAILED name n/m at MARKER: why`."""
    count = f"{len(report.shown)}/{len(report.planned)}"
    setup = f", {len(report.setup)} set-up" if report.setup else ""
    if report.ok:
        return f"FLOW_OK {report.name} {count}{setup}"
    where = (
        f" at {report.stopped.at or 'the start'}: {report.stopped.why}" if report.stopped else ""
    )
    return f"FLOW_FAILED {report.name} {count}{setup}{where}"


def _shape(state: State, ascii_only: bool) -> str:
    return state.letter if ascii_only else state.shape
