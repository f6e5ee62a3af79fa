"""The map of a network: nodes on a ring in their order, links between them, figures on the lines.

Places are parts of the map's size and texts are ordinary text, so that the map fits a projector
and a phone and nothing in it moves while figures change.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Final

from opkit.story.states import State
from opkit.views.amounts import clock_text, rate_text, round_trip_text
from opkit.views.cards import card, empty
from opkit.views.figures import Health, LinkFigure, NetworkFigures, NodeFigure, Traffic
from opkit.views.labels import Box, Place, Room, Size, between, flag_size, name_box, plain_size
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


_BOW: Final = 26
"""How far the ends of a bow lie below its middle, in hundredths of the map's height."""


_NAMED_ABOVE: Final = 49
"""Nodes that stand higher than this have their names above them, the others below."""

_FIELDS: Final = (Size(20.7, 29), Size(46, 9))
"""How large the map of a few nodes is: in the console, and on the network's page."""

_CROWDED_FIELDS: Final = {False: (Size(50, 12.5),), True: (Size(12.7, 34),)}
"""How large the map of many nodes is, by whether it is tall."""

_CIRCLE_REM: Final = 4.0
_CROWDED_CIRCLE_REM: Final = 3.0


def topology(
    figures: NetworkFigures,
    *,
    selected: str = "",
    tall: bool = False,
    title: str = "What is the network doing?",
) -> str:
    """Return the map as a card. A click on a node asks for `select` with its `org`.

    Args:
        figures: the network now.
        selected: the organisation whose node is selected, or empty.
        tall: it stands in a narrow column: many nodes then have their names beside them.
        title: the card's question.
    """
    if not figures.nodes:
        nothing = empty(
            "No node is known yet.",
            "Nodes appear as soon as the network's supervisor names them. "
            "If none does, start a network: opkit devnet up",
        )
        return card(title, nothing, classes="map-card")
    drawn = _Map(figures, selected=selected, tall=tall)
    body = (
        f'<div class="map{drawn.kind}">'
        '<div class="field"><svg viewBox="0 0 100 100" preserveAspectRatio="none" '
        f'aria-hidden="true">{drawn.lines()}</svg>{drawn.nodes()}{drawn.labels()}</div></div>'
    )
    return card(title, body, classes="map-card")


def ring(count: int, *, tall: bool = False) -> tuple[Place, ...]:
    """Return the places of so many nodes, first to last clockwise; the same count, the same places.

    A few stand on a ring: an odd number has one on top, an even number stands on a flat side. Many
    stand on two bows, one above the other, so that there is room for their names; on a tall map
    they stand on a ring with one on top.
    """
    if count >= CROWDED and not tall:
        above = count - count // 2
        return (*_bow(above, top=True), *reversed(_bow(count - above, top=False)))
    flat = count % 2 == 0 and count < CROWDED
    start = -math.pi / 2 - (math.pi / count if flat else 0)
    angles = [start + 2 * math.pi * index / count for index in range(count)]
    xs = _fitted([math.cos(angle) for angle in angles])
    ys = _fitted([math.sin(angle) for angle in angles])
    return tuple(Place(round(x, 2), round(y, 2)) for x, y in zip(xs, ys, strict=True))


def link_words(link: LinkFigure) -> str:
    """Return a link's state and round trip in words."""
    if link.state == "cut":
        return "cut on purpose"
    return "lost" if link.state == "lost" else round_trip_text(link.round_trip_us)


def _bow(count: int, *, top: bool) -> tuple[Place, ...]:
    xs = [index / (count - 1) * 100 for index in range(count)]
    ys = [_BOW * (x / 50 - 1) ** 2 for x in xs]
    return tuple(
        Place(round(x, 2), round(y if top else 100 - y, 2)) for x, y in zip(xs, ys, strict=True)
    )


def _fitted(values: Sequence[float]) -> list[float]:
    """Return values stretched to the whole of the map; all in its middle if they are the same."""
    bottom, top = min(values), max(values)
    if top - bottom < 1e-9:
        return [50.0] * len(values)
    return [(value - bottom) / (top - bottom) * 100 for value in values]


