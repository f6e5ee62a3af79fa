"""`python -m nodeimpl.migrations make "what changes"`: write the next revision.

The tables of all domains are compared with a database that all revisions so far have made. The
first revision may be written anew, by the message `initial`, as long as it is the only one.
"""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import nodeimpl
from nodeimpl.migrations import FOLDER, config, upgrade

INITIAL = "initial"


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m nodeimpl.migrations")
    commands = parser.add_subparsers(dest="command", required=True)
    make_parser = commands.add_parser("make", help="write the next revision")
    make_parser.add_argument("message", help="what changes, in a few words")
    asked = parser.parse_args(arguments)
    path = make(asked.message)
    said = path or "the tables are what the revisions make: nothing to write"
    sys.stdout.write(f"{said}\n")
    return 0


def make(message: str, *, folder: Path = FOLDER) -> Path | None:
    """Write the revision that brings the schema to the tables as declared; None if it is there."""
    from alembic import command

    import_all_tables()
    known = sorted((folder / "versions").glob("[0-9]*_*.py"))
    if message == INITIAL and len(known) == 1:
        known.pop().unlink()
    assert not (message == INITIAL and known), "the first revision is released: it stays"
    with tempfile.TemporaryDirectory() as scratch:
        url = f"sqlite:///{scratch}/migrations.db"
        if known:
            upgrade(url, folder=folder)
        found = command.revision(
            config(url, folder=folder),
            message=message,
            autogenerate=True,
            rev_id=f"{len(known) + 1:04d}",
            process_revision_directives=_only_if_needed,
        )
    if found is None or isinstance(found, list):
        return None
    path = Path(found.path)
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if not line.lstrip().startswith("# ###")))
    formatter = (sys.executable, "-m", "ruff", "format", "-q", "--line-length", "100")
    subprocess.run([*formatter, str(path)], check=True)  # noqa: S603 - our own formatter and file
    return path


def _only_if_needed(_context: object, _revision: object, directives: list[Any]) -> None:
    """Write no revision that does nothing."""
    if directives and directives[0].upgrade_ops.is_empty():
        directives.clear()


def import_all_tables() -> None:
    """Import all `store` modules of domains, such as `holds_store`: all tables are known then."""
    for package in pkgutil.iter_modules(nodeimpl.__path__):
        folder = Path(nodeimpl.__path__[0]) / package.name
        for module in sorted(folder.glob("*store.py")) if package.ispkg else ():
            importlib.import_module(f"nodeimpl.{package.name}.{module.stem}")


if __name__ == "__main__":
    sys.exit(main())
