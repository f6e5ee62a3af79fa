"""Stores on both engines."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest


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
