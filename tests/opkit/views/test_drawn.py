"""Pages drawn from figures in a real browser: nothing lies over anything, nothing jumps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import pytest
from playwright.sync_api import Browser, Page

from bench import browser as bench_browser
from opkit.story.states import State
from opkit.views import compute, console, network
from opkit.views.figures import ComputeFigures, NetworkFigures, Traffic
from opkit.views.style import board_css, chrome_css
from opkit.views.topology import topology

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(180)]

COVERED = """() => {
  const over = ({left, right, top, bottom}, circle) => {
    const box = circle.getBoundingClientRect(), x = (box.left + box.right) / 2;
    const y = (box.top + box.bottom) / 2;
    const beside = Math.max(left - x, 0, x - right), below = Math.max(top - y, 0, y - bottom);
    return Math.hypot(beside, below) < box.width / 2 - 2;
  };
  const nodes = [...document.querySelectorAll(".node > button")];
  return [...document.querySelectorAll(".on-line > *")].flatMap((each) => nodes
    .filter((node) => over(each.getBoundingClientRect(), node))
    .map((node) => `${each.textContent} | ${node.textContent}`));
}"""
"""What stands on a line and lies over a node's circle."""

OVERLAPPING = """({kinds, within}) => [...document.querySelectorAll(within)].flatMap((around) => {
  const boxes = [...around.querySelectorAll(kinds)]
    .filter((each) => each.checkVisibility() && each.getBoundingClientRect().width)
    .map((each) => [each.textContent.trim(), each.getBoundingClientRect()]);
  const over = (a, b) => a.left < b.right - 1 && b.left < a.right - 1
    && a.top < b.bottom - 1 && b.top < a.bottom - 1;
  return boxes.flatMap(([one, a], place) => boxes.slice(place + 1)
    .filter(([, b]) => over(a, b)).map(([other]) => `${one} | ${other}`));
})"""


@pytest.fixture
def nothing_outlives_a_test() -> None:
    """Let the browser live on from test to test."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Have one browser for all pages of this module."""
    with bench_browser.browser() as running:
        yield running


def filled(frame: str, cards: Mapping[str, str]) -> str:
    """Return a page of its own with these cards in a frame."""
    for name, html in cards.items():
        frame = frame.replace(f'data-card="{name}"></', f'data-card="{name}">{html}</')
    style = f"<style>{chrome_css()}{board_css()}</style>"
    return (
        f'<!doctype html><html><head><meta name="viewport" content="width=device-width">{style}'
        f'</head><body><main class="opkit opkit-board">{frame}</main></body></html>'
    )


def in_console(figures: NetworkFigures) -> str:
    return filled(console.frame(), {"map": topology(figures, tall=True)})


def on_its_page(figures: NetworkFigures) -> str:
    drawn = network.cards(lambda: figures)
    return filled(network.frame(), {name: draw() for name, draw in drawn.items()})


def of_computing(figures: ComputeFigures, there: NetworkFigures) -> str:
    drawn = compute.cards(lambda: figures, lambda: there)
    return filled(compute.frame(), {name: draw() for name, draw in drawn.items()})


def moving(figures: NetworkFigures) -> NetworkFigures:
    """Return the network while bytes and a task are on their way between its first three nodes."""
    first, second, third = (node.org for node in figures.nodes[:3])
    said = (
        (first, third, "1.8 kB verified", State.DONE),
        (second, third, "a task", State.RUNNING),
    )
    return replace(
        figures,
        traffic=tuple(
            Traffic(source=a, target=b, words=words, tone=tone, at_ms=figures.now_ms)
            for a, b, words, tone in said
        ),
    )


@pytest.mark.parametrize("draw", [in_console, on_its_page])
@pytest.mark.parametrize("count", [3, 4, 5, 6, 8, 12])
def test_no_words_on_the_map_lie_over_others_or_over_a_node(
    browser: Browser, networks: Callable[[int], NetworkFigures], count, draw
):
    with bench_browser.visit(browser) as seen:
        for figures in (replace(networks(count), traffic=()), moving(networks(count))):
            seen.page.set_content(draw(figures))
            assert shown(seen.page, ".on-line > *") == []
            assert shown(seen.page, ".node > p b") == []
            assert count > 8 or seen.page.evaluate(COVERED) == []


@pytest.mark.parametrize("size", ["phone", "projector"])
def test_no_cell_of_a_table_lies_over_another(
    browser: Browser, networks, computing: ComputeFigures, size: bench_browser.Size
):
    with bench_browser.visit(browser, size=size) as seen:
        for page in (on_its_page(networks(5)), of_computing(computing, networks(3))):
            seen.page.set_content(page)
            assert seen.page.locator(".rows td").count() > 20
            assert shown(seen.page, "td", within=".rows") == []


@pytest.mark.parametrize("count", [3, 5, 12])
def test_names_on_a_phone_do_not_touch(browser: Browser, networks, count):
    with bench_browser.visit(browser, size="phone") as seen:
        seen.page.set_content(on_its_page(replace(networks(count), traffic=())))
        assert shown(seen.page, ".node > p b, .on-line > *") == []


def test_what_stands_behind_a_happening_is_no_row_of_its_own(browser: Browser, networks):
    """Its hashes are copied by buttons, which are as large as their words."""
    figures = networks(3)
    entry = {"type": "compute.task-started", "hash": "7" * 64}
    first = replace(figures.happenings[0], entry=entry)
    figures = replace(figures, happenings=(first, *figures.happenings[1:]))
    drawn = network.cards(lambda: figures, opened=first.key)
    with bench_browser.visit(browser) as seen:
        seen.page.set_content(
            filled(network.frame(), {name: draw() for name, draw in drawn.items()})
        )
        copy = seen.page.locator(".rests button.hash").first
        assert copy.evaluate("each => getComputedStyle(each).display") == "inline-block"


def test_a_link_that_is_lost_leaves_the_table_as_high_as_it_was(browser: Browser, networks):
    figures = replace(networks(3), traffic=())
    lost = [
        replace(link, state="lost", round_trip_us=None, recent=(), bytes_per_s=0)
        for link in figures.links
    ]
    with bench_browser.visit(browser) as seen:
        heights = []
        for each in (figures, replace(figures, links=tuple(lost))):
            seen.page.set_content(on_its_page(each))
            rows = seen.page.locator(".at-links .rows")
            heights.append(rows.evaluate("each => each.getBoundingClientRect().height"))
        assert heights[0] == heights[1] > 0


def shown(page: Page, kinds: str, *, within: str = "body") -> list[str]:
    """Return which of these lie over each other, of those within the same one of some elements."""
    found: list[str] = page.evaluate(OVERLAPPING, {"kinds": kinds, "within": within})
    return found
