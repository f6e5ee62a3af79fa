"""Answers on their way: how many bytes wait to be read, of all readers together and of each."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator

from opkit.wire.gateway import RateExceeded

UNREAD_RETRY_MS = 1_000


class Unread:
    """What was answered and is not read yet, for answers that are large."""

    def __init__(self, *, bytes_max: int, bytes_per_reader_max: int) -> None:
        """Begin with nothing on its way."""
        self._bytes_max = bytes_max
        self._per_reader_max = bytes_per_reader_max
        self._held: Counter[str] = Counter()

    @contextlib.contextmanager
    def held(self, reader: str, size: int) -> Iterator[None]:
        """Count an answer until it was sent; one that is alone is never too large.

        Args:
            reader: who asked: a member, or nobody in particular.
            size: bytes.

        Raises:
            RateExceeded: too much waits to be read, of this reader or of all.
        """
        mine, every = self._held[reader], self._held.total()
        if (mine and mine + size > self._per_reader_max) or (
            every and every + size > self._bytes_max
        ):
            raise RateExceeded(retry_after_ms=UNREAD_RETRY_MS)
        self._held[reader] += size
        try:
            yield
        finally:
            self._held[reader] -= size
            if not self._held[reader]:
                del self._held[reader]
