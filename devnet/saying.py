"""What the supervisor says to its log: JSON lines on standard error, never a secret."""

from __future__ import annotations

import json
import sys
import time
from typing import Any


def say(event: str, **facts: Any) -> None:
    """Write one line."""
    line = {"at_ms": time.time_ns() // 1_000_000, "event": event, **facts}
    sys.stderr.write(json.dumps(line) + "\n")
    sys.stderr.flush()
