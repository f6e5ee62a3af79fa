"""The README as somebody follows it: its command lines, in order, as they are written."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

STAYS = ("make dashboards", "make lab")
"""Commands that serve until Ctrl-C."""

ELSEWHERE = {
    r" (FILE|DIR)\b": "it takes what its reader has; tests/flows and tests/opkit/cli run it",
    r" --present$": "it is led from a terminal; tests/opkit/cli/test_present.py runs it",
    r"^(env/bin/|python3 -m venv)": "it is for where no checkout is; the group package runs it",
}
"""Patterns of commands that cannot be run here as they stand: why, and what runs them."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One command line of the README.

    Attributes:
        command: as it is written, without the comment behind it.
        as_root: its comment says so.
        stays: it serves until it is interrupted.
        left_out: why nobody can run it as it stands, or nothing.
    """

    command: str
    as_root: bool = False
    stays: bool = False
    left_out: str = ""


def lines_of(readme: Path) -> Iterator[Line]:
    """Yield the command lines of all blocks of a README.

    Args:
        readme: a Markdown file whose blocks without a language are lines for a shell.
    """
    blocks = re.compile(r"^```\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    for block in blocks.findall(readme.read_text("utf-8")):
        for text in block.splitlines():
            command, _, comment = (part.strip() for part in text.partition("  # "))
            if command:
                yield Line(
                    command=command,
                    as_root=comment.startswith("as root"),
                    stays=command in STAYS,
                    left_out=next(
                        (why for part, why in ELSEWHERE.items() if re.search(part, command)), ""
                    ),
                )
