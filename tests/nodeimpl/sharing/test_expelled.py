"""What an expelled author had said, taken because somebody honest built on it, stays readable."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

from nodeimpl.kernel.store import Tx
from nodeimpl.sharing.service import Sharing
from nodeimpl.sharing.specs import SharedSpec
from opkit.wire.objects import ObjectMerged, ObjectUnknown
from opkit.wire.operations import ExpelAct, ObjectKind, SetAct

TOOLS, BOARD = "pool/tools", "board"
NAMES = ("ada", "ben", "cy", "dan")


async def expelled_with_a_follower(homes, words: int) -> None:
    """Have Cy expelled beside words that Dan builds on; Ada takes it all from Ben and Dan."""
    ada, ben, cy, dan = homes
    for home in homes:
        await home.open(TOOLS, " ".join(NAMES))
    for begin in range(0, words, 200):
        await cy.add(*(f"word {n}" for n in range(begin, min(begin + 200, words))))
    await dan.pull(cy)
    act = ExpelAct(did=cy.did)
    for home in (ada, ben):
        await home.store.write(lambda tx, home=home: home.sharing.say(tx, TOOLS, act))
    await ada.pull(ben)
    assert await ada.elements() == ()
    await dan.add("honest")
    await dan.pull(ada)
    assert not await ada.pull(dan)
    assert await ada.elements() == ("honest",)


def test_it_is_read_again_after_a_restart(within, home_at, store_url, url_of) -> None:
    async def work() -> None:
        async with AsyncExitStack() as others:
            ben, cy, dan = [
                await others.enter_async_context(home_at(url_of(name), name)) for name in NAMES[1:]
            ]
            async with home_at(store_url) as ada:
                await expelled_with_a_follower((ada, ben, cy, dan), 3)
                state = await ada.state()
            async with home_at(store_url) as ada:
                assert await ada.elements() == ("honest",)
                assert await ada.state() == state
                await ada.add("more")
                assert await ada.elements() == ("honest", "more")

    within(work)


def test_it_is_read_again_when_another_change_of_the_commit_is_undone(
    within, home_at, store_url, url_of
) -> None:
    async def work() -> None:
        async with AsyncExitStack() as homes:
            ada = await homes.enter_async_context(home_at(store_url))
            ben, cy, dan = [
                await homes.enter_async_context(home_at(url_of(name), name)) for name in NAMES[1:]
            ]
            await expelled_with_a_follower((ada, ben, cy, dan), 3)

            def fail(tx: Tx) -> None:
                ada.sharing.replica(tx, TOOLS)
                ada.sharing.replica(tx, "pool/none")

            done = await asyncio.gather(
                ada.add("more"), ada.store.write(fail), return_exceptions=True
            )
            assert [type(each) for each in done] == [type(None), ObjectUnknown]
            assert not ada.store.has_failed
            assert await ada.elements() == ("honest", "more")

    within(work)


def test_however_much_it_is_nobody_is_told_of_it(within, home_at, url_of) -> None:
    """A listener that announces something of each is no reason not to take what counts."""

    async def work() -> None:
        async with AsyncExitStack() as homes:
            ada, ben, cy, dan = [
                await homes.enter_async_context(home_at(url_of(name), name)) for name in NAMES
            ]
            told: list[str] = []

            def tell(tx: Tx, object_id: str, read) -> None:
                told.append(read.operation.did)
                tx.announce(ObjectMerged(object_id=object_id, operations=1, total=1))

            ada.sharing.changed("pool/", tell)
            await expelled_with_a_follower((ada, ben, cy, dan), 1_005)
            assert told == [ada.did, ben.did, dan.did]

    within(work)


def test_a_later_version_that_lets_in_less_reads_what_it_has(
    within, home_at, store_url, key
) -> None:
    def strict(object_id: str, opening: str) -> SharedSpec:
        del object_id, opening
        return SharedSpec(
            kind=ObjectKind.LWW_MAP,
            founders=frozenset(key(name).did for name in NAMES[:3]),
            permits=lambda _did, act: isinstance(act, SetAct) and act.value == "later",
        )

    async def work() -> None:
        async with home_at(store_url) as home:
            act = SetAct(key=f"word/{home.did}", value="here")
            await home.open(BOARD, "")
            await home.store.write(lambda tx: home.sharing.say(tx, BOARD, act))
            state = await home.state(BOARD)
        async with home_at(store_url) as home:
            home.sharing = Sharing(home.identity, network=home.sharing.network, generation=1)
            home.sharing.opener(BOARD, strict)
            assert await home.state(BOARD) == state
            assert await home.elements(BOARD) == ("here",)

    within(work)
