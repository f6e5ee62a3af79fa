"""Stopping a running devnet from outside."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator

from devnet.control import ask_supervisor
from devnet.state import DevnetError, DevnetState, is_running, load_state, node_folder

END_DEADLINE_MS = 30_000
LOOK_EVERY_MS = 20
ENDING_BYTES_MAX = 65_536

Told = Callable[[str, tuple[str, ...]], None]
"""Hears which organisation's node waits for what, whenever that changes."""


def stop_devnet(name: str, *, told: Told | None = None) -> bool:
    """Tell the supervisor of `name` to end and return when it has; False if it did not run.

    Raises:
        DevnetError: there is no such devnet, or it did not end in time.
    """
    return asyncio.run(_stop(name, told or (lambda _org, _what: None)))


async def _stop(name: str, told: Told) -> bool:
    state = load_state(name)
    if not is_running(state.folder):
        return False
    known: dict[str, tuple[str, ...]] = {}
    await ask_supervisor(state.socket, "down")
    try:
        async with asyncio.timeout(END_DEADLINE_MS / 1000):
            while True:
                if not is_running(state.folder):
                    return True
                for org, what in waiting(state):
                    if known.get(org) != what:
                        known[org] = what
                        told(org, what)
                await asyncio.sleep(LOOK_EVERY_MS / 1000)
    except TimeoutError:
        raise DevnetError(
            f"devnet {name!r} did not end within {END_DEADLINE_MS} ms",
            hint=f"its log: {state.folder / 'supervisor.log'}",
        ) from None


def waiting(state: DevnetState) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Return each node that is ending and waits for something, with what it waits for."""
    for node in state.nodes:
        ending = node_folder(state.folder, node.org) / "data" / "ending.json"
        try:
            with ending.open("rb") as file:
                said = json.loads(file.read(ENDING_BYTES_MAX))
        except (FileNotFoundError, ValueError):
            continue
        if said.get("waits_for"):
            yield node.org, tuple(map(str, said["waits_for"]))
