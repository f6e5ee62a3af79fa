"""One browser's copy of a page, kept the same as the page: whole once, then only what changed.

The protocol does not care what carries it (an anywidget's channel, a WebSocket, a recording):

```
browser → {"do": "hello"}                                     send me everything
          {"do": "here", "n": 7}                              I am still here
          {"do": "have", "rev": 12}                           I have drawn up to here
          {"do": "act", "n": 3, "act": "verify", "args": {}}  a control was used
→ browser {"frame": "<div>…", "cards": [["links", "<table>…"]], "rev": 12}
          {"here": 7}
          {"done": 3}
          {"flash": {"tone": "failed", "text": "…", "hint": "…"}}
```

Nothing is sent to a browser that has fallen silent, so that a kernel nobody looks at is idle.
Source: ADR 0015.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from opkit.live.ports import ControlRefused, Draw, Page, PageRefused
from opkit.views.cards import error_card

PATCH_EVERY_MS = 33
"""The least time between two patches: a screen shows thirty a second without a flicker."""

DRAWING_SHARE = 4
"""A session draws at most one part in so many of the time, however much happens."""

SILENCE_MS_MAX = 15_000
"""After how long without a word a browser is taken for gone."""

UNDRAWN_MAX = 30
"""How many patches may be on their way to a browser that has not said it has them."""

ACTS_MAX = 4
"""How many acts of one browser may be in hand at once."""

ARGUMENTS_MAX = 16
TEXT_CHARS_MAX = 2_048
ERROR_CHARS_MAX = 400

_log = logging.getLogger(__name__)

Send = Callable[[Mapping[str, Any]], None]
"""Hands a message to whatever carries it; it does not wait."""


class Changes(Protocol):
    """Something that changes, counted: a `Live`, to a session."""

    @property
    def revision(self) -> int:
        """How often it has changed."""

    async def wait_change(self, after: int) -> int:
        """Return the revision once it is greater than `after`."""

    def watched(self) -> contextlib.AbstractContextManager[None]:
        """Hold while somebody looks: what nobody looks at may be followed less closely."""


class Cards:
    """What a browser has of a page, and what it lacks now. A card that cannot be drawn says so."""

    def __init__(self, page: Page, *, now_ms: Callable[[], int] | None = None) -> None:
        """Begin with a browser that has nothing."""
        self.page = page
        self.revision = 0
        self._now_ms = now_ms or (lambda: time.time_ns() // 1_000_000)
        self._sent: dict[str, str] = {}
        self._broken: dict[str, int] = {}
        self._framed = False

    def forget(self) -> None:
        """Take the browser to have nothing, as after a reload."""
        self._sent.clear()
        self._framed = False

    def patch(self) -> dict[str, Any] | None:
        """Return what the browser lacks, and count it as sent; None if it has everything."""
        frame = None if self._framed else self.page.frame()
        changed = []
        for name, draw in self.page.cards().items():
            html = self._draw(name, draw)
            if self._sent.get(name) != html:
                self._sent[name] = html
                changed.append([name, html])
        if frame is None and not changed:
            return None
        self._framed = True
        self.revision += 1
        return {"frame": frame, "cards": changed, "rev": self.revision}

    def _draw(self, name: str, draw: Draw) -> str:
        try:
            html = draw()
        except Exception as broken:  # noqa: BLE001 - a broken card must not take the others along
            if name not in self._broken:
                self._broken[name] = self._now_ms()
                _log.exception("card %s of page %s cannot be drawn", name, self.page.name)
            return broken_card(broken, since_ms=self._broken[name])
        self._broken.pop(name, None)
        return html


def broken_card(error: BaseException, *, since_ms: int) -> str:
    """Return the markup that stands in a card's place while it cannot be drawn."""
    return error_card(
        "This card cannot be drawn",
        why=f"{type(error).__name__}: {error}"[:ERROR_CHARS_MAX],
        since_ms=since_ms,
        hint="The others go on, and this one comes back by itself as soon as it can be drawn. "
        "If it stays, reload the page.",
    )


