"""Hybrid clocks: always after what was seen, never adopted from who is far ahead."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodeimpl.kernel.crdt.hlc import SKEW_MS_MAX, Hlc, check_skew
from opkit.wire.operations import TICK_MAX, OperationClockAhead

MOMENTS = st.builds(Hlc, st.integers(0, 10), st.sampled_from([0, 1, TICK_MAX - 1, TICK_MAX]))


@given(moment=MOMENTS, now=st.integers(0, 12))
def test_what_follows_is_later_and_as_near_the_clock_as_can_be(moment, now):
    following = moment.following(now)
    assert following > moment and following.tick <= TICK_MAX
    assert following.time_ms == now or now <= moment.time_ms <= following.time_ms <= (
        moment.time_ms + 1
    )


def test_a_moment_is_refused_from_one_millisecond_beyond_the_skew():
    check_skew(Hlc(1_000 + SKEW_MS_MAX, 9), now_ms=1_000)
    with pytest.raises(OperationClockAhead) as no:
        check_skew(Hlc(1_001 + SKEW_MS_MAX), now_ms=1_000)
    assert no.value.skew_ms_max == SKEW_MS_MAX