class _Map:
    """What every part of one drawing needs: where nodes are, and what moved last on each link."""

    def __init__(self, figures: NetworkFigures, *, selected: str, tall: bool) -> None:
        self.crowded = len(figures.nodes) >= CROWDED
        self._tall = tall and self.crowded
        self._selected = selected
        self._nodes = {node.org: node for node in figures.nodes}
        self._places = dict(zip(self._nodes, ring(len(self._nodes), tall=tall), strict=True))
        self._order = {org: number for number, org in enumerate(self._nodes)}
        self._links = [
            link for link in figures.links if link.a in self._nodes and link.b in self._nodes
        ]
        self._moved = {
            frozenset((each.source, each.target)): each
            for each in sorted(figures.traffic, key=lambda each: each.at_ms)
            if figures.now_ms - each.at_ms < TRAFFIC_MS
            and each.source in self._nodes
            and each.target in self._nodes
        }

    @property
    def kind(self) -> str:
        """How the map is styled: by how many nodes stand on it, and how."""
        kinds = {"many": len(self._nodes) > 4, "crowded": self.crowded, "tall": self._tall}
        return "".join(f" {name}" for name, is_so in kinds.items() if is_so)

    def lines(self) -> str:
        """Return all links as lines; those that say something last, so that they lie on top."""
        ordered = sorted(
            self._links, key=lambda link: (link.state != "up", self._on(link) is not None)
        )
        return "".join(self._line(link) for link in ordered)

    def labels(self) -> str:
        """Return what stands on the lines.

        A figure always stands at the same place, so that nothing moves while others come and go.
        A flag covers the figures where it stands: they are left out until it goes.
        """
        speaking = [link for link in self._links if self._says_something(link)]
        usual = self._usual_places()
        flags, alone = self._room(), Room(*self._fields())
        drawn = {}
        for link in speaking:
            words = self._flag_words(link)
            if words:
                drawn[self._key(link)] = self._flag_place(link, words, usual, rooms=(flags, alone))
        for link in speaking:
            place = usual.get(self._key(link))
            if self._flag_words(link) or place is None:
                continue
            if flags.is_clear(Box(at=place, size=plain_size(self._figures(link)))):
                drawn[self._key(link)] = place
        return "".join(
            self._label(link, drawn[self._key(link)])
            for link in speaking
            if self._key(link) in drawn
        )

    def nodes(self) -> str:
        """Return all nodes."""
        return "".join(
            _node(node, self._places[org], side=self._side(org), selected=org == self._selected)
            for org, node in self._nodes.items()
        )

    def _side(self, org: str) -> str:
        """Return on which side of its node a name stands."""
        place = self._places[org]
        if self._tall and abs(place.x - 50) > 1:
            return "left" if place.x < 50 else "right"
        return "above" if place.y < _NAMED_ABOVE else "below"

    def _fields(self) -> tuple[Size, ...]:
        return _CROWDED_FIELDS[self._tall] if self.crowded else _FIELDS

    def _room(self) -> Room:
        """Return what is taken by nodes and, where there are few, by their names."""
        circle = _CROWDED_CIRCLE_REM if self.crowded else _CIRCLE_REM
        circles = [
            Box(at=at, size=Size(circle, circle), is_round=True) for at in self._places.values()
        ]
        names = [
            name_box(at, self._nodes[org].title, circle_rem=circle, above=at.y < _NAMED_ABOVE)
            for org, at in self._places.items()
            if not self.crowded
        ]
        return Room(*self._fields(), taken=[*circles, *names])

    def _usual_places(self) -> dict[tuple[str, str], Place]:
        """Return where each link's figures stand, those of the middle last; some have no room."""
        room = self._room()
        found = {}
        among = [
            link for link in self._links if not self.crowded or self._selected in (link.a, link.b)
        ]
        for link in sorted(among, key=lambda link: not self._is_side(link)):
            one, other, along = self._usual(link)
            size = plain_size("10.0 ms" if len(self._nodes) > 4 else "10.0 ms  1.2 kB/s")
            place = room.find(one, other, along=along, size=size)
            if place is not None:
                found[self._key(link)] = place
        return found

    def _flag_place(
        self,
        link: LinkFigure,
        words: str,
        usual: Mapping[tuple[str, str], Place],
        *,
        rooms: tuple[Room, Room],
    ) -> Place:
        """Return where a flag stands, near its link's figures.

        It is clear of nodes and of other flags, or else of other flags, or else where it may.
        """
        one, other, along = self._usual(link)
        best = usual.get(self._key(link), between(one, other, along))
        length = math.dist(one, other)
        near = math.dist(one, best) / length if length else along
        size = flag_size(words, small=self.crowded)
        found = (room.find(one, other, along=near, size=size) for room in rooms)
        place = next((each for each in found if each is not None), best)
        for room in rooms:
            room.take(Box(at=place, size=size))
        return place

    def _on(self, link: LinkFigure) -> Traffic | None:
        return self._moved.get(frozenset((link.a, link.b))) if link.state == "up" else None

    def _line(self, link: LinkFigure) -> str:
        a, b = self._places[link.a], self._places[link.b]
        moved = self._on(link)
        kind = f"moves s-{moved.tone.value}" if moved else link.state
        return (
            f'<line id="line-{escape(link.a)}-{escape(link.b)}" class="{kind}" '
            f'x1="{a.x}" y1="{a.y}" x2="{b.x}" y2="{b.y}" vector-effect="non-scaling-stroke"/>'
        )

    def _label(self, link: LinkFigure, place: Place) -> str:
        return (
            f'<div id="link-{escape(link.a)}-{escape(link.b)}" class="on-line" '
            f'style="left:{place.x:.2f}%;top:{place.y:.2f}%">{self._words(link)}</div>'
        )

    def _says_something(self, link: LinkFigure) -> bool:
        """Tell whether a line is labelled: that a dead node's links are lost, the node says."""
        if link.state == "lost":
            return all(self._nodes[org].health == "up" for org in (link.a, link.b))
        if not self.crowded or link.state == "cut" or self._on(link):
            return True
        return self._selected in (link.a, link.b)

    @staticmethod
    def _key(link: LinkFigure) -> tuple[str, str]:
        return link.a, link.b

    def _ahead(self, link: LinkFigure) -> int:
        """Return how many nodes further on the ring a link ends."""
        return (self._order[link.b] - self._order[link.a]) % len(self._nodes)

    def _is_side(self, link: LinkFigure) -> bool:
        return len(self._nodes) < 4 or self._ahead(link) in (1, len(self._nodes) - 1)

    def _usual(self, link: LinkFigure) -> tuple[Place, Place, float]:
        """Return a link's ends and where on it its words would stand, if it were alone.

        In the middle of a side; on a diagonal at a place near its first end, clockwise. A side that
        comes down to a node whose name stands above it is labelled near its upper end, clear of the
        name. Diagonals meet in the middle of the map, where their labels would cover each other.
        Those of a selected node stand near the others' ends for the same reason.
        """
        ahead, count = self._ahead(link), len(self._nodes)
        first, second = (link.a, link.b) if ahead * 2 <= count else (link.b, link.a)
        side = self._is_side(link)
        along = 0.5 if side else 0.36
        if self.crowded and self._selected in (first, second):
            along = 0.7 if first == self._selected else 0.3
        one, other = self._places[first], self._places[second]
        if side and not self.crowded and one.y != other.y and max(one.y, other.y) < _NAMED_ABOVE:
            along = 0.34 if one.y < other.y else 0.66
        return one, other, along

    def _flag_words(self, link: LinkFigure) -> str:
        """Return the words of the flag on a line, all of them; empty if there is none."""
        if link.state != "up":
            return "✂ cut on purpose" if link.state == "cut" else "✂ lost"
        moved = self._on(link)
        if moved is None:
            return ""
        return moved.words if self.crowded else f"{moved.words} XX → XX"

    def _figures(self, link: LinkFigure) -> str:
        """Return the words of the figures on a line."""
        rate = "" if self._is_brief(link) else f"  {rate_text(link.bytes_per_s)}"
        return f"{round_trip_text(link.round_trip_us)}{rate}"

    def _is_brief(self, link: LinkFigure) -> bool:
        return len(self._nodes) > 4 or not link.bytes_per_s

    def _words(self, link: LinkFigure) -> str:
        if link.state == "cut":
            words = '<span>cut<span class="why"> on purpose</span></span>'
            return f'<span class="flag s-running">{_SCISSORS}{words}</span>'
        if link.state == "lost":
            return f'<span class="flag s-failed">{icon(State.FAILED)}lost</span>'
        moved = self._on(link)
        if moved:
            way = f"{self._nodes[moved.source].initials} → {self._nodes[moved.target].initials}"
            return (
                f'<span class="flag s-{moved.tone.value}">{escape(moved.words)}'
                f"<small>{escape(way)}</small></span>"
            )
        rate = "" if self._is_brief(link) else f" <i>{rate_text(link.bytes_per_s)}</i>"
        return f'<span class="plain"><b>{round_trip_text(link.round_trip_us)}</b>{rate}</span>'


def _node(node: NodeFigure, place: Place, *, side: str, selected: bool) -> str:
    kind = "busy" if node.health == "up" and node.busy else node.health
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
    """Return how a node is, in a few words; why it is not up stands on its own page."""
    if node.health == "up":
        return node.busy or "up"
    return f"{node.health} since {clock_text(node.since_ms)}"


def _badge(node: NodeFigure) -> str:
    return "" if node.health == "up" else icon(HEALTH_STATES[node.health])


_SCISSORS: Final = (
    '<svg viewBox="0 0 20 20" aria-hidden="true"><g fill="none" stroke="currentColor" '
    'stroke-width="1.8" stroke-linecap="round"><circle cx="5" cy="5.5" r="2.4"/>'
    '<circle cx="5" cy="14.5" r="2.4"/><path d="M7 7l10 8M7 13l10-8"/></g></svg>'
)
