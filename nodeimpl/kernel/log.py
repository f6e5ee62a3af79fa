"""Structured logs: one JSON object a line, with the request they belong to, and never a secret.

What the standard library's loggers say (the web server, Alembic) goes the same way. Logging is set
up once per process; what a line belongs to (node, request, member) is bound to the context.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
import sys
import time
from collections.abc import Iterator, MutableMapping
from typing import Any, TextIO, cast

import structlog
from structlog.contextvars import bound_contextvars, merge_contextvars

from nodeimpl.kernel.rotation import LogStream

REMOVED = "[removed]"

DEPTH_MAX = 6
"""How deep values are searched for secrets; what lies deeper is removed."""

TEXT_MAX = 4_000
"""The longest text that is logged in one value."""

_SECRET_NAMES = re.compile(
    r"(?:^|_|-)(?:authorization|cookie|jws|jwt|keyfile|passphrase|password|private|private_key"
    r"|secret|seed|seeds|signature|token)$",
    re.IGNORECASE,
)
"""Names whose values are never logged. `token_id` and `key` (of idempotency) are no secrets."""

_SECRET_TEXTS = re.compile(
    r"\beyJ[\w-]{8,}\.[\w-]*\.[\w-]{16,}"
    r"|\bBearer\s+[^\s\"']+"
    r"|(://[^/\s:@]*:)[^@\s/]+(?=@)"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----",
    re.IGNORECASE,
)
"""Signed tokens, bearer headers, passwords in addresses, PEM keys: wherever they stand."""


def configure(*, level: str = "info", stream: TextIO | LogStream | None = None) -> None:
    """Send the logs of this process to `stream` (standard error unless given) from `level` up.

    Raises:
        ValueError: `level` is no level.
    """
    threshold = logging.getLevelNamesMapping().get(level.upper())
    if threshold is None:
        raise ValueError(f"no log level: {level}")
    target = stream or sys.stderr
    structlog.configure(
        processors=[
            merge_contextvars,
            structlog.processors.add_log_level,
            _add_time,
            _name_exceptions,
            drop_secrets,
            structlog.processors.JSONRenderer(serializer=_as_json),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.WriteLoggerFactory(file=cast("TextIO", target)),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    for handler in list(root.handlers):
        if isinstance(handler, _Forward):
            root.removeHandler(handler)
    root.addHandler(_Forward())
    root.setLevel(max(threshold, logging.INFO))


def lost_line(lost: int) -> str:
    """Return the line that says how many lines before it a full disk did not take."""
    at_ms = time.time_ns() // 1_000_000
    said = {"lost": lost, "event": "lines were not written", "level": "error", "at_ms": at_ms}
    return _as_json(said) + "\n"


def get_logger(name: str) -> structlog.typing.FilteringBoundLogger:
    """Return a logger whose lines say `area=name`."""
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger(area=name)
    return logger


@contextlib.contextmanager
def bound(**values: str | int) -> Iterator[None]:
    """Add `values` (request id, node, member) to every line logged in this context."""
    with bound_contextvars(**values):
        yield


def drop_secrets(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Remove what must never be in a log: by its name, and by its look."""
    return {name: _cleaned(name, value, depth=0) for name, value in event.items()}


def _cleaned(name: str, value: Any, *, depth: int) -> Any:
    if _SECRET_NAMES.search(name):
        return REMOVED
    if isinstance(value, str):
        return _cleaned_text(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return f"[{len(value)} bytes]"
    if depth >= DEPTH_MAX:
        return REMOVED
    if isinstance(value, dict):
        return {
            str(inner): _cleaned(str(inner), item, depth=depth + 1) for inner, item in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [_cleaned("", item, depth=depth + 1) for item in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return _cleaned_text(str(value))


def _cleaned_text(text: str) -> str:
    if len(text) > TEXT_MAX:
        text = f"{text[:TEXT_MAX]}… ({len(text)} characters)"
    return _SECRET_TEXTS.sub(lambda found: f"{found.group(1) or ''}{REMOVED}", text)


def _add_time(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    event["at_ms"] = time.time_ns() // 1_000_000
    return event


def _name_exceptions(
    logger: Any, method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Render an exception as text, so that it is searched for secrets like any other."""
    return structlog.processors.format_exc_info(logger, method, event)


def _as_json(event: Any, **_: Any) -> str:
    return json.dumps(event, ensure_ascii=False, separators=(",", ":"), default=str)


class _Forward(logging.Handler):
    """Hands the standard library's records to structlog."""

    def emit(self, record: logging.LogRecord) -> None:
        """Log `record` under its own logger's name."""
        structlog.get_logger(area=record.name).log(
            record.levelno, record.getMessage(), exc_info=record.exc_info
        )
