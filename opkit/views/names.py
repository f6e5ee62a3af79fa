"""The page of names and agents: who holds which name, what agents can, and why to believe it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Final

from opkit.story.states import State
from opkit.views import discovery, header
from opkit.views.amounts import DAY_MS, count_text, counted, many, moment_html
from opkit.views.cards import (
    Column,
    Row,
    card,
    empty,
    figure,
    listed,
    said_state,
    scroll,
    table,
)
from opkit.views.discovery import ANYTHING, Question
from opkit.views.figures import (
    AnswerFigure,
    CardFigure,
    NameFigure,
    NamesFigures,
    NetworkFigures,
)
from opkit.views.values import member_html, text_html

CARDS: Final = ("held", "everywhere", "agents", "offered", "find", "found", "names", "cards")
"""The ids of the cards, in their order on a phone."""

_NONE: Final = '<span class="soft">–</span>'
_KINDS: Final = {"service": "service", "node": "node", "alias": "another name"}


def frame() -> str:
    """Return the markup around the page's cards."""
    return (
        '<div class="board names-board"><h1 class="unseen">Names and agents</h1>'
        + "".join(f'<div class="at-{each}" data-card="{each}"></div>' for each in CARDS)
        + "</div>"
    )


def cards(
    network: Callable[[], NetworkFigures],
    *,
    told: NamesFigures | None = None,
    answer: AnswerFigure | None = None,
    asked: Question = ANYTHING,
    opened: str = "",
) -> dict[str, Callable[[], str]]:
    """Return what draws each card of the page, by the card's id.

    Args:
        network: returns the network as it is when a card is drawn.
        told: names and cards; None before nodes were asked.
        answer: what a node answered to the question; None before it was asked.
        asked: whose node is asked, by its organisation, and what for.
        opened: the service whose proofs are open, or empty.
    """
    return {
        "health": lambda: header.health(network()),
        "held": lambda: held(told),
        "everywhere": lambda: everywhere(network(), told),
        "agents": lambda: agents(network(), told),
        "offered": lambda: discovery.offered(answer),
        "find": lambda: discovery.find(network(), asked),
        "found": lambda: discovery.found(network(), answer, opened=opened),
        "names": lambda: names(network(), told),
        "cards": lambda: agent_cards(network(), told),
    }


def made_of(
    network: NetworkFigures, told: NamesFigures | None, answer: AnswerFigure | None
) -> Mapping[str, object]:
    """Return what of the figures each card shows: while it is the same, so is the card."""
    titles, day = tuple(_titles(network).items()), network.now_ms // DAY_MS
    initials = tuple(node.initials for node in network.nodes)
    return {
        "health": network,
        "held": told,
        "everywhere": (told, titles),
        "agents": (told, titles),
        "offered": answer,
        "find": titles,
        "found": (answer, day),
        "names": (told, titles, initials, day),
        "cards": (told, titles, day),
    }


def held(told: NamesFigures | None) -> str:
    """Return how many names are held."""
    question = "How many names are held?"
    if told is None:
        return figure(question, "–", "nodes are asked")
    by_owner = Counter(each.member_id for each in told.names)
    more = " and more" if told.more else ""
    return figure(
        question,
        count_text(len(told.names)),
        f"{many(len(told.names), 'name')}{more}",
        opened=listed([(who, counted(count, "name")) for who, count in by_owner.most_common()]),
    )


def everywhere(network: NetworkFigures, told: NamesFigures | None) -> str:
    """Return how many of the names every node that is up has."""
    question = "Does every node know them?"
    if told is None or not told.names:
        return figure(question, "–", "no name yet")
    lacking = [each for each in told.names if each.lacking or each.why]
    titles = _titles(network)
    rows = [
        (each.name, escape(each.why or f"not yet at {_and(each.lacking, titles)}"))
        for each in lacking
    ]
    bad = any(each.why for each in lacking)
    return figure(
        question,
        count_text(len(told.names) - len(lacking)),
        f"of {counted(len(told.names), 'name')} everywhere",
        tone=State.FAILED if bad else State.RUNNING if lacking else None,
        opened=listed(rows),
    )


def agents(network: NetworkFigures, told: NamesFigures | None) -> str:
    """Return how many nodes have a card that verifies."""
    question = "Whose agents have a card?"
    if told is None:
        return figure(question, "–", "nodes are asked")
    good = [each for each in told.cards if not each.why]
    titles = _titles(network)
    words = [
        (
            titles.get(each.org, each.org),
            said_state(State.WAITING if each.why else State.DONE, each.why or "verified"),
        )
        for each in told.cards
    ]
    return figure(
        question,
        count_text(len(good)),
        f"of {counted(len(network.nodes), 'node')}",
        opened=listed(words),
    )


