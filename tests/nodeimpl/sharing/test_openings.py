"""What peers open: nobody has to have signed any of it, so it keeps out nothing that is signed."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack

import pytest

from nodeimpl.sharing.specs import SharingLimits
from opkit.wire.objects import ObjectHeads, ObjectsFull, ObjectUnknown
from opkit.wire.operations import AddAct

TOOLS = "pool/tools"


def empty(object_id: str, opening: str | None = "ada ben") -> ObjectHeads:
    return ObjectHeads(aud=object_id, epoch=0, base=None, heads=(), opening=opening)


async def told(ada, peer: str, *objects: ObjectHeads):
    return await ada.store.write(lambda tx: ada.exchange.hear(tx, peer, objects))


async def kept(ada, *names: str) -> list[str]:
    found = []
    for name in names:
        try:
            await ada.store.read(lambda tx, name=name: ada.sharing.row(tx, name))
        except ObjectUnknown:
            continue
        found.append(name)
    return found


@pytest.mark.parametrize("limits", [{"objects_max": 4}, {"objects_of_peer_max": 3}])
def test_what_nobody_signed_gives_way_to_what_is_signed(within, home_at, store_url, url_of, limits):
    async def work() -> None:
        async with AsyncExitStack() as homes:
            ada = await homes.enter_async_context(
                home_at(store_url, limits=SharingLimits(**limits))
            )
            ben = await homes.enter_async_context(home_at(url_of("ben"), "ben"))
            await ada.open("pool/own", "ada")
            for name in ("pool/a", "pool/b"):
                await ben.open(name, "ada ben")
                await ben.add("saw", object_id=name)
            for number in range(9):
                await told(ada, ben.did, empty(f"pool/empty-{number}"))
            for _ in range(2):
                assert not (await ada.hear(ben, introduced=True)).lies
                for name in ("pool/a", "pool/b"):
                    await ada.pull(ben, name)
            for number in range(9):
                await told(ada, ben.did, empty(f"pool/later-{number}"))
            assert await kept(ada, "pool/own", "pool/a", "pool/b", "pool/later-8") == [
                "pool/own",
                "pool/a",
                "pool/b",
                "pool/later-8",
            ]
            assert await ada.elements("pool/a") == await ada.elements("pool/b") == ("saw",)
            opened = [
                json.loads(each.body)["object_id"]
                for each in await ada.events()
                if each.type == "objects.opened"
            ]
            assert opened == ["pool/own", "pool/a", "pool/b"], "what is empty is not journalled"

    within(work)


def test_what_is_signed_or_opened_here_gives_way_to_nothing(within, home_at, url_of) -> None:
    async def work() -> None:
        async with AsyncExitStack() as homes:
            limits = SharingLimits(objects_max=2)
            ada = await homes.enter_async_context(home_at(url_of("ada"), limits=limits))
            ben = await homes.enter_async_context(home_at(url_of("ben"), "ben"))
            await ben.open("pool/b", "ada ben")
            await ben.add("saw", object_id="pool/b")
            await ada.open("pool/own", "ada")
            await ada.hear(ben, introduced=True)
            await ada.pull(ben, "pool/b")
            with pytest.raises(ObjectsFull):
                await ada.open("pool/more", "ada")
            assert not (await told(ada, ben.did, empty("pool/empty"))).lacking
            assert await kept(ada, "pool/own", "pool/b", "pool/empty") == ["pool/own", "pool/b"]

    within(work)


def test_what_was_signed_in_the_same_commit_does_not_give_way(within, home_at, url_of) -> None:
    async def work() -> None:
        async with AsyncExitStack() as homes:
            limits = SharingLimits(objects_max=2)
            ada = await homes.enter_async_context(home_at(url_of("ada"), limits=limits))
            ben = await homes.enter_async_context(home_at(url_of("ben"), "ben"))
            await told(ada, ben.did, empty("pool/a"), empty("pool/b"))

            def work_in_one(tx) -> None:
                ada.sharing.say(tx, "pool/a", AddAct(element="saw"))
                ada.sharing.open(tx, "pool/c", "ada")

            await ada.store.write(work_in_one)
            assert await kept(ada, "pool/a", "pool/b", "pool/c") == ["pool/a", "pool/c"]
            assert await ada.elements("pool/a") == ("saw",)

    within(work)


def test_a_kind_that_is_not_known_here_is_nobodys_lie(within, home_at, url_of, key) -> None:
    async def work() -> None:
        async with home_at(url_of("ada")) as ada:
            ben = key("ben").did
            heard = await told(ada, ben, empty("later/a"), empty("later/b", None), empty(TOOLS))
            assert (heard.unknown, heard.lacking, heard.lies) == ([], [TOOLS], {})
            heard = await told(ada, ben, empty("pool/other", "ben cy"))
            assert list(heard.lies) == ["pool/other"]

    within(work)
