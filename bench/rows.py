"""A measured row: medians with their number and the machine's load, held against a target."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

Engine = Literal["SQLite", "PostgreSQL"]
"""The databases that a node can keep its state in."""

QUICK = "OPKIT_BENCH_QUICK"
"""Set to anything, it has measurements take a fraction of their time: to see that they run."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One figure.

    Attributes:
        name: what was measured; stable, so that runs can be compared.
        value: the figure in `unit`.
        target: the bound, written `<= 30` or `>= 60`; empty if there is none.
        ok: whether the value keeps to it.
        n: how many measurements the value was taken from.
        low: the least of them.
        high: the greatest of them.
        load: the machine's load average over the last minute, divided by its cores.
    """

    name: str
    value: float
    unit: str
    target: str
    ok: bool
    n: int
    low: float
    high: float
    load: float


KEPT = ("name", "value", "unit", "target", "ok", "n", "load")
"""What of a row is written to the file; the spread is printed."""


def row(name: str, value: float, unit: str, *, target: str, of: Sequence[float]) -> Row:
    """Return a row; judge its value by the target.

    Args:
        target: the bound, written `<= 30` or `>= 60`; empty where the figure explains another.
        of: the measurements that the value was taken from.
    """
    sign, _, bound = target.partition(" ")
    assert sign in {"<=", ">=", ""}, target
    ok = not sign or (value <= float(bound) if sign == "<=" else value >= float(bound))
    return Row(
        name=name,
        value=_short(value),
        unit=unit,
        target=target,
        ok=ok,
        n=len(of),
        low=_short(min(of)),
        high=_short(max(of)),
        load=load(),
    )


def _short(value: float) -> float:
    return float(f"{value:.4g}")


def quick() -> bool:
    """Whether figures are wanted soon rather than well."""
    return bool(os.environ.get(QUICK))


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
    head = f"{'what':44} {'value':>8} {'unit':6} {'target':>9}  {'n':>4} {'from':>8} {'to':>8}"
    lines = [f"{head} {'load':>5}"]
    lines += [
        f"{r.name:44} {r.value:>8g} {r.unit:6} {r.target:>9}  {r.n:>4} {r.low:>8g} {r.high:>8g}"
        f" {r.load:>5.2f}  {'ok' if r.ok else 'MISSED'}"
        for r in rows
    ]
    return "\n".join(lines)


def markdown(rows: Sequence[Row]) -> str:
    """Return the rows as `docs/performance.md` has them, to be pasted there."""
    return "\n".join(
        f"| {r.name} | {f'{r.value:g} {r.unit}'.rstrip()} | {_bound(r.target, r.unit)} | {r.n} "
        f"| {r.low:g} – {r.high:g} | {r.load:.2f} |"
        for r in rows
    )


def _bound(target: str, unit: str) -> str:
    """Return a target as a reader sees it; a figure without one only explains another."""
    said = target.replace("<=", "≤").replace(">=", "≥")
    return f"{said} {unit}".rstrip() if said else ""


def write(path: Path, rows: Sequence[Row]) -> None:
    """Write the rows as JSON, one object each; rows that were not measured now are kept."""
    kept = {}
    if path.exists():
        kept = {entry["name"]: entry for entry in json.loads(path.read_text())}
    kept.update({r.name: {key: asdict(r)[key] for key in KEPT} for r in rows})
    path.write_text(json.dumps(list(kept.values()), indent=1) + "\n")
