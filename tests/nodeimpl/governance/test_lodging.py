"""Votes that another node witnesses: counted if they come in time, fatal if they were missed."""

from __future__ import annotations

import asyncio

import pytest

from opkit.proof.ballots import read_lodging_receipt
from opkit.wire import deciding as no
from opkit.wire import governance as wire
from tests.nodeimpl.governance.conftest import COOP, PERIOD_MS, Coop, Made, key_of


async def lodge(node: Coop, ballot: str) -> wire.VoteLodged:
    return await node.governance.lodging.lodge(wire.LodgeVote(ballot=ballot), None)


def test_a_lodged_vote_is_handed_over_and_counted(made: Made) -> None:
    async def story(home: Coop, other: Coop) -> None:
        view = await home.propose()
        done = await lodge(other, home.ballot(view, "b", "no"))
        assert done.counted is not None
        receipt = read_lodging_receipt(done.receipt, genesis=home.genesis)
        assert (receipt.did, receipt.ballot) == (key_of("loner").did, done.ballot)
        assert (await home.show(view)).tally.no == 1
        assert await lodge(other, home.ballot(view, "b", "no")) == done
        (event,) = await other.told("governance.vote-lodged")
        assert event == {
            "coop": COOP,
            "proposal": view.proposal,
            "member_id": f"{COOP}/b",
        }, "a ballot's record id would tell how it votes"

    made.run_two(story)


def test_what_is_lodged_at_home_is_counted(made_once: Made) -> None:
    async def story(coop: Coop) -> None:
        view = await coop.propose()
        done = await lodge(coop, coop.ballot(view, "b"))
        assert done.counted == done.receipt
        assert (await coop.show(view)).tally.yes == 1
        with pytest.raises(no.DoubleVote):
            await lodge(coop, coop.ballot(view, "b", "no"))

    made_once.run(story)


def test_a_vote_lodged_while_the_home_was_cut_off_is_counted_until_the_close(made: Made) -> None:
    async def story(home: Coop, other: Coop) -> None:
        view = await home.propose()
        await home.votes(view, yes="abc")
        home.net.cut = True
        home.pass_time(PERIOD_MS - 1)
        done = await lodge(other, home.ballot(view, "d", "no"))
        assert done.counted is None
        runs = asyncio.ensure_future(other.governance.lodging.run())
        home.pass_time(1)
        home.net.cut = False
        try:
            while (await home.show(view)).tally.no == 0:
                home.pass_time(1_000)
                await asyncio.sleep(0.01)
        finally:
            runs.cancel()
        view = await home.close(view)
        assert view.tally.no == 1

    made.run_two(story)


def test_a_vote_that_comes_after_the_close_voids_the_decision(made: Made) -> None:
    async def story(home: Coop, other: Coop) -> None:
        view = await home.propose()
        await home.votes(view, yes="abc")
        home.net.cut = True
        ballot = home.ballot(view, "d", "no")
        lodged = await lodge(other, ballot)
        home.pass_time(PERIOD_MS)
        late = await lodge(other, home.ballot(view, "e", "no"))
        view = await home.close(view)
        home.net.cut = False
        with pytest.raises(no.ChallengeUnfounded):
            await home.challenge(view, ballot=home.ballot(view, "e", "no"), receipt=late.receipt)
        passed = await other.net.pass_ballot(
            key_of("home").did, wire.PassBallot(ballot=ballot, receipt=lodged.receipt)
        )
        assert passed == wire.BallotPassed(receipt=None, voided=True)
        fallen = await home.show(view)
        assert fallen.state == "voided"
        assert fallen.voided_by is not None
        assert fallen.voided_by.receipt == lodged.receipt

    made.run_two(story)


def test_what_is_no_members_vote_is_not_witnessed(made_once: Made) -> None:
    async def story(home: Coop, other: Coop) -> None:
        view = await home.propose()
        with pytest.raises(no.NotElector):
            await lodge(other, home.ballot(view, "b", key=key_of("stranger")))
        with pytest.raises(no.NotElector):
            await lodge(other, home.ballot(view, "z"))
        with pytest.raises(no.BallotRejected):
            await lodge(other, home.ballot(view, "b")[:-8] + "AAAAAAAA")
        with pytest.raises(no.AssemblyUnknown):
            await lodge(other, home.ballot(view, "nowhere/x"))
        with pytest.raises(no.AssemblyElsewhere):
            await other.net.nodes[key_of("loner").did].lodging.passed(
                "",
                wire.PassBallot(
                    ballot=home.ballot(view, "b"),
                    receipt=(await lodge(other, home.ballot(view, "b"))).receipt,
                ),
            )

    made_once.run_two(story)


def test_room_for_lodged_votes_is_bounded(made_once: Made) -> None:
    async def story(home: Coop, other: Coop) -> None:
        home.net.cut = True
        view = await home.propose()
        for sequence in range(1, 129):
            await lodge(other, home.ballot(view, "b", sequence=sequence))
        with pytest.raises(no.LodgedExhausted):
            await lodge(other, home.ballot(view, "b", sequence=129))
        await lodge(other, home.ballot(view, "c"))

    made_once.run_two(story)


def test_a_refusal_of_the_home_is_final(made_once: Made) -> None:
    async def story(home: Coop, other: Coop) -> None:
        view = await home.propose()
        await home.vote(view, "b", "yes")
        done = await lodge(other, home.ballot(view, "b", "no"))
        assert done.counted is None
        again = await lodge(other, home.ballot(view, "b", "no"))
        assert again == done
        with pytest.raises(no.DoubleVote):
            await home.net.pass_ballot(
                key_of("home").did,
                wire.PassBallot(ballot=home.ballot(view, "b", "no"), receipt=done.receipt),
            )
        assert (await home.show(view)).tally.yes == 1
        assert view.coop == COOP

    made_once.run_two(story)
