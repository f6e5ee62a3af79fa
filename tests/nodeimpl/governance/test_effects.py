"""What was decided is done once, exactly as decided, in its time, and not otherwise."""

from __future__ import annotations

import asyncio

import pytest

from opkit.wire import deciding as no
from opkit.wire.base import PERIOD_MS_MAX
from opkit.wire.errors import Refusal
from opkit.wire.ledger import AccountClosed, SettleLine
from opkit.wire.membership import DidTaken, MemberMissing
from opkit.wire.votes import (
    EXECUTE_WITHIN_MS,
    AccountChange,
    ConfigurationEffect,
    MembershipEffect,
    RuleChange,
)
from tests.nodeimpl.governance.conftest import (
    COOP,
    PERIOD_MS,
    RESERVE,
    ROOFER,
    SPEND,
    SURPLUS,
    WINDOW_MS,
    Coop,
    Made,
    distribution,
    key_of,
)


def test_another_amount_or_recipient_is_refused_and_named(made: Made) -> None:
    async def story(coop: Coop) -> None:
        await coop.fund()
        view = await coop.decide(SPEND)
        coop.pass_time(WINDOW_MS)
        for field, value in (
            ("amount", 1_200_001),
            ("to_account", f"{COOP}:vendor/other"),
            ("unit", "commons-credits"),
            ("memo", "beer"),
        ):
            with pytest.raises(no.EffectAltered) as altered:
                await coop.execute(view, effect=SPEND.model_copy(update={field: value}))
            assert altered.value.field == field
        with pytest.raises(no.EffectAltered) as altered:
            await coop.execute(view, effect=distribution())
        assert altered.value.field == "kind"
        with pytest.raises(no.EffectAltered) as altered:
            await coop.execute(view, decision="0" * 64)
        assert altered.value.field == "decision"
        assert await coop.balance(RESERVE) == 4_800_000

    made.run(story)


def test_used_and_future_nonces_are_refused(made: Made) -> None:
    async def story(coop: Coop) -> None:
        await coop.fund()
        rejected = await coop.decide(SPEND, yes="", no="abcd")
        view = await coop.decide(SPEND)
        other = await coop.propose(SPEND)
        coop.pass_time(WINDOW_MS)
        assert (rejected.treasury_nonce, view.treasury_nonce, other.treasury_nonce) == (1, 2, 3)
        with pytest.raises(no.NonceUsed):
            await coop.execute(view, treasury_nonce=1)
        with pytest.raises(no.NonceFuture):
            await coop.execute(view, treasury_nonce=4)
        for nonce in (3, None):
            with pytest.raises(no.EffectAltered):
                await coop.execute(view, treasury_nonce=nonce)
        await coop.execute(view, treasury_nonce=2)
        treasury = await coop.treasury()
        assert treasury.next_nonce == 4
        assert [(each.nonce, each.state) for each in treasury.nonces] == [
            (3, "open"),
            (2, "executed"),
            (1, "rejected"),
        ]
        assert [each.account for each in treasury.accounts] == [RESERVE]

    made.run(story)


def test_lines_of_a_distribution_are_those_decided(made_once: Made) -> None:
    async def story(coop: Coop) -> None:
        await coop.fund(SURPLUS, 3_840, "patronage-credits")
        view = await coop.decide(distribution())
        spend = await coop.decide(SPEND)
        lines = tuple(
            SettleLine(account=line.account, amount=line.amount) for line in distribution().lines
        )
        with pytest.raises(no.ChallengeOpen):
            await coop.settle(await coop.decide(distribution()))
        coop.pass_time(WINDOW_MS)
        bent = (lines[0].model_copy(update={"amount": 880}), *lines[1:])
        for wrong in (lines[:4], lines[::-1], bent):
            with pytest.raises(no.EffectAltered):
                await coop.settle(view, lines=wrong)
        with pytest.raises(no.EffectAltered):
            await coop.settle(view, from_account=RESERVE)
        with pytest.raises(no.EffectAltered):
            await coop.settle(view, unit="usd-cents")
        with pytest.raises(no.EffectOtherWay):
            await coop.settle(spend, from_account=RESERVE, unit="usd-cents", lines=lines)
        with pytest.raises(no.ProposalUnknown):
            await coop.settle(view, proposal="0" * 64)
        assert await coop.balance(SURPLUS, "patronage-credits") == 3_840
        await coop.settle(view)

    made_once.run(story)


def test_text_has_no_effect_and_strangers_execute_nothing(made_once: Made) -> None:
    async def story(coop: Coop) -> None:
        view = await coop.decide()
        assert (view.state, view.ended_ms) == ("accepted", view.closed_ms)
        coop.pass_time(WINDOW_MS + EXECUTE_WITHIN_MS)
        with pytest.raises(no.EffectNone):
            await coop.execute(view)
        assert (await coop.show(view)).state == "accepted", "a resolution does not expire"
        with pytest.raises(no.AssemblyNotYours):
            await coop.execute(view, by="mill/x")

    made_once.run(story)


