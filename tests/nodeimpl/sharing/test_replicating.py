"""Two replicators over frames as they travel: what cannot be said or had now is so later."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from structlog.testing import capture_logs

from nodeimpl.kernel.clock import VirtualClock
from nodeimpl.p2p import frames
from nodeimpl.sharing.exchange import pages_of
from nodeimpl.sharing.replicating import Replicator
from opkit.wire import objects as wire
from opkit.wire.base import Did
from opkit.wire.errors import Unreachable

TOOLS = "pool/tools"


class Cable:
    """The connections of one home to another one.

    Attributes:
        there: who answers.
        fails: raised by the next asks of a method, one after the other.
        asked: how often what was asked.
    """

    def __init__(self, own: Did, peer: Did) -> None:
        self.own, self.peer = own, peer
        self.there: Replicator | None = None
        self.fails: dict[str, list[Exception]] = {}
        self.asked: Counter[str] = Counter()

    def connected(self) -> tuple[Did, ...]:
        return (self.peer,)

    async def ask(self, peer: Did, method: Any, ask: Any) -> Any:
        assert peer == self.peer and self.there is not None
        self.asked[method.name] += 1
        if fails := self.fails.get(method.name):
            raise fails.pop(0)
        frames.request(method.name, ask)
        answer = {
            wire.TELL_HEADS.name: self.there.heard,
            wire.LACKING.name: self.there.lacking,
            wire.GIVE.name: self.there.give,
        }[method.name]
        answered = await answer(self.own, ask)
        frames.answer(answered)
        return answered

    def ban(self, peer: Did, *, why: str, ms: int) -> None:
        raise AssertionError(f"{peer} is honest, and banned for {ms} ms: {why}")


class Pair:
    """Ada and Ben, each with a replicator that runs."""

    def __init__(self, clock: VirtualClock, ada: Any, ben: Any) -> None:
        self.clock, self.homes = clock, (ada, ben)
        self.cables = (Cable(ada.did, ben.did), Cable(ben.did, ada.did))
        self.replicators = tuple(
            Replicator(home.sharing, store=home.store, links=cable, clock=clock)
            for home, cable in zip(self.homes, self.cables, strict=True)
        )
        for cable, there in zip(self.cables, reversed(self.replicators), strict=True):
            cable.there = there

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait for what happens without time passing; the story's own time is the limit."""
        while not holds():
            assert not any(each.done() for each in self.running), "a replicator ended"
            await asyncio.sleep(0.001)

    async def alike(self) -> bool:
        """Return whether both have all, and the same."""
        states = [
            await home.store.read(lambda tx, home=home: home.sharing.elements(tx, TOOLS))
            for home in self.homes
        ]
        return states[0] == states[1]

    async def tell(self) -> None:
        """Have Ben hear once what Ada has."""
        ada, ben = self.homes
        heads, _ = await ada.store.read(lambda tx: ada.exchange.heads(tx, ben.did, None))
        await self.replicators[1].heard(ada.did, wire.TellHeads(objects=heads))

    @asynccontextmanager
    async def run(self, *which: int) -> AsyncIterator[None]:
        """Have both act, or some; who does not, answers."""
        acting = [self.replicators[each] for each in which or (0, 1)]
        self.running = [asyncio.create_task(each.run()) for each in acting]
        try:
            yield
        finally:
            for each in self.running:
                each.cancel()
            await asyncio.wait(self.running)


@pytest.fixture
def pair(home_at, url_of, clock) -> Callable[[], Any]:
    @asynccontextmanager
    async def made() -> AsyncIterator[Pair]:
        async with home_at(url_of("ada")) as ada, home_at(url_of("ben"), "ben") as ben:
            yield Pair(clock, ada, ben)

    return made


def test_openings_of_any_length_are_introduced(within, pair) -> None:
    async def work() -> None:
        async with pair() as both:
            ada, ben = both.homes
            opening = "ada ben "
            opening += "\U0001f33e" * (wire.OPENING_CHARACTERS_MAX - len(opening))
            for number in range(wire.OBJECTS_TOLD_MAX):
                await ada.open(f"pool/p{number:03d}", opening)
            async with both.run():
                opened = set[str]()
                ben.sharing.when_touched.append(opened.add)
                await both.until(lambda: len(opened) == wire.OBJECTS_TOLD_MAX)
            assert not both.replicators[0].counts["peers not told"]

    within(work)


