"""Membership across nodes: what one records ends access on all, behind a cut in stated time."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from typing import Any

import pytest

from devnet.inprocess import InProcessWorld, inprocess_world
from opkit.client import NodeClient
from opkit.proof import jws
from opkit.proof.keys import Identity
from opkit.proof.record import make_record
from opkit.wire import membership as wire
from opkit.wire.errors import Refusal
from opkit.wire.events import JournalEntry
from opkit.wire.gateway import StandingStale, TokenRejected
from opkit.wire.network import PEERS, AskPeers
from opkit.wire.overlay import PUBLISH, PublishRecord
from opkit.wire.records import (
    Carried,
    RecordNotOwners,
    RecordsExhausted,
    SignedRecordRejected,
)
from opkit.wire.standing import STANDING, AskStanding, HomeStanding

RIVER = "river-city-tool-library"
BRIGHT = "brightworks-cooperative"
HARBOR = "harbor-homes-cooperative"
ORGS = (RIVER, BRIGHT, HARBOR)
MARA = f"{RIVER}/mara"
DANA = f"{RIVER}/dana"
MINUTE_MS = 60_000

pytestmark = pytest.mark.slow


def run(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(story, 120))


async def until(met: Callable[[], Awaitable[bool]]) -> None:
    """Return once a condition holds."""
    async with asyncio.timeout(60):
        while not await met():
            await asyncio.sleep(0.02)


def link(
    world: InProcessWorld,
    member_id: str = MARA,
    *,
    key: Identity | None = None,
    action: str = "revoke",
    sequence: int = 1,
    signer: Identity | None = None,
    **changes: Any,
) -> str:
    """Return the operator's record about a member."""
    said = {
        "network": world.genesis.network,
        "aud": member_id.partition("/")[0],
        "action": action,
        "member_id": member_id,
        "name": "Mara",
        "title": "",
        "did": (key or world.member(member_id)).did,
        "roles": ("member",),
        "sequence": sequence,
        "issued_at_ms": 1,
    }
    operator = world.operator(RIVER).identity
    assert operator is not None
    record = wire.MemberRecord.model_validate(said | changes)
    return jws.sign(record, typ=wire.MEMBER_TYP, identity=signer or operator)


async def put(world: InProcessWorld, org: str, record: str) -> wire.Member:
    return await world.operator(org).call(wire.CHANGE_MEMBER, wire.ChangeMember(record=record))


async def known(world: InProcessWorld, org: str, member_id: str) -> wire.Member | None:
    """Return a member as a node knows them."""
    ask = wire.ListMembers(after=member_id[:-1], members_max=200)
    page = await world.operator(org).call(wire.LIST_MEMBERS, ask)
    return next((each for each in page.members if each.member_id == member_id), None)


async def all_know(world: InProcessWorld, member_id: str, *, active: bool, sequence: int) -> None:
    """Return once every node knows a member as they are said to be."""
    for org in ORGS:

        async def knows(org: str = org) -> bool:
            member = await known(world, org, member_id)
            return member is not None and (member.active, member.sequence) == (active, sequence)

        await until(knows)


async def home_of(world: InProcessWorld, org: str, coop: str = RIVER) -> HomeStanding:
    told = await world.operator(org).call(STANDING, AskStanding())
    return next(each for each in told.homes if each.coop == coop)


async def agreed(world: InProcessWorld, org: str, coop: str = RIVER, *, after_ms: int = 0) -> None:
    """Return once a home agreed with what a node holds."""

    async def agrees() -> bool:
        return ((await home_of(world, org, coop)).agreed_at_ms or 0) > after_ms

    await until(agrees)


async def refused(client: NodeClient) -> Refusal:
    """Return with what a client's question is refused."""
    with pytest.raises(Refusal) as no:
        await client.call(PEERS, AskPeers())
    return no.value


async def read_to_its_end(stream: AsyncGenerator[Any, None]) -> None:
    async with asyncio.timeout(30):
        async for _page in stream:
            pass


async def told(client: NodeClient, kind: str) -> list[JournalEntry]:
    return [
        entry async for page in client.journal() for entry in page.entries if entry.type == kind
    ]


async def silence(world: InProcessWorld, org: str, *others: str) -> None:
    """Cut a node off."""
    for other in others:
        await world.cut(org, other)


async def pass_ms(world: InProcessWorld, ms: int) -> None:
    """Let the machine's time pass, as all nodes of the world see it."""
    while ms > 0:
        world.clock.advance(min(ms, 10_000))
        ms -= 10_000
        await asyncio.sleep(0.02)


def test_who_is_added_or_revoked_on_one_node_is_so_on_all() -> None:
    async def story() -> None:
        async with inprocess_world() as world:
            dana = Identity.generate()
            await put(world, BRIGHT, link(world, DANA, key=dana, action="add"))
            await all_know(world, DANA, active=True, sequence=1)
            await put(world, HARBOR, link(world, DANA, key=dana, sequence=2))
            await all_know(world, DANA, active=False, sequence=2)
            for org in ORGS:
                (added,) = await told(world.operator(org), "membership.member-added")
                (ended,) = await told(world.operator(org), "membership.member-revoked")
                assert added.body["member_id"] == ended.body["member_id"] == DANA

    run(story())


