"""Records, gossip, repair and witnesses of a network: the second half of its page.

Everything here is what nodes tell of themselves; a node that is silent is said to be, not guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from html import escape
from typing import Final

from opkit.story.states import State
from opkit.views.amounts import count_text, counted, moment_html, size_text
from opkit.views.cards import Column, Row, card, empty, said_state, scroll, table
from opkit.views.figures import Coverage, NetworkFigures, NodeFigure, NodeOverlay, OverlayFigures
from opkit.views.values import text_html
from opkit.wire.overlay import MeshLink
from opkit.wire.witness import WitnessedNode

CARDS: Final = ("coverage", "repairs", "mesh", "tables", "witnesses")
"""The ids of the cards, in their order on a phone."""

ROOMS_SHOWN: Final = 3
"""How many sponsors are named beside a node: those whose records take most."""

_NAMESPACES: Final = {
    "node": "Addresses",
    "note": "Notes",
    "head": "Heads",
    "fork": "Forks",
    "blob": "Blobs",
}
"""What records of a namespace are about, as a heading."""

_NONE: Final = '<span class="soft">–</span>'

Overlays = Callable[[], OverlayFigures | None]
Draw = Callable[[NetworkFigures, OverlayFigures | None], str]


def cards(figures: Callable[[], NetworkFigures], told: Overlays) -> dict[str, Callable[[], str]]:
    """Return what draws each card, by the card's id.

    Args:
        figures: returns the network as it is when a card is drawn.
        told: returns what nodes tell of the overlay; None before they were asked.
    """
    drawing = {
        "coverage": coverage,
        "repairs": repairs,
        "mesh": mesh,
        "tables": tables,
        "witnesses": witnesses,
    }
    return {name: partial(_drawn, draw, figures, told) for name, draw in drawing.items()}


def _drawn(draw: Draw, figures: Callable[[], NetworkFigures], told: Overlays) -> str:
    return draw(figures(), told())


def coverage(figures: NetworkFigures, told: OverlayFigures | None) -> str:
    """Return on which node which share of the records is that nodes keep alike."""
    question = "Does every node have every record?"
    sets = [one for one in told.coverage if one.total] if told else []
    if not sets:
        hint = "Nodes that are linked compare what they keep; what they have appears here."
        return card(question, empty("No record yet.", hint))
    columns = (
        Column(title="Node", grows=True),
        *(Column(title=_NAMESPACES.get(one.namespace, one.namespace), number=True) for one in sets),
        Column(title="Has", number=True),
    )
    rows = [_covered(node, sets) for node in figures.nodes]
    said = "" if all(one.is_exact for one in sets) else _INEXACT
    return _tabled(question, columns, rows, name="Records on each node", said=said)


def repairs(figures: NetworkFigures, told: OverlayFigures | None) -> str:
    """Return how often nodes compared what they keep, and what that brought."""
    question = "What did nodes mend by comparing?"
    by_org = _by_org(told)
    if not by_org:
        hint = "Nodes compare what they keep when they meet, and every two minutes."
        return card(question, empty("No node has told yet.", hint))
    columns = (
        Column(title="Node", grows=True),
        Column(title="Compared", number=True),
        Column(title="Brought here", number=True),
        Column(title="Given", number=True),
        Column(title="Lies", number=True),
        Column(title="Last mended", number=True),
    )
    rows = [_repaired(node, by_org.get(node.org), figures.now_ms) for node in figures.nodes]
    return _tabled(question, columns, rows, name="Repairs")


def mesh(figures: NetworkFigures, told: OverlayFigures | None) -> str:
    """Return who pushes announcements to whom, and whom it only tells their ids."""
    question = "Who passes announcements on to whom?"
    by_org = _by_org(told)
    if not any(one.told.mesh for one in by_org.values()):
        hint = "A node pushes what is new to its mesh, and tells the others that it has it."
        return card(question, empty("No node has a mesh yet.", hint))
    columns = (
        Column(title="Node", grows=True),
        Column(title="Pushes to"),
        Column(title="Only tells"),
        Column(title="Slow"),
        Column(title="Lowest score", number=True),
    )
    names = {node.did: node for node in figures.nodes}
    rows = [_meshed(node, by_org.get(node.org), names) for node in figures.nodes]
    return _tabled(question, columns, rows, name="Gossip")


def tables(figures: NetworkFigures, told: OverlayFigures | None) -> str:
    """Return what each node keeps for the network, for whom, and of whom it takes nothing."""
    question = "What does each node keep for the others?"
    by_org = _by_org(told)
    if not by_org:
        hint = "Nodes find each other's names in tables; these appear once nodes are up."
        return card(question, empty("No node has told yet.", hint))
    columns = (
        Column(title="Node", grows=True),
        Column(title="In its table", number=True),
        Column(title="Records", number=True),
        Column(title="Room by sponsor"),
        Column(title="Banned"),
    )
    names = {node.did: node for node in figures.nodes}
    rows = [_kept(node, by_org.get(node.org), names) for node in figures.nodes]
    return _tabled(question, columns, rows, name="Tables")


def witnesses(figures: NetworkFigures, told: OverlayFigures | None) -> str:
    """Return whose journals were seen to grow, by how many, and which have two histories."""
    question = "Whose history has been witnessed?"
    known: dict[str, list[WitnessedNode]] = {}
    for _, said in told.witnesses if told else ():
        for one in said.nodes:
            known.setdefault(one.node, []).append(one)
    if not known:
        hint = "Nodes ask each other for proof that their journals only grow, and countersign it."
        return card(question, empty("No journal was witnessed yet.", hint))
    columns = (
        Column(title="Journal of", grows=True),
        Column(title="Witnesses", number=True),
        Column(title="Seen up to", number=True),
        Column(title="Has now", number=True),
        Column(title="Forks"),
    )
    rows = [_witnessed(node, known.get(node.did, [])) for node in figures.nodes]
    return _tabled(question, columns, rows, name="Witnesses")


def shown(figures: NetworkFigures, told: OverlayFigures | None) -> object:
    """Return what the cards show: while it is the same, so are they."""
    nodes = tuple(
        (each.org, each.title, each.initials, each.did, each.health, each.journal_sequence)
        for each in figures.nodes
    )
    return nodes, told


def _tabled(
    question: str, columns: Sequence[Column], rows: Iterable[Row], *, name: str, said: str = ""
) -> str:
    """Return a card with a table that scrolls by itself, below what is said of all of it."""
    return card(question, scroll(said + table(columns, rows, name=name), name=question))


def _by_org(told: OverlayFigures | None) -> dict[str, NodeOverlay]:
    return {one.org: one for one in told.nodes} if told else {}


def _silent(node: NodeFigure, prefix: str, cells: int) -> Row:
    """Return the row of a node that has not told yet, or does not now."""
    words = "does not answer" if node.health == "down" else "has not told yet"
    return Row(
        key=f"{prefix}-{node.org}",
        cells=(f"{escape(node.title)}<small>{words}</small>", *(_NONE,) * cells),
    )


def _covered(node: NodeFigure, sets: list[Coverage]) -> Row:
    """Return what share of each set a node has."""
    held = [dict(one.held).get(node.org) for one in sets]
    if any(count is None for count in held):
        return _silent(node, "covered", len(sets) + 1)
    counts = [count or 0 for count in held]
    total = sum(one.total for one in sets)
    share = sum(counts) / total
    whole = sum(counts) == total
    words = "all" if whole else f"{min(share, 0.9994):.1%}".replace("%", " %")
    cells = [
        f"{count:,}" if count == one.total else f"{count:,}<small>of {one.total:,}</small>"
        for count, one in zip(counts, sets, strict=True)
    ]
    bar = f'<span class="share" aria-hidden="true"><i style="width:{100 * share:.1f}%"></i></span>'
    return Row(
        key=f"covered-{node.org}",
        cells=(
            f"{escape(node.title)}{bar}",
            *cells,
            said_state(State.DONE if whole else State.RUNNING, words),
        ),
    )


def _repaired(node: NodeFigure, one: NodeOverlay | None, now_ms: int) -> Row:
    if one is None or node.health == "down":
        return _silent(node, "repaired", 5)
    counts = {each.name: each.count for each in one.told.counts}

    def of(*names: str) -> int:
        return sum(counts.get(f"reconcile: {name}", 0) for name in names)

    lies = of("lies")
    last = one.told.repaired_ms
    return Row(
        key=f"repaired-{node.org}",
        cells=(
            escape(node.title),
            count_text(of("sessions begun")),
            count_text(of("records kept", "records taken")),
            count_text(of("records pushed", "records given")),
            said_state(State.REFUSED, f"{lies:,}") if lies else "0",
            moment_html(last, now_ms=now_ms) if last else '<span class="soft">never</span>',
        ),
    )


def _meshed(node: NodeFigure, one: NodeOverlay | None, names: Mapping[str, NodeFigure]) -> Row:
    if one is None or node.health == "down":
        return _silent(node, "meshed", 4)
    links = one.told.mesh
    lowest = min(links, key=lambda link: link.score_milli, default=None)
    slow = _named((link for link in links if link.slow), names)
    return Row(
        key=f"meshed-{node.org}",
        cells=(
            escape(node.title),
            _named((link for link in links if link.in_mesh), names) or _NONE,
            _named((link for link in links if not link.in_mesh), names) or _NONE,
            f'<span class="said s-running">{slow}</span>' if slow else _NONE,
            _score(lowest, names) if lowest else _NONE,
        ),
    )


def _kept(node: NodeFigure, one: NodeOverlay | None, names: Mapping[str, NodeFigure]) -> Row:
    if one is None or node.health == "down":
        return _silent(node, "kept", 4)
    told = one.told
    kinds = ", ".join(
        f"{each.count:,} {_NAMESPACES.get(each.name, each.name).lower()}" for each in told.records
    )
    rooms = sorted((each for each in told.rooms if each.records), key=lambda each: -each.bytes)
    shown = [
        f"<li>{escape(_sponsor(each.sponsor, names))}<small>{size_text(each.bytes)}</small></li>"
        for each in rooms[:ROOMS_SHOWN]
    ]
    if len(rooms) > ROOMS_SHOWN:
        shown.append(f'<li class="soft">and {len(rooms) - ROOMS_SHOWN:,} more</li>')
    banned = counted(len(told.banned), "peer") if told.banned else ""
    who = "".join(f"<small>{_name(did, names)}</small>" for did in told.banned[:ROOMS_SHOWN])
    return Row(
        key=f"kept-{node.org}",
        cells=(
            escape(node.title),
            counted(told.contacts, "node"),
            f"{sum(each.count for each in told.records):,}<small>{escape(kinds)}</small>",
            f'<ul class="rooms">{"".join(shown)}</ul>' if shown else _NONE,
            said_state(State.REFUSED, banned) + who if banned else _NONE,
        ),
    )


def _witnessed(node: NodeFigure, said: list[WitnessedNode]) -> Row:
    seen = max((one.size for one in said), default=0)
    forks = max((one.forks for one in said), default=0)
    unproven = next((one.unproven for one in said if one.unproven), "")
    if forks:
        state = said_state(State.FAILED, f"{counted(forks, 'fork')} proven")
    elif unproven:
        state = f"{said_state(State.RUNNING, 'growth not shown')}<small>{escape(unproven)}</small>"
    elif seen:
        state = said_state(State.DONE, "none")
    else:
        state = _NONE
    return Row(
        key=f"witnessed-{node.org}",
        cells=(
            escape(node.title),
            count_text(max((one.witnesses for one in said), default=0)),
            f"{seen:,}" if seen else _NONE,
            count_text(node.journal_sequence),
            state,
        ),
    )


def _named(links: Iterable[MeshLink], names: Mapping[str, NodeFigure]) -> str:
    """Return peers by the letters in their circles, in the network's order, and how many others."""
    dids = {link.did for link in links}
    known = [
        f'<abbr title="{escape(node.title)}">{escape(node.initials)}</abbr>'
        for node in names.values()
        if node.did in dids
    ]
    strangers = len(dids - set(names))
    if strangers:
        known.append(f"<span>{counted(strangers, 'stranger')}</span>")
    return f'<span class="initials">{" ".join(known)}</span>' if known else ""


def _score(link: MeshLink, names: Mapping[str, NodeFigure]) -> str:
    return f"{link.score_milli / 1_000:.1f}<small>{_name(link.did, names)}</small>"


def _name(did: str, names: Mapping[str, NodeFigure]) -> str:
    node = names.get(did)
    return escape(node.title) if node is not None else text_html(did)


def _sponsor(sponsor: str | None, names: Mapping[str, NodeFigure]) -> str:
    if sponsor is None:
        return "nobody vouches"
    return next((node.title for node in names.values() if node.org == sponsor), sponsor)


_INEXACT: Final = (
    '<p class="soft">Nodes differ in so much that not all of it was compared: '
    "there are at least so many.</p>"
)
