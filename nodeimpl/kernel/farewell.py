"""What a node says while it ends: to its log, to a terminal, and to a file that others can read."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import structlog

_log = structlog.get_logger("node")


class Farewell:
    """Tells of one end; the file is there from its beginning until the process is almost gone."""

    def __init__(self, path: Path, *, most_ms: int) -> None:
        """Say nothing yet.

        Args:
            path: the file, whole whenever it is there.
            most_ms: how long the end may take.
        """
        self._path = path
        self._most_ms = most_ms
        self._began = 0.0

    def begin(self) -> None:
        """Say that the end has begun."""
        self._began = time.monotonic()
        _log.info("stopping", at_most_ms=self._most_ms)
        self._write(())
        self._say(f"stopping, in {self._most_ms / 1000:g} s at most; Ctrl-C again: at once")

    def waits_for(self, what: tuple[str, ...]) -> None:
        """Say what is waited for now."""
        if not what:
            return
        _log.info("waiting", waits_for=list(what))
        self._write(what)
        self._say(f"waiting for {', '.join(what)}")

    def end(self, *, whole: bool) -> None:
        """Say how the waiting ended."""
        took_ms = round((time.monotonic() - self._began) * 1000)
        _log.info("stopped waiting", whole=whole, took_ms=took_ms)
        if not whole:
            self._say("what still runs begins anew at the next start")
        self._path.unlink(missing_ok=True)

    def _write(self, what: tuple[str, ...]) -> None:
        beside = self._path.with_name(f"{self._path.name}.new")
        said = {"pid": os.getpid(), "waits_for": list(what), "at_most_ms": self._most_ms}
        try:
            beside.write_text(json.dumps(said) + "\n", "utf-8")
            beside.rename(self._path)
        except OSError as bad:
            # A full disk must not keep the node from ending; only whoever watches learns less.
            _log.warning("the end cannot be written down", why=str(bad))

    def _say(self, words: str) -> None:
        if sys.stderr.isatty():
            sys.stderr.write(f"opkit: {words}\n")
