"""The federation on real nodes in one process: said by one, heard by all, whatever happens."""

from __future__ import annotations

from functools import partial

import pytest

from devnet.inprocess import InProcessWorld
from nodeimpl.kernel.crdt import authority
from nodeimpl.kernel.crdt.limits import ReplicaLimits
from nodeimpl.sharing import specs
from opkit.wire import federation as wire
from opkit.wire.gateway import ScopeMissing
from opkit.wire.operations import LogFull, OperationClockAhead, OperationRejected
from tests.nodeimpl.federation.told import (
    ALL,
    BRIGHT,
    COOPS,
    DAY_MS,
    HARBOR,
    LAKES,
    LONE,
    RIVER,
    calls,
    members,
    run,
    same,
    until,
)


def test_coops_register_and_everybody_hears_of_it() -> None:
    async def story(world: InProcessWorld) -> None:
        for number, coop in enumerate(COOPS):
            said = await calls(world, coop).register(title=f"Coop {number}")
            assert (said.coop, said.founder, said.standing) == (coop, True, True)
        await same(world, *ALL, operations=4)
        seen = await members(world, LONE)
        assert [(each.coop, each.title) for each in seen.members] == sorted(
            (coop, f"Coop {number}") for number, coop in enumerate(COOPS)
        )
        assert all(each.statement for each in seen.members)

    run(story)


def test_a_newcomer_is_a_member_once_two_have_vouched() -> None:
    async def story(world: InProcessWorld) -> None:
        lone = world.node(LONE).did
        with pytest.raises(wire.NotFederated):
            await calls(world, LONE).register(coop="night-shift")
        first = await calls(world, RIVER).vouch(lone)
        assert (first.voices, first.voices_min, first.standing) == (1, 2, False)
        with pytest.raises(wire.VouchRepeated):
            await calls(world, RIVER).vouch(lone)
        await same(world, *ALL, operations=1)
        second = await calls(world, HARBOR).vouch(lone)
        assert (second.voices, second.standing) == (2, True)
        with pytest.raises(wire.MemberAlready):
            await calls(world, HARBOR).vouch(lone)
        await same(world, *ALL, operations=2)
        with pytest.raises(wire.CoopNotYours):
            await calls(world, LONE).register(coop=RIVER)
        joined = await calls(world, LONE).register(coop="night-shift", title="Night shift")
        assert (joined.coop, joined.founder, joined.standing) == ("night-shift", False, True)
        await same(world, *ALL, operations=3)
        found = {each.did: each for each in (await members(world, BRIGHT)).members}
        assert found[lone].coop == "night-shift" and len(found[lone].vouched_by) == 2

        said = await calls(world, LONE).attest(RIVER, "tools", "They lend.", valid_ms=DAY_MS)
        assert (said.issuer, said.state) == ("night-shift", "valid")
        await same(world, *ALL, operations=4)
        await calls(world, RIVER).vouch(lone, expel=True)
        await calls(world, BRIGHT).vouch(lone, expel=True)
        await same(world, *ALL, operations=6)
        with pytest.raises(wire.NotFederated):
            await calls(world, LONE).attest(RIVER, "tools", "Still.", valid_ms=DAY_MS)
        with pytest.raises(wire.MemberAlready, match="for good"):
            await calls(world, RIVER).vouch(lone)
        assert (await members(world, LAKES)).expelled == (lone,)

    run(story)


def test_a_voice_that_no_replica_would_take_is_refused_with_the_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(authority, "VOICES_MAX", 1)

    async def story(world: InProcessWorld) -> None:
        river, lone = calls(world, RIVER), world.node(LONE).did
        with pytest.raises(OperationRejected, match="key"):
            await river.vouch(f"did:key:z6Mk{'1' * 44}")
        await river.vouch(lone)
        with pytest.raises(OperationRejected, match="as much about authors as one may: 1"):
            await river.vouch(world.node(BRIGHT).did, expel=True)
        await calls(world, BRIGHT).vouch(lone)
        await same(world, *ALL, operations=2)

    run(story)


SAYING = ("register", "vouch", "attest", "revoke")


async def say(world: InProcessWorld, ask: str) -> None:
    """Have River say something, after it attested that BrightWorks has tools."""
    river = calls(world, RIVER)
    asked = {
        "register": lambda: river.register(title="Tools"),
        "vouch": lambda: river.vouch(world.node(LONE).did),
        "attest": lambda: river.attest(BRIGHT, "tools", "Not so.", valid_ms=DAY_MS),
        "revoke": lambda: river.revoke(BRIGHT, "tools"),
    }
    await asked[ask]()


