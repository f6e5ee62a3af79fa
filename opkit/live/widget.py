"""A page as a widget: the same in a dashboard and in a notebook.

Importing this module loads ipywidgets; the rest of `opkit.live` does not need it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from typing import Any

import anywidget

from opkit.live.live import Live
from opkit.live.ports import Page
from opkit.live.session import Session
from opkit.views.assets import board_js
from opkit.views.cards import error_card
from opkit.views.style import board_css

_log = logging.getLogger(__name__)


class Board(anywidget.AnyWidget):
    """One page of the console in one notebook's output. Make it within a running event loop."""

    def __init__(
        self, page: Page, *, live: Live, following: asyncio.Task[None] | None = None
    ) -> None:
        """Show a page.

        Args:
            page: what is shown; it belongs to this board alone.
            live: what it is drawn from.
            following: the task in which `live` runs, if the board shall say when it fails.
        """
        self._esm = board_js()
        self._css = board_css()
        super().__init__()
        self._failed: dict[str, Any] = {}
        self.session = Session(page, live=live, send=self._say)
        self.on_msg(self._take)
        self._task = asyncio.get_running_loop().create_task(self.session.run())
        for task in (self._task, following):
            if task is not None:
                task.add_done_callback(self._ended)

    def end(self) -> None:
        """Stop showing; what stands on the screen stays as it is."""
        self._task.cancel()

    def _say(self, message: Mapping[str, Any]) -> None:
        self.send(dict(message))

    def _take(self, _: object, content: object, __: object) -> None:
        self.session.take(content)
        if self._failed and isinstance(content, Mapping) and content.get("do") == "hello":
            self._say(self._failed)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Show what ended the board, also to who comes later: a notebook's tasks fail silently."""
        if self._failed or task.cancelled() or (failed := task.exception()) is None:
            return
        _log.error("a board ended", exc_info=failed)
        self._task.cancel()
        shown = error_card(
            "This page is not live any more",
            why=f"{type(failed).__name__}: {failed}",
            since_ms=time.time_ns() // 1_000_000,
            hint=getattr(failed, "hint", "") or "Load the page again, or run the cell again.",
        )
        self._failed = {"frame": shown, "cards": [], "rev": 0}
        self._say(self._failed)
