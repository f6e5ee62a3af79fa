"""What replicas tell each other: who may hear, what is lacking, and what is done after a loss."""

from __future__ import annotations

import shutil
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nodeimpl.kernel.crdt.replica import Taken
from nodeimpl.kernel.store import Tx
from opkit.proof.keys import Identity
from opkit.proof.operations import ReadOperation
from opkit.wire.gateway import StoreBusy
from opkit.wire.objects import AskLacking, AskOperations, ObjectHeads, ObjectMerged, ObjectUnknown
from opkit.wire.operations import (
    AddAct,
    EpochOver,
    ExpelAct,
    OperationNotAuthors,
    SetAct,
)
from tests.operations import first_operation

NETWORK, TOOLS, BOARD = "a" * 26, "pool/tools", "board"


def test_what_one_says_the_others_have_and_both_have_the_same(within, home_at, url_of) -> None:
    async def work() -> None:
        async with home_at(url_of("ada")) as ada, home_at(url_of("ben"), "ben") as ben:
            await ada.open()
            await ben.open()
            await ada.add("lathe", *(f"bit {number}" for number in range(600)))
            await ben.add("saw")
            assert not await ben.pull(ada) and not await ada.pull(ben)
            assert await ada.elements() == await ben.elements()
            assert len(await ada.elements()) == 602
            assert await ada.state() == await ben.state()
            for one, other in ((ada, ben), (ben, ada)):
                heard = await one.hear(other)
                assert not (heard.lacking or heard.behind or heard.unknown)

    within(work)


def test_an_object_is_introduced_to_who_may_have_it(within, home_at, url_of, key) -> None:
    async def work() -> None:
        async with AsyncExitStack() as homes:
            ada, ben, cy, dee = [
                await homes.enter_async_context(home_at(url_of(name), name))
                for name in ("ada", "ben", "cy", "dee")
            ]
            await ada.open(TOOLS, "ada ben")
            await ada.open(BOARD, "")
            await ada.add("lathe")
            assert (await ben.hear(ada)).unknown == [BOARD, TOOLS]
            assert (await ben.hear(ada, introduced=True)).lacking == [BOARD, TOOLS]
            await ben.pull(ada)
            assert await ben.elements() == ("lathe",)

            # Who may only read is told, may pull, and cannot write; who may not is told nothing.
            assert (await dee.hear(ada)).unknown == [BOARD]
            await dee.hear(ada, introduced=True)
            assert not await dee.pull(ada, BOARD)
            say = dee.sharing.say
            with pytest.raises(OperationNotAuthors):
                await dee.store.write(
                    lambda tx: say(tx, BOARD, SetAct(key=f"word/{dee.did}", value="x"))
                )
            assert (await cy.hear(ada)).unknown == [BOARD]
            frontier = AskLacking(aud=TOOLS, epoch=0, base=None)
            wanted = AskOperations(aud=TOOLS, ids=())
            for ask in (
                lambda tx: ada.exchange.lacking(tx, cy.did, frontier),
                lambda tx: ada.exchange.give(tx, cy.did, wanted),
            ):
                with pytest.raises(ObjectUnknown):
                    await ada.store.write(ask)

    within(work)


def test_what_more_than_one_message_tells_is_told_page_by_page(within, home_at, url_of) -> None:
    async def work() -> None:
        async with home_at(url_of("ada")) as ada, home_at(url_of("ben"), "ben") as ben:
            every = [f"pool/p{number:03d}" for number in range(130)]
            for each in every:
                await ada.open(each, "ada ben")
            for wanted in (None, set(every)):
                found: list[str] = []
                after, pages = "", 0
                while True:
                    start, of = after, wanted
                    heads, after = await ada.store.read(
                        lambda tx, start=start, of=of: ada.exchange.heads(tx, ben.did, of, start)
                    )
                    found += [each.aud for each in heads]
                    pages += 1
                    if not after:
                        break
                assert (found, pages) == (every, 3)

    within(work)


def test_a_session_goes_on_with_a_replica_that_was_read_anew(within, home_at, url_of) -> None:
    async def work() -> None:
        async with home_at(url_of("ada")) as ada, home_at(url_of("ben"), "ben") as ben:
            await ada.open()
            await ben.open()
            await ada.add("lathe")
            pull, question = await ben.store.write(lambda tx: ben.exchange.begin(tx, TOOLS))
            assert isinstance(question, AskLacking)

            def change_ones_mind(tx: Tx) -> None:
                ben.sharing.say(tx, TOOLS, AddAct(element="saw"))
                raise KeyError

            with pytest.raises(KeyError):
                await ben.store.write(change_ones_mind)
            question = await ben._ask(ada, pull, question)
            assert await ben.elements() == (), "what came then was for another replica"
            while question is not None:
                question = await ben._ask(ada, pull, question)
            assert pull.complete and await ben.elements() == ("lathe",)

    within(work)


