"""Quantities as people read them."""

from __future__ import annotations

import pytest

from opkit.views.amounts import (
    brief_text,
    clock_text,
    counted,
    moment_html,
    moment_text,
    of_text,
    rate_text,
    round_trip_text,
    size_text,
)

NOW = 1_763_735_526_420


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "0 B"),
        (812, "812 B"),
        (999, "999 B"),
        (1_000, "1.0 kB"),
        (22_985, "23 kB"),
        (999_499, "999 kB"),
        (999_900, "1.0 MB"),
        (3_100_000, "3.1 MB"),
        (5_000_000_000, "5.0 GB"),
        (7_000_000_000_000_000, "7,000 TB"),
    ],
)
def test_bytes_have_three_figures_and_a_unit(size_bytes, text):
    assert size_text(size_bytes) == text


def test_a_rate_is_bytes_a_second():
    assert rate_text(3_410) == "3.4 kB/s"


@pytest.mark.parametrize(("count", "text"), [(950, "950"), (12_040, "12 k"), (3_104_220, "3.1 M")])
def test_a_huge_number_is_brief(count, text):
    assert brief_text(count) == text


@pytest.mark.parametrize(
    ("us", "text"),
    [
        (None, "unknown"),
        (0, "≤ 1 ms"),
        (420, "0.42 ms"),
        (1_130, "1.1 ms"),
        (9_960, "10 ms"),
        (120_400, "120 ms"),
    ],
)
def test_a_round_trip_is_in_milliseconds(us, text):
    assert round_trip_text(us) == text


def test_one_thing_is_not_counted_in_the_plural():
    assert counted(1, "task") == "1 task"
    assert counted(1_200, "task") == "1,200 tasks"
    assert of_text(1, 1, "node") == "1 of 1 node"


def test_a_moment_of_another_day_has_its_date():
    assert clock_text(NOW) == "14:32:06"
    assert moment_text(NOW - 60_000, now_ms=NOW) == "14:31:06"
    assert moment_text(NOW - 86_400_000, now_ms=NOW) == "20 Nov 14:32"


def test_a_moment_carries_the_whole_of_it():
    html = moment_html(NOW, now_ms=NOW)

    assert 'datetime="2025-11-21T14:32:06.420Z"' in html
    assert 'title="2025-11-21 14:32:06.420 UTC"' in html
    assert "never" in moment_html(0, now_ms=NOW)
