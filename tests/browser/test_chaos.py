"""A presenter makes links bad, parts the network, and heals both; everybody sees what lasts."""

from __future__ import annotations

import pytest

from bench.browser import Visit
from bench.console import Console
from bench.pages import enter, open_page

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]


def press(seen: Visit, act: str, **arguments: str) -> None:
    """Press the control that does this."""
    given = "".join(f'[data-{name}="{value}"]' for name, value in arguments.items())
    seen.page.locator(f'[data-act="{act}"]{given}').first.click()


def lasting(seen: Visit) -> str:
    """Return what the page says on top of what is done to the network; empty if nothing is."""
    pills = seen.page.locator('[data-card="health"] .pill[title*="until"]')
    # In one step: what is drawn may be gone by the next.
    told = pills.evaluate_all("all => all.map(pill => `${pill.innerText}: ${pill.title}`)")
    return str(told[0]) if told else ""


@pytest.mark.parametrize("size", ["projector", "phone"])
def test_what_a_presenter_does_to_the_network_is_seen_by_all_and_healed(
    visit, dash: Console, network, eventually, readable, settled, size
):
    presenter, viewer = visit(size=size), visit(size=size)
    enter(presenter, dash)
    open_page(presenter, "Console")
    enter(viewer, dash, as_viewer=True)
    open_page(viewer, "Network")
    try:
        press(presenter, "deeds", open="weather")
        readable(presenter, size=size, name=f"chaos-weather-{size}")
        press(presenter, "loss", permille="200")
        eventually(lambda: "lose 20 %" in lasting(viewer), what="loss on a viewer's page")
        press(presenter, "deeds", open="part")
        readable(presenter, size=size, name=f"chaos-part-{size}")
        press(presenter, "partition")
        eventually(
            lambda: "2 disturbances" in lasting(viewer), what="two of them on a viewer's page"
        )
        readable(viewer, size=size, name=f"chaos-seen-{size}")
        press(presenter, "deeds", open="heal")
        readable(presenter, size=size, name=f"chaos-heal-{size}")
        press(presenter, "heal")
        eventually(lambda: not lasting(viewer) and not lasting(presenter), what="all is healed")
    finally:
        network.tell(heal_all)
    settled(presenter, dash)
    settled(viewer, dash)


async def heal_all(world) -> None:
    await world.ask("heal")
