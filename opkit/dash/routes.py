"""Everything that can be asked of a console server, in one table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opkit.dash import handlers, presenter

if TYPE_CHECKING:
    from opkit.dash.server import ConsoleServer

KERNEL = r"(?P<kernel_id>\w+-\w+-\w+-\w+-\w+)"


def routes(server: ConsoleServer) -> list[Any]:
    """Return path, handler and arguments of each route, under the server's base path."""
    base = server.own.base
    names = "|".join(server.shared.page_names)
    rendering = {
        "template_paths": server.template_paths,
        "config": server.config,
        "voila_configuration": server.voila_configuration,
    }
    ours: list[Any] = [
        ("", handlers.Landing),
        ("login", handlers.Login),
        ("logout", handlers.Logout),
        (r"assets/(\w+)/([\w.-]+)", handlers.Asset),
        (r"watch/(\w+)", handlers.WatchPage),
        (r"watch/(\w+)/ws", handlers.WatchSocket),
        (f"({names})", presenter.PresenterPage, rendering),
        (f"api/kernels/{KERNEL}", presenter.KernelSign),
        (f"api/kernels/{KERNEL}/channels", presenter.KernelChannels),
        (f"voila/api/shutdown/{KERNEL}", presenter.KernelEnd),
    ]
    return [(base + path, *rest) for path, *rest in ours]
