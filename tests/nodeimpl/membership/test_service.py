"""Membership over a real store: who is known, how a key becomes a token, and how that ends."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from nodeimpl.kernel.binding import Caller
from nodeimpl.kernel.clock import VirtualClock
from nodeimpl.kernel.store import Store
from nodeimpl.membership.rules import Limits
from nodeimpl.membership.service import Revoked
from nodeimpl.membership.tries import Tries
from opkit.client.node import NodeClient
from opkit.proof import jws
from opkit.proof.keys import Identity
from opkit.proof.membership import fold_member
from opkit.wire import membership as wire
from opkit.wire.base import b64encode
from opkit.wire.endpoint import Scope
from opkit.wire.errors import Refusal
from opkit.wire.gateway import RateExceeded, TokenRejected
from opkit.wire.membership import (
    CHALLENGE,
    CHANGE_MEMBER,
    LIST_MEMBERS,
    LOGIN_TYP,
    REVOKE_TOKEN,
    TOKEN,
    AskChallenge,
    AskToken,
    ChangeMember,
    ListMembers,
    Login,
    RevokeToken,
)


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 120))


async def change(client: NodeClient, record: str) -> wire.Member:
    return await client.call(CHANGE_MEMBER, ChangeMember(record=record))


def test_genesis_seeds_founders_and_the_operator_once(doorstep: Any) -> None:
    async def story() -> None:
        for _ in range(2):
            async with doorstep.node() as node, node.client("operator") as operator:
                page = await operator.call(LIST_MEMBERS, ListMembers())
                assert [member.member_id for member in page.members] == [
                    "-/operator",
                    "far/zoe",
                    "mill/ana",
                    "mill/ben",
                    "mill/gus",
                ]

    run(story())


def test_members_are_listed_in_pages(doorstep: Any) -> None:
    async def story() -> None:
        async with doorstep.node() as node, node.client("mill/ana") as ana:
            first = await ana.call(LIST_MEMBERS, ListMembers(members_max=3))
            rest = await ana.call(LIST_MEMBERS, ListMembers(after=first.next_after))
            assert [len(first.members), len(rest.members)] == [3, 2]
            assert (first.next_after, rest.next_after) == ("mill/ana", "")

    run(story())


def test_a_founder_of_another_coop_is_known_and_logs_in_only_by_a_record(doorstep: Any) -> None:
    async def story() -> None:
        zoe = doorstep.people.members["far/zoe"]
        async with doorstep.node() as node, node.client("operator") as operator:
            known = await node.store.read(lambda tx: node.membership.member(tx, "far/zoe"))
            assert known.did == zoe.did
            async with node.client(zoe) as guest:
                with pytest.raises(wire.MemberUnknown):
                    await guest.login()
                await change(operator, doorstep.people.record("far/zoe", did=zoe.did))
                assert (await guest.login()).member_id == "far/zoe"

    run(story())


def test_every_change_is_kept_as_a_chain_that_others_can_fold(doorstep: Any) -> None:
    async def story() -> None:
        people, first, second = doorstep.people, Identity.generate(), Identity.generate()
        async with doorstep.node() as node, node.client("operator") as operator:
            await change(operator, people.record("-/lee", did=first.did))
            await change(operator, people.record("-/lee", did=second.did, sequence=2))
            last = await change(
                operator, people.record("-/lee", did=second.did, sequence=3, action="revoke")
            )
            records = await node.store.read(lambda tx: node.membership.records(tx, "-/lee"))
        assert fold_member("-/lee", genesis=people.genesis, records=records) == last
        assert (last.did, last.active, last.sequence) == (second.did, False, 3)

    run(story())


def test_a_record_by_anybody_else_changes_nothing(doorstep: Any) -> None:
    async def story() -> None:
        people, stranger = doorstep.people, Identity.generate()
        forged = [
            people.record("-/lee", did=stranger.did, signer=people.members["mill/ana"]),
            people.record("-/lee", did=stranger.did, network="b" * 26),
            people.genesis.token,
            "no.record.atall",
        ]
        async with doorstep.node() as node, node.client("operator") as operator:
            for record in forged:
                with pytest.raises(wire.RecordRejected):
                    await change(operator, record)
            held = people.record("-/lee", did=people.members["mill/ana"].did)
            with pytest.raises(wire.DidTaken):
                await change(operator, held)

    run(story())


def test_a_key_that_was_given_up_logs_in_no_more(doorstep: Any) -> None:
    async def story() -> None:
        people, fresh = doorstep.people, Identity.generate()
        old = people.members["mill/ana"]
        async with doorstep.node() as node, node.client("operator") as operator:
            before, after = node.client(old), node.client(fresh)
            token = (await before.login()).token
            await change(operator, people.record("mill/ana", did=fresh.did))
            with pytest.raises(TokenRejected):
                await node.client().with_token(token).call(LIST_MEMBERS, ListMembers())
            with pytest.raises(wire.MemberUnknown):
                await before.login()
            assert (await after.login()).member_id == "mill/ana"
            await before.close()
            await after.close()

    run(story())


async def signed_login(node: Any, client: NodeClient, who: Identity, **changed: Any) -> str:
    challenge = await client.call(CHALLENGE, AskChallenge(did=who.did))
    fields: dict[str, Any] = {
        "network": challenge.network,
        "aud": challenge.node,
        "did": who.did,
        "challenge": challenge.challenge,
        "scopes": (),
        **changed,
    }
    typ = fields.pop("typ", LOGIN_TYP)
    return jws.sign(Login(**fields), typ=typ, identity=who)


def test_a_challenge_is_answered_once_even_after_a_restart(doorstep: Any) -> None:
    async def story() -> None:
        ana = doorstep.people.members["mill/ana"]
        async with doorstep.node() as node, node.client() as nobody:
            login = await signed_login(node, nobody, ana)
            both = await asyncio.gather(
                *(nobody.call(TOKEN, AskToken(login=login)) for _ in range(2)),
                return_exceptions=True,
            )
            kinds = {type(each) for each in both}
            assert kinds == {wire.Token, wire.ChallengeRejected}
            unused = await signed_login(node, nobody, ana)
        async with doorstep.node() as node, node.client() as nobody:
            with pytest.raises(wire.ChallengeRejected, match="already used"):
                await nobody.call(TOKEN, AskToken(login=login))
            assert (await nobody.call(TOKEN, AskToken(login=unused))).member_id == "mill/ana"

    run(story())


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a node does that costs something, in order: signatures checked, reads, writes."""
    done: list[str] = []
    verify, read, write = jws.verify_signature, Store.read, Store.write

    def verified(*given: Any, **named: Any) -> None:
        done.append("signature")
        verify(*given, **named)

    async def reading(store: Store, work: Any) -> Any:
        done.append("read")
        return await read(store, work)

    async def writing(store: Store, work: Any) -> Any:
        done.append("write")
        return await write(store, work)

    monkeypatch.setattr(jws, "verify_signature", verified)
    monkeypatch.setattr(Store, "read", reading)
    monkeypatch.setattr(Store, "write", writing)
    return done


