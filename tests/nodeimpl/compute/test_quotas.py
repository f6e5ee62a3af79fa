"""How much of a node's blobs a member may fill, counted to the byte."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from opkit.proof.cid import cid_of
from opkit.wire import compute as wire

RIVER, BRIGHT = "river-city-tool-library", "brightworks-cooperative"
MARA, THEO = f"{RIVER}/mara", f"{RIVER}/theo"
InTown = Callable[..., Any]
Module = Callable[[str], bytes]


def test_a_member_fills_no_more_than_the_quota_and_is_told(in_town: InTown, module: Module) -> None:
    async def story(town: Any) -> None:
        await town.upload(RIVER, b"x" * 600, member_id=MARA)
        await town.upload(RIVER, b"x" * 600, member_id=MARA)
        with pytest.raises(wire.StorageQuotaExceeded) as no:
            await town.upload(RIVER, b"y" * 401, member_id=MARA)
        assert no.value.details() == {"asked_bytes": 401, "used_bytes": 600, "limit_bytes": 1_000}
        with pytest.raises(wire.StorageQuotaExceeded):
            await town.deploy(RIVER, module("upper"), member_id=MARA)
        assert len(town.at[RIVER].kept()) == 1, "what was refused is not kept"
        await town.upload(RIVER, b"z" * 400, member_id=MARA)
        # Another member has a quota of their own, and pays for the same bytes as well.
        await town.upload(RIVER, b"x" * 600, member_id=THEO)
        assert await town.at[RIVER].charged(THEO) == 600

    in_town(story, RIVER, member_bytes_max=1_000)


def test_what_a_member_filled_is_known_after_a_restart_and_free_once_it_is_collected(
    in_town: InTown,
) -> None:
    async def story(town: Any) -> None:
        await town.upload(RIVER, b"x" * 900, member_id=MARA)
        await town.upload(RIVER, b"x" * 900, member_id=THEO)
        await town.close(RIVER)
        at = await town.open(RIVER)
        with pytest.raises(wire.StorageQuotaExceeded):
            await town.upload(RIVER, b"y" * 101, member_id=MARA)
        at.age()
        await at.collector().round()
        assert await at.charged(MARA) == await at.charged(THEO) == 0
        await town.upload(RIVER, b"y" * 1_000, member_id=MARA)

    in_town(story, RIVER, member_bytes_max=1_000)


def test_two_uploads_at_once_do_not_both_take_the_last_room(in_town: InTown) -> None:
    async def story(town: Any) -> None:
        ended = await asyncio.gather(
            *(town.upload(RIVER, bytes([n]) * 600, member_id=MARA) for n in range(4)),
            return_exceptions=True,
        )
        refused = [each for each in ended if isinstance(each, wire.StorageQuotaExceeded)]
        assert len(refused) >= 3
        assert await town.at[RIVER].charged(MARA) <= 1_000
        # Nor does who brings the same bytes pass because somebody else is being judged for them.
        ended = await asyncio.gather(
            *(town.upload(RIVER, b"x" * 1_001, member_id=MARA) for _ in range(4)),
            return_exceptions=True,
        )
        assert all(isinstance(each, wire.StorageQuotaExceeded) for each in ended), ended

    in_town(story, RIVER, member_bytes_max=1_000)


def test_room_is_known_to_the_byte_after_uploads_at_once_refusals_and_collection(
    in_town: InTown,
) -> None:
    """Though no upload of new bytes reads the account: commits tell what stands in it."""

    async def story(town: Any) -> None:
        at = town.at[RIVER]
        for turn in range(3):
            await asyncio.gather(
                *(town.upload(RIVER, bytes([n % 5]) * 100, member_id=MARA) for n in range(20)),
            )
            assert await at.charged(MARA) == 500, turn
            reads = at.store.figures().reads
            with pytest.raises(wire.StorageQuotaExceeded) as no:
                await town.upload(RIVER, b"y" * 501, member_id=MARA)
            assert no.value.details()["used_bytes"] == 500
            assert at.store.figures().reads == reads
            await town.upload(RIVER, b"z" * 500, member_id=MARA)
            at.age()
            await at.collector().round()
            assert await at.charged(MARA) == 0

    in_town(story, RIVER, member_bytes_max=1_000)


def test_bytes_whose_acknowledgement_was_refused_count_until_they_are_collected(
    in_town: InTown,
) -> None:
    """Otherwise asks with used idempotency keys would fill the disk on nobody's account."""

    async def story(town: Any) -> None:
        at, ask = town.at[RIVER], wire.PutBlob(content=b"x" * 900)
        await at.compute.stage_blob(ask, at.caller(MARA, town.world.members[MARA].did))
        with pytest.raises(wire.StorageQuotaExceeded):
            await town.upload(RIVER, b"y" * 200, member_id=MARA)
        at.age()
        await at.collector().round()
        await town.upload(RIVER, b"y" * 200, member_id=MARA)
        assert await at.charged(MARA) == 200

    in_town(story, RIVER, member_bytes_max=1_000)


def test_fetches_at_once_do_not_take_more_than_the_room_there_is(in_town: InTown) -> None:
    """Each is counted as soon as its size is known, before its bytes come."""

    async def story(town: Any) -> None:
        at, far = town.at[RIVER], town.at[BRIGHT]
        names = [await far.blobs.put(bytes([n]) * 400_000) for n in range(5)]
        ended = await asyncio.gather(
            *(at.compute.supply.input(name, member_id=MARA) for name in (*names, names[0])),
            return_exceptions=True,
        )
        brought = {each for each in ended if isinstance(each, bytes)}
        refused = [each for each in ended if not isinstance(each, bytes)]
        assert len(brought) == 2
        assert {type(each) for each in refused} == {wire.StorageQuotaExceeded}
        assert at.kept() == {cid_of(each) for each in brought}
        assert await at.charged(MARA) == 800_000
        # What was refused holds no room.
        small = await far.blobs.put(b"x" * 200_000)
        await at.compute.supply.input(small, member_id=MARA)
        assert await at.charged(MARA) == 1_000_000

    in_town(story, RIVER, BRIGHT, member_bytes_max=1_000_000)


def test_fetched_bytes_count_until_they_are_charged(
    in_town: InTown, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(town: Any) -> None:
        at, far = town.at[RIVER], town.at[BRIGHT]
        name = await far.blobs.put(b"x" * 900)

        async def unplugged(_work: Any) -> None:
            raise ZeroDivisionError("the test says so")

        with monkeypatch.context() as patch:
            patch.setattr(at.store, "write", unplugged)
            with pytest.raises(ZeroDivisionError):
                await at.compute.supply.input(name, member_id=MARA)
        with pytest.raises(wire.StorageQuotaExceeded):
            await town.upload(RIVER, b"y" * 101, member_id=MARA)
        at.age()
        await at.collector().round()
        await town.upload(RIVER, b"y" * 101, member_id=MARA)

    in_town(story, RIVER, BRIGHT, member_bytes_max=1_000)
