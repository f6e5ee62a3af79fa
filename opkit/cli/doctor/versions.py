"""Checks of what is installed: whether versions are those that the parts were made for."""

from __future__ import annotations

import re
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from importlib import metadata

import opkit
from opkit.cli.doctor.cases import MachineCase, NodeCase
from opkit.cli.doctor.found import Finding, gathered, note, well, wrong

PYTHON_MIN = (3, 11)
SQLITE_MIN = (3, 35, 0)
"""The first with RETURNING. Source: https://www.sqlite.org/lang_returning.html"""

NAMED = ("wasmtime", "iroh", "pynacl", "uvicorn", "sqlalchemy")
EXTRAS = {
    "runner": "telling stories and their reports: opkit demo",
    "dash": "the console in a browser: opkit dash",
    "lab": "notebooks to explore: make lab",
    "postgres": "nodes on PostgreSQL",
}
_INSTALL = "make install; without a checkout: pip install 'opkit[demo]'"
_REQUIREMENT = re.compile(r"^([\w.-]+)(?:\[[^]]*\])?\s*([^;]*)(?:;\s*extra == ['\"](\w+)['\"])?$")
_BOUND = re.compile(r"(>=|<=|==|!=|<|>)\s*([\d.]+)")


def python(_machine: MachineCase) -> Finding:
    """Compare the versions of Python and SQLite with the least that are needed."""
    said = f"Python {sys.version.split()[0]}, SQLite {sqlite3.sqlite_version}"
    if sys.version_info[:2] < PYTHON_MIN:
        return wrong(said, f"use Python {'.'.join(map(str, PYTHON_MIN))} or later")
    if sqlite3.sqlite_version_info < SQLITE_MIN:
        return wrong(said, f"use SQLite {'.'.join(map(str, SQLITE_MIN))} or later")
    return well(said)


def parts(_machine: MachineCase) -> Finding:
    """Compare what a node is made of with what opkit asks for."""
    amiss = list(lacking("")) + list(lacking("node"))
    found = [f"{name} {version}" for name in NAMED if (version := installed(name))]
    return gathered(
        [wrong(each, _INSTALL) for each in amiss] + list(_engine()),
        otherwise=f"opkit {opkit.__version__}, {', '.join(found)}",
    )


def _engine() -> Iterator[Finding]:
    """Return what is amiss with what runs modules: it must be one that was tested with."""
    from nodeimpl.sandbox.engine import EngineUntested, require_tested

    try:
        require_tested()
    except EngineUntested as bad:
        yield wrong(str(bad), _INSTALL)
    except metadata.PackageNotFoundError:
        return  # Told already: it is one of the parts that are lacking.


def extras(_machine: MachineCase) -> Finding:
    """Say what is not installed of what only some need."""
    absent = [
        note(f"not installed: {', '.join(names)} ({why})", f"pip install 'opkit[{extra}]'")
        for extra, why in EXTRAS.items()
        if (names := [each.split(" ")[0] for each in lacking(extra)])
    ]
    if shutil.which("chromium") is None:
        absent.append(
            note("not installed: Chromium (tests of the pages)", "scripts/install-debian browser")
        )
    return gathered(
        absent, otherwise="Jupyter, Voila, Chromium and the PostgreSQL driver are there"
    )


def same(node: NodeCase) -> Finding:
    """Compare what a running node is with what is installed now."""
    if node.pid is None:
        return _down(node)
    if node.said is None:
        return wrong(
            "no: its process lives and does not answer",
            "look at its log: opkit devnet logs ORG; then opkit devnet restart ORG",
        )
    version = node.said.node.get("version")
    if version != opkit.__version__:
        return note(
            f"it runs {version}, installed is {opkit.__version__}",
            "restart it: a node runs what was installed when it started",
        )
    return well(f"yes, as version {version}")


def _down(node: NodeCase) -> Finding:
    """Say that a node does not run: all is well with that unless its network does."""
    from devnet.state import is_running

    if not node.devnet:
        return note("no: it does not run", f"opkit node run {node.path} starts it")
    # A devnet keeps its nodes in `nodes/ORG`.
    if is_running(node.path.parents[2]):
        return wrong(
            "no: it does not run, and its devnet does",
            f"opkit devnet logs {node.name} says why; then opkit devnet restart {node.name}",
        )
    return note("no: its devnet is stopped", f"opkit devnet up {node.devnet} starts it")


def health(node: NodeCase) -> Finding | None:
    """Say what a node says of itself, if it says anything."""
    if node.said is None:
        return None
    said = node.said.health
    waits = [str(each) for each in said.get("waiting_for", ())]
    degraded = [str(each) for each in said.get("degraded", ())]
    if said.get("status") != "ok":
        return wrong(f"not ready: {', '.join(waits)}", "wait; then look at its log")
    if degraded:
        return wrong("; ".join(degraded), "docs/runbook.md has a row for each")
    return well("ready")


def installed(name: str) -> str | None:
    """Return the installed version of a package, None if it is not there."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def lacking(extra: str) -> Iterator[str]:
    """Return what an extra of opkit asks for and is not installed so, each with why."""
    for line in metadata.requires("opkit") or ():
        found = _REQUIREMENT.match(line)
        if found is None or (found[3] or "") != extra:
            continue
        name, bounds = found[1], found[2].strip()
        version = installed(name)
        if version is None:
            yield f"{name} is not installed"
        elif not fits(version, bounds):
            yield f"{name} {version} is installed, {bounds} is asked for"


def fits(version: str, bounds: str) -> bool:
    """Return whether a version lies within bounds such as `>=1.2,<2`, by its numbers alone."""
    have = _numbers(version)
    for sign, text in _BOUND.findall(bounds):
        want = _numbers(text)
        low, high = have < want, have > want
        bad = {">=": low, "<": not low, "<=": high, ">": not high, "==": low or high}
        if bad.get(sign, not low and not high):
            return False
    return True


def _numbers(text: str) -> tuple[int, ...]:
    found = [int(part) for part in re.findall(r"\d+", text.split("+", maxsplit=1)[0])[:4]]
    return tuple(found + [0] * (4 - len(found)))