async def refused_login(client: NodeClient, login: str) -> type[Exception]:
    with pytest.raises(Refusal) as refused:
        await client.call(TOKEN, AskToken(login=login))
    return type(refused.value)


def forged(login: str) -> str:
    """Return the same login with another signature."""
    said, _, _ = login.rpartition(".")
    return f"{said}.{b64encode(bytes(64))}"


def test_a_bogus_login_costs_the_node_a_mac_and_a_real_challenge_three_signatures(
    doorstep: Any, steps: list[str]
) -> None:
    async def story() -> None:
        ana, limits = doorstep.people.members["mill/ana"], Limits(challenge_tries_max=3)
        async with doorstep.node(member_limits=limits) as node, node.client() as nobody:
            good = await signed_login(node, nobody, ana)
            made_up = await signed_login(node, nobody, ana, challenge="1.AAAA.AAAA")
            steps.clear()
            assert await refused_login(nobody, "no.login.atall") is wire.LoginRejected
            assert await refused_login(nobody, made_up) is wire.ChallengeRejected
            assert steps == [], "a MAC, and nothing else"
            for _ in range(5):
                await refused_login(nobody, forged(good))
            assert steps == ["signature"] * limits.challenge_tries_max
            assert await refused_login(nobody, good) is wire.ChallengeRejected, "it is used up"

    run(story())


def test_a_stranger_with_a_key_of_their_own_never_reaches_the_writer(
    doorstep: Any, steps: list[str]
) -> None:
    async def story() -> None:
        async with doorstep.node() as node, node.client() as nobody:
            login = await signed_login(node, nobody, Identity.generate())
            steps.clear()
            assert await refused_login(nobody, login) is wire.MemberUnknown
            assert steps == ["signature", "read"]

    run(story())


def test_what_is_refused_takes_the_same_steps_whether_the_key_is_a_members_or_not(
    doorstep: Any, steps: list[str]
) -> None:
    """Who does not hold a key learns nothing of whose it is, from answers or from their time."""

    async def story() -> None:
        ana, stranger = doorstep.people.members["mill/ana"], Identity.generate()
        taken: list[list[str]] = []
        said: list[list[type[Exception]]] = []
        async with doorstep.node() as node, node.client() as nobody:
            for who in (ana, stranger):
                steps.clear()
                login = await signed_login(node, nobody, who)
                assert steps == [], "a challenge is made for anybody, and nobody is looked up"
                lapsed = await signed_login(node, nobody, who, challenge="1.AAAA.AAAA")
                refusals = [await refused_login(nobody, each) for each in (forged(login), lapsed)]
                said.append(refusals)
                taken.append(list(steps))
        assert said[0] == said[1] == [wire.LoginRejected, wire.ChallengeRejected]
        assert taken[0] == taken[1] == ["signature"]

    run(story())


