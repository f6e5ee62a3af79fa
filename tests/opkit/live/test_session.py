"""A session: whole once, then what changed; whatever breaks stays where it broke."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest

from opkit.live import session as sessions
from opkit.live.session import PATCH_EVERY_MS, Cards, Session


class Browser:
    """What a browser was told, and the session that tells it."""

    def __init__(self, slate: Any, ticker: Any, **limits: Any) -> None:
        self.messages: list[dict[str, Any]] = []
        self.session = Session(
            slate, live=ticker, send=lambda message: self.messages.append(dict(message)), **limits
        )

    @property
    def patches(self) -> list[dict[str, Any]]:
        return [message for message in self.messages if "rev" in message]

    @property
    def flashes(self) -> list[dict[str, Any]]:
        return [message["flash"] for message in self.messages if "flash" in message]

    def shows(self) -> dict[str, str]:
        """Return the cards as the browser has them."""
        return {name: html for patch in self.patches for name, html in patch["cards"]}

    async def until(self, holds: Callable[[], object]) -> None:
        async with asyncio.timeout(30):
            while not holds():
                await asyncio.sleep(0.001)


def tell(browser: Browser, story: Callable[[], Awaitable[None]]) -> None:
    """Run the session beside a story."""

    async def go() -> None:
        async with asyncio.timeout(55):
            running = asyncio.get_running_loop().create_task(browser.session.run())
            try:
                await story()
                assert not running.done()
            finally:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)

    asyncio.run(go())


@pytest.fixture
def browser(slate: Any, ticker: Any) -> Browser:
    return Browser(slate, ticker)


def test_nothing_is_drawn_before_the_browser_says_hello(
    browser: Browser, slate: Any, ticker: Any
) -> None:
    async def story() -> None:
        ticker.touch()
        for _ in range(20):
            await asyncio.sleep(0)
        assert browser.messages == []
        assert slate.draws == 0
        assert ticker.watching == 0
        browser.session.take({"do": "hello"})
        await browser.until(lambda: browser.patches)
        assert ticker.watching == 1

    tell(browser, story)


def test_hello_is_answered_with_everything_and_then_only_changes_follow(
    browser: Browser, slate: Any, ticker: Any
) -> None:
    async def story() -> None:
        browser.session.take({"do": "hello"})
        await browser.until(lambda: browser.patches)
        whole = browser.patches[0]
        assert whole["frame"] == slate.around
        assert whole["cards"] == [["one", "<p>1</p>"], ["two", "<p>2</p>"]]
        assert whole["rev"] == 1
        slate.written["two"] = "<p>two</p>"
        ticker.touch()
        await browser.until(lambda: len(browser.patches) == 2)
        assert browser.patches[1] == {"frame": None, "cards": [["two", "<p>two</p>"]], "rev": 2}

    tell(browser, story)


def test_a_change_that_changes_no_card_sends_nothing(
    browser: Browser, slate: Any, ticker: Any
) -> None:
    async def story() -> None:
        browser.session.take({"do": "hello"})
        await browser.until(lambda: browser.patches)
        drawn = slate.draws
        ticker.touch()
        await browser.until(lambda: slate.draws > drawn)
        await browser.until(lambda: ticker.watching == 1)
        assert len(browser.patches) == 1

    tell(browser, story)


def test_a_second_hello_gets_everything_again(browser: Browser) -> None:
    async def story() -> None:
        browser.session.take({"do": "hello"})
        await browser.until(lambda: browser.patches)
        browser.session.take({"do": "hello"})
        await browser.until(lambda: len(browser.patches) == 2)
        assert browser.patches[1]["cards"] == browser.patches[0]["cards"]
        assert browser.patches[1]["frame"] == browser.patches[0]["frame"]

    tell(browser, story)


def test_many_changes_at_once_are_one_patch_with_the_last_of_them(
    browser: Browser, slate: Any, ticker: Any
) -> None:
    async def story() -> None:
        browser.session.take({"do": "hello"})
        await browser.until(lambda: browser.patches)
        for number in range(500):
            slate.written["one"] = f"<p>{number}</p>"
            ticker.touch()
            await asyncio.sleep(0)
        await browser.until(lambda: browser.shows()["one"] == "<p>499</p>")
        assert len(browser.patches) < 100

    tell(browser, story)


def test_a_card_that_cannot_be_drawn_says_so_and_the_others_live_on(
    browser: Browser, slate: Any, ticker: Any, caplog: Any
) -> None:
    async def story() -> None:
        slate.written["one"] = KeyError("<b>gone</b>")
        browser.session.take({"do": "hello"})
        await browser.until(lambda: browser.patches)
        assert "cannot be drawn" in browser.shows()["one"]
        assert "&lt;b&gt;gone" in browser.shows()["one"]
        assert browser.shows()["two"] == "<p>2</p>"
        slate.written["two"] = "<p>goes on</p>"
        ticker.touch()
        await browser.until(lambda: browser.shows()["two"] == "<p>goes on</p>")
        slate.written["one"] = "<p>back</p>"
        ticker.touch()
        await browser.until(lambda: browser.shows()["one"] == "<p>back</p>")

    with caplog.at_level(logging.ERROR):
        tell(browser, story)
    assert len(caplog.records) == 1, "it is logged once, not with every drawing"


def test_a_silent_browser_is_sent_nothing_until_it_is_heard_again(
    slate: Any, ticker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser, now_s = Browser(slate, ticker, silence_ms_max=50), [7.0]
    clock = SimpleNamespace(monotonic=lambda: now_s[0], thread_time=lambda: 0.0)
    monkeypatch.setattr(sessions, "time", clock)

    async def story() -> None:
        browser.session.take({"do": "hello"})
        await browser.until(lambda: browser.patches)
        now_s[0] += 1
        await browser.until(lambda: ticker.watching == 0)
        assert not browser.session.awake
        slate.written["one"] = "<p>unseen</p>"
        ticker.touch()
        for _ in range(20):
            await asyncio.sleep(0)
        assert browser.shows()["one"] == "<p>1</p>"
        browser.session.take({"do": "here", "n": 7})
        assert browser.messages[-1] == {"here": 7}
        await browser.until(lambda: browser.shows()["one"] == "<p>unseen</p>")

    tell(browser, story)


def test_a_browser_that_does_not_draw_holds_back_what_is_sent(
    browser: Browser, slate: Any, ticker: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr(sessions, "UNDRAWN_MAX", 3)
    has_room, asked = Session._has_room, []

    def looking(session: Session) -> bool:
        asked.append(session)
        return has_room(session)

    monkeypatch.setattr(Session, "_has_room", looking)

    async def story() -> None:
        browser.session.take({"do": "hello"})
        await browser.until(lambda: browser.patches)
        for number in range(2, 4):
            slate.written["one"] = f"<p>n{number}</p>"
            ticker.touch()
            await browser.until(lambda number=number: len(browser.patches) == number)
        drawn, before = slate.draws, len(asked)
        slate.written["one"] = "<p>last</p>"
        ticker.touch()
        await browser.until(lambda: len(asked) > before)
        assert len(browser.patches) == 3
        assert slate.draws == drawn, "what has no room is not even drawn"
        browser.session.take({"do": "have", "rev": 3})
        await browser.until(lambda: browser.shows()["one"] == "<p>last</p>")

    tell(browser, story)


def test_an_act_is_done_once_and_said_to_be_done(browser: Browser, slate: Any) -> None:
    async def story() -> None:
        browser.session.take({"do": "hello"})
        await browser.until(lambda: browser.patches)
        browser.session.take({"do": "act", "n": 3, "act": "chosen", "args": {"of": "it"}})
        await browser.until(lambda: {"done": 3} in browser.messages)
        assert slate.acts == [("chosen", {"of": "it"})]
        await browser.until(lambda: browser.shows()["one"] == "<p>chosen</p>")

    tell(browser, story)


@pytest.mark.parametrize(
    ("act", "text", "hint"),
    [
        ("refused", "not today", ""),
        ("control-refused", "the supervisor said no", "ask again"),
        ("broken", "ZeroDivisionError: by nothing", "it is in the log"),
    ],
)
def test_an_act_that_fails_is_told_to_whoever_clicked(
    browser: Browser, act: str, text: str, hint: str
) -> None:
    async def story() -> None:
        browser.session.take({"do": "hello"})
        browser.session.take({"do": "act", "n": 1, "act": act, "args": {}})
        await browser.until(lambda: {"done": 1} in browser.messages)
        assert browser.flashes == [{"tone": "failed", "text": text, "hint": hint}]

    tell(browser, story)


def test_only_so_many_acts_are_in_hand_at_once(browser: Browser, slate: Any) -> None:
    async def story() -> None:
        slate.holding = asyncio.Event()
        browser.session.take({"do": "hello"})
        for number in range(sessions.ACTS_MAX + 1):
            browser.session.take({"do": "act", "n": number + 1, "act": "long", "args": {}})
        await browser.until(lambda: len(slate.acts) == sessions.ACTS_MAX)
        assert [flash["text"] for flash in browser.flashes] == [
            "Still busy with what was asked before."
        ]
        slate.holding.set()
        await browser.until(
            lambda: sum("done" in message for message in browser.messages) == sessions.ACTS_MAX + 1
        )

    tell(browser, story)


def test_acts_in_hand_end_with_the_session(browser: Browser, slate: Any) -> None:
    async def go() -> None:
        slate.holding = asyncio.Event()
        running = asyncio.get_running_loop().create_task(browser.session.run())
        browser.session.take({"do": "hello"})
        browser.session.take({"do": "act", "n": 1, "act": "long", "args": {}})
        await browser.until(lambda: slate.acts)
        (act,) = browser.session._acts
        running.cancel()
        await asyncio.gather(running, act, return_exceptions=True)
        assert act.cancelled()

    asyncio.run(asyncio.wait_for(go(), 120))


@pytest.mark.parametrize(
    "message",
    [
        None,
        "hello",
        [],
        {},
        {"do": 7},
        {"do": "dance"},
    ],
)
def test_what_is_no_message_is_ignored(browser: Browser, message: object) -> None:
    async def story() -> None:
        browser.session.take(message)
        assert browser.messages == []
        assert not browser.session.awake

    tell(browser, story)


@pytest.mark.parametrize(
    "said",
    [
        {"n": 1},
        {"n": 1, "act": 7, "args": {}},
        {"n": 1, "act": "chosen", "args": []},
        {"n": 1, "act": "chosen", "args": {"of": 7}},
        {"n": 1, "act": "chosen", "args": {"of": "x" * (sessions.TEXT_CHARS_MAX + 1)}},
        {"n": 1, "act": "chosen", "args": {str(key): "" for key in range(17)}},
        {"n": 1, "act": "x" * (sessions.TEXT_CHARS_MAX + 1), "args": {}},
    ],
)
def test_what_is_no_act_reaches_no_page(browser: Browser, slate: Any, said: Any) -> None:
    async def story() -> None:
        browser.session.take({"do": "act", **said})
        assert browser.flashes
        assert browser.messages[-1] == {"done": 1}
        assert slate.acts == []

    tell(browser, story)


def test_a_count_that_is_none_is_taken_for_zero(browser: Browser) -> None:
    async def story() -> None:
        for number in (True, -1, "7", 2**60, None):
            browser.session.take({"do": "here", "n": number})
        assert browser.messages == [{"here": 0}] * 5

    tell(browser, story)


@pytest.mark.parametrize(("works_s", "pause_ms"), [(0.0, PATCH_EVERY_MS), (0.1, 300)])
def test_only_what_drawing_itself_takes_holds_back_the_next_patch(
    slate: Any, ticker: Any, monkeypatch: pytest.MonkeyPatch, works_s: float, pause_ms: float
) -> None:
    """A machine that is busy with something else makes drawing late, not rare."""
    clocks = {"monotonic": 7.0, "thread_time": 1.0}

    def draw() -> str:
        clocks["monotonic"] += 0.5
        clocks["thread_time"] += works_s
        return "drawn"

    slate.cards = lambda: {"one": draw}
    read = {name: lambda name=name: clocks[name] for name in clocks}
    monkeypatch.setattr(sessions, "time", SimpleNamespace(**read))
    session = Session(slate, live=ticker, send=lambda _: None)
    assert session._send_patch() == pytest.approx(pause_ms)


def test_cards_alone_give_patches_without_a_browser(slate: Any) -> None:
    cards = Cards(slate)
    first = cards.patch()
    assert first is not None
    assert first["rev"] == 1
    assert cards.patch() is None
    slate.written["one"] = "<p>new</p>"
    assert cards.patch() == {"frame": None, "cards": [["one", "<p>new</p>"]], "rev": 2}
    cards.forget()
    again = cards.patch()
    assert again is not None
    assert [name for name, _ in again["cards"]] == ["one", "two"]
