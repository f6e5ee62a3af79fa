"""An entry in words: from whom to whom how much moved, because of what, and when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from html import escape
from typing import Final

from opkit.views.amounts import counted, moment_html
from opkit.views.money import account_name, amount_text
from opkit.wire.ledger import Entry, Posting

LISTED_MAX: Final = 2
"""So many accounts of one side are named; of more it is said how many they are."""


def flow_html(entry: Entry, titles: Mapping[str, str]) -> tuple[str, str]:
    """Return who gave and who got, as markup."""
    return (
        _side([each for each in entry.postings if each.amount < 0], titles),
        _side([each for each in entry.postings if each.amount > 0], titles),
    )


def moved(entry: Entry, *, account: str = "") -> list[tuple[int, str]]:
    """Return how much moved, by unit; of one account what it got (positive) or gave (negative)."""
    if account:
        return [(each.amount, each.unit) for each in entry.postings if each.account == account]
    by_unit: dict[str, int] = {}
    for each in entry.postings:
        if each.amount > 0:
            by_unit[each.unit] = by_unit.get(each.unit, 0) + each.amount
    return [(amount, unit) for unit, amount in by_unit.items()]


def because_html(entry: Entry) -> str:
    """Return because of what an entry stands, with its memo below."""
    memo = f"<small>{escape(entry.memo)}</small>" if entry.memo else ""
    if entry.corrects is not None:
        return f'<span class="cause">correction</span>{memo}'
    if entry.cause is not None:
        return f'<span class="cause">{escape(entry.cause.kind)}</span>{memo}'
    return escape(entry.memo) or f'<span class="soft">posted by {escape(entry.by)}</span>'


def when_html(entry: Entry, *, now_ms: int) -> str:
    """Return when an entry was recorded, with the day below to which it belongs, if it is another.

    Both are of world time: what is decided and settled goes by it.
    """
    at = moment_html(entry.world_ms, now_ms=now_ms)
    if entry.effective_on is None:
        return at
    return f"{at}<small>for {day_text(entry.effective_on)}</small>"


def day_text(day: str) -> str:
    """Return a day of the calendar: `15 Jan 2026`."""
    at = date.fromisoformat(day)
    return f"{at.day} {at.strftime('%b %Y')}"


def question_of(entry: Entry, titles: Mapping[str, str], *, account: str = "") -> str:
    """Return what one asks of an entry: `Why did Ana get 879 pc?`.

    Args:
        entry: which.
        titles: organisations' names by their ids.
        account: of which of its accounts one asks; empty: of all that got something.
    """
    lines = [each for each in entry.postings if each.account == account]
    if not lines:
        lines = [each for each in entry.postings if each.amount > 0]
    who = {each.account for each in lines}
    name = (
        account_name(lines[0].account, titles).words
        if len(who) == 1
        else counted(len(who), "account")
    )
    by_unit: dict[str, int] = {}
    for each in lines:
        by_unit[each.unit] = by_unit.get(each.unit, 0) + each.amount
    gives = all(amount < 0 for amount in by_unit.values())
    amounts = " and ".join(amount_text(abs(amount), unit) for unit, amount in by_unit.items())
    return f"Why did {name} {'give' if gives else 'get'} {amounts}?"


def _side(lines: Sequence[Posting], titles: Mapping[str, str]) -> str:
    accounts = list(dict.fromkeys(each.account for each in lines))
    names = [account_name(each, titles).words for each in accounts]
    if len(accounts) <= LISTED_MAX:
        return "".join(_account(*each) for each in zip(accounts, names, strict=True))
    return _account(", ".join(names), counted(len(accounts), "account"))


def _account(title: str, words: str) -> str:
    return f'<span class="account" title="{escape(title)}">{escape(words)}</span>'
