"""The board's script in a real browser: it paints, keeps what is the reader's, and heals."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import tornado.web
import tornado.websocket
from playwright.async_api import Page, async_playwright, expect

from opkit.live.session import Session
from opkit.views.assets import board_js
from opkit.views.style import board_css

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(180)]
expect.set_options(timeout=30_000)

FLAGS = ["--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking"]
HTML = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>t</title>
<link rel="icon" href="data:,"><link rel="stylesheet" href="board.css"></head><body>
<header class="opkit"><span data-card="health"></span>
<button data-theme-switch>theme</button></header><main data-board="ws"></main>
<script type="module" src="board.js"></script></body></html>"""


LOST = ".board-lost p"
"""What says that the connection is lost; the bar around it is no pixel high, and so never seen."""


class Stand:
    """A tiny server of one page, whose sockets a test can cut, and the browser that shows it."""

    def __init__(self, slate: Any, ticker: Any) -> None:
        self.slate = slate
        self.ticker = ticker
        self.sockets: set[tornado.websocket.WebSocketHandler] = set()
        self.opened = 0
        self.silent = False
        self.closed = False
        self.heard: list[dict[str, Any]] = []
        self.page: Page
        self.origin = ""
        self.requested: list[str] = []
        self.errors: list[str] = []

    def write(self, **cards: str | Exception) -> None:
        """Write on the page and say so."""
        self.slate.written.update(cards)
        self.ticker.touch()

    async def eventually(self, holds: Callable[[], bool]) -> None:
        """Return once something holds."""
        async with asyncio.timeout(30):
            while not holds():
                await asyncio.sleep(0.01)


def application(stand: Stand) -> tornado.web.Application:
    class Text(tornado.web.RequestHandler):
        def initialize(self, text: str, kind: str) -> None:
            self.text, self.kind = text, kind

        def get(self) -> None:
            self.set_header("Content-Type", self.kind)
            self.set_header("Content-Security-Policy", "default-src 'self'; img-src data:")
            self.finish(self.text)

    class Socket(tornado.websocket.WebSocketHandler):
        def prepare(self) -> None:
            if stand.closed:
                raise tornado.web.HTTPError(503)

        def open(self, *_: str, **__: str) -> None:
            stand.sockets.add(self)
            stand.opened += 1
            self.session = Session(stand.slate, live=stand.ticker, send=self.say)
            self.running = asyncio.get_running_loop().create_task(self.session.run())

        def say(self, message: Any) -> None:
            if not stand.silent:
                self.write_message(json.dumps(message))

        def on_message(self, message: str | bytes) -> None:
            stand.heard.append(json.loads(message))
            self.session.take(stand.heard[-1])

        def on_close(self) -> None:
            stand.sockets.discard(self)
            self.running.cancel()

    return tornado.web.Application(
        [
            ("/", Text, {"text": HTML, "kind": "text/html"}),
            ("/board.js", Text, {"text": board_js(), "kind": "text/javascript"}),
            ("/board.css", Text, {"text": board_css(), "kind": "text/css"}),
            ("/ws", Socket),
        ]
    )


@asynccontextmanager
async def shown(slate: Any, ticker: Any) -> AsyncIterator[Stand]:
    stand = Stand(slate, ticker)
    server = application(stand).listen(0, "127.0.0.1")
    (listening,) = server._sockets.values()
    stand.origin = f"http://127.0.0.1:{listening.getsockname()[1]}"
    async with async_playwright() as play:
        browser = await play.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        stand.page = await browser.new_page()
        stand.page.on("pageerror", lambda error: stand.errors.append(str(error)))
        stand.page.on("request", lambda asked: stand.requested.append(asked.url))
        await stand.page.goto(stand.origin + "/")
        try:
            yield stand
        finally:
            await browser.close()
            server.stop()
            for socket in list(stand.sockets):
                socket.close()
            await stand.eventually(lambda: not stand.sockets)


