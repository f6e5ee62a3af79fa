"""A presenter tells a flow in the console; a viewer watches; the network is broken and healed."""

from __future__ import annotations

import pytest

from bench.browser import Visit
from bench.console import Console
from bench.pages import enter, layout, open_page
from flows.a import flow

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

HARBOR = "harbor-homes-cooperative"


def press(seen: Visit, act: str, **arguments: str) -> None:
    """Use a control of the page."""
    given = "".join(f"[data-{name}='{value}']" for name, value in arguments.items())
    seen.page.locator(f"[data-act='{act}']{given}").first.click()


@pytest.fixture
def presenter(visit, dash: Console) -> Visit:
    """Have a presenter in front of the console, with nothing being told."""
    seen = visit()
    enter(seen, dash)
    open_page(seen, "Console")
    return seen


def test_a_flow_is_told_step_by_step_while_a_viewer_watches(
    presenter: Visit, visit, dash: Console, keep, accessible, settled, eventually
):
    viewer = visit(size="phone", theme="dark")
    enter(viewer, dash, as_viewer=True)
    open_page(viewer, "Console")
    press(presenter, "open", flow="a")
    first, second = flow.steps[0], flow.steps[1]
    for seen in (presenter, viewer):
        seen.page.locator(f"#step-{first.marker}").get_by_text(first.sentence).wait_for()
    press(presenter, "next")
    for seen in (presenter, viewer):
        seen.page.locator(f"#step-{first.marker}.is-done").wait_for()
    evidence = presenter.page.locator("[data-card=evidence]")
    evidence.get_by_text(first.marker).wait_for()
    evidence.get_by_text("holds: ").first.wait_for()
    keep(presenter, "telling-first-step")
    keep(viewer, "telling-watched-on-a-phone")
    press(presenter, "next")
    presenter.page.locator(f"#step-{second.marker}.is-done").wait_for()
    attack = next(step for step in flow.steps if step.kind == "refused")
    press(presenter, "skip-to", marker=attack.marker)
    waiting = presenter.page.locator(f"#step-{attack.marker}.is-front")
    waiting.wait_for(timeout=60_000)
    press(presenter, "next")
    presenter.page.locator(f"#step-{attack.marker}.is-refused").wait_for(timeout=60_000)
    assert "attack" in presenter.page.locator(f"#step-{attack.marker}").inner_text()
    accessible(presenter)
    assert layout(presenter)["spills"] == []
    keep(presenter, "telling-attack")
    last = flow.steps[-1].marker
    press(presenter, "skip-to", marker=last)
    presenter.page.locator(f"#step-{last}.is-front").wait_for(timeout=60_000)
    press(presenter, "next")
    for seen in (presenter, viewer):
        earned = seen.page.locator(".tell-steps > :is(.is-done, .is-refused)")
        eventually(lambda e=earned: e.count() == len(flow.steps), what="every marker")
    keep(presenter, "telling-ended")
    press(presenter, "close")
    for seen in (presenter, viewer):
        seen.page.get_by_text("Which story shall be told?").wait_for()
    settled(presenter, dash)
    settled(viewer, dash)


COVERED = """() => {
  const shown = [...document.querySelectorAll(".tell-bar button, .bar nav a")];
  return shown.filter(each => {
    const at = each.getBoundingClientRect();
    const top = document.elementFromPoint(at.x + at.width / 2, at.y + at.height / 2);
    return !each.contains(top) || each.scrollWidth > each.clientWidth;
  }).map(each => each.textContent);
}"""
"""What somebody cannot click in its middle, because it is out of sight or below something else."""


def test_every_story_is_in_sight_and_no_control_covers_another(
    presenter: Visit, dash: Console, settled
):
    """However many stories and pages there are: on a projector none is below the edge of a list."""
    presenter.page.locator("[data-act=run]").first.wait_for()
    whole, seen = presenter.page.evaluate(
        "(at => [at.scrollHeight, at.clientHeight])"
        "(document.querySelector('.tell-choices').parentElement)"
    )
    assert whole <= seen, f"{whole} px of stories in {seen} px"
    summary = presenter.page.locator(".tell-choices summary").first
    summary.click()
    presenter.page.get_by_text(flow.story[:60]).first.wait_for()
    press(presenter, "open", flow="a")
    presenter.page.locator("[data-act=close]").wait_for()
    for width, height in ((1920, 1080), (1440, 900), (1366, 768), (1280, 720)):
        presenter.page.set_viewport_size({"width": width, "height": height})
        assert presenter.page.evaluate(COVERED) == [], width
    press(presenter, "close")
    presenter.page.get_by_text("Which story shall be told?").wait_for()
    settled(presenter, dash)


def test_a_run_can_be_hurried_paused_and_ended(presenter: Visit):
    """It begins with time to read the story; who has read it goes on."""
    press(presenter, "run", flow="a")
    presenter.page.locator("[data-act=pause]").wait_for()
    press(presenter, "next")
    presenter.page.locator(f"#step-{flow.steps[0].marker}.is-done").wait_for()
    press(presenter, "pause")
    presenter.page.locator("[data-act=play]").wait_for()
    press(presenter, "close")
    presenter.page.locator("[data-act=run][data-flow=a]").wait_for()


def test_a_node_is_killed_and_healed_from_the_console(presenter: Visit, keep, eventually):
    press(presenter, "deeds", open="kill")
    panel = presenter.page.locator(".tell-panel")
    panel.get_by_text("ends at once").wait_for()
    press(presenter, "kill", org=HARBOR)
    health = presenter.page.locator("[data-card=health]")
    eventually(lambda: "2 of 3 nodes up" in health.inner_text(), what="the node to be down")
    keep(presenter, "console-node-killed")
    press(presenter, "deeds", open="heal")
    press(presenter, "restart", org=HARBOR)
    eventually(lambda: "3 of 3 nodes up" in health.inner_text(), what="the node to be up")
