"""One telling at a time on one network: who tells a story on a devnet holds it meanwhile.

A story cuts links, kills nodes and lets liars in. Two that are told at once break each other's
steps, and neither says why; so the second is refused. The lock goes with the process that holds it,
however that ends.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from devnet.state import DevnetError

FILE = "telling.lock"
WHO_BYTES_MAX = 200
HINT = "wait until it is over, or end it there"


class Telling:
    """A network, held for one telling."""

    def __init__(self, folder: Path, *, who: str, hint: str = HINT) -> None:
        """Take the network.

        Args:
            folder: the devnet's.
            who: who tells what, in words for whom it refuses.
            hint: what to do if somebody else tells.

        Raises:
            DevnetError: a story is told on it.
        """
        handle = os.open(folder / FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            other = os.pread(handle, WHO_BYTES_MAX, 0).decode("utf-8", "replace") or "somebody"
            os.close(handle)
            raise DevnetError(
                f"a story is told on {folder.name!r} already: {other}", hint=hint
            ) from None
        os.ftruncate(handle, 0)
        os.pwrite(handle, who.encode("utf-8")[:WHO_BYTES_MAX], 0)
        self._handle = handle

    def release(self) -> None:
        """Give the network back."""
        os.close(self._handle)


@contextmanager
def telling(folder: Path, *, who: str, hint: str = HINT) -> Iterator[None]:
    """Hold a network meanwhile.

    Raises:
        DevnetError: as `Telling`.
    """
    held = Telling(folder, who=who, hint=hint)
    try:
        yield
    finally:
        held.release()
