"""The network's page: the map, every node, every link, and what happens, as it happens."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from html import escape
from typing import Final

from opkit.story.states import State
from opkit.views import header, overlay
from opkit.views.amounts import (
    DAY_MS,
    count_text,
    counted,
    lost_text,
    moment_html,
    rate_text,
    round_trip_text,
    size_text,
)
from opkit.views.cards import (
    Column,
    Row,
    card,
    control,
    empty,
    figure,
    listed,
    pill,
    said_state,
    scroll,
    sparkline_svg,
    table,
)
from opkit.views.figures import (
    Happening,
    LinkFigure,
    NetworkFigures,
    NodeFigure,
    OverlayFigures,
)
from opkit.views.page import icon
from opkit.views.topology import (
    HEALTH_STATES,
    link_words,
    node_words,
    shown_on_map,
    topology,
)
from opkit.views.values import sentence_html, text_html, values_table

HAPPENINGS_SHOWN: Final = 30
"""How many happenings stand on the page; older ones are in the journals."""

_LINK_STATES: Final = {"up": State.DONE, "cut": State.RUNNING, "lost": State.FAILED}
_LINK_WORDS: Final = {"up": "up", "cut": "cut on purpose", "lost": "lost"}
_AMISS_WORDS: Final = {"loss": "loses much", "delay": "slow"}


def frame() -> str:
    """Return the markup around the network's cards."""
    return (
        f'<div class="board network-board"><h1 class="unseen">Network</h1>'
        f"{_at('nodes-up', 'links-up', 'round-trip', 'traffic')}"
        f'{_at("map", "links")}<div class="network-aside">{_at("node", "happenings")}</div></div>'
        f'<div class="board overlay-board">{_at(*overlay.CARDS)}</div>'
    )


def cards(
    figures: Callable[[], NetworkFigures],
    *,
    told: OverlayFigures | None = None,
    selected: str = "",
    opened: str = "",
) -> dict[str, Callable[[], str]]:
    """Return what draws each card of the page, by the card's id.

    Args:
        figures: returns the network as it is when a card is drawn.
        told: what nodes tell of the overlay; None before they were asked.
        selected: the organisation whose node's page is open, or empty.
        opened: the key of the happening whose evidence is open, or empty.
    """
    return {
        "health": lambda: header.health(figures()),
        "nodes-up": lambda: nodes_up(figures()),
        "links-up": lambda: links_up(figures()),
        "round-trip": lambda: round_trip(figures()),
        "traffic": lambda: traffic(figures()),
        "map": lambda: topology(figures(), selected=selected),
        "node": lambda: node(figures(), selected),
        "links": lambda: links(figures(), selected=selected),
        "happenings": lambda: happenings(figures(), opened=opened),
        **overlay.cards(figures, lambda: told),
    }


def made_of(name: str, figures: NetworkFigures, told: OverlayFigures | None = None) -> object:
    """Return what of the figures a card of the page shows: while it is the same, so is the card."""
    if name in overlay.CARDS:
        return overlay.shown(figures, told), figures.now_ms // DAY_MS
    match name:
        case "map":
            return shown_on_map(figures)
        case "links":
            return figures.links, _titles(figures), figures.now_ms // DAY_MS
        case "happenings":
            return figures.happenings, figures.now_ms // DAY_MS
        case _:
            return figures


def nodes_up(figures: NetworkFigures) -> str:
    """Return how many nodes are up."""
    down = [each for each in figures.nodes if each.health != "up"]
    words = f"of {counted(len(figures.nodes), 'node')} up"
    return figure(
        "Is everybody there?",
        f"{len(figures.nodes) - len(down)}",
        words,
        tone=State.FAILED if down else None,
        opened=listed([(each.title, _health(each)) for each in figures.nodes]),
    )


def links_up(figures: NetworkFigures) -> str:
    """Return how many links are up."""
    out = [each for each in figures.links if each.state != "up"]
    bad = [each for each in figures.links if each.state == "up" and each.amiss]
    titles = _titles(figures)
    lost = any(each.state == "lost" for each in out)
    tone = State.FAILED if lost else State.RUNNING if out or bad else None
    badly = f", {len(bad):,} badly" if bad else ""
    return figure(
        "Is everybody linked?",
        f"{len(figures.links) - len(out)}",
        f"of {counted(len(figures.links), 'link')} up{badly}",
        tone=tone,
        opened=listed([(_pair(each, titles), _link_state(each)) for each in figures.links]),
    )


