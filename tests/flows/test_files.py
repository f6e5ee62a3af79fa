"""Notebooks and modules are found in a checkout and in an installation, and missed by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows import files

ROOT = Path(__file__).resolve().parents[2]


def test_in_a_checkout_they_stand_beside_the_packages() -> None:
    assert files.folder_of("notebooks") == ROOT / "notebooks"
    assert files.folder_of("wasm") == ROOT / "wasm"


def test_in_an_installation_they_are_within_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder of the same name beside it is somebody else's."""
    monkeypatch.setattr(files, "_PACKAGE", tmp_path / "flows")
    (tmp_path / "flows/packaged/wasm").mkdir(parents=True)
    (tmp_path / "wasm").mkdir()
    assert files.folder_of("wasm") == tmp_path / "flows/packaged/wasm"
    with pytest.raises(FileNotFoundError, match="no folder notebooks in"):
        files.folder_of("notebooks")
