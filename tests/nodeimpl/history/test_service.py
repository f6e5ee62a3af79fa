"""Heads and proofs of a running node, on both engines, asked as others ask."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from devnet.inprocess import inprocess_world
from nodeimpl.history.service import History
from nodeimpl.kernel.clock import VirtualClock
from nodeimpl.kernel.journal import read_size
from nodeimpl.kernel.store import Store
from opkit.proof import jws
from opkit.proof.canonical import canonical
from opkit.proof.history import read_head
from opkit.proof.journal import stored_bytes
from opkit.proof.keys import Identity
from opkit.proof.merkle import leaf_hash, verify_consistency, verify_inclusion
from opkit.wire.endpoint import Scope
from opkit.wire.gateway import ScopeMissing
from opkit.wire.journal import (
    CONSISTENCY,
    HEAD,
    INCLUSION,
    AskConsistency,
    AskInclusion,
    AskJournalHead,
    JournalHead,
    JournalShort,
    ProofMisplaced,
)
from opkit.wire.network import NodeStarted

MODULE = (Path(__file__).resolve().parents[3] / "wasm" / "upper.wasm").read_bytes()
RIVER = "river-city-tool-library"


def run(main: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(main, 120))


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def world_on(request: pytest.FixtureRequest) -> Callable[[], Any]:
    """Open a network of three nodes on each engine."""
    if request.param == "sqlite":
        return lambda: inprocess_world("three")
    database = request.getfixturevalue("postgres_database")
    return lambda: inprocess_world("three", store_url=database)


async def head_of(world: Any) -> JournalHead:
    client = world.operator(RIVER)
    signed = await client.call(HEAD, AskJournalHead())
    head = read_head(signed.head, genesis=world.genesis)
    assert head.node == client.node
    return head


def hashes(path: tuple[str, ...]) -> list[bytes]:
    return [bytes.fromhex(each) for each in path]


async def check_growth(world: Any, early: JournalHead, late: JournalHead) -> None:
    ask = AskConsistency(first=early.size, second=late.size)
    shown = await world.operator(RIVER).call(CONSISTENCY, ask)
    assert shown.generation == early.generation == late.generation
    verify_consistency(
        first=early.size,
        first_root=bytes.fromhex(early.root),
        second=late.size,
        second_root=bytes.fromhex(late.root),
        path=hashes(shown.path),
    )


def test_a_node_signs_its_journal_and_shows_every_entry_in_it(world_on) -> None:
    async def main() -> None:
        async with world_on() as world:
            client = world.operator(RIVER)
            early = await head_of(world)
            await client.wasm.deploy(MODULE, name="upper")
            late = await head_of(world)
            assert late.size > early.size
            await check_growth(world, early, late)
            entries = [entry async for page in client.journal() for entry in page.entries]
            assert entries[late.size - 1].hash == late.hash
            for entry in entries[: late.size]:
                ask = AskInclusion(sequence=entry.sequence, size=late.size)
                shown = await client.call(INCLUSION, ask)
                stored = stored_bytes(
                    sequence=entry.sequence,
                    type_name=entry.type,
                    at_ms=entry.at_ms,
                    body=canonical(entry.body),
                )
                verify_inclusion(
                    leaf=leaf_hash(stored),
                    index=entry.sequence - 1,
                    size=late.size,
                    path=hashes(shown.path),
                    root=bytes.fromhex(late.root),
                )

    run(main())


def test_a_head_covers_all_that_could_be_read_before_it_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        clock = VirtualClock()
        store = await Store.open(url=f"sqlite:///{tmp_path}/node.db", clock=clock)
        identity = Identity.generate()
        history = History(store=store, identity=identity, network="a" * 26, clock=clock)
        event = NodeStarted(version="0", generation=1)
        loop, late = asyncio.get_running_loop(), asyncio.Event()
        deliver = store._deliver

        def later(ended: Any) -> None:
            loop.create_task(when(late, partial(deliver, ended)))

        monkeypatch.setattr(store, "_deliver", later)
        writing = asyncio.ensure_future(store.write(lambda tx: tx.announce(event)))
        while not await store.read(read_size):
            await asyncio.sleep(0.001)
        assert store.head().sequence == 0, "what is committed was not told on the loop yet"
        asking = asyncio.ensure_future(history.head(AskJournalHead(), None))
        await store.read(read_size)
        late.set()
        signed = jws.peek((await asking).head).payload
        assert signed["size"] == 1
        await writing
        await store.close()

    run(main())


async def when(event: asyncio.Event, then: Callable[[], None]) -> None:
    await event.wait()
    then()


def test_a_restarted_node_goes_on_in_the_same_tree(world_on) -> None:
    async def main() -> None:
        async with world_on() as world:
            early = await head_of(world)
            await world.kill(RIVER)
            await world.restart(RIVER)
            late = await head_of(world)
            assert late.size > early.size
            await check_growth(world, early, late)

    run(main())


def test_what_cannot_be_shown_is_refused_and_says_why() -> None:
    async def main() -> None:
        async with inprocess_world("three") as world:
            client = world.operator(RIVER)
            size = (await head_of(world)).size
            beyond = size + 1_000
            for endpoint, ask in (
                (INCLUSION, AskInclusion(sequence=1, size=beyond)),
                (CONSISTENCY, AskConsistency(first=1, second=beyond)),
            ):
                with pytest.raises(JournalShort) as short:
                    await client.call(endpoint, ask)
                assert short.value.asked == beyond
                assert short.value.size >= size
            for endpoint, ask in (
                (INCLUSION, AskInclusion(sequence=2, size=1)),
                (CONSISTENCY, AskConsistency(first=2, second=1)),
            ):
                with pytest.raises(ProofMisplaced):
                    await client.call(endpoint, ask)

    run(main())


def test_a_head_is_shown_to_who_may_read_events_only() -> None:
    async def main() -> None:
        async with inprocess_world("three") as world:
            client = world.operator(RIVER)
            token = await client.login(scopes=(Scope.NODE_READ,))
            with pytest.raises(ScopeMissing):
                await client.with_token(token.token).call(HEAD, AskJournalHead())

    run(main())
