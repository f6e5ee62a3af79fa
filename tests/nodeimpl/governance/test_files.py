"""What leaves an assembly: files of decisions that anybody counts again, and proofs of omission."""

from __future__ import annotations

import json

import pytest

from opkit.proof import jws
from opkit.proof.decision import examine_decision, read_file, verify_attested, verify_decision
from opkit.proof.membership import OPERATOR_ID
from opkit.proof.omission import verify_omission
from opkit.wire import deciding as no
from opkit.wire import governance as wire
from opkit.wire.membership import DecidedMember
from opkit.wire.votes import NO_DECISION, MembershipEffect
from tests.nodeimpl.governance.conftest import (
    COOP,
    PERIOD_MS,
    SPEND,
    WINDOW_MS,
    Coop,
    Made,
    distribution,
    key_of,
)


def test_a_decision_is_counted_again_from_its_file_alone(made: Made) -> None:
    async def story(coop: Coop) -> None:
        view = await coop.propose(distribution())
        await coop.delegate("e", "a")
        await coop.votes(view, yes="ab", no="c", abstain="d")
        coop.pass_time(PERIOD_MS)
        view = await coop.close(view)
        file = read_file(await coop.file(view))
        verdict, seen = examine_decision(file, genesis=coop.genesis)
        assert verdict.ok, verdict.failures
        assert seen is not None
        assert (seen.hash, seen.counted.tally) == (view.decision, view.tally)
        assert (seen.counted.yes, seen.counted.delegated) == (3, 1)
        assert (seen.decision.sequence, seen.decision.previous) == (1, NO_DECISION)
        attested = await coop.file(view, "attested", by="mill/x")
        assert verify_attested(read_file(attested), genesis=coop.genesis).ok
        for name in "abcd":
            assert f"{COOP}/{name}".encode() not in attested

    made.run(story)


def test_decisions_of_an_assembly_cite_each_other(made_once: Made) -> None:
    async def story(coop: Coop) -> None:
        first = await coop.decide(SPEND, yes="", no="abcd")
        second = await coop.propose(SPEND)
        second = await coop.cancel(second)
        file = read_file(await coop.file(second))
        verdict, seen = examine_decision(file, genesis=coop.genesis)
        assert verdict.ok and seen is not None
        assert (seen.decision.sequence, seen.decision.previous) == (2, first.decision)
        assert seen.decision.outcome == "cancelled"
        state = await coop.assembly()
        assert (state.decisions, state.last_decision) == (2, second.decision)

    made_once.run(story)


def test_a_file_shows_members_of_decisions_and_of_later_keys(made: Made) -> None:
    async def story(coop: Coop) -> None:
        admit = MembershipEffect(
            action="admit",
            member_id=f"{COOP}/f",
            name="F",
            did=key_of(f"{COOP}/f").did,
            roles=("member",),
        )
        decided = await coop.decide(admit)
        coop.pass_time(WINDOW_MS)
        await coop.execute(decided)
        fresh = key_of("fresh")
        rekey = await coop.decide(
            MembershipEffect(action="rekey", member_id=f"{COOP}/e", did=fresh.did)
        )
        view = await coop.propose()
        coop.pass_time(WINDOW_MS)
        await coop.execute(rekey)
        await coop.votes(view, yes="abf")
        await coop.vote(view, "e", key=fresh)
        coop.pass_time(PERIOD_MS)
        view = await coop.close(view)
        data = await coop.file(view)
        verdict = verify_decision(read_file(data), genesis=coop.genesis)
        assert verdict.ok, verdict.failures
        chains = {each["member_id"][-1]: each for each in json.loads(data)["electors"]}
        assert [len(chains[name]["records"]) for name in "aef"] == [0, 0, 1]
        assert [len(chains[name]["later"]) for name in "aef"] == [0, 1, 0]

    made.run(story)


def test_a_removed_member_votes_on_and_the_file_still_verifies(made_once: Made) -> None:
    async def story(coop: Coop) -> None:
        leave = await coop.decide(MembershipEffect(action="remove", member_id=f"{COOP}/e"))
        view = await coop.propose()
        coop.pass_time(WINDOW_MS)
        await coop.execute(leave)
        await coop.votes(view, yes="abe")
        coop.pass_time(PERIOD_MS)
        view = await coop.close(view)
        verdict = verify_decision(read_file(await coop.file(view)), genesis=coop.genesis)
        assert verdict.ok, verdict.failures
        assert view.tally.cast == 3

    made_once.run(story)


