"""Who hears whom: the sides of a parted network, what waits for that, and what a presenter can do.

Sides are drawn from links alone. Whether two nodes can talk over a third one depends on what they
have to say, so what waits is told of every two parties without a link between them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from itertools import combinations
from typing import Final

from opkit.story.states import State
from opkit.views.amounts import clock_text, counted
from opkit.views.cards import card, empty, pill, scroll
from opkit.views.console_controls import disturb
from opkit.views.federation_figures import AgreementFigure
from opkit.views.figures import NetworkFigures, NodeFigure
from opkit.views.page import icon
from opkit.views.topology import HEALTH_STATES, SCISSORS, node_words

DEEDS: Final = ("part", "kill", "heal")
"""What a presenter can do on this page: what shows a network part and heal."""

LASTING_MAX: Final = 8
"""How many disturbances are told one by one."""

WAITS_MAX: Final = 6
"""How many agreements whose parties have no link are told one by one."""

WIDE_MAX: Final = 6
"""A side of so many nodes or more is as wide as one can be."""

BINDING: Final = frozenset({"active", "ending"})
"""States in which an agreement can be used."""

Side = tuple[NodeFigure, ...]


def sides(network: NetworkFigures) -> tuple[Side, ...]:
    """Return the nodes that are up in groups: who is linked to whom, directly or over others."""
    left = {each.org: each for each in network.nodes if each.health == "up"}
    linked: dict[str, set[str]] = {org: set() for org in left}
    for link in network.links:
        if link.state == "up" and link.a in linked and link.b in linked:
            linked[link.a].add(link.b)
            linked[link.b].add(link.a)
    found = []
    while left:
        reached = _reached(next(iter(left)), linked)
        found.append(tuple(left.pop(org) for org in list(left) if org in reached))
    return tuple(found)


def _reached(org: str, linked: Mapping[str, set[str]]) -> set[str]:
    reached, edge = {org}, [org]
    while edge:
        new = linked[edge.pop()] - reached
        reached |= new
        edge += new
    return reached


def unlinked(network: NetworkFigures) -> frozenset[frozenset[str]]:
    """Return every two nodes with no link between them now, for whatever reason."""
    linked = {frozenset((each.a, each.b)) for each in network.links if each.state == "up"}
    pairs = combinations([each.org for each in network.nodes], 2)
    return frozenset(frozenset(pair) for pair in pairs) - linked


def shown(network: NetworkFigures) -> object:
    """Return what of a network these cards show: while it is the same, so are they."""
    nodes = tuple((each.org, each.title, each.health, each.since_ms) for each in network.nodes)
    links = tuple((each.a, each.b, each.state) for each in network.links)
    return nodes, links, network.lasting


def verdict(network: NetworkFigures) -> tuple[State, str]:
    """Return in few words whether all nodes hear each other."""
    found, down = sides(network), [each for each in network.nodes if each.health != "up"]
    apart = unlinked(network)
    if len(found) > 1:
        return State.RUNNING, f"in {len(found)} parts"
    if down:
        return State.FAILED, f"{counted(len(down), 'node')} silent"
    if apart:
        return State.RUNNING, f"{counted(len(apart), 'pair')} without a link"
    return State.DONE, "nobody"


def parted(
    network: NetworkFigures,
    agreements: Sequence[AgreementFigure],
    *,
    homes: Mapping[str, str],
    may_act: bool,
    chosen: str,
) -> str:
    """Return who hears whom, what waits for that, and for a presenter the controls.

    Args:
        network: the network now.
        agreements: those that bind are told of, if their parties have no link.
        homes: each coop's organisation, whose node is its home.
        may_act: whether this viewer may disturb the network.
        chosen: the kind of control whose list is open.
    """
    question = "Who is parted?"
    if not network.nodes:
        hint = "Nodes appear as soon as the network's supervisor names them: opkit devnet up."
        return card(question, empty("No node is known yet.", hint))
    body = (
        f'<div class="sides">{_drawn(network)}</div>{_waits(network, agreements, homes)}'
        f"{_lasting(network)}"
    )
    controls = disturb(network, chosen=chosen, kinds=DEEDS) if may_act else ""
    bar = f'<div class="deeds-bar">{controls}</div>' if controls else ""
    beside = f"{pill(*verdict(network))}{bar}"
    return card(question, scroll(body, name="Who is parted"), beside=beside)


def _drawn(network: NetworkFigures) -> str:
    groups = [_side(side) for side in sides(network)]
    groups += [_side((each,)) for each in network.nodes if each.health != "up"]
    return f'<span class="parting" role="img" aria-label="parted from">{SCISSORS}</span>'.join(
        groups
    )


def _side(side: Side) -> str:
    nodes = "".join(
        f'<li class="is-{each.health}">{icon(HEALTH_STATES[each.health])}'
        f"<span>{escape(each.title)}{_down(each)}</span></li>"
        for each in side
    )
    return f'<ul class="side-of n{min(len(side), WIDE_MAX)}">{nodes}</ul>'


def _down(node: NodeFigure) -> str:
    return "" if node.health == "up" else f"<small>{escape(node_words(node))}</small>"


def _waits(
    network: NetworkFigures, agreements: Sequence[AgreementFigure], homes: Mapping[str, str]
) -> str:
    """Return which agreements can be read and not used, because parties have no link."""
    apart = unlinked(network)
    titles = {each.org: each.title for each in network.nodes}
    lines = []
    for each in agreements:
        if each.state not in BINDING:
            continue
        orgs = [homes[coop] for coop in each.terms.parties if homes.get(coop) in titles]
        pairs = [pair for pair in combinations(orgs, 2) if frozenset(pair) in apart]
        lines += [_wait(each, titles[a], titles[b]) for a, b in pairs]
    if not lines:
        return ""
    rest = len(lines) - WAITS_MAX
    more = f'<li class="soft">and {rest:,} more</li>' if rest > 0 else ""
    return f'<h3>What waits for that</h3><ul class="waits">{"".join(lines[:WAITS_MAX])}{more}</ul>'


def _wait(agreement: AgreementFigure, a: str, b: str) -> str:
    return (
        f"<li>{icon(State.RUNNING)}<span><b>{escape(agreement.terms.title)}</b> "
        f"An exchange between {escape(a)} and {escape(b)} ends only once they hear each other; "
        "each still reads its own copy.</span></li>"
    )


def _lasting(network: NetworkFigures) -> str:
    if not network.lasting:
        return ""
    lines = "".join(
        f"<li>{pill(State.RUNNING, 'on purpose')}<span>{escape(each.sentence)}"
        f'<small class="soft">ends by itself at {clock_text(each.ends_ms)} UTC</small></span></li>'
        for each in network.lasting[:LASTING_MAX]
    )
    rest = len(network.lasting) - LASTING_MAX
    more = f'<li class="soft">and {rest:,} more</li>' if rest > 0 else ""
    return f'<h3>What is done to them</h3><ul class="waits">{lines}{more}</ul>'
