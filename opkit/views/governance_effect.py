"""What a proposal leads to, when, and why to believe its decision: from draft to executed."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import NamedTuple

from opkit.story.states import State
from opkit.views.amounts import counted, moment_html
from opkit.views.cards import card, control, empty, pill, scroll
from opkit.views.chains import chain_html, proof_acts
from opkit.views.governance_figures import GovernanceFigures
from opkit.views.ledger_figures import ProofFigure
from opkit.views.money import account_name, amount_html
from opkit.views.page import icon
from opkit.views.proposals import effect_text, member_name, term_text, until_text
from opkit.views.values import values_table
from opkit.wire.governance import ProposalView
from opkit.wire.votes import DistributionEffect, DistributionLine

LINES_MAX = 40
"""How many lines of a distribution are listed."""


class Stage(NamedTuple):
    """One stage of a proposal's way: what it is, how it is, when, and what belongs to it."""

    state: State
    title: str
    at_ms: int | None
    says: str = ""


def effect(
    told: GovernanceFigures | None,
    titles: Mapping[str, str],
    *,
    proof: ProofFigure | None,
    world_ms: int,
    now_ms: int,
) -> str:
    """Return what the chosen proposal leads to, and its decision's proof; `verify` is asked."""
    question = "What does it lead to, and why believe it?"
    if told is None or told.chosen is None:
        hint = (
            "Of a decided proposal, the decision is fetched, and its votes are counted here again."
        )
        return card(question, empty("No proposal is chosen.", hint))
    view = told.chosen.view
    way = "".join(_stage(each, world_ms=world_ms) for each in stages(view, world_ms=world_ms))
    body = (
        f'<div data-begins="{escape(view.proposal)}"></div>'
        f"<p><b>{escape(effect_text(view.effect, titles))}.</b></p>{_lines(view, titles)}"
        f'<ol class="chain way">{way}</ol>{_believed(view, proof, now_ms=now_ms)}'
        f"<h3>What it says, to the letter</h3>{values_table(_facts(view))}"
    )
    return card(question, scroll(body, name="What it leads to"))


def stages(view: ProposalView, *, world_ms: int) -> list[Stage]:
    """Return the way of a proposal, from its draft to its effect."""
    who = member_name(view.member_id)
    way = [Stage(State.DONE, f"{who} put it before the assembly", view.drafted_ms)]
    if view.opened_ms is None:
        ended = view.state == "cancelled"
        title = "It was cancelled as a draft" if ended else "Voting is not open yet"
        return [*way, Stage(State.DONE if ended else State.WAITING, title, view.ended_ms)]
    fixed = f"{counted(view.electors, 'member')} may vote: that is fixed now"
    way.append(Stage(State.DONE, "Voting opened", view.opened_ms, fixed))
    if view.closed_ms is None:
        over = view.closes_ms is not None and view.closes_ms <= world_ms
        title = "Voting is over and waits to be counted" if over else "Voting goes on"
        return [*way, Stage(State.RUNNING, title, view.closes_ms), *_later(view)]
    said = "" if view.outcome is None else view.outcome.replace("-", " ")
    way.append(Stage(State.DONE, f"Voting closed: {said}", view.closed_ms))
    if view.voided_by is not None:
        way.append(_voided(view))
        return way
    if view.outcome != "cancelled":
        way.append(_challenge(view, world_ms=world_ms))
    return [*way, *_effect(view, world_ms=world_ms)]


def _later(view: ProposalView) -> list[Stage]:
    wait = f"For {term_text(view.rule.challenge_window_ms)} votes may be shown to be missing"
    later = [Stage(State.WAITING, "Challenge window", None, wait)]
    if view.kind != "text":
        later.append(Stage(State.WAITING, "Its effect, if it is accepted", None))
    return later


def _voided(view: ProposalView) -> Stage:
    by = view.voided_by
    assert by is not None, "asked for only if it is void"
    who = member_name(by.member_id)
    says = f"The tally missed the vote of {who}, who showed the receipt for it."
    return Stage(State.FAILED, "The decision is void", by.voided_ms, says)


