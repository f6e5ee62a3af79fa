"""What was done to the network on purpose: journalled before it is answered, shown in reports."""

from __future__ import annotations

import json
import time
from collections import deque
from pathlib import Path
from typing import Any

KEPT_MAX = 1_000
"""How many a status shows; the file has them all."""


class Disturbances:
    """A file of JSON lines that only grows, and the last of them in memory."""

    def __init__(self, path: Path) -> None:
        """Go on with the file if there is one."""
        self._path = path
        self._last: deque[dict[str, Any]] = deque(maxlen=KEPT_MAX)
        if path.exists():
            with path.open(encoding="utf-8") as file:
                self._last.extend(json.loads(line) for line in file if line.strip())

    def note(self, what: str, **facts: Any) -> dict[str, Any]:
        """Write one down and return it."""
        line = {"at_ms": time.time_ns() // 1_000_000, "what": what, **facts}
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        self._last.append(line)
        return line

    def all(self) -> list[dict[str, Any]]:
        """Return the last ones, oldest first."""
        return list(self._last)
