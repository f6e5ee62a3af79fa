"""A node that is paused or copied stands still by then, however late it hears of it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator

import psutil
import pytest

from devnet import chaos_freezing
from devnet.chaos_freezing import freeze, thaw

WAIT_S = 100
FAMILY = """
import subprocess, sys, threading
threading.Thread(target=threading.Event().wait, daemon=True).start()
child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
print(child.pid, flush=True)
input()
"""


@pytest.fixture
def family() -> Iterator[tuple[psutil.Process, psutil.Process]]:
    """A process of two threads and one that it has started; they end as the input does."""
    command = [sys.executable, "-c", FAMILY]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        yield psutil.Process(parent.pid), child
        thaw(parent.pid)
        parent.communicate(timeout=WAIT_S)
    psutil.wait_procs([child], timeout=WAIT_S)


def told_late(pids: Iterable[int], number: signal.Signals) -> None:
    """Send a signal as a busy machine does: the process hears of it some time later."""
    for pid in pids:
        asyncio.get_running_loop().call_later(0.2, os.kill, pid, number)


def test_all_stand_still_once_they_are_frozen_however_late_they_hear_of_it(
    family: tuple[psutil.Process, psutil.Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> list[str]:
        await freeze(family[0].pid)
        return [process.status() for process in family]

    with monkeypatch.context() as busy:
        busy.setattr(chaos_freezing, "send_all", told_late)
        assert asyncio.run(asyncio.wait_for(story(), WAIT_S)) == [psutil.STATUS_STOPPED] * 2


def test_nobody_waits_for_who_has_ended() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        gone.wait()
    asyncio.run(asyncio.wait_for(freeze(gone.pid), WAIT_S))
