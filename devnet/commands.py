"""The commands of the control socket: which there are, what they take, who does them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from devnet.network import Network
from devnet.state import DevnetError
from opkit.wire.errors import CoopError

NAMES_MAX = 16


async def obey(network: Network, ask: Mapping[str, Any], *, stop: asyncio.Event) -> dict[str, Any]:
    """Do what an ask says and return the answer.

    Args:
        network: what it is done to.
        ask: `{"do": command, …}`.
        stop: set by `down`.

    Raises:
        DevnetError: there is no such command, an argument is missing, or it cannot be done.
    """
    try:
        return await _obey(network, ask, stop=stop)
    except CoopError as failed:
        raise DevnetError(f"a node did not follow: {failed}", hint="opkit devnet logs") from failed


async def _obey(network: Network, ask: Mapping[str, Any], *, stop: asyncio.Event) -> dict[str, Any]:
    match ask.get("do"):
        case "status":
            return await network.status()
        case "kill":
            return await network.kill(_text(ask, "org"))
        case "restart":
            return await network.restart(_text(ask, "org"))
        case "cut":
            return await network.cut(_text(ask, "a"), _text(ask, "b"))
        case "heal":
            return await network.heal(_text(ask, "a"), _text(ask, "b"))
        case "hostile":
            return await network.hostile(_text(ask, "kind"), _texts(ask, "against"))
        case "hostile-stats":
            return await network.hostile_stats(_number(ask, "number"))
        case "stop-hostile":
            return await network.stop_hostile(_number(ask, "number"))
        case "pass-time":
            return await network.pass_time(_number(ask, "days"))
        case "down":
            stop.set()
            return {}
        case other:
            raise DevnetError(f"there is no command {other!r}", hint="see docs/runbook.md")


def _text(ask: Mapping[str, Any], name: str) -> str:
    value = ask.get(name)
    if not isinstance(value, str) or not 1 <= len(value) <= 128:
        raise DevnetError(f"{ask['do']} needs a text {name!r}")
    return value


def _texts(ask: Mapping[str, Any], name: str) -> tuple[str, ...]:
    value = ask.get(name)
    if not isinstance(value, list) or not 1 <= len(value) <= NAMES_MAX:
        raise DevnetError(f"{ask['do']} needs a list {name!r} of 1 to {NAMES_MAX} texts")
    if not all(isinstance(one, str) for one in value):
        raise DevnetError(f"{ask['do']} needs texts in {name!r}")
    return tuple(value)


def _number(ask: Mapping[str, Any], name: str) -> int:
    value = ask.get(name)
    if not isinstance(value, int) or isinstance(value, bool):
        raise DevnetError(f"{ask['do']} needs a whole number {name!r}")
    return value
