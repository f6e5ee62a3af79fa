"""The client: the only I/O against a node, and no code per domain.

`NodeClient.call(ENDPOINT, ask)` answers the endpoint's answer or raises the typed refusal that the
node raised. Names are loaded when they are used, so that importing this package costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opkit.client.asgi_events import AsgiEvents
    from opkit.client.compute import TaskHandle, TaskResult
    from opkit.client.errors import Cancelled, DoorUnknown, ServiceLapsed, WrongNode
    from opkit.client.member import AsMember, ServiceClient
    from opkit.client.node import NodeClient
    from opkit.client.retry import Patience
    from opkit.client.sockets import EventsPort

__all__ = [
    "AsMember",
    "AsgiEvents",
    "Cancelled",
    "DoorUnknown",
    "EventsPort",
    "NodeClient",
    "Patience",
    "ServiceClient",
    "ServiceLapsed",
    "TaskHandle",
    "TaskResult",
    "WrongNode",
]

_WHERE = {
    "AsMember": "member",
    "AsgiEvents": "asgi_events",
    "Cancelled": "errors",
    "DoorUnknown": "errors",
    "EventsPort": "sockets",
    "NodeClient": "node",
    "Patience": "retry",
    "ServiceClient": "member",
    "ServiceLapsed": "errors",
    "TaskHandle": "compute",
    "TaskResult": "compute",
    "WrongNode": "errors",
}


def __getattr__(name: str) -> Any:
    """Load a public name's module when the name is first used."""
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
