"""What of a proposal's effect can be judged before anybody votes, and what was altered afterwards.

A proposal that could not be executed as it stands is refused at once: an assembly should not find
out after a vote that a sum was wrong. Whether the money is there is judged when it is moved.
"""

from __future__ import annotations

from opkit.proof.checks import ProofError
from opkit.proof.proposals import check_effect
from opkit.proof.terms import TermsDiffer
from opkit.wire import deciding as no
from opkit.wire.base import Slug
from opkit.wire.ledger import TREASURY, UNITS, Posting, Settle
from opkit.wire.votes import ConfigurationEffect, DistributionEffect, Effect, SpendEffect

SHOWN_MAX = 200
"""How many characters of a field are told when it was altered."""


def judge_effect(effect: Effect, *, coop: Slug) -> None:
    """Return if an effect could be executed, as far as it says itself.

    Refuses:
        EffectMalformed: it does not hold (`check_effect`); it would debit an account that is none
            of the treasury's; nothing is counted in its unit. That the terms of an agreement are
            others than it is named by is a refusal of its own, by who keeps agreements.
    """
    why = _why_malformed(effect, coop=coop)
    if why:
        raise no.EffectMalformed(why=why)


def postings_of(effect: SpendEffect | DistributionEffect) -> tuple[Posting, ...]:
    """Return what an effect that moves the treasury's money posts."""
    if isinstance(effect, SpendEffect):
        paid = [(effect.to_account, effect.amount)]
    else:
        paid = [(line.account, line.amount) for line in effect.lines if line.amount]
    whole = sum(amount for _, amount in paid)
    return (
        Posting(account=effect.from_account, unit=effect.unit, amount=-whole),
        *(Posting(account=account, unit=effect.unit, amount=amount) for account, amount in paid),
    )


def judge_same(decided: Effect, asked: Effect) -> None:
    """Return if what is to be executed is what was decided.

    Refuses:
        EffectAltered: it is not; the first field that differs is told.
    """
    if decided == asked:
        return
    one, other = decided.model_dump(mode="json"), asked.model_dump(mode="json")
    for field in ("kind", *sorted({*one, *other} - {"kind"})):
        if one.get(field) != other.get(field):
            raise altered(field, decided=one.get(field), asked=other.get(field))
    raise AssertionError("effects that differ differ in a field")


def judge_settlement(decided: DistributionEffect, asked: Settle) -> None:
    """Return if a settlement states the lines that were decided, none of nothing, in their order.

    Refuses:
        EffectAltered: it does not.
    """
    if asked.from_account != decided.from_account:
        raise altered("from_account", decided=decided.from_account, asked=asked.from_account)
    if asked.unit != decided.unit:
        raise altered("unit", decided=decided.unit, asked=asked.unit)
    lines = [(line.account, line.amount) for line in decided.lines if line.amount]
    wanted = [(line.account, line.amount) for line in asked.lines]
    if len(lines) != len(wanted):
        raise altered("lines", decided=len(lines), asked=len(wanted))
    for index, (one, other) in enumerate(zip(lines, wanted, strict=True)):
        if one != other:
            said = (f"{account} {amount}" for account, amount in (one, other))
            raise altered(f"lines.{index}", decided=next(said), asked=next(said))


def altered(field: str, *, decided: object, asked: object) -> no.EffectAltered:
    """Return the refusal of an effect that is not the decided one in a field."""
    return no.EffectAltered(
        field=field, decided=str(decided)[:SHOWN_MAX], asked=str(asked)[:SHOWN_MAX]
    )


def _why_malformed(effect: Effect, *, coop: Slug) -> str:
    try:
        check_effect(effect, coop=coop)
    except TermsDiffer:
        return ""
    except ProofError as bad:
        return bad.why
    units = set[str]()
    if isinstance(effect, SpendEffect | DistributionEffect):
        units = {effect.unit}
        path = effect.from_account.partition(":")[2]
        if path.partition("/")[0] not in TREASURY:
            return f"{effect.from_account} is no account of the treasury"
    elif isinstance(effect, ConfigurationEffect):
        units = {each.unit for each in effect.accounts}
    unknown = units - {*UNITS}
    return f"nothing is counted in {min(unknown)}" if unknown else ""
