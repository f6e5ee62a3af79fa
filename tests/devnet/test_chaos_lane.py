"""One direction of a link: what is lost, how late the rest is, and that both can be repeated."""

from __future__ import annotations

import asyncio
import time

import pytest

from devnet.chaos_lane import LATE_MAX, NONE, QUEUE_MS_MAX, Hindrance, Lane, together


class Far:
    """The other end: what arrived, and when, in seconds from the start."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.got: list[tuple[bytes, int]] = []
        self.at: list[float] = []

    def send(self, data: bytes, segment: int) -> None:
        self.got.append((data, segment))
        self.at.append(time.monotonic() - self.began)


async def settled(lane: Lane) -> None:
    """Wait until nothing is under way any more."""
    async with asyncio.timeout(30):
        while lane.waiting:
            await asyncio.sleep(0.002)


def carried(
    hindrance: Hindrance, *, count: int = 200, size: int = 100, seed: str = "s"
) -> tuple[Far, Lane]:
    """Return what came of so many datagrams in one lane, all of them at one moment."""

    async def story() -> tuple[Far, Lane]:
        lane, far = Lane(), Far()
        lane.hinder(hindrance, seed=seed)
        with pytest.MonkeyPatch.context() as held:
            # Else a narrow line takes more of them the longer a busy machine stalls between two.
            now = (loop := asyncio.get_running_loop()).time()
            held.setattr(loop, "time", lambda: now)
            for number in range(count):
                lane.carry(b"%d" % number + b"-" * size, 0, far.send)
        await settled(lane)
        return far, lane

    return asyncio.run(story())


def test_a_lane_that_nothing_hinders_need_not_be_asked() -> None:
    async def story() -> None:
        lane, far = Lane(), Far()
        assert lane.clear
        lane.hinder(Hindrance(delay_ms=20), seed="s")
        assert not lane.clear
        assert lane.carry(b"first", 0, far.send)
        lane.hinder(NONE, seed="s")
        assert not lane.clear, "the first must not be overtaken"
        assert lane.carry(b"second", 0, far.send)
        await settled(lane)
        assert lane.clear
        assert [data for data, _ in far.got] == [b"first", b"second"]

    asyncio.run(story())


def test_what_is_lost_follows_from_the_seed_alone() -> None:
    lossy = Hindrance(loss_permille=200)
    far, lane = carried(lossy, count=1_000)
    assert 120 < lane.lost < 280
    assert len(far.got) == 1_000 - lane.lost
    assert carried(lossy, count=1_000)[0].got == far.got
    assert carried(lossy, count=1_000, seed="other")[0].got != far.got


def test_the_same_is_lost_whether_or_not_the_delay_varies() -> None:
    steady = carried(Hindrance(loss_permille=200))[0]
    varied = carried(Hindrance(loss_permille=200, delay_ms=5, jitter_ms=5))[0]
    assert varied.got == steady.got


def test_joined_datagrams_are_lost_one_by_one_and_pass_whole_when_only_late() -> None:
    async def story() -> None:
        lane, far = Lane(), Far()
        lane.hinder(Hindrance(delay_ms=1), seed="s")
        lane.carry(b"aabbc", 2, far.send)
        await settled(lane)
        assert far.got == [(b"aabbc", 2)]
        lane.hinder(Hindrance(loss_permille=1), seed="s")
        lane.carry(b"aabbc", 2, far.send)
        await settled(lane)
        assert far.got[1:] == [(b"aa", 0), (b"bb", 0), (b"c", 0)]

    asyncio.run(story())


def test_delay_and_jitter_hold_each_so_long_and_keep_the_order() -> None:
    far, lane = carried(Hindrance(delay_ms=40, jitter_ms=30), count=50)
    assert lane.lost == 0
    assert [int(data.split(b"-")[0]) for data, _ in far.got] == list(range(50))
    assert min(far.at) >= 0.009


def test_a_narrow_line_takes_its_time_and_loses_what_would_wait_too_long() -> None:
    # 1,000 bytes at 400 kbit/s take 20 ms each, so the queue holds half a second: 25 or so.
    far, lane = carried(Hindrance(rate_kbit_s=400), count=100, size=998)
    assert far.at[-1] >= QUEUE_MS_MAX / 1000
    assert 20 <= len(far.got) <= 30
    assert lane.lost == 100 - len(far.got)


def test_a_lane_holds_only_so_many() -> None:
    async def story() -> None:
        lane, far = Lane(), Far()
        lane.hinder(Hindrance(delay_ms=60_000), seed="s")
        for _ in range(LATE_MAX + 5):
            lane.carry(b"x", 0, far.send)
        assert (lane.waiting, lane.lost) == (LATE_MAX, 5)
        lane.forget()
        assert (lane.waiting, lane.lost, far.got) == (0, LATE_MAX + 5, [])

    asyncio.run(story())


def test_a_cut_loses_what_is_under_way_and_says_that_nothing_passes() -> None:
    async def story() -> None:
        lane, far = Lane(), Far()
        lane.hinder(Hindrance(delay_ms=60_000), seed="s")
        assert lane.carry(b"x", 0, far.send)
        lane.hinder(Hindrance(cut=True), seed="s")
        assert not lane.carry(b"x", 0, far.send)
        assert (lane.waiting, lane.lost) == (0, 2)

    asyncio.run(story())


@pytest.mark.parametrize(
    ("each", "expected"),
    [
        ([], NONE),
        ([Hindrance(cut=True), Hindrance(loss_permille=5)], Hindrance(cut=True, loss_permille=5)),
        (
            [Hindrance(delay_ms=5, jitter_ms=5), Hindrance(delay_ms=9, loss_permille=7)],
            Hindrance(delay_ms=9, loss_permille=7),
        ),
        ([Hindrance(rate_kbit_s=9), NONE, Hindrance(rate_kbit_s=5)], Hindrance(rate_kbit_s=5)),
    ],
)
def test_of_several_the_worst_of_each_kind_holds(
    each: list[Hindrance], expected: Hindrance
) -> None:
    assert together(each) == expected
