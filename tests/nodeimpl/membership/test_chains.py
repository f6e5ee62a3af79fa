"""Chains that others hand on, on either store: what stands, what ends, what is told."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any

import pytest

from nodeimpl.membership.chains import Chains, Chosen
from nodeimpl.membership.rules import Limits
from nodeimpl.membership.service import Revoked
from opkit.proof.keys import Identity
from opkit.proof.standing import choose_links, standing_of
from opkit.wire.base import Jws
from opkit.wire.events import READ_JOURNAL, ReadJournal
from opkit.wire.membership import CHANGE_MEMBER, ChangeMember, RecordRejected, SequenceStale

EVE = "mill/eve"
FAR = "far/eve"


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 120))


def chosen(node: Any, member_id: str, *links: Jws, before: Sequence[Jws] = ()) -> Chosen:
    known = {number: [token] for number, token in enumerate(links, 1)}
    chain, member = choose_links(member_id, genesis=node.people.genesis, known=known)
    assert member is not None and chain == links
    return Chosen(before=tuple(before), chain=chain, member=member)


async def kinds(node: Any) -> list[str]:
    async with node.client("operator") as operator:
        page = await operator.call(READ_JOURNAL, ReadJournal(entries_max=1000))
        return [entry.type for entry in page.entries if entry.type.startswith("membership.member-")]


def test_a_chain_stands_as_it_was_chosen_and_is_told_once(doorstep: Any) -> None:
    async def story() -> None:
        async with doorstep.node() as node:
            chains, key = Chains(node.membership), Identity.generate().did
            changed: list[str] = []
            node.membership.on_changed(changed.append)
            added = node.people.record(EVE, did=key)
            revoked = node.people.record(EVE, did=key, sequence=2, action="revoke")
            assert not await chains.let_stand({EVE: chosen(node, EVE, added, revoked)})
            assert await chains.of([EVE, "mill/nobody"]) == {
                EVE: (added, revoked),
                "mill/nobody": (),
            }
            assert await chains.after("", 0, count_max=10) == [(EVE, 1, added), (EVE, 2, revoked)]
            assert await chains.after(EVE, 1, count_max=10) == [(EVE, 2, revoked)]
            assert await chains.after(EVE, 2, count_max=10) == []
            assert changed == [EVE]
            assert await kinds(node) == ["membership.member-revoked"]

    run(story())


def test_what_was_chosen_from_another_chain_is_not_put(doorstep: Any) -> None:
    async def story() -> None:
        async with doorstep.node() as node:
            chains, key = Chains(node.membership), Identity.generate().did
            added = node.people.record(EVE, did=key)
            again = node.people.record(EVE, did=key, sequence=2)
            await chains.let_stand({EVE: chosen(node, EVE, added)})
            late = chosen(node, EVE, added, again)
            assert await chains.let_stand({EVE: late}) == {EVE}
            assert await chains.of([EVE]) == {EVE: (added,)}

    run(story())


def test_another_choice_takes_the_place_of_what_stood_and_of_what_followed_it(
    doorstep: Any,
) -> None:
    async def story() -> None:
        async with doorstep.node() as node:
            chains = Chains(node.membership)
            one, other = (Identity.generate().did for _ in range(2))
            first, rival = node.people.record(EVE, did=one), node.people.record(EVE, did=other)
            second = node.people.record(EVE, did=one, sequence=2, action="revoke")
            stood = (first, second)
            await chains.let_stand({EVE: chosen(node, EVE, *stood)})
            await chains.let_stand({EVE: chosen(node, EVE, rival, before=stood)})
            assert await chains.of([EVE]) == {EVE: (rival,)}

            shorter = chosen(node, EVE, rival)
            await chains.let_stand({EVE: Chosen(before=(rival,), chain=(), member=shorter.member)})
            assert await chains.of([EVE]) == {EVE: ()}

    run(story())


def test_who_ends_here_ends_with_all_that_they_have(doorstep: Any) -> None:
    async def story() -> None:
        async with doorstep.node() as node:
            ended: list[Revoked] = []
            along: list[str] = []
            node.membership.on_revoked(ended.append)
            node.membership.while_revoking(lambda tx, member_id: along.append(member_id))
            ana = node.people.members["mill/ana"].did
            revoked = node.people.record("mill/ana", did=ana, action="revoke")
            await Chains(node.membership).let_stand({"mill/ana": chosen(node, "mill/ana", revoked)})
            assert ended == [Revoked(member_id="mill/ana", token_id=None, membership=True)]
            assert along == ["mill/ana"]

    run(story())


def test_members_of_the_own_coop_are_local_and_others_are_not(doorstep: Any) -> None:
    async def story() -> None:
        async with doorstep.node() as node:
            keys = {name: Identity.generate() for name in (EVE, FAR, "-/eve")}
            await Chains(node.membership).let_stand(
                {
                    name: chosen(node, name, node.people.record(name, did=key.did))
                    for name, key in keys.items()
                }
            )
            async with node.client(keys[EVE]) as eve:
                await eve.login()
            for name in (FAR, "-/eve"):
                async with node.client(keys[name]) as stranger:
                    with pytest.raises(Exception, match="member") as no:
                        await stranger.login()
                assert no.value.code == "member-unknown"

    run(story())


def test_more_members_than_there_is_room_for_are_not_known(doorstep: Any) -> None:
    async def story() -> None:
        async with doorstep.node(member_limits=Limits(members_max=1)) as node:
            chains = Chains(node.membership)
            added = node.people.record(EVE, did=Identity.generate().did)
            assert not await chains.let_stand({EVE: chosen(node, EVE, added)})
            assert await chains.of([EVE]) == {EVE: ()}

    run(story())


def test_the_standing_of_a_coop_follows_every_chain(doorstep: Any) -> None:
    async def story() -> None:
        async with doorstep.node() as node:
            chains = Chains(node.membership)
            before = await chains.standing_of("mill")
            founders = [
                (founder.member_id, 0, None)
                for coop, founder in node.people.genesis.founders()
                if coop == "mill"
            ]
            assert before == standing_of("mill", founders)
            far = await chains.standing_of("far")
            added = node.people.record(EVE, did=Identity.generate().did)
            await chains.let_stand({EVE: chosen(node, EVE, added)})
            after = await chains.standing_of("mill")
            assert after.members == before.members + 1
            assert after.digest != before.digest
            assert await chains.standing_of("far") == far

    run(story())


def test_a_record_that_could_not_be_handed_on_is_refused(doorstep: Any) -> None:
    async def story() -> None:
        async with doorstep.node() as node, node.client("operator") as operator:
            added = node.people.record(EVE, did=Identity.generate().did, roles=("member",) * 400)
            with pytest.raises(RecordRejected, match="more than 4096"):
                await operator.call(CHANGE_MEMBER, ChangeMember(record=added))

    run(story())


def test_the_record_that_stands_is_taken_once_more_and_makes_a_member_local(doorstep: Any) -> None:
    async def story() -> None:
        async with doorstep.node() as node, node.client("operator") as operator:
            key = Identity.generate()
            added = node.people.record(FAR, did=key.did)
            await Chains(node.membership).let_stand({FAR: chosen(node, FAR, added)})
            before = await kinds(node)
            for _ in range(2):
                member = await operator.call(CHANGE_MEMBER, ChangeMember(record=added))
                assert (member.member_id, member.sequence) == (FAR, 1)
            assert await kinds(node) == before
            async with node.client(key) as eve:
                await eve.login()
            rival = node.people.record(FAR, did=Identity.generate().did)
            with pytest.raises(SequenceStale):
                await operator.call(CHANGE_MEMBER, ChangeMember(record=rival))

    run(story())
