"""Ten thousand fresh keys, each with one valid record: bounded memory, and no member loses any."""

from __future__ import annotations

import gc
import tracemalloc
from typing import Any

import psutil
import pytest

from nodeimpl.overlay.budgets import Limits, size_of
from nodeimpl.overlay.shelf import Shelf
from opkit.proof.keys import Identity
from opkit.proof.record import Verifier
from opkit.wire.records import Carried, RecordsExhausted

KEYS = 10_000
BUCKET = 256
SLACK_BYTES = 6 * 2**20
"""What the process may hold more at the end than in the middle: 5,000 records kept are 11 MB."""


def fresh(number: int) -> Identity:
    return Identity.from_seed(number.to_bytes(32, "big"))


def resident_bytes() -> int:
    gc.collect()
    resident: int = psutil.Process().memory_info().rss
    return resident


def arrived(carried: Carried) -> Carried:
    """Return a record with memory of its own, as one that came over the wire."""
    return Carried.model_validate_json(carried.model_dump_json())


@pytest.mark.slow
@pytest.mark.usefixtures("unmeasured")
def test_ten_thousand_fresh_keys_cost_members_nothing(land: Any) -> None:
    shelf = Shelf(
        Verifier(land.view, verdicts_max=256),
        Limits(unsponsored_records_max=BUCKET, unsponsored_bytes_max=BUCKET * 4_096),
    )
    owners = [*land.nodes, *land.founders]
    mine = [land.note(owner, f"n{number}") for owner in owners for number in range(10)]
    for note in mine[::2]:
        shelf.offer(note, land.now_ms)
    middle_bytes = 0
    for number in range(KEYS):
        try:
            shelf.offer(arrived(land.note(fresh(number))), land.now_ms + number)
        except RecordsExhausted:
            assert shelf.held()["unsponsored"] == BUCKET
        if number == KEYS // 2:
            middle_bytes = resident_bytes()
    assert resident_bytes() - middle_bytes <= SLACK_BYTES
    held = shelf.held()
    assert (held["unsponsored"], held["sponsored"]) == (BUCKET, len(mine[::2]))
    assert held["unsponsored_bytes"] <= BUCKET * 4_096
    for note in mine[1::2]:
        shelf.offer(note, land.now_ms + KEYS)
    kept = {carried.jws for owner in owners for carried in shelf_of(shelf, owner)}
    assert kept == {note.jws for note in mine}


def shelf_of(shelf: Shelf, owner: Identity) -> list[Carried]:
    """Return the notes of one owner."""
    names = [f"{owner.did}/n{number}" for number in range(10)]
    return [carried for name in names for carried in shelf.get("note", name)]


def test_what_a_record_is_counted_as_is_no_less_than_what_it_takes(land: Any) -> None:
    """So that the room that is configured bounds the memory that is used."""
    notes = [land.note(land.founders[0], f"n{number}").model_dump_json() for number in range(300)]
    shelf = Shelf(Verifier(land.view, verdicts_max=16))
    for note in notes[:100]:
        shelf.offer(Carried.model_validate_json(note), land.now_ms)
    gc.collect()
    tracemalloc.start()
    try:
        for note in notes[100:]:
            shelf.offer(Carried.model_validate_json(note), land.now_ms)
        shelf.ids("note").fingerprint()
        gc.collect()
        taken_bytes = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    counted_bytes = 200 * size_of(Carried.model_validate_json(notes[0]))
    assert taken_bytes <= counted_bytes
