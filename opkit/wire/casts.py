"""What nodes tell each other without wanting an answer: kinds of messages as values.

All casts of one kind travel on one stream for each link and direction, in order, one frame each
(`docs/protocol.md`); what was under way when the link ended is lost.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from opkit.wire.base import Wire

CASTS: dict[str, PeerCast[Any]] = {}
"""Every kind by its name; filled when the value is made."""

Message = TypeVar("Message", bound=Wire)


@dataclass(frozen=True, kw_only=True)
class PeerCast(Generic[Message]):
    """One kind of message that wants no answer, and the type of all that is said in it."""

    name: str
    message: type[Message]

    def __post_init__(self) -> None:
        """Register the kind under its name."""
        assert self.name not in CASTS, f"two casts share the name {self.name!r}"
        CASTS[self.name] = self
