"""A node whose workers' outputs are changed on the way: only for showing that a flow notices.

The devnet's fork server imports this module in place of `nodeimpl.__main__` and calls `serve`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from nodeimpl import __main__ as honest
from nodeimpl.compute.sandbox import Sandbox
from nodeimpl.config import NodeConfig

_run = Sandbox.run


async def _run_wrongly(self: Sandbox, job: Any, **more: Any) -> Any:
    result = await _run(self, job, **more)
    return replace(result, output=result.output.replace(b"879", b"880"))


def serve(config: NodeConfig) -> int:
    """Serve a node that gives Hugo one credit too many."""
    Sandbox.run = _run_wrongly  # type: ignore[method-assign]  # that is what this module is for
    return honest.serve(config)
