"""Stores on both engines, and how long fuzzers go on."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings

FUZZ_EXAMPLES_ENV = "OPKIT_FUZZ_EXAMPLES"
"""How many examples a fuzzer makes, other ones each time (`make fuzz`); unset: few, the same."""


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def store_engine(request: pytest.FixtureRequest) -> str:
    """Each engine in turn. A folder or file that is about one only says so by one of its own."""
    engine: str = request.param
    return engine


@pytest.fixture
def store_url(store_engine: str, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """The URL of an empty database, on each engine: what opens it first makes its schema."""
    if store_engine == "sqlite":
        return f"sqlite:///{tmp_path}/node.db"
    make: Callable[[], str] = request.getfixturevalue("postgres_database")
    return make()


@pytest.fixture
def fuzzing() -> Callable[..., settings]:
    """Return settings for a fuzzer of a live node: `fuzzing(40)` makes 40 examples.

    They are the same in each run, and kept nowhere. Nothing is shrunk: a node remembers what it was
    asked before, so that the same ask again may be answered otherwise.
    """

    def bounds(examples: int, **named: Any) -> settings:
        asked = os.environ.get(FUZZ_EXAMPLES_ENV)
        return settings(
            max_examples=int(asked) if asked else examples,
            derandomize=not asked,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
            print_blob=False,
            **named,
        )

    return bounds