def round_trip(figures: NetworkFigures) -> str:
    """Return the slowest round trip there is now."""
    known = [
        (each.round_trip_us, each)
        for each in figures.links
        if each.state == "up" and each.round_trip_us is not None
    ]
    known.sort(key=lambda pair: -pair[0])
    titles = _titles(figures)
    opened = listed([(_pair(each, titles), round_trip_text(us)) for us, each in known])
    if not known:
        return figure("How far apart are they?", "–", "no link is up")
    value, unit = round_trip_text(known[0][0]).rsplit(" ", 1)
    return figure("How far apart are they?", value, f"{unit} at most", opened=opened)


def traffic(figures: NetworkFigures) -> str:
    """Return how much is said on all links together now."""
    total = sum(each.bytes_per_s for each in figures.links)
    value, unit = rate_text(total).split(" ")
    busiest = sorted(figures.links, key=lambda each: -each.bytes_per_s)
    titles = _titles(figures)
    opened = listed([(_pair(each, titles), rate_text(each.bytes_per_s)) for each in busiest])
    return figure("How much do they say?", value, f"{unit} on all links", opened=opened)


def node(figures: NetworkFigures, org: str) -> str:
    """Return the page of one node, or the list of all if `org` is none of them."""
    chosen = next((each for each in figures.nodes if each.org == org), None)
    if chosen is None:
        return _all_nodes(figures)
    back = control("All nodes", "select", kind="quiet", key="Escape", org="")
    state = pill(HEALTH_STATES[chosen.health], node_words(chosen))
    old = "" if chosen.health == "up" else _old(chosen, figures)
    body = (
        f"{state}{old}{values_table(_facts(chosen))}"
        f"<h2>Whom does it say it is linked to?</h2>{_its_links(chosen, figures)}"
    )
    return card(f"How is {chosen.title}?", scroll(body, name=chosen.title), beside=back)


def links(figures: NetworkFigures, *, selected: str = "") -> str:
    """Return every link with its round trip, its bytes and since when it stands."""
    question = "What passes on the links?"
    if not figures.links:
        hint = "A link appears when two nodes have proven to each other who they are."
        return card(question, empty("No link yet.", hint))
    columns = (
        Column(title="Between", grows=True),
        Column(title="State"),
        Column(title="Round trip", number=True),
        Column(title="Lately"),
        Column(title="Lost", number=True),
        Column(title="Now", number=True),
        Column(title="Carried", number=True),
        Column(title="Since", number=True),
    )
    ordered = sorted(
        figures.links,
        key=lambda each: (each.state == "up", not each.amiss, selected not in _ends(each)),
    )
    titles = _titles(figures)
    rows = [_link_row(each, titles, now_ms=figures.now_ms, selected=selected) for each in ordered]
    shown = scroll(table(columns, rows, name="Links"), name="Links")
    return card(question, shown)


def happenings(figures: NetworkFigures, *, opened: str = "") -> str:
    """Return what happened, newest first. A click asks for `open` with the happening's `entry`.

    Args:
        figures: the network now.
        opened: the key of the happening whose evidence is open; it stays while it is.
    """
    question = "What just happened?"
    if not figures.happenings:
        hint = "What nodes journal stands here as it happens: deploy a module, or run a flow."
        return card(question, empty("Nothing happened yet.", hint))
    shown = [
        each
        for place, each in enumerate(figures.happenings)
        if place < HAPPENINGS_SHOWN or each.key == opened
    ]
    rows = "".join(_happening(each, figures, opened=each.key == opened) for each in shown)
    listed = f'<ol class="happened">{rows}</ol>'
    return card(question, scroll(listed, name="What just happened"))


def _happening(each: Happening, figures: NetworkFigures, *, opened: bool) -> str:
    act, entry = ("close", "") if opened else ("open", escape(each.key))
    purpose = '<em class="pill t-running">on purpose</em>' if each.adversarial else ""
    rests = f'<div class="rests">{values_table(dict(each.entry))}</div>' if opened else ""
    return (
        f'<li id="h-{escape(each.key)}" data-new><button type="button" data-act="{act}" '
        f'data-entry="{entry}" aria-expanded="{"true" if opened else "false"}">'
        f"{icon(each.tone)}<span>{escape(each.sentence)}{purpose}</span>"
        f"{moment_html(each.at_ms, now_ms=figures.now_ms)}</button>{rests}</li>"
    )


def _old(node: NodeFigure, figures: NetworkFigures) -> str:
    """Return why a node is not up, and how old its figures are."""
    said = node.why[:1].lower() + node.why[1:]
    silent = f"It does not answer: {said}" if node.health == "down" else f"It is not ready: {said}"
    why = f"<p>{sentence_html(silent)}.</p>" if said else ""
    seen = moment_html(node.seen_ms, now_ms=figures.now_ms)
    return f'{why}<p class="soft">What follows is what it said at {seen}.</p>'


