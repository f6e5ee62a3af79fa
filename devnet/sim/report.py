"""A run, and runs of other sizes beside it, as one page with three figures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from devnet.sim.plot import (
    Axis,
    Figure,
    Series,
    counts_axis,
    figures_page,
    shares_axis,
)
from devnet.sim.result import Lookup, Result

BUCKETS = 24
"""Into how many spans of time lookups are gathered for a line."""


def report_page(result: Result, others: Sequence[Result]) -> str:
    """Return the page of a run; `others` are runs in the same weather with other sizes."""
    said, spec = result.as_json(), result.spec
    numbers = (
        ("messages", f"{result.messages:,}"),
        (f"of {len(result.lookups):,} lookups found", f"{result.found:.2f} %"),
        ("hops", f"{result.hops:.2f}"),
        ("reached by gossip", f"{result.covered:.2f} %"),
        ("gossip, P95", f"{said['gossip']['p95_ms']:,} ms"),
        ("signatures checked", f"{result.checked:,}"),
    )
    verdict = "all rules held, all came about" if result.ok else "it did not hold"
    return figures_page(
        title=f"{spec.nodes} nodes, seed {spec.seed}",
        said=f"{spec.nodes} nodes in {_weather(result)}: {verdict}",
        numbers=numbers,
        figures=[hops_figure([*others, result]), coverage_figure(result), _lookups(result)],
    )


def _weather(result: Result) -> str:
    spec = result.spec
    parts = [
        f"{share * 100:g} % {name}"
        for name, share in (
            ("loss", spec.loss),
            ("churn", spec.churn),
            ("reordering", spec.reorder),
            ("duplication", spec.duplicate),
            *((f"{lie} liars", share) for lie, share in spec.liars),
        )
        if share
    ]
    if spec.partition is not None:
        parts.append(f"a partition {spec.partition}")
    return ", ".join(parts) or "good weather"


def hops_figure(results: Sequence[Result]) -> Figure:
    """Return how many hops a lookup takes in networks of several sizes."""
    points = sorted({each.spec.nodes: each.hops for each in results}.items())
    low, high = points[0][0], points[-1][0]
    slope, start = fitted([(math.log2(nodes), hops) for nodes, hops in points])
    line = tuple((nodes, slope * math.log2(nodes) + start) for nodes in (low, high))
    ticks = tuple((nodes, f"{nodes:,}") for nodes in (10, 32, 100, 316, 1_000, 3_162))
    return Figure(
        question="How do hops grow with the network?",
        said=f"Each doubling of the network costs {slope:.2f} hops more.",
        x=Axis(
            label="nodes",
            low=low,
            high=max(high, low + 1),
            ticks=tuple(tick for tick in ticks if low <= tick[0] <= high),
            log=True,
        ),
        y=counts_axis("hops of a lookup, on average", high=max(hops for _, hops in points)),
        series=(
            Series(name="simulated", points=tuple(points), dots=True),
            Series(name="in proportion to log n", points=line, tone="shield"),
        ),
    )


def fitted(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Return slope and start of the straight line with the least squares through points."""
    count = len(points)
    mean_x, mean_y = (sum(values) / count for values in zip(*points, strict=True))
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    if not spread:
        return 0.0, mean_y
    slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / spread
    return slope, mean_y - slope * mean_x


def coverage_figure(result: Result) -> Figure:
    """Return how fast gossip reached everybody in a run."""
    points = tuple((at_ms, 100 * share) for at_ms, share in result.coverage)
    half = next((at_ms for at_ms, share in points if share >= 50), 0)
    high = next((at_ms for at_ms, share in points if share >= 99), points[-1][0] if points else 1)
    shown = tuple(point for point in points if point[0] <= 2 * high)
    return Figure(
        question="How fast does gossip reach everybody?",
        said=f"Half of all nodes have a record after {half:,} ms, 99 % after {high:,} ms.",
        x=counts_axis("ms after it was published", high=shown[-1][0] if shown else 1),
        y=shares_axis("nodes that were up and have it"),
        series=(Series(name="coverage", points=shown),),
    )


def _lookups(result: Result) -> Figure:
    lookups = result.lookups
    first = min((each.at_ms for each in lookups), default=0)
    last = max((each.at_ms for each in lookups), default=1) + 1
    edges = [first + (last - first) * at / BUCKETS for at in range(BUCKETS + 1)]
    spans = [
        (low, [each for each in lookups if low <= each.at_ms < high])
        for low, high in pairwise(edges)
    ]
    found = tuple(((low - first) / 1_000, _found(held)) for low, held in spans if held)
    return Figure(
        question="Do lookups succeed all the time?",
        said=f"{result.found:.2f} % of {len(lookups):,} lookups found what they looked for.",
        x=counts_axis("seconds since the load began", high=(last - first) / 1_000),
        y=shares_axis("lookups that found"),
        series=(Series(name="found", points=found),),
    )


def _found(lookups: Sequence[Lookup]) -> float:
    return 100 * sum(each.ok for each in lookups) / len(lookups)
