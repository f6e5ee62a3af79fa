"""The handlers of pages that need no kernel: landing, login, assets, and viewers' pages."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from jupyter_server.auth.decorator import allow_unauthenticated
from jupyter_server.base.handlers import JupyterHandler
from tornado.iostream import StreamClosedError
from tornado.web import HTTPError, RequestHandler
from tornado.websocket import WebSocketClosedError, WebSocketHandler

from opkit.dash import pages
from opkit.dash.access import Door, Role, from_here
from opkit.dash.home import HOME
from opkit.dash.limits import Budget
from opkit.dash.shared import role_of, shared_of
from opkit.dash.static import Assets
from opkit.live.session import Session
from opkit.views.nav import PAGES

TITLES = {each.name: each.title for each in PAGES}


class Guarded(JupyterHandler):
    """A handler for whoever has logged in; tokens leave the address at once.

    Who has not is sent to the login page, or refused where no page is asked for.
    """

    async def prepare(self, *, _redirect_to_login: bool = True) -> None:
        """Find out who asks; take the token out of the address.

        What a page of another site embeds is refused, for even to show a page costs something: a
        presenter's starts a kernel. A link from there to here is none of that.
        """
        if _is_embedded(self):
            raise HTTPError(403, "another site's page may lead here, and embed nothing")
        then = await super().prepare(_redirect_to_login=_redirect_to_login)
        if then is not None:
            await then
        if self._finished or self.request.method != "GET":
            return
        if "token" in self.request.query_arguments and role_of(self) is not None:
            self.redirect(_without_token(self.request.uri or "/"))

    def check_xsrf_cookie(self) -> None:
        """Refuse what another site's page sends: the origin is checked in place of a cookie."""
        if not from_here(self, public_origin=shared_of(self).public_origin):
            raise HTTPError(403, "this request comes from another site's page")

    def get_login_url(self) -> str:
        """Return the login page's address."""
        return f"{shared_of(self).site.base}login"

    def show(self, html: str, *, status: int = 200) -> None:
        """Answer with a page of ours."""
        self.set_status(status)
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.set_header("Content-Security-Policy", pages.VIEWER_POLICY)
        self.set_header("Cache-Control", "no-store")
        self.finish(html)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Say what is wrong in a page of ours, with the way back; never a trace."""
        site = shared_of(self).site
        error = kwargs.get("exc_info", (None, None, None))[1]
        said = error.log_message if isinstance(error, HTTPError) and error.log_message else ""
        title, text = _WORDS.get(status_code, ("This did not work", "It is in the server's log."))
        self.show(
            pages.notice(site, title=title, text=said or text, links=(("All pages", site.base),)),
            status=status_code,
        )


_WORDS = {
    403: ("This is not for viewers", "The presenter's address was printed by opkit dash."),
    404: ("There is no such page", "The pages there are stand on the landing page."),
    405: ("This cannot be done here", "The pages there are stand on the landing page."),
}


def _is_embedded(handler: JupyterHandler) -> bool:
    """Return whether a browser asks because of another site's page, and not to go here itself.

    Other ports of this host count as the same site, and are sent our cookies.
    Source: W3C, Fetch Metadata Request Headers.
    """
    headers = handler.request.headers
    foreign = headers.get("Sec-Fetch-Site", "none") in ("cross-site", "same-site")
    return foreign and headers.get("Sec-Fetch-Dest", "document") != "document"


def _without_token(uri: str) -> str:
    """Return the same address without the token, and without a host."""
    before, _, query = uri.partition("?")
    kept = [pair for pair in query.split("&") if pair and not pair.startswith("token=")]
    path = "/" + before.lstrip("/\\")
    return path + (f"?{'&'.join(kept)}" if kept else "")


class Landing(Guarded):
    """The landing page, for presenters and viewers."""

    async def get(self) -> None:
        """Show what there is."""
        shared = shared_of(self)
        viewer = role_of(self) is not Role.PRESENTER
        frame, cards = shared.first_cards(HOME)
        self.show(
            pages.landing(
                shared.site,
                viewer=viewer,
                state=pages.live(shared.site, name=HOME, first=pages.fill(frame, cards)),
                health=cards.get("health", ""),
                invitation=shared.invitation,
            )
        )


class Login(Guarded):
    """The login page: a token or a password in, a cookie out."""

    @allow_unauthenticated
    async def get(self) -> None:
        """Show the form, or go on if the browser is known."""
        if role_of(self) is not None:
            self.redirect(self._after())
            return
        self._form("")

    @allow_unauthenticated
    async def post(self) -> None:
        """Look at the token or password; too many tries in a minute are refused unseen."""
        shared = shared_of(self)
        if not shared.keys.may_try():
            self._form("Too many tries. Wait a minute.", status=429)
            return
        role = await shared.keys.role_of_secret(self.get_body_argument("secret", "")[:1024])
        if role is None:
            self._form("That is not the one.", status=403)
            return
        self.settings["identity_provider"].let_in(self, role)
        self.redirect(self._after())

    def _form(self, problem: str, *, status: int = 200) -> None:
        shared = shared_of(self)
        form = pages.login(
            shared.site, after=self._after(), passwords=shared.keys.has_password, problem=problem
        )
        self.show(form, status=status)

    def _after(self) -> str:
        """Return where to go afterwards: a path of this server, whatever was asked for."""
        base = shared_of(self).site.base
        try:
            parts = urlsplit(self.get_argument("next", base))
        except ValueError:
            return base  # It is no address at all.
        path = "/" + parts.path.lstrip("/\\")
        if not path.startswith(base) or path.startswith(f"{base}login"):
            return base
        if ".." in unquote(path).replace("\\", "/").split("/"):
            return base
        query = _without_token(f"{path}?{parts.query}" if parts.query else path)
        return quote(query, safe="/?=&%")


class Logout(Guarded):
    """Forgets who the browser is, and hangs up on what it has open."""

    @allow_unauthenticated
    async def post(self) -> None:
        """End the session, whoever else kept its cookie, and show the login page."""
        door: Door = self.settings["identity_provider"]
        session, shared = door.let_out(self), shared_of(self)
        for each in (*shared.viewers, *shared.channels):
            if session and door.session_of(each) == session:
                each.close(4401, "logged out")
        self.redirect(self.get_login_url())


class Misdirected(RequestHandler):
    """Whoever calls this server by a name that is not its own."""

    async def prepare(self) -> None:
        """Say so, and nothing of what there is here."""
        self.set_status(421)
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish("This console is not called so: use the address that it printed.\n")


class Nowhere(Guarded):
    """Whatever is no page of this server."""

    async def prepare(self, *, _redirect_to_login: bool = True) -> None:
        """Say so, before anything else is looked at."""
        await super().prepare(_redirect_to_login=False)
        raise HTTPError(404)


class Asset(JupyterHandler):
    """Our scripts and styles, from memory; their address changes with them."""

    @allow_unauthenticated
    async def get(self, version: str, name: str) -> None:
        """Answer with the file; nothing in it is secret."""
        assets: Assets = self.settings["opkit_assets"]
        found = assets.get(name)
        if found is None or version != assets.version:
            raise HTTPError(404)
        self.set_header("Content-Type", found.kind)
        self.set_header("Cache-Control", "public, max-age=31536000, immutable")
        self.finish(found.data)


class WatchPage(Guarded):
    """A viewer's page: the same views as a presenter's, without a kernel."""

    async def get(self, name: str) -> None:
        """Show the page as it is now."""
        shared = shared_of(self)
        if name not in shared.page_names:
            raise HTTPError(404)
        frame, cards = shared.first_cards(name)
        self.show(
            pages.watch(
                shared.site,
                name=name,
                title=TITLES.get(name, name),
                first=pages.fill(frame, cards),
                health=cards.get("health", ""),
            )
        )


class WatchSocket(WebSocketHandler, Guarded):
    """One viewer's connection: a session over the live state that all viewers share."""

    def initialize(self) -> None:
        """Begin with nothing open."""
        self._run: asyncio.Task[None] | None = None
        self._session: Session | None = None
        limits = shared_of(self).limits
        self._budget = Budget(per_s=limits.messages_per_s_max, burst=limits.messages_burst_max)

    def set_default_headers(self) -> None:
        """Set none: they make no sense for a WebSocket."""

    async def prepare(self, *, _redirect_to_login: bool = False) -> None:
        """Refuse who has not logged in, or is one too many; nobody is sent to a login page."""
        await super().prepare(_redirect_to_login=False)
        shared = shared_of(self)
        if len(shared.viewers) >= shared.limits.viewers_max:
            raise HTTPError(503, "too many viewers")

    def check_origin(self, origin: str) -> bool:  # type: ignore[override]  # As Tornado has it.
        """Return whether the page that connects is one of ours."""
        return from_here(self, public_origin=shared_of(self).public_origin)

    async def open(self, name: str) -> None:
        """Begin a session."""
        shared = shared_of(self)
        if not shared.has(name):
            self.close(4404, "no such page")
            return
        shared.viewers.add(self)
        self._session = Session(shared.page(name), live=shared.live, send=self._send)
        self._run = asyncio.get_running_loop().create_task(self._session.run())
        self._run.add_done_callback(self._ended)

    def _send(self, message: Mapping[str, Any]) -> None:
        """Hand a message over; a viewer that does not read is cut off."""
        waiting = self.ws_connection
        stream = getattr(waiting, "stream", None)
        behind = len(getattr(stream, "_write_buffer", ()))
        if behind > shared_of(self).limits.unsent_bytes_max:
            self.close(4408, "too slow")
            return
        # A viewer may say what is no text, such as half a pair of UTF-16, and be answered with it.
        said = json.dumps(message, ensure_ascii=False).encode("utf-8", "replace")
        sent = self.write_message(said)
        asyncio.ensure_future(sent).add_done_callback(_gone)

    def on_message(self, message: str | bytes) -> None:
        """Take a message of the viewer's page; too many, and the connection ends."""
        if not self._budget.spend(now_s=time.monotonic()):
            self.close(4429, "too many messages")
            return
        try:
            said = json.loads(message)
        except ValueError:
            self.close(4400, "not JSON")
            return
        if self._session is not None:
            self._session.take(said)

    def on_close(self) -> None:
        """End the session."""
        shared_of(self).viewers.discard(self)
        if self._run is not None:
            self._run.cancel()

    def _ended(self, run: asyncio.Task[None]) -> None:
        if not run.cancelled() and run.exception() is not None:
            self.log.error("a viewer's session failed", exc_info=run.exception())
            self.close(1011, "the session failed")


def _gone(sent: asyncio.Future[None]) -> None:
    """Take a failed sending for what it is: the viewer has left, and `on_close` follows."""
    error = None if sent.cancelled() else sent.exception()
    if error is not None and not isinstance(error, WebSocketClosedError | StreamClosedError):
        raise error
