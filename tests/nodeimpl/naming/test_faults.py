"""Names under faults: cuts, restarts, old copies, long absence, and a home that lies."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from devnet.inprocess import InProcessWorld, inprocess_world
from opkit.client import NodeClient
from opkit.proof import jws
from opkit.proof.checks import ProofError
from opkit.proof.names import make_claim, read_takeover
from opkit.proof.record import make_record
from opkit.wire import names as wire
from opkit.wire.errors import CoopError
from opkit.wire.events import JournalEntry
from opkit.wire.membership import CHANGE_MEMBER, MEMBER_TYP, ChangeMember, MemberRecord
from opkit.wire.overlay import PUBLISH, PublishRecord
from opkit.wire.records import Carried

RIVER = "river-city-tool-library"
BRIGHT = "brightworks-cooperative"
HARBOR = "harbor-homes-cooperative"
ORGS = (RIVER, BRIGHT, HARBOR)
MARA, THEO = f"{RIVER}/mara", f"{RIVER}/theo"
LATHE = f"lathe.{RIVER}"
MINUTE_MS = 60_000
DAY_MS = 86_400_000


def run(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(story, 200))


async def until(met: Callable[[], Awaitable[bool]]) -> None:
    """Return once a condition holds."""
    async with asyncio.timeout(60):
        while not await met():
            await asyncio.sleep(0.02)


def claim(world: InProcessWorld, member_id: str = MARA, **changes: Any) -> str:
    client = world.operator(RIVER)
    said = {
        "network": world.genesis.network,
        "name": LATHE,
        "target": wire.NodeTarget(node=client.node),
        "at_ms": client.now_ms(),
        "term_ms": DAY_MS,
    }
    return make_claim(world.member(member_id), member_id=member_id, **{**said, **changes})


async def holder(client: NodeClient, name: str = LATHE) -> tuple[str, int] | None:
    """Return who holds a name, as a node says, and by which record; None if nobody does."""
    try:
        held = await client.names.get(name)
    except wire.NameUnknown:
        return None
    return held.member_id, held.sequence


async def all_say(world: InProcessWorld, said: tuple[str, int] | None) -> None:
    """Return once every node says the same of the name."""
    for org in ORGS:
        client = world.operator(org)

        async def says(client: NodeClient = client) -> bool:
            return await holder(client) == said

        await until(says)


async def told(client: NodeClient, kind: str) -> list[JournalEntry]:
    return [
        entry async for page in client.journal() for entry in page.entries if entry.type == kind
    ]


@pytest.mark.slow
def test_a_side_that_is_cut_off_from_the_home_holds_nothing_and_then_catches_up() -> None:
    async def story() -> None:
        async with inprocess_world() as world:
            for org in (BRIGHT, HARBOR):
                await world.cut(RIVER, org)
            held = await world.operator(RIVER).names.hand_in(claim(world))
            for org in (BRIGHT, HARBOR):
                with pytest.raises(wire.HomeUnreachable) as no:
                    await world.operator(org).names.hand_in(claim(world, THEO))
                assert no.value.home == world.operator(RIVER).node
                assert await holder(world.operator(org)) is None
            # Longer than anything is handed out by gossip: comparing has to bring it.
            for _ in range(10):
                world.clock.advance(MINUTE_MS // 2)
                assert await holder(world.operator(HARBOR)) is None
            for org in (BRIGHT, HARBOR):
                await world.heal(RIVER, org)
            await all_say(world, (MARA, held.sequence))
            with pytest.raises(wire.NameTaken):
                await world.operator(BRIGHT).names.hand_in(claim(world, THEO))

    run(story())


def test_what_was_answered_is_there_after_the_home_was_killed() -> None:
    async def story() -> None:
        async with inprocess_world() as world:
            held = await world.operator(RIVER).names.hand_in(claim(world))
            await world.kill(RIVER)
            with pytest.raises(wire.HomeUnreachable):
                await world.operator(BRIGHT).names.hand_in(claim(world, target=None))
            await world.restart(RIVER)
            assert await holder(world.operator(RIVER)) == (MARA, held.sequence)
            with pytest.raises(wire.NameTaken):
                await world.operator(RIVER).names.hand_in(claim(world, THEO))
            gone = await world.operator(RIVER).names.hand_in(claim(world, target=None))
            assert gone.sequence > held.sequence
            await all_say(world, None)

    run(story())


@pytest.mark.slow
def test_a_home_with_yesterdays_database_gives_nobodys_name_away(tmp_path: Path) -> None:
    async def story() -> None:
        async with inprocess_world() as world:
            await world.operator(RIVER).names.hand_in(claim(world, name=f"saw.{RIVER}"))
            await world.kill(RIVER)
            folder = world.node(RIVER).config.node.folder
            shutil.copytree(folder, tmp_path / "copy")
            await world.restart(RIVER)
            held = await world.operator(RIVER).names.hand_in(claim(world))
            await all_say(world, (MARA, held.sequence))
            await world.kill(RIVER)
            shutil.rmtree(folder)
            shutil.copytree(tmp_path / "copy", folder)
            # It may hear so from one node, and end, before it is connected with the other.
            with contextlib.suppress(TimeoutError):
                await world.restart(RIVER)

            async def has_heard() -> bool:
                try:
                    return await holder(world.operator(RIVER)) == (MARA, held.sequence)
                except CoopError:
                    return True  # That it may sign nothing any more: it has ended.

            # From others: what it has lost, it cannot know before.
            await until(has_heard)
            with pytest.raises(CoopError):
                await world.operator(RIVER).names.hand_in(claim(world, THEO))
            for org in (BRIGHT, HARBOR):
                assert await holder(world.operator(org)) == (MARA, held.sequence)
                assert not await told(world.operator(org), "names.equivocation")

    run(story())


def test_names_lapse_on_schedule_and_every_node_says_so() -> None:
    async def story() -> None:
        async with inprocess_world() as world:
            held = await world.operator(RIVER).names.hand_in(claim(world, term_ms=10 * MINUTE_MS))
            await all_say(world, (MARA, held.sequence))
            world.clock.advance(10 * MINUTE_MS)

            for org in ORGS:
                client = world.operator(org)

                async def lapsed(client: NodeClient = client) -> bool:
                    return len(await told(client, "names.lapsed")) == 1

                await until(lapsed)
            await all_say(world, None)
            other = await world.operator(HARBOR).names.hand_in(claim(world, THEO))
            await all_say(world, (THEO, other.sequence))

    run(story())


def test_a_node_that_was_away_for_ten_longest_terms_brings_nothing_back() -> None:
    async def story() -> None:
        async with inprocess_world() as world:
            held = await world.operator(RIVER).names.hand_in(
                claim(world, term_ms=wire.NAME_TERM_MS_MAX)
            )
            await all_say(world, (MARA, held.sequence))
            await world.kill(BRIGHT)
            gone = await world.operator(RIVER).names.hand_in(claim(world, target=None))
            assert gone.target is None
            world.clock.advance(10 * wire.NAME_TERM_MS_MAX)
            await world.restart(BRIGHT)
            await all_say(world, None)
            assert await holder(world.operator(BRIGHT)) is None

    run(story())


def test_a_withdrawal_reaches_who_was_down_meanwhile() -> None:
    async def story() -> None:
        async with inprocess_world() as world:
            held = await world.operator(RIVER).names.hand_in(claim(world))
            await all_say(world, (MARA, held.sequence))
            await world.kill(HARBOR)
            await world.operator(RIVER).names.hand_in(claim(world, target=None))
            await world.restart(HARBOR)
            await all_say(world, None)

    run(story())


def countersigned(world: InProcessWorld, token: str, *, at_ms: int) -> Carried:
    """Return what a lying home makes of a claim, whatever it said before."""
    home = world._made.nodes[RIVER]  # its key, which no World hands out
    value = wire.NameValue(claim=token).model_dump(mode="json")
    record = make_record(
        home,
        network=world.genesis.network,
        namespace="name",
        name=LATHE,
        value=value,
        at_ms=at_ms,
        term_ms=DAY_MS,
    )
    return Carried(jws=record)


@pytest.mark.parametrize("later_ms", [0, 5])
def test_a_home_that_says_two_things_is_proven_and_all_choose_the_same(later_ms: int) -> None:
    async def story() -> None:
        async with inprocess_world() as world:
            now_ms = world.operator(RIVER).now_ms()
            one = countersigned(world, claim(world, at_ms=now_ms), at_ms=now_ms)
            other_claim = claim(world, THEO, at_ms=now_ms + later_ms)
            other = countersigned(world, other_claim, at_ms=now_ms + later_ms)
            proof = read_takeover(one.jws, other.jws, world.genesis)
            # What stands comes last: so whoever had believed the other one sees both.
            for org, view in ((BRIGHT, proof.second), (HARBOR, proof.first)):
                said = Carried(jws=view.record)
                await world.operator(org).call(PUBLISH, PublishRecord(carried=said))
                await all_say(world, (view.member_id, view.sequence))
            for org in ORGS:
                client = world.operator(org)

                async def proven(client: NodeClient = client) -> bool:
                    return bool(await told(client, "names.equivocation"))

                await until(proven)
                (event,) = await told(client, "names.equivocation")
                assert event.body["first"] == proof.first.id
                assert event.body["second"] == proof.second.id

    run(story())


async def revoke(world: InProcessWorld, member_id: str) -> None:
    """Have the operator end a membership, at the node that recorded it."""
    client = world.operator(RIVER)
    member = world.genesis.founder(member_id)
    assert member is not None and client.identity is not None
    record = MemberRecord(
        network=world.genesis.network,
        aud=RIVER,
        action="revoke",
        member_id=member_id,
        name=member.name,
        title=member.title,
        did=member.did,
        roles=member.roles,
        sequence=1,
        issued_at_ms=client.now_ms(),
    )
    token = jws.sign(record, typ=MEMBER_TYP, identity=client.identity)
    await client.call(CHANGE_MEMBER, ChangeMember(record=token))


def test_who_is_revoked_loses_their_names_and_another_member_may_have_them() -> None:
    async def story() -> None:
        async with inprocess_world() as world:
            held = await world.operator(RIVER).names.hand_in(claim(world))
            await all_say(world, (MARA, held.sequence))
            await revoke(world, MARA)
            await all_say(world, None)
            with pytest.raises(wire.ClaimNotMembers):
                await world.operator(BRIGHT).names.hand_in(claim(world))
            other = await world.operator(BRIGHT).names.hand_in(claim(world, THEO))
            await all_say(world, (THEO, other.sequence))
            # Whoever sees both records sees why the second one was right.
            with pytest.raises(ProofError, match="one may follow"):
                read_takeover(held.record, other.record, world.genesis)
            for org in ORGS:
                assert not await told(world.operator(org), "names.equivocation")

    run(story())