def tried(slate: Any, ticker: Any, story: Callable[[Stand], Awaitable[None]]) -> None:
    """Show the page in a browser and tell a story on it; nothing may go wrong on the side."""

    async def tell() -> None:
        async with asyncio.timeout(170), shown(slate, ticker) as stand:
            await expect(stand.page.locator("[data-card=one] p")).to_have_text("1")
            await story(stand)
            assert stand.errors == []
            ours = (stand.origin, "data:", "blob:")
            assert [url for url in stand.requested if not url.startswith(ours)] == []

    asyncio.run(tell())


def test_cards_are_painted_within_the_frame_and_outside_of_it(slate: Any, ticker: Any) -> None:
    slate.written["health"] = "<b>3 of 3</b>"

    async def story(stand: Stand) -> None:
        await expect(stand.page.locator("header [data-card=health] b")).to_have_text("3 of 3")
        stand.write(two="<p>two</p>")
        await expect(stand.page.locator("[data-card=two] p")).to_have_text("two")

    tried(slate, ticker, story)


def test_what_the_reader_did_stays_when_the_card_changes(slate: Any, ticker: Any) -> None:
    slate.written["two"] = (
        '<details><summary>More</summary><ul class="scroll" style="height:50px">'
        + "".join(f'<li id="r{n}">{n}</li>' for n in range(40))
        + '</ul></details><input id="words" value="">'
    )

    async def story(stand: Stand) -> None:
        page = stand.page
        await page.locator("summary").click()
        await page.locator(".scroll").evaluate(
            "e => { e.style.cssText = 'height:50px;overflow:auto'; e.scrollTop = 200 }"
        )
        await page.locator("#words").fill("half a wo")
        row = await page.locator("#r7").element_handle()
        before = str(slate.written["two"])
        stand.write(two=before.replace("<li ", '<li id="new" data-new>new</li><li ', 1))
        await expect(page.locator("#new")).to_be_attached()
        assert await page.locator("details").get_attribute("open") is not None
        assert await page.locator("#words").input_value() == "half a wo"
        assert await page.evaluate("document.activeElement.id") == "words"
        assert await page.locator("#r7").evaluate("(e, was) => e === was", row)

    tried(slate, ticker, story)


def test_what_has_the_focus_changes_too_and_keeps_it(slate: Any, ticker: Any) -> None:
    slate.written["two"] = (
        '<div class="scroll" tabindex="0"><p>old</p></div>'
        '<button id="play" data-act="play">Play</button>'
    )

    async def story(stand: Stand) -> None:
        for wanted, tag in ((".scroll", "DIV"), ("#play", "BUTTON")):
            await stand.page.locator(wanted).focus()
            before = str(slate.written["two"])
            stand.write(two=before.replace("old", "new").replace("Play", "Pause"))
            await expect(stand.page.locator(".scroll p")).to_have_text("new")
            await expect(stand.page.locator("#play")).to_have_text("Pause")
            assert await stand.page.evaluate("document.activeElement.tagName") == tag
            stand.write(two=before)
            await expect(stand.page.locator("#play")).to_have_text("Play")

    tried(slate, ticker, story)


def test_controls_send_their_acts_and_are_busy_until_answered(slate: Any, ticker: Any) -> None:
    slate.written["two"] = (
        '<button data-act="long" data-org="river" data-key="x">Long</button>'
        '<select data-act="choose" data-of="tasks"><option>a<option>b</select>'
    )

    async def story(stand: Stand) -> None:
        slate.holding = asyncio.Event()
        button = stand.page.locator("button[data-act]")
        await button.click()
        await stand.eventually(lambda: slate.acts == [("long", {"org": "river"})])
        await expect(button).to_have_attribute("aria-busy", "true")
        await button.click(force=True)
        stand.write(one="<p>another</p>")
        await expect(stand.page.locator("[data-card=one] p")).to_have_text("another")
        assert len(slate.acts) == 1
        slate.holding.set()
        await expect(button).not_to_have_attribute("aria-busy", "true")
        await stand.page.locator("select").select_option("b")
        await stand.eventually(
            lambda: slate.acts[1:] == [("choose", {"of": "tasks", "value": "b"})]
        )
        await stand.page.evaluate("document.activeElement.blur()")
        await stand.page.keyboard.press("x")
        await stand.eventually(lambda: slate.acts[2:] == [("long", {"org": "river"})])

    tried(slate, ticker, story)


