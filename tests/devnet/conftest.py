"""A state directory of its own for every test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Point `OPKIT_HOME` at a fresh folder."""
    folder = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("OPKIT_HOME", str(folder))
    return folder


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """Return a folder whose path is short enough for a Unix socket."""
    import shutil
    import tempfile

    folder = Path(tempfile.mkdtemp(prefix="o-"))
    yield folder
    shutil.rmtree(folder)
