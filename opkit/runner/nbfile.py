"""Notebook files, and nbformat's missing types kept in one place."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any


def read_notebook(path: Path) -> Any:
    """Return the notebook of a file, as version 4."""
    nbformat: Any = import_module("nbformat")
    return nbformat.read(path, as_version=4)


def write_notebook(notebook: Any, path: Path) -> None:
    """Write a notebook to a file."""
    nbformat: Any = import_module("nbformat")
    nbformat.write(notebook, path)


def error_output(*, name: str, said: str) -> Any:
    """Return the output of a cell that ended with an error of this name."""
    v4: Any = import_module("nbformat.v4")
    return v4.new_output("error", ename=name, evalue=said, traceback=[f"{name}: {said}"])
