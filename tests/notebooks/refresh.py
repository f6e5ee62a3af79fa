"""Run the documentation notebooks and keep what they said: `python tests/notebooks/refresh.py`.

Look at the difference before committing it: what changes there is what readers will be told.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).resolve().parents[2] / "notebooks" / "docs"
CELL_S_MAX = 60
STYLE = re.compile(r"<style[^>]*>.*?</style>\s*", re.DOTALL)
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def refresh(path: Path) -> None:
    """Run one notebook and write it back with its outputs, without what changes on every run."""
    notebook = nbformat.read(path, as_version=4)
    metadata = dict(notebook.metadata)
    NotebookClient(notebook, timeout=CELL_S_MAX, record_timing=False).execute()
    notebook.metadata = nbformat.from_dict(metadata)
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            tidy(output)
    path.write_text(nbformat.writes(notebook, indent=1) + "\n", encoding="utf-8")


def tidy(output: dict[str, Any]) -> None:
    """Leave out styles, colours and tracebacks: a reader of the file sees none of them."""
    data = output.get("data", {})
    if "text/html" in data:
        data["text/html"] = STYLE.sub("", data["text/html"])
    if output["output_type"] == "error":
        output["traceback"] = [COLOUR.sub("", line) for line in output["traceback"][-1:]]


if __name__ == "__main__":
    for found in sorted(FOLDER.glob("*.ipynb")):
        sys.stdout.write(f"{found.name}\n")
        refresh(found)
