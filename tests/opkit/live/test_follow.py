"""When nodes are looked at, and what is known of one after a look."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from opkit.live import follow
from opkit.live.follow import RECENT_MAX, Followed, Follower, rest_ms
from opkit.live.ports import NodeAt
from opkit.wire.events import Cursor
from opkit.wire.network import PeerLink, Peers


@pytest.mark.parametrize(
    ("now_ms", "rest"),
    [
        pytest.param(10_000.0, 500, id="on a moment"),
        pytest.param(10_123.0, 377, id="after one"),
        pytest.param(10_498.0, 2, id="before one"),
        pytest.param(10_499.5, 500.5, id="as good as on it"),
    ],
)
def test_all_rest_until_the_same_moment(now_ms: float, rest: float) -> None:
    assert rest_ms(now_ms, 500) == rest
    assert (now_ms + rest_ms(now_ms, 500)) % 500 == 0


def test_of_many_looks_the_last_ones_are_kept() -> None:
    at = NodeAt(org="amber", title="Amber", did="did:key:amber", url="http://127.0.0.1:1")
    one = Followed(at, now_ms=0)
    journal = Cursor.model_construct(generation=1, sequence=7, hash="ab")
    link = PeerLink.model_construct(
        did="did:key:birch",
        org=None,
        round_trip_us=1,
        sent_bytes=0,
        received_bytes=0,
        since_ms=0,
    )
    for now_ms in range(RECENT_MAX + 5):
        peers = Peers.model_construct(links=(link,), blobs=0, blob_bytes=0, journal=journal)
        one.see(peers, now_ms=now_ms)
    assert (one.peers, one.seen_ms) == (peers, RECENT_MAX + 4)
    assert len(one.looks) == RECENT_MAX
    assert one.looks[0] == (5, {"did:key:birch": link})


def test_a_look_that_is_wanted_during_another_one_follows_it_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What was asked for meanwhile may be past what the first one sees."""
    monkeypatch.setattr(follow, "rest_ms", lambda _now_ms, _every_ms: 3_600_000)

    async def story() -> None:
        followed: Any = None
        follower = Follower(
            followed,
            source=followed,
            make=followed,
            is_watched=lambda: True,
            on_page=lambda _followed, _page: None,
            on_change=lambda: None,
            on_reset=lambda _followed: None,
            now_ms=lambda: 0,
        )
        looks, looked_twice = 0, asyncio.Event()

        async def look() -> None:
            nonlocal looks
            looks += 1
            if looks == 1:
                follower.look()
            else:
                looked_twice.set()

        monkeypatch.setattr(follower, "_look", look)
        looking = asyncio.create_task(follower._keep_looking())
        await asyncio.wait_for(looked_twice.wait(), 10)
        looking.cancel()

    asyncio.run(story())
