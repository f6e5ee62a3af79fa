from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nodeimpl.kernel import follow as follow_module
from nodeimpl.kernel.clock import VirtualClock
from nodeimpl.kernel.journal import StoredEntry
from nodeimpl.kernel.store import Store, StoreClosed, Tx
from opkit.proof.canonical import canonical
from opkit.proof.journal import JOURNAL_START, entry_hash, stored_bytes
from opkit.wire.endpoint import Scope
from opkit.wire.events import Cursor, JournalDiverged
from opkit.wire.network import ClockFixed, NodeStarted, PeerLost


def run(main: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(main, 120))


def started(number: int) -> NodeStarted:
    return NodeStarted(version=str(number), generation=1)


def numbers(entries: list[StoredEntry]) -> list[int]:
    return [int(json.loads(entry.body)["version"]) for entry in entries]


async def opened(url: str) -> Store:
    return await Store.open(url=url, clock=VirtualClock(1_000))


async def announce(store: Store, *found: int) -> None:
    await store.write(lambda tx: [tx.announce(started(number)) for number in found])


def test_entries_say_what_happened_and_hang_together(store_url) -> None:
    async def main() -> None:
        store = await Store.open(url=store_url, clock=VirtualClock(1_000))
        event = PeerLost(peer=f"did:key:z6Mk{'a' * 44}", why='an "end", späť')
        await announce(store, 1, 2)
        await store.write(lambda tx: tx.announce(event))
        entries = await store.read_journal(after=None, entries_max=10)
        previous = JOURNAL_START
        for at, entry in enumerate(entries, start=1):
            assert entry.sequence == at
            assert entry.at_ms == 1_000
            assert entry.previous == previous
            assert entry.stored == canonical(
                {
                    "sequence": entry.sequence,
                    "type": entry.type,
                    "at_ms": entry.at_ms,
                    "body": json.loads(entry.body),
                }
            )
            previous = entry_hash(previous=previous, stored=entry.stored)
            assert entry.hash == previous
        assert entries[2].type == "network.peer-lost"
        assert entries[2].scope == Scope.NODE_READ.value
        assert PeerLost.model_validate_json(entries[2].body) == event
        assert store.head() == entries[2].cursor(store.generation)
        await store.close()

    run(main())


@given(
    sequence=st.integers(1, 2**53 - 1),
    at_ms=st.integers(0, 2**53 - 1),
    body=st.dictionaries(st.text(max_size=5), st.text() | st.integers(0, 9) | st.none()),
)
def test_what_is_hashed_is_canonical_json_for_any_body(sequence, at_ms, body) -> None:
    whole = {"sequence": sequence, "type": "node.started", "at_ms": at_ms, "body": body}
    stored = stored_bytes(
        sequence=sequence, type_name="node.started", at_ms=at_ms, body=canonical(body)
    )
    assert stored == canonical(whole)


def test_a_journal_is_read_in_pages_from_any_place(store_url) -> None:
    async def main() -> None:
        store = await opened(store_url)
        await announce(store, *range(1, 8))
        first = await store.read_journal(after=None, entries_max=3)
        beginning = Cursor(generation=store.generation, sequence=0, hash=JOURNAL_START)
        assert await store.read_journal(after=beginning, entries_max=3) == first
        second = await store.read_journal(after=first[-1].cursor(1), entries_max=100)
        assert numbers(first) + numbers(second) == list(range(1, 8))
        assert await store.read_journal(after=store.head(), entries_max=5) == []
        await store.close()

    run(main())


def test_a_cursor_of_another_history_is_refused(store_urls) -> None:
    async def main() -> None:
        store = await opened(store_urls("node"))
        other = await opened(store_urls("other"))
        await announce(store, 1, 2)
        await announce(other, 1, 3, 4)
        head = store.head()
        for wrong in (
            other.head(),
            head.model_copy(update={"generation": 2}),
            head.model_copy(update={"sequence": 1}),
            head.model_copy(update={"sequence": 0}),
            head.model_copy(update={"hash": "f" * 64}),
        ):
            with pytest.raises(JournalDiverged) as no:
                await store.read_journal(after=wrong, entries_max=5)
            assert no.value.details() == {"cursor": str(wrong), "head": str(head)}
        await store.close()
        await other.close()

    run(main())


