from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nodeimpl.kernel.clock import VirtualClock
from nodeimpl.kernel.idempotency import KEPT_MS, remember
from nodeimpl.kernel.store import Store, Tx
from opkit.wire.gateway import IdempotencyConflict, IdempotencyFull
from opkit.wire.network import ClockFixed

Story = Callable[[Store, VirtualClock], Awaitable[None]]


def told(url: str, notes: Any, story: Story) -> None:
    async def main() -> None:
        clock = VirtualClock()
        store = await Store.open(url=url, clock=clock)
        try:
            await store.write(notes.create)
            await story(store, clock)
        finally:
            await store.close()

    asyncio.run(asyncio.wait_for(main(), 120))


def ask(key: str, make: Callable[[], bytes], **other: Any) -> Callable[[Tx], tuple[bytes, bool]]:
    fields = {"principal": "coop/ann", "endpoint": "a.do", "ask_hash": "1", "keys_max": 5, **other}
    return lambda tx: remember(tx, key=key, make=make, **fields)


def test_a_repeated_ask_gets_its_answer_and_has_no_second_effect(store_url, notes) -> None:
    async def story(store: Store, clock: VirtualClock) -> None:
        effects: list[int] = []

        def make() -> bytes:
            effects.append(1)
            return b"answer %d" % len(effects)

        both = await asyncio.gather(store.write(ask("k", make)), store.write(ask("k", make)))
        assert both == [(b"answer 1", False), (b"answer 1", True)]
        for other in ({"principal": "coop/bob"}, {"endpoint": "b.do"}):
            _, again = await store.write(ask("k", make, **other))
            assert again is False
        clock.advance(KEPT_MS - 1)
        assert await store.write(ask("k", make)) == (b"answer 1", True)
        clock.advance(1)
        assert await store.write(ask("k", make)) == (b"answer 4", False)

    told(store_url, notes, story)


def test_one_key_for_two_asks_is_a_conflict(store_url, notes) -> None:
    async def story(store: Store, clock: VirtualClock) -> None:
        await store.write(ask("k", lambda: b"1"))
        with pytest.raises(IdempotencyConflict) as no:
            await store.write(ask("k", lambda: b"2", ask_hash="2"))
        assert no.value.key == "k"

    told(store_url, notes, story)


def test_a_refusal_is_not_remembered(store_url, notes) -> None:
    async def story(store: Store, clock: VirtualClock) -> None:
        def refuse() -> bytes:
            raise ClockFixed

        with pytest.raises(ClockFixed):
            await store.write(ask("k", refuse, ask_hash="2"))
        assert await store.write(ask("k", lambda: b"1")) == (b"1", False)

    told(store_url, notes, story)


def test_a_principal_holds_a_bounded_number_of_keys_and_others_are_not_concerned(
    store_url, notes
) -> None:
    async def story(store: Store, clock: VirtualClock) -> None:
        for number in range(5):
            await store.write(ask(str(number), lambda: b"1"))
            clock.advance(1)
        with pytest.raises(IdempotencyFull) as no:
            await store.write(ask("one more", lambda: b"1"))
        assert no.value.limit == 5
        assert await store.write(ask("0", lambda: b"1")) == (b"1", True)
        await store.write(ask("one more", lambda: b"1", principal="coop/bob"))
        clock.advance(KEPT_MS - 4)
        assert await store.write(ask("two more", lambda: b"1")) == (b"1", False)

    told(store_url, notes, story)


@settings(max_examples=20)
@given(
    steps=st.lists(
        st.tuples(st.integers(0, 11), st.sampled_from([0, 1, KEPT_MS // 3, KEPT_MS])), max_size=40
    )
)
def test_it_behaves_as_a_dictionary_with_a_bound(fresh_url, notes, steps) -> None:
    """Against a model; the store may refuse a little early, never late, and never forgets early."""

    async def story(store: Store, clock: VirtualClock) -> None:
        model: dict[str, tuple[bytes, int]] = {}
        for at, (key, passing_ms) in enumerate(steps):
            clock.advance(passing_ms)
            now = clock.now_ms()
            model = {one: kept for one, kept in model.items() if now < kept[1] + KEPT_MS}
            fresh = b"%d" % at
            try:
                found = await store.write(ask(str(key), lambda fresh=fresh: fresh))
            except IdempotencyFull:
                assert str(key) not in model
                assert len(model) >= 1
                continue
            if str(key) in model:
                assert found == (model[str(key)][0], True)
            else:
                assert found == (fresh, False)
                model[str(key)] = (fresh, now)
            assert len(model) <= 5

    told(fresh_url(), notes, story)