def test_a_refused_question_costs_no_replica_and_ends_no_session(within, home_at, url_of) -> None:
    async def work() -> None:
        async with home_at(url_of("ada")) as ada, home_at(url_of("ben"), "ben") as ben:
            await ada.open()
            await ben.open()
            await ada.add("lathe")
            await ben.add("saw")

            def held(tx: Tx) -> object:
                return ada.sharing.as_it_stands(tx, TOOLS)

            before = await ada.store.write(held)
            pull, question = await ada.store.write(lambda tx: ada.exchange.begin(tx, TOOLS))
            other_epoch = AskLacking(aud=TOOLS, epoch=1, base="c" * 64)
            with pytest.raises(EpochOver):
                await ada.store.write(lambda tx: ada.exchange.lacking(tx, ben.did, other_epoch))
            assert await ada.store.write(held) is before
            while question is not None:
                question = await ada._ask(ben, pull, question)
            assert await ada.elements() == ("lathe", "saw")

    within(work)


def test_of_more_heads_than_a_message_holds_the_others_are_asked_for(
    within, home_at, url_of, key
) -> None:
    """One author signs a thousand first operations: nobody is to talk without end about them."""

    async def work() -> None:
        async with home_at(url_of("ada")) as ada, home_at(url_of("ben"), "ben") as ben:
            now_ms = await ada.store.write(lambda tx: tx.now_ms)
            forks = [first_of(key("cy"), at_ms=now_ms - n) for n in range(1_000)]
            for home in (ada, ben):
                await home.open()
                await take(home, forks)
            await at_rest(ada, ben)
            # Of a head that no message names, the hash of all heads speaks.
            row = await ada.store.read(lambda tx: ada.sharing.row(tx, TOOLS))
            candidates = (first_of(key("cy"), at_ms=now_ms - 2_000 - n) for n in range(100))
            await take(ben, [next(each for each in candidates if each.id > row.heads[-1])])
            for one, other in ((ada, ben), (ben, ada)):
                await one.add(f"honest {one.did}")
                for each, teller in ((ben, ada), (ada, ben)):
                    heard = await each.hear(teller)
                    assert (heard.lacking, heard.behind) == ([TOOLS], [])
                assert not await other.pull(one) and not await one.pull(other)
                await at_rest(ada, ben)

    within(work)


def first_of(author: Identity, *, at_ms: int) -> ReadOperation:
    act = AddAct(element=str(at_ms))
    return first_operation(author, act, network=NETWORK, aud=TOOLS, at_ms=at_ms)


async def take(home, reads: list[ReadOperation]) -> None:
    def work(tx: Tx) -> None:
        replica = home.sharing.replica(tx, TOOLS)
        for each in reads:
            replica.take_read(each, tx.now_ms)
        home.sharing.keep(tx, TOOLS)

    await home.store.write(work)


async def at_rest(one, other) -> None:
    for each, teller in ((one, other), (other, one)):
        heard = await each.hear(teller)
        assert not heard.lacking and not heard.behind
    assert await one.state() == await other.state()


def test_after_an_expulsion_readers_find_only_what_counts(within, home_at, store_url, url_of):
    async def work() -> None:
        async with AsyncExitStack() as homes:
            ada = await homes.enter_async_context(home_at(store_url))
            ben = await homes.enter_async_context(home_at(url_of("ben"), "ben"))
            cy = await homes.enter_async_context(home_at(url_of("cy"), "cy"))
            for home in (ada, ben, cy):
                await home.open()
            await cy.add("before")
            for home in (ada, ben):
                await home.pull(cy)

            async def expel(home) -> None:
                act = ExpelAct(did=cy.did)
                await home.store.write(lambda tx: home.sharing.say(tx, TOOLS, act))

            await expel(ben)
            await cy.add("beside")
            assert not await ada.pull(cy)
            assert await ada.elements() == ("before", "beside")
            assert not await ada.pull(ben)
            assert await ada.elements() == ("before", "beside"), "one voice of two"
            await expel(ada)
            assert await ada.elements() == ("before", "beside"), "Ada had seen it"
            await ben.pull(ada)
            assert await ada.elements() == await ben.elements()
            row = await ada.store.read(lambda tx: ada.sharing.row(tx, TOOLS))
            assert (row.expelled, row.is_for(cy.did)) == ((cy.did,), False)

    within(work)