def _challenge(view: ProposalView, *, world_ms: int) -> Stage:
    ends_ms = view.challenge_ends_ms or 0
    if ends_ms > world_ms:
        says = f"Whoever can show a vote that is missing voids it; ends {_until(ends_ms, world_ms)}"
        return Stage(State.RUNNING, "Votes may be shown to be missing", ends_ms, says)
    return Stage(State.DONE, "Nobody showed that a vote was missing", ends_ms)


def _effect(view: ProposalView, *, world_ms: int) -> list[Stage]:
    if view.kind == "text":
        return []
    if view.executed_ms is not None:
        nonce = f"treasury nonce {view.treasury_nonce}" if view.treasury_nonce else ""
        return [Stage(State.DONE, "Its effect was executed, once", view.executed_ms, nonce)]
    if view.state == "expired":
        says = "Nobody executed it in time; it never will be."
        return [Stage(State.WAITING, "It expired", view.executable_until_ms, says)]
    if view.state != "accepted":
        says = f"Nonce {view.treasury_nonce} is used up." if view.treasury_nonce else ""
        return [Stage(State.WAITING, "It has no effect", None, says)]
    ends_ms = view.challenge_ends_ms or 0
    until_ms = view.executable_until_ms or 0
    if ends_ms > world_ms:
        return [Stage(State.WAITING, "Its effect waits for the window", ends_ms)]
    says = f"opkit proposal execute, or expires {_until(until_ms, world_ms)}"
    return [Stage(State.RUNNING, "Its effect may be executed", None, says)]


def _until(at_ms: int, world_ms: int) -> str:
    return until_text(at_ms, now_ms=world_ms)


def _stage(each: Stage, *, world_ms: int) -> str:
    at = f"<small>{moment_html(each.at_ms, now_ms=world_ms)}</small>" if each.at_ms else ""
    says = f"<span>{escape(each.says)}</span>" if each.says else ""
    return f"<li>{icon(each.state)}<div><b>{escape(each.title)}</b>{says}{at}</div></li>"


def _lines(view: ProposalView, titles: Mapping[str, str]) -> str:
    """Return what each account gets of a distribution, and by which weight."""
    if not isinstance(view.effect, DistributionEffect):
        return ""
    effect_ = view.effect
    rows = "".join(_line(each, effect_.unit, titles) for each in effect_.lines[:LINES_MAX])
    rest = len(effect_.lines) - LINES_MAX
    more = f'<li class="soft">and {rest:,} more</li>' if rest > 0 else ""
    return f'<ul class="postings">{rows}{more}</ul>'


def _line(each: DistributionLine, unit: str, titles: Mapping[str, str]) -> str:
    words = account_name(each.account, titles).words
    return (
        f'<li><span title="{escape(each.account)}">{escape(words)}'
        f"<small>weight {each.weight:,}</small></span><b>{amount_html(each.amount, unit)}</b></li>"
    )


def _believed(view: ProposalView, proof: ProofFigure | None, *, now_ms: int) -> str:
    """Return the decision's proof, or how to have it verified here."""
    if view.decision is None:
        return '<p class="soft">There is no decision yet: the home node signs one at the close.</p>'
    if proof is None or proof.subject != view.proposal:
        verify = control("Verify the decision", "verify", kind="main", proposal=view.proposal)
        return (
            "<p>Its home node signed the decision. A check here trusts no node: votes are read and "
            f"counted again, from the genesis that this machine keeps.</p>{verify}"
        )
    tone, words = (State.DONE, "verified here") if proof.ok else (State.FAILED, "it breaks here")
    at = moment_html(proof.verified_ms, now_ms=now_ms)
    note = f"<p>{escape(proof.trouble)}</p>" if proof.trouble else ""
    again = control("Verify again", "verify", kind="main", proposal=view.proposal)
    acts = proof_acts(proof.proof, file=proof.file, again=again)
    return (
        f'<p class="verdict">{pill(tone, words)}<span class="soft">at {at}</span></p>{note}'
        f"{chain_html(proof.chain)}{acts}"
    )


def _facts(view: ProposalView) -> dict[str, object]:
    facts: dict[str, object] = {
        "id": view.proposal_id,
        "proposal": view.proposal,
        "proposed by": view.member_id,
        "electorate": view.electorate_hash,
        "treasury nonce": view.treasury_nonce,
        "decision": view.decision,
        "entry": view.entry,
    }
    return {name: said for name, said in facts.items() if said is not None}