def test_a_clicker_turns_the_story_and_a_list_that_has_the_focus(slate: Any, ticker: Any) -> None:
    slate.written["two"] = (
        '<button data-act="back" data-key="ArrowLeft">b</button>'
        '<button data-act="next" data-key="ArrowRight">n</button>'
        '<div class="scroll" tabindex="0">list</div>'
    )

    async def story(stand: Stand) -> None:
        await expect(stand.page.locator("[data-act=next]")).to_be_visible()
        await stand.page.keyboard.press("PageDown")
        await stand.eventually(lambda: slate.acts == [("next", {})])
        await stand.page.keyboard.press("PageUp")
        await stand.eventually(lambda: slate.acts[1:] == [("back", {})])
        await expect(stand.page.locator("[aria-busy=true]")).to_have_count(0)
        await stand.page.locator(".scroll").focus()
        await stand.page.keyboard.press("PageDown")
        await stand.page.keyboard.press("ArrowLeft")
        await stand.eventually(lambda: slate.acts[2:] == [("back", {})])

    tried(slate, ticker, story)


def test_after_a_click_the_space_bar_is_the_pages_again(slate: Any, ticker: Any) -> None:
    slate.written["two"] = (
        '<button data-act="select" data-marker="m">m</button>'
        '<button data-act="play" data-key=" ">Play</button>'
    )

    async def story(stand: Stand) -> None:
        await stand.page.locator("[data-act=select]").click()
        await stand.eventually(lambda: slate.acts == [("select", {"marker": "m"})])
        await stand.page.keyboard.press(" ")
        await stand.eventually(lambda: slate.acts[1:] == [("play", {})])

    tried(slate, ticker, story)


def test_a_list_stands_still_under_the_pointer(slate: Any, ticker: Any) -> None:
    rows = "".join(f'<li style="height:40px">{number}</li>' for number in range(400))
    slate.written["two"] = (
        f'<ul class="scroll" style="height:200px;max-height:200px;overflow:auto">{rows}</ul>'
    )

    async def story(stand: Stand) -> None:
        region = stand.page.locator(".scroll")
        await expect(region.locator("li")).to_have_count(400)
        # The policy of the page allows no styles within markup.
        await region.evaluate("e => { e.style.cssText = 'height:200px;overflow:auto' }")
        moved = await region.evaluate(
            """async (list) => {
              const frames = async (count) => {
                while (count--) await new Promise(requestAnimationFrame);
              };
              list.scrollTo({top: 9000, behavior: "smooth"});
              await frames(2);
              const row = list.querySelector("li");
              row.dispatchEvent(new PointerEvent("pointerdown", {bubbles: true}));
              await frames(1);
              const held = list.scrollTop;
              await frames(30);
              return list.scrollTop - held;
            }"""
        )
        assert moved == 0

    tried(slate, ticker, story)


def test_a_region_begins_at_its_top_when_it_shows_something_else(slate: Any, ticker: Any) -> None:
    def about(what: str, note: str) -> str:
        rows = "".join(f"<li>{number}</li>" for number in range(200))
        return f'<h2 data-begins="{what}">{note}</h2><ul>{rows}</ul>'

    slate.around = (
        '<div class="board"><div data-card="one"></div>'
        '<div class="scroll" data-card="two"></div></div>'
    )
    slate.written["two"] = about("bread", "old")

    async def story(stand: Stand) -> None:
        region = stand.page.locator(".scroll")
        await expect(region.locator("h2")).to_have_text("old")
        await region.evaluate("e => { e.style.cssText = 'height:80px;overflow:auto' }")
        await region.evaluate("e => { e.scrollTop = 300 }")
        stand.write(two=about("bread", "new"))
        await expect(region.locator("h2")).to_have_text("new")
        assert await region.evaluate("e => e.scrollTop") == 300
        stand.write(two=about("butter", "newer"))
        await expect(region.locator("h2")).to_have_text("newer")
        assert await region.evaluate("e => e.scrollTop") == 0

    tried(slate, ticker, story)


