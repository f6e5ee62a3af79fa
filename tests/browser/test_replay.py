"""A recorded story plays by itself from a file, on a projector and on a phone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.browser import Visit
from bench.network import opkit
from bench.pages import layout
from flows.a import flow

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

FIRST, FOURTH, LAST = (flow.steps[index].marker for index in (0, 3, -1))


@pytest.fixture(scope="module")
def replay(network: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Have flow A recorded on the running network."""
    page = tmp_path_factory.mktemp("replay") / "replay.html"
    opkit("record", "a", "--devnet", network.name, "--out", str(page))
    return page


@pytest.fixture
def watch(visit: Callable[..., Visit], replay: Path) -> Callable[..., Visit]:
    """Let a visitor open the replay from the disk."""

    def come(**settings: Any) -> Visit:
        seen = visit(**settings)
        # A list that glides to its sentence would glide away from under the mouse.
        seen.page.emulate_media(reduced_motion="reduce")
        seen.page.goto(replay.as_uri())
        seen.page.locator(f"#step-{FIRST}").wait_for()
        return seen

    return come


def states(seen: Visit) -> list[str]:
    return [
        (each.get_attribute("class") or "").split()[0].removeprefix("is-")
        for each in seen.page.locator(".tell-steps > li").all()
    ]


@pytest.mark.parametrize("size", ["projector", "phone"])
def test_a_replay_is_readable_in_both_themes_and_asks_nobody(watch, size, keep, accessible):
    seen = watch(size=size)
    for _ in range(4):
        seen.page.locator("#next").click()
    for theme in ("light", "dark"):
        seen.page.emulate_media(color_scheme=theme)
        keep(seen, f"replay-{size}-{theme}")
        accessible(seen)
    laid = layout(seen)
    assert laid["scrolls"] <= 0, laid
    if size == "phone":
        assert laid["small"] == []
    assert seen.noted.errors == []
    assert seen.noted.outside() == []


def test_a_replay_goes_step_by_step_forth_and_back(watch):
    seen = watch()
    assert set(states(seen)) == {"waiting"}
    seen.page.locator("#next").click()
    assert states(seen)[:2] == ["done", "waiting"]
    seen.page.get_by_text(f"Evidence for {FIRST}").wait_for()
    seen.page.keyboard.press("ArrowRight")
    assert states(seen)[:3] == ["done", "done", "waiting"]
    seen.page.keyboard.press("ArrowLeft")
    assert states(seen)[:2] == ["done", "waiting"]
    seen.page.locator(f"#step-{FOURTH}").click()
    assert states(seen)[:5] == ["done"] * 4 + ["waiting"]
    seen.page.locator("#seek").focus()
    seen.page.keyboard.press("End")
    assert "waiting" not in states(seen)
    seen.page.keyboard.press("Home")
    assert set(states(seen)) == {"waiting"}


def test_a_replay_plays_by_itself_to_its_end_and_again(watch, eventually):
    seen = watch()
    seen.page.locator("#seek").focus()
    seen.page.keyboard.press("End")
    for _ in range(3):
        seen.page.locator("#back").click()
    seen.page.locator("#speed").select_option("4")
    before = states(seen).count("waiting")
    assert before > 0
    seen.page.locator("#play").click()
    eventually(lambda: states(seen).count("waiting") < before, what="the next step")
    eventually(lambda: seen.page.locator("#play").inner_text() == "Again", what="the end")
    # It begins, and is stopped before any time has passed: then nothing is missed by looking late.
    seen.page.locator("#play").evaluate("button => { button.click(); button.click(); }")
    assert set(states(seen)) == {"waiting"}
    seen.page.locator("#play").click()
    eventually(lambda: "done" in states(seen), what="the first step, told again")


def test_the_other_pages_were_recorded_beside_it(watch):
    seen = watch()
    seen.page.locator(f"#step-{FOURTH}").click()
    seen.page.locator("nav a", has_text="Network").click()
    seen.page.locator("[data-card=happenings]").get_by_text("fetched “patronage”").wait_for()
    seen.page.locator("nav a", has_text="Compute").click()
    seen.page.locator("[data-card=tasks] tr").first.wait_for()
    assert seen.noted.errors == []


def test_evidence_is_copied_whole_from_a_replay(watch):
    seen = watch()
    seen.page.locator(f"#step-{FOURTH}").click()
    seen.page.get_by_text("Copy evidence").click()
    seen.page.locator("button.copied").wait_for()
    said = seen.page.locator("#console-evidence").text_content()
    assert said and f'"name": "{FOURTH}"' in said
    assert seen.page.locator("[data-act=verify]:visible").count() == 0


def test_without_scripts_a_replay_says_how_it_is_verified(browser, replay):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(replay.as_uri())
    assert "opkit report verify" in page.locator("noscript").inner_text()
    context.close()
