"""`environment.yml` gives users of conda the very versions of the locks, on the same Pythons."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

Script = Callable[[str], ModuleType]
ROOT = Path(__file__).resolve().parents[2]


def environment() -> tuple[list[str], list[str]]:
    """Return what conda installs, and what it hands to pip."""
    listed = (ROOT / "environment.yml").read_text().split("\ndependencies:\n")[1]
    conda, pip = listed.split("  - pip:\n")
    return re.findall(r"^  - (.+)$", conda, re.MULTILINE), re.findall(
        r"^      - (.+)$", pip, re.MULTILINE
    )


def pins(lock: Path) -> set[str]:
    """Return `name==version` of each package in a lock."""
    return set(re.findall(r"^[\w.-]+==[^ ;]+", lock.read_text(), re.MULTILINE))


def test_it_installs_a_lock_by_hash_and_names_no_version_of_its_own() -> None:
    conda, pip = environment()
    assert [entry.split()[0] for entry in conda] == ["python", "pip"]
    assert pip == ["--require-hashes", "--requirement locks/demo.txt"]


def test_its_versions_are_those_of_every_lock() -> None:
    """What one lock pins, all that hold it pin alike; so whoever uses conda has what was tested."""
    _, pip = environment()
    wanted = pins(ROOT / pip[-1].split()[-1])
    assert len(wanted) > 100
    for name in ("dash", "lab", "test"):
        assert not wanted - pins(ROOT / "locks" / f"{name}.txt"), name


def test_its_pythons_are_those_for_which_the_locks_are_resolved(script: Script) -> None:
    conda, _ = environment()
    pythons = script("resolve").PYTHONS
    beyond = f"3.{int(pythons[-1].split('.')[1]) + 1}"
    assert conda[0] == f"python >={pythons[0]},<{beyond}"


def test_it_and_the_readme_say_that_conda_is_not_exercised() -> None:
    for name in ("environment.yml", "README.md"):
        text = re.sub(r"[#\s]+", " ", (ROOT / name).read_text())
        assert "conda itself is not exercised" in text, name
