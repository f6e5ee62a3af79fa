"""The console's server: Voila's application, with our handlers in place of its own.

One process, one loop, one port: presenters' pages through Voila, viewers' pages and everything
else through handlers of ours. Only what `routes` lists can be reached. Source: ADR 0016.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import secrets
import shutil
import socket
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from jupyter_core.utils import ensure_async
from tornado.httputil import HTTPServerRequest
from tornado.web import Application, RequestHandler
from traitlets.config import Config
from voila.app import Voila
from voila.configuration import VoilaConfiguration

from opkit.dash.access import Door, Keys, PresentersOnly, Role, is_called_rightly
from opkit.dash.front import Front
from opkit.dash.handlers import TITLES, Misdirected, Nowhere
from opkit.dash.kernels import Kernels, ThisPython, stop_preparing
from opkit.dash.limits import Limits
from opkit.dash.messages import KINDS
from opkit.dash.pages import Site
from opkit.dash.quiet import Quiet
from opkit.dash.routes import routes
from opkit.dash.shared import SETTING, Shared
from opkit.dash.static import load_assets
from opkit.live.ports import Page
from opkit.live.session import Changes

TEMPLATE = "opkit"
END_DEADLINE_MS = 10_000
BACKLOG = 128
PING_S = 20
"""How often a quiet WebSocket is asked whether anybody is there; no answer, and it is closed."""


class DashError(Exception):
    """The console's server cannot be started; `hint` says what to do."""

    def __init__(self, why: str, *, hint: str = "") -> None:
        """Keep what is wrong, and what to do."""
        super().__init__(why)
        self.hint = hint


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a server is told from outside.

    Attributes:
        network: what people call the network.
        notebooks: the folder with one notebook for each page.
        host: the address to listen on.
        port: the port; 0: any free one.
        base: the path under which everything lies, with a slash at both ends.
        public: where a reverse proxy shows this server (`https://host/base/`), or empty.
        log: the descriptor of an open file that kernels write to.
    """

    network: str
    notebooks: Path
    host: str = "127.0.0.1"
    port: int = 8866
    base: str = "/"
    public: str = ""
    limits: Limits = field(default_factory=Limits)
    log: int = 2

    @property
    def public_origin(self) -> str:
        """Return scheme and host of `public`, or nothing."""
        parts = urlsplit(self.public)
        return f"{parts.scheme}://{parts.netloc}" if self.public else ""


class Console(Application):
    """Tornado's application, for who calls it by its own name."""

    def find_handler(self, request: HTTPServerRequest, **named: Any) -> Any:
        """Return what answers a request."""
        shared: Shared = self.settings[SETTING]
        listening: str = self.settings["opkit_listening"]
        host = request.headers.get("Host", "")
        if not is_called_rightly(host, listening=listening, public_origin=shared.public_origin):
            return self.get_handler_delegate(request, Misdirected)
        return super().find_handler(request, **named)


