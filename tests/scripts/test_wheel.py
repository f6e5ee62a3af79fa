"""The wheel holds what runs, all of it and nothing else; the same sources make the same bytes."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("devnet", "flows", "nodeimpl", "opkit")
CARRIED = {"notebooks": (".ipynb",), "wasm": (".wasm", "SHA256SUMS")}
"""Folders of the checkout that a wheel carries inside `flows`, and what of them."""
SUFFIXES = {".css", ".ipynb", ".j2", ".js", ".json", ".mako", ".py", ".svg", ".toml", ".wasm"}
NAMES = {"LICENSE.idiomorph", "README.md", "SHA256SUMS", "py.typed"}
METADATA = {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE"}

BUILD_S_MAX = 120
"""A build takes a second of processor time; on a machine that is very busy it waits for it."""
pytestmark = pytest.mark.timeout(3 * BUILD_S_MAX)


def build(target: str, folder: Path, *, source: Path = ROOT, epoch: str = "1700000000") -> Path:
    """Return the distribution that hatchling makes of `source`."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", target]
    environ = {**os.environ, "SOURCE_DATE_EPOCH": epoch}
    subprocess.run(
        [*command, "--directory", str(folder)],
        cwd=source,
        env=environ,
        check=True,
        capture_output=True,
        timeout=BUILD_S_MAX,
    )
    return next(folder.iterdir())


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", tmp_path_factory.mktemp("wheel"))


def names_in(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def belonging() -> set[str]:
    """Return the project's files: what git keeps, or would keep if it were added now."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return {path for path in listed.stdout.split("\0") if path and (ROOT / path).is_file()}


def wanted() -> set[str]:
    """Return the names that the wheel must have, beside its metadata."""
    names = set()
    for path in belonging():
        top = path.split("/")[0]
        if top in PACKAGES:
            names.add(path)
        elif top in CARRIED and path.endswith(CARRIED[top]):
            names.add(f"flows/packaged/{path}")
    return names


def test_the_wheel_holds_every_file_that_runs_and_nothing_else(wheel: Path) -> None:
    found = names_in(wheel)
    about = {name for name in found if ".dist-info/" in name}
    assert {name.partition(".dist-info/")[2] for name in about} == METADATA
    assert found - about == wanted()


def test_it_holds_only_kinds_of_files_that_are_meant_to_be_in_it(wheel: Path) -> None:
    """A second look that does not ask git: no caches, tests, sources of modules, or databases."""
    for name in names_in(wheel):
        path = PurePosixPath(name)
        assert path.parts[0].endswith(".dist-info") or (
            path.suffix in SUFFIXES or path.name in NAMES
        ), name
        assert not {"tests", "__pycache__", ".ipynb_checkpoints", ".lab"} & set(path.parts), name


def test_it_names_the_extras_that_the_documents_name(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith("/METADATA"))
        metadata = archive.read(name).decode()
    extras = {
        line.partition(": ")[2]
        for line in metadata.splitlines()
        if line.startswith("Provides-Extra")
    }
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert extras == set(project["optional-dependencies"])
    readme = (ROOT / "README.md").read_text()
    assert {name for name in extras if f"[{name}]" not in readme} == set()


def test_the_same_sources_make_the_same_bytes(
    wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever builds it again, in another place and with another mask, has the same wheel."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    mask = os.umask(0o077)
    try:
        again = build("wheel", tmp_path)
    finally:
        os.umask(mask)
    assert (
        hashlib.sha256(again.read_bytes()).digest() == hashlib.sha256(wheel.read_bytes()).digest()
    )


def test_a_source_distribution_makes_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    packed = build("sdist", tmp_path / "sdist")
    with tarfile.open(packed) as archive:
        archive.extractall(tmp_path, filter="data")
    source = tmp_path / packed.name.removesuffix(".tar.gz")
    again = build("wheel", tmp_path / "wheel", source=source)
    assert names_in(again) == names_in(wheel)
    with zipfile.ZipFile(again) as ours, zipfile.ZipFile(wheel) as theirs:
        for name in names_in(wheel):
            assert ours.read(name) == theirs.read(name), name


def test_the_script_says_the_path_once_and_nothing_else_beside_size_and_hash(
    tmp_path: Path,
) -> None:
    command = [sys.executable, "scripts/wheel", str(tmp_path)]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=BUILD_S_MAX
    )
    wheel = next(tmp_path.glob("*.whl"))
    path, size = done.stdout.splitlines()
    assert (path, done.stderr) == (str(wheel), "")
    assert size.endswith(hashlib.sha256(wheel.read_bytes()).hexdigest())