def test_whatever_is_longest_fits_into_a_message() -> None:
    head = wire.ObjectHeads(
        aud=f"agreement/{'f' * 64}",
        opening="\U0001f33e" * wire.OPENING_CHARACTERS_MAX,
        epoch=2**53 - 1,
        base="f" * 64,
        heads=("f" * 64,) * 64,
        heads_hash="f" * 64,
    )
    pages = list(pages_of([head] * 100))
    assert sum(map(len, pages)) == 100 and len(pages) < 5
    for page in pages:
        frames.request(wire.TELL_HEADS.name, wire.TellHeads(objects=page))
    assert list(pages_of([])) == []


def test_what_cannot_be_said_to_a_peer_ends_no_node(within, pair, clock) -> None:
    async def work() -> None:
        async with pair() as both:
            ada, ben = both.homes
            await ada.open()
            await ben.open()
            here = both.replicators[0]
            both.cables[0].fails["objects.heads"] = [ValueError("longer than a frame")]
            with capture_logs() as logs:
                async with both.run():
                    await both.until(lambda: here.counts["peers not told"] == 1)
                    await ada.add("lathe")
                    await both.until(lambda: both.replicators[1].counts["operations pulled"] == 1)
            assert await both.alike()
            (line,) = [each for each in logs if each["event"] == "telling a peer broke"]
            assert (line["log_level"], line["peer"]) == ("error", ben.did) and line["incident"]

    within(work)


def test_a_pull_that_failed_is_tried_again_before_the_next_telling(within, pair, clock) -> None:
    async def work() -> None:
        async with pair() as both:
            ada, ben = both.homes
            await ada.open()
            await ben.open()
            await ada.add("lathe")
            there, cable = both.replicators[1], both.cables[1]
            gone = Unreachable(where="ada", why="it is slow")
            cable.fails["objects.lacking"] = [gone] * 3
            async with both.run(1):
                await both.tell()
                for count, wait_ms in enumerate((1_000, 2_000, 4_000), start=1):
                    await both.until(lambda count=count: there.counts["pulls that failed"] == count)
                    # What was put off sleeps, and the round.
                    await both.until(lambda: clock.sleepers() == 2)
                    assert cable.asked["objects.lacking"] == count
                    clock.advance(wait_ms - 1)
                    assert clock.sleepers() == 2, "it sleeps still"
                    clock.advance(1)
                await both.until(lambda: there.counts["operations pulled"] == 1)
            assert await both.alike()

    within(work)


def test_a_peer_that_never_gives_is_asked_less_and_less(within, pair, clock) -> None:
    async def work() -> None:
        async with pair() as both:
            ada, ben = both.homes
            await ada.open()
            await ben.open()
            await ada.add("lathe")
            there, cable = both.replicators[1], both.cables[1]
            cable.fails["objects.lacking"] = [Unreachable(where="ada", why="it is slow")] * 99
            async with both.run(1):
                # However often it tells meanwhile, one pull of it is put off.
                for count in range(1, 6):
                    await both.tell()
                    await both.until(lambda count=count: there.counts["pulls that failed"] == count)
                for count, wait_ms in enumerate((1_000, *(2_000 << n for n in range(6))), start=6):
                    await both.until(lambda: clock.sleepers() == 2)
                    clock.advance(wait_ms)
                    await both.until(lambda count=count: there.counts["pulls that failed"] == count)

    within(work)


def test_what_a_peer_refuses_for_good_is_not_asked_again_before_it_tells(
    within, pair, clock
) -> None:
    async def work() -> None:
        async with pair() as both:
            ada, ben = both.homes
            await ada.open()
            await ben.open()
            await ada.add("lathe")
            there, cable = both.replicators[1], both.cables[1]
            cable.fails["objects.lacking"] = [wire.ObjectUnknown(object_id=TOOLS)]
            async with both.run(1):
                await both.tell()
                await both.until(lambda: there.counts["pulls that failed"] == 1)
                await both.until(lambda: clock.sleepers() == 1)
                clock.advance(60_000)
                assert clock.sleepers() == 1, "nothing is put off but the round"
                await both.tell()
                await both.until(lambda: there.counts["operations pulled"] == 1)

    within(work)
