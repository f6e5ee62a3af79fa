"""What a book has of its ledger in memory: its end, its totals, and what one group changed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from nodeimpl.kernel.tx import Tx
from nodeimpl.ledger import store as tables
from nodeimpl.ledger.rules import Account
from opkit.wire import ledger as wire
from opkit.wire.base import RecordId, TimeMs

Name = tuple[str, str]
"""An account's path and its unit."""

Pair = tuple[wire.Posting, Account]
"""A posting and its account."""

Sealed = tuple[wire.Entry, str, bytes]
"""An entry, its postings as they are spelled, and the whole of it."""


@dataclass(slots=True)
class Totals:
    """All balances of one unit.

    Attributes:
        positive: the sum of those above zero.
        sum: the sum of all: zero.
    """

    positive: int
    sum: int


class End(NamedTuple):
    """Where a ledger ends: its last entry's place, hash and times."""

    sequence: int = 0
    hash: RecordId = wire.FIRST_PREVIOUS
    recorded_ms: TimeMs = 0
    world_ms: TimeMs = 0


@dataclass(slots=True)
class Touched:
    """What one group changed in a ledger, and may not have written yet.

    Attributes:
        before: each account that was changed, and its balance before the group.
        whole: those of them that are new, or of which more than postings and holds change.
        posted: by entry id, the entries that were posted.
    """

    before: dict[Name, int] = field(default_factory=dict)
    whole: set[Name] = field(default_factory=set)
    posted: dict[wire.EntryId, wire.Entry] = field(default_factory=dict)


AsIs = tuple[End, int, list[tuple[Account, int, int]], list[tuple[Totals, int, int]], list[Account]]
"""A ledger before a change: its end, how many accounts it has, those that will be changed and their
balances and places, totals and what they are, and the accounts that the change will make."""


class Numbers:
    """Numbers for new accounts. One that was given to an account that was undone is left out."""

    def __init__(self) -> None:
        """Read the last one that is taken when the first is asked for."""
        self._last: int | None = None

    def take(self, tx: Tx) -> int:
        """Return a number that no account has."""
        if self._last is None:
            self._last = number_in(tx.one(tables.LAST_NUMBER))
        self._last += 1
        return self._last


def number_in(row: tuple[int, ...] | None) -> int:
    """Return the number in a row of one; 0 if there is none."""
    return 0 if row is None or row[0] is None else int(row[0])
