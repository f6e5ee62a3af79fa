"""The map of a network: nodes on a ring in their order, links between them, figures on the lines.

Places are parts of the map's size and texts are ordinary text, so that the map fits a projector
and a phone and nothing in it moves while figures change.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Final, NamedTuple

from opkit.story.states import State
from opkit.views.amounts import clock_text, rate_text, round_trip_text
from opkit.views.cards import card, empty
from opkit.views.figures import Health, LinkFigure, NetworkFigures, NodeFigure, Traffic
from opkit.views.page import icon

TRAFFIC_MS: Final = 6_000
"""For how long bytes that moved stay on the map."""

CROWDED: Final = 6
"""From so many nodes on, lines are labelled only where there is something to say."""

HEALTH_STATES: Final[dict[Health, State]] = {
    "up": State.DONE,
    "starting": State.RUNNING,
    "down": State.FAILED,
}
"""The state whose shape and colour a node's health has."""


class Place(NamedTuple):
    """A place on the map, in hundredths of its width and height."""

    x: float
    y: float


def topology(
    figures: NetworkFigures, *, selected: str = "", title: str = "What is the network doing?"
) -> str:
    """Return the map as a card. A click on a node asks for `select` with its `org`.

    Args:
        figures: the network now.
        selected: the organisation whose node is selected, or empty.
        title: the card's question.
    """
    if not figures.nodes:
        nothing = empty(
            "No node is known yet.",
            "Nodes appear as soon as the network's supervisor names them. "
            "If none does, start a network: opkit devnet up",
        )
        return card(title, nothing, classes="map-card")
    places = dict(zip((node.org for node in figures.nodes), ring(len(figures.nodes)), strict=True))
    recent = _recent(figures, places)
    crowded = len(figures.nodes) >= CROWDED
    lines = "".join(_line(link, places, recent) for link in figures.links)
    labels = "".join(
        _label(link, places, recent, selected=selected, crowded=crowded) for link in figures.links
    )
    nodes = "".join(
        _node(node, places[node.org], selected=selected == node.org) for node in figures.nodes
    )
    body = (
        f'<div class="map{" crowded" if crowded else ""}">'
        '<svg viewBox="0 0 100 100" preserveAspectRatio="none" aria-hidden="true">'
        f"{lines}</svg>{nodes}{labels}</div>"
    )
    return card(title, body, classes="map-card")


def ring(count: int) -> tuple[Place, ...]:
    """Return the places of so many nodes, first to last clockwise; the same count, the same places.

    An odd number has one on top, an even number stands on a flat side.
    """
    if count == 1:
        return (Place(50, 50),)
    start = -math.pi / 2 - (0 if count % 2 else math.pi / count)
    angles = [start + 2 * math.pi * index / count for index in range(count)]
    wide = 30 if count < 4 else 36
    xs = _fitted([math.cos(angle) for angle in angles], low=50 - wide, high=50 + wide)
    ys = _fitted([math.sin(angle) for angle in angles], low=25, high=74)
    return tuple(Place(round(x, 2), round(y, 2)) for x, y in zip(xs, ys, strict=True))


def link_words(link: LinkFigure) -> str:
    """Return a link's state and round trip in words."""
    if link.state == "cut":
        return "cut on purpose"
    return "lost" if link.state == "lost" else round_trip_text(link.round_trip_us)


def _fitted(values: Sequence[float], *, low: float, high: float) -> list[float]:
    bottom, top = min(values), max(values)
    if top - bottom < 1e-9:
        return [(low + high) / 2] * len(values)
    return [low + (value - bottom) / (top - bottom) * (high - low) for value in values]


def _recent(figures: NetworkFigures, places: dict[str, Place]) -> dict[frozenset[str], Traffic]:
    """Return what moved last on each link, if it is recent."""
    moved = [
        each
        for each in figures.traffic
        if figures.now_ms - each.at_ms < TRAFFIC_MS and {each.source, each.target} <= places.keys()
    ]
    return {
        frozenset((each.source, each.target)): each
        for each in sorted(moved, key=lambda each: each.at_ms)
    }


