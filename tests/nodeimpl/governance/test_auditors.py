"""Auditors from outside a coop: let in to read by its operator or by its decision, and no more."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from devnet.inprocess import InProcessWorld, inprocess_world
from opkit.client import NodeClient
from opkit.client.auditing import audit_ledger
from opkit.client.governance import CastBallot
from opkit.proof.checks import VERIFIED
from opkit.proof.decision import verify_attested
from opkit.proof.keys import Identity
from opkit.wire import deciding as no
from opkit.wire.gateway import ScopeMissing
from opkit.wire.ledger import LedgerNotYours
from opkit.wire.membership import LIST_MEMBERS, ListMembers
from opkit.wire.votes import MembershipEffect, TextEffect
from tests.operators import record_member

HARBOR, RIVER = "harbor-homes-cooperative", "river-city-tool-library"
AUDITOR = "-/finger-lakes-auditor"


def run(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(story, 200))


def client_of(world: InProcessWorld, org: str, key: Identity) -> NodeClient:
    asking = world.client(org, None)
    return NodeClient(
        url=asking.url,
        node=asking.node,
        network=asking.network,
        identity=key,
        http=asking.http,
        genesis=world.genesis,
    )


async def let_in(world: InProcessWorld, org: str, key: Identity) -> NodeClient:
    """Have the operator record the auditor at one node."""
    await record_member(world.operator(org), AUDITOR, key.did, roles=("auditor",))
    return client_of(world, org, key)


async def until_known(world: InProcessWorld, org: str, member_id: str) -> None:
    """Return once the word of a member of another coop has come to a node."""
    ask = ListMembers(after=member_id[:-1], members_max=200)
    while all(
        member.member_id != member_id
        for member in (await world.operator(org).call(LIST_MEMBERS, ask)).members
    ):
        await asyncio.sleep(0.01)


def people(world: InProcessWorld, coop: str) -> list[str]:
    charter = world.genesis.charter(coop)
    assert charter is not None
    return [founder.member_id for founder in charter.founders]


async def decide(world: InProcessWorld, coop: str, proposal: str, effect: Any) -> None:
    """Have a coop accept something, and let its challenge window pass."""
    chair, *others = people(world, coop)
    assembly = world.client(coop, chair).governance(coop)
    await assembly.propose(proposal, effect, title=proposal)
    for who in (chair, *others):
        await world.client(coop, who).governance(coop).vote(proposal, "yes")
    await world.pass_time(days=8)
    assert (await assembly.close(proposal)).state == "accepted"
    await world.pass_time(days=2)


async def check_reads(world: InProcessWorld, coop: str, auditor: NodeClient) -> None:
    """Read all that an audit needs, and see that nothing else is given."""
    audited = await audit_ledger(auditor, coop, genesis=world.genesis)
    assert audited.verdict.status == VERIFIED, audited.verdict.failures
    ledger, assembly = auditor.ledger(coop), auditor.governance(coop)
    assert (await ledger.trial_balance()).sequence == audited.sequence > 0
    assert (await assembly.get("paint")).state == "accepted"
    assert [line.proposal_id async for line in assembly.list()][-1] == "paint"
    assert (await assembly.treasury()).coop == coop
    attested = await assembly.attested("paint")
    assert verify_attested(attested, genesis=world.genesis).status == VERIFIED
    with pytest.raises(no.RollCallNotYours):
        await assembly.decision("paint")
    with pytest.raises(no.RollCallNotYours):
        [vote async for vote in assembly.votes("paint")]
    chair = world.client(coop, people(world, coop)[0]).governance(coop)
    vote = await chair.ballot((await assembly.get("paint")).proposal, "no")
    missing = CastBallot(proposal=(await assembly.get("paint")).proposal, ballot=vote, receipt=vote)
    for asked in (
        ledger.transfer(1, from_account="equity/opening", to_account="income"),
        ledger.hold(1, from_account="equity/opening", to_account="income"),
        assembly.hand_in((await assembly.get("paint")).signed),
        assembly.cast(vote),
        assembly.close("paint"),
        assembly.execute("paint"),
        assembly.challenge("paint", missing),
    ):
        with pytest.raises(ScopeMissing):
            await asked


async def some_work(world: InProcessWorld, coop: str) -> None:
    """Give a coop an entry and a decision to be audited."""
    chair = people(world, coop)[0]
    client = world.client(coop, chair)
    await client.ledger(coop).transfer(5, from_account="equity/opening", to_account="income")
    await decide(world, coop, "paint", TextEffect())


def test_an_auditor_of_no_coop_reads_every_ledger_and_assembly_they_were_recorded_at() -> None:
    async def story() -> None:
        async with inprocess_world(seeded=False) as world:
            key = Identity.generate()
            for coop in (HARBOR, RIVER):
                await some_work(world, coop)
                await check_reads(world, coop, await let_in(world, coop, key))

    run(story())


def test_an_auditor_whom_a_coop_decided_on_reads_that_coop_alone_and_no_votes() -> None:
    async def story() -> None:
        async with inprocess_world(seeded=False) as world:
            await some_work(world, HARBOR)
            key = Identity.generate()
            admit = MembershipEffect(
                action="admit",
                member_id=f"{HARBOR}/auditor",
                name="Edith",
                title="auditor",
                did=key.did,
                roles=("auditor",),
            )
            chair = world.client(HARBOR, people(world, HARBOR)[0]).governance(HARBOR)
            electors = (await chair.assembly()).electors
            await decide(world, HARBOR, "auditor", admit)
            await chair.execute("auditor")
            assert (await chair.assembly()).electors == electors, "who audits is no elector"
            auditor = client_of(world, HARBOR, key)
            audited = await audit_ledger(auditor, HARBOR, genesis=world.genesis)
            assert audited.verdict.status == VERIFIED, audited.verdict.failures
            with pytest.raises(no.RollCallNotYours):
                await auditor.governance(HARBOR).decision("paint")
            with pytest.raises(no.RollCallNotYours):
                [vote async for vote in auditor.governance(HARBOR).votes("paint")]
            await until_known(world, RIVER, f"{HARBOR}/auditor")
            with pytest.raises(ScopeMissing):
                await client_of(world, RIVER, key).ledger(RIVER).trial_balance()

    run(story())


def test_a_member_of_another_coop_audits_nothing_whatever_their_roles_at_home() -> None:
    async def story() -> None:
        async with inprocess_world(seeded=False) as world:
            visitor = world.client(HARBOR, people(world, RIVER)[0])
            with pytest.raises((ScopeMissing, LedgerNotYours)):
                await visitor.ledger(HARBOR).trial_balance()
            with pytest.raises(ScopeMissing):
                await visitor.governance(HARBOR).assembly()

    run(story())