def test_a_decision_expires_to_the_millisecond(made: Made) -> None:
    async def story(coop: Coop) -> None:
        await coop.fund()
        first, second = await coop.decide(SPEND), await coop.decide(SPEND)
        until_ms = first.executable_until_ms
        assert until_ms is not None
        coop.pass_time(until_ms - 1 - coop.clock.world_ms())
        await coop.execute(first)
        assert second.executable_until_ms is not None
        coop.pass_time(second.executable_until_ms - coop.clock.world_ms())
        with pytest.raises(no.DecisionExpired):
            await coop.execute(second)
        await coop.write(coop.timers.catch_up)
        shown = await coop.show(second)
        assert (shown.state, shown.ended_ms) == ("expired", second.executable_until_ms)
        assert len(await coop.told("governance.decision-expired")) == 1

    made.run(story)


def test_two_who_execute_at_once_have_one_effect(made: Made) -> None:
    async def story(coop: Coop) -> None:
        await coop.fund()
        view = await coop.decide(SPEND)
        coop.pass_time(WINDOW_MS)
        done = await asyncio.gather(
            *(coop.execute(view, by=name) for name in "abcde" * 4), return_exceptions=True
        )
        assert sum(not isinstance(each, BaseException) for each in done) == 1
        assert sum(isinstance(each, no.EffectExecuted) for each in done) == 19
        assert await coop.balance(ROOFER) == 1_200_000

    made.run(story)


def test_a_rule_that_was_decided_governs_what_is_opened_after(made: Made) -> None:
    async def story(coop: Coop) -> None:
        change = ConfigurationEffect(
            rule=RuleChange(quorum_percent=100, voting_period_ms=10),
            accounts=(
                AccountChange(account=ROOFER, unit="usd-cents", closed=True),
                AccountChange(account=RESERVE, unit="usd-cents", floor=-5),
            ),
        )
        open_before = await coop.propose()
        decided = await coop.decide(change)
        coop.pass_time(WINDOW_MS)
        done = await coop.execute(decided)
        assert (done.rule.quorum_percent, done.rule.approval_percent) == (100, 67)
        assert done.rule.decision == decided.decision
        assert (await coop.show(open_before)).rule.decision is None
        view = await coop.propose(SPEND)
        assert view.closes_ms == coop.clock.world_ms() + 10
        await coop.votes(view, yes="abcd")
        coop.pass_time(10)
        assert (await coop.close(view)).outcome == "no-quorum"
        accounts = {each.account: each for each in (await coop.treasury()).accounts}
        assert (accounts[RESERVE].floor, accounts[RESERVE].decision) == (-5, decided.decision)
        await coop.fund()
        view = await coop.propose(SPEND)
        await coop.votes(view, yes="abcde")
        coop.pass_time(10)
        view = await coop.close(view)
        coop.pass_time(WINDOW_MS)
        with pytest.raises(AccountClosed):
            await coop.execute(view)

    made.run(story)


def test_an_assembly_that_took_the_longest_periods_still_decides(made_once: Made) -> None:
    async def story(coop: Coop) -> None:
        longest = RuleChange(voting_period_ms=PERIOD_MS_MAX, challenge_window_ms=PERIOD_MS_MAX)
        decided = await coop.decide(ConfigurationEffect(rule=longest))
        coop.pass_time(WINDOW_MS)
        await coop.execute(decided)
        view = await coop.propose(ConfigurationEffect(rule=RuleChange(voting_period_ms=10)))
        await coop.votes(view, yes="abcd")
        coop.pass_time(PERIOD_MS_MAX)
        view = await coop.close(view)
        coop.pass_time(PERIOD_MS_MAX)
        assert (await coop.execute(view)).rule.voting_period_ms == 10

    made_once.run(story)


@pytest.mark.parametrize(
    ("effect", "leaf"),
    [
        (MembershipEffect(action="remove", member_id=f"{COOP}/z"), MemberMissing),
        (
            MembershipEffect(action="rekey", member_id=f"{COOP}/b", did=key_of(f"{COOP}/c").did),
            DidTaken,
        ),
    ],
)
def test_what_membership_refuses_leaves_the_decision_as_it_was(
    made_once: Made, effect: MembershipEffect, leaf: type[Refusal]
) -> None:
    async def story(coop: Coop) -> None:
        view = await coop.decide(effect)
        coop.pass_time(WINDOW_MS)
        with pytest.raises(leaf):
            await coop.execute(view)
        assert (await coop.show(view)).state == "accepted"

    made_once.run(story)


def test_removal_ends_scopes_at_once(made_once: Made) -> None:
    async def story(coop: Coop) -> None:
        ended = []
        coop.membership.on_revoked(lambda revoked: ended.append(revoked.member_id))
        view = await coop.decide(MembershipEffect(action="remove", member_id=f"{COOP}/e"))
        coop.pass_time(WINDOW_MS)
        done = await coop.execute(view)
        assert done.member is not None and not done.member.active
        assert ended == [f"{COOP}/e"]

    made_once.run(story)


def test_a_period_is_half_open(made_once: Made) -> None:
    async def story(coop: Coop) -> None:
        view = await coop.propose()
        coop.pass_time(PERIOD_MS - 1)
        await coop.votes(view, yes="abc")
        with pytest.raises(no.VotingRunning):
            await coop.close(view)
        coop.pass_time(1)
        with pytest.raises(no.VotingOver):
            await coop.cancel(view)
        view = await coop.close(view)
        assert view.challenge_ends_ms == coop.clock.world_ms() + WINDOW_MS

    made_once.run(story)
