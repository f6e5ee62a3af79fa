"""Kernels that are started ahead, over sockets in a private folder.

A kernel takes most of a second to boot, so all are started at once, before the network and before
papermill is imported. Files instead of TCP ports: several kernels that start together race for
ports. Source: ADR 0011.
"""

from __future__ import annotations

import asyncio
import os
import queue
import shutil
import signal
import sys
import tempfile
import threading
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from opkit.home import importable

KERNELS_MAX = 16


class KernelPool:
    """Started kernels, each taken once and shut down by who took it.

    `close` ends whatever is left; nothing outlives it. A pool may be used from several threads.
    """

    def __init__(self, *, preload: tuple[str, ...]) -> None:
        """Start nothing yet.

        Args:
            preload: modules that each kernel imports while it boots; they bind no name.
        """
        self._env = {**importable(os.environ), "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
        self._preload = preload
        self._ready: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._all: list[Any] = []
        self._lock = threading.Lock()
        # Short: the path of a socket has at most 107 bytes.
        self._folder = Path(tempfile.mkdtemp(prefix="ok-"))
        self.interrupted = False

    def start(self, count: int) -> None:
        """Start kernels and return at once; they boot meanwhile.

        Called in a thread that has no running event loop, as are `give_back` and `close`.

        Raises:
            RuntimeError: more than `KERNELS_MAX`, or the pool was interrupted.
        """
        from jupyter_client.kernelspec import KernelSpecManager
        from jupyter_client.manager import AsyncKernelManager

        # No folder is searched: only the kernel of this very interpreter is wanted.
        specs = KernelSpecManager(kernel_dirs=[], ensure_native_kernel=True)
        for _ in range(count):
            with self._lock:
                if self.interrupted or len(self._all) >= KERNELS_MAX:
                    raise RuntimeError("no more kernels: the pool is full or was interrupted")
                manager = AsyncKernelManager(
                    kernel_name="python3", transport="ipc", kernel_spec_manager=specs
                )
                # The default name is shared by all kernels of a folder: they would hang.
                manager.ip = str(self._folder / uuid.uuid4().hex[:8])
                self._all.append(manager)
            asyncio.run(_start(manager, arguments=self._arguments(), env=self._env))
            self._ready.put(manager)

    def take(self) -> Any:
        """Return a kernel's manager, starting one if none is left.

        Raises:
            RuntimeError: as `start`.
        """
        try:
            return self._ready.get_nowait()
        except queue.Empty:
            self.start(1)
            return self._ready.get_nowait()

    def give_back(self, manager: Any) -> None:
        """Shut a taken kernel down, at once: a graceful end takes seconds now and then."""
        asyncio.run(_shut_down(manager))
        with self._lock:
            if manager in self._all:
                self._all.remove(manager)

    def interrupt(self) -> None:
        """Kill every kernel, from any thread; whoever executes in one notices it as dead."""
        with self._lock:
            self.interrupted = True
            managers = list(self._all)
        for manager in managers:
            pid = getattr(manager.provisioner, "pid", None)
            if pid is not None:
                _kill(pid)

    def close(self) -> None:
        """End all kernels that are left and remove the folder. Closing twice is allowed."""
        for manager in list(self._all):
            self.give_back(manager)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _arguments(self) -> list[str]:
        lines = [f"__import__({name!r}) and None" for name in self._preload]
        history = "--HistoryManager.hist_file=:memory:"
        return [history, *(f"--IPKernelApp.exec_lines={line}" for line in lines)]


async def _start(manager: Any, *, arguments: list[str], env: Mapping[str, str]) -> None:
    await manager.start_kernel(extra_arguments=arguments, env=dict(env))


async def _shut_down(manager: Any) -> None:
    if manager.has_kernel:
        await manager.shutdown_kernel(now=True)
    await manager.cleanup_resources()


@contextmanager
def own_loop() -> Iterator[None]:
    """Close, at the end, the event loop that Jupyter's blocking calls make for this thread."""
    from jupyter_core.utils import ensure_event_loop

    loop = ensure_event_loop()
    try:
        yield
    finally:
        loop.run_until_complete(_end_tasks())
        loop.run_until_complete(loop.shutdown_asyncgens())
        asyncio.set_event_loop(None)
        loop.close()


async def _end_tasks() -> None:
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)


def _kill(pid: int) -> None:
    assert pid > 1, "never this process's own group"
    try:
        os.kill(pid, signal.SIGKILL if sys.platform != "win32" else signal.SIGTERM)
    except ProcessLookupError:
        return  # It has ended by itself, which is what was wanted.