def test_what_counts_no_more_is_gone_for_readers(within, home_at, store_url, url_of) -> None:
    async def work() -> None:
        async with AsyncExitStack() as homes:
            ada = await homes.enter_async_context(home_at(store_url))
            ben = await homes.enter_async_context(home_at(url_of("ben"), "ben"))
            cy = await homes.enter_async_context(home_at(url_of("cy"), "cy"))
            dan = await homes.enter_async_context(home_at(url_of("dan"), "dan"))
            for home in (ada, ben, cy, dan):
                await home.open(TOOLS, "ada ben cy dan")
            await cy.add("beside")
            await ada.add("kept")
            await ada.pull(cy)
            assert await ada.elements() == ("beside", "kept")
            act = ExpelAct(did=cy.did)
            for home in (ben, dan):
                await home.store.write(lambda tx, home=home: home.sharing.say(tx, TOOLS, act))
            for other in (ben, dan):
                assert not await ada.pull(other)
            # Neither voice had seen it: it counts for nothing, here as everywhere.
            assert await ada.elements() == ("kept",)
            await ben.pull(dan)
            await ben.pull(ada)
            assert await ben.elements() == ("kept",) and await ben.state() == await ada.state()

    within(work)


def test_a_database_put_back_says_nothing_until_it_knows_what_it_had_said(
    within, home_at, url_of, tmp_path: Path
) -> None:
    async def work() -> None:
        async with home_at(url_of("ben"), "ben") as ben:
            await ben.open(TOOLS, "ada ben")
            async with home_at(url_of("ada")) as ada:
                await ada.open(TOOLS, "ada ben")
                await ada.add("first")
            shutil.copy(tmp_path / "ada.db", tmp_path / "old.db")
            async with home_at(url_of("ada")) as ada:
                await ada.add("second")
                await ben.pull(ada)
            async with home_at(url_of("old"), generation=2) as ada:
                with pytest.raises(StoreBusy, match="others are asked"):
                    await ada.add("third")
                assert (await ada.hear(ben)).lacking == [TOOLS]
                with pytest.raises(StoreBusy):
                    await ada.add("third")
                await ada.pull(ben)
                await ada.add("third")
                await ben.pull(ada)
                assert await ben.elements() == ("first", "second", "third")
                assert not await ben.store.read(ben.sharing.forks), "one history"
            async with home_at(url_of("old"), generation=2) as ada:
                await ada.add("fourth")

    within(work)


def test_one_author_who_is_behind_does_not_say_what_a_database_put_back_lacks(
    within, home_at, url_of, tmp_path: Path
) -> None:
    async def work() -> None:
        async with home_at(url_of("ben"), "ben") as ben, home_at(url_of("cy"), "cy") as cy:
            async with home_at(url_of("ada")) as ada:
                for home in (ada, ben, cy):
                    await home.open()
                await ada.add("first")
                assert not await ben.pull(ada)
            shutil.copy(tmp_path / "ada.db", tmp_path / "old.db")
            async with home_at(url_of("ada")) as ada:
                await ada.add("second")
                await cy.pull(ada)
            async with home_at(url_of("old"), generation=2) as ada:
                # Ben is honest, and was cut off: twice the same is one of two. Who stands on
                # another checkpoint says nothing about this one.
                elsewhere = ObjectHeads(aud=TOOLS, epoch=1, base="c" * 64, heads=())
                for _ in range(2):
                    heard = await ada.hear(ben)
                    assert not heard.lacking
                    await ada.pull(ben)
                    await ada.store.write(lambda tx: ada.exchange.hear(tx, cy.did, [elsewhere]))
                    with pytest.raises(StoreBusy):
                        await ada.add("third")
                assert (await ada.hear(cy)).lacking == [TOOLS]
                with pytest.raises(StoreBusy):
                    await ada.add("third")
                await ada.pull(cy)
                await ada.add("third")
                await cy.pull(ada)
                assert await cy.elements() == ("first", "second", "third")
                assert not await cy.store.read(cy.sharing.forks), "one history"

    within(work)