def names(network: NetworkFigures, told: NamesFigures | None) -> str:
    """Return the names that are held, with owner, sequence, lapse, and on which nodes they are."""
    question = "Who holds which name, and who knows it?"
    if told is None or not told.names:
        hint = "A name appears when a member registers one: opkit name register, or run flow B."
        return card(question, empty("No name is held." if told else "Asking.", hint))
    columns = (
        Column(title="Name", grows=True),
        Column(title="Stands for", grows=True),
        Column(title="Owner"),
        Column(title="Number", number=True),
        Column(title="On nodes"),
        Column(title="Until", number=True),
    )
    rows = [_name(each, network) for each in told.names]
    more = '<p class="soft">There are more: opkit name list shows all.</p>' if told.more else ""
    shown = table(columns, rows, name="Names")
    return card(question, scroll(shown + more, name="Names"))


def agent_cards(network: NetworkFigures, told: NamesFigures | None) -> str:
    """Return what each node's agent says that it can, on its own signed card."""
    question = "What can each agent do?"
    if told is None or not told.cards:
        hint = "Each node signs a card of its own and publishes it; they appear as they are found."
        return card(question, empty("No card was found yet.", hint))
    titles = _titles(network)
    shown = "".join(_card(each, titles, now_ms=network.now_ms) for each in told.cards)
    return card(question, scroll(f'<ul class="agents">{shown}</ul>', name="Agents"))


def _name(each: NameFigure, network: NetworkFigures) -> Row:
    kind = f"<small>{escape(_KINDS.get(each.kind, ''))}</small>" if each.kind else ""
    home = f"<small>countersigned by {escape(each.home)}</small>" if each.home else ""
    bad = said_state(State.FAILED, "does not verify") + f"<small>{escape(each.why)}</small>"
    return Row(
        key=f"n-{each.name}",
        cells=(
            f"<b>{escape(each.name)}</b>{home}",
            bad if each.why else f"{_node_html(each.stands_for)}{kind}",
            member_html(each.member_id),
            _number(each),
            _where(each, network),
            moment_html(each.lapses_ms, now_ms=network.now_ms),
        ),
    )


def _number(each: NameFigure) -> str:
    """Return a record's sequence: it is a time if its owner counts by the clock."""
    last = f"{each.sequence % 1_000_000:07,d}"
    return f'<span title="{each.sequence:,}">…{last}</span>'


def _where(each: NameFigure, network: NetworkFigures) -> str:
    """Return on which nodes a name's record is, by the letters in their circles."""
    shown = " ".join(
        f'<abbr title="{escape(node.title)}">{escape(node.initials)}</abbr>'
        for node in network.nodes
        if node.org in each.holders
    )
    state = State.RUNNING if each.lacking else State.DONE
    of = f"{len(each.holders)} of {len(each.holders) + len(each.lacking)}"
    return f'{said_state(state, of)}<span class="initials">{shown}</span>'


def _card(each: CardFigure, titles: Mapping[str, str], *, now_ms: int) -> str:
    title = titles.get(each.org, each.org)
    if each.why:
        return (
            f"<li><b>{escape(title)}</b><p>{said_state(State.WAITING, 'no card')}</p>"
            f'<p class="soft">{escape(each.why)}</p></li>'
        )
    skills = "".join(f"<li>{escape(skill)}</li>" for skill in each.skills)
    words = ["answers in a stream"] if each.streaming else []
    words += [f"asks {price}" for price in each.prices]
    return (
        f"<li><b>{escape(each.name)}</b><p>{escape(each.description)}</p>"
        f'<ul class="skills">{skills}</ul>'
        f'<p class="soft">{escape(", ".join(words))}</p>'
        f"<p>{said_state(State.DONE, 'verified here')}"
        f'<small class="soft">until {moment_html(each.lapses_ms, now_ms=now_ms)}, '
        f"{text_html(each.did)}</small></p></li>"
    )


def _node_html(text: str) -> str:
    return text_html(text) if text else _NONE


def _titles(network: NetworkFigures) -> dict[str, str]:
    return {node.org: node.title for node in network.nodes}


def _and(orgs: Sequence[str], titles: Mapping[str, str]) -> str:
    return " and ".join(titles.get(org, org) for org in orgs)