def test_a_revocation_at_home_ends_tokens_and_streams_on_other_nodes() -> None:
    async def story() -> None:
        async with inprocess_world() as world:
            mara = world.client(BRIGHT, MARA)
            token = await mara.login()
            assert set(token.scopes) <= wire.VISITORS
            bearing = mara.with_token(token.token)
            stream = bearing.events()
            await anext(stream)
            await put(world, RIVER, link(world))
            with pytest.raises(TokenRejected):
                await read_to_its_end(stream)
            assert isinstance(await refused(bearing), TokenRejected)
            assert isinstance(await refused(mara), wire.MemberUnknown)

    run(story())


def test_behind_a_cut_access_ends_within_five_minutes_and_begins_again_after_it() -> None:
    async def story() -> None:
        async with inprocess_world() as world:
            await agreed(world, BRIGHT)
            mara, theo = (world.client(BRIGHT, f"{RIVER}/{who}") for who in ("mara", "theo"))
            await theo.login()
            bearing = mara.with_token((await mara.login()).token)
            await silence(world, RIVER, BRIGHT, HARBOR)
            await put(world, RIVER, link(world))
            await pass_ms(world, 3 * MINUTE_MS)
            await bearing.call(PEERS, AskPeers())
            stream = bearing.events()
            await anext(stream)
            await pass_ms(world, 2 * MINUTE_MS + 10_000)
            for client in (bearing, theo):
                no = await refused(client)
                assert isinstance(no, StandingStale)
                assert (no.coop, no.limit_ms) == (RIVER, 300_000)
                assert no.home == world.node(RIVER).did
            with pytest.raises(wire.HomeSilent):
                await mara.login()
            with pytest.raises(TokenRejected):
                await read_to_its_end(stream)
            # At home, and for members of a coop that is heard, nothing has changed.
            await world.client(RIVER, f"{RIVER}/theo").call(PEERS, AskPeers())
            await world.client(BRIGHT, f"{BRIGHT}/hugo").call(PEERS, AskPeers())
            await world.client(BRIGHT, f"{HARBOR}/rosa").call(PEERS, AskPeers())
            assert await told(world.operator(BRIGHT), "standing.home-unheard")
            for org in (BRIGHT, HARBOR):
                await world.heal(RIVER, org)
            await all_know(world, MARA, active=False, sequence=1)
            await agreed(world, BRIGHT, after_ms=world.clock.now_ms() - 2 * MINUTE_MS)
            await theo.call(PEERS, AskPeers())
            assert isinstance(await refused(mara), wire.MemberUnknown)

            async def is_told() -> bool:
                return bool(await told(world.operator(BRIGHT), "standing.home-heard"))

            await until(is_told)

    run(story())


def test_a_home_that_is_heard_keeps_its_members_welcome_for_hours() -> None:
    async def story() -> None:
        async with inprocess_world() as world:
            await agreed(world, HARBOR)
            for _ in range(12):
                before_ms = (await home_of(world, HARBOR)).agreed_at_ms
                assert before_ms is not None
                await pass_ms(world, 2 * MINUTE_MS)
                await agreed(world, HARBOR, after_ms=before_ms)
                await world.client(HARBOR, MARA).call(PEERS, AskPeers())

    run(story())


def test_what_a_home_says_of_other_chains_than_are_here_agrees_with_nothing() -> None:
    """A link that somebody keeps back is noticed: the home's digest is another one."""

    async def story() -> None:
        async with inprocess_world() as world:
            await agreed(world, BRIGHT)
            node = world.node(BRIGHT).node
            assert node is not None
            shelf, offer = node.overlay.shelf, node.overlay.shelf.offer

            def keep_back(carried: Carried, now_ms: int) -> Any:
                if jws.peek(carried.jws).payload["aud"] == "member":
                    raise RecordsExhausted(limit=0)
                return offer(carried, now_ms)

            shelf.offer = keep_back  # type: ignore[method-assign] # as if nobody handed it on
            await put(world, RIVER, link(world))
            await pass_ms(world, 6 * MINUTE_MS)
            assert isinstance(await refused(world.client(BRIGHT, MARA)), wire.HomeSilent)
            shelf.offer = offer  # type: ignore[method-assign] # from now on it comes through
            await world.restart(BRIGHT)
            await all_know(world, MARA, active=False, sequence=1)

    run(story())


