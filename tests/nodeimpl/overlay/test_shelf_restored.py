"""The shelf and what keeps it: each change is told, and what barred others bars them again."""

from __future__ import annotations

from typing import Any

import pytest

from nodeimpl.overlay.budgets import Limits
from nodeimpl.overlay.shelf import Shelf
from opkit.wire.records import RecordOutdated

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


@pytest.fixture
def shelf(land: Any) -> Shelf:
    """An empty shelf."""
    return Shelf(land.verifier)


def test_whoever_wants_to_know_is_told_of_each_change(land: Any, shelf: Shelf) -> None:
    seen: list[Any] = []
    shelf.on_changed.append(lambda *key: seen.append((key, shelf.kept(*key))))
    first = land.note(land.nodes[0], sequence=1, term_ms=HOUR_MS)
    later = land.note(land.nodes[0], sequence=2, term_ms=2 * HOUR_MS)
    shelf.offer(first, land.now_ms)
    shelf.offer(later, land.now_ms)
    shelf.tick(land.now_ms + 2 * HOUR_MS)
    key = ("note", f"{land.nodes[0].did}/a", land.nodes[0].did)
    assert {each for each, _ in seen} == {key}
    ends = [land.now_ms + hours * HOUR_MS for hours in (1, 2)]
    assert [kept for _, kept in seen] == [(first, ends[0]), None, (later, ends[1]), None]


def test_what_barred_others_before_a_restart_bars_them_afterwards(land: Any, shelf: Shelf) -> None:
    owner = land.nodes[0]
    barred = land.note(owner, sequence=1)
    later = land.note(owner, sequence=2, term_ms=HOUR_MS)
    now_ms, until_ms = land.now_ms + HOUR_MS, land.now_ms + 30 * DAY_MS
    shelf.bar(later, until_ms=until_ms, now_ms=now_ms)
    assert shelf.kept("note", f"{owner.did}/a", owner.did) == (later, until_ms)
    assert shelf.get("note", f"{owner.did}/a") == ()
    with pytest.raises(RecordOutdated):
        shelf.offer(barred, now_ms)
    shelf.bar(barred, until_ms=until_ms + 1, now_ms=now_ms)
    assert shelf.kept("note", f"{owner.did}/a", owner.did) == (later, until_ms)
    shelf.tick(until_ms)
    assert shelf.held()["records"] == 0


def test_a_record_that_stands_bars_as_long_as_it_did_before(land: Any, shelf: Shelf) -> None:
    owner = land.nodes[0]
    standing = land.note(owner, term_ms=HOUR_MS)
    shelf.offer(standing, land.now_ms)
    shelf.bar(standing, until_ms=land.now_ms + DAY_MS, now_ms=land.now_ms)
    shelf.bar(standing, until_ms=land.now_ms + 1, now_ms=land.now_ms)
    assert shelf.kept("note", f"{owner.did}/a", owner.did) == (standing, land.now_ms + DAY_MS)


def test_a_bar_without_room_or_whose_time_is_over_is_none(land: Any) -> None:
    later = land.note(land.nodes[0], term_ms=HOUR_MS)
    now_ms = land.now_ms + HOUR_MS
    for limits, until_ms in ((Limits(owner_records_max=0), now_ms + 1), (Limits(), now_ms)):
        shelf = Shelf(land.verifier, limits)
        shelf.bar(later, until_ms=until_ms, now_ms=now_ms)
        assert shelf.held()["records"] == 0
