"""Waiting until something has changed, for at most so long: what long polls stand on."""

from __future__ import annotations

import asyncio

WAIT_MS_MAX = 25_000
"""The longest that one ask waits; whoever wants to wait longer asks again."""


class Bell:
    """Rings when something has changed; whoever waits for it looks again."""

    def __init__(self) -> None:
        """Begin in silence."""
        self._next = asyncio.Event()
        self._closed = False

    def ring(self) -> None:
        """Wake all who wait now."""
        self._next.set()
        if not self._closed:
            self._next = asyncio.Event()

    def close(self) -> None:
        """Wake all who wait, and let nobody wait any more."""
        self._closed = True
        self._next.set()

    async def wait(self, wait_ms: int) -> None:
        """Return when it rings, or after `wait_ms` (at most `WAIT_MS_MAX`)."""
        waiting = self._next
        if wait_ms <= 0 or waiting.is_set():
            return
        try:
            async with asyncio.timeout(min(wait_ms, WAIT_MS_MAX) / 1000):
                await waiting.wait()
        except TimeoutError:
            return
