"""Figures of the network in a notebook: the same shapes as in the simulation's page.

They are SVG and ordinary text, a few hundred bytes each, and nothing is fetched to show them.
"""

from __future__ import annotations

from collections.abc import Sequence

from devnet.sim.plot import STYLE, Figure, Series, counts_axis, figure_card, shares_axis
from devnet.sim.report import coverage_figure, hops_figure
from devnet.sim.result import Result
from opkit.views.reproverlay import Reached
from opkit.views.reprstyle import markup


class Drawn:
    """A figure that a notebook shows."""

    def __init__(self, figure: Figure) -> None:
        """Keep the figure."""
        self.figure = figure

    def __repr__(self) -> str:
        return f"<figure: {self.figure.said}>"

    def _repr_html_(self) -> str:
        return markup(f"{STYLE}{figure_card(self.figure, heading='b')}")


def spread(reached: Sequence[Reached]) -> Drawn:
    """Draw which share of the nodes was seen to have a record after how long."""
    after = sorted(one.after_us / 1_000 for one in reached if one.after_us is not None)
    shares = [100 * (place + 1) / len(reached) for place in range(len(after))]
    points: list[tuple[float, float]] = [(0.0, 0.0)]
    for at_ms, share in zip(after, shares, strict=True):
        points += [(at_ms, points[-1][1]), (at_ms, share)]
    last = f"{after[-1]:.1f} ms" if after else "no time: nobody had it"
    return Drawn(
        Figure(
            question="How fast does a note reach every node?",
            said=f"{len(after)} of {len(reached)} nodes were seen to have it after {last}.",
            x=counts_axis("ms after it was published", high=after[-1] if after else 1),
            y=shares_axis("nodes that were seen to have it"),
            series=(Series(name="seen to have it", points=tuple(points)),),
        )
    )


def hops(results: Sequence[Result]) -> Drawn:
    """Draw how many hops a lookup takes in simulated networks of several sizes."""
    return Drawn(hops_figure(results))


def coverage(result: Result) -> Drawn:
    """Draw how fast gossip reached everybody in a simulated network."""
    return Drawn(coverage_figure(result))
