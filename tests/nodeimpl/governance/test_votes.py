"""Who may vote, whose vote stands, and what is refused, each with its own refusal."""

from __future__ import annotations

import pytest

from opkit.proof.ballots import commitment_of, read_ballot_receipt
from opkit.proof.membership import OPERATOR_ID
from opkit.wire import deciding as no
from opkit.wire import governance as wire
from opkit.wire.votes import MembershipEffect, SpendEffect
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


def test_a_vote_is_answered_with_a_receipt_of_the_home(made: Made) -> None:
    async def story(coop: Coop) -> None:
        view = await coop.propose()
        done = await coop.vote(view, "b", "no")
        receipt = read_ballot_receipt(done.receipt, genesis=coop.genesis)
        assert (receipt.member_id, receipt.proposal, receipt.ballot, receipt.sequence) == (
            f"{COOP}/b",
            view.proposal,
            done.ballot,
            1,
        )

    made.run(story)


def test_events_tell_who_voted_and_nothing_that_tells_how(made: Made) -> None:
    """A ballot's record id would tell: nothing in a ballot is random."""

    async def story(coop: Coop) -> None:
        view = await coop.propose()
        done = await coop.vote(view, "b", "no")
        receipt = read_ballot_receipt(done.receipt, genesis=coop.genesis)
        (event,) = await coop.told("governance.vote-cast")
        assert event == {
            "coop": COOP,
            "proposal_id": view.proposal_id,
            "proposal": view.proposal,
            "member_id": f"{COOP}/b",
            "sequence": 1,
            "commitment": commitment_of(done.ballot, receipt.salt),
        }

    made.run(story)


def test_a_vote_is_changed_by_a_higher_sequence_and_never_by_the_same(made: Made) -> None:
    async def story(coop: Coop) -> None:
        view = await coop.propose()
        first = await coop.vote(view, "b", "yes")
        assert await coop.vote(view, "b", "yes") == first, "the very same vote"
        coop.pass_time(1)
        assert (await coop.vote(view, "b", "yes")).ballot == first.ballot
        with pytest.raises(no.DoubleVote) as twice:
            await coop.vote(view, "b", "no")
        assert (twice.value.sequence, twice.value.standing) == (1, "yes")
        await coop.vote(view, "b", "no", 3)
        with pytest.raises(no.VoteStale) as stale:
            await coop.vote(view, "b", "abstain", 2)
        assert stale.value.standing_sequence == 3
        shown = await coop.show(view)
        assert (shown.tally.yes, shown.tally.no, shown.tally.cast) == (0, 1, 1)

    made.run(story)


def test_outsiders_foreign_keys_and_other_proposals_are_refused(made_once: Made) -> None:
    async def story(coop: Coop) -> None:
        view, other = await coop.propose(), await coop.propose()
        with pytest.raises(no.NotElector):
            await coop.vote(view, "f")
        with pytest.raises(no.NotElector) as key:
            await coop.vote(view, "b", key=key_of("stranger"))
        assert key.value.why == "not their key"
        with pytest.raises(no.BallotRejected):
            await coop.vote(view, "mill/x")
        with pytest.raises(no.BallotRejected):
            await coop.hand_in(view, coop.ballot(other, "b"))
        forged = coop.ballot(view, "b")[:-8] + "AAAAAAAA"
        with pytest.raises(no.BallotRejected):
            await coop.hand_in(view, forged)
        draft = await coop.propose(open_now=False)
        with pytest.raises(no.ProposalNotOpen):
            await coop.vote(draft, "b")
        with pytest.raises(no.ProposalUnknown):
            await coop.open("nothing")
        assert (await coop.show(view)).tally.cast == 0

    made_once.run(story)


def test_who_joins_later_does_not_vote_and_who_leaves_still_does(made: Made) -> None:
    async def story(coop: Coop) -> None:
        admit = MembershipEffect(
            action="admit",
            member_id=f"{COOP}/f",
            name="F",
            did=key_of(f"{COOP}/f").did,
            roles=("member",),
        )
        leave = MembershipEffect(action="remove", member_id=f"{COOP}/e")
        decided = [await coop.decide(effect) for effect in (admit, leave)]
        view = await coop.propose()
        coop.pass_time(WINDOW_MS)
        for each in decided:
            done = await coop.execute(each)
            assert done.member is not None
        with pytest.raises(no.NotElector):
            await coop.vote(view, "f")
        await coop.vote(view, "e", "yes")
        assert (await coop.assembly()).electors == 5
        with pytest.raises(no.ProposerUnknown):
            await coop.propose(by="e")
        later = await coop.propose(by="f")
        await coop.vote(later, "f")
        with pytest.raises(no.NotElector):
            await coop.vote(later, "e")

    made.run(story)


