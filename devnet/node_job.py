"""A node in a process of its own: what the fork server runs for each."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from nodeimpl.__main__ import EXIT_USAGE
from nodeimpl.config import ConfigError, load_config


def run(module: str, config: str) -> int:
    """Serve the node that the configuration file describes; return its exit code once it ended.

    A configuration that cannot be used is told in one line, as by `python -m nodeimpl`.

    Args:
        module: whose `serve` is called: `nodeimpl.__main__`, or a test's that breaks a rule.
        config: the file's path.
    """
    served = importlib.import_module(module)
    try:
        return int(served.serve(load_config(Path(config))))
    except ConfigError as bad:
        sys.stderr.write(f"{bad}\n")
        sys.stderr.flush()
        return EXIT_USAGE
