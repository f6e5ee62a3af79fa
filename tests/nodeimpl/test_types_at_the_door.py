"""Every kind of signed object at every place of a running node that takes another kind."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from devnet.inprocess import inprocess_world
from opkit.proof import jws
from opkit.proof.report import ReportStatement, sign_report
from opkit.wire.base import Jws
from opkit.wire.compute import SUBMIT, TASK_TYP, Manifest, ManifestRejected, SubmitTask
from opkit.wire.errors import Refusal
from opkit.wire.gateway import BodyOversize, TokenRejected
from opkit.wire.grants import GIVE_GRANT, GRANT_TYP, GiveGrant, Grant, GrantRejected
from opkit.wire.membership import (
    CHALLENGE,
    CHANGE_MEMBER,
    LIST_MEMBERS,
    LOGIN_TYP,
    MEMBER_TYP,
    TOKEN,
    TOKEN_TYP,
    AskChallenge,
    AskToken,
    ChallengeRejected,
    ChangeMember,
    ListMembers,
    Login,
    LoginRejected,
    MemberRecord,
    RecordRejected,
)
from opkit.wire.network import (
    CLOCK_TYP,
    MOVE_CLOCK,
    ClockRecord,
    ClockRecordRejected,
    MoveClock,
)

RIVER, BRIGHT = "river-city-tool-library", "brightworks-cooperative"
MARA, HUGO = f"{RIVER}/mara", f"{BRIGHT}/hugo"
STORY_S_MAX = 100


async def good_ones(world: Any) -> dict[str, Jws]:
    """Return one good object of each kind, by the operator wherever they may sign it."""
    client, mara = world.operator(RIVER), world.client(RIVER, MARA)
    operator, network = client.identity, world.genesis.network
    info = await mara.wasm.deploy(MODULE, name="upper")
    handle = await mara.compute.submit(info.wasm_hash, b"")
    done = await handle.result()
    challenge = await client.call(CHALLENGE, AskChallenge(did=operator.did))
    login = Login(
        network=network, aud=client.node, did=operator.did, challenge=challenge.challenge, scopes=()
    )
    clock = ClockRecord(network=network, aud="clock", sequence=1, offset_ms=1, issued_at_ms=1)
    member = MemberRecord(
        network=network,
        aud="-",
        action="add",
        member_id="-/pilar",
        name="Pilar",
        title="",
        did=world.genesis.genesis.nodes[0].did,
        roles=("member",),
        sequence=1,
        issued_at_ms=1,
    )
    report = ReportStatement(network=network, run_id="r", created_ms=1, files=())
    return {
        "clock": jws.sign(clock, typ=CLOCK_TYP, identity=operator),
        "genesis": world.genesis.token,
        "grant": await grant_of(world, mara),
        "login": jws.sign(login, typ=LOGIN_TYP, identity=operator),
        "manifest": handle.manifest,
        "member": jws.sign(member, typ=MEMBER_TYP, identity=operator),
        "receipt": done.bundle.receipt,
        "report": sign_report(report, operator),
        "token": (await client.login()).token,
    }


MODULE = (Path(__file__).resolve().parents[2] / "wasm" / "upper.wasm").read_bytes()


async def grant_of(world: Any, mara: Any) -> Jws:
    """Return what Mara would let her node do for a minute."""
    now_ms = mara.now_ms()
    grant = Grant(
        network=world.genesis.network,
        aud=mara.node,
        member_id=MARA,
        did=mara.identity.did,
        fuel_max=1,
        tasks_max=1,
        issued_at_ms=now_ms,
        lapses_at_ms=now_ms + 60_000,
    )
    return jws.sign(grant, typ=GRANT_TYP, identity=mara.identity)


async def offer(world: Any, place: str, token: Jws) -> None:
    """Offer an object where `place` is expected."""
    client = world.operator(RIVER)
    if place == "login":
        await client.call(TOKEN, AskToken(login=token))
    elif place == "member":
        await client.call(CHANGE_MEMBER, ChangeMember(record=token))
    elif place == "clock":
        await client.call(MOVE_CLOCK, MoveClock(record=token))
    elif place == "manifest":
        await world.client(RIVER, MARA).call(SUBMIT, SubmitTask(manifest=token))
    elif place == "grant":
        await world.client(RIVER, MARA).call(GIVE_GRANT, GiveGrant(grant=token))
    else:
        await client.with_token(token).call(LIST_MEMBERS, ListMembers())


PLACES: dict[str, type[Refusal] | tuple[type[Refusal], ...]] = {
    # Nothing else holds a challenge, which is judged before the type; genesis is too large as well.
    "login": (ChallengeRejected, BodyOversize),
    "member": RecordRejected,
    "clock": ClockRecordRejected,
    "grant": GrantRejected,
    "manifest": ManifestRejected,
    "token": TokenRejected,
}


@pytest.fixture
def run() -> Callable[[Any], None]:
    """Run a story within its time."""
    return lambda story: asyncio.run(asyncio.wait_for(story, STORY_S_MAX))


def test_no_signed_object_passes_for_another_at_any_endpoint(run: Any) -> None:
    async def story() -> None:
        async with inprocess_world("three", seed=3) as world:
            good = await good_ones(world)
            for place, leaf in PLACES.items():
                for kind, token in good.items():
                    if kind != place:
                        with pytest.raises(leaf):
                            await offer(world, place, token)
            for place in PLACES:
                await offer(world, place, good[place])

    run(story())


def test_a_login_is_of_its_type_also_with_a_good_challenge(run: Any) -> None:
    async def story() -> None:
        async with inprocess_world("three", seed=3) as world:
            client = world.operator(RIVER)
            for typ in (TOKEN_TYP, TASK_TYP, MEMBER_TYP, CLOCK_TYP):
                challenge = await client.call(CHALLENGE, AskChallenge(did=client.identity.did))
                login = Login(
                    network=world.genesis.network,
                    aud=client.node,
                    did=client.identity.did,
                    challenge=challenge.challenge,
                    scopes=(),
                )
                with pytest.raises(LoginRejected):
                    await offer(world, "login", jws.sign(login, typ=typ, identity=client.identity))

    run(story())


def test_nothing_of_an_earlier_devnet_of_the_same_world_is_taken(run: Any) -> None:
    async def story() -> None:
        async with inprocess_world("three", seed=3) as earlier:
            old = await good_ones(earlier)
        async with inprocess_world("three", seed=3) as world:
            for place, leaf in PLACES.items():
                with pytest.raises(leaf):
                    await offer(world, place, old[place])

    run(story())


def test_a_login_and_a_token_for_one_node_are_none_at_another(run: Any) -> None:
    async def story() -> None:
        async with inprocess_world("three", seed=3) as world:
            good = await good_ones(world)
            elsewhere = world.operator(BRIGHT)
            with pytest.raises(ChallengeRejected, match="did not make it"):
                await elsewhere.call(TOKEN, AskToken(login=good["login"]))
            with pytest.raises(TokenRejected):
                await elsewhere.with_token(good["token"]).call(LIST_MEMBERS, ListMembers())

    run(story())


def test_a_manifest_in_another_members_name_is_rejected(run: Any) -> None:
    async def story() -> None:
        async with inprocess_world("three", seed=3) as world:
            claims = jws.peek((await good_ones(world))["manifest"]).payload
            for signer, said in ((MARA, "-/operator"), (HUGO, MARA)):
                forged = Manifest.model_validate(claims | {"member_id": said, "task_id": "f" * 32})
                token = jws.sign(forged, typ=TASK_TYP, identity=world.member(signer))
                with pytest.raises(ManifestRejected):
                    await offer(world, "manifest", token)

    run(story())
