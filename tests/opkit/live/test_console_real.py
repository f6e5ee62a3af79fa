"""The console's page over a real supervisor: told by the teller, verified, disturbed for real."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from devnet.board import attached_source
from devnet.launch import launch
from flows.a import HARBOR, RIVER, flow
from opkit.live.console import ConsolePage
from opkit.live.live import Live
from opkit.live.ports import ControlRefused
from opkit.story.stage import Mode
from opkit.views.figures import ConsoleFigures

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

DEADLINE_S = 120


class Console:
    """The page, and what is followed for it."""

    def __init__(self, name: str) -> None:
        self.live = Live(attached_source(name))
        self.page = ConsolePage(self.live)
        self.other = ConsolePage(self.live)

    async def until(self, holds: Callable[[ConsoleFigures], object]) -> ConsoleFigures:
        """Return the figures once something holds."""
        while not holds(self.page.figures()):
            await self.live.wait_change(self.live.revision)
        return self.page.figures()

    def card(self, name: str) -> str:
        """Return a card as it is drawn now."""
        return self.page.cards()[name]()


@pytest.fixture
def tell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Tell a story in a console on a network of real nodes."""
    monkeypatch.setenv("OPKIT_HOME", str(tmp_path))
    launched = launch(name="t", profile="three", seed=7, temporary=True)

    def go(story) -> None:
        async def within() -> None:
            console = Console("t")
            running = asyncio.create_task(console.live.run())
            try:
                async with asyncio.timeout(DEADLINE_S):
                    with console.live.watched():
                        await console.until(lambda now: now.flows and now.network.nodes)
                        await story(console)
            finally:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)

        asyncio.run(within())

    try:
        launched.wait_ready()
        yield go
    finally:
        launched.down()


def test_a_presenter_leads_verifies_breaks_and_heals(tell):
    async def story(console):
        page = console.page
        await page.act("open", {"flow": "a"})
        await console.until(lambda now: now.stage and now.stage.mode is Mode.WAITING)
        with pytest.raises(ControlRefused, match="being told"):
            await console.other.act("open", {"flow": "a"})
        await page.act("next", {})
        await console.until(lambda now: now.stage.told == 1)
        assert "is-done" in console.card("story")
        # Bytes are asked only of nodes that are up: on a busy machine one may be late for a moment.
        await console.until(lambda now: {node.health for node in now.network.nodes} == {"up"})
        await page.act("verify", {"marker": "MODULE_DEPLOYED"})
        assert "Verified again, here" in console.card("evidence")
        assert page.figures().again.ok

        await page.act("skip-to", {"marker": "UNKNOWN_HASH_REFUSED"})
        now = await console.until(lambda now: now.stage.told == 6)
        assert console.other.figures().stage == now.stage
        await page.act("verify", {"marker": "RECEIPT_VERIFIED"})
        again = page.figures().again
        assert again.ok and again.bundle is not None
        assert len(again.checks) > 15

        await page.act("cut", {"a": RIVER, "b": HARBOR})
        await console.until(lambda now: "cut" in {link.state for link in now.network.links})
        assert "Heal (1)" in console.card("deeds")
        await page.act("heal", {"a": RIVER, "b": HARBOR})
        await console.until(lambda now: {link.state for link in now.network.links} == {"up"})
        await page.act("kill", {"org": HARBOR})
        await console.until(lambda now: "down" in {node.health for node in now.network.nodes})
        await page.act("restart", {"org": HARBOR})
        await console.until(lambda now: {node.health for node in now.network.nodes} == {"up"})

        await page.act("close", {})
        await console.until(lambda now: now.stage is None)
        assert "Which story shall be told?" in console.card("story")

    tell(story)


def test_a_story_that_breaks_is_told_so_and_can_be_told_again(tell):
    async def story(console):
        page = console.page
        await page.act("open", {"flow": "a"})
        await console.until(lambda now: now.stage and now.stage.mode is Mode.WAITING)
        await page.act("kill", {"org": HARBOR})
        await console.until(lambda now: "down" in {node.health for node in now.network.nodes})
        await page.act("skip-to", {"marker": flow.markers[-1]})
        now = await console.until(lambda now: now.stage.mode is Mode.STOPPED)
        assert "The story stopped at" in console.card("story")
        assert "is-failed" in console.card("story")
        await page.act("restart", {"org": HARBOR})
        await console.until(lambda now: {node.health for node in now.network.nodes} == {"up"})
        await page.act("again", {})
        now = await console.until(lambda now: now.stage.mode is Mode.WAITING)
        assert now.stage.told == 0
        await page.act("next", {})
        await console.until(lambda now: now.stage.told == 1)
        await page.act("close", {})

    tell(story)
