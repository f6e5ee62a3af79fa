"""JupyterLab as `make lab` opens it: the start page, names by Tab, and a flow told in its notebook.

It works on a copy of the notebooks, with the test's own network for the one that they name.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from bench.network import ROOT
from flows import FLOWS
from opkit.story.notebook import MIME

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

TOKEN = "lab"
START = "opkit: where to begin"
START_S_MAX = 60
END_S_MAX = 60
PATIENCE_MS = 90_000
"""How long whatever is awaited may take: a kernel starts, a network comes up, a story is told."""
LAB = ROOT / "notebooks" / ".lab"


@dataclass(frozen=True, kw_only=True)
class Lab:
    """A JupyterLab that serves: its address without a path, and the folder of its notebooks."""

    origin: str
    folder: Path

    @property
    def address(self) -> str:
        """What somebody opens, as the server prints it."""
        return f"{self.origin}/?token={TOKEN}"

    @property
    def anew(self) -> str:
        """The start page without what an earlier visitor had open."""
        return f"{self.origin}/lab/tree/start.ipynb?reset&token={TOKEN}"


@pytest.fixture(scope="module")
def lab(network: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Have a JupyterLab with the project's settings and nobody's own."""
    top = tmp_path_factory.mktemp("lab")
    folder = top / "notebooks"
    shutil.copytree(ROOT / "notebooks", folder, ignore=shutil.ignore_patterns(".*"))
    for path in folder.rglob("*.ipynb"):
        text = path.read_text("utf-8").replace('\\"default\\"', f'\\"{network.name}\\"')
        path.write_text(text, "utf-8")
    own = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
    environment = {**os.environ, **{name: str(top / name.lower()) for name in own}}
    command = [sys.executable, "-m", "jupyterlab", "--config", str(LAB / "config.json")]
    command += [f"--ServerApp.root_dir={folder}", f"--LabApp.app_settings_dir={LAB}"]
    command += [f"--IdentityProvider.token={TOKEN}", "--ServerApp.port=0"]
    command += ["--ServerApp.port_retries=0", "--no-browser", "--allow-root"]
    with (top / "lab.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
    try:
        runtime = Path(environment["JUPYTER_RUNTIME_DIR"])
        port = wait_listening(runtime, process, top / "lab.log")
        yield Lab(origin=f"http://127.0.0.1:{port}", folder=folder)
    finally:
        process.terminate()
        try:
            process.wait(END_S_MAX)
        finally:
            process.kill()
            process.wait()


def wait_listening(runtime: Path, process: subprocess.Popen[bytes], log: Path) -> int:
    """Return the port that the server took, once it listens there."""
    limit = time.monotonic() + START_S_MAX
    while time.monotonic() < limit:
        if process.poll() is not None:
            pytest.fail(f"JupyterLab ended: {log.read_text('utf-8')[-2_000:]}")
        with suppress(FileNotFoundError, json.JSONDecodeError):  # It is not written yet, or whole.
            said = json.loads((runtime / f"jpserver-{process.pid}.json").read_text("utf-8"))
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", said["port"])) == 0:
                    return int(said["port"])
        time.sleep(0.05)
    raise TimeoutError(f"JupyterLab did not listen within {START_S_MAX} s")


def panel(page: Page, title: str) -> Locator:
    """Return the notebook of this title, shown and with its kernel at rest."""
    heading = page.get_by_role("heading", name=title)
    expect(heading).to_be_visible(timeout=PATIENCE_MS)
    shown = page.locator(".jp-NotebookPanel", has=heading)
    at_rest(shown)
    return shown


def at_rest(shown: Locator) -> None:
    """Return once the notebook's kernel has nothing to do."""
    status = shown.locator('.jp-Notebook-ExecutionIndicator[data-status="idle"]')
    expect(status).to_be_attached(timeout=PATIENCE_MS)


def run_first(notebook: Locator, eventually) -> None:
    """Run the first cell of code: a kernel that was only just made known may not take it yet."""
    cell = notebook.locator(".jp-CodeCell").first

    def ran() -> bool:
        cell.locator(".jp-InputPrompt").click()
        notebook.page.keyboard.press("Shift+Enter")
        try:
            expect(cell.locator(".jp-InputPrompt")).to_have_text(re.compile(r"\[\d+\]"))
        except AssertionError:
            return False
        return True

    eventually(ran, what="the first cell to be run", within_s=PATIENCE_MS / 1000)


def run_all(notebook: Locator, eventually) -> None:
    """Have all cells run: a kernel that was only just made known may drop the first ask."""
    first = notebook.locator(".jp-CodeCell .jp-InputPrompt").first

    def begun() -> bool:
        choose(notebook.page, "Run", "Run All Cells")
        try:
            expect(first).to_have_text(re.compile(r"\[(\d+|\*)\]"))
        except AssertionError:
            return False
        return True

    eventually(begun, what="the cells to be run", within_s=PATIENCE_MS / 1000)


def choose(page: Page, menu: str, entry: str) -> None:
    """Choose from a menu."""
    page.get_by_role("menubar").get_by_role("menuitem", name=menu, exact=True).click()
    page.get_by_role("menuitem", name=entry, exact=True).click()


def markers_in(path: Path) -> dict[str, str]:
    """Return the markers that a saved notebook shows, with their states, in order."""
    try:
        cells = json.loads(path.read_text("utf-8"))["cells"]
    except json.JSONDecodeError:
        return {}  # It is being written.
    said = [
        output["data"][MIME]
        for cell in cells
        for output in cell.get("outputs", [])
        if MIME in output.get("data", {})
    ]
    return {each["marker"]: each["state"] for each in said if "marker" in each}


def test_it_opens_on_the_start_page_and_asks_nobody_else(lab, visit, eventually, keep):
    seen = visit()
    page = seen.page
    page.goto(lab.address)
    start = panel(page, START)
    assert page.url == f"{lab.origin}/lab/tree/start.ipynb"
    assert page.get_by_text("Jupyter news").count() == 0
    run_all(start, eventually)
    expect(page.locator(".opkit-lab .headline", has_text="A network of 3 nodes")).to_be_visible(
        timeout=PATIENCE_MS
    )
    up = page.locator(".opkit-lab .said", has_text="up")
    expect(up).to_have_count(3, timeout=PATIENCE_MS)
    side = up.first.evaluate("cell => getComputedStyle(cell.closest('td')).textAlign")
    assert side == "left", "our own style holds within the notebook's"
    keep(seen, "lab start page")
    assert seen.noted.outside(lab.origin, lab.origin.replace("http", "ws")) == []


def test_tab_completes_the_names_of_members(lab, visit, eventually):
    page = visit().page
    page.goto(lab.anew)
    start = panel(page, START)
    run_all(start, eventually)
    expect(page.locator(".opkit-lab .headline", has_text="A network of 3 nodes")).to_be_visible(
        timeout=PATIENCE_MS
    )
    at_rest(start)
    editor = start.locator(".jp-CodeCell .jp-InputArea-editor .cm-content").last
    expect(editor).to_have_text("net.members", timeout=PATIENCE_MS)
    editor.click()
    page.keyboard.press("End")
    page.keyboard.type(".mar")

    def completed() -> bool:
        """Press Tab: the notebook waits one second for the kernel, and a busy one is slower."""
        page.keyboard.press("Tab")
        try:
            expect(editor).to_have_text("net.members.mara")
        except AssertionError:
            return False
        return True

    eventually(completed, what="the name to be completed", within_s=PATIENCE_MS / 1000)


def test_a_flow_is_told_cell_by_cell_and_then_to_its_end(lab, visit, eventually, keep):
    seen, flow = visit(), FLOWS["a"]
    page = seen.page
    page.goto(lab.anew)
    title = "Flow A: code that travels by its hash"
    panel(page, START).get_by_role("link", name=title).click()
    notebook = panel(page, title)
    run_first(notebook, eventually)
    for _ in range(3):  # Opening, a text, and the first cell that tells.
        page.keyboard.press("Shift+Enter")
    told = notebook.locator(".opkit-marker.opkit-done")
    expect(told).to_have_count(2, timeout=PATIENCE_MS)
    colours = "each => [each, each.querySelector('svg')].map(e => getComputedStyle(e).color)"
    around, shape = told.first.evaluate(colours)
    assert shape != around, "a marker's shape has no colour of its own"
    at_rest(notebook)
    keep(seen, "lab flow cell by cell")
    choose(page, "Run", "Run Selected Cell and All Below")
    whole = f"{len(flow.steps)} of {len(flow.steps)} markers shown"
    expect(notebook.locator(".opkit-marker", has_text=whole)).to_be_visible(timeout=PATIENCE_MS)
    keep(seen, "lab flow told whole")
    page.keyboard.press("Control+s")
    saved = lab.folder / flow.notebook
    planned = {step.marker: "done" if step.kind == "shown" else "refused" for step in flow.steps}
    eventually(lambda: list(markers_in(saved)) == list(planned), what="the saved notebook")
    assert markers_in(saved) == planned
    assert seen.noted.outside(lab.origin, lab.origin.replace("http", "ws")) == []


def test_the_consoles_page_lives_in_a_notebook(lab, visit, eventually, keep):
    seen = visit()
    page = seen.page
    page.goto(lab.anew)
    panel(page, START).get_by_role("link", name="Explore a running network").click()
    notebook = panel(page, "Explore a running network")
    run_first(notebook, eventually)
    choose(page, "Run", "Run All Cells")
    board = notebook.locator(".jp-OutputArea-output .opkit")
    expect(board.locator("[data-card]").first).to_be_attached(timeout=PATIENCE_MS)
    expect(board).to_contain_text("Harbor Homes Cooperative", timeout=PATIENCE_MS)
    board.scroll_into_view_if_needed()
    keep(seen, "lab live board")
    assert seen.noted.outside(lab.origin, lab.origin.replace("http", "ws")) == []
