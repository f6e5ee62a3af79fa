"""One peer's account, and attempts to reach one."""

from __future__ import annotations

import asyncio

import pytest

from nodeimpl.kernel.clock import RealClock, VirtualClock
from nodeimpl.p2p import limits as module
from nodeimpl.p2p.dialling import Reach
from nodeimpl.p2p.limits import Guard, Guards, PeersLimits, blame_of
from nodeimpl.p2p.transport import DialFailed
from opkit.wire.compute import BlobUnknown, QueueFull
from opkit.wire.peer import FrameMalformed, MethodUnknown, PeerRateExceeded, WrongNetwork
from opkit.wire.records import RecordOutdated, SignedRecordRejected


def account(**limits):
    clock = VirtualClock()
    return clock, Guard(clock=clock, limits=PeersLimits(**limits))


def test_a_burst_is_allowed_and_then_the_rate():
    clock, guard = account(asks_per_second_max=10)
    for _ in range(20):
        guard.ask()
    with pytest.raises(PeerRateExceeded) as no:
        guard.ask()
    assert no.value.limit == 10
    clock.advance(100)
    guard.ask()
    with pytest.raises(PeerRateExceeded):
        guard.ask()
    clock.advance(60_000)
    for _ in range(20):
        guard.ask()


def test_a_refused_question_costs_nothing_of_the_rate():
    _, guard = account(asks_per_second_max=10, streams_max=1)
    guard.streams = 1
    for _ in range(50):
        with pytest.raises(PeerRateExceeded) as no:
            guard.ask()
        assert no.value.limit == 1
    guard.streams = 0
    guard.ask()


def test_frames_and_blobs_are_counted():
    _, guard = account(frame_bytes_max=100, blob_streams_max=1)
    guard.hold_frame(60)
    guard.hold_frame(40)
    with pytest.raises(PeerRateExceeded):
        guard.hold_frame(1)
    guard.open_blob()
    with pytest.raises(PeerRateExceeded):
        guard.open_blob()
    assert not guard.idle


WRONG = FrameMalformed(why="?")


@pytest.mark.parametrize(
    ("no", "blame"),
    [
        (WRONG, 8),
        (SignedRecordRejected(why="?"), 8),
        (MethodUnknown(method="?"), 1),
        (WrongNetwork(network="?"), 1),
        (RecordOutdated(standing_sequence=1), 1),
        (PeerRateExceeded(limit=1), 1),
        (BlobUnknown(cid="?"), 0),
        (QueueFull(limit=1), 0),
    ],
    ids=lambda value: getattr(value, "code", None),
)
def test_what_an_honest_program_may_have_refused_weighs_little_or_nothing(no, blame):
    """What a node has not, or has no room for, says nothing about who asks for it."""
    assert blame_of(no) == blame


def test_who_goes_on_asking_what_is_refused_is_endured_for_a_while_and_blamed_once():
    clock, guard = account(blame_max=80, forgiven_per_second=8)
    assert not any(guard.blame(WRONG) for _ in range(10))
    clock.advance(1_000)
    assert not guard.blame(WRONG), "one a second is forgiven"
    assert guard.blame(WRONG)
    assert not any(guard.blame(WRONG) for _ in range(10)), "then it is counted anew"
    assert guard.blame(WRONG)


def test_accounts_are_kept_over_reconnections_and_bounded(monkeypatch):
    monkeypatch.setattr(module, "GUARDS_MAX", 3)
    guards = Guards(clock=VirtualClock(), limits=PeersLimits())
    busy = guards.of("busy")
    busy.streams = 1
    assert guards.of("busy") is busy
    first = guards.of("first")
    for name in ("second", "third", "fourth"):
        guards.of(name)
    assert guards.of("busy") is busy, "who has something under way is not forgotten"
    assert guards.of("first") is not first


def reach(dial, *, clock=None, **limits):
    kept = PeersLimits(backoff_ms_min=10, **limits)
    return Reach(dial=dial, clock=clock or RealClock(), limits=kept)


def test_attempts_overlap_so_a_hanging_one_delays_nothing():
    async def story():
        attempts = []

        async def dial():
            attempts.append(1)
            if len(attempts) < 3:
                await asyncio.sleep(30)
            return "connected"

        async with asyncio.timeout(30):
            assert await reach(dial).until(lambda: False) == "connected"
        assert len(attempts) == 3

    asyncio.run(story())


def test_only_so_many_attempts_run_at_once():
    async def story():
        attempts, clock = [], VirtualClock()

        async def dial():
            attempts.append(1)
            await asyncio.Event().wait()

        trying = reach(dial, clock=clock, dials_at_once_max=2, backoff_ms_max=10)
        reaching = asyncio.create_task(trying.until(lambda: False))
        for _ in range(20):
            for _ in range(10):
                await asyncio.sleep(0)
            clock.advance(10)
        assert len(attempts) == 2
        reaching.cancel()
        await asyncio.gather(reaching, return_exceptions=True)

    asyncio.run(story())


def test_failed_attempts_are_repeated_and_an_unwanted_peer_is_left_alone():
    async def story():
        attempts = []

        async def dial():
            attempts.append(1)
            raise DialFailed("nobody there")

        async with asyncio.timeout(30):
            result = await reach(dial, backoff_ms_max=10).until(lambda: len(attempts) >= 5)
        assert result is None
        assert len(attempts) == 5

    asyncio.run(story())
