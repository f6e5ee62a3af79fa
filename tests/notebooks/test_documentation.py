"""Documentation notebooks tell the truth: run again, each cell says what the file says it said."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.timeout(500)]

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "notebooks" / "docs"
DOCUMENTATION = sorted(FOLDER.glob("*.ipynb"))


def nbval(*paths: Path) -> subprocess.CompletedProcess[str]:
    """Run all cells of notebooks and compare, in a session of pytest's own."""
    command = [sys.executable, "-m", "pytest", "--nbval", "-q", "-p", "no:cacheprovider"]
    command += [
        "--nbval-sanitize-with",
        str(FOLDER / "sanitize.cfg"),
        "--nbval-cell-timeout",
        "200",
    ]
    command += ["--timeout", "400", *map(str, paths)]
    # Colours would make the words below harder to find.
    environment = {**os.environ, "NO_COLOR": "1"}
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=450, check=False
    )


def test_they_tell_the_truth():
    ran = nbval(*DOCUMENTATION)
    assert ran.returncode == 0, ran.stdout[-6_000:]


def test_a_notebook_that_does_not_tell_the_truth_is_found(tmp_path):
    told = json.loads((FOLDER / "what_a_receipt_proves.ipynb").read_text("utf-8"))
    cell = next(cell for cell in told["cells"] if cell["id"] == "verify")
    (output,) = cell["outputs"]
    output["data"]["text/plain"] = ["('failed', 20)"]
    lie = tmp_path / "lie.ipynb"
    lie.write_text(json.dumps(told), "utf-8")
    shutil.copy(FOLDER / "sanitize.cfg", tmp_path)

    ran = nbval(lie)

    assert ran.returncode == 1
    assert "('failed', 20)" in ran.stdout
