"""What breaks the rules behind markers, for tests in this process and for nodes in their own."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import pytest

HERE = Path(__file__).parent


@pytest.fixture
def sabotage(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return the module with the table of broken rules, by the name that nodes find it under."""
    monkeypatch.syspath_prepend(str(HERE))
    return importlib.import_module("sabotage")
