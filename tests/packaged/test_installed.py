"""One wheel is enough: the demo, its report and the console, in an empty folder, offline."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import pytest

from flows import FLOWS

pytestmark = [pytest.mark.package, pytest.mark.timeout(300)]

ROOT = Path(__file__).resolve().parents[2]
REPORT = "report"


def in_python(installed: Any, code: str) -> str:
    """Return what a Python of the installation prints."""
    python = str(installed.venv / "bin/python")
    ran = subprocess.run(
        [python, "-c", code],
        cwd=installed.folder,
        env=installed.environ,
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    return ran.stdout.strip()


@pytest.fixture(scope="module")
def told(installed: Any) -> subprocess.CompletedProcess[str]:
    """Flow A as it is told in the empty folder, its report beside it."""
    ran: subprocess.CompletedProcess[str] = installed.run("demo", "a", "--out", REPORT)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran


def test_the_guard_notices_a_file_of_the_checkout(installed: Any) -> None:
    """Otherwise the other tests here would show nothing."""
    file = Path(__file__).resolve()
    in_python(installed, f"open({str(file)!r}).close()")
    assert str(file) in installed.opened()
    installed.noted.unlink()


def test_its_packages_and_files_are_its_own(installed: Any) -> None:
    for name in ("opkit", "nodeimpl", "devnet", "flows"):
        said = in_python(installed, f"import {name}; print({name}.__file__)")
        assert said.startswith(str(installed.venv)), said
    for kept in ("notebooks", "wasm"):
        said = in_python(
            installed, f"from flows.files import folder_of; print(folder_of('{kept}'))"
        )
        assert said.startswith(str(installed.venv)), said


def test_the_demo_shows_every_marker_and_opens_nothing_of_the_checkout(
    installed: Any, told: subprocess.CompletedProcess[str]
) -> None:
    (flow,) = json.loads((installed.folder / REPORT / "evidence.json").read_text())["flows"]
    shown = [marker["name"] for marker in flow["markers"] if marker["ok"]]
    assert len(shown) == 14
    assert shown == [step.marker for step in FLOWS["a"].steps if step.marker]
    assert "FLOW_OK a  14 of 14 markers" in told.stdout
    assert installed.opened() == ""


def test_its_report_verifies_and_an_edited_one_does_not(
    installed: Any, told: subprocess.CompletedProcess[str]
) -> None:
    assert installed.run("report", "verify", REPORT).returncode == 0
    page = installed.folder / REPORT / "index.html"
    kept = page.read_bytes()
    page.write_bytes(kept + b" ")
    assert installed.run("report", "verify", REPORT).returncode == 1
    page.write_bytes(kept)
    assert installed.opened() == ""


def look(url: str) -> str:
    """Return the landing page at `url`, and then each page that it leads to, as a browser would."""
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    with browser.open(url, timeout=60) as answer:
        landing: str = answer.read().decode()
    pages = sorted(set(re.findall(r'href="(/[\w/]*(?:console|network|compute))"', landing)))
    assert len(pages) == 3, landing
    texts = []
    for path in pages:
        with browser.open(urljoin(url, path), timeout=60) as answer:
            texts.append(answer.read().decode())
    return "\n".join(texts)


def test_the_console_answers_presenters_with_a_kernel_and_viewers(installed: Any) -> None:
    process = subprocess.Popen(
        installed.command("dash", "--json", "--port", "0"),
        cwd=installed.folder,
        env=installed.environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, process.stderr and process.stderr.read()
        said = json.loads(line)
        drawn = look(said["url"])
        assert drawn.count("data-widget=") == 3
        assert "data-failed" not in drawn
        assert look(said["viewer_url"]).count("<title>") == 3
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 0
    assert installed.opened() == ""


def test_what_conda_hands_to_pip_installs_the_locked_versions(installed: Any) -> None:
    """conda writes the `pip` part of `environment.yml` to a file beside it, a line for an entry."""
    pip = (ROOT / "environment.yml").read_text().split("  - pip:\n")[1]
    entries = re.findall(r"^      - (.+)$", pip, re.MULTILINE)
    (installed.folder.parent / "locks").symlink_to(ROOT / "locks")
    handed = installed.folder.parent / "condaenv.requirements.txt"
    handed.write_text("\n".join(entries) + "\n")
    alone = ["--offline", "--no-index", "--find-links", str(ROOT / ".venvs/wheelhouse")]
    command = [str(ROOT / ".venv/bin/uv"), "pip", "install", "--dry-run", *alone]
    ran = subprocess.run(
        [*command, "--target", str(installed.folder), "--requirement", str(handed)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    chosen = set(re.findall(r"\+ ([\w.-]+==\S+)", ran.stderr))
    lock = (ROOT / "locks/demo.txt").read_text()
    locked = set(re.findall(r"^([\w.-]+==[^ ]+)", lock, re.MULTILINE))
    assert len(chosen) > 90
    assert chosen <= locked
