"""A node in a process of its own: what the fork server runs for each."""

from __future__ import annotations

import importlib
from pathlib import Path

from nodeimpl.config import load_config


def run(module: str, config: str) -> int:
    """Serve the node that the configuration file describes, until it is told to end.

    Args:
        module: whose `serve` is called: `nodeimpl.__main__`, or a test's that breaks a rule.
        config: the file's path.
    """
    return int(importlib.import_module(module).serve(load_config(Path(config))))
