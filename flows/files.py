"""Where the files lie that belong to the stories: notebooks, and modules as they were built.

In a checkout they stand beside the packages, where people look for them. A wheel installs nothing
but packages, so it carries the same folders inside this one (`[tool.hatch.build.targets.wheel]`).
This is the one place that knows the difference.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

_PACKAGE = Path(__file__).resolve().parent

Kept = Literal["notebooks", "wasm"]
"""A folder of files that belong to the stories."""


def folder_of(kept: Kept) -> Path:
    """Return the folder `kept`: the installed one, or that of the checkout.

    Raises:
        FileNotFoundError: this is neither a whole installation nor a checkout.
    """
    for folder in (_PACKAGE / "packaged" / kept, _PACKAGE.parent / kept):
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f"there is no folder {kept} in {_PACKAGE} nor beside it")
