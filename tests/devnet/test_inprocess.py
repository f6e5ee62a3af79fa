"""Time in a world of one process keeps pace with the machine's, and stands still in a stall."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from devnet import inprocess
from devnet.inprocess import STRIDE_MS_MAX, InProcessWorld
from nodeimpl.kernel.clock import VirtualClock


class Machine:
    """A machine's clock that a test has told what to say; then it says that it is over."""

    def __init__(self, *says_s: float) -> None:
        self.says_s = list(says_s)
        self.over = asyncio.Event()

    def monotonic(self) -> float:
        if len(self.says_s) > 1:
            return self.says_s.pop(0)
        self.over.set()
        return self.says_s[0]


def passed_ms(monkeypatch: pytest.MonkeyPatch, *says_s: float) -> int:
    """Return how much virtual time passes while the machine's clock says this."""

    async def story() -> int:
        clock, machine = VirtualClock(), Machine(*says_s)
        monkeypatch.setattr(inprocess, "time", machine)
        began_ms, world = clock.now_ms(), SimpleNamespace(clock=clock)
        tide: Any = InProcessWorld._keep_pace(world)  # type: ignore[arg-type]  # all it looks at
        keeping = asyncio.create_task(tide)
        await machine.over.wait()
        keeping.cancel()
        return clock.now_ms() - began_ms

    return asyncio.run(asyncio.wait_for(story(), 100))


def test_it_keeps_pace_turn_by_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    assert passed_ms(monkeypatch, 5.0, 5.0625, 5.125, 5.1875, 5.1875) in range(180, 189)


def test_a_stall_of_the_process_lets_nobodys_time_run_out(monkeypatch: pytest.MonkeyPatch) -> None:
    said_ms = passed_ms(monkeypatch, 5.0, 5.0625, 65.0625, 65.125, 65.125)
    assert STRIDE_MS_MAX < said_ms <= STRIDE_MS_MAX + 130
