"""The papermill engine: executes a notebook in a kernel that was started ahead.

It hands markers on while a cell still runs, and repairs what papermill writes when a cell ran out
of time, the kernel died or the run was interrupted: there it would mark that cell and all later
ones as completed. Source: ADR 0011.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nbclient.exceptions import CellExecutionError
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import Engine, papermill_engines

from opkit.runner.kernels import KernelPool
from opkit.runner.nbfile import error_output
from opkit.story.notebook import MIME

NAME = "opkit"

OnMarker = Callable[[dict[str, Any]], None]
_DISPLAYS = frozenset({"display_data", "update_display_data"})


class Interrupted(RuntimeError):
    """The run was interrupted while this cell was executed."""


class Client(PapermillNotebookClient):  # type: ignore[misc]  # papermill has no types
    """Executes cells; passes markers on and never lets a broken cell count as completed."""

    pool: KernelPool
    on_marker: OnMarker

    def execute_cell(self, cell: Any, index: int, *args: Any, **more: Any) -> Any:
        """Execute one cell, as nbclient does.

        Raises:
            CellExecutionError: the cell raised.
            Interrupted: the run was interrupted.
            TimeoutError, RuntimeError: the cell took too long; the kernel died.
        """
        try:
            return super().execute_cell(cell, index, *args, **more)
        except CellExecutionError:
            raise
        except (RuntimeError, TimeoutError) as broken:
            problem: Exception = broken
            if self.pool.interrupted:
                problem = Interrupted("the run was interrupted here")
            self._mark_broken(cell, index, problem)
            raise problem from broken

    def process_message(self, message: Any, cell: Any, cell_index: int) -> Any:
        """Look for a marker in a kernel's message before it becomes an output."""
        data = message["content"].get("data", {})
        if message["msg_type"] in _DISPLAYS and MIME in data:
            said = data[MIME]
            # Bytes of proofs go to the run folder, not into the notebook.
            blobs = said.pop("blobs", {})
            self.on_marker({**said, "blobs": blobs})
        return super().process_message(message, cell, cell_index)

    def _mark_broken(self, cell: Any, index: int, problem: Exception) -> None:
        output = error_output(name=type(problem).__name__, said=str(problem)[:400])
        cell.setdefault("outputs", []).append(output)
        self.nb_man.cell_exception(cell, cell_index=index)


class PoolEngine(Engine):  # type: ignore[misc]  # papermill has no types
    """Executes in a kernel of a pool, and always shuts that kernel down."""

    @classmethod
    def execute_managed_notebook(
        cls,
        nb_man: Any,
        kernel_name: str,
        *,
        pool: KernelPool,
        on_marker: OnMarker,
        execution_timeout: int,
        start_timeout: int,
        **_: Any,
    ) -> Any:
        """Execute a notebook.

        Args:
            nb_man: papermill's state of the notebook.
            kernel_name: as the notebook says.
            pool: where kernels come from.
            on_marker: called with each marker as it is displayed.
            execution_timeout: seconds a cell may take.
            start_timeout: seconds a kernel may take to boot.
        """
        manager = pool.take()
        client = Client(
            nb_man,
            km=manager,
            timeout=execution_timeout,
            startup_timeout=start_timeout,
            kernel_name=kernel_name,
        )
        client.pool = pool
        client.on_marker = on_marker
        try:
            return client.execute()
        finally:
            if client.kc is not None:
                client.kc.stop_channels()
            pool.give_back(manager)


papermill_engines.register(NAME, PoolEngine)
