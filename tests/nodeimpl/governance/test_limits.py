"""How much an assembly may have under way, and how many may vote; the first reason is given."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest

from nodeimpl.governance.rules import Limits, judge_opening
from nodeimpl.governance.states import AssemblyState
from opkit.wire import deciding as no
from opkit.wire.errors import Refusal
from opkit.wire.votes import ELECTORATE_MAX, NO_DECISION, Proposal, Rule
from tests.nodeimpl.governance.conftest import COOP, NETWORK, SPEND, Coop, Made, key_of

RULE = Rule(
    quorum_percent=50,
    approval_percent=60,
    voting_period_ms=7,
    challenge_window_ms=1,
    votes_final=False,
    decision=None,
)
SAID = Proposal(
    network=NETWORK,
    aud=COOP,
    did=key_of(f"{COOP}/a").did,
    member_id=f"{COOP}/a",
    proposal_id="roof",
    title="A roof",
    text="",
    effect=SPEND,
    treasury_nonce=5,
    rule=RULE,
    electorate_hash="e" * 64,
    electors=3,
    issued_at_ms=0,
)
LIMITS = Limits(under_way_per_coop_max=4, under_way_per_member_max=2)

FAULTS: list[tuple[type[Refusal], dict[str, Any]]] = [
    (no.RuleChanged, {"rule": RULE.model_copy(update={"quorum_percent": 51})}),
    (no.ElectorateTooLarge, {"electors": ELECTORATE_MAX + 1}),
    (no.ElectorateChanged, {"electorate_hash": "f" * 64}),
    (no.NonceUsed, {"next_nonce": 6}),
    (no.NonceFuture, {"next_nonce": 4}),
    (no.ProposalsExhausted, {"under_way": 4}),
    (no.ProposalsExhausted, {"under_way_of_member": 2}),
]
"""What is wrong at an opening, in order of precedence."""


def judge(**changes: Any) -> None:
    """Judge an opening at which all is as stated but what is named."""
    found: dict[str, Any] = {
        "rule": RULE,
        "next_nonce": 5,
        "electorate_hash": "e" * 64,
        "electors": 3,
        "under_way": 3,
        "under_way_of_member": 1,
        **changes,
    }
    assembly = AssemblyState(
        coop=COOP,
        rule=found.pop("rule"),
        next_nonce=found.pop("next_nonce"),
        decisions=0,
        last_decision=NO_DECISION,
    )
    judge_opening(SAID, assembly=assembly, limits=LIMITS, **found)


def test_what_is_stated_as_it_is_may_be_opened() -> None:
    judge()


@pytest.mark.parametrize(("refusal", "fault"), FAULTS)
def test_what_is_stated_otherwise_is_refused(refusal: type[Refusal], fault: dict[str, Any]) -> None:
    with pytest.raises(refusal):
        judge(**fault)


@pytest.mark.parametrize(("first", "second"), list(combinations(FAULTS, 2)))
def test_of_two_reasons_the_first_is_given(
    first: tuple[type[Refusal], dict[str, Any]], second: tuple[type[Refusal], dict[str, Any]]
) -> None:
    with pytest.raises(first[0]):
        judge(**(second[1] | first[1]))


def test_the_refusals_say_what_would_do() -> None:
    with pytest.raises(no.ElectorateTooLarge) as large:
        judge(electors=ELECTORATE_MAX + 1)
    assert large.value.limit == ELECTORATE_MAX
    with pytest.raises(no.RuleChanged) as rule:
        judge(**FAULTS[0][1])
    assert rule.value.field == "quorum_percent"
    with pytest.raises(no.ProposalsExhausted) as full:
        judge(under_way=4, under_way_of_member=2)
    assert full.value.limit == LIMITS.under_way_per_coop_max


def test_a_member_and_an_assembly_have_so_many_under_way_drafts_too(made: Made) -> None:
    """Whoever makes many proposals leaves others room for theirs, and gets room by ending one."""

    async def story(coop: Coop) -> None:
        first = await coop.propose(by="a")
        await coop.propose(by="a", open_now=False)
        for open_now in (True, False):
            with pytest.raises(no.ProposalsExhausted) as own:
                await coop.propose(by="a", open_now=open_now)
            assert own.value.limit == 2
        draft = await coop.propose(by="b", open_now=False)
        with pytest.raises(no.ProposalsExhausted) as all_:
            await coop.propose(by="c")
        assert all_.value.limit == 3
        await coop.open(draft.proposal_id, by="b")
        await coop.cancel(first)
        await coop.propose(by="c")

    made.run(story, limits=Limits(under_way_per_coop_max=3, under_way_per_member_max=2))