def test_a_new_key_votes_instead_of_the_old_one(made: Made) -> None:
    async def story(coop: Coop) -> None:
        fresh = key_of("fresh")
        rekey = MembershipEffect(action="rekey", member_id=f"{COOP}/e", did=fresh.did)
        decided = await coop.decide(rekey)
        view = await coop.propose()
        coop.pass_time(WINDOW_MS)
        await coop.execute(decided)
        with pytest.raises(no.NotElector):
            await coop.vote(view, "e")
        await coop.vote(view, "e", key=fresh)

    made.run(story)


def test_votes_that_are_final_are_not_changed_and_close_a_clear_vote_early(made: Made) -> None:
    async def story(coop: Coop) -> None:
        view = await coop.propose()
        await coop.votes(view, yes="abc")
        with pytest.raises(no.VoteFinal):
            await coop.vote(view, "a", "no", 2)
        with pytest.raises(no.DoubleVote):
            await coop.vote(view, "a", "no", 1)
        with pytest.raises(no.VotingRunning):
            await coop.close(view)
        await coop.vote(view, "d")
        assert (await coop.close(view)).state == "accepted"

    made.run(story, votes_final=True)


def test_where_votes_may_change_nothing_closes_early(made_once: Made) -> None:
    async def story(coop: Coop) -> None:
        view = await coop.propose()
        await coop.votes(view, yes="abcde")
        coop.pass_time(PERIOD_MS - 1)
        with pytest.raises(no.VotingRunning):
            await coop.close(view)
        await coop.vote(view, "a", "no", 2)
        coop.pass_time(1)
        with pytest.raises(no.VotingOver):
            await coop.vote(view, "a", "yes", 3)
        assert (await coop.close(view)).tally.no == 1

    made_once.run(story)


@pytest.mark.parametrize(
    ("yes", "against", "abstain", "outcome"),
    [
        ("ab", "", "", "no-quorum"),
        ("ab", "", "c", "accepted"),
        ("abc", "d", "", "accepted"),
        ("ab", "c", "", "rejected"),
        ("", "", "abc", "rejected"),
    ],
)
def test_quorum_and_approval_at_their_bounds(
    made_once: Made, yes: str, against: str, abstain: str, outcome: str
) -> None:
    async def story(coop: Coop) -> None:
        view = await coop.propose()
        await coop.votes(view, yes=yes, no=against, abstain=abstain)
        assert (await coop.show(view)).would_be == outcome
        coop.pass_time(PERIOD_MS)
        assert (await coop.close(view)).outcome == outcome

    made_once.run(story)


def test_delegations_count_where_their_member_does_not_vote(made: Made) -> None:
    async def story(coop: Coop) -> None:
        view = await coop.propose()
        await coop.delegate("b", "a")
        await coop.delegate("c", "b")
        await coop.delegate("d", "e")
        await coop.vote(view, "a", "yes")
        tally = (await coop.show(view)).tally
        assert (tally.yes, tally.delegated, tally.cast) == (3, 2, 3)
        page = await coop.read(
            lambda tx: coop.governance.voting.votes(
                tx,
                wire.ListVotes(coop=COOP, proposal_id=view.proposal_id),
                coop.caller("a"),
                None,
            )
        )
        assert [(each.member_id[-1], each.through) for each in page.votes] == [
            ("a", None),
            ("b", f"{COOP}/a"),
            ("c", f"{COOP}/a"),
        ]
        await coop.vote(view, "c", "no")
        await coop.delegate("b", None, 2)
        tally = (await coop.show(view)).tally
        assert (tally.yes, tally.no, tally.delegated) == (1, 1, 0)
        coop.pass_time(PERIOD_MS)
        assert (await coop.close(view)).outcome == "no-quorum"

    made.run(story)


def test_delegations_are_refused_that_lead_back_lag_behind_or_lead_nowhere(made_once: Made) -> None:
    async def story(coop: Coop) -> None:
        await coop.delegate("a", "b")
        await coop.delegate("b", "c")
        with pytest.raises(no.DelegationCycle):
            await coop.delegate("c", "a")
        with pytest.raises(no.DelegationStale):
            await coop.delegate("a", "c")
        with pytest.raises(no.DelegateUnknown):
            await coop.delegate("d", "f")
        with pytest.raises(no.NotElector):
            await coop.delegate("d", "a", key=key_of("stranger"))
        with pytest.raises(no.DelegationRejected):
            await coop.ask(
                coop.governance.voting.delegate,
                wire.Delegate(coop=COOP, delegation="a.b.c"),
                "a",
                coop.governance.voting.prove_delegation,
            )
        await coop.delegate("b", None, 2)
        await coop.delegate("c", "a")
        page = await coop.read(
            lambda tx: coop.governance.voting.delegations(
                tx, wire.ListDelegations(coop=COOP), None, None
            )
        )
        assert [(each.member_id[-1], each.to) for each in page.delegations] == [
            ("a", f"{COOP}/b"),
            ("c", f"{COOP}/a"),
        ]

    made_once.run(story)


