"""What an assembly decides about members, at the home node of the coop and elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from itertools import combinations
from typing import Any

import pytest

from nodeimpl.membership.chains import Chains, Chosen
from nodeimpl.membership.decided import AssemblyMembers, DecidedFacts, judge_decided
from nodeimpl.membership.rules import Limits, Standing
from nodeimpl.membership.service import Revoked
from opkit.proof import jws
from opkit.proof.governance import electorate_hash
from opkit.proof.keys import Identity
from opkit.proof.membership import fold_member, read_decided
from opkit.proof.standing import choose_links
from opkit.wire import membership as wire
from opkit.wire.base import Jws
from opkit.wire.errors import Refusal
from opkit.wire.membership import CHANGE_MEMBER, ChangeMember, DecidedMember, Member
from opkit.wire.votes import Elector, MembershipEffect

ANA = Identity.from_seed(b"\1" * 32).did
BEN = Identity.from_seed(b"\2" * 32).did
NODE = Identity.from_seed(b"\3" * 32).did
EVE = "mill/eve"
LIMITS = Limits(members_max=10, records_per_member_max=5)
FACTS = DecidedFacts(
    network="a" * 26, node=NODE, issued_at_ms=7, proposal="1" * 64, decision="2" * 64
)
ADMIT = MembershipEffect(action="admit", member_id=EVE, name="Eve", did=ANA, roles=("member",))
REMOVE = MembershipEffect(action="remove", member_id=EVE)
REKEY = MembershipEffect(action="rekey", member_id=EVE, did=BEN)


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 120))


def eve(**changed: Any) -> Standing:
    """Return how Eve stands, but for what is changed."""
    fields: dict[str, Any] = {
        "member_id": EVE,
        "coop": "mill",
        "name": "Eve",
        "title": "miller",
        "did": ANA,
        "roles": ("officer",),
        "active": True,
        "sequence": 3,
    }
    return Standing(member=Member(**{**fields, **changed}), local=True)


def judge(effect: MembershipEffect, **changed: Any) -> DecidedMember:
    """Return the link that a decision makes."""
    fields: dict[str, Any] = {
        "said": FACTS,
        "standing": None,
        "holder": None,
        "members": 1,
        "records": 0,
        "limits": LIMITS,
    }
    return judge_decided(effect, **{**fields, **changed})


def test_who_is_admitted_becomes_what_was_decided() -> None:
    link = judge(ADMIT)
    assert link == DecidedMember(
        network="a" * 26,
        aud="mill",
        action="add",
        member_id=EVE,
        name="Eve",
        title="",
        did=ANA,
        roles=("member",),
        sequence=1,
        issued_at_ms=7,
        node=NODE,
        proposal="1" * 64,
        decision="2" * 64,
    )


@pytest.mark.parametrize("active", [True, False])
def test_who_stands_already_or_was_removed_is_admitted_with_other_roles(active: bool) -> None:
    link = judge(ADMIT, standing=eve(active=active), holder=EVE, members=LIMITS.members_max)
    assert (link.sequence, link.roles, link.title) == (4, ("member",), "")


def test_who_is_removed_or_rekeyed_stays_what_they_are_in_all_else() -> None:
    gone = judge(REMOVE, standing=eve())
    assert (gone.action, gone.did, gone.name, gone.title) == ("revoke", ANA, "Eve", "miller")
    assert (gone.roles, gone.sequence) == (("officer",), 4)
    rekeyed = judge(REKEY, standing=eve())
    assert (rekeyed.action, rekeyed.did, rekeyed.title) == ("add", BEN, "miller")
    assert rekeyed.roles == ("officer",)


FAULTS: dict[type[Refusal], dict[str, Any]] = {
    wire.MemberMissing: {"standing": eve(active=False), "effect": REKEY},
    wire.DidTaken: {"holder": "mill/ben"},
    wire.MembersFull: {"records": LIMITS.records_per_member_max},
}


def judge_faults(faults: dict[str, Any]) -> DecidedMember:
    said = {"standing": eve(), **faults}
    return judge(said.pop("effect", REKEY), **said)


@pytest.mark.parametrize("leaf", FAULTS)
def test_each_refusal_can_be_met(leaf: type[Refusal]) -> None:
    with pytest.raises(leaf):
        judge_faults(FAULTS[leaf])


@pytest.mark.parametrize(("first", "second"), list(combinations(FAULTS, 2)))
def test_refusals_come_in_the_declared_order(first: type[Refusal], second: type[Refusal]) -> None:
    with pytest.raises(first):
        judge_faults({**FAULTS[second], **FAULTS[first]})


@pytest.mark.parametrize("effect", [REMOVE, REKEY])
def test_who_was_never_a_member_is_neither_removed_nor_rekeyed(effect: MembershipEffect) -> None:
    with pytest.raises(wire.MemberMissing) as no:
        judge(effect)
    assert no.value.member_id == EVE


def test_a_rekey_gives_another_key() -> None:
    with pytest.raises(wire.DidTaken):
        judge(REKEY, standing=eve(did=BEN), holder=EVE)


def test_a_new_member_needs_room_and_a_known_one_does_not() -> None:
    with pytest.raises(wire.MembersFull):
        judge(ADMIT, members=LIMITS.members_max)
    judge(ADMIT, members=LIMITS.members_max - 1)
    judge(REMOVE, standing=eve(), members=LIMITS.members_max)
    judge(REMOVE, standing=eve(), records=LIMITS.records_per_member_max - 1)


async def decide(node: Any, effect: MembershipEffect) -> Member:
    """Have the node execute a decision about a member."""
    members = AssemblyMembers(node.membership)
    member: Member = await node.membership.store.write(
        lambda tx: members.decide(tx, effect, proposal="1" * 64, decision="2" * 64)
    )
    return member


def test_a_decision_is_a_link_that_anybody_folds_and_a_key_that_logs_in(doorstep: Any) -> None:
    async def story() -> None:
        key, later = Identity.generate(), Identity.generate()
        async with doorstep.node() as node:
            admitted = await decide(node, ADMIT.model_copy(update={"did": key.did}))
            async with node.client(key) as client:
                await client.login()
            rekeyed = await decide(node, REKEY.model_copy(update={"did": later.did}))
            async with node.client(later) as client:
                await client.login()
            async with node.client(key) as client:
                with pytest.raises(wire.MemberUnknown):
                    await client.login()
            ended: list[Revoked] = []
            node.membership.on_revoked(ended.append)
            gone = await decide(node, REMOVE)
            assert ended == [Revoked(member_id=EVE, token_id=None, membership=True)]
            async with node.client(later) as client:
                with pytest.raises(wire.MemberUnknown):
                    await client.login()
            chain = (await Chains(node.membership).of([EVE]))[EVE]
            genesis = node.people.genesis
            assert fold_member(EVE, genesis=genesis, records=chain) == gone
            assert fold_member(EVE, genesis=genesis, records=chain[:2]) == rekeyed
            assert fold_member(EVE, genesis=genesis, records=chain[:1]) == admitted
            assert read_decided(chain[0], genesis=genesis).decision == "2" * 64

    run(story())


def test_the_operators_record_counts_until_the_coop_decides(doorstep: Any) -> None:
    async def story() -> None:
        key, other = Identity.generate().did, Identity.generate().did
        async with doorstep.node() as node, node.client("operator") as operator:

            async def change(record: Jws) -> Member:
                return await operator.call(CHANGE_MEMBER, ChangeMember(record=record))

            await change(node.people.record("mill/fay", did=key))
            await decide(node, ADMIT)
            for record in (
                node.people.record("mill/fay", did=key, sequence=2, action="revoke"),
                node.people.record("mill/kim", did=other),
                node.people.record(EVE, did=other, sequence=2),
            ):
                with pytest.raises(wire.MembersDecided) as no:
                    await change(record)
                assert no.value.coop == "mill"
            # Members of other coops, and of none, are the operator's to change as before.
            await change(node.people.record("far/kim", did=other))
            await change(node.people.record("-/kim", did=Identity.generate().did))

    run(story())


def chosen(node: Any, member_id: str, *links: Jws, before: tuple[Jws, ...] = ()) -> Chosen:
    known = {number: [token] for number, token in enumerate(links, 1)}
    chain, member = choose_links(member_id, genesis=node.people.genesis, known=known)
    assert member is not None and chain == links
    return Chosen(before=before, chain=chain, member=member)


def test_the_home_of_a_coop_that_decides_takes_no_operators_word_from_others(
    doorstep: Any,
) -> None:
    async def story() -> None:
        async with doorstep.node() as node:
            chains = Chains(node.membership)
            early = node.people.record("mill/fay", did=Identity.generate().did)
            late = node.people.record("mill/kim", did=Identity.generate().did)
            far = node.people.record("far/kim", did=Identity.generate().did)
            await chains.let_stand({"mill/fay": chosen(node, "mill/fay", early)})
            await decide(node, ADMIT)
            await chains.let_stand(
                {
                    "mill/kim": chosen(node, "mill/kim", late),
                    "far/kim": chosen(node, "far/kim", far),
                }
            )
            assert await chains.of(["mill/fay", "mill/kim", "far/kim"]) == {
                "mill/fay": (early,),
                "mill/kim": (),
                "far/kim": (far,),
            }

    run(story())


def test_a_home_takes_its_own_decided_links_back_from_others(doorstep: Any) -> None:
    async def story() -> None:
        async with doorstep.node() as node:
            chains = Chains(node.membership)
            await decide(node, ADMIT)
            await decide(node, REMOVE)
            first, second = (await chains.of([EVE]))[EVE]
            # As if yesterday's database had been restored.
            await chains.let_stand({EVE: chosen(node, EVE, first, before=(first, second))})
            assert (await chains.of([EVE]))[EVE] == (first,)
            await chains.let_stand({EVE: chosen(node, EVE, first, second, before=(first,))})
            assert (await chains.of([EVE]))[EVE] == (first, second)

    run(story())


def test_an_assemblys_electors_are_its_active_members_who_vote(doorstep: Any) -> None:
    async def story() -> None:
        async with doorstep.node() as node:
            members = AssemblyMembers(node.membership)

            async def electors(coop: str = "mill") -> list[Elector]:
                digest, found = await node.membership.store.read(
                    lambda tx: members.electorate(tx, coop)
                )
                assert digest == electorate_hash(coop, found)
                return [*found]

            founders = await electors()
            kept = await node.membership.store.read(lambda tx: members.electorate(tx, "mill"))
            again = await node.membership.store.read(lambda tx: members.electorate(tx, "mill"))
            assert again[1] is kept[1], "nothing changed, nothing is made anew"
            assert [each.sequence for each in founders] == [0] * len(founders)
            assert {each.link for each in founders} == {None}
            eve = await decide(node, ADMIT)
            guest = ADMIT.model_copy(
                update={"member_id": "mill/guy", "did": BEN, "roles": ("guest",)}
            )
            await decide(node, guest)
            link = (await Chains(node.membership).of([EVE]))[EVE][0]
            elector = Elector(member_id=EVE, did=eve.did, sequence=1, link=jws.record_id(link))
            expected = sorted([*founders, elector], key=lambda each: each.member_id)
            assert await electors() == expected
            await decide(node, REMOVE)
            assert await electors() == founders
            assert "mill" not in {each.member_id[:4] for each in await electors("far")}
            found = await node.membership.store.read(
                lambda tx: members.member(tx, EVE),
            )
            assert found is not None and not found.active

    run(story())


def test_links_of_a_coop_are_read_page_by_page(doorstep: Any) -> None:
    async def story() -> None:
        async with doorstep.node() as node:
            members = AssemblyMembers(node.membership)
            await decide(node, ADMIT)
            await decide(node, REMOVE)
            await decide(node, ADMIT.model_copy(update={"member_id": "mill/fay", "did": BEN}))
            far = node.people.record("far/kim", did=Identity.generate().did)
            await Chains(node.membership).let_stand({"far/kim": chosen(node, "far/kim", far)})
            chains = await Chains(node.membership).of([EVE, "mill/fay"])
            every = [
                (EVE, 1, chains[EVE][0]),
                (EVE, 2, chains[EVE][1]),
                ("mill/fay", 1, chains["mill/fay"][0]),
            ]
            for after, count_max, expected in (
                (("", 0), 10, every),
                (("", 0), 2, every[:2]),
                ((EVE, 1), 10, every[1:]),
                ((EVE, 2), 1, every[2:]),
                (("mill/fay", 1), 10, []),
            ):
                found = await node.membership.store.read(
                    lambda tx, after=after, most=count_max: members.links(
                        tx, "mill", after=after, count_max=most
                    )
                )
                assert found == expected

    run(story())