def _at(*ids: str) -> str:
    return "".join(f'<div class="at-{each}" data-card="{each}"></div>' for each in ids)


def _all_nodes(figures: NetworkFigures) -> str:
    question = "How is each node?"
    if not figures.nodes:
        return card(question, empty("No node is known yet.", "Start a network: opkit devnet up"))
    rows = "".join(
        f'<li id="row-{escape(each.org)}"><button type="button" data-act="select" '
        f'data-org="{escape(each.org)}">{icon(HEALTH_STATES[each.health])}'
        f"<span>{escape(each.title)}<small>{escape(_doing(each))}</small></span>"
        f"<span class=number>{count_text(each.journal_sequence)}<small>journalled</small></span>"
        f"<span class=number>{size_text(each.blob_bytes)}<small>{counted(each.blobs, 'blob')}"
        "</small></span></button></li>"
        for each in figures.nodes
    )
    return card(question, scroll(f'<ul class="listed">{rows}</ul>', name="Nodes"))


def _doing(each: NodeFigure) -> str:
    if each.health == "up" and not each.busy:
        return f"version {each.version}" if each.version else "up"
    return node_words(each)


def _facts(node: NodeFigure) -> dict[str, object]:
    ahead = node.world_ms - node.seen_ms if node.world_ms and node.seen_ms else 0
    facts: dict[str, object] = {
        "DID": node.did,
        "address": node.url,
        "version": node.version,
        "engine": node.engine,
        "started_at_ms": node.started_ms or None,
        "last_answer_at_ms": node.seen_ms or None,
        "history": f"number {node.generation}",
        "journal": f"{count_text(node.journal_sequence)} entries",
        "journal_head": node.journal_hash,
        "keeps": f"{counted(node.blobs, 'blob')}, {size_text(node.blob_bytes)}",
    }
    if ahead > 60_000:
        facts["world time"] = f"{ahead / 86_400_000:.1f} days ahead"
    return facts


def _its_links(node: NodeFigure, figures: NetworkFigures) -> str:
    if not node.links:
        return '<p class="soft">Nobody.</p>'
    titles = _titles(figures)
    columns = (
        Column(title="Peer", grows=True),
        Column(title="Round trip", number=True),
        Column(title="Lost", number=True),
        Column(title="Sent", number=True),
        Column(title="Received", number=True),
        Column(title="Since", number=True),
    )
    rows = [
        Row(
            key=f"of-{node.org}-{link.did}",
            cells=(
                escape(titles.get(link.org, link.org)) if link.org else text_html(link.did),
                round_trip_text(link.round_trip_us),
                lost_text(link.lost_permille),
                size_text(link.sent_bytes),
                size_text(link.received_bytes),
                moment_html(link.since_ms, now_ms=figures.now_ms),
            ),
        )
        for link in node.links
    ]
    return table(columns, rows, name=f"Links of {node.title}")


def _link_row(link: LinkFigure, titles: Mapping[str, str], *, now_ms: int, selected: str) -> Row:
    up = link.state == "up"
    none = '<span class="soft">–</span>'
    words = f"Round trips lately, last {link_words(link)}"
    return Row(
        key=f"row-{link.a}-{link.b}",
        selected=bool(selected) and selected in _ends(link),
        cells=(
            escape(_pair(link, titles)),
            _link_state(link),
            round_trip_text(link.round_trip_us) if up else none,
            sparkline_svg(link.recent, words=words) if up else none,
            lost_text(link.lost_permille) if up else none,
            rate_text(link.bytes_per_s) if up else none,
            size_text(link.sent_bytes + link.received_bytes),
            moment_html(link.since_ms, now_ms=now_ms),
        ),
    )


def _health(node: NodeFigure) -> str:
    return said_state(HEALTH_STATES[node.health], node.health)


def _link_state(link: LinkFigure) -> str:
    if link.state == "up" and link.amiss:
        return said_state(State.RUNNING, _AMISS_WORDS[link.amiss])
    return said_state(_LINK_STATES[link.state], _LINK_WORDS[link.state])


def _ends(link: LinkFigure) -> tuple[str, str]:
    return link.a, link.b


def _pair(link: LinkFigure, titles: Mapping[str, str]) -> str:
    return f"{titles.get(link.a, link.a)} and {titles.get(link.b, link.b)}"


def _titles(figures: NetworkFigures) -> dict[str, str]:
    return {each.org: each.title for each in figures.nodes}
