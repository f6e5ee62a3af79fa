"""Links are watched: what turns is told once, in bounds, and figures only grow."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from prometheus_client.core import Metric

from nodeimpl.kernel.clock import VirtualClock
from nodeimpl.network.links import OTHERS, LinkWatch
from nodeimpl.network.rules import LinkLimits
from opkit.proof.keys import Identity
from opkit.wire.errors import Unreachable
from opkit.wire.events import Event
from opkit.wire.network import LinkRecovered, LinkWorsened, PeerLink

HOMES, STRANGER = Identity.generate().did, Identity.generate().did


class Links:
    """Links whose figures a test sets."""

    def __init__(self) -> None:
        """Have one link, which is good."""
        self.all = {HOMES: link_to(HOMES)}

    def links(self) -> tuple[PeerLink, ...]:
        """Return them."""
        return tuple(self.all.values())

    def carry(self, did: str, *, sent: int, lost: int = 0) -> None:
        """Let packets go over one."""
        now = self.all[did]
        self.all[did] = now.model_copy(
            update={
                "sent_packets": now.sent_packets + sent,
                "lost_packets": now.lost_packets + lost,
                "sent_bytes": now.sent_bytes + 100 * sent,
            }
        )


def link_to(did: str, *, since_ms: int = 1) -> PeerLink:
    return PeerLink(
        did=did,
        org="homes",
        round_trip_us=2_000,
        sent_bytes=0,
        received_bytes=0,
        since_ms=since_ms,
    )


def make(limits: LinkLimits | None = None) -> tuple[Links, LinkWatch, VirtualClock, list[Event]]:
    told: list[Event] = []

    async def announce(event: Event) -> None:
        told.append(event)

    links, clock = Links(), VirtualClock(1_000_000)
    watch = LinkWatch(links, orgs={HOMES: "homes"}, clock=clock, announce=announce, limits=limits)
    return links, watch, clock, told


def values(watch: LinkWatch) -> dict[tuple[str, str], float]:
    metrics: list[Metric] = list(watch.metrics())
    return {
        (sample.name, sample.labels["org"]): sample.value
        for metric in metrics
        for sample in metric.samples
    }


async def pulses(clock: VirtualClock, count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)
        clock.advance(1_000)
        for _ in range(5):
            await asyncio.sleep(0)


def test_a_link_that_turns_bad_and_good_again_is_told_once_each() -> None:
    async def story() -> None:
        links, watch, clock, told = make()
        async with asyncio.timeout(30):
            running = asyncio.create_task(watch.run())
            await pulses(clock, 3)
            for _ in range(12):
                links.carry(HOMES, sent=40, lost=8)
                await pulses(clock, 1)
            (worse,) = told
            assert isinstance(worse, LinkWorsened)
            assert (worse.peer, worse.org, worse.amiss) == (HOMES, "homes", "loss")
            assert worse.lost_permille == 200
            (shown,) = watch.links()
            assert (shown.amiss, shown.lost_permille) == ("loss", 200)
            for _ in range(20):
                links.carry(HOMES, sent=40)
                await pulses(clock, 1)
            (_, better) = told
            assert isinstance(better, LinkRecovered)
            assert better.bad_ms > 6_000
            assert watch.links()[0].amiss is None
            running.cancel()

    asyncio.run(story())


def test_a_new_connection_to_a_peer_is_judged_anew_and_counted_on() -> None:
    links, watch, clock, _ = make()
    watch.look()
    links.carry(HOMES, sent=40, lost=8)
    clock.advance(1_000)
    watch.look()
    assert watch.links()[0].lost_permille == 200
    links.all[HOMES] = link_to(HOMES, since_ms=2)
    assert watch.links()[0].lost_permille == 0
    links.carry(HOMES, sent=10)
    watch.look()
    found = values(watch)
    assert found["opkit_link_sent_packets_total", "homes"] == 50
    assert found["opkit_link_lost_packets_total", "homes"] == 8
    assert found["opkit_link_sent_bytes_total", "homes"] == 5_000
    assert found["opkit_link_lost_ratio", "homes"] == 0
    assert found["opkit_link_round_trip_seconds", "homes"] == pytest.approx(0.002)


def test_a_strangers_link_is_counted_with_the_others_whatever_it_calls_itself() -> None:
    links, watch, _, _ = make()
    links.all[STRANGER] = link_to(STRANGER)
    watch.look()
    links.carry(STRANGER, sent=7)
    watch.look()
    found = values(watch)
    assert found["opkit_link_sent_packets_total", OTHERS] == 7
    assert found["opkit_link_sent_packets_total", "homes"] == 0
    assert {org for _, org in found} == {"homes", OTHERS}


def test_a_node_without_links_has_figures_too() -> None:
    links, watch, _, _ = make()
    links.all.clear()
    watch.look()
    assert set(values(watch).values()) == {0}


def test_links_that_change_all_the_time_fill_no_journal() -> None:
    async def story() -> None:
        limits = replace(LinkLimits(), told_max=2, bad_ms=0, good_ms=0, window_ms=1_500)
        links, watch, clock, told = make(limits)
        async with asyncio.timeout(30):
            running = asyncio.create_task(watch.run())
            await pulses(clock, 3)
            for turn in range(40):
                links.carry(HOMES, sent=40, lost=0 if turn % 2 else 20)
                await pulses(clock, 1)
            assert len(told) == 2
            clock.advance(60_000)
            await pulses(clock, 1)
            for turn in range(10):
                links.carry(HOMES, sent=40, lost=0 if turn % 2 else 20)
                await pulses(clock, 1)
            assert len(told) == 4
            running.cancel()

    asyncio.run(story())


def test_an_event_that_cannot_be_journalled_ends_nothing() -> None:
    async def story() -> None:
        links, clock = Links(), VirtualClock(1_000_000)
        tried: list[Event] = []

        async def announce(event: Event) -> None:
            tried.append(event)
            raise Unreachable(where="the store", why="it is full")

        watch = LinkWatch(
            links,
            orgs={HOMES: "homes"},
            clock=clock,
            announce=announce,
            limits=replace(LinkLimits(), bad_ms=0),
        )
        async with asyncio.timeout(30):
            running = asyncio.create_task(watch.run())
            await pulses(clock, 2)
            links.carry(HOMES, sent=40, lost=20)
            await pulses(clock, 3)
            assert len(tried) == 1
            assert not running.done()
            running.cancel()

    asyncio.run(story())


def test_when_a_link_went_is_remembered_until_too_many_have(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("nodeimpl.network.links.HEARD_MAX", 2)
    links, watch, clock, _ = make()
    watch.look()
    assert watch.heard_ms(HOMES) is None, "it has not gone"
    del links.all[HOMES]
    clock.advance(1_000)
    watch.look()
    gone_ms = clock.now_ms()
    assert watch.heard_ms(HOMES) == gone_ms
    others = [Identity.generate().did for _ in range(2)]
    for did in others:
        links.all = {did: link_to(did)}
        watch.look()
        links.all = {}
        clock.advance(1_000)
        watch.look()
    assert watch.heard_ms(HOMES) is None
    assert [watch.heard_ms(did) for did in others] == [gone_ms + 1_000, gone_ms + 2_000]
