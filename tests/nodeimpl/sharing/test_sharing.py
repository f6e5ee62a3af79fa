"""What a node says of shared objects is kept with its cause, and undone with it."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from nodeimpl.kernel.store import Tx
from nodeimpl.sharing.specs import SharingLimits
from opkit.wire.errors import Conflict
from opkit.wire.objects import ObjectsFull, ObjectUnknown, OpeningRejected
from opkit.wire.operations import AddAct, OperationRejected, RemoveAct, SetAct

TOOLS, BOARD = "pool/tools", "board"


@dataclass(eq=False, kw_only=True)
class Undone(Conflict):
    """A test has changed its mind."""

    code = "undone-by-a-test"
    hint = "nothing"


def test_what_is_said_is_read_and_is_there_after_a_restart(within, home_at, store_url) -> None:
    async def work() -> None:
        async with home_at(store_url) as ada:
            assert await ada.open() and not await ada.open()
            await ada.add("lathe", "saw", "lathe")
            assert await ada.elements() == ("lathe", "saw")
            state = await ada.state()
        async with home_at(store_url) as ada:
            assert await ada.elements() == ("lathe", "saw")
            assert await ada.state() == state
            await ada.add("drill")
            assert await ada.elements() == ("drill", "lathe", "saw")
            row = await ada.store.read(lambda tx: ada.sharing.row(tx, TOOLS))
            assert (row.operations, len(row.heads), row.forks) == (4, 1, 0)

    within(work)


def test_what_was_taken_back_is_gone_for_writer_and_readers(within, home_at, store_url) -> None:
    async def work() -> None:
        async with home_at(store_url) as ada:
            await ada.open()

            def come_and_go(tx: Tx) -> None:
                saw = ada.sharing.say(tx, TOOLS, AddAct(element="saw"))
                ada.sharing.say(tx, TOOLS, AddAct(element="lathe"))
                ada.sharing.say(tx, TOOLS, RemoveAct(over=(saw,)))

            await ada.store.write(come_and_go)
            assert await ada.elements() == ("lathe",)
            values = await ada.store.read(lambda tx: ada.sharing.values(tx, TOOLS))
            lathe = values[0].operation
            await ada.store.write(lambda tx: ada.sharing.say(tx, TOOLS, RemoveAct(over=(lathe,))))
            assert await ada.elements() == ()

    within(work)


def test_what_is_undone_was_never_said(within, home_at, store_url) -> None:
    async def work() -> None:
        async with home_at(store_url) as ada:
            await ada.open()
            await ada.add("lathe")
            told: list[str] = []
            ada.sharing.when_touched.append(told.append)
            before = await ada.state()

            def change_ones_mind(tx: Tx) -> None:
                ada.sharing.say(tx, TOOLS, AddAct(element="saw"))
                assert ada.sharing.elements(tx, TOOLS) == ("lathe", "saw")
                raise Undone

            with pytest.raises(Undone):
                await ada.store.write(change_ones_mind)
            assert (await ada.elements(), await ada.state(), told) == (("lathe",), before, [])
            await ada.add("drill")
            assert await ada.elements() == ("drill", "lathe") and told == [TOOLS]
            assert not await ada.store.read(ada.sharing.forks), "one history"

    within(work)


def test_an_object_whose_opening_is_undone_is_none(within, home_at, store_url) -> None:
    async def work() -> None:
        async with home_at(store_url) as ada:

            def change_ones_mind(tx: Tx) -> None:
                ada.sharing.open(tx, TOOLS, "ada ben")
                ada.sharing.say(tx, TOOLS, AddAct(element="saw"))
                raise Undone

            with pytest.raises(Undone):
                await ada.store.write(change_ones_mind)
            for does in (ada.store.read, ada.store.write):
                with pytest.raises(ObjectUnknown):
                    await does(lambda tx: ada.sharing.elements(tx, TOOLS))

    within(work)


def test_a_listener_hears_in_the_transaction_and_may_answer(within, home_at, url_of) -> None:
    async def work() -> None:
        async with home_at(url_of("ada")) as ada:
            heard: list[str] = []

            def answer(tx: Tx, object_id: str, read) -> None:
                heard.append(read.operation.act.element)
                if read.operation.act.element == "ask":
                    ada.sharing.say(tx, object_id, AddAct(element="answer"))

            ada.sharing.changed("pool/", answer)
            ada.sharing.changed("other/", lambda *_: heard.append("never"))
            await ada.open()
            await ada.add("ask")
            assert heard == ["ask", "answer"]
            assert await ada.elements() == ("answer", "ask")

    within(work)


def test_an_author_says_only_what_the_object_permits(within, home_at, url_of, key) -> None:
    async def work() -> None:
        async with home_at(url_of("ada")) as ada:
            await ada.open(BOARD, "")
            own, other = f"word/{ada.did}", f"word/{key('ben').did}"
            say = ada.sharing.say
            await ada.store.write(lambda tx: say(tx, BOARD, SetAct(key=own, value="here")))
            with pytest.raises(OperationRejected, match="may not say"):
                await ada.store.write(lambda tx: say(tx, BOARD, SetAct(key=other, value="no")))
            assert await ada.elements(BOARD) == ("here",)
            await ada.store.write(lambda tx: say(tx, BOARD, SetAct(key=own, value=None)))
            assert await ada.elements(BOARD) == ()
            kept = await ada.store.read(lambda tx: ada.sharing.values(tx, BOARD))
            assert [(row.key, row.value) for row in kept] == [(own, None)]

    within(work)


def test_objects_that_are_none_of_this_nodes_are_refused(within, home_at, url_of, key) -> None:
    async def work() -> None:
        limits = SharingLimits(objects_max=2, objects_of_peer_max=1)
        async with home_at(url_of("ada"), limits=limits) as ada:
            for object_id, opening in (
                ("other/tools", "ada"),
                (TOOLS, ""),
                (TOOLS, "ben cy"),
            ):
                with pytest.raises(OpeningRejected):
                    await ada.open(object_id, opening)
            await ada.open(TOOLS, "ada")
            with pytest.raises(OpeningRejected, match="otherwise"):
                await ada.open(TOOLS, "ada ben")
            ben = key("ben").did

            async def tell(object_id: str, opening: str) -> bool:
                return await ada.store.write(
                    lambda tx: ada.sharing.open(tx, object_id, opening, told_by=ben)
                )

            with pytest.raises(OpeningRejected):
                await tell("pool/one", "ada cy")
            assert await tell("pool/one", "ada ben")
            await ada.add("saw", object_id="pool/one")
            with pytest.raises(ObjectsFull):
                await tell("pool/two", "ada ben")
            with pytest.raises(ObjectsFull):
                await ada.open("pool/two", "ada")

    within(work)


def test_replicas_that_are_not_in_memory_are_read_again(within, home_at, url_of) -> None:
    async def work() -> None:
        async with home_at(url_of("ada"), limits=SharingLimits(loaded_max=1)) as ada:
            for n in range(4):
                await ada.open(f"pool/p{n}", "ada")
                await ada.add("first", object_id=f"pool/p{n}")
            for n in range(4):
                await ada.add("second", object_id=f"pool/p{n}")
                assert await ada.elements(f"pool/p{n}") == ("first", "second")

    within(work)


def test_events_tell_of_each_object_and_what_came(within, home_at, url_of) -> None:
    async def work() -> None:
        async with home_at(url_of("ada")) as ada:
            await ada.open()
            await ada.add("lathe")
            assert [each.type for each in await ada.events()] == [
                "objects.opened",
                "objects.merged",
            ]

    within(work)
