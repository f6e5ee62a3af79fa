"""What holds for every test: bounded and repeatable examples, and nothing left behind."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator

import psutil
import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "local",
    deadline=None,  # The machine may be busy; pytest-timeout bounds the whole test instead.
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("ci", settings.get_profile("local"), derandomize=True, database=None)
settings.load_profile("ci" if os.environ.get("CI") else "local")

SETTLE_S = 3.0
"""How long after a test its processes and threads may take to end."""
NAME_CHARACTERS_MAX = 40
"""Texts up to this length stand in the names of tests as they are."""
KEPT_THREADS = ("pytest", "execnet", "asyncio_", "ThreadPoolExecutor", "AnyIO", "iroh", "Dummy")
"""Threads that libraries keep for the whole process, by the beginning of their name."""
KEPT_PROCESSES = ("multiprocessing.resource_tracker", "postgres")
"""Processes that serve a whole session of tests, by a part of their command line."""


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name an example by its argument if its text is long.

    Keys and tokens are made anew in each process: without this two workers would collect tests of
    different names.
    """
    return argname if isinstance(val, str) and len(val) > NAME_CHARACTERS_MAX else None


@pytest.fixture(autouse=True)
def nothing_outlives_a_test() -> Iterator[None]:
    """Fail a test that leaves behind a child process, a thread or a listening port.

    What fixtures of a wider scope started may stay: pytest makes those before this one.
    """
    before = leftovers()
    yield
    limit = time.monotonic() + SETTLE_S
    left = leftovers() - before
    while left and time.monotonic() < limit:
        time.sleep(0.02)
        left = leftovers() - before
    if left:
        pytest.fail(f"left behind: {', '.join(sorted(name for _, name in left))}", pytrace=False)


def leftovers() -> set[tuple[object, str]]:
    """Return what runs beside the test itself: child processes, threads, listening ports."""
    return {*processes(), *threads(), *ports()}


def processes() -> set[tuple[object, str]]:
    """Return the living child processes, each with a name for people."""
    found: set[tuple[object, str]] = set()
    for child in psutil.Process().children(recursive=True):
        try:
            line = " ".join(child.cmdline())
            if child.status() == psutil.STATUS_ZOMBIE or any(k in line for k in KEPT_PROCESSES):
                continue
        except psutil.NoSuchProcess:
            continue
        found.add((child.pid, f"process {child.pid} ({line[:80]})"))
    return found


def threads() -> set[tuple[object, str]]:
    """Return the living threads that are neither the main one nor a library's for good."""
    return {
        (thread.ident, f"thread {thread.name}")
        for thread in threading.enumerate()
        if thread is not threading.main_thread() and not thread.name.startswith(KEPT_THREADS)
    }


def ports() -> set[tuple[object, str]]:
    """Return the TCP ports on which this process listens."""
    listening = psutil.Process().net_connections(kind="tcp")
    return {
        (connection.laddr, f"port {connection.laddr.port}")
        for connection in listening
        if connection.status == psutil.CONN_LISTEN
    }
