"""What a look finds, and how a check is kept: a name and one function that changes nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

Subject = TypeVar("Subject")


class Verdict(StrEnum):
    """How it is. Only `wrong` makes the command fail."""

    WELL = "well"
    NOTE = "note"
    """Nothing that must be mended, but worth knowing; or it cannot be known here."""
    WRONG = "wrong"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked at: what was seen, and what to do about it."""

    verdict: Verdict
    seen: str
    hint: str = ""
    check: str = ""
    about: str = ""


@dataclass(frozen=True, kw_only=True)
class Check(Generic[Subject]):
    """One thing to look at. `look` says what it finds, and leaves everything as it is.

    It says nothing where there is nothing to look at: a node that does not run has no clock.
    """

    name: str
    look: Callable[[Subject], Finding | None]


def well(seen: str) -> Finding:
    """Return that all is well."""
    return Finding(verdict=Verdict.WELL, seen=seen)


def note(seen: str, hint: str = "") -> Finding:
    """Return what is worth knowing."""
    return Finding(verdict=Verdict.NOTE, seen=seen, hint=hint)


def wrong(seen: str, hint: str) -> Finding:
    """Return what is wrong, and what to do."""
    return Finding(verdict=Verdict.WRONG, seen=seen, hint=hint)


def gathered(seen: Iterable[Finding], *, otherwise: str) -> Finding:
    """Return several findings of one check as one: the worst counts, all that is amiss is told.

    Args:
        otherwise: what is said if nothing is amiss.
    """
    kept = list(seen)
    for verdict in (Verdict.WRONG, Verdict.NOTE):
        amiss = [each for each in kept if each.verdict is verdict]
        if amiss:
            hints = dict.fromkeys(each.hint for each in amiss if each.hint)
            return Finding(
                verdict=verdict,
                seen="; ".join(each.seen for each in amiss),
                hint="; ".join(hints),
            )
    return well(otherwise)


def look_at(subject: Subject, checks: Iterable[Check[Subject]], *, about: str) -> Iterator[Finding]:
    """Make every check of one subject; what cannot be looked at is wrong too."""
    for check in checks:
        try:
            found = check.look(subject)
        except (OSError, sqlite3.Error, ValueError) as bad:
            found = wrong(f"it cannot be looked at: {bad}", "look at it by hand, as this user")
        if found is None:
            continue
        yield Finding(
            verdict=found.verdict,
            seen=found.seen,
            hint=found.hint,
            check=check.name,
            about=about,
        )
