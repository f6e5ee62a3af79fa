"""How commands are named to whoever called this one: as they can be called from there."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

NAME = "opkit"


def as_called(text: str) -> str:
    """Return a text whose commands can be typed as they stand.

    Where no `opkit` is on the search path, as in a checkout that was only set up, commands begin
    with the path by which this one was called: `.venv/bin/opkit devnet up`.

    Args:
        text: a hint, or an answer for people.
    """
    called = sys.argv[0]
    if Path(called).name != NAME or f"{NAME} " not in text or shutil.which(NAME):
        return text
    from opkit.cli.app import GROUPS

    command = re.compile(rf"(?<![\w./-]){NAME} (?=(?:{'|'.join(GROUPS)})\b)")
    return command.sub(lambda _: f"{called} ", text)