def test_a_proposal_states_the_assembly_as_it_is(made: Made) -> None:
    async def story(coop: Coop) -> None:
        state = await coop.assembly()
        with pytest.raises(no.RuleChanged) as rule:
            await coop.propose(rule=state.rule.model_copy(update={"quorum_percent": 1}))
        assert rule.value.field == "quorum_percent"
        with pytest.raises(no.ElectorateChanged):
            await coop.propose(electorate_hash="0" * 64)
        with pytest.raises(no.ElectorateChanged):
            await coop.propose(electors=4)
        with pytest.raises(no.NonceFuture):
            await coop.propose(SPEND, treasury_nonce=2)
        view = await coop.propose(SPEND)
        with pytest.raises(no.NonceUsed) as used:
            await coop.propose(SPEND, treasury_nonce=1)
        assert (used.value.nonce, used.value.next_nonce) == (1, 2)
        await coop.cancel(view)
        with pytest.raises(no.NonceUsed):
            await coop.propose(SPEND, treasury_nonce=1)

    made.run(story)


def test_proposals_are_refused_that_are_not_by_a_member_or_not_one(made_once: Made) -> None:
    async def story(coop: Coop) -> None:
        with pytest.raises(no.ProposalRejected):
            await coop.put("a.b.c")
        token = await coop.sign()
        with pytest.raises(no.AssemblyUnknown):
            await coop.put(token, coop="nowhere")
        with pytest.raises(no.AssemblyElsewhere):
            await coop.put(token, coop="mill")
        coop.keys["f"] = key_of("stranger")
        with pytest.raises(no.ProposerUnknown):
            await coop.propose(by="f")
        coop.keys["a"] = key_of("stranger")
        with pytest.raises(no.ProposerUnknown):
            await coop.propose(by="a")
        del coop.keys["a"]
        first = await coop.put(token)
        assert await coop.put(token) == first
        with pytest.raises(no.ProposalTaken):
            await coop.propose(proposal_id=first.proposal_id, title="other")
        draft = await coop.propose(open_now=False)
        with pytest.raises(no.ProposalTaken):
            await coop.propose(by="b", proposal_id=draft.proposal_id)
        with pytest.raises(no.ProposalNotYours):
            await coop.open(draft.proposal_id, by="b")
        with pytest.raises(no.ProposalNotYours):
            await coop.cancel(draft, by="b")
        with pytest.raises(no.AssemblyNotYours):
            await coop.close(first, by="mill/x")

    made_once.run(story)


def far(account: str) -> SpendEffect:
    return SPEND.model_copy(update={"to_account": account})


@pytest.mark.parametrize(
    "effect",
    [
        far("mill:vendor/roofer"),
        far(SPEND.from_account),
        SPEND.model_copy(update={"from_account": f"{COOP}:member/b"}),
        SPEND.model_copy(update={"unit": "gold"}),
        distribution().model_copy(update={"surplus": 3_841}),
        MembershipEffect(action="admit", member_id="mill/x", name="X", roles=("member",)),
        MembershipEffect(
            action="admit",
            member_id=f"{COOP}/g",
            name="G",
            did=key_of("g").did,
            roles=("operator",),
        ),
    ],
)
def test_what_could_not_be_executed_is_not_put_to_a_vote(made_once: Made, effect: object) -> None:
    async def story(coop: Coop) -> None:
        with pytest.raises(no.EffectMalformed):
            await coop.propose(effect)
        with pytest.raises(no.EffectMalformed):
            await coop.propose(effect, open_now=False)

    made_once.run(story)


def test_the_operator_is_no_elector(made_once: Made) -> None:
    async def story(coop: Coop) -> None:
        state = await coop.assembly(electors_max=3)
        assert [each.member_id for each in state.page] == [f"{COOP}/{name}" for name in "abc"]
        assert state.next_after == f"{COOP}/c"
        assert OPERATOR_ID not in {each.member_id for each in state.page}

    made_once.run(story)
