"""opkit as a stranger has it: its wheel in an environment of its own, no checkout, no network."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WHEELHOUSE = ROOT / ".venvs/wheelhouse"
WATCH = '''
"""Notes every file of the checkout that this environment's Pythons open."""
import os, sys

def note(event, arguments):
    if event == "open" and str(arguments[0]).startswith({checkout!r}):
        handle = os.open({noted!r}, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(handle, f"{{arguments[0]}}\\n".encode())
        os.close(handle)

sys.addaudithook(note)
'''


@dataclass(frozen=True)
class Installed:
    """An installation: its programs, an empty folder to work in, and a state directory."""

    venv: Path
    folder: Path
    noted: Path

    @property
    def environ(self) -> dict[str, str]:
        """What a fresh shell of somebody else would hold."""
        return {
            "PATH": os.defpath,
            "HOME": str(self.folder.parent),
            "OPKIT_HOME": str(self.folder.parent / "state"),
            "LANG": "C.UTF-8",
        }

    def command(self, *arguments: str | Path) -> list[str]:
        """Return the command line of `opkit` with these arguments."""
        return [str(self.venv / "bin/opkit"), *map(str, arguments)]

    def run(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Run `opkit` in the empty folder."""
        return subprocess.run(
            self.command(*arguments),
            cwd=self.folder,
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )

    def opened(self) -> str:
        """Return the files of the checkout that were opened."""
        return self.noted.read_text() if self.noted.exists() else ""


def uv(*arguments: str | Path, environ: dict[str, str]) -> None:
    """Run uv, which must not look for anything but what it is given."""
    command = [str(ROOT / ".venv/bin/uv"), "--offline", "--no-config", *map(str, arguments)]
    done = subprocess.run(
        command, env=environ, capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The wheel installed with the extra `demo`, resolved anew from nothing but the wheelhouse."""
    base = tmp_path_factory.mktemp("packaged")
    here = Installed(venv=base / "venv", folder=base / "empty", noted=base / "opened.txt")
    here.folder.mkdir()
    build = [sys.executable, str(ROOT / "scripts/wheel"), str(base / "dist")]
    subprocess.run(build, check=True, capture_output=True, timeout=100)
    (wheel,) = (base / "dist").glob("*.whl")
    # What the locks leave out on purpose stays out here (docs/dependencies.md).
    left_out = base / "left-out.txt"
    left_out.write_text("rfc3987-syntax; sys_platform == 'never'\n")
    environ = {**here.environ, "UV_CACHE_DIR": str(base / "cache")}
    uv("venv", "--python", sys.executable, here.venv, environ=environ)
    wanted = ["--no-index", "--find-links", WHEELHOUSE, "--override", left_out]
    python = ["--python", here.venv / "bin/python"]
    uv("pip", "install", *python, *wanted, f"opkit[demo] @ {wheel.as_uri()}", environ=environ)
    (packages,) = here.venv.glob("lib/python*/site-packages")
    watch = WATCH.format(checkout=f"{ROOT}{os.sep}", noted=str(here.noted))
    (packages / "sitecustomize.py").write_text(watch)
    return here
