"""Why a decision is believed, link by link, verified here from the genesis that this machine keeps.

What leaves a coop of a decision is attested: its home node signs the tally and commits to every
ballot, but hands no ballot to who is not of the coop. So the tally is not recounted here, and that
is said; a coop's own members recount it (`opkit decision verify`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from opkit.live.asking import SILENT
from opkit.live.homes import Home, home_of
from opkit.live.live import Live
from opkit.live.ports import PageRefused
from opkit.proof.checks import Check, ProofError, equal
from opkit.proof.decision import examine_attested, read_file
from opkit.proof.patronage import allocate
from opkit.story.report import CheckRecord
from opkit.views.amounts import counted
from opkit.views.figures import ChainLink
from opkit.views.ledger_figures import ProofFigure
from opkit.views.money import account_name, amount_text
from opkit.views.proposals import effect_text, percent_text
from opkit.wire.governance import (
    LIST_PROPOSALS,
    READ_DECISION,
    AskDecision,
    ListProposals,
    ProposalView,
)
from opkit.wire.ledger import Entry, Posting
from opkit.wire.votes import (
    AttestedDecision,
    AttestedFile,
    DistributionEffect,
    Effect,
    SpendEffect,
)

PAGES_MAX: Final = 10
"""Among how many pages of proposals the one is looked for that a decision is on."""

NOTE: Final = "The tally is attested, not recounted: ballots are for the coop’s own members."

_LINKS: Final = {
    "signed": ("attestation-signature", "home-node", "rule-chartered"),
    "tally": ("tally-sum", "tally-within", "outcome"),
    "ballots": ("commitments-root", "commitments-counted", "ballots-committed"),
    "effect": ("effect-well-formed",),
}
"""Which checks belong to which link; all others are of the times."""


@dataclass(frozen=True, kw_only=True)
class Decided:
    """An attested decision as it was examined; `said` is None if its signature does not verify."""

    hash: str
    checks: tuple[Check, ...]
    said: AttestedDecision | None
    proof: Any


async def decision_of(live: Live, home: Home, *, decision: str) -> Decided:
    """Return the decision that an entry cites.

    Raises:
        PageRefused: its home tells of no such decision.
        CoopError, ControlRefused: its home does not answer.
    """
    after = 0
    for _ in range(PAGES_MAX):
        ask = ListProposals(coop=home.coop, after=after, proposals_max=200)
        page = await live.call(home.org, LIST_PROPOSALS, ask)
        for each in page.proposals:
            if each.decision == decision:
                return await _decided(live, home, proposal=each.proposal, decision=decision)
        after = page.next_after
        if not after:
            break
    raise PageRefused(f"{home.title} tells of no decision {decision}.")


async def prove_decision(live: Live, coop: str, view: ProposalView) -> ProofFigure:
    """Return why the decision on a proposal is believed, with every check made here and now.

    Raises:
        PageRefused: its home is not followed, or does not hand it over.
    """
    home = home_of(live, coop)
    if home is None:
        raise PageRefused("The home node of this assembly is not followed.")
    if view.decision is None:
        raise PageRefused("There is no decision yet: the home node signs one at the close.")
    try:
        decided = await _decided(live, home, proposal=view.proposal, decision=view.decision)
    except SILENT as no:
        raise PageRefused(f"{home.title} does not hand the decision over: {no}") from no
    noted = live.book.votes.get((home.org, view.proposal), {})
    is_whole = live.followed[home.org].skipped == 0
    links = _links(decided, journalled=len(noted) if is_whole else None)
    return ProofFigure(
        subject=view.proposal,
        ok=all(link.ok for link in links),
        verified_ms=live.now_ms(),
        chain=tuple(links),
        proof=json.dumps(decided.proof, indent=2),
        file=f"{view.proposal_id}.decision.json",
        trouble=NOTE,
    )


def decision_links(decided: Decided, *, entry: Entry, account: str) -> list[ChainLink]:
    """Return the links from an entry down to the votes that its decision was made by.

    Args:
        decided: the decision that the entry cites.
        entry: which.
        account: of which of its accounts one asks; empty: of all that got something.
    """
    said = decided.said
    links = [] if said is None else [_executed(said, entry)]
    if said is not None and isinstance(said.effect, DistributionEffect):
        links.append(_shared(said.effect, account=account))
    return [*links, *_links(decided, journalled=None)]


async def _decided(live: Live, home: Home, *, proposal: str, decision: str) -> Decided:
    ask = AskDecision(coop=home.coop, proposal_id=proposal, form="attested")
    answer = await live.call(home.org, READ_DECISION, ask)
    try:
        file = read_file(answer.file)
    except ProofError as bad:
        raise PageRefused(f"{home.title} handed over what is no decision: {bad.why}") from bad
    if not isinstance(file, AttestedFile):
        raise PageRefused(f"{home.title} handed over another form of the decision than was asked.")
    verdict, said = examine_attested(file, genesis=live.source.genesis)
    cited = []
    if said is not None:
        cited = [
            equal("decision-cited", expected=decision, actual=said.decision),
            equal("proposal-cited", expected=proposal, actual=said.proposal),
        ]
    return Decided(
        hash=decision,
        checks=(*verdict.checks, *cited),
        said=said,
        proof=file.model_dump(mode="json"),
    )


def _links(decided: Decided, *, journalled: int | None) -> list[ChainLink]:
    """Return a decision's own links.

    Args:
        decided: the decision.
        journalled: how many members' votes the journal of its home notes; None if that is unknown.
    """
    said, checks = decided.said, decided.checks
    names = {name for group in _LINKS.values() for name in group}
    rest = [each for each in checks if each.name not in names]
    if said is None:
        return [_link("signed", "the decision", "", checks)]
    tally, rule = said.tally, said.rule
    sealed = _of(checks, "ballots")
    if journalled is not None:
        sealed.append(equal("votes-journalled", expected=journalled, actual=said.commitments))
    return [
        _link(
            "tally",
            f"decided by {counted(tally.electorate, 'member')}: {tally.yes:,} for, "
            f"{tally.no:,} against",
            f"quorum {rule.quorum_percent} %, reached "
            f"{percent_text(tally.cast, tally.electorate)}; approval {rule.approval_percent} %, "
            f"reached {percent_text(tally.yes, tally.yes + tally.no)}",
            _of(checks, "tally"),
        ),
        _link(
            "ballots",
            f"{counted(said.commitments, 'ballot')} sealed in it",
            "No ballot can be taken out or put in later: its voter’s receipt would show it.",
            sealed,
        ),
        _link("effect", "what was decided", effect_text(said.effect, {}), _of(checks, "effect")),
        _link(
            "times",
            "it was open as long as the rule says",
            f"decision {said.sequence:,} of the assembly",
            rest,
        ),
        _link(
            "signed",
            "its home node signed it",
            f"decision {decided.hash}",
            _of(checks, "signed"),
        ),
    ]


def _executed(said: AttestedDecision, entry: Entry) -> ChainLink:
    """Return the link from an entry to the effect that was decided."""
    effect = said.effect
    due = {(each.account, each.unit): each.amount for each in _postings(effect)}
    posted = {(each.account, each.unit): each.amount for each in entry.postings}
    checks = [
        equal("decision-accepted", expected="accepted", actual=said.outcome),
        equal("postings-as-decided", expected=_spelled(due), actual=_spelled(posted)),
    ]
    return _link(
        "executed",
        f"“{said.title}” was accepted",
        f"The entry moves exactly what was decided, {counted(len(due), 'posting')}.",
        checks,
    )


def _postings(effect: Effect) -> list[Posting]:
    match effect:
        case SpendEffect():
            sides = ((effect.from_account, -effect.amount), (effect.to_account, effect.amount))
            return [Posting(account=a, unit=effect.unit, amount=n) for a, n in sides]
        case DistributionEffect():
            lines = [(effect.from_account, -effect.surplus)]
            lines += [(each.account, each.amount) for each in effect.lines if each.amount]
            return [Posting(account=a, unit=effect.unit, amount=n) for a, n in lines]
        case _:
            return []


def _spelled(postings: dict[tuple[str, str], int]) -> str:
    return ", ".join(f"{a} {n} {unit}" for (a, unit), n in sorted(postings.items()))


def _shared(effect: DistributionEffect, *, account: str) -> ChainLink:
    """Return the link that shows how a surplus was split, computed here again."""
    weights = {each.account: each.weight for each in effect.lines}
    whole = sum(weights.values())
    try:
        parts = allocate(effect.surplus, weights)
    except ProofError as bad:
        parts, why = {}, bad.why
    else:
        why = ""
    told = {each.account: each.amount for each in effect.lines}
    checks = [
        Check(
            name="largest-remainder",
            ok=parts == told,
            expected=why or ", ".join(f"{name} {part}" for name, part in parts.items()),
            actual=", ".join(f"{name} {part}" for name, part in sorted(told.items())),
        ),
        equal("lines-sum", expected=effect.surplus, actual=sum(told.values())),
    ]
    mine = account if account in weights else max(weights, key=lambda each: weights[each])
    name = account_name(mine, {}).words
    return _link(
        "shared",
        f"{name}: {weights[mine]:,} of {whole:,}, largest remainder",
        f"{effect.surplus:,} × {weights[mine]:,} / {whole:,} = "
        f"{_hundredths(effect.surplus * weights[mine], whole)}; "
        f"{name} gets {amount_text(told[mine], effect.unit)}",
        checks,
    )


def _hundredths(part: int, whole: int) -> str:
    """Return a quotient to two decimals, by integers: no float comes near an amount."""
    hundredths = (200 * part + whole) // (2 * whole) if whole else 0
    return f"{hundredths // 100:,}.{hundredths % 100:02d}"


def _of(checks: Sequence[Check], link: str) -> list[Check]:
    return [each for each in checks if each.name in _LINKS[link]]


def _link(name: str, title: str, says: str, checks: Sequence[Check]) -> ChainLink:
    records = tuple(CheckRecord(**vars(each)) for each in checks)
    return ChainLink(name=name, title=title, says=says, checks=records)
