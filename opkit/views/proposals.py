"""Proposals in words: how one stands, what it leads to, and how its votes are counted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from opkit.story.states import State
from opkit.views.amounts import counted
from opkit.views.money import account_name, amount_text
from opkit.views.telling import all_of
from opkit.wire.terms import AgreementEffect
from opkit.wire.votes import (
    ConfigurationEffect,
    DistributionEffect,
    Effect,
    EffectKind,
    MembershipEffect,
    Outcome,
    ProposalState,
    RuleChange,
    SpendEffect,
)

STATES: Final[Mapping[ProposalState, tuple[State, str]]] = {
    "draft": (State.WAITING, "draft"),
    "open": (State.RUNNING, "open"),
    "accepted": (State.DONE, "accepted"),
    "rejected": (State.REFUSED, "rejected"),
    "no-quorum": (State.REFUSED, "no quorum"),
    "cancelled": (State.WAITING, "cancelled"),
    "executed": (State.DONE, "executed"),
    "voided": (State.FAILED, "void"),
    "expired": (State.WAITING, "expired"),
}
"""In which shape each state of a proposal is drawn, and its word."""

OUTCOMES: Final[Mapping[Outcome, str]] = {
    "accepted": "it would be accepted",
    "rejected": "it would be rejected",
    "no-quorum": "too few have taken part",
    "cancelled": "it was cancelled",
}
"""What an open vote would come to, if it ended now."""

KINDS: Final[Mapping[EffectKind, str]] = {
    "text": "a text",
    "spend": "a spend",
    "distribution": "a distribution",
    "membership": "a membership",
    "configuration": "a configuration",
    "agreement": "an agreement",
}

_DAY_MS: Final = 86_400_000
_HOUR_MS: Final = 3_600_000
_MINUTE_MS: Final = 60_000


def percent_text(part: int, whole: int) -> str:
    """Return a share in whole percent, rounded down so that none passes that does not: `66 %`."""
    return f"{100 * part // whole if whole else 0} %"


def share(part: int, whole: int) -> float:
    """Return a share in percent for a bar, 0 to 100."""
    return min(100.0, 100 * part / whole) if whole else 0.0


def needed(percent: int, whole: int) -> int:
    """Return how many of so many a percentage asks for, at least."""
    return -(-percent * whole // 100)


def term_text(term_ms: int) -> str:
    """Return a stretch of time as people say it: `7 days`, `1 day`, `90 minutes`."""
    for size, noun in ((_DAY_MS, "day"), (_HOUR_MS, "hour"), (_MINUTE_MS, "minute")):
        if term_ms and term_ms % size == 0:
            return counted(term_ms // size, noun)
    return counted(max(1, term_ms // 1_000), "second") if term_ms else "no time"


def until_text(at_ms: int, *, now_ms: int) -> str:
    """Return how far off a moment is, in the largest whole unit: `in 6 days`, `2 hours ago`."""
    off = abs(at_ms - now_ms)
    for size, noun in ((_DAY_MS, "day"), (_HOUR_MS, "hour"), (_MINUTE_MS, "minute")):
        if off >= size:
            said = counted(off // size, noun)
            return f"in {said}" if at_ms > now_ms else f"{said} ago"
    return "in less than a minute" if at_ms > now_ms else "just now"


def effect_text(effect: Effect, titles: Mapping[str, str]) -> str:
    """Return what a proposal leads to, as a sentence without a full stop."""
    match effect:
        case SpendEffect():
            source = account_name(effect.from_account, titles).words
            target = account_name(effect.to_account, titles).words
            return f"{amount_text(effect.amount, effect.unit)} go from {source} to {target}"
        case DistributionEffect():
            source = account_name(effect.from_account, titles).words
            amount = amount_text(effect.surplus, effect.unit)
            return f"{amount} of {source} go to {counted(len(effect.lines), 'account')}, by weight"
        case MembershipEffect():
            return _membership(effect)
        case ConfigurationEffect():
            return _configuration(effect, titles)
        case AgreementEffect():
            return _agreement(effect, titles)
        case _:
            return "Being accepted is all there is to it"


def member_name(member_id: str) -> str:
    """Return a member's name: `Mara` of `river-city-tool-library/mara`."""
    return member_id.rpartition("/")[2].replace("-", " ").title() or member_id


def _membership(effect: MembershipEffect) -> str:
    who = effect.name or member_name(effect.member_id)
    match effect.action:
        case "admit":
            return f"{who} becomes a member"
        case "remove":
            return f"{who} is a member no more"
        case _:
            return f"{who} signs with another key"


def _agreement(effect: AgreementEffect, titles: Mapping[str, str]) -> str:
    """Return what the coop's home node signs."""
    if effect.terms is None:
        return f"The coop gives notice of agreement {effect.agreement[:12]}…"
    parties = all_of([titles.get(coop, coop) for coop in effect.terms.parties])
    return f"The coop signs “{effect.terms.title}”, an agreement of {parties}"


def _configuration(effect: ConfigurationEffect, titles: Mapping[str, str]) -> str:
    said = [] if effect.rule is None else _rule(effect.rule)
    for change in effect.accounts:
        name = account_name(change.account, titles).words
        if change.closed is not None:
            said.append(f"{name} is {'closed' if change.closed else 'opened again'}")
        if change.floor is not None:
            said.append(f"{name} may owe {amount_text(-change.floor, change.unit)}")
    whole = ", ".join(said) or "nothing changes"
    return f"{whole[:1].upper()}{whole[1:]}"


def _rule(change: RuleChange) -> list[str]:
    said = []
    if change.quorum_percent is not None:
        said.append(f"the quorum is {change.quorum_percent} %")
    if change.approval_percent is not None:
        said.append(f"approval takes {change.approval_percent} %")
    if change.voting_period_ms is not None:
        said.append(f"votes last {term_text(change.voting_period_ms)}")
    if change.challenge_window_ms is not None:
        said.append(f"effects wait {term_text(change.challenge_window_ms)}")
    if change.votes_final is not None:
        said.append("votes are final" if change.votes_final else "votes may be changed")
    return said