class ConsoleServer(Voila):  # type: ignore[misc]  # Voila comes without types.
    """Voila as a part of this process: opened and closed, never in charge of loop or signals."""

    def __init__(
        self,
        settings: Settings,
        *,
        keys: Keys,
        live: Changes,
        make_page: Callable[[str], Page],
    ) -> None:
        """Prepare; nothing listens and no kernel runs before `open`.

        Args:
            settings: what is told from outside.
            keys: who may come in.
            live: what viewers' pages are drawn from.
            make_page: returns a new page by its name, for one viewer.
        """
        self.own = settings
        self.keys = keys
        self.assets = load_assets()
        self._server: Front | None = None
        self._quiet = Quiet(keys.tokens.values())
        site = Site(base=settings.base, network=settings.network, version=self.assets.version)
        self.shared = Shared(
            site=site,
            keys=keys,
            limits=settings.limits,
            live=live,
            make_page=make_page,
            page_names=tuple(TITLES),
            public_origin=settings.public_origin,
        )
        super().__init__(config=_config(settings, site), log=logging.getLogger("opkit.dash"))

    def prepare(self) -> None:
        """Do what Voila's command line does, without reading anybody's configuration files."""
        _show_template_folder()
        self.root_dir = str(self.own.notebooks)
        self.base_url = self.server_url = self.own.base
        self.ip, self.port = self.own.host, self.own.port
        self.token = ""
        self.voila_configuration = VoilaConfiguration(parent=self)
        self.setup_template_dirs()

    async def open(self) -> None:
        """Listen, and start the kernels that are kept ready.

        Raises:
            DashError: the port is taken, or may not be listened on.
        """
        self.prepare()
        listening = _listen(self.own.host, self.own.port)
        self.port = listening.getsockname()[1]
        self.shared.invitation = self.address(Role.VIEWER)
        self.connection_dir = _sockets_folder()
        settings = self.init_settings()
        self.app = Console(**settings, default_handler_class=Nowhere)
        self.app.add_handlers(".*$", self.init_handlers())
        self._server = Front(self.app, xheaders=bool(self.own.public))
        self._quiet.put_on()
        self._server.add_socket(listening)

    def init_settings(self) -> dict[str, Any]:
        """Return Voila's settings, with our door in place of its own."""
        settings: dict[str, Any] = super().init_settings()
        self.kernel_manager.allowed_message_types = sorted(KINDS)
        self.identity_provider = Door(
            keys=self.keys,
            limits=self.own.limits,
            secure=self.own.public.startswith("https:"),
            parent=self,
        )
        self.authorizer = PresentersOnly(parent=self, identity_provider=self.identity_provider)
        return {
            **settings,
            "identity_provider": self.identity_provider,
            "authorizer": self.authorizer,
            "login_url": f"{self.own.base}login",
            "headers": {"Referrer-Policy": "same-origin"},
            "websocket_ping_interval": PING_S,
            "websocket_ping_timeout": PING_S,
            "websocket_max_message_size": self.own.limits.message_bytes_max,
            "log_function": _log_request,
            "opkit_listening": self.own.host,
            "opkit_cookie": f"opkit-{self.port}",
            "opkit_assets": self.assets,
            SETTING: self.shared,
        }

    def init_handlers(self) -> list[Any]:
        """Return our routes; none of Voila's own is served."""
        return routes(self)

    def address(self, role: Role) -> str:
        """Return the address that lets a role in."""
        where = self.own.public or f"http://{_host(self.own.host)}:{self.port}{self.own.base}"
        return f"{where}?token={quote(self.keys.tokens[role])}"

    async def close(self) -> None:
        """Stop listening, hang up on everybody, end every kernel. What never opened stays so."""
        if self._server is None:
            return
        self._server.stop()
        for viewer in tuple(self.shared.viewers):
            viewer.close(1001, "the server ends")
        await self._server.close_all_connections()
        with suppress(TimeoutError):
            async with asyncio.timeout(END_DEADLINE_MS / 1000):
                await stop_preparing(self.kernel_manager)
                await ensure_async(self.kernel_manager.shutdown_all(now=True))
        # It goes with the manager otherwise, whenever that is, and complains if it goes first.
        self.kernel_manager.context.destroy(linger=0)
        shutil.rmtree(self.connection_dir, ignore_errors=True)
        self._quiet.take_off()


def _config(settings: Settings, site: Site) -> Config:
    limits = settings.limits
    return Config(
        {
            "VoilaConfiguration": {
                "template": TEMPLATE,
                "allow_template_override": "NO",
                "allow_theme_override": "NO",
                "strip_sources": True,
                "show_tracebacks": False,
                "file_allowlist": [],
                "multi_kernel_manager_class": Kernels,
                "kernel_spec_manager_class": ThisPython,
                "preheat_kernel": limits.ready_per_page > 0,
                "default_pool_size": limits.ready_per_page,
                "resources": {
                    "opkit": {"assets": site.asset(""), "titles": dict(TITLES)},
                },
            },
            "NotebookNotary": {"secret": secrets.token_bytes(32), "db_file": ":memory:"},
            # A kernel that was started again would hold no page: a new page gets a new kernel.
            "KernelManager": {"transport": "ipc", "autorestart": False},
            "Kernels": {
                "log_descriptor": settings.log,
                "cull_idle_timeout": limits.idle_ms // 1000,
                "cull_interval": max(1, limits.idle_look_ms // 1000),
                "cull_connected": False,
            },
        }
    )


def _show_template_folder() -> None:
    """Have Jupyter find our template: it looks where `JUPYTER_PATH` says, first of all."""
    ours = str(files("opkit.dash") / "templates")
    paths = os.environ.get("JUPYTER_PATH", "").split(os.pathsep)
    if ours not in paths:
        os.environ["JUPYTER_PATH"] = os.pathsep.join(filter(None, (ours, *paths)))


def _log_request(handler: RequestHandler) -> None:
    """Log what failed, by its path alone: a query may hold a token."""
    status = handler.get_status()
    if status >= HTTPStatus.BAD_REQUEST:
        path = (handler.request.uri or "").partition("?")[0]
        log = logging.getLogger("opkit.dash")
        log.warning("%s %s %s: %d", handler.request.remote_ip, handler.request.method, path, status)


def _listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Raises:
        DashError: the port is taken, or may not be listened on.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as bad:
        taken = bad.errno == errno.EADDRINUSE
        raise DashError(
            f"port {port} of {host} is taken" if taken else f"cannot listen on {host}: {bad}",
            hint="choose another: --port 0 takes any free one",
        ) from bad
    listening.setblocking(False)
    return listening


def _sockets_folder() -> str:
    """Return a new private folder for kernels' sockets; those of servers that died are removed."""
    for left in Path(tempfile.gettempdir()).glob("opkit-dash-*"):
        number = left.name.split("-")[2]
        if number.isdecimal() and not Path(f"/proc/{number}").exists():
            shutil.rmtree(left, ignore_errors=True)
    return tempfile.mkdtemp(prefix=f"opkit-dash-{os.getpid()}-")


def _host(host: str) -> str:
    return f"[{host}]" if ":" in host else host
