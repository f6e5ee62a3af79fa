"""What a page may say to its kernel, judged before Jupyter reads it: widget messages, bounded.

A page of ours sends two things: who asks for the state of all widgets, and messages to a board. It
opens no widget of its own (a widget that a browser may describe can name files to read), sets no
widget's state, and sends no buffers.

Source: Jupyter messaging protocol 5.4; WebSocket protocol `v1.kernel.websocket.jupyter.org`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

QUIET: Final = frozenset({"comm_close", "comm_info_request", "kernel_info_request"})
"""Kinds of messages that are taken whatever they say."""

METHODS: Final = frozenset({"custom", "request_state", "request_states"})
"""What a message to a widget may be. Source: ipywidgets messaging protocol 2.1."""

CONTROL_TARGET: Final = "jupyter.widget.control"
"""The one comm that a page opens: through it, it asks for the states of all widgets."""

KINDS: Final = QUIET | {"comm_open", "comm_msg"}

PARTS_MAX: Final = 16
"""How many parts a message may have; ours have six: channel, header, parent, metadata, content,
and the end."""


@dataclass(frozen=True, kw_only=True)
class Said:
    """A message as far as it is judged."""

    kind: str
    content: Mapping[str, Any]


def read(message: str | bytes, *, v1: bool) -> Said | None:
    """Return what a WebSocket's message says, or None if it is no message.

    Args:
        message: as it came.
        v1: whether it should be in the protocol with offsets, or else one JSON text.
    """
    try:
        header, content = _parts(message) if v1 else _fields(message)
        kind = header["msg_type"]
    except (ValueError, KeyError, IndexError, TypeError, RecursionError):
        return None
    if not isinstance(kind, str) or not isinstance(content, Mapping):
        return None
    return Said(kind=kind, content=content)


def _parts(message: str | bytes) -> tuple[Any, Any]:
    if isinstance(message, str):
        raise TypeError("text in a binary protocol")
    numbers = [_number(message, 0)]
    if not 5 <= numbers[0] <= PARTS_MAX:
        raise ValueError("too few or too many parts")
    offsets = [_number(message, 8 * (i + 1)) for i in range(numbers[0])]
    if offsets != sorted(offsets) or offsets[-1] > len(message):
        raise ValueError("parts that overlap or are not there")
    parts = [message[start:end] for start, end in pairwise(offsets)]
    return json.loads(parts[1]), json.loads(parts[4])


def _number(message: bytes, at: int) -> int:
    return int.from_bytes(message[at : at + 8], "little")


def _fields(message: str | bytes) -> tuple[Any, Any]:
    if isinstance(message, bytes):
        raise TypeError("bytes in a text protocol")
    whole = json.loads(message)
    return whole["header"], whole["content"]


def is_taken(said: Said) -> bool:
    """Return whether a page may say this to its kernel."""
    match said.kind:
        case "comm_open":
            return said.content.get("target_name") == CONTROL_TARGET
        case "comm_msg":
            data = said.content.get("data")
            method = data.get("method") if isinstance(data, Mapping) else None
            return isinstance(method, str) and method in METHODS
        case kind:
            return kind in QUIET