def test_whoever_waits_is_woken_by_the_commit(store_url) -> None:
    async def main() -> None:
        store = await opened(store_url)
        await announce(store, 1)
        await store.journal_grew(0)
        waiting = [asyncio.ensure_future(store.journal_grew(after)) for after in (1, 1, 2)]
        await asyncio.sleep(0)
        waiting[1].cancel()
        await announce(store, 2)
        await waiting[0]
        assert not waiting[2].done()
        await announce(store, 3)
        await waiting[2]
        left = asyncio.ensure_future(store.journal_grew(3))
        await asyncio.sleep(0)
        await store.close()
        with pytest.raises(StoreClosed):
            await left

    run(main())


@settings(max_examples=25)
@given(plan=st.lists(st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=6), max_size=6))
def test_sequence_numbers_have_no_gap_whatever_refuses(fresh_url, plan) -> None:
    """Rounds of concurrent changes, each announcing some events and perhaps refusing."""

    async def main() -> None:
        store = await opened(fresh_url())
        kept: set[int] = set()
        number = 0

        def work(tx: Tx, *, first: int, count: int, refuses: bool) -> None:
            for offset in range(count):
                tx.announce(started(first + offset))
            if refuses:
                raise ClockFixed

        for round_ in plan:
            writes = []
            for count, refuses in round_:
                call = {"first": number, "count": count, "refuses": refuses}
                writes.append(store.write(lambda tx, call=call: work(tx, **call)))
                kept |= set() if refuses else set(range(number, number + count))
                number += count
            await asyncio.gather(*writes, return_exceptions=True)
        entries = await store.read_journal(after=None, entries_max=1000)
        assert [entry.sequence for entry in entries] == list(range(1, len(kept) + 1))
        assert set(numbers(entries)) == kept
        assert store.head().sequence == len(kept)
        await store.close()

    run(main())


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(2_000):
        if condition():
            return
        await asyncio.sleep(0.005)  # Looks again.
    pytest.fail("it did not happen")


async def followed(store: Store, name: str, *, until: int) -> list[int]:
    """Return what a listener is given until it has seen `until`, and stop it as a crash would."""
    seen: list[int] = []
    enough = asyncio.Event()

    async def handle(entry: StoredEntry) -> None:
        seen.extend(numbers([entry]))
        if seen[-1] == until:
            enough.set()

    task = asyncio.ensure_future(store.follow(name, handle))
    await enough.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return seen


def test_a_listener_gets_every_entry_and_goes_on_where_its_cursor_was_kept(store_url) -> None:
    async def main() -> None:
        store = await opened(store_url)
        await announce(store, *range(1, 251))
        assert await followed(store, "names", until=250) == list(range(1, 251))
        await store.close()
        store = await opened(store_url)
        await announce(store, 251)
        again = await followed(store, "names", until=251)
        assert again == list(range(again[0], 252)), "at least once, in order"
        assert 101 <= again[0] <= 251, "what was kept is not told again"
        assert await followed(store, "others", until=251) == list(range(1, 252))
        await store.close()

    run(main())


def test_a_quiet_listener_s_cursor_is_kept_too(store_url, monkeypatch) -> None:
    monkeypatch.setattr(follow_module, "QUIET_S", 0.01)

    async def main() -> None:
        store = await opened(store_url)
        await announce(store, 1, 2)
        seen: list[int] = []

        async def handle(entry: StoredEntry) -> None:
            seen.extend(numbers([entry]))

        task = asyncio.ensure_future(store.follow("names", handle))
        before = store.figures().changes
        await until(lambda: store.figures().changes > before)
        await announce(store, 3)
        await until(lambda: seen == [1, 2, 3])
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert (await followed(store, "names", until=3)) in ([3], [1, 2, 3])
        await store.close()

    run(main())


def test_a_listener_that_fails_ends_and_is_told_the_entry_again(store_url) -> None:
    async def main() -> None:
        store = await opened(store_url)
        await announce(store, 1, 2)

        async def handle(entry: StoredEntry) -> None:
            if entry.sequence == 2:
                raise LookupError("no such name")

        with pytest.raises(LookupError):
            await store.follow("names", handle)
        assert (await followed(store, "names", until=2))[-1] == 2
        await store.close()

    run(main())
