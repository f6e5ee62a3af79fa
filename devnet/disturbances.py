"""What was done to the network on purpose: journalled before it is answered, shown in reports."""

from __future__ import annotations

import json
import time
from collections import deque
from itertools import islice
from pathlib import Path
from typing import Any

from devnet.bell import Bell

KEPT_MAX = 1_000
"""How many a status shows; the file has them all."""

ANSWERED_MAX = 200
"""How many one ask is answered with; whoever wants more asks again."""


class Disturbances:
    """A file of JSON lines that only grows, and the last of them in memory. Lines count from 1.

    A line with `ends_ms` begins what lasts, by its `id`; one with `ended` names what is over.

    Attributes:
        last_id: the highest id that was ever given.
    """

    def __init__(self, path: Path) -> None:
        """Go on with the file if there is one."""
        self._path = path
        self._last: deque[dict[str, Any]] = deque(maxlen=KEPT_MAX)
        self._count = 0
        self._bell = Bell()
        self.last_id = 0
        self._open: dict[int, dict[str, Any]] = {}
        if path.exists():
            with path.open(encoding="utf-8") as file:
                for line in filter(str.strip, file):
                    self._keep(json.loads(line))

    def note(self, what: str, **facts: Any) -> dict[str, Any]:
        """Write one down and return it."""
        line = {"at_ms": time.time_ns() // 1_000_000, "what": what, **facts}
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        self._keep(line)
        self._bell.ring()
        return line

    def _keep(self, line: dict[str, Any]) -> None:
        self._last.append(line)
        self._count += 1
        if "ends_ms" in line:
            self.last_id = max(self.last_id, line["id"])
            self._open[line["id"]] = line
        for ended in line.get("ended", ()):
            self._open.pop(ended, None)

    def left_open(self) -> list[dict[str, Any]]:
        """Return the lines of what was begun and never ended, such as when a supervisor died."""
        return list(self._open.values())

    def all(self) -> list[dict[str, Any]]:
        """Return the last ones, oldest first."""
        return list(self._last)

    async def since(self, after: int, *, wait_ms: int) -> dict[str, Any]:
        """Return the lines after number `after` with their numbers, waiting if there is none yet.

        Of more than are kept the oldest are left out. A number that has not been given yet is of
        another file; then `next` says where this one ends.

        Returns:
            `lines`, each with its `number`, and `next`: the `after` of the next ask.
        """
        if after == self._count:
            await self._bell.wait(wait_ms)
        first = self._count - len(self._last) + 1
        begin = max(after + 1, first)
        kept = islice(self._last, begin - first, begin - first + ANSWERED_MAX)
        lines = [{**line, "number": number} for number, line in enumerate(kept, start=begin)]
        return {"lines": lines, "next": lines[-1]["number"] if lines else self._count}

    def close(self) -> None:
        """Let nobody wait any more."""
        self._bell.close()
