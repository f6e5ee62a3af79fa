"""The wheelhouse is filled once, and anew when its lock changes; its lack is told."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

Script = Callable[[str], ModuleType]


@pytest.fixture
def wheelhouse(script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script at work in an empty folder; to download is to leave one file."""
    module = script("wheelhouse")
    lock = tmp_path / "dash.txt"
    lock.write_text("bread==1\n")
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "LOCK", lock)
    monkeypatch.setattr(module, "WHEELHOUSE", tmp_path / "wheels")
    monkeypatch.setattr(module, "download", (tmp_path / "wheels/a.whl").touch)
    return module


def test_it_is_filled_once_and_anew_when_the_lock_changes(
    wheelhouse: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert wheelhouse.main([]) == 0
    assert "1 wheels" in capsys.readouterr().out
    stale = tmp_path / "wheels/old.whl"
    stale.touch()
    assert wheelhouse.main([]) == 0
    assert "is filled" in capsys.readouterr().out
    assert wheelhouse.main(["--quiet"]) == 0
    assert capsys.readouterr().out == ""
    (tmp_path / "dash.txt").write_text("bread==2\n")
    assert wheelhouse.main([]) == 0
    assert not stale.exists()


def test_one_that_could_not_be_filled_is_not_taken_for_full(
    wheelhouse: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def no_network() -> None:
        raise subprocess.CalledProcessError(1, "pip")

    monkeypatch.setattr(wheelhouse, "download", no_network)
    for _ in range(2):
        assert wheelhouse.main([]) == 1
        assert "could not be filled" in capsys.readouterr().err
    assert not wheelhouse.is_filled()


def test_without_it_the_group_says_why_it_is_not_run(
    script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups = script("groups.py")

    class Refusing:
        """A Python that can run no script."""

        executable = "/bin/false"

    monkeypatch.setattr(groups, "sys", Refusing)
    absent = groups.find_wheelhouse()
    assert "scripts/wheelhouse" in absent.why
