"""The kernels behind presenters' pages: this Python, sockets in a private folder, a log of ours."""

from __future__ import annotations

import asyncio
import os
from typing import Any, Final

from jupyter_client.kernelspec import KernelSpecManager
from jupyter_server._tz import utcnow
from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager
from traitlets import Int

ARGUMENTS: Final = ("--HistoryManager.hist_file=:memory:",)
"""What every kernel is started with: nothing that runs in one is kept in anybody's history."""


class ThisPython(KernelSpecManager):
    """Knows one kernel, that of this interpreter, whatever is installed for the user."""

    def __init__(self, **traits: Any) -> None:
        """Look into no folder."""
        super().__init__(**traits)
        self.kernel_dirs = []


async def stop_preparing(manager: Any) -> None:
    """Stop whatever renders pages ahead; it would wait for kernels that are about to end.

    A kernel that is being started is waited for: only then is it known, and can be ended.
    """
    starting = [one for pool in getattr(manager, "_pools", {}).values() for one in pool]
    for prepared in await asyncio.gather(*starting, return_exceptions=True):
        if isinstance(prepared, BaseException):
            continue  # It could not be started, so there is nothing to stop.
        prepared["task"].cancel()
        await asyncio.wait({prepared["task"]})
        client = getattr(getattr(prepared["renderer"], "executor", None), "kc", None)
        if client is not None:
            client.stop_channels()


class Kernels(AsyncMappingKernelManager):
    """Starts kernels as pages need them. Voila adds those that are kept ready."""

    log_descriptor = Int(2, config=True, help="Where kernels write what is no message.")

    def __init__(self, **traits: Any) -> None:
        """Begin with no kernel."""
        self._looked_at: set[str] = set()
        super().__init__(**traits)  # type: ignore[no-untyped-call]  # Jupyter's has no types.

    async def start_kernel(self, **arguments: Any) -> str:  # type: ignore[override]  # As it is.
        """Start one and return its id."""
        arguments["extra_arguments"] = [*arguments.get("extra_arguments", ()), *ARGUMENTS]
        arguments["env"] = {**(arguments.get("env") or os.environ), "PYTHONUNBUFFERED": "1"}
        begun: Any = super().start_kernel(
            **arguments, stdout=self.log_descriptor, stderr=self.log_descriptor
        )
        return str(await begun)

    async def cull_kernel_if_idle(self, kernel_id: str) -> None:
        """End a kernel that nobody is connected to and that has been silent for too long.

        Kernels that are kept ready do not come here. When one is looked at for the first time, a
        page has just got it: however long it was ready before, its silence begins now, so that it
        does not end while the page's browser is still on its way to it.
        """
        self._looked_at.intersection_update(self._kernels)
        if kernel_id in self._looked_at:
            parent: Any = super()
            await parent.cull_kernel_if_idle(kernel_id)
            return
        self._looked_at.add(kernel_id)
        kernel: Any = self._kernels[kernel_id]
        kernel.last_activity = utcnow()
