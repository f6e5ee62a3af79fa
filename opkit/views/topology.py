"""The map of a network: nodes on a ring in their order, links between them, figures on the lines.

Places are parts of the map's size and texts are ordinary text, so that the map fits a projector
and a phone and nothing in it moves while figures change.
"""

from __future__ import annotations

from html import escape
from typing import Final

from opkit.story.states import State
from opkit.views.amounts import clock_text, lost_text, rate_text, round_trip_text
from opkit.views.cards import card, empty
from opkit.views.figures import Health, LinkFigure, NetworkFigures, NodeFigure, Traffic
from opkit.views.ground import Pair, ground_of
from opkit.views.labels import Box, Place, plain_size
from opkit.views.page import icon

TRAFFIC_MS: Final = 6_000
"""For how long bytes that moved stay on the map."""

HEALTH_STATES: Final[dict[Health, State]] = {
    "up": State.DONE,
    "starting": State.RUNNING,
    "down": State.FAILED,
}
"""The state whose shape and colour a node's health has."""


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


def shown_on_map(figures: NetworkFigures) -> object:
    """Return what of the figures the map shows: while it is the same, so is the map."""
    nodes = tuple(
        (each.org, each.title, each.initials, each.health, node_words(each))
        for each in figures.nodes
    )
    moved = tuple(each for each in figures.traffic if figures.now_ms - each.at_ms < TRAFFIC_MS)
    return nodes, figures.links, moved


def link_words(link: LinkFigure) -> str:
    """Return a link's state and round trip in words."""
    if link.state == "cut":
        return "cut on purpose"
    return "lost" if link.state == "lost" else round_trip_text(link.round_trip_us)


class _Map:
    """What every part of one drawing needs: its ground, and what moved last on each link."""

    def __init__(self, figures: NetworkFigures, *, selected: str, tall: bool) -> None:
        self._selected = selected
        self._nodes = {node.org: node for node in figures.nodes}
        self._links = [
            link for link in figures.links if link.a in self._nodes and link.b in self._nodes
        ]
        self._ground = ground_of(
            tuple((node.org, node.title) for node in figures.nodes),
            tuple(self._key(link) for link in self._links),
            selected=selected,
            tall=tall,
        )
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
        ground = self._ground
        kinds = {"many": len(self._nodes) > 4, "crowded": ground.crowded, "tall": ground.tall}
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
        words = {self._key(link): self._flag_words(link) for link in speaking}
        rooms = self._ground.room(), self._ground.room(taken=False)
        drawn = {
            pair: self._ground.flag(pair, said, rooms=rooms) for pair, said in words.items() if said
        }
        for link in speaking:
            place = self._ground.figures.get(self._key(link))
            if words[self._key(link)] or place is None:
                continue
            if rooms[0].is_clear(Box(at=place, size=plain_size(self._figures(link)))):
                drawn[self._key(link)] = place
        return "".join(
            self._label(link, drawn[self._key(link)])
            for link in speaking
            if self._key(link) in drawn
        )

    def nodes(self) -> str:
        """Return all nodes."""
        return "".join(
            _node(node, at, side=self._ground.side(org), selected=org == self._selected)
            for (org, node), at in zip(
                self._nodes.items(), self._ground.places.values(), strict=True
            )
        )

    def _on(self, link: LinkFigure) -> Traffic | None:
        return self._moved.get(frozenset((link.a, link.b))) if link.state == "up" else None

    def _line(self, link: LinkFigure) -> str:
        a, b = self._ground.places[link.a], self._ground.places[link.b]
        moved = self._on(link)
        standing = "bad" if link.state == "up" and link.amiss else link.state
        kind = f"moves s-{moved.tone.value}" if moved else standing
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
        if not self._ground.crowded or link.state == "cut" or link.amiss or self._on(link):
            return True
        return self._selected in (link.a, link.b)

    @staticmethod
    def _key(link: LinkFigure) -> Pair:
        return link.a, link.b

    def _flag_words(self, link: LinkFigure) -> str:
        """Return the words of the flag on a line, all of them; empty if there is none."""
        if link.state != "up":
            return "✂ cut on purpose" if link.state == "cut" else "✂ lost"
        moved = self._on(link)
        if moved is None:
            return self._amiss_words(link) if link.amiss else ""
        return moved.words if self._ground.crowded else f"{moved.words} XX → XX"

    def _amiss_words(self, link: LinkFigure) -> str:
        """Return what is wrong with a link that is up."""
        if link.amiss == "loss":
            return f"{lost_text(link.lost_permille)} lost"
        slow = round_trip_text(link.round_trip_us)
        return "slow" if self._ground.crowded else f"slow: {slow}"

    def _figures(self, link: LinkFigure) -> str:
        """Return the words of the figures on a line."""
        rate = "" if self._is_brief(link) else f"  {rate_text(link.bytes_per_s)}"
        return f"{round_trip_text(link.round_trip_us)}{rate}"

    def _is_brief(self, link: LinkFigure) -> bool:
        return len(self._nodes) > 4 or not link.bytes_per_s

    def _words(self, link: LinkFigure) -> str:
        if link.state == "cut":
            words = '<span>cut<span class="why"> on purpose</span></span>'
            return f'<span class="flag s-running">{SCISSORS}{words}</span>'
        if link.state == "lost":
            return f'<span class="flag s-failed">{icon(State.FAILED)}lost</span>'
        moved = self._on(link)
        if moved:
            way = f"{self._nodes[moved.source].initials} → {self._nodes[moved.target].initials}"
            return (
                f'<span class="flag s-{moved.tone.value}">{escape(moved.words)}'
                f"<small>{escape(way)}</small></span>"
            )
        if link.amiss:
            return f'<span class="flag s-running">{escape(self._amiss_words(link))}</span>'
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


SCISSORS: Final = (
    '<svg viewBox="0 0 20 20" aria-hidden="true"><g fill="none" stroke="currentColor" '
    'stroke-width="1.8" stroke-linecap="round"><circle cx="5" cy="5.5" r="2.4"/>'
    '<circle cx="5" cy="14.5" r="2.4"/><path d="M7 7l10 8M7 13l10-8"/></g></svg>'
)
"""What stands where something is cut on purpose."""
