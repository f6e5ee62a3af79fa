"""What a board's page is made of lies in the package, unchanged where it is somebody else's."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import opkit.views.assets
from opkit.views.assets import board_js

FOLDER = Path(opkit.views.assets.__file__).parent
ROW = re.compile(r"^\| `([^`]+)` .* `([0-9a-f]{64})` \|$", re.MULTILINE)


def test_what_is_vendored_is_what_was_published() -> None:
    rows = dict(ROW.findall((FOLDER / "vendor" / "README.md").read_text(encoding="utf-8")))
    kept = {path.name for path in (FOLDER / "vendor").glob("*.js")}
    assert rows.keys() == kept
    for name, digest in rows.items():
        data = (FOLDER / "vendor" / name).read_bytes()
        assert hashlib.sha256(data).hexdigest() == digest, name


def test_the_script_is_one_module_that_fetches_nothing() -> None:
    script = board_js()
    assert "Idiomorph" in script
    assert "export default { render };" in script
    for name in ("connect", "painter"):
        assert f"export function {name}(" in script
    assert not re.search(r"^\s*import\b", script, re.MULTILINE)
    assert not re.search(r"https?://", (FOLDER / "board.js").read_text(encoding="utf-8"))
