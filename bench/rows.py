"""A measured row: medians with their number and the machine's load, held against a target."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Row:
    """One figure.

    Attributes:
        name: what was measured; stable, so that runs can be compared.
        value: the figure in `unit`.
        target: the bound, written `<= 30` or `>= 60`.
        ok: whether the value keeps to it.
        n: how many measurements the value was taken from.
        load: the machine's load average over the last minute, divided by its cores.
    """

    name: str
    value: float
    unit: str
    target: str
    ok: bool
    n: int
    load: float


def row(name: str, value: float, unit: str, *, target: str, n: int) -> Row:
    """Return a row; judge its value by the target."""
    sign, _, bound = target.partition(" ")
    assert sign in {"<=", ">="}, target
    ok = value <= float(bound) if sign == "<=" else value >= float(bound)
    kept = float(f"{value:.4g}")
    return Row(name=name, value=kept, unit=unit, target=target, ok=ok, n=n, load=load())


def load() -> float:
    """Return the load average of the last minute per core."""
    return round(os.getloadavg()[0] / (os.cpu_count() or 1), 2)


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that is not exceeded by `share` (0 to 1) of the values."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def seconds_of(work: Callable[[], object]) -> float:
    """Return how long `work` takes, in seconds."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


async def ms_of(work: Callable[[], Awaitable[object]]) -> float:
    """Return how long `work` takes, in milliseconds."""
    started = time.perf_counter()
    await work()
    return (time.perf_counter() - started) * 1000


def table(rows: Sequence[Row]) -> str:
    """Return the rows as aligned text."""
    lines = [f"{'what':44} {'value':>10} {'unit':8} {'target':>10}  {'n':>4} {'load':>5}"]
    lines += [
        f"{r.name:44} {r.value:>10g} {r.unit:8} {r.target:>10}  {r.n:>4} {r.load:>5.2f}"
        f"  {'ok' if r.ok else 'MISSED'}"
        for r in rows
    ]
    return "\n".join(lines)


def write(path: Path, rows: Sequence[Row]) -> None:
    """Write the rows as JSON, one object each; rows that were not measured now are kept."""
    kept = {}
    if path.exists():
        kept = {entry["name"]: entry for entry in json.loads(path.read_text())}
    kept.update({r.name: asdict(r) for r in rows})
    path.write_text(json.dumps(list(kept.values()), indent=1) + "\n")
