"""The mark: how far the node's history has come, kept in a file beside the database.

A database that was put back from yesterday says of itself nothing but that it is whole. The mark
does not go back with it, so the two together show what neither shows alone. It is written after
what it names was committed, never before: it may lag, it cannot lead (ADR 0021).
"""

from __future__ import annotations

import os
import threading
from pathlib import Path

from pydantic import ValidationError

from nodeimpl.kernel.errors import HistoryLost, SchemaNewer
from nodeimpl.kernel.folders import sync_folder
from opkit.wire.journal import HistoryPlace
from opkit.wire.kept import Kept, is_newer

NAME = "history-mark.json"
"""The file's name in the node's folder."""

BYTES_MAX = 4_096


class _KeptPlace(HistoryPlace, Kept):
    """A place in a file, with the version of the file's form."""


class MarkFile:
    """The file of one node. Its methods block, and may be called from any thread."""

    def __init__(self, folder: Path) -> None:
        """Name the file; nothing is read yet."""
        self.path = folder / NAME
        self._lock = threading.Lock()

    def read(self) -> HistoryPlace | None:
        """Return what is marked; None if there is no mark.

        Raises:
            SchemaNewer: a newer version of this program wrote it.
            HistoryLost: the file is there and is no mark.
        """
        try:
            with self.path.open("rb") as file:
                data = file.read(BYTES_MAX)
        except FileNotFoundError:
            return None
        try:
            kept = _KeptPlace.model_validate_json(data)
        except ValidationError as bad:
            if is_newer(bad):
                raise SchemaNewer(f"{self.path} was written by a newer version") from bad
            raise HistoryLost(f"{self.path} is damaged: nobody knows what was signed") from bad
        return HistoryPlace(**kept.model_dump(exclude={"version"}))

    def write(self, place: HistoryPlace) -> None:
        """Return once `place` is durable in the file.

        The file is replaced whole, so a power cut leaves the old mark or the new one.

        Raises:
            OSError: the disk is full or broken; the old mark stands.
        """
        kept = _KeptPlace(**place.model_dump())
        data = kept.model_dump_json().encode() + b"\n"
        # A caller that was cancelled leaves its thread at work on the same file.
        with self._lock:
            self._write(self.path.with_suffix(".new"), data)

    def _write(self, beside: Path, data: bytes) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        descriptor = os.open(beside, flags, 0o600)
        try:
            view = memoryview(data)
            while view:
                # A disk that is almost full takes a part: that it is full, the rest is told.
                view = view[os.write(descriptor, view) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        beside.rename(self.path)
        sync_folder(self.path.parent)
