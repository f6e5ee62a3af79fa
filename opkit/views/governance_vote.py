"""Does it pass: how many took part and said yes, against what it takes, and who voted."""

from __future__ import annotations

from html import escape
from typing import Final

from opkit.story.states import State
from opkit.views.amounts import counted, moment_html
from opkit.views.cards import card, empty, pill, scroll
from opkit.views.governance_figures import GovernanceFigures, ProposalFigure, VoteFigure
from opkit.views.page import icon
from opkit.views.proposals import (
    OUTCOMES,
    STATES,
    member_name,
    needed,
    percent_text,
    share,
    until_text,
)
from opkit.views.values import text_html

VOTES_MAX: Final = 200
"""How many votes, and members who cast none, are named."""


def vote(told: GovernanceFigures | None, *, world_ms: int, now_ms: int) -> str:
    """Return how the vote on the chosen proposal stands."""
    question = "Does it pass, and who voted?"
    if told is None or told.chosen is None:
        hint = (
            "Click a proposal: its votes stand here against the quorum and the approval that it "
            "takes."
        )
        return card(question, empty("No proposal is chosen.", hint))
    chosen = told.chosen
    view = chosen.view
    subject = escape(view.proposal)
    body = (
        f'<div data-begins="{subject}" data-bring="{subject}"></div>'
        f"<h3>{escape(view.title)}</h3>{_text(view.text)}{_verdict(chosen, world_ms=world_ms)}"
    )
    if view.opened_ms is not None:
        body += f"{_quorum(chosen)}{_approval(chosen)}{_roll_call(chosen, now_ms=now_ms)}"
    return card(question, scroll(body, name="The vote"))


def _text(text: str) -> str:
    return f'<p class="said-text">{escape(text)}</p>' if text else ""


def _verdict(chosen: ProposalFigure, *, world_ms: int) -> str:
    view = chosen.view
    shown = pill(*STATES[view.state])
    if view.state == "open":
        over = view.closes_ms is not None and view.closes_ms <= world_ms
        ends = (
            "the vote may be closed now"
            if over
            else f"voting ends {until_text(view.closes_ms or 0, now_ms=world_ms)}"
        )
        shown += f'<span class="soft">if it ended now, {OUTCOMES[view.would_be]}; {ends}</span>'
    elif view.outcome is not None and view.outcome != view.state:
        shown += f'<span class="soft">the vote: {escape(view.outcome.replace("-", " "))}</span>'
    return f'<p class="verdict">{shown}</p>'


def _quorum(chosen: ProposalFigure) -> str:
    """Return how many took part, as a bar with the quorum marked on it."""
    tally, rule = chosen.view.tally, chosen.view.rule
    apart = [f"{tally.abstain:,} abstained"] if tally.abstain else []
    apart += [f"{tally.delegated:,} through somebody else"] if tally.delegated else []
    return _meter(
        "Took part",
        f"{tally.cast:,} of {tally.electorate:,}",
        percent_text(tally.cast, tally.electorate),
        filled=share(tally.cast, tally.electorate),
        mark=rule.quorum_percent,
        name=f"quorum {rule.quorum_percent} %: "
        f"{needed(rule.quorum_percent, tally.electorate):,} of {tally.electorate:,}",
        beside=", ".join(apart),
        reached=tally.cast * 100 >= rule.quorum_percent * tally.electorate,
    )


def _approval(chosen: ProposalFigure) -> str:
    """Return how many said yes, of those who said yes or no, with what it takes marked on it."""
    tally, rule = chosen.view.tally, chosen.view.rule
    whole = tally.yes + tally.no
    return _meter(
        "Said yes",
        f"{tally.yes:,} yes, {tally.no:,} no",
        percent_text(tally.yes, whole) if whole else "nobody yet",
        filled=share(tally.yes, whole),
        mark=rule.approval_percent,
        name=f"approval {rule.approval_percent} %"
        + (f": {needed(rule.approval_percent, whole):,} of {whole:,}" if whole else ""),
        beside="of yes and no",
        reached=whole > 0 and tally.yes * 100 >= rule.approval_percent * whole,
    )


def _meter(
    title: str,
    value: str,
    percent: str,
    *,
    filled: float,
    mark: int,
    name: str,
    beside: str,
    reached: bool,
) -> str:
    """Return a bar from zero with what it takes marked and named on it.

    Args:
        title: what is counted.
        value: how many.
        percent: the same as a share, in words.
        filled: the same for the bar, 0 to 100.
        mark: where the threshold is, 0 to 100.
        name: what the threshold is called.
        beside: what else belongs to it.
        reached: whether the threshold is reached, as it is judged by integers.
    """
    state = State.DONE if reached else State.WAITING
    word = "reached" if reached else "not reached"
    side = " late" if mark > 50 else ""
    whole = f"{title}: {value}, {percent}; {name}, {word}"
    return (
        f'<div class="meter" role="img" aria-label="{escape(whole)}"><p><b>{escape(title)}</b>'
        f"<span>{escape(value)}</span><b>{escape(percent)}</b></p>"
        f'<div class="track"><i class="fill" style="width:{filled:.1f}%"></i>'
        f'<i class="mark" style="left:{mark}%"></i></div>'
        f'<p class="takes{side}"><span class="s-{state.value}">{icon(state)}{escape(name)}, {word}'
        f'</span><small class="soft">{escape(beside)}</small></p></div>'
    )


def _roll_call(chosen: ProposalFigure, *, now_ms: int) -> str:
    """Return who voted, as the home node journalled it, each with its commitment to the ballot."""
    view, tally = chosen.view, chosen.view.tally
    rows = "".join(_vote(each, now_ms=now_ms) for each in chosen.votes[:VOTES_MAX])
    rest = VOTES_MAX - len(chosen.votes)
    silent = "has cast none" if view.state == "open" else "cast none"
    rows += "".join(
        f'<li class="soft"><span>{escape(member_name(each))}</span><span>{silent}</span></li>'
        for each in chosen.silent[: max(0, rest)]
    )
    left = len(chosen.votes) + len(chosen.silent) - VOTES_MAX
    more = f'<p class="soft">and {left:,} more</p>' if left > 0 else ""
    if not rows:
        rows = '<li class="soft">Nobody has voted yet: opkit proposal vote.</li>'
    through = (
        f'<p class="soft">{counted(tally.delegated, "vote")} counted through somebody else.</p>'
        if tally.delegated
        else ""
    )
    count = counted(len(chosen.votes), "ballot")
    return (
        f'<h3>Who voted?<span>{count}</span></h3><ul class="roll">{rows}</ul>{more}{through}'
        '<p class="soft">How they voted is for the coop’s own members. Who voted holds the home '
        "node’s receipt: if the tally misses their ballot, that receipt voids the decision.</p>"
    )


def _vote(each: VoteFigure, *, now_ms: int) -> str:
    changed = f", changed {counted(each.times - 1, 'time')}" if each.times > 1 else ""
    return (
        f'<li id="v-{escape(each.member_id)}" data-new>'
        f"<span>{escape(member_name(each.member_id))}{changed}"
        f"<small>commitment {text_html(each.commitment)}</small></span>"
        f'<span class="voted">voted{moment_html(each.at_ms, now_ms=now_ms)}</span></li>'
    )
