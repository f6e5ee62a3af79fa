"""What the supervisor says to its log: JSON lines on standard error, never a secret.

A full disk takes no line, and does not end the network: what was lost is told once there is room.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from nodeimpl.kernel.rotation import LogStream


def say(event: str, **facts: Any) -> None:
    """Write one line."""
    _STREAM.write(_line(event, facts))


def keep_log(path: Path) -> None:
    """Write to the file `path` from now on, and begin a new one whenever it is full.

    Raises:
        OSError: it cannot be opened.
    """
    _STREAM.rotate(path)


def _line(event: str, facts: dict[str, Any]) -> str:
    said = {"at_ms": time.time_ns() // 1_000_000, "event": event, **facts}
    return json.dumps(said) + "\n"


_STREAM = LogStream(lambda lost: _line("lines-lost", {"lost": lost}))