def test_an_omission_is_proven_offline_and_voids_at_home(made: Made) -> None:
    async def story(coop: Coop) -> None:
        view = await coop.propose(SPEND)
        ballot = coop.ballot(view, "d", "no")
        receipt = (await coop.hand_in(view, ballot)).receipt
        await coop.votes(view, yes="abc")
        await coop.drop_ballot(view, "d")
        coop.pass_time(PERIOD_MS)
        view = await coop.close(view)
        file = read_file(await coop.file(view))
        assert verify_decision(file, genesis=coop.genesis).ok, "the file alone adds up"
        shown = verify_omission(file, ballot=ballot, receipt=receipt, genesis=coop.genesis)
        assert shown.ok, shown.failures
        coop.pass_time(WINDOW_MS - 1)
        fallen = await coop.challenge(view, ballot=ballot, receipt=receipt, by="mill/x")
        assert fallen.state == "voided"
        coop.pass_time(1)
        with pytest.raises(no.DecisionVoided):
            await coop.execute(view)
        with pytest.raises(no.NonceUsed):
            await coop.propose(SPEND, treasury_nonce=1)

    made.run(story)


def test_a_challenge_that_shows_nothing_is_refused(made_once: Made) -> None:
    async def story(coop: Coop) -> None:
        view, other = await coop.propose(), await coop.propose()
        ballot = coop.ballot(view, "d", "no")
        counted = (await coop.hand_in(view, ballot)).receipt
        beside = coop.ballot(other, "d")
        elsewhere = (await coop.hand_in(other, beside)).receipt
        await coop.votes(view, yes="abc")
        await coop.vote(view, "c", "no", 2)
        coop.pass_time(PERIOD_MS)
        view = await coop.close(view)
        shows = (
            (ballot, counted),
            (ballot, elsewhere),
            (beside, elsewhere),
            (ballot, ballot),
            (coop.ballot(view, "d", "yes"), counted),
            ("a.b.c", counted),
        )
        for one, receipt in shows:
            with pytest.raises(no.ChallengeUnfounded):
                await coop.challenge(view, ballot=one, receipt=receipt)
        coop.pass_time(WINDOW_MS)
        with pytest.raises(no.ChallengeLate):
            await coop.challenge(view, ballot=ballot, receipt=counted)

    made_once.run(story)


async def roll_call(coop: Coop, view: wire.ProposalView, *, by: str) -> wire.VotePage:
    ask = wire.ListVotes(coop=COOP, proposal_id=view.proposal_id)
    answer = coop.governance.voting.votes
    return await coop.read(lambda tx: answer(tx, ask, coop.caller(by), None))


def test_the_roll_call_is_for_the_coops_own_members(made_once: Made) -> None:
    async def story(coop: Coop) -> None:
        view = await coop.propose()
        with pytest.raises(no.DecisionMissing):
            await coop.file(view)
        for outsider in ("mill/x", OPERATOR_ID):
            with pytest.raises(no.RollCallNotYours):
                await coop.file(view, by=outsider)
            with pytest.raises(no.RollCallNotYours):
                await roll_call(coop, view, by=outsider)
        assert (await roll_call(coop, view, by="a")).votes == ()
        with pytest.raises(no.ProposalUnknown):
            await coop.file(view.model_copy(update={"proposal_id": "none"}))

    made_once.run(story)


def test_a_decided_link_cites_the_decision(made_once: Made) -> None:
    async def story(coop: Coop) -> None:
        decided = await coop.decide(MembershipEffect(action="remove", member_id=f"{COOP}/e"))
        coop.pass_time(WINDOW_MS)
        await coop.execute(decided)
        (token,) = await coop.read(lambda tx: coop.membership.records(tx, f"{COOP}/e"))
        link = DecidedMember.model_validate(read_payload(token))
        assert (link.decision, link.proposal) == (decided.decision, decided.proposal)

    made_once.run(story)


def read_payload(token: str) -> dict[str, object]:

    return jws.peek(token).payload
