"""Progress of long waits: how far, how long already, and what is being waited for.

In a notebook a bar is one output that changes in place; anywhere else the end is one line on
standard error.
"""

from __future__ import annotations

import asyncio
import secrets
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from html import escape
from typing import Any, Final, Protocol, TypeVar

from opkit.story.states import State

T = TypeVar("T")

TICK_MS: Final = 200
"""How often a bar shows that time passes."""

AT_ONCE: Final = 8
"""How many of many things are done at once unless told otherwise."""

THINGS_MAX: Final = 10_000
"""How many things one bar counts at most."""

_WITHIN: ContextVar[bool] = ContextVar("opkit_within_a_bar", default=False)
"""Whether what is being done has a bar already: then nothing within it shows one of its own."""


class Show(Protocol):
    """Shows a bar for the first time, or changes what is shown."""

    def __call__(self, bundle: dict[str, str], *, first: bool) -> None:
        """Show the HTML and the text of one moment."""


class Bar:
    """One wait. Get it from `progress`."""

    def __init__(self, what: str, *, total: int | None, now_s: Callable[[], float]) -> None:
        """Begin now.

        Args:
            what: what is being waited for, in a few words.
            total: of how many things; None if they cannot be counted.
            now_s: a clock that only moves forward.
        """
        assert total is None or 0 <= total <= THINGS_MAX, total
        self.what = what
        self.total = total
        self.done = 0
        self.note = ""
        self.state = State.RUNNING
        self._now_s = now_s
        self._began_s = now_s()

    def advance(self, count: int = 1, *, note: str = "") -> None:
        """Say that more is done; `note` says what, until something else is said."""
        self.done += count
        self.note = note or self.note

    def say(self, note: str) -> None:
        """Say what is going on now."""
        self.note = note

    def bundle(self) -> dict[str, str]:
        """Return how it stands as text and as markup."""
        took = f"{self._now_s() - self._began_s:.1f} s"
        count = "" if self.total is None else f"{self.done} of {self.total}"
        rest = ", ".join(part for part in (count, self._note(), took) if part)
        text = f"{self.state.shape} {self.what}: {rest}"
        return {"text/html": self._html(rest), "text/plain": text}

    def _note(self) -> str:
        """Return what is going on; when it is over only a failure still says so."""
        return "" if self.state is State.DONE else self.note

    def _html(self, rest: str) -> str:
        from opkit.views.cards import pill
        from opkit.views.reprstyle import markup

        limits = "" if self.total is None else f' value="{self.done}" max="{self.total or 1}"'
        running = self.state is State.RUNNING
        bar = f'<progress{limits} aria-label="{escape(self.what)}"></progress> ' if running else ""
        sign = "" if running else f"{pill(self.state, self.state.word)} "
        return markup(f"<p>{sign}{bar}{escape(self.what)}: {escape(rest)}</p>", kind="opkit-bar")


@asynccontextmanager
async def progress(
    what: str, *, total: int | None = None, show: Show | None = None
) -> AsyncIterator[Bar]:
    """Show a bar as long as the block runs, and how it ended.

    Args:
        what: what is being waited for, in a few words.
        total: of how many things; None if they cannot be counted.
        show: shows it; the notebook, or one line at the end, unless given.
    """
    shown = show or _shower()
    outermost = _WITHIN.set(True)
    bar = Bar(what, total=total, now_s=time.monotonic)
    shown(bar.bundle(), first=True)
    ticking = asyncio.create_task(_tick(bar, shown))
    bar_ended = State.FAILED
    try:
        yield bar
        bar_ended = State.DONE
    finally:
        ticking.cancel()
        _WITHIN.reset(outermost)
        bar.state = bar_ended
        shown(bar.bundle(), first=False)


async def together(
    what: str,
    doing: Iterable[Coroutine[Any, Any, T]],
    *,
    at_once: int = AT_ONCE,
    show: Show | None = None,
) -> list[T]:
    """Do many things, a few at once, under one bar; return what they gave, in their order.

    Args:
        what: what is being done, in a few words.
        doing: coroutines, not awaited yet.
        at_once: how many run at the same time.
        show: as of `progress`.

    Raises:
        Exception: what the first of them raised that failed; the others are ended.
    """
    waiting = list(doing)
    turn = asyncio.Semaphore(at_once)

    async def one(work: Coroutine[Any, Any, T]) -> T:
        async with turn:
            given = await work
        bar.advance()
        return given

    async with progress(what, total=len(waiting), show=show) as bar:
        tasks = [asyncio.create_task(one(work)) for work in waiting]
        try:
            return list(await asyncio.gather(*tasks))
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for work in waiting:
                work.close()


def in_notebook() -> Any:
    """Return the IPython shell whose outputs can be rich, or None where there is none."""
    module = sys.modules.get("IPython")  # What never imported it runs in no notebook.
    shell = module.get_ipython() if module is not None else None
    return shell if shell is not None and getattr(shell, "kernel", None) is not None else None


async def _tick(bar: Bar, show: Show) -> None:
    while True:
        await asyncio.sleep(TICK_MS / 1000)
        show(bar.bundle(), first=False)


def _shower() -> Show:
    if _WITHIN.get():
        return _nothing
    return _line if in_notebook() is None else _Output()


def _nothing(bundle: dict[str, str], *, first: bool) -> None:
    """Show nothing: a bar around this one is shown."""


def _line(bundle: dict[str, str], *, first: bool) -> None:
    """Print the end of a wait, and nothing before."""
    ended = not bundle["text/plain"].startswith(State.RUNNING.shape)
    if ended and not first:
        sys.stderr.write(f"{bundle['text/plain']}\n")


class _Output:
    """One output of a notebook."""

    def __init__(self) -> None:
        self._id = f"opkit-bar-{secrets.token_hex(8)}"

    def __call__(self, bundle: dict[str, str], *, first: bool) -> None:
        """Display it, or change it in place."""
        from IPython import display

        send: Callable[..., object] = display.display if first else display.update_display
        send(bundle, raw=True, display_id=self._id)
