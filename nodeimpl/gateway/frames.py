"""A WebSocket message as it travels, made once for everybody who gets it.

A server masks nothing and compresses nothing here, so the same message is the same bytes to each
reader. Source: RFC 6455, sections 5.1 and 5.2.
"""

from __future__ import annotations

import struct

FINAL_TEXT = 0x81
"""The first byte: a text, and all of it."""

SHORT_MAX = 125
"""The longest payload whose length is the second byte itself."""

MIDDLE_MAX = 0xFFFF
"""The longest whose length takes two bytes more; beyond that it takes eight."""


def text_frame(payload: bytes) -> bytes:
    """Return a whole text message, from a server, as one frame."""
    size = len(payload)
    if size <= SHORT_MAX:
        head = struct.pack("!BB", FINAL_TEXT, size)
    elif size <= MIDDLE_MAX:
        head = struct.pack("!BBH", FINAL_TEXT, SHORT_MAX + 1, size)
    else:
        head = struct.pack("!BBQ", FINAL_TEXT, SHORT_MAX + 2, size)
    return head + payload
