"""JSON that says each thing once: of two members with one name, readers keep different ones."""

from __future__ import annotations

import json


class SaidTwice(ValueError):
    """An object in a JSON text has two members of one name. Source: RFC 8259, section 4."""

    def __init__(self, name: str) -> None:
        """Keep the name."""
        super().__init__(f"{name[:64]!r} is given twice")
        self.name = name


def refuse_twice(text: bytes) -> None:
    """Return if no object in this text has two members of one name.

    Args:
        text: JSON that another parser has read before and found no deeper than it may be.

    Raises:
        SaidTwice: an object has.
    """
    _READER.decode(text.decode("utf-8"))


def _once(pairs: list[tuple[str, object]]) -> None:
    seen: set[str] = set()
    for name, _ in pairs:
        if name in seen:
            raise SaidTwice(name)
        seen.add(name)


_READER = json.JSONDecoder(
    object_pairs_hook=_once, parse_int=len, parse_float=len, parse_constant=len
)