class Session:
    """One browser that looks at one page. `run` is the owner; `take` may be called any time."""

    def __init__(
        self,
        page: Page,
        *,
        live: Changes,
        send: Send,
        silence_ms_max: int = SILENCE_MS_MAX,
    ) -> None:
        """Prepare; nothing is drawn before the browser says hello.

        Args:
            page: what is shown; it belongs to this session alone.
            live: what the page's cards are drawn from.
            send: carries a message to the browser; whatever it raises ends the session.
            silence_ms_max: after how long without a word the browser is taken for gone.
        """
        self.page = page
        self._live = live
        self._send = send
        self._silence_ms_max = silence_ms_max
        self._cards = Cards(page)
        self._stirred = asyncio.Event()
        self._heard_at = -1e9
        self._greeted = False
        self._have = 0
        self._acts: set[asyncio.Task[None]] = set()

    @property
    def awake(self) -> bool:
        """Whether the browser has said hello, and has been heard of lately."""
        return self._greeted and self._silent_ms() < self._silence_ms_max

    def _silent_ms(self) -> float:
        return (time.monotonic() - self._heard_at) * 1000

    def take(self, message: object) -> None:
        """Take one message of the browser; what is no message of this protocol is ignored."""
        if not isinstance(message, Mapping):
            return
        match message.get("do"):
            case "hello":
                self._greeted = True
                self._cards.forget()
                self._have = self._cards.revision
            case "here":
                self._have = self._cards.revision
                self._send({"here": _count(message.get("n"))})
            case "have":
                self._have = max(self._have, _count(message.get("rev")))
            case "act":
                self._begin(message)
            case _:
                return
        self._heard_at = time.monotonic()
        self._stirred.set()

    async def run(self) -> None:
        """Keep the browser's copy the same as the page, until cancelled."""
        try:
            while True:
                await self._until_awake()
                with self._live.watched():
                    await self._show()
        finally:
            for act in self._acts:
                act.cancel()

    async def _until_awake(self) -> None:
        while not self.awake:
            self._stirred.clear()
            await self._stirred.wait()

    async def _show(self) -> None:
        """Send what changes while the browser is there."""
        while self.awake:
            seen = self._live.revision
            self._stirred.clear()
            pause_ms = self._send_patch() if self._has_room() else 0
            if pause_ms:
                await asyncio.sleep(pause_ms / 1000)
            await self._changed(seen)

    def _has_room(self) -> bool:
        return self._cards.revision - self._have < UNDRAWN_MAX

    def _send_patch(self) -> float:
        """Send what the browser lacks; return for how long nothing more may be sent, in ms."""
        began = time.thread_time()  # What others do on a busy machine is not held against it.
        patch = self._cards.patch()
        drawing_ms = (time.thread_time() - began) * 1000
        if patch is not None:
            self._send(patch)
        return max(PATCH_EVERY_MS if patch else 0, drawing_ms * (DRAWING_SHARE - 1))

    async def _changed(self, seen: int) -> None:
        """Return when something may look different, or the browser has been silent too long."""
        waits = {
            asyncio.ensure_future(self._live.wait_change(seen)),
            asyncio.ensure_future(self._stirred.wait()),
        }
        left_ms = max(0.0, self._silence_ms_max - self._silent_ms())
        try:
            await asyncio.wait(waits, timeout=left_ms / 1000, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    def _begin(self, message: Mapping[str, Any]) -> None:
        number = _count(message.get("n"))
        act, arguments = message.get("act"), _arguments(message.get("args"))
        if not isinstance(act, str) or len(act) > TEXT_CHARS_MAX or arguments is None:
            self._flash("That was no act of this page.", hint="reload the page")
            self._send({"done": number})
            return
        if len(self._acts) >= ACTS_MAX:
            self._flash("Still busy with what was asked before.", hint="wait a moment")
            self._send({"done": number})
            return
        task = asyncio.get_running_loop().create_task(self._act(act, arguments, number))
        self._acts.add(task)
        task.add_done_callback(self._acts.discard)

    async def _act(self, act: str, arguments: dict[str, str], number: int) -> None:
        try:
            await self.page.act(act, arguments)
        except PageRefused as refused:
            self._flash(str(refused), hint=getattr(refused, "hint", ""))
        except ControlRefused as refused:
            self._flash(str(refused), hint=refused.hint)
        except Exception as broken:  # noqa: BLE001 - the edge: whoever clicked is told what failed
            _log.exception("act %s of page %s failed", act, self.page.name)
            self._flash(
                f"{type(broken).__name__}: {broken}"[:ERROR_CHARS_MAX], hint="it is in the log"
            )
        self._send({"done": number})
        self._stirred.set()

    def _flash(self, text: str, *, hint: str = "") -> None:
        self._send({"flash": {"tone": "failed", "text": text, "hint": hint}})


def _count(value: object) -> int:
    """Return a count that a browser said, or 0 for anything else."""
    fits = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53
    return int(value) if fits and isinstance(value, int) else 0


def _arguments(value: object) -> dict[str, str] | None:
    """Return an act's arguments; None if they are none, or too many, or too long."""
    if not isinstance(value, Mapping) or len(value) > ARGUMENTS_MAX:
        return None
    for key, text in value.items():
        if not isinstance(key, str) or not isinstance(text, str):
            return None
        if len(key) > TEXT_CHARS_MAX or len(text) > TEXT_CHARS_MAX:
            return None
    return dict(value)
