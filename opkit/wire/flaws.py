"""Why something is not of the shape that it should have, without repeating anything of it."""

from __future__ import annotations

from typing import NamedTuple

from pydantic import ValidationError


class Flaw(NamedTuple):
    """What is wrong with something that was read: `where` in it, empty for the whole, and `why`."""

    where: str
    why: str

    def __str__(self) -> str:
        """Return both in one line."""
        return f"{self.where}: {self.why}" if self.where else self.why


def first_flaw(bad: ValidationError) -> Flaw:
    """Return the first thing that is wrong; what was sent is not in it, for it may be secret."""
    first = bad.errors(include_url=False, include_input=False, include_context=False)[0]
    return Flaw(where=".".join(map(str, first["loc"])), why=first["msg"])
