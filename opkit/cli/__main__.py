"""`python -m opkit.cli` is `opkit`."""

from __future__ import annotations

import sys

from opkit.cli.app import main

code = main()
# CPython remembers an interrupt that came within `exec` (a dataclass being made) and would end by
# that signal although `main` has dealt with it. To run nothing makes it forget.
exec("")  # noqa: S102 - there is nothing in it.
sys.exit(code)
