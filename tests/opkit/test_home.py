"""Where state lives, and who may read it."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from opkit import home


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "deep" / "home"
    monkeypatch.setenv("OPKIT_HOME", str(folder))
    return folder


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_variable_names_the_place_and_all_of_it_is_private(own_home: Path) -> None:
    os.umask(0o022)
    assert home.state_home() == own_home
    for folder in (own_home, own_home.parent, home.identities_folder(), home.tokens_folder()):
        assert mode(folder) == 0o700


def test_without_it_state_lies_under_the_users_state_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPKIT_HOME")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert home.state_home() == tmp_path / "state" / "opkit"


def test_a_private_file_is_private_from_its_first_moment(own_home: Path) -> None:
    path = home.state_home() / "secret"
    home.write_private(path, b"one")
    home.write_private(path, b"two")
    assert path.read_bytes() == b"two"
    assert mode(path) == 0o600
    assert [entry.name for entry in own_home.iterdir()] == ["secret"]


def test_every_place_has_its_name(own_home: Path) -> None:
    assert home.devnet_folder("x") == own_home / "devnets" / "x"
    assert home.genesis_file("n" * 26) == own_home / "genesis" / ("n" * 26 + ".jws")
    assert home.runs_folder() == own_home / "runs"


def test_importing_it_imports_nothing_of_the_kit() -> None:
    script = (
        "import sys, opkit.home\n"
        "bad = [m for m in sys.modules if m.startswith(('pydantic', 'opkit.wire', 'nacl'))]\n"
        "assert not bad, bad\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_a_checkout_is_named_to_the_pythons_it_starts_and_an_installation_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Named, an installation's folder would be searched before the standard library."""
    root = str(Path(home.__file__).resolve().parents[1])
    assert home.importable({"A": "1"}) == {"A": "1", "PYTHONPATH": root}
    both = os.pathsep.join([root, "/other"])
    assert home.importable({"PYTHONPATH": "/other"})["PYTHONPATH"] == both
    assert home.importable({"PYTHONPATH": both})["PYTHONPATH"] == both
    installed = tmp_path / "site-packages/opkit/home.py"
    monkeypatch.setattr(home, "__file__", str(installed))
    assert home.importable({"PYTHONPATH": "/other"}) == {"PYTHONPATH": "/other"}
