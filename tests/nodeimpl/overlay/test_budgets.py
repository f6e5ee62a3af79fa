"""Room for records: who has how much, and who gives way."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any

import pytest

from nodeimpl.overlay.budgets import RECORD_BYTES, Limits, size_of
from nodeimpl.overlay.namespaces import DAY_MS, GOSSIPED, HOUR_MS, RECONCILED, RULES
from nodeimpl.overlay.shelf import Shelf
from opkit.wire.records import NAMESPACES, VALUES, Carried, RecordsExhausted


def keep(shelf: Shelf, *records: Carried, now_ms: int) -> list[bool]:
    """Offer records; return of each whether it was kept."""
    kept = []
    for record in records:
        try:
            shelf.offer(record, now_ms)
            kept.append(True)
        except RecordsExhausted:
            kept.append(False)
    return kept


def test_every_namespace_has_rules_and_is_spread_as_they_say() -> None:
    assert set(RULES) == set(NAMESPACES) == set(VALUES)
    assert set(RECONCILED) == {name for name, rules in RULES.items() if rules.reconciled}
    assert set(GOSSIPED) == {name for name, rules in RULES.items() if rules.gossiped}


def test_the_page_says_what_each_namespace_takes() -> None:
    page = (Path(__file__).parents[3] / "docs/protocol.md").read_text("utf-8")
    for name, rules in RULES.items():
        (row,) = re.findall(rf"^\| `{name}` \|(.*)\|$", page, re.MULTILINE)
        term, characters, owners, gossiped, reconciled = (
            cell.strip() for cell in row.split("|")[-5:]
        )
        count, unit = term.split()
        units = {"min": HOUR_MS // 60, "h": HOUR_MS, "days": DAY_MS}
        assert int(count) * units[unit] == rules.term_ms_max
        assert characters == f"{rules.characters_max:,}"
        assert owners == str(rules.owners_max)
        spreads = {"yes": True, "no": False}
        assert (spreads[gossiped], spreads[reconciled]) == (rules.gossiped, rules.reconciled)


@pytest.mark.parametrize(
    ("limits", "fits"),
    [
        (Limits(owner_records_max=3), 3),
        (Limits(coop_records_max=3), 3),
        (Limits(namespace_records_max=3), 3),
        (Limits(owner_bytes_max=3 * 4_096), 4),
        (Limits(coop_bytes_max=3 * 4_096), 4),
        (Limits(namespace_bytes_max=3 * 4_096), 4),
        (Limits(owner_records_max=0), 0),
        (Limits(owner_bytes_max=RECORD_BYTES), 0),
    ],
    ids=["owner", "coop", "namespace", "owner's", "coop's", "namespace's", "none", "no bytes"],
)
def test_a_sponsors_room_is_bounded(land: Any, limits: Limits, fits: int) -> None:
    shelf = Shelf(land.verifier, limits)
    notes = [land.note(land.nodes[0], str(number)) for number in range(6)]
    assert 4 * size_of(notes[0]) <= 3 * 4_096 < 5 * size_of(notes[0])
    kept = keep(shelf, *notes, now_ms=land.now_ms)
    assert kept == [number < fits for number in range(6)]
    assert shelf.held()["sponsored"] == fits
    assert shelf.held()["sponsored_bytes"] == sum(map(size_of, notes[:fits]))


def test_one_coop_takes_nothing_of_another_ones_room(land: Any) -> None:
    shelf = Shelf(land.verifier, Limits(coop_records_max=2))
    for owner in land.nodes[:2]:
        notes = [land.note(owner, str(number)) for number in range(3)]
        assert keep(shelf, *notes, now_ms=land.now_ms) == [True, True, False]


def test_who_has_no_room_left_may_replace_and_take_back(land: Any) -> None:
    owner = land.nodes[0]
    shelf = Shelf(land.verifier, Limits(owner_records_max=1))
    first, second, last = (
        land.note(owner),
        land.note(owner, sequence=2, text="hello again"),
        land.tombstone(owner, sequence=3),
    )
    assert keep(shelf, first, second, last, now_ms=land.now_ms) == [True] * 3
    assert shelf.get("note", f"{owner.did}/a") == (last,)


def test_what_does_not_fit_in_place_of_another_leaves_that_where_it_is(land: Any) -> None:
    for owner, limits in (
        (land.nodes[0], Limits(owner_bytes_max=size_of(land.note(land.nodes[0])))),
        (land.stranger(), Limits(unsponsored_bytes_max=size_of(land.note(land.stranger())))),
    ):
        shelf = Shelf(land.verifier, limits)
        note = land.note(owner)
        larger = land.note(owner, sequence=2, text="x" * 400)
        assert keep(shelf, note, larger, now_ms=land.now_ms) == [True, False]
        assert shelf.get("note", f"{owner.did}/a") == (note,)
        assert shelf.held()["records"] == 1


def test_room_that_is_given_back_is_free(land: Any) -> None:
    shelf = Shelf(land.verifier, Limits(owner_records_max=1, unsponsored_records_max=1))
    for owner in (land.nodes[0], land.stranger()):
        short = land.note(owner, "a", term_ms=600_000)
        assert keep(shelf, short, now_ms=land.now_ms) == [True]
    shelf.tick(land.now_ms + 600_000)
    assert shelf.held()["sponsored"] == shelf.held()["unsponsored_bytes"] == 0
    for owner in (land.nodes[0], land.stranger()):
        assert keep(shelf, land.note(owner, "b"), now_ms=land.now_ms + 600_000) == [True]


def test_of_strangers_the_same_ones_stay_whatever_the_order(land: Any) -> None:
    notes = [land.note(land.stranger(number)) for number in range(5)]
    ends = set()
    for order in itertools.permutations(notes):
        shelf = Shelf(land.verifier, Limits(unsponsored_records_max=2))
        keep(shelf, *order, now_ms=land.now_ms)
        ends.add(shelf.ids("note").fingerprint())
        assert shelf.held()["unsponsored"] == 2
    assert len(ends) == 1


def test_strangers_displace_no_more_of_each_other_than_makes_room(land: Any) -> None:
    """One that would not fit even so displaces nobody."""
    notes = [land.note(land.stranger(number)) for number in range(4)]
    room = sum(map(size_of, notes))
    shelf = Shelf(land.verifier, Limits(unsponsored_bytes_max=room))
    assert keep(shelf, *notes, now_ms=land.now_ms) == [True] * 4
    before = shelf.held()
    large = [land.note(land.stranger(number), text="x" * 4_000) for number in range(10, 30)]
    kept = keep(shelf, *large, now_ms=land.now_ms)
    assert shelf.held()["unsponsored_bytes"] <= room
    assert any(kept) == (shelf.held() != before)
    tight = Shelf(land.verifier, Limits(unsponsored_bytes_max=size_of(large[0]) - 1))
    assert keep(tight, *large, now_ms=land.now_ms) == [False] * 20
    assert tight.held()["records"] == 0


def test_one_stranger_has_a_small_part_of_the_bucket(land: Any) -> None:
    shelf = Shelf(land.verifier, Limits(unsponsored_owner_records_max=2))
    notes = [land.note(land.stranger(), str(number)) for number in range(3)]
    assert keep(shelf, *notes, now_ms=land.now_ms) == [True, True, False]


def test_a_provider_with_a_sponsor_displaces_one_without(land: Any) -> None:
    shelf = Shelf(land.verifier, Limits(unsponsored_records_max=20))
    strangers = [land.provider(land.stranger(number)) for number in range(20)]
    assert keep(shelf, *strangers, now_ms=land.now_ms) == [True] * 20
    assert keep(shelf, land.provider(land.nodes[0]), now_ms=land.now_ms) == [True]
    assert (shelf.held()["unsponsored"], shelf.held()["sponsored"]) == (19, 1)
    assert shelf.counts["displaced"] == 1


def test_a_stranger_who_takes_another_ones_name_needs_no_further_room(land: Any) -> None:
    """The bucket is full, and whoever leaves the name makes the room in it too."""
    owners = [land.stranger(number) for number in range(40)]
    shelf = Shelf(land.verifier, Limits(unsponsored_records_max=20))
    keep(shelf, *(land.provider(owner) for owner in owners), now_ms=land.now_ms)
    assert shelf.held()["unsponsored"] == 20
    assert shelf.counts["displaced"] >= 1


def test_whoever_leaves_the_name_leaves_the_bucket_once(land: Any) -> None:
    """A larger record takes a name's place, and further room of whoever stands behind it."""
    strangers = [land.stranger(number) for number in range(60)]
    small = [land.provider(owner) for owner in strangers[:20]]
    room = sum(map(size_of, small))
    large = [land.provider(owner, value={"addresses": ["x" * 200] * 5}) for owner in strangers[20:]]
    shelf = Shelf(land.verifier, Limits(unsponsored_bytes_max=room))
    assert keep(shelf, *small, now_ms=land.now_ms) == [True] * 20
    assert any(keep(shelf, *large, now_ms=land.now_ms))
    held = shelf.held()
    assert held["unsponsored_bytes"] <= room
    assert held["unsponsored"] == held["records"] < 20


def test_a_node_may_keep_nothing_of_strangers(land: Any) -> None:
    shelf = Shelf(land.verifier, Limits(unsponsored_records_max=0))
    assert keep(shelf, land.note(land.stranger()), now_ms=land.now_ms) == [False]
    assert keep(shelf, land.note(land.nodes[0]), now_ms=land.now_ms) == [True]
