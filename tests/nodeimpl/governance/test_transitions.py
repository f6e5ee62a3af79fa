"""Every transition of a proposal: what goes on in which state, and the refusal of all else."""

from __future__ import annotations

from typing import get_args

import pytest

from nodeimpl.governance import states
from opkit.wire import deciding as no
from opkit.wire.errors import Refusal
from opkit.wire.votes import ProposalState
from tests.nodeimpl.governance.conftest import Coop, Known, Made

STATES: tuple[ProposalState, ...] = get_args(ProposalState)

ACTIONS: tuple[states.Action, ...] = (
    "replace",
    "open",
    "vote",
    "close",
    "cancel",
    "execute",
    "challenge",
)

DECIDED: dict[ProposalState, type[Refusal]] = {
    "draft": no.Undecided,
    "open": no.Undecided,
    "rejected": no.NotAccepted,
    "no-quorum": no.NotAccepted,
    "cancelled": no.NotAccepted,
    "executed": no.EffectExecuted,
    "voided": no.DecisionVoided,
    "expired": no.DecisionExpired,
}


def expected(action: states.Action, state: ProposalState) -> type[Refusal] | None:
    """Return what an action is refused with in a state; None if the state lets it go on."""
    if action == "replace":
        return None if state == "draft" else no.ProposalTaken
    if action == "open":
        return None if state == "draft" else no.ProposalNotDraft
    if action in ("vote", "close"):
        return None if state == "open" else no.ProposalNotOpen
    if action == "cancel":
        return None if state in ("draft", "open") else no.ProposalNotOpen
    if action == "execute":
        return DECIDED.get(state)
    if state in ("accepted", "rejected", "no-quorum"):
        return None
    return no.ChallengeLate if state == "expired" else DECIDED[state]


async def attempt(coop: Coop, action: states.Action, known: Known) -> None:
    """Try an action on a proposal."""
    view = known.view
    if action == "replace":
        await coop.propose(view.effect, open_now=False, proposal_id=view.proposal_id, title="other")
    elif action == "open":
        await coop.open(view.proposal_id)
    elif action == "vote":
        await coop.vote(view, "e")
    elif action == "close":
        await coop.close(view)
    elif action == "cancel":
        await coop.cancel(view)
    elif action == "execute":
        await coop.execute(view)
    else:
        ballot = known.ballot or coop.ballot(view, "b")
        await coop.challenge(view, ballot=ballot, receipt=known.receipt or ballot)


def test_the_table_says_what_these_tests_expect() -> None:
    for action in ACTIONS:
        allowed = {state for state in STATES if expected(action, state) is None}
        assert states.ALLOWED[action] == allowed, action
    assert {*states.ALLOWED} == {*ACTIONS, "expire"}
    assert states.ALLOWED["expire"] == {"accepted"}


@pytest.mark.parametrize("state", STATES)
def test_each_state_is_reached_and_refuses_what_it_does_not_allow(
    made: Made, state: ProposalState
) -> None:
    async def story(coop: Coop) -> None:
        await coop.fund()
        known = await coop.in_state(state)
        assert known.view.state == state
        before = await coop.show(known.view)
        for action in ACTIONS:
            leaf = expected(action, state)
            if leaf is None:
                continue
            with pytest.raises(leaf) as refused:
                await attempt(coop, action, known)
            assert type(refused.value) is leaf
        assert await coop.show(known.view) == before, "a refusal changes nothing"

    made.run(story)


@pytest.mark.parametrize(
    ("action", "state", "after"),
    [
        ("replace", "draft", "draft"),
        ("open", "draft", "open"),
        ("cancel", "draft", "cancelled"),
        ("cancel", "open", "cancelled"),
    ],
)
def test_what_a_state_allows_leads_on(
    made_once: Made, action: states.Action, state: ProposalState, after: ProposalState
) -> None:
    async def story(coop: Coop) -> None:
        known = await coop.in_state(state)
        await attempt(coop, action, known)
        assert (await coop.show(known.view)).state == after

    made_once.run(story)


@pytest.mark.parametrize("state", ["accepted", "rejected", "no-quorum"])
def test_each_outcome_of_a_vote_can_be_voided(made_once: Made, state: ProposalState) -> None:
    async def story(coop: Coop) -> None:
        view = await coop.propose()
        ballot = coop.ballot(view, "e")
        receipt = (await coop.hand_in(view, ballot)).receipt
        await coop.drop_ballot(view, "e")
        await coop.votes(
            view, **{"accepted": {"yes": "abcd"}, "rejected": {"no": "abcd"}}.get(state, {})
        )
        coop.pass_time(7 * 86_400_000)
        view = await coop.close(view)
        assert view.state == state
        fallen = await coop.challenge(view, ballot=ballot, receipt=receipt, by="c")
        assert fallen.state == "voided"
        assert fallen.voided_by is not None
        assert fallen.voided_by.member_id == "yard/e"
        assert len(await coop.told("governance.decision-voided")) == 1

    made_once.run(story)
