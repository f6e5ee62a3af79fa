"""What nodes journalled of their ledgers, as sentences with a tone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from opkit.story.states import State
from opkit.views.amounts import counted
from opkit.views.money import account_name, amount_text
from opkit.views.telling import Body, Names, Told, of


def _entry_posted(body: Body, org: str, names: Names) -> Told:
    who = names.org(org)
    lines = [each for each in body.get("postings", ()) if isinstance(each, Mapping)]
    gives = [each for each in lines if int(each.get("amount", 0)) < 0]
    gets = [each for each in lines if int(each.get("amount", 0)) > 0]
    if not (gives and gets):
        return Told(f"{who} posted an entry", State.DONE)
    amounts: dict[str, int] = {}
    for each in gets:
        unit = str(each.get("unit", ""))
        amounts[unit] = amounts.get(unit, 0) + int(each["amount"])
    what = " and ".join(amount_text(amount, unit) for unit, amount in amounts.items())
    flow = f"from {_accounts(gives, names)} to {_accounts(gets, names)}"
    return Told(f"{who} posted {what} {flow}{_because(body)}", State.DONE)


def _because(body: Body) -> str:
    cause = body.get("cause")
    if isinstance(cause, Mapping):
        kind = str(cause.get("kind", "cause"))
        return f", because of {'an' if kind[:1] in 'ae' else 'a'} {kind}"
    return ", putting an earlier entry right" if body.get("kind") == "correction" else ""


def _account_configured(body: Body, org: str, names: Names) -> Told:
    account = account_name(str(body.get("account", "")), names.titles).words or "an account"
    if body.get("closed"):
        return Told(f"{names.org(org)} closed {account}, as was decided", State.DONE)
    floor = int(body.get("floor", 0))
    what = f"may owe {amount_text(-floor, str(body.get('unit', '')))}" if floor else "may owe none"
    return Told(f"{account} of {names.org(org)} {what}, as was decided", State.DONE)


def _hold_created(body: Body, org: str, names: Names) -> Told:
    who = names.member(body.get("by"), at=org)
    amount = amount_text(int(body.get("amount", 0)), str(body.get("unit", "")))
    target = account_name(str(body.get("to_account", "")), names.titles).words or "somebody"
    return Told(f"{who} set {amount} aside for {target}", State.RUNNING)


def _hold_posted(body: Body, org: str, names: Names) -> Told:
    rest = ", and the rest is free again" if int(body.get("released", 0)) else ""
    who = names.member(body.get("by"), at=org)
    return Told(f"{who} had paid what was set aside at {names.org(org)}{rest}", State.DONE)


def _hold_voided(body: Body, org: str, names: Names) -> Told:
    who = names.member(body.get("by"), at=org)
    return Told(f"{who} released what was set aside at {names.org(org)}", State.DONE)


def _hold_lapsed(_: Body, org: str, names: Names) -> Told:
    sentence = f"What was set aside in {of(names.org(org))} ledger is free again: its time is over"
    return Told(sentence, State.WAITING)


def _accounts(lines: Sequence[Mapping[str, Any]], names: Names) -> str:
    accounts = list(dict.fromkeys(str(each.get("account", "")) for each in lines))
    if len(accounts) > 1:
        return counted(len(accounts), "account")
    return account_name(accounts[0], names.titles).words or "an account"


MONEY: Final[dict[str, Callable[[Body, str, Names], Told]]] = {
    "ledger.entry-posted": _entry_posted,
    "ledger.account-configured": _account_configured,
    "ledger.hold-created": _hold_created,
    "ledger.hold-posted": _hold_posted,
    "ledger.hold-voided": _hold_voided,
    "ledger.hold-lapsed": _hold_lapsed,
}
"""What tells each event of a ledger."""
