"""Amounts and accounts as people read them: `12,000.00 $`, `Ana`, `Roof repair`.

An amount is an integer of its unit's smallest step, whoever shows it; only here it gets a point,
and only where people expect one. No division that rounds is made of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Final, NamedTuple

MINUS: Final = "\N{MINUS SIGN}"


class UnitWords(NamedTuple):
    """A unit as people say it: its name, what stands after an amount, digits after the point."""

    name: str
    sign: str
    digits: int


UNITS: Final[Mapping[str, UnitWords]] = {
    "usd-cents": UnitWords("US dollars", "$", 2),
    "commons-credits": UnitWords("commons credits", "cc", 0),
    "patronage-credits": UnitWords("patronage credits", "pc", 0),
}
"""The units that have words of their own; another one is told by its name."""


def unit_name(unit: str) -> str:
    """Return a unit's name: `US dollars`, `commons credits`."""
    return unit_words(unit).name


def unit_words(unit: str) -> UnitWords:
    """Return how a unit is said; one without words of its own by its id."""
    return UNITS.get(unit) or UnitWords(unit.replace("-", " "), unit, 0)


def amount_text(amount: int, unit: str) -> str:
    """Return an amount with its unit's sign: `12,000.00 $`, `−40 cc`, `3,840 pc`."""
    return f"{figure_text(amount, unit)} {unit_words(unit).sign}"


def figure_text(amount: int, unit: str) -> str:
    """Return an amount without its unit: `12,000.00`, `−40`."""
    digits = unit_words(unit).digits
    whole, rest = divmod(abs(amount), 10**digits)
    point = f".{rest:0{digits}d}" if digits else ""
    return f"{MINUS if amount < 0 else ''}{whole:,}{point}"


def amount_html(amount: int, unit: str) -> str:
    """Return an amount whose sign stands beside it in small; what it is in whole in its title."""
    words = unit_words(unit)
    return (
        f'<span class="money" title="{escape(f"{amount:,} {unit}")}">'
        f"{figure_text(amount, unit)} <i>{escape(words.sign)}</i></span>"
    )


class AccountName(NamedTuple):
    """An account as people say it, and its path, which says it exactly."""

    words: str
    path: str


def account_name(account: str, titles: Mapping[str, str]) -> AccountName:
    """Return how an account is said: a member by name, a coop by title, the rest by what it is for.

    A period, such as `vendor/2026-q1`, says when: then the word before it says what for.

    Args:
        account: `<coop>:<path>`.
        titles: organisations' names by their ids.
    """
    path = account.partition(":")[2] or account
    kind, _, rest = path.partition("/")
    if kind in ("reserve", "surplus") or not rest or rest[0].isdigit():
        return AccountName(_words(kind), path)
    if kind == "due":
        other = rest.partition("/")[0]
        return AccountName(titles.get(other) or _words(other), path)
    if kind == "member":
        return AccountName(rest.partition("/")[0].replace("-", " ").title(), path)
    if kind == "equity":
        return AccountName(f"{_words(rest.partition('/')[0])} equity", path)
    return AccountName(_words(rest.partition("/")[0]), path)


def account_html(account: str, titles: Mapping[str, str]) -> str:
    """Return an account as a name with its path below it; whole in its title."""
    words, path = account_name(account, titles)
    return (
        f'<span class="account" title="{escape(account)}">{escape(words)}'
        f"<small>{escape(path)}</small></span>"
    )


def _words(part: str) -> str:
    said = part.replace("-", " ").replace("_", " ").strip()
    return said[:1].upper() + said[1:]
