"""An assembly from proposal to effect, on both engines."""

from __future__ import annotations

import pytest

from opkit.wire import deciding as no
from opkit.wire.ledger import Overdrawn
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
)


def test_a_decided_spend_is_posted_once(made: Made) -> None:
    async def story(coop: Coop) -> None:
        await coop.fund()
        view = await coop.propose(SPEND)
        assert (view.state, view.treasury_nonce, view.electors) == ("open", 1, 5)
        await coop.votes(view, yes="abc", no="d")
        with pytest.raises(no.VotingRunning):
            await coop.close(view)
        coop.pass_time(PERIOD_MS)
        with pytest.raises(no.VotingOver):
            await coop.vote(view, "e")
        decided = await coop.close(view)
        assert (decided.state, decided.outcome) == ("accepted", "accepted")
        assert decided.tally.model_dump() == {
            "electorate": 5,
            "cast": 4,
            "yes": 3,
            "no": 1,
            "abstain": 0,
            "delegated": 0,
        }
        with pytest.raises(no.ChallengeOpen):
            await coop.execute(decided)
        coop.pass_time(WINDOW_MS)
        done = await coop.execute(decided)
        assert done.entry is not None and done.entry.cause is not None
        assert done.entry.cause.id == decided.decision
        assert await coop.balance(RESERVE) == 3_600_000
        assert await coop.balance(ROOFER) == 1_200_000
        with pytest.raises(no.EffectExecuted):
            await coop.execute(decided)
        assert await coop.balance(RESERVE) == 3_600_000
        after = await coop.show(view)
        assert (after.state, after.entry) == ("executed", done.entry.hash)
        assert (await coop.treasury()).next_nonce == 2
        assert len(await coop.told("governance.effect-executed")) == 1

    made.run(story)


def test_a_distribution_is_settled_in_one_entry(made: Made) -> None:
    async def story(coop: Coop) -> None:
        await coop.fund(SURPLUS, 3_840, "patronage-credits")
        view = await coop.decide(distribution())
        coop.pass_time(WINDOW_MS)
        with pytest.raises(no.EffectOtherWay):
            await coop.execute(view)
        entry = await coop.settle(view)
        paid = {each.account: each.amount for each in entry.postings}
        assert [paid[f"{COOP}:member/{name}"] for name in "abcde"] == [879, 843, 762, 718, 638]
        assert await coop.balance(SURPLUS, "patronage-credits") == 0
        with pytest.raises(no.EffectExecuted):
            await coop.settle(view)

    made.run(story)


def test_what_the_treasury_has_not_stays_accepted(made: Made) -> None:
    async def story(coop: Coop) -> None:
        view = await coop.decide(SPEND)
        coop.pass_time(WINDOW_MS)
        with pytest.raises(Overdrawn):
            await coop.execute(view)
        assert (await coop.show(view)).state == "accepted"
        assert await coop.told("governance.effect-executed") == []
        await coop.fund()
        await coop.execute(view)
        assert (await coop.show(view)).state == "executed"

    made.run(story)
