"""Stopping a running devnet from outside."""

from __future__ import annotations

import asyncio

from devnet.control import ask_supervisor
from devnet.state import DevnetError, is_running, load_state

END_DEADLINE_MS = 20_000
LOOK_EVERY_MS = 20


def stop_devnet(name: str) -> bool:
    """Tell the supervisor of `name` to end and return when it has; False if it did not run.

    Raises:
        DevnetError: there is no such devnet, or it did not end in time.
    """
    return asyncio.run(_stop(name))


async def _stop(name: str) -> bool:
    state = load_state(name)
    if not is_running(state.folder):
        return False
    await ask_supervisor(state.socket, "down")
    try:
        async with asyncio.timeout(END_DEADLINE_MS / 1000):
            while True:
                if not is_running(state.folder):
                    return True
                await asyncio.sleep(LOOK_EVERY_MS / 1000)
    except TimeoutError:
        raise DevnetError(
            f"devnet {name!r} did not end within {END_DEADLINE_MS} ms",
            hint=f"its log: {state.folder / 'supervisor.log'}",
        ) from None
