"""The locks are resolved for each Python; the script says which could not be, and fails."""

from __future__ import annotations

import base64
import hashlib
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

Script = Callable[[str], ModuleType]
ROOT = Path(__file__).resolve().parents[2]


def make_wheel(folder: Path, name: str, *, tag: str = "py3-none-any", needs: str = "") -> str:
    """Write a wheel of nothing; return the line that locks it."""
    about = f"{name}-1.0.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
    metadata += f"Requires-Dist: {needs}\n" if needs else ""
    files = {
        f"{about}/METADATA": metadata,
        f"{about}/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n",
    }
    wheel = folder / f"{name}-1.0-{tag}.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest())
            files[path] = f"{path},sha256={digest.rstrip(b'=').decode()},{len(text)}"
        archive.writestr(f"{about}/RECORD", "\n".join([*files.values(), f"{about}/RECORD,,"]))
    return f"{name}==1.0 --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n"


def resolve(script: Script, folder: Path) -> int:
    """Resolve the folder's lock with no other index than the folder."""
    alone = ["--offline", "--no-index", "--find-links", str(folder)]
    module = script("resolve")
    return int(module.main(alone, folder=folder))


def test_a_lock_that_holds_for_each_python_is_named_and_passes(
    script: Script, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = make_wheel(tmp_path, "bread", needs="flour")
    (tmp_path / "bakery.txt").write_text(lines + make_wheel(tmp_path, "flour"))
    assert resolve(script, tmp_path) == 0
    said = capsys.readouterr().out
    assert "bakery      2 pins" in said
    assert "1 locks resolve for Python 3.11, 3.12, 3.13, 3.14, wheels only" in said


def test_a_package_without_a_wheel_for_some_python_fails_there(
    script: Script, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = make_wheel(tmp_path, "bread", tag="cp311-none-any")
    (tmp_path / "bakery.txt").write_text(line)
    assert resolve(script, tmp_path) == 1
    said = capsys.readouterr().out
    assert "bakery for Python 3.12, bakery for Python 3.13, bakery for Python 3.14" in said
    assert "bakery for Python 3.11" not in said


def test_what_a_package_needs_and_the_lock_lacks_fails(
    script: Script, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = make_wheel(tmp_path, "bread", needs='flour; python_version >= "3.14"')
    make_wheel(tmp_path, "flour")
    (tmp_path / "bakery.txt").write_text(line)
    assert resolve(script, tmp_path) == 1
    said = capsys.readouterr().out
    assert "alone: bakery for Python 3.14\n" in said
    assert "flour" in said


def test_a_hash_that_is_of_no_file_fails(
    script: Script, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = make_wheel(tmp_path, "bread").rstrip()
    (tmp_path / "bakery.txt").write_text(f"{line} --hash=sha256:{'0' * 64}\n")
    assert resolve(script, tmp_path) == 1
    said = capsys.readouterr().out
    assert f"bakery by its hashes:\nsha256:{'0' * 64}\n" in said


def test_the_pythons_are_those_that_the_project_promises(script: Script) -> None:
    """The oldest is the bound in `pyproject.toml`, and each that comes after it is looked at."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pythons = script("resolve").PYTHONS
    assert project["requires-python"] == f">={pythons[0]}"
    assert set(pythons) == {name.removeprefix("python") for name in script("setup").PYTHONS}
