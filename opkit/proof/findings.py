"""Findings of an audit by the check that made them: all are counted, a few told in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from opkit.proof.checks import Check

SHOWN_MAX = 5
"""How many findings of one kind are told in words; all are counted."""


@dataclass(slots=True)
class _Found:
    looked_at: int = 0
    wrong: int = 0
    said: list[str] = field(default_factory=list)


class Findings:
    """What the checks of an audit found so far."""

    def __init__(self, expected: Mapping[str, str]) -> None:
        """Begin with nothing looked at.

        Args:
            expected: what each check looks for, by its name, in the order in which they are told.
        """
        self._expected = expected
        self._found = {name: _Found() for name in expected}

    def tell(self, name: str, where: str, why: str) -> None:
        """Note that a check looked at something, and what is wrong there; empty if nothing is."""
        found = self._found[name]
        found.looked_at += 1
        if why:
            found.wrong += 1
            if len(found.said) < SHOWN_MAX:
                found.said.append(f"{where}: {why}")

    def checks(self) -> tuple[Check, ...]:
        """Return the checks that looked at anything."""
        done = {name: found for name, found in self._found.items() if found.looked_at}
        return tuple(_check(name, self._expected[name], found) for name, found in done.items())


def _check(name: str, expected: str, found: _Found) -> Check:
    more = found.wrong - len(found.said)
    said = "; ".join(found.said) + (f"; and {more:,} more" if more else "")
    return Check(
        name=name,
        ok=not found.wrong,
        expected=expected,
        actual=said or f"so in all {found.looked_at:,}",
    )
