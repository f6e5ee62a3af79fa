"""An assembly by a client: signed with members' own keys, counted again, and nothing believed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from devnet.inprocess import InProcessWorld, inprocess_world
from opkit.client.auditing import audit_ledger
from opkit.client.governance import GovernanceCalls, check_decided
from opkit.proof import jws
from opkit.proof.ballots import read_ballot_receipt, read_lodging_receipt
from opkit.proof.checks import CONSISTENT, VERIFIED, ProofError
from opkit.proof.decision import verify_attested, verify_decision
from opkit.proof.keys import Identity
from opkit.proof.omission import verify_omission
from opkit.proof.proposals import make_distribution
from opkit.wire import deciding as no
from opkit.wire.errors import Fault
from opkit.wire.governance import EffectDone
from opkit.wire.ledger import Cause, Entry
from opkit.wire.membership import MembersDecided
from opkit.wire.votes import (
    AccountChange,
    ConfigurationEffect,
    MembershipEffect,
    RuleChange,
    SpendEffect,
    TextEffect,
)
from tests.operators import record_member

RIVER = "river-city-tool-library"
BRIGHT = "brightworks-cooperative"
OPENING = "equity/opening"
NAMES = ("ines", "mara", "pavel", "quinn", "theo")
SPEND = SpendEffect(
    from_account=f"{RIVER}:reserve",
    to_account=f"{RIVER}:vendor/sharpener",
    unit="usd-cents",
    amount=4_000,
)

Story = Callable[[InProcessWorld, dict[str, GovernanceCalls]], Awaitable[None]]


def told(story: Story) -> None:
    """Tell a story in a network whose assemblies have decided nothing yet."""

    async def main() -> None:
        async with asyncio.timeout(240), inprocess_world(seeded=False) as world:
            voices = {
                name: world.client(RIVER, f"{RIVER}/{name}").governance(RIVER) for name in NAMES
            }
            await story(world, voices)

    asyncio.run(main())


async def decide(
    world: InProcessWorld, voices: dict[str, GovernanceCalls], proposal: str, effect: Any
) -> Any:
    """Have the assembly accept an effect and wait until it may be executed."""
    await voices["mara"].propose(proposal, effect, title=proposal)
    for name in ("ines", "mara", "quinn", "theo"):
        await voices[name].vote(proposal, "yes")
    await world.pass_time(days=8)
    view = await voices["theo"].close(proposal)
    assert view.outcome == "accepted"
    await world.pass_time(days=2)
    return view


async def every(found: Any) -> list[Any]:
    return [each async for each in found]


def test_members_propose_vote_and_count_again() -> None:
    async def story(world: InProcessWorld, voices: dict[str, GovernanceCalls]) -> None:
        mara, theo = voices["mara"], voices["theo"]
        stands = await mara.assembly()
        electors = await every(theo.electors())
        assert [each.member_id for each in electors] == [f"{RIVER}/{name}" for name in NAMES]
        assert stands.electors == len(electors)
        draft = await mara.propose("paint", TextEffect(), title="Paint", open_now=False)
        assert draft.state == "draft"
        with pytest.raises(no.ProposalNotYours):
            await theo.open("paint")
        opened = await mara.open("paint")
        assert opened.state == "open"
        await theo.delegate(f"{RIVER}/ines")
        for name, choice in (("ines", "yes"), ("mara", "yes"), ("pavel", "no")):
            await voices[name].vote("paint", choice)  # type: ignore[arg-type]  # a choice
        first = await voices["quinn"].vote(opened.proposal, "no", sequence=1)
        with pytest.raises(no.DoubleVote):
            await voices["quinn"].vote("paint", "yes", sequence=1)
        changed = await voices["quinn"].vote("paint", "yes")
        assert list(voices["quinn"].kept) == [first, changed]
        votes = await every(theo.votes("paint"))
        assert [(each.member_id.rpartition("/")[2], each.choice) for each in votes] == [
            ("ines", "yes"),
            ("mara", "yes"),
            ("pavel", "no"),
            ("quinn", "yes"),
            ("theo", "yes"),
        ]
        with pytest.raises(no.VotingRunning):
            await theo.close("paint")
        await world.pass_time(days=8)
        closed = await theo.close("paint")
        assert (closed.outcome, closed.tally.yes, closed.tally.delegated) == ("accepted", 4, 1)
        file = await theo.decision("paint")
        verdict = verify_decision(file, genesis=world.genesis)
        assert verdict.status == VERIFIED, verdict.failures
        for kept, there in ((first, True), (changed, True)):
            shown = verify_omission(
                file, ballot=kept.ballot, receipt=kept.receipt, genesis=world.genesis
            )
            assert shown.ok is not there
        with pytest.raises(no.ChallengeUnfounded):
            await voices["quinn"].challenge("paint", changed)
        attested = await theo.attested("paint")
        assert verify_attested(attested, genesis=world.genesis).status == VERIFIED
        assert [each.proposal_id for each in await every(mara.list())] == ["paint"]
        assert await every(mara.list(state="open")) == []
        with pytest.raises(no.EffectNone):
            await theo.execute("paint")
        await theo.delegate(None)

    told(story)


def test_what_the_treasury_pays_cites_a_decision_that_says_exactly_that() -> None:
    async def story(world: InProcessWorld, voices: dict[str, GovernanceCalls]) -> None:
        client = world.client(RIVER, f"{RIVER}/mara")
        ledger = client.ledger(RIVER)
        await ledger.transfer(9_000, from_account=OPENING, to_account="reserve")
        await decide(world, voices, "sharpen", SPEND)
        done = await voices["mara"].execute("sharpen")
        assert isinstance(done, EffectDone) and done.entry is not None
        treasury = await voices["theo"].treasury()
        assert (treasury.next_nonce, treasury.nonces[0].proposal_id) == (2, "sharpen")
        with pytest.raises(no.EffectExecuted):
            await voices["mara"].execute("sharpen")
        entry = await ledger.entry(done.entry.hash)
        await check_decided(client, entry, genesis=world.genesis)
        visitor = world.client(RIVER, f"{RIVER}/theo")
        await check_decided(visitor, entry, genesis=world.genesis)
        for changed, why in (
            ({"cause": None}, "cites no decision"),
            ({"cause": Cause(kind="decision", id="0" * 64)}, "knows no decision"),
            ({"postings": entry.postings[:1]}, "posts something else"),
            ({"postings": tuple(_more(each) for each in entry.postings)}, "posts something else"),
        ):
            altered = entry.model_copy(update=changed)
            with pytest.raises(ProofError, match=why):
                await check_decided(client, altered, genesis=world.genesis)

        weights = {f"{RIVER}:member/{name}": hours for name, hours in (("ines", 2), ("theo", 1))}
        shares = make_distribution(
            from_account=f"{RIVER}:reserve", unit="usd-cents", surplus=5_000, weights=weights
        )
        await decide(world, voices, "shares", shares)
        settled = await voices["mara"].execute("shares")
        assert isinstance(settled, Entry)
        assert sorted(each.amount for each in settled.postings) == [-5_000, 1_667, 3_333]
        await check_decided(client, settled, genesis=world.genesis)
        wrong = settled.model_copy(update={"cause": entry.cause})
        with pytest.raises(ProofError, match="posts something else"):
            await check_decided(client, wrong, genesis=world.genesis)

    told(story)


def _more(posting: Any) -> Any:
    return posting.model_copy(update={"amount": posting.amount * 2})


def test_members_are_admitted_rekeyed_and_removed_by_decision() -> None:
    async def story(world: InProcessWorld, voices: dict[str, GovernanceCalls]) -> None:
        lea, later = Identity.generate(), Identity.generate()
        member_id = f"{RIVER}/lea"
        admit = MembershipEffect(
            action="admit", member_id=member_id, name="Lea", did=lea.did, roles=("member",)
        )
        await decide(world, voices, "lea", admit)
        done = await voices["mara"].execute("lea")
        assert isinstance(done, EffectDone) and done.member is not None
        assert done.member.did == lea.did
        asking = world.client(RIVER, None)
        for key in (lea, later):
            if key is later:
                rekey = MembershipEffect(action="rekey", member_id=member_id, did=later.did)
                await decide(world, voices, "lea-again", rekey)
                await voices["mara"].execute("lea-again")
            client = type(asking)(
                url=asking.url,
                node=asking.node,
                network=asking.network,
                identity=key,
                http=asking.http,
                genesis=world.genesis,
            )
            assert await client.member_id() == member_id
            stands = await client.governance(RIVER).assembly()
            assert stands.electors == len(NAMES) + 1
        await voices["mara"].propose("late", TextEffect(), title="Late")
        hers = client.governance(RIVER)
        cast = await hers.vote("late", "yes")
        await world.pass_time(days=8)
        await voices["mara"].close("late")
        file = await voices["mara"].decision("late")
        assert jws.record_id(cast.ballot) in {jws.record_id(each.ballot) for each in file.ballots}
        verdict = verify_decision(file, genesis=world.genesis)
        assert verdict.status == VERIFIED, verdict.failures
        assert verify_decision(file, genesis=None).status == CONSISTENT
        with pytest.raises(MembersDecided):
            await record_member(
                world.operator(RIVER),
                f"{RIVER}/kim",
                Identity.generate().did,
                roles=("member",),
            )
        await decide(
            world, voices, "goodbye", MembershipEffect(action="remove", member_id=member_id)
        )
        await voices["mara"].execute("goodbye")
        assert (await voices["mara"].assembly()).electors == len(NAMES)

    told(story)


def test_rules_and_accounts_are_configured_by_decision_and_a_draft_is_cancelled() -> None:
    async def story(world: InProcessWorld, voices: dict[str, GovernanceCalls]) -> None:
        effect = ConfigurationEffect(
            rule=RuleChange(quorum_percent=40),
            accounts=(AccountChange(account=f"{RIVER}:member/theo", unit="usd-cents", floor=-50),),
        )
        await decide(world, voices, "rule", effect)
        done = await voices["mara"].execute("rule")
        assert isinstance(done, EffectDone)
        stands = await voices["mara"].assembly()
        assert stands.rule.quorum_percent == 40
        assert stands.rule.decision == done.decision
        ledger = world.client(RIVER, f"{RIVER}/mara").ledger(RIVER)
        await ledger.transfer(1, from_account=OPENING, to_account="income")
        audited = await audit_ledger(world.operator(RIVER), RIVER, genesis=world.genesis)
        assert audited.verdict.ok, "an account that was decided about and never used is no amiss"
        await voices["theo"].propose("idea", TextEffect(), title="An idea")
        with pytest.raises(no.ProposalNotYours):
            await voices["mara"].cancel("idea")
        assert (await voices["theo"].cancel("idea")).state == "cancelled"
        file = await voices["theo"].decision("idea")
        verdict = verify_decision(file, genesis=world.genesis)
        assert verdict.status == VERIFIED, verdict.failures

    told(story)


def test_a_vote_is_lodged_elsewhere_and_counted_at_home() -> None:
    async def story(world: InProcessWorld, voices: dict[str, GovernanceCalls]) -> None:
        opened = await voices["mara"].propose("paint", TextEffect(), title="Paint")
        ballot = await voices["theo"].ballot(opened.proposal, "no")
        elsewhere = world.client(BRIGHT, None).governance(RIVER)
        lodged = await elsewhere.lodge(ballot)
        assert lodged.ballot == ballot
        async with asyncio.timeout(60):
            while not await every(voices["mara"].votes("paint")):
                await asyncio.sleep(0.05)

    told(story)


def test_what_is_lodged_with_the_home_itself_is_counted_and_acknowledged_as_a_vote() -> None:
    async def story(world: InProcessWorld, voices: dict[str, GovernanceCalls]) -> None:
        opened = await voices["mara"].propose("paint", TextEffect(), title="Paint")
        ballot = await voices["theo"].ballot(opened.proposal, "no")
        at_home = world.client(RIVER, None).governance(RIVER)
        lodged = await at_home.lodge(ballot)
        assert list(at_home.kept) == [lodged]
        assert read_ballot_receipt(lodged.receipt, genesis=world.genesis).ballot == (
            jws.record_id(ballot)
        )
        again = await voices["theo"].cast(ballot)
        assert again == lodged, "the home acknowledges a ballot once, however it came"
        elsewhere = await world.client(BRIGHT, None).governance(RIVER).lodge(ballot)
        witness = read_lodging_receipt(elsewhere.receipt, genesis=world.genesis)
        assert witness.did == world.operator(BRIGHT).node

    told(story)


def test_a_receipt_or_file_that_is_not_what_it_should_be_is_the_nodes_fault() -> None:
    async def story(world: InProcessWorld, voices: dict[str, GovernanceCalls]) -> None:
        mara = voices["mara"]
        await mara.propose("paint", TextEffect(), title="Paint")
        good = await mara.vote("paint", "yes")
        end = "AA" if good.receipt[-2:] != "AA" else "BA"  # One signature in sixteen ends so.
        for receipt in (good.ballot, good.receipt[:-2] + end):
            with pytest.raises(Fault):
                mara._keep(good.ballot, receipt)
        other = await mara.ballot("0" * 64, "yes")
        with pytest.raises(Fault, match="another ballot"):
            mara._keep(other, good.receipt)
        elsewhere = await world.client(BRIGHT, None).governance(RIVER).lodge(good.ballot)
        with pytest.raises(Fault, match="another node"):
            mara._keep(good.ballot, elsewhere.receipt)
        assert [replace(good)] == list(mara.kept)
        await world.pass_time(days=8)
        await mara.close("paint")
        attested = await mara.fetch("paint", form="attested")
        with pytest.raises(Fault, match="no DecisionFile"):
            mara._read(attested, type(await mara.decision("paint")))
        with pytest.raises(Fault, match="no decision"):
            mara._read(b"{}", type(await mara.decision("paint")))

    told(story)