@pytest.mark.parametrize("opened_by_hearing", [True, False])
def test_an_object_opened_anew_after_a_loss_is_not_written_to_before_another_author_answered(
    within, home_at, url_of, opened_by_hearing: bool
) -> None:
    async def work() -> None:
        async with home_at(url_of("ben"), "ben") as ben:
            await ben.open()
            async with home_at(url_of("lost")) as ada:
                await ada.open()
                await ada.add("first")
                await ben.pull(ada)
            async with home_at(url_of("ada"), generation=2) as ada:
                if opened_by_hearing:
                    await ada.hear(ben, introduced=True)
                else:
                    await ada.open()
                with pytest.raises(StoreBusy, match="others are asked"):
                    await ada.add("again")
                assert await ada.elements() == ()
            async with home_at(url_of("ada"), generation=2) as ada:
                with pytest.raises(StoreBusy):
                    await ada.add("again, after a restart")
                await ada.pull(ben)
                async with home_at(url_of("cy"), "cy") as cy:
                    await cy.open()
                    await cy.pull(ben)
                    await ada.hear(cy)
                await ada.add("second")
                await ben.pull(ada)
            assert await ben.elements() == ("first", "second")
            assert not await ben.store.read(ben.sharing.forks), "one history"

    within(work)


def test_after_a_loss_who_has_nobody_to_ask_goes_on_and_whom_all_answer_nothing_does_too(
    within, home_at, url_of
) -> None:
    async def work() -> None:
        async with home_at(url_of("ada"), generation=2) as ada:
            await ada.open("pool/own", "ada")
            await ada.add("at once", object_id="pool/own")
            await ada.open()
            with pytest.raises(StoreBusy):
                await ada.add("first")
            for name in ("ben", "cy"):
                async with home_at(url_of(name), name) as other:
                    await other.hear(ada, introduced=True)
                    await ada.pull(other)
            await ada.add("first")
            assert await ada.elements() == ("first",)

    within(work)


@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from(["say", "pull", "pull", "restart"])),
        max_size=25,
    )
)
def test_after_any_partitions_and_restarts_all_homes_have_the_same(
    within, home_at, tmp_path_factory, steps
) -> None:
    folder = tmp_path_factory.mktemp("homes")
    names = {"a": "ada", "b": "ben", "c": "cy"}

    async def work() -> None:
        async with AsyncExitStack() as stack:
            homes, own = {}, {}

            async def start(letter: str) -> None:
                own[letter] = AsyncExitStack()
                homes[letter] = await own[letter].enter_async_context(
                    home_at(f"sqlite:///{folder}/{letter}.db", names[letter])
                )

            for letter in names:
                await start(letter)
                await homes[letter].open()
            stack.push_async_callback(lambda: close_all(own))
            for number, (letter, what) in enumerate(steps):
                other = homes["abc"[("abc".index(letter) + 1 + number % 2) % 3]]
                if what == "say":
                    await homes[letter].add(f"{letter} {number}")
                elif what == "pull":
                    assert not await homes[letter].pull(other)
                else:
                    await own[letter].aclose()
                    await start(letter)
            for _ in range(2):
                for one in homes.values():
                    for other in homes.values():
                        if one is not other:
                            assert not await one.pull(other)
            said = sorted(
                f"{letter} {n}" for n, (letter, what) in enumerate(steps) if what == "say"
            )
            for home in homes.values():
                assert list(await home.elements()) == said
            assert len({await home.state() for home in homes.values()}) == 1

    within(work)


async def close_all(stacks: dict[str, AsyncExitStack]) -> None:
    for each in stacks.values():
        await each.aclose()


def test_much_that_waited_is_kept_step_by_step_and_each_is_told_of(within, home_at, url_of) -> None:
    async def work() -> None:
        async with AsyncExitStack() as homes:
            ada, ben, cy = [
                await homes.enter_async_context(home_at(url_of(name), name))
                for name in ("ada", "ben", "cy")
            ]
            for home in (ada, ben, cy):
                await home.open()
            await ada.add("first")
            await cy.pull(ada)
            for start in range(0, 1_005, 201):
                await ada.add(*(f"word {n}" for n in range(start, start + 201)))
            told: list[str] = []

            def tell(tx: Tx, object_id: str, read) -> None:
                told.append(read.id)
                tx.announce(ObjectMerged(object_id=object_id, operations=1, total=1))

            ben.sharing.changed("pool/", tell)
            _, *later = await ada.store.write(
                lambda tx: [
                    each.token for each in ada.sharing.replica(tx, TOOLS)._log.entries.values()
                ]
            )

            def wait(tx: Tx) -> None:
                replica = ben.sharing.replica(tx, TOOLS)
                assert {replica.take(each, tx.now_ms) for each in later} == {Taken.WAITING}
                assert not ben.sharing.keep(tx, TOOLS)

            await ben.store.write(wait)
            assert not await ben.pull(cy)
            assert len(set(told)) == len(told) == 1_006
            assert await ben.state() == await ada.state()

    within(work)
