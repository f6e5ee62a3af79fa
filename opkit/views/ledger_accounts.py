"""What each account has: by unit, as amounts with a bar from zero, and what binds it."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Final

from opkit.views.amounts import counted
from opkit.views.cards import card, empty, scroll
from opkit.views.ledger_figures import LedgerFigures
from opkit.views.money import account_name, amount_html, amount_text, unit_name
from opkit.wire.ledger import MEMBER_ROOT, TREASURY, AccountView

_ORDER: Final = {**dict.fromkeys(TREASURY, 0), MEMBER_ROOT: 1}
_OTHERS: Final = 2
"""What the coop keeps stands first, then what its members have, then all the rest."""


def accounts(told: LedgerFigures | None, titles: Mapping[str, str]) -> str:
    """Return all accounts by unit. A click asks for `account` with `of`, the account's id."""
    question = "What does each account have?"
    if told is None or (told.total is None and not told.trouble):
        return card(question, empty("Asking.", "The home node tells of every account."))
    if not told.accounts:
        hint = "An account appears with the first entry that is posted to it."
        return card(question, empty("No account yet.", hint))
    by_unit: dict[str, list[AccountView]] = {}
    for each in told.accounts:
        by_unit.setdefault(each.unit, []).append(each)
    shown = "".join(_unit(unit, found, told, titles) for unit, found in by_unit.items())
    more = (
        '<p class="soft">There are more: opkit ledger accounts shows all.</p>'
        if told.more_accounts
        else ""
    )
    return card(question, scroll(shown + more, name="Accounts"))


def _unit(
    unit: str, found: list[AccountView], told: LedgerFigures, titles: Mapping[str, str]
) -> str:
    top = max(1, *(abs(each.balance) for each in found))
    rows = "".join(
        _account(each, titles, top=top, chosen=each.account == told.account)
        for each in sorted(found, key=_place)
    )
    return (
        f'<h3 class="unit">{escape(unit_name(unit))}<span>{counted(len(found), "account")}</span>'
        f'</h3><ul class="positions">{rows}</ul>'
    )


def _place(each: AccountView) -> tuple[int, int, str]:
    path = each.account.partition(":")[2]
    order = _ORDER.get(path.partition("/")[0], _OTHERS)
    return order, -each.balance if order < _OTHERS else 0, path


def _account(each: AccountView, titles: Mapping[str, str], *, top: int, chosen: bool) -> str:
    words, path = account_name(each.account, titles)
    share = 100 * abs(each.balance) / top
    owes = " owes" if each.balance < 0 else ""
    of = "" if chosen else each.account
    return (
        f'<li id="a-{escape(each.account)}-{escape(each.unit)}"><button type="button" '
        f'data-act="account" data-of="{escape(of)}" aria-pressed="{"true" if chosen else "false"}" '
        f'title="{escape(each.account)}, floor {escape(amount_text(each.floor, each.unit))}">'
        f"<span>{escape(words)}{_below(each, words, path)}</span>"
        f'<i class="gauge{owes}" aria-hidden="true"><i style="width:{share:.1f}%"></i></i>'
        f"<b>{amount_html(each.balance, each.unit)}</b></button></li>"
    )


def _below(each: AccountView, words: str, path: str) -> str:
    """Return an account's path, unless it is its name, and what binds it beyond a floor of zero."""
    said = [] if path == words.lower() else [path]
    if each.held:
        said.append(f"{amount_text(each.held, each.unit)} held")
    if each.floor < 0:
        said.append("may owe")
    elif each.floor > 0:
        said.append(f"keeps {amount_text(each.floor, each.unit)}")
    if each.closed:
        said.append("closed")
    return f"<small>{escape(', '.join(said))}</small>" if said else ""
