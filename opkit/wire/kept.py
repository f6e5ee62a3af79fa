"""Values that are kept in files, which outlive the version that wrote them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from opkit.wire.base import Wire
from opkit.wire.flaws import first_flaw

NEWER = "written_by_newer"
"""The type of the one error that a file of a newer version has."""

HINT = "run the version of opkit that wrote it, or a newer one"
"""What helps against a file of a newer version."""


class Kept(Wire):
    """A value in a file. It says the version of its form; where none is said it is 1.

    A newer version is refused by its number before anything else is judged, because everything else
    may mean something else there. A class in its second form declares the field anew, with 2 as its
    bound and its default, which is what is written. Source: ADR 0026.
    """

    version: Annotated[int, Field(strict=True, ge=1, le=1)] = 1

    @model_validator(mode="before")
    @classmethod
    def _is_known(cls, said: Any) -> Any:
        """Refuse what a newer version wrote."""
        version = said.get("version") if isinstance(said, Mapping) else None
        newest = cls.model_fields["version"].default
        if isinstance(version, int) and version > newest:
            raise PydanticCustomError(
                NEWER,
                "it is of version {version}, and this opkit knows up to {newest}",
                {"version": version, "newest": newest},
            )
        return said


def is_newer(bad: ValidationError) -> bool:
    """Return whether a file was refused because a newer version wrote it."""
    return any(error["type"] == NEWER for error in bad.errors(include_url=False))


def why_unread(bad: ValidationError) -> str:
    """Return in one line why a file was refused, with what helps if it is only newer."""
    said = first_flaw(bad)
    return f"{said} ({HINT})" if is_newer(bad) else str(said)
