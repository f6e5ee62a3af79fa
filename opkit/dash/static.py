"""Our scripts and styles: read once, served from memory, at an address that names their content."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

from opkit.views.assets import board_js
from opkit.views.style import board_css, chrome_css

SCRIPT: Final = "text/javascript; charset=utf-8"
STYLE: Final = "text/css; charset=utf-8"
PICTURE: Final = "image/svg+xml"


@dataclass(frozen=True, kw_only=True)
class Asset:
    """A file as it is served."""

    kind: str
    data: bytes


class Assets:
    """All files of ours by their names; `version` changes when any of them does."""

    def __init__(self, assets: Mapping[str, Asset]) -> None:
        """Keep them, and name them by their content."""
        self._assets = dict(assets)
        digest = hashlib.sha256()
        for name, asset in sorted(self._assets.items()):
            digest.update(f"{name}\0{len(asset.data)}\0".encode("ascii") + asset.data)
        self.version = digest.hexdigest()[:16]

    def get(self, name: str) -> Asset | None:
        """Return a file, or None."""
        return self._assets.get(name)


def load_assets() -> Assets:
    """Return what pages of the console load, all of it from this package."""
    style = f"{chrome_css()}{board_css()}{_own('dash.css')}"
    scripts = {
        name: Asset(kind=SCRIPT, data=_own(name).encode("utf-8"))
        for name in ("theme.js", "first.js", "present.js")
    }
    return Assets(
        {
            **scripts,
            "board.js": Asset(kind=SCRIPT, data=board_js().encode("utf-8")),
            "opkit.css": Asset(kind=STYLE, data=style.encode("utf-8")),
            "icon.svg": Asset(kind=PICTURE, data=_own("icon.svg").encode("utf-8")),
        }
    )


def _own(name: str) -> str:
    return (files("opkit.dash") / "assets" / name).read_text(encoding="utf-8")
