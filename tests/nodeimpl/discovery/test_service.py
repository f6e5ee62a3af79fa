"""Finding services: what fits is told, of whose node was heard last first, with all its records."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from nodeimpl.discovery.rules import Limits
from opkit.proof.keys import Identity
from opkit.proof.services import prove_service
from opkit.wire.names import ALIAS_DEPTH_MAX

COOP = "tool-library"
A, B, C = (Identity.generate() for _ in range(3))


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 120))


def full(*labels: str) -> list[str]:
    return [f"{label}.{COOP}" for label in labels]


def test_nobody_names_a_service(square: Any) -> None:
    async def story() -> None:
        page = await square.find()
        assert (page.services, page.next_after) == ((), "")

    run(story())


def test_what_is_found_verifies_by_what_comes_with_it(square: Any) -> None:
    async def story() -> None:
        square.own(A)
        square.card(A)
        square.service("lathe", A, capabilities=("turning",), region="north")
        square.alias("spindle", "lathe")
        page = await square.find()
        assert [found.name for found in page.services] == full("lathe", "spindle")
        for found in page.services:
            proven = prove_service(found, square.genesis, square.clock.now_ms() + 1_000)
            assert proven.service == f"lathe.{COOP}" and proven.node == A.did
            assert proven.card is not None and found.card is None, "it stands in its record"

    run(story())


def test_a_large_card_comes_beside_its_record(square: Any) -> None:
    async def story() -> None:
        square.own(A)
        square.card(A, large=True)
        square.service("lathe", A)
        (found,) = (await square.find()).services
        assert found.card is not None
        assert prove_service(found, square.genesis, square.clock.now_ms() + 1_000).card is not None

    run(story())


def test_names_that_were_there_before_are_found_as_well(square: Any) -> None:
    async def story() -> None:
        square.service("lathe", A)
        square.join()
        square.service("saw", B)
        assert await square.names() == full("lathe", "saw")

    run(story())


@pytest.mark.parametrize(
    ("asked", "labels"),
    [
        ({}, ("drill", "lathe", "saw")),
        ({"type": "booking"}, ("lathe", "saw")),
        ({"type": "bakery"}, ()),
        ({"region": "north"}, ("drill", "saw")),
        ({"type": "booking", "region": "north"}, ("saw",)),
        ({"capability": "turning"}, ("lathe",)),
        ({"capability": "cut"}, ("saw",)),
        ({"capability": "cuts"}, ("saw",)),
        ({"capability": "cut", "type": "lending"}, ()),
        ({"type": "no slug at all !"}, ()),
    ],
)
def test_what_fits_is_found(square: Any, asked: dict[str, str], labels: tuple[str, ...]) -> None:
    async def story() -> None:
        square.card(B, skill="cut")
        square.service("lathe", A, capabilities=("turning",))
        square.service("saw", B, region="north")
        square.service("drill", A, type="lending", region="north")
        square.node_name("house")
        assert await square.names(**asked) == full(*labels)

    run(story())


def test_what_lapsed_was_withdrawn_or_became_something_else_is_not_found(square: Any) -> None:
    async def story() -> None:
        square.service("lathe", A, term_ms=3_600_000)
        square.service("saw", A)
        square.service("drill", A)
        square.alias("spindle", "lathe")
        assert await square.names() == full("drill", "lathe", "saw", "spindle")
        square.put("saw", None)
        square.node_name("drill")
        assert await square.names() == full("lathe", "spindle")
        square.clock.advance(3_600_100)
        assert await square.names() == []
        square.shelf.tick(square.clock.now_ms())
        assert await square.names() == []

    run(story())


def test_an_alias_leads_no_further_than_anybody_follows(square: Any) -> None:
    async def story() -> None:
        square.service("a0", A)
        for depth in range(1, ALIAS_DEPTH_MAX + 2):
            square.alias(f"a{depth}", f"a{depth - 1}")
        assert await square.names() == full(*(f"a{depth}" for depth in range(ALIAS_DEPTH_MAX + 1)))
        found = (await square.find()).services[-1]
        assert len(found.aliases) == ALIAS_DEPTH_MAX

    run(story())


def test_aliases_in_a_circle_or_to_nothing_lead_nowhere(square: Any) -> None:
    async def story() -> None:
        square.alias("x", "y")
        square.alias("y", "x")
        square.alias("z", "nothing")
        square.node_name("house")
        square.alias("home", "house")
        assert await square.names() == []

    run(story())


def test_the_one_of_whose_node_was_heard_last_comes_first(square: Any) -> None:
    async def story() -> None:
        now_ms = square.clock.now_ms()
        d = Identity.generate()
        square.own(d)
        for label, node in (("old", A), ("late", B), ("live", C), ("here", square.home)):
            square.service(label, node)
        square.service("never", Identity.generate())
        square.service("signed", d)
        square.clock.advance(100_000)
        square.around.gone = {A.did: now_ms + 50_000, B.did: now_ms + 90_000}
        square.around.linked = {C.did: 700}
        page = await square.find()
        told = [(found.name.partition(".")[0], found.health) for found in page.services]
        assert [label for label, _ in told] == ["here", "live", "late", "old", "signed", "never"]
        states = {label: (health.state, health.round_trip_us) for label, health in told}
        assert states["here"] == ("here", None) and states["live"] == ("live", 700)
        assert states["late"] == states["old"] == ("silent", None)
        assert states["signed"] == states["never"] == ("unknown", None)
        heard = {label: health.heard_ms for label, health in told}
        assert heard["here"] == heard["live"] == square.clock.now_ms()
        assert heard["late"] == now_ms + 90_000
        assert 0 < heard["signed"] - now_ms < 1_000 and heard["never"] is None

    run(story())


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_pages_follow_each_other_until_the_last(square: Any, size: int) -> None:
    async def story() -> None:
        labels = [f"s{number}" for number in range(7)]
        square.around.linked = {B.did: 500}
        for number, label in enumerate(labels):
            square.service(label, (A, B)[number % 2])
        found: list[str] = []
        after, pages = "", 0
        while True:
            page = await square.find(services_max=size, after=after)
            found += [each.name for each in page.services]
            after, pages = page.next_after, pages + 1
            square.clock.advance(1_000)
            if not after:
                break
        assert found == full("s1", "s3", "s5", "s0", "s2", "s4", "s6")
        assert pages == -(-7 // size)

    run(story())


def test_a_node_that_took_its_record_back_has_none(square: Any) -> None:
    async def story() -> None:
        square.service("lathe", A)
        square.own(A)
        (found,) = (await square.find()).services
        assert found.node_record is not None
        square.own(A, gone=True)
        (found,) = (await square.find()).services
        assert found.node_record is None

    run(story())


def test_a_node_without_a_card_is_not_asked_for_it_all_the_time(square: Any) -> None:
    async def story() -> None:
        square.service("lathe", A)
        for _ in range(3):
            assert await square.names() == full("lathe")
        assert square.around.asked == [A.did]
        square.clock.advance(Limits().cardless_ms)
        square.card(A)
        (found,) = (await square.find()).services
        assert found.card_record is not None and square.around.asked == [A.did] * 2

    run(story())


def test_cards_that_nobody_gives_in_time_hold_nothing_up(make_square: Any) -> None:
    async def story() -> None:
        square = make_square(Limits(cards_ms=20))
        square.service("lathe", A, capabilities=("turning",))
        square.card(A)
        square.around.waits.clear()
        (found,) = (await square.find(capability="turning")).services
        assert found.card_record is None
        assert await square.names(capability="turn") == []

    run(story())


def test_of_few_nodes_cards_are_looked_for_and_of_few_it_is_remembered(make_square: Any) -> None:
    async def story() -> None:
        limits = Limits(cards_asked_max=3, cardless_max=2)
        square = make_square(limits)
        nodes = [Identity.generate() for _ in range(5)]
        for number, node in enumerate(nodes):
            square.service(f"s{number}", node)
        assert await square.names(capability="cut") == []
        assert len(square.around.asked) == limits.cards_asked_max
        assert len(square.discovery._cardless) == limits.cardless_max

    run(story())


def test_many_names_are_read_without_holding_others_up(square: Any) -> None:
    async def story() -> None:
        square.join()
        for number in range(120):
            square.service(f"s{number:03}", A)
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                await asyncio.sleep(0)
                turns += 1

        other = asyncio.create_task(count())
        both = await asyncio.gather(square.find(services_max=100), square.find(services_max=100))
        other.cancel()
        assert turns >= 2
        assert [len(page.services) for page in both] == [100, 100]
        assert both[0].next_after == f"0.s099.{COOP}"

    run(story())


def test_a_name_that_changes_while_cards_are_awaited_is_left_out(square: Any) -> None:
    async def story() -> None:
        square.service("lathe", A)
        square.card(A)
        square.around.waits.clear()
        finding = asyncio.create_task(square.find())
        while not square.around.asked:
            await asyncio.sleep(0)
        square.clock.advance(2 * 86_400_000)
        square.shelf.tick(square.clock.now_ms())
        square.around.waits.set()
        assert (await finding).services == ()

    run(story())
