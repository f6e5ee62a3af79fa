"""The compute page: what one viewer has chosen on it, and the receipts verified for them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from opkit.live.live import Live
from opkit.live.ports import Draw, PageRefused
from opkit.live.verify import verify_task
from opkit.views import compute
from opkit.views.figures import Verification


class ComputePage:
    """The compute page of one viewer. Satisfies `Page`."""

    name = "compute"
    title = "Compute"

    def __init__(self, live: Live) -> None:
        """Begin with no task chosen, and all tasks shown."""
        self._live = live
        self._selected = ""
        self._showing = ""
        self._verification: Verification | None = None

    def frame(self) -> str:
        """Return the markup around the cards."""
        return compute.frame()

    def cards(self) -> Mapping[str, Draw]:
        """Return what draws each card; all of one drawing show one moment.

        What a card shows has often not changed, or was drawn for another viewer before.
        """
        figures, now = self._live.compute_figures(), self._live.network_figures()
        draws = compute.cards(
            lambda: figures,
            lambda: now,
            selected=self._selected,
            showing=self._showing,
            verification=self._verification,
        )
        made_of = dict.fromkeys(draws, (figures, self._verification)) | {"health": now}
        return {name: partial(self._drawn, name, made_of[name], draws[name]) for name in draws}

    def _drawn(self, name: str, made_of: object, draw: Draw) -> str:
        key = (self.name, name, self._selected, self._showing)
        return self._live.kept.made(key, made_of, draw)

    async def act(self, act: str, arguments: Mapping[str, str]) -> None:
        """Open or close a task, choose which are shown, or verify a receipt here.

        Raises:
            PageRefused: there is no such act, task or filter; or see `verify_task`.
        """
        match act:
            case "open":
                self._open(arguments.get("task", ""))
            case "close":
                self._selected = ""
            case "filter":
                self._filter(arguments.get("of", ""))
            case "verify":
                self._verification = await verify_task(self._live, arguments.get("task", ""))
            case _:
                raise PageRefused(f"This page knows no {act!r}.")

    def _open(self, task_id: str) -> None:
        if task_id not in self._live.book.tasks:
            raise PageRefused("This task is not known here; its node's journal may still have it.")
        self._selected = task_id

    def _filter(self, of: str) -> None:
        if of not in compute.FILTERS:
            raise PageRefused("There is no such choice of tasks.")
        self._showing = of
