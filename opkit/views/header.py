"""The bar on top of every page: whose network this is, the pages, and how the network is."""

from __future__ import annotations

from collections.abc import Callable
from html import escape

from opkit.story.states import State
from opkit.views.amounts import clock_text, counted, of_text
from opkit.views.figures import NetworkFigures
from opkit.views.nav import PAGES
from opkit.views.page import icon


def bar(name: str, *, current: str, home: str, address: Callable[[str], str]) -> str:
    """Return the bar: title, network, navigation, a place for its health, the theme's switch.

    Args:
        name: what people call the network.
        current: the name of the page that is shown; empty for none.
        home: the landing page's address.
        address: returns a page's address by its name.
    """
    links = "".join(
        f'<a href="{escape(address(each.name))}"'
        f"{' aria-current=page' if each.name == current else ''}>{escape(each.title)}</a>"
        for each in PAGES
    )
    return (
        f'<header class="opkit bar"><a class="brand" href="{escape(home)}">opkit</a>'
        f'<span class="soft network">{escape(name)}</span>'
        f'<nav aria-label="Pages">{links}</nav>'
        '<span class="health" data-card="health"></span>'
        '<button type="button" class="act quiet" data-theme-switch '
        f'aria-label="Light or dark" title="Light or dark">{_MOON}</button></header>'
    )


def health(figures: NetworkFigures) -> str:
    """Return how the network is, in one line: nodes, tasks, the time."""
    up = sum(node.health == "up" for node in figures.nodes)
    whole = len(figures.nodes)
    words = of_text(up, whole, "node") + " up" if whole else "no node known yet"
    sound = whole > 0 and up == whole
    if sound:
        nodes = f'<span class="up"><i class="dot"></i>{escape(words)}</span>'
    else:
        state = State.FAILED if whole else State.WAITING
        nodes = f'<span class="pill t-{state.value}">{icon(state)}{escape(words)}</span>'
    tasks = f"{counted(figures.tasks, 'task')}, {figures.tasks_failed:,} failed"
    trouble = (
        f'<span class="pill t-running" title="{escape(figures.trouble)}">{icon(State.RUNNING)}'
        "supervisor silent</span>"
        if figures.trouble
        else ""
    )
    return (
        f"{nodes}{_lasting(figures)}{trouble}<span>{tasks}</span>"
        f'<time title="{clock_text(figures.now_ms)} UTC">{clock_text(figures.now_ms)[:5]}'
        "<small> UTC</small></time>"
    )


def _lasting(figures: NetworkFigures) -> str:
    """Return how much is done to the network on purpose; its title says what, and until when."""
    if not figures.lasting:
        return ""
    told = "; ".join(
        f"{each.sentence}, until {clock_text(each.ends_ms)} UTC" for each in figures.lasting
    )
    words = counted(len(figures.lasting), "disturbance")
    return (
        f'<span class="pill t-running" title="{escape(told)}">{icon(State.RUNNING)}{words}</span>'
    )


_MOON = (
    '<svg viewBox="0 0 20 20" aria-hidden="true"><circle cx="10" cy="10" r="7" fill="none" '
    'stroke="currentColor" stroke-width="2"/><path d="M10 3a7 7 0 0 1 0 14z" fill="currentColor"/>'
    "</svg>"
)
