"""What counts as heard whole when events are counted at many subscribers."""

from __future__ import annotations

import pytest

from bench.fanout import Heard, check_whole


def test_every_subscriber_heard_every_event_once_and_in_order():
    check_whole(Heard(places={0: [1, 2, 3], 1: [1, 2]}, late_ms=[]), subscribers=2, after=0)


@pytest.mark.parametrize("places", [[1, 3], [1, 2, 2], [2, 1], [2, 3]])
def test_an_event_that_is_missing_doubled_or_out_of_order_is_found_out(places: list[int]):
    with pytest.raises(RuntimeError, match="subscriber 1"):
        check_whole(Heard(places={0: [1, 2], 1: places}, late_ms=[]), subscribers=2, after=0)


def test_places_are_counted_from_where_listening_began():
    check_whole(Heard(places={0: [8, 9]}, late_ms=[]), subscribers=1, after=7)


def test_a_subscriber_who_heard_nothing_is_found_out():
    with pytest.raises(RuntimeError, match="1 of 2"):
        check_whole(Heard(places={0: [1]}, late_ms=[]), subscribers=2, after=0)
