"""Executes one notebook in the calling thread, and finds out where it broke."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opkit.runner.collect import Collector
from opkit.runner.kernels import KernelPool, own_loop
from opkit.runner.nbfile import read_notebook, write_notebook
from opkit.story.record import CellFailure, FlowRecord

CELL_SECONDS_MAX = 90
START_SECONDS_MAX = 60
_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_ADDED = "papermill-error-cell-tag"


@dataclass(frozen=True, kw_only=True)
class Job:
    """A notebook to execute.

    Attributes:
        source: the notebook as committed.
        target: where the executed one is saved, after every cell; absolute.
        parameters: for its parameters cell.
        cell_seconds: how long one cell may take.
    """

    source: Path
    target: Path
    parameters: Mapping[str, Any]
    cell_seconds: int = CELL_SECONDS_MAX


def execute(job: Job, collector: Collector, pool: KernelPool) -> FlowRecord:
    """Execute a notebook and return the flow as it was told; a broken notebook is a result too.

    Called in a thread of its own: papermill blocks.
    """
    import papermill
    from papermill.exceptions import PapermillException

    from opkit.runner.engine import NAME

    began = time.monotonic()
    problem = ""
    try:
        # `cwd` would change the folder of the whole process, so it is never passed.
        with own_loop():
            papermill.execute_notebook(
                str(job.source),
                str(job.target),
                parameters=dict(job.parameters),
                engine_name=NAME,
                kernel_name="python3",
                progress_bar=False,
                log_output=False,
                autosave_cell_every=0,
                start_timeout=START_SECONDS_MAX,
                execution_timeout=job.cell_seconds,
                pool=pool,
                on_marker=collector.hear,
            )
    except (PapermillException, RuntimeError, OSError, ValueError) as broken:
        problem = f"{type(broken).__name__}: {broken}"
    failure = None
    if job.target.exists():
        notebook = read_notebook(job.target)
        failure = failure_in(notebook)
        tidy(notebook, name=job.source.name)
        write_notebook(notebook, job.target)
    if failure is None and problem:
        failure = CellFailure(cell=0, cells=0, source="", error=plain(problem, limit=8_000))
    took_ms = round((time.monotonic() - began) * 1000)
    file = f"notebooks/{job.target.name}" if job.target.exists() else ""
    return collector.record(failure=failure, notebook=file, took_ms=took_ms)


def failure_in(notebook: Any) -> CellFailure | None:
    """Return where an executed notebook broke: its first cell with an error among its outputs."""
    cells = [cell for cell in notebook.cells if _ADDED not in cell.metadata.get("tags", [])]
    for place, cell in enumerate(cells, 1):
        errors = [out for out in cell.get("outputs", []) if out.output_type == "error"]
        if errors:
            error = errors[-1]
            said = f"{error.ename}: {error.evalue}" if error.evalue else error.ename
            return CellFailure(
                cell=place,
                cells=len(cells),
                source=plain(cell.source, limit=20_000),
                error=plain(said, limit=8_000),
                output=plain(_printed(cell), limit=20_000),
                traceback=plain("\n".join(error.traceback), limit=40_000),
            )
    return None


def tidy(notebook: Any, *, name: str) -> None:
    """Take out of an executed notebook what belongs to this machine: folders and widgets' state."""
    facts = notebook.metadata.get("papermill", {})
    facts["input_path"] = facts["output_path"] = name


def plain(text: str, *, limit: int) -> str:
    """Return text without terminal colours, cut to `limit` characters in the middle."""
    text = _ANSI.sub("", text)
    if len(text) <= limit:
        return text
    half = limit // 2 - 2
    return f"{text[:half]}\n…\n{text[-half:]}"


def _printed(cell: Any) -> str:
    return "".join(out.text for out in cell.get("outputs", []) if out.output_type == "stream")