def test_what_a_click_has_opened_below_the_screen_comes_into_view(slate: Any, ticker: Any) -> None:
    slate.around = '<div data-card="one"></div><div id="much"></div><div data-card="two"></div>'
    slate.written["two"] = "<p>nothing is open</p>"

    async def story(stand: Stand) -> None:
        await stand.page.locator("#much").evaluate("e => { e.style.height = '5000px' }")
        card = stand.page.locator("[data-card=two]")
        await expect(card).not_to_be_in_viewport()
        stand.write(two='<p data-bring="task">it is open</p>')
        await expect(card).to_be_in_viewport()
        await stand.page.evaluate("scrollTo({top: 0, behavior: 'instant'})")
        await expect(card).not_to_be_in_viewport()
        stand.write(two='<p data-bring="task">it goes on</p>')
        await expect(card.locator("p")).to_have_text("it goes on")
        await expect(card).not_to_be_in_viewport()

    tried(slate, ticker, story)


def test_a_refusal_is_shown_with_its_hint(slate: Any, ticker: Any) -> None:
    slate.written["two"] = '<button data-act="control-refused">No</button>'

    async def story(stand: Stand) -> None:
        await stand.page.locator("button[data-act]").click()
        flash = stand.page.locator(".board-flash")
        await expect(flash).to_contain_text("the supervisor said no")
        await expect(flash).to_contain_text("ask again")
        await flash.locator("button").click()
        await expect(flash).to_have_count(0)

    tried(slate, ticker, story)


def test_a_cut_socket_is_opened_again_and_the_page_made_whole(slate: Any, ticker: Any) -> None:
    async def story(stand: Stand) -> None:
        for socket in list(stand.sockets):
            socket.close()
        await stand.eventually(lambda: stand.opened >= 2)
        stand.write(one="<p>healed</p>")
        await expect(stand.page.locator("[data-card=one] p")).to_have_text("healed")
        await expect(stand.page.locator(LOST)).to_be_hidden()

    tried(slate, ticker, story)


def test_a_lost_connection_says_since_when_and_heals(slate: Any, ticker: Any) -> None:
    async def story(stand: Stand) -> None:
        stand.silent = True
        bar = stand.page.locator(LOST)
        await expect(bar).to_contain_text("Connection lost since")
        stand.write(one="<p>meanwhile</p>")
        stand.silent = False
        await expect(bar).to_be_hidden(timeout=30_000)
        await expect(stand.page.locator("[data-card=one] p")).to_have_text("meanwhile")

    tried(slate, ticker, story)


def test_a_connection_that_was_closed_is_called_lost_long_before_a_silent_one(
    slate: Any, ticker: Any
) -> None:
    """And the bar that says so lies over the page: nothing moves under the reader's eye."""

    async def story(stand: Stand) -> None:
        page, card = stand.page, stand.page.locator("[data-card=one]")
        await page.clock.install()
        async with page.expect_websocket() as opening:
            await page.reload()
        socket = await opening.value
        await expect(card.locator("p")).to_have_text("1")
        before = await card.bounding_box()
        # From a moment on that is surely still to come the page's time stands still, but for what
        # is said below. Having heard nothing until then, it asks, and is answered.
        bar = page.locator(LOST)
        await page.clock.pause_at(await page.evaluate("Date.now()") / 1000 + 60)
        await expect(bar).to_be_hidden()
        async with socket.expect_event("close"):
            stand.closed = True
            for each in list(stand.sockets):
                each.close()
        await page.clock.run_for(500)
        await expect(bar).to_be_hidden()
        await page.clock.resume()
        await expect(bar).to_contain_text("Connection lost since")
        assert await card.bounding_box() == before
        stand.closed = False
        await expect(bar).to_be_hidden()

    tried(slate, ticker, story)


def test_the_theme_is_switched_and_remembered(slate: Any, ticker: Any) -> None:
    async def story(stand: Stand) -> None:
        page, theme = stand.page, "document.documentElement.dataset.theme"
        await page.locator("[data-theme-switch]").click()
        chosen = await page.evaluate(theme)
        assert chosen in ("light", "dark")
        await page.reload()
        await expect(page.locator("[data-card=one] p")).to_have_text("1")
        assert await page.evaluate(theme) == chosen

    tried(slate, ticker, story)
