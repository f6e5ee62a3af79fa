"""Governance on real nodes in one process: over HTTP, between nodes, and after a restart."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from devnet.inprocess import InProcessWorld, inprocess_world
from opkit.proof.ballots import make_ballot
from opkit.wire import deciding as no
from opkit.wire import governance as wire
from opkit.wire.gateway import ScopeMissing
from opkit.wire.votes import Choice, TextEffect

HARBOR = "harbor-homes-cooperative"
RIVER = "river-city-tool-library"
BRIGHT = "brightworks-cooperative"
WAIT_S = 60


def run(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(story, 200))


def people(world: InProcessWorld, coop: str) -> list[str]:
    charter = world.genesis.charter(coop)
    assert charter is not None
    return [founder.member_id for founder in charter.founders]


def ballot(
    world: InProcessWorld,
    view: wire.ProposalView,
    member_id: str,
    choice: Choice = "yes",
    by: str = "",
) -> str:
    return make_ballot(
        world.member(by or member_id),
        network=world.genesis.network,
        member_id=member_id,
        proposal=view.proposal,
        choice=choice,
        sequence=1,
        at_ms=1,
    )


async def lodge(world: InProcessWorld, org: str, token: str) -> wire.VoteLodged:
    """Lodge a ballot with a node, without a token."""
    return await world.client(org, None).call(wire.LODGE_VOTE, wire.LodgeVote(ballot=token))


async def until_state(world: InProcessWorld, who: str, proposal: str, state: str) -> None:
    calls = world.client(HARBOR, who).governance(HARBOR)
    async with asyncio.timeout(WAIT_S):
        while (await calls.get(proposal)).state != state:
            await asyncio.sleep(0.05)


def test_a_vote_outlives_its_home_and_reaches_it_by_other_nodes() -> None:
    async def story() -> None:
        async with inprocess_world(seeded=False) as world:
            chair, *others = people(world, HARBOR)
            calls = world.client(HARBOR, chair).governance(HARBOR)
            view = await calls.propose("paint", TextEffect(), title="Paint the hall")
            await calls.vote("paint", "yes")
            done = await lodge(world, RIVER, ballot(world, view, others[0]))
            assert done.counted is not None
            await world.restart(HARBOR)
            shown = await calls.get("paint")
            assert (shown.state, shown.tally.yes, shown.closes_ms) == ("open", 2, view.closes_ms)
            await world.client(HARBOR, others[1]).governance(HARBOR).vote("paint", "yes")
            with pytest.raises(no.VotingRunning):
                await calls.close("paint")
            await world.pass_time(days=7)
            closed = await calls.close("paint")
            assert (closed.state, closed.tally.cast) == ("accepted", 3)

    run(story())


def test_a_vote_lodged_during_a_cut_voids_what_missed_it_once_the_link_is_back() -> None:
    async def story() -> None:
        async with inprocess_world(seeded=False) as world:
            chair, *others = people(world, HARBOR)
            calls = world.client(HARBOR, chair).governance(HARBOR)
            view = await calls.propose("paint", TextEffect(), title="Paint the hall")
            for who in (chair, *others[:2]):
                await world.client(HARBOR, who).governance(HARBOR).vote("paint", "yes")
            await world.cut(HARBOR, RIVER)
            done = await lodge(world, RIVER, ballot(world, view, others[2], "no"))
            assert done.counted is None
            await world.pass_time(days=7)
            closed = await calls.close("paint")
            assert (closed.state, closed.tally.no) == ("accepted", 0)
            await world.heal(HARBOR, RIVER)
            await until_state(world, chair, "paint", "voided")
            fallen = await calls.get("paint")
            assert fallen.voided_by is not None
            assert fallen.voided_by.receipt == done.receipt

    run(story())


def test_nobody_but_members_acts_in_an_assembly_and_only_its_home_keeps_it() -> None:
    async def story() -> None:
        async with inprocess_world(seeded=False) as world:
            chair = people(world, HARBOR)[0]
            outsider = people(world, RIVER)[0]
            with pytest.raises(ScopeMissing):
                await world.client(HARBOR, outsider).governance(HARBOR).assembly()
            with pytest.raises(no.AssemblyElsewhere) as elsewhere:
                await world.client(RIVER, outsider).governance(HARBOR).assembly()
            assert elsewhere.value.home == world.operator(HARBOR).node
            with pytest.raises(no.AssemblyUnknown):
                await world.client(HARBOR, chair).governance("nowhere").assembly()
            view = (
                await world.client(HARBOR, chair)
                .governance(HARBOR)
                .propose("paint", TextEffect(), title="Paint the hall")
            )
            forged = ballot(world, view, people(world, HARBOR)[1], by=outsider)
            with pytest.raises(no.NotElector):
                await lodge(world, BRIGHT, forged)

    run(story())