def test_what_others_say_than_the_home_and_the_operator_changes_nothing() -> None:
    async def story() -> None:
        async with inprocess_world() as world:
            await agreed(world, BRIGHT)
            now_ms = world.clock.now_ms()
            liar = world.member(f"{RIVER}/theo")

            def record(namespace: Any, name: str, value: Any) -> PublishRecord:
                term_ms = 600_000 if namespace == "standing" else MINUTE_MS
                token = make_record(
                    liar,
                    network=world.genesis.network,
                    namespace=namespace,
                    name=name,
                    value=value,
                    at_ms=now_ms,
                    term_ms=term_ms,
                )
                return PublishRecord(carried=Carried(jws=token))

            standing = record("standing", RIVER, {"members": 1, "digest": "0" * 64})
            forged = record("member", f"{MARA}/1", {"record": link(world, signer=liar)})
            unowned = record("member", f"{MARA}/1", {"record": link(world)})
            for org in ORGS:
                operator = world.operator(org)
                for said, why in (
                    (standing, RecordNotOwners),
                    (forged, SignedRecordRejected),
                    (unowned, RecordNotOwners),
                ):
                    with pytest.raises(why):
                        await operator.call(PUBLISH, said)
                member = await known(world, org, MARA)
                assert member is not None and member.active
                await world.client(org, MARA).call(PEERS, AskPeers())

    run(story())


def test_of_two_links_of_one_place_a_revocation_stands_on_all_nodes_whoever_heard_which() -> None:
    async def story() -> None:
        async with inprocess_world() as world:
            await silence(world, BRIGHT, RIVER, HARBOR)
            key = Identity.generate()
            await put(world, BRIGHT, link(world, key=key, action="add"))
            await put(world, RIVER, link(world))
            for org in (RIVER, HARBOR):
                await world.heal(BRIGHT, org)
            await all_know(world, MARA, active=False, sequence=1)
            for org in ORGS:
                with pytest.raises(wire.MemberUnknown):
                    await world.client(org, MARA).login()

    run(story())


def test_a_restarted_node_still_knows_and_hands_on_what_it_had_no_time_to() -> None:
    async def story() -> None:
        async with inprocess_world() as world:
            await silence(world, RIVER, BRIGHT, HARBOR)
            await put(world, RIVER, link(world))
            await world.kill(RIVER)
            # As if the machine had failed after the answer and before anything was handed on.
            with sqlite3.connect(world.folder / RIVER / "node.db") as database:
                database.execute("DELETE FROM overlay_records WHERE namespace = 'member'")
            database.close()
            for org in (BRIGHT, HARBOR):
                await world.heal(RIVER, org)
            await world.restart(RIVER)
            await all_know(world, MARA, active=False, sequence=1)
            await world.restart(BRIGHT)
            member = await known(world, BRIGHT, MARA)
            assert member is not None and not member.active
            with pytest.raises(wire.MemberUnknown):
                await world.client(BRIGHT, MARA).login()

    run(story())


def test_a_record_that_came_from_elsewhere_makes_a_member_local_where_it_is_handed_in() -> None:
    async def story() -> None:
        async with inprocess_world() as world:
            dana = Identity.generate()
            record = link(world, DANA, key=dana, action="add")
            await put(world, RIVER, record)
            await all_know(world, DANA, active=True, sequence=1)
            client = world._make_client(BRIGHT, dana, None)
            async with client:
                assert set((await client.login()).scopes) <= wire.VISITORS
                assert (await put(world, BRIGHT, record)).sequence == 1
                granted = set((await client.login()).scopes)
                assert granted == wire.ROLES["member"]
            with pytest.raises(wire.SequenceStale):
                await put(world, BRIGHT, link(world, DANA, key=dana, action="add", name="Else"))

    run(story())


def test_members_of_no_coop_belong_to_the_node_that_recorded_them() -> None:
    async def story() -> None:
        async with inprocess_world() as world:
            guest = Identity.generate()
            await put(world, RIVER, link(world, "-/guest", key=guest, action="add"))
            await all_know(world, "-/guest", active=True, sequence=1)
            async with (
                world._make_client(BRIGHT, guest, None) as elsewhere,
                world._make_client(RIVER, guest, None) as here,
            ):
                with pytest.raises(wire.MemberUnknown):
                    await elsewhere.login()
                await here.login()
                await silence(world, RIVER, BRIGHT, HARBOR)
                await pass_ms(world, 6 * MINUTE_MS)
                await here.call(PEERS, AskPeers())
                await put(world, RIVER, link(world, "-/guest", key=guest, sequence=2))
                assert isinstance(await refused(here), wire.MemberUnknown)

    run(story())


def test_a_node_tells_how_it_stands_with_every_home() -> None:
    async def story() -> None:
        async with inprocess_world() as world:
            await agreed(world, BRIGHT)
            told = await world.operator(BRIGHT).call(STANDING, AskStanding())
            assert [each.coop for each in told.homes] == sorted(ORGS)
            own = next(each for each in told.homes if each.coop == BRIGHT)
            assert (own.agreed_at_ms, own.good_until_ms) == (None, None)
            other = next(each for each in told.homes if each.coop == RIVER)
            assert other.home == world.node(RIVER).did
            assert other.members == (await home_of(world, RIVER)).members == 5
            assert other.agreed_at_ms is not None and other.good_until_ms is not None
            assert other.good_until_ms >= other.agreed_at_ms + 300_000

    run(story())