@pytest.mark.parametrize("ask", SAYING)
def test_what_finds_no_room_is_refused_as_such(ask: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(specs, "ReplicaLimits", partial(ReplicaLimits, operations_max=1))

    async def story(world: InProcessWorld) -> None:
        await calls(world, RIVER).attest(BRIGHT, "tools", "Careful.", valid_ms=DAY_MS)
        with pytest.raises(LogFull) as full:
            await say(world, ask)
        assert full.value.limit == 1
        await same(world, *ALL, operations=1)

    run(story)


@pytest.mark.parametrize("ask", SAYING[:3])
def test_what_lies_ahead_of_all_clocks_is_refused_as_such(
    ask: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if the clock had been set back since: what is of this moment is ahead of it already."""
    monkeypatch.setattr(specs, "ReplicaLimits", partial(ReplicaLimits, skew_ms_max=-1))

    async def story(world: InProcessWorld) -> None:
        with pytest.raises(OperationClockAhead) as ahead:
            await say(world, ask)
        assert ahead.value.skew_ms_max == -1
        await same(world, *ALL, operations=0)

    run(story)


def test_what_is_attested_is_valid_for_a_time_and_until_it_is_revoked() -> None:
    async def story(world: InProcessWorld) -> None:
        lakes = calls(world, LAKES)
        await lakes.attest(RIVER, "insured", "Insured by a mutual.", valid_ms=2 * DAY_MS)
        await lakes.attest(BRIGHT, "insured", "Insured by a mutual.", valid_ms=10 * DAY_MS)
        with pytest.raises(wire.AttestationSelf):
            await lakes.attest(LAKES, "insured", "We, too.", valid_ms=DAY_MS)
        with pytest.raises(wire.NotAMember):
            await lakes.attest("nobody", "insured", "Who?", valid_ms=DAY_MS)
        await same(world, *ALL, operations=2)

        async def shown(**wanted: object) -> list[tuple[str, str]]:
            found = calls(world, RIVER).attestations(**wanted)
            return [(each.subject, each.state) async for each in found]

        assert await shown() == [(BRIGHT, "valid"), (RIVER, "valid")]
        await world.pass_time(days=3)
        assert await shown() == [(BRIGHT, "valid"), (RIVER, "over")]
        assert await shown(valid=True) == [(BRIGHT, "valid")]
        assert await shown(subject=RIVER) == [(RIVER, "over")]
        revoked = await lakes.revoke(BRIGHT, "insured")
        assert revoked.state == "revoked" and revoked.token is None
        with pytest.raises(wire.AttestationUnknown):
            await lakes.revoke(BRIGHT, "insured")
        await same(world, *ALL, operations=3)
        assert await shown() == [(BRIGHT, "revoked"), (RIVER, "over")]

    run(story)


def test_only_officers_of_the_home_speak_for_a_coop() -> None:
    async def story(world: InProcessWorld) -> None:
        theo = world.client(RIVER, f"{RIVER}/theo").federation
        assert (await theo.members()).members
        charter = world.genesis.charter(RIVER)
        assert charter is not None
        plain = next(each for each in charter.founders if "officer" not in each.roles)
        with pytest.raises(ScopeMissing):
            await world.client(RIVER, plain.member_id).federation.register()
        with pytest.raises(wire.NotCoopsHome):
            await world.operator(RIVER).federation.register()
        with pytest.raises(wire.DecisionNotFound):
            await calls(world, RIVER).register(proposal="never")
        with pytest.raises(wire.StatementTooLong):
            await calls(world, RIVER).attest(BRIGHT, "x", "\U0001f527" * 1_024, valid_ms=DAY_MS)

    run(story)


def test_two_sides_that_were_parted_have_the_same_soon_after() -> None:
    async def story(world: InProcessWorld) -> None:
        await same(world, *ALL, operations=0)
        left, right = (RIVER, BRIGHT), (HARBOR, LAKES, LONE)
        for one in left:
            for other in right:
                await world.cut(one, other)
        for number in range(20):
            for coop in (RIVER, BRIGHT, HARBOR, LAKES):
                subject = RIVER if coop != RIVER else BRIGHT
                await calls(world, coop).attest(
                    subject, f"thing-{number}", f"By {coop}.", valid_ms=DAY_MS
                )
        here = await same(world, *left, operations=40)
        there = await same(world, *right, operations=40)
        assert here != there
        for one in left:
            for other in right:
                await world.heal(one, other)
        await same(world, *ALL, operations=80)

    run(story)


def test_a_node_that_was_killed_has_what_it_said_and_hears_what_it_missed() -> None:
    async def story(world: InProcessWorld) -> None:
        await calls(world, RIVER).register(title="Before")
        await same(world, *ALL, operations=1)
        await world.kill(LAKES)
        await calls(world, RIVER).attest(BRIGHT, "tools", "Careful.", valid_ms=DAY_MS)
        await world.kill(RIVER)
        await world.restart(LAKES)
        await world.restart(RIVER)
        await same(world, *ALL, operations=2)
        await calls(world, RIVER).register(title="After")
        await same(world, *ALL, operations=3)
        assert not (await calls(world, HARBOR).forks()).forks, "one history"
        titles = {each.coop: each.title for each in (await members(world, LAKES)).members}
        assert titles[RIVER] == "After"

    run(story)


def test_the_log_shows_who_said_what_and_each_line_verifies() -> None:
    async def story(world: InProcessWorld) -> None:
        await calls(world, RIVER).register()
        await calls(world, BRIGHT).vouch(world.node(LONE).did)
        await same(world, *ALL, operations=2)
        lines = [each async for each in calls(world, HARBOR).log()]
        assert sorted((each.coop, each.act.kind) for each in lines) == [
            (BRIGHT, "admit"),
            (RIVER, "set"),
        ]
        objects = [each async for each in calls(world, HARBOR).objects()]
        assert [(each.object_id, each.operations) for each in objects] == [("federation", 2)]

        async def journalled() -> bool:
            entries = await world.node(LAKES).node.store.read_journal(after=None, entries_max=1000)
            types = {entry.type for entry in entries}
            return {"objects.merged", "federation.registered", "federation.vouched"} <= types

        await until(journalled, "the events are journalled")

    run(story)