def _line(link: LinkFigure, places: dict[str, Place], recent: dict[frozenset[str], Traffic]) -> str:
    if link.a not in places or link.b not in places:
        return ""
    a, b = places[link.a], places[link.b]
    moved = recent.get(frozenset((link.a, link.b)))
    kind = f"moves s-{moved.tone.value}" if moved and link.state == "up" else link.state
    return (
        f'<line id="line-{escape(link.a)}-{escape(link.b)}" class="{kind}" '
        f'x1="{a.x}" y1="{a.y}" x2="{b.x}" y2="{b.y}" vector-effect="non-scaling-stroke"/>'
    )


def _label(
    link: LinkFigure,
    places: dict[str, Place],
    recent: dict[frozenset[str], Traffic],
    *,
    selected: str,
    crowded: bool,
) -> str:
    if link.a not in places or link.b not in places:
        return ""
    a, b = places[link.a], places[link.b]
    moved = recent.get(frozenset((link.a, link.b)))
    if crowded and link.state == "up" and not moved and selected not in (link.a, link.b):
        return ""
    shown = _on_line(link, moved)
    middle = Place((a.x + b.x) / 2, (a.y + b.y) / 2)
    return (
        f'<div id="link-{escape(link.a)}-{escape(link.b)}" class="on-line" '
        f'style="left:{middle.x:.2f}%;top:{middle.y:.2f}%">{shown}</div>'
    )


def _on_line(link: LinkFigure, moved: Traffic | None) -> str:
    if link.state == "cut":
        return f'<span class="flag s-running">{_SCISSORS}cut on purpose</span>'
    if link.state == "lost":
        return f'<span class="flag s-failed">{icon(State.FAILED)}lost</span>'
    figures = f"<b>{round_trip_text(link.round_trip_us)}</b>"
    if moved:
        return (
            f'<span class="flag s-{moved.tone.value}">{escape(moved.words)}</span>'
            f'<span class="under">{figures}</span>'
        )
    rate = f" <i>{rate_text(link.bytes_per_s)}</i>" if link.bytes_per_s else ""
    return f'<span class="plain">{figures}{rate}</span>'


def _node(node: NodeFigure, place: Place, *, selected: bool) -> str:
    kind = "busy" if node.health == "up" and node.busy else node.health
    side = "above" if place.y < 49 else "below"
    return (
        f'<div id="node-{escape(node.org)}" class="node {kind} {side}" '
        f'style="left:{place.x}%;top:{place.y}%">'
        f'<button type="button" data-act="select" data-org="{"" if selected else escape(node.org)}"'
        f' aria-pressed="{"true" if selected else "false"}" '
        f'aria-label="{escape(node.title)}: {escape(node_words(node))}">'
        f"<span>{escape(node.initials)}</span>{_badge(node)}</button>"
        f'<p aria-hidden="true"><b>{escape(node.title)}</b>'
        f"<span>{escape(node_words(node))}</span></p></div>"
    )


def node_words(node: NodeFigure) -> str:
    """Return how a node is, in a few words."""
    if node.health == "up":
        return node.busy or "up"
    since = f"{node.health} since {clock_text(node.since_ms)}"
    return f"{since}, {node.why}" if node.why else since


def _badge(node: NodeFigure) -> str:
    return "" if node.health == "up" else icon(HEALTH_STATES[node.health])


_SCISSORS: Final = (
    '<svg viewBox="0 0 20 20" aria-hidden="true"><g fill="none" stroke="currentColor" '
    'stroke-width="1.8" stroke-linecap="round"><circle cx="5" cy="5.5" r="2.4"/>'
    '<circle cx="5" cy="14.5" r="2.4"/><path d="M7 7l10 8M7 13l10-8"/></g></svg>'
)
