"""A node that logs all it can, whatever its configuration says.

The devnet's fork server imports this module in place of `nodeimpl.__main__` and calls `serve`.
"""

from __future__ import annotations

from nodeimpl import __main__ as usual
from nodeimpl.config import NodeConfig


def serve(config: NodeConfig) -> int:
    """Serve a node that keeps nothing to itself."""
    loud = config.log.model_copy(update={"level": "debug"})
    return usual.serve(config.model_copy(update={"log": loud}))
