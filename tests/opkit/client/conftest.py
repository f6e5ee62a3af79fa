"""The small node of the gateway's tests, for the tests of this folder."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

_NAME = "small_node_of_the_gateway_tests"
_FILE = next(
    parent / "nodeimpl" / "gateway" / "conftest.py"
    for parent in Path(__file__).parents
    if parent.name == "tests"
)

if _NAME not in sys.modules:
    _spec = importlib.util.spec_from_file_location(_NAME, _FILE)
    assert _spec is not None and _spec.loader is not None
    sys.modules[_NAME] = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(sys.modules[_NAME])

doorstep = sys.modules[_NAME].doorstep