def test_tries_are_counted_in_bounded_memory() -> None:
    tries = Tries(tries_max=1, challenges_max=2)
    for nonce in ("a", "b"):
        tries.take(nonce)
        with pytest.raises(wire.ChallengeRejected, match="too often"):
            tries.take(nonce)
    tries.take("c")
    tries.take("a")  # The oldest was forgotten; its signature is looked at once more.
    for nonce in ("x", "y", "z"):
        tries.use(nonce)
    with pytest.raises(wire.ChallengeRejected, match="already used"):
        tries.take("z")
    tries.take("x")


def test_a_login_of_another_type_or_for_another_place_is_refused(doorstep: Any) -> None:
    async def story() -> None:
        ana, other = doorstep.people.members["mill/ana"], doorstep.people.far.did
        async with doorstep.node() as node, node.client() as nobody:
            for changed in ({"typ": "opkit-task+jws"}, {"network": "b" * 26}, {"aud": other}):
                login = await signed_login(node, nobody, ana, **changed)
                with pytest.raises(wire.LoginRejected):
                    await nobody.call(TOKEN, AskToken(login=login))
            with pytest.raises(wire.LoginRejected):
                await nobody.call(TOKEN, AskToken(login="no.login.atall"))

    run(story())


def test_answered_challenges_are_forgotten_when_they_lapse_and_bounded_before(
    doorstep: Any,
) -> None:
    async def story() -> None:
        clock, limits = VirtualClock(), Limits(used_challenges_max=2)
        async with (
            doorstep.node(clock=clock, member_limits=limits) as node,
            node.client("mill/ana") as ana,
        ):
            await ana.login()
            await ana.login()
            with pytest.raises(RateExceeded):
                await ana.login()
            clock.advance(limits.challenge_ttl_ms)
            await ana.login()

    run(story())


def test_a_revoked_token_is_refused_from_then_on_also_after_a_restart(doorstep: Any) -> None:
    async def story() -> None:
        async with doorstep.node() as node, node.client("mill/ana") as ana:
            first, second = (await ana.login()).token, (await ana.login()).token
            ended = node.client().with_token(first)
            await ended.call(REVOKE_TOKEN, RevokeToken())
            with pytest.raises(TokenRejected, match="revoked"):
                await ended.call(LIST_MEMBERS, ListMembers())
            await node.client().with_token(second).call(LIST_MEMBERS, ListMembers())
        async with doorstep.node() as node:
            with pytest.raises(TokenRejected, match="revoked"):
                await node.client().with_token(first).call(LIST_MEMBERS, ListMembers())

    run(story())


def test_a_revocation_is_told_before_its_answer(doorstep: Any) -> None:
    async def story() -> None:
        people, told = doorstep.people, list[Revoked]()
        did = people.members["mill/ana"].did
        async with doorstep.node() as node, node.client("operator") as operator:
            node.membership.on_revoked(told.append)
            await change(operator, people.record("-/lee", did=Identity.generate().did))
            assert told == [], "a new member ends nothing"
            await change(operator, people.record("mill/ana", did=did, action="revoke"))
            assert told == [Revoked(member_id="mill/ana", token_id=None, membership=True)]

    run(story())


def test_the_memory_of_verified_tokens_is_bounded(doorstep: Any) -> None:
    async def story() -> None:
        limits = Limits(verified_tokens_max=2)
        async with doorstep.node(member_limits=limits) as node, node.client("mill/ana") as ana:
            tokens = [(await ana.login()).token for _ in range(3)]
            now_ms = node.clock.now_ms()
            for token in tokens:
                await node.membership.verify(token, now_ms=now_ms)
            known = [node.membership.recall(token, now_ms=now_ms) for token in tokens]
            assert [each is not None for each in known] == [False, True, True]

    run(story())


def test_a_caller_names_member_key_scopes_and_address(doorstep: Any) -> None:
    async def story() -> None:
        async with doorstep.node() as node, node.client("mill/ana") as ana:
            token = (await ana.login(scopes=(Scope.NODE_READ,))).token
            bearer = await node.membership.verify(token, now_ms=node.clock.now_ms())
            caller = bearer.calling_from("here")
            did = doorstep.people.members["mill/ana"].did
            expected = Caller(
                member_id="mill/ana",
                did=did,
                scopes=frozenset({Scope.NODE_READ}),
                address="here",
                token_id=caller.token_id,
            )
            assert caller == expected

    run(story())
