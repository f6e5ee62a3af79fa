"""The handlers behind a presenter's page: Voila's rendering, and what its page may ask of a kernel.

Voila's and Jupyter's own routes to kernels, files and contents are not served; these are all there
is. A kernel's channels carry widget messages and nothing else.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import AsyncIterator
from typing import Any

from jupyter_core.utils import ensure_async
from jupyter_server.base.handlers import APIHandler
from tornado.iostream import StreamClosedError
from tornado.web import HTTPError
from voila.request_info_handler import RequestInfoSocketHandler
from voila.tornado.handler import TornadoVoilaHandler
from voila.tornado.kernel_websocket_handler import VoilaKernelWebsocketHandler

from opkit.dash import messages, pages
from opkit.dash.access import Role, from_here
from opkit.dash.handlers import Guarded
from opkit.dash.limits import Budget
from opkit.dash.shared import role_of, shared_of

NAME_CHARS_MAX = 64
KERNEL_ID = re.compile(r'"kernelId": "([\w-]+)"')
BAR, FIRST = "<!--opkit:bar-->", "<!--opkit:first-->"


class PresenterPage(Guarded, TornadoVoilaHandler):  # type: ignore[misc]  # Voila has no types.
    """A page with a kernel of its own, rendered by Voila."""

    async def get(self, name: str) -> None:
        """Show the page as it is now, and start what keeps it so. Viewers are sent to theirs."""
        shared = shared_of(self)
        if role_of(self) is not Role.PRESENTER:
            self.redirect(shared.site.watch(name))
            return
        shared.taken.intersection_update(self.kernel_manager.list_kernel_ids())
        if shared.opening + len(shared.taken) >= shared.limits.presenters_max:
            self._full(name)
            return
        self.set_header("Content-Security-Policy", pages.VIEWER_POLICY)
        frame, cards = shared.first_cards(name)
        bar = pages.fill(shared.site.bar(current=name, viewer=False), cards)
        first = pages.fill(frame, cards)
        try:
            async for html in self._rendered(name):
                self.write(html.replace(BAR, bar, 1).replace(FIRST, first, 1))
                await self.flush()
        except StreamClosedError:
            return  # The browser left; the kernel, which nobody is connected to, ends by itself.
        except Exception:
            self.log.exception("the page %s could not be started", name)
            if not self._headers_written:
                raise
            self.write(pages.broken_off(shared.site))
        self.finish()

    async def _rendered(self, name: str) -> AsyncIterator[str]:
        """Return the page piece by piece; the kernel is this page's from where its id stands."""
        shared = shared_of(self)
        shared.opening += 1
        known = False
        try:
            async for html in self.get_generator(path=f"{name}.ipynb"):
                found = None if known else KERNEL_ID.search(html)
                if found:
                    known = True
                    shared.taken.add(found[1])
                    shared.opening -= 1
                yield html
        finally:
            shared.opening -= 0 if known else 1
            RequestInfoSocketHandler._cache.clear()  # noqa: SLF001 - Voila lets none go.

    def _full(self, name: str) -> None:
        shared = shared_of(self)
        said = pages.notice(
            shared.site,
            title="All presenters' places are taken",
            text=f"{shared.limits.presenters_max} pages are open. Close one, or look on.",
            links=(("Look on", shared.site.watch(name)), ("Try again", shared.site.page(name))),
        )
        self.show(said, status=503)


class KernelSign(APIHandler):
    """Whether a kernel lives: what a page asks when its connection broke. Nothing else."""

    async def get(self, kernel_id: str) -> None:
        """Answer with Jupyter's description of the kernel."""
        if role_of(self) is not Role.PRESENTER:
            raise HTTPError(403)
        manager: Any = self.kernel_manager
        if kernel_id not in manager or not await manager.get_kernel(kernel_id).is_alive():
            raise HTTPError(404, "this kernel has ended")
        self.finish(json.dumps(manager.kernel_model(kernel_id), default=str))


class KernelEnd(Guarded):
    """Ends a page's kernel when the page is left."""

    async def post(self, kernel_id: str) -> None:
        """End the kernel; one that has ended stays so."""
        if role_of(self) is not Role.PRESENTER:
            raise HTTPError(403)
        manager: Any = self.kernel_manager
        ending = shared_of(self).ending
        if kernel_id in manager and kernel_id not in ending:
            ending.add(kernel_id)
            try:
                await ensure_async(manager.shutdown_kernel(kernel_id, now=True))
            finally:
                ending.discard(kernel_id)
        self.set_status(204)
        self.finish()


class KernelChannels(VoilaKernelWebsocketHandler):  # type: ignore[misc]  # Voila has no types.
    """A page's connection to its kernel: widget messages, so many a second, from our own pages."""

    def initialize(self, *args: Any, **kwargs: Any) -> None:
        """Begin with the whole burst of messages."""
        super().initialize(*args, **kwargs)
        limits = shared_of(self).limits
        self._budget = Budget(per_s=limits.messages_per_s_max, burst=limits.messages_burst_max)

    async def get(self, kernel_id: str) -> None:
        """Connect to the kernel, unless as many are connected to it as may be."""
        shared = shared_of(self)
        if role_of(self) is not Role.PRESENTER:
            raise HTTPError(403)
        same = sum(each == kernel_id for each in shared.channels.values())
        if same >= shared.limits.channels_per_kernel_max:
            raise HTTPError(503, "too many connections to this kernel")
        shared.channels[self] = kernel_id
        try:
            await super().get(kernel_id=kernel_id)
        finally:
            del shared.channels[self]

    def check_origin(self, origin: str | None = None) -> bool:
        """Return whether the page that connects is one of ours."""
        return from_here(self, public_origin=shared_of(self).public_origin)

    def on_message(self, ws_message: str | bytes) -> None:
        """Hand a widget message on. Anything else ends the connection, and says why."""
        if not self._budget.spend(now_s=time.monotonic()):
            self.close(4429, "too many messages")
            return
        said = messages.read(ws_message, v1=self.selected_subprotocol is not None)
        if said is None or not messages.is_taken(said):
            kind = "what is no message" if said is None else said.kind[:NAME_CHARS_MAX]
            self.log.warning("kernel %s was not told: %r", self.kernel_id, kind)
            self.close(4403, "a kernel is told widget messages only")
            return
        super().on_message(ws_message)
