"""Each page, for presenters and viewers, on a projector and on a phone, light and dark."""

from __future__ import annotations

import pytest

from bench.browser import Visit
from bench.console import Console
from bench.pages import enter, open_page
from opkit.views.nav import PAGES

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

TITLES = [entry.title for entry in PAGES]
TEXT_PX_MIN = {"projector": 20, "phone": 17}


def check_page(seen: Visit, readable, *, size: str, name: str) -> None:
    """Demand what holds for a page in both themes."""
    assert seen.page.locator(".broken:visible").count() == 0
    assert readable(seen, size=size, name=name)["text"] >= TEXT_PX_MIN[size] - 0.5


@pytest.mark.parametrize("size", ["projector", "phone"])
@pytest.mark.parametrize("title", TITLES)
def test_a_presenters_page_is_readable_and_asks_nobody_else(
    visit, dash: Console, size, title, readable, settled
):
    seen = visit(size=size)
    enter(seen, dash)
    open_page(seen, title)
    assert title in seen.page.title()
    check_page(seen, readable, size=size, name=f"{title}-{size}")
    settled(seen, dash)


@pytest.mark.parametrize("size", ["projector", "phone"])
@pytest.mark.parametrize("title", TITLES)
def test_a_viewers_page_is_readable_and_asks_nobody_else(
    visit, dash: Console, size, title, readable, settled
):
    seen = visit(size=size)
    enter(seen, dash, as_viewer=True)
    open_page(seen, title)
    assert "/watch/" in seen.page.url
    check_page(seen, readable, size=size, name=f"watch-{title}-{size}")
    settled(seen, dash)


@pytest.mark.parametrize("size", ["projector", "phone"])
def test_the_landing_page_says_what_each_page_answers(
    visit, dash: Console, size, readable, settled
):
    seen = visit(size=size)
    enter(seen, dash)
    for entry in PAGES:
        assert seen.page.get_by_text(entry.question).first.is_visible()
    check_page(seen, readable, size=size, name=f"landing-{size}")
    settled(seen, dash)


def test_the_theme_can_be_switched_and_is_remembered(visit, dash: Console):
    seen = visit(theme="light")
    enter(seen, dash, as_viewer=True)
    open_page(seen, "Network")
    ground = "getComputedStyle(document.body).backgroundColor"
    light = seen.page.evaluate(ground)
    seen.page.locator("[data-theme-switch]").click()
    dark = seen.page.evaluate(ground)
    assert dark != light
    seen.page.reload()
    seen.page.wait_for_selector("[data-theme-switch]")
    assert seen.page.evaluate(ground) == dark
