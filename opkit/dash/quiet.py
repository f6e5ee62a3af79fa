"""Logs without tokens: Tornado and Jupyter name the whole address of whatever went wrong."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from typing import Final

LOGGERS: Final = ("tornado.access", "tornado.application", "tornado.general", "opkit.dash")
"""Who names addresses in what they log."""

_TOKEN = re.compile(r"(token=)[^&\s'\"]+", re.IGNORECASE)


class Quiet(logging.Filter):
    """Takes tokens out of what is logged: this server's wherever they stand, others from queries.

    It lets every record pass. One is put on each logger, for a filter sees only what is logged
    there.
    """

    def __init__(self, tokens: Iterable[str]) -> None:
        """Keep what must not be said."""
        super().__init__()
        self._tokens = tuple(tokens)

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrite a record in place; return that it may be logged."""
        said = record.getMessage()
        for token in self._tokens:
            said = said.replace(token, "…")
        record.msg, record.args = _TOKEN.sub(r"\1…", said), ()
        return True

    def put_on(self) -> None:
        """Begin."""
        for name in LOGGERS:
            logging.getLogger(name).addFilter(self)

    def take_off(self) -> None:
        """End."""
        for name in LOGGERS:
            logging.getLogger(name).removeFilter(self)
