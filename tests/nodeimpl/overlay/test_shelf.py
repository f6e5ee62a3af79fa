"""The shelf: what a node keeps, which record it believes, and for how long."""

from __future__ import annotations

import itertools
import random
from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodeimpl.overlay import shelf as shelves
from nodeimpl.overlay.budgets import Limits
from nodeimpl.overlay.shelf import NEARLY_MS, Kept, Shelf, item_of
from opkit.proof import jws
from opkit.proof.record import Verifier, read_equivocation
from opkit.wire.records import (
    Carried,
    RecordLapsed,
    RecordNotOwners,
    RecordOutdated,
    RecordsExhausted,
    SignedRecordRejected,
)

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


@pytest.fixture
def shelf(land: Any) -> Shelf:
    """An empty shelf."""
    return Shelf(land.verifier)


def id_of(carried: Carried) -> bytes:
    return bytes.fromhex(jws.record_id(carried.jws))


def offered(shelf: Shelf, *records: Carried, now_ms: int) -> list[type[Exception] | None]:
    """Offer records one after the other; return the refusal of each."""
    said: list[type[Exception] | None] = []
    for record in records:
        try:
            shelf.offer(record, now_ms)
            said.append(None)
        except (
            SignedRecordRejected,
            RecordNotOwners,
            RecordLapsed,
            RecordOutdated,
            RecordsExhausted,
        ) as no:
            said.append(type(no))
    return said


def test_what_is_kept_is_found_by_name_owner_and_id(land: Any, shelf: Shelf) -> None:
    note = land.note(land.nodes[0])
    owner = land.nodes[0].did
    told: list[Kept] = []
    shelf.on_kept.append(told.append)
    kept = shelf.offer(note, land.now_ms)
    assert told == [kept]
    assert (kept.id, kept.sponsor, kept.replaced) == (id_of(note), "yard", None)
    assert (kept.namespace, kept.name, kept.owner) == ("note", f"{owner}/a", owner)
    assert shelf.get("note", f"{owner}/a") == (note,)
    assert shelf.standing("note", f"{owner}/a", owner) == note
    assert shelf.by_id(kept.id) == note
    assert shelf.by_item(item_of(kept.id, "yard")) == note
    assert shelf.has_id(kept.id)
    assert shelf.sponsor(kept.id) == "yard"
    assert shelf.ids("note").ids() == [item_of(kept.id, "yard")]


def test_what_is_kept_is_counted_by_sponsor_and_by_namespace(land: Any, shelf: Shelf) -> None:
    mine, theirs = land.nodes[:2]
    records = (
        land.note(mine),
        land.note(mine, "b"),
        land.place(theirs),
        land.note(land.stranger()),
    )
    offered(shelf, *records, now_ms=land.now_ms)
    assert {sponsor: room.records for sponsor, room in shelf.rooms().items()} == {
        "yard": 2,
        "library": 1,
        None: 1,
    }
    assert shelf.by_namespace() == {"note": 3, "node": 1}


def test_what_is_not_kept_is_not_found(land: Any, shelf: Shelf) -> None:
    assert shelf.get("note", "nothing") == ()
    assert shelf.standing("note", "nothing", land.nodes[0].did) is None
    assert shelf.by_id(bytes(32)) is None
    assert shelf.by_item(bytes(32)) is None
    assert shelf.sponsor(bytes(32)) is None
    assert not shelf.has_id(bytes(32))
    assert shelf.due_ms() is None


def test_a_record_that_is_checked_is_not_kept(land: Any, shelf: Shelf) -> None:
    note = land.note(land.nodes[0])
    assert shelf.check(note, land.now_ms).id == id_of(note)
    assert shelf.held()["records"] == 0
    with pytest.raises(RecordLapsed):
        shelf.check(note, land.now_ms + 31 * DAY_MS)


@pytest.mark.parametrize(
    "changes",
    [
        {"network": "b" * 26},
        {"sequence": 1_767_225_600_001},
        {"term_ms": 30 * DAY_MS + 1},
        {"value": None, "term_ms": DAY_MS},
        {"value": {"text": 7}},
        {"value": {"text": "hello", "more": 1}},
        {"issued_at_ms": 1_767_225_600_000 + 120_001},
        {"text": "x" * 4_097},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_record_that_no_node_takes_is_refused(land: Any, shelf: Shelf, changes: Any) -> None:
    record = land.note(land.nodes[0], **changes)
    with pytest.raises(SignedRecordRejected):
        shelf.offer(record, land.now_ms)
    assert shelf.held()["records"] == 0


def test_a_record_of_somebody_elses_hand_is_refused(land: Any, shelf: Shelf) -> None:
    forged = land.note(land.nodes[0], signer=land.nodes[1])
    with pytest.raises(SignedRecordRejected, match="is signed by"):
        shelf.offer(forged, land.now_ms)


def test_a_record_that_is_longer_than_its_namespace_takes_is_refused(
    land: Any, shelf: Shelf
) -> None:
    long = land.place(land.nodes[0], value={"addresses": ["x" * 250] * 8})
    with pytest.raises(SignedRecordRejected, match="characters are more"):
        shelf.offer(long, land.now_ms)


def test_a_name_is_written_by_whom_it_belongs_to(land: Any, shelf: Shelf) -> None:
    mine, theirs = land.nodes[:2]
    wrong = (
        land.place(mine, name=theirs.did),
        land.record(mine, "note", f"{theirs.did}/a", value={"text": ""}),
        land.record(mine, "note", f"{mine.did}/", value={"text": ""}),
        land.record(mine, "note", mine.did, value={"text": ""}),
        land.record(mine, "blob", "no-cid", value={}),
    )
    for record in wrong:
        with pytest.raises(RecordNotOwners):
            shelf.offer(record, land.now_ms)
    right = (land.place(mine), land.note(mine), land.provider(mine), land.provider(theirs))
    assert offered(shelf, *right, now_ms=land.now_ms) == [None] * 4


def test_the_same_record_again_is_outdated_whatever_its_time(land: Any, shelf: Shelf) -> None:
    note = land.note(land.nodes[0])
    shelf.offer(note, land.now_ms)
    with pytest.raises(RecordOutdated) as no:
        shelf.offer(note, land.now_ms)
    assert no.value.standing_sequence == 1


def test_a_higher_sequence_stands_and_a_lower_one_is_outdated(land: Any, shelf: Shelf) -> None:
    low, mid, high = (land.note(land.nodes[0], sequence=n) for n in (1, 2, 3))
    assert shelf.offer(mid, land.now_ms).replaced is None
    assert shelf.offer(high, land.now_ms).replaced == id_of(mid)
    assert offered(shelf, low, mid, now_ms=land.now_ms) == [RecordOutdated] * 2
    assert shelf.get("note", f"{land.nodes[0].did}/a") == (high,)
    assert not shelf.has_id(id_of(mid))
    assert shelf.held()["records"] == 1


def test_a_record_that_has_lapsed_is_refused(land: Any, shelf: Shelf) -> None:
    note = land.note(land.nodes[0], term_ms=HOUR_MS)
    with pytest.raises(RecordLapsed):
        shelf.offer(note, land.now_ms + HOUR_MS)
    shelf.offer(note, land.now_ms + HOUR_MS - 1)


def test_a_record_leaves_when_it_lapses_and_is_offered_to_nobody_before(
    land: Any, shelf: Shelf
) -> None:
    note = land.note(land.nodes[0], term_ms=HOUR_MS)
    name, owner = f"{land.nodes[0].did}/a", land.nodes[0].did
    lapses_ms = land.now_ms + HOUR_MS
    shelf.offer(note, land.now_ms)
    assert shelf.due_ms() == lapses_ms - NEARLY_MS
    shelf.tick(lapses_ms - NEARLY_MS)
    assert shelf.by_id(id_of(note)) is None
    assert shelf.by_item(item_of(id_of(note), "yard")) is None
    assert len(shelf.ids("note")) == 0
    assert shelf.get("note", name) == (note,)
    assert shelf.due_ms() == lapses_ms
    shelf.tick(lapses_ms)
    assert shelf.get("note", name) == ()
    assert shelf.standing("note", name, owner) is None
    assert not any(shelf.held().values())
    assert shelf.counts["lapsed"] == 1


def test_a_record_that_arrives_late_in_its_life_is_offered_to_nobody(
    land: Any, shelf: Shelf
) -> None:
    note = land.note(land.nodes[0], term_ms=HOUR_MS)
    shelf.offer(note, land.now_ms + HOUR_MS - NEARLY_MS)
    assert shelf.by_id(id_of(note)) is None
    assert len(shelf.ids("note")) == 0
    assert shelf.due_ms() == land.now_ms + HOUR_MS


def test_nothing_that_was_replaced_comes_back(land: Any, shelf: Shelf) -> None:
    """A later record that lapses sooner bars what it replaced for as long as that would last."""
    owner = land.nodes[0]
    long = land.note(owner)
    short = land.note(owner, sequence=2, term_ms=HOUR_MS)
    assert offered(shelf, long, short, now_ms=land.now_ms) == [None, None]
    later_ms = land.now_ms + 2 * HOUR_MS
    assert offered(shelf, long, now_ms=later_ms) == [RecordOutdated]
    assert shelf.get("note", f"{owner.did}/a") == ()
    assert shelf.standing("note", f"{owner.did}/a", owner.did) is None
    assert offered(shelf, land.note(owner, sequence=3), now_ms=later_ms) == [None]
    shelf.tick(land.now_ms + 31 * DAY_MS)
    assert shelf.held()["records"] == 0


def test_what_bars_others_leaves_when_they_would_have(land: Any, shelf: Shelf) -> None:
    owner = land.nodes[0]
    offered(
        shelf, land.note(owner), land.note(owner, sequence=2, term_ms=HOUR_MS), now_ms=land.now_ms
    )
    shelf.tick(land.now_ms + HOUR_MS)
    assert shelf.held()["records"] == 1
    assert shelf.due_ms() == land.now_ms + 30 * DAY_MS
    shelf.tick(land.now_ms + 30 * DAY_MS)
    assert shelf.held()["records"] == 0


def test_a_tombstone_takes_back_and_stays_until_all_it_covers_would_have_lapsed(
    land: Any, shelf: Shelf
) -> None:
    owner = land.nodes[0]
    note = land.note(owner)
    tombstone = land.tombstone(owner, sequence=2, issued_at_ms=land.now_ms + HOUR_MS)
    shelf.offer(note, land.now_ms)
    shelf.offer(tombstone, land.now_ms + HOUR_MS)
    assert shelf.get("note", f"{owner.did}/a") == (tombstone,)
    assert len(shelf.ids("note")) == 1
    for late_ms in (HOUR_MS, 10 * DAY_MS, 30 * DAY_MS - 1):
        assert offered(shelf, note, now_ms=land.now_ms + late_ms) == [RecordOutdated]
    assert offered(shelf, note, now_ms=land.now_ms + 30 * DAY_MS) == [RecordLapsed]


def test_a_tombstone_for_what_was_never_seen_bars_it_for_the_whole_term(
    land: Any, shelf: Shelf
) -> None:
    owner = land.nodes[0]
    shelf.offer(land.tombstone(owner, sequence=2), land.now_ms)
    assert offered(shelf, land.note(owner), now_ms=land.now_ms + 29 * DAY_MS) == [RecordOutdated]


def test_a_tombstone_that_would_lapse_before_what_it_covers_is_refused(
    land: Any, shelf: Shelf
) -> None:
    owner = land.nodes[0]
    shelf.offer(land.note(owner), land.now_ms)
    with pytest.raises(SignedRecordRejected, match="a tombstone lasts"):
        shelf.offer(land.tombstone(owner, sequence=2, term_ms=DAY_MS), land.now_ms)


def test_an_owner_who_says_two_things_is_found_out_whichever_came_first(land: Any) -> None:
    owner = land.nodes[0]
    low, high = sorted((land.note(owner), land.note(owner, text="another")), key=id_of)
    for first, second in ((low, high), (high, low)):
        shelf = Shelf(land.verifier)
        offered(shelf, first, second, land.note(owner, text="third"), now_ms=land.now_ms)
        (evidence,) = shelf.equivocations()
        assert evidence == read_equivocation(first.jws, second.jws, network=land.view.network)
        assert shelf.take_notes()[0].evidence == evidence
        assert shelf.take_notes() == []
        assert shelf.counts["equivocations"] == 1
    assert shelf.get("note", f"{owner.did}/a")[0] == min(
        (low, high, land.note(owner, text="third")), key=id_of
    )


def test_evidence_is_bounded_and_strangers_drive_out_none_of_members(
    land: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shelves, "STRANGERS_EQUIVOCATIONS_MAX", 2)
    monkeypatch.setattr(shelves, "EQUIVOCATIONS_MAX", 2)
    monkeypatch.setattr(shelves, "NOTES_MAX", 3)
    shelf = Shelf(land.verifier)
    owners = [*land.nodes[:3], *(land.stranger(n) for n in range(3))]
    for owner in owners:
        pair = (land.note(owner), land.note(owner, text="another"))
        offered(shelf, *pair, now_ms=land.now_ms)
    assert [evidence.owner for evidence in shelf.equivocations()] == [
        owner.did for owner in (*owners[1:3], *owners[4:6])
    ]
    assert shelf.counts["notes dropped"] == 3
    assert [note.sponsored for note in shelf.take_notes()] == [True, True, True]
    offered(shelf, land.note(owners[3]), land.note(owners[3], text="b"), now_ms=land.now_ms)
    assert [note.sponsored for note in shelf.take_notes()] == [False]


def test_what_stands_does_not_depend_on_the_order_in_which_it_came(land: Any) -> None:
    owner = land.nodes[0]
    records = [
        land.note(owner),
        land.note(owner, text="another"),
        land.tombstone(owner, sequence=2),
        land.note(owner, sequence=2, text="a third"),
    ]
    ends = set()
    for order in itertools.permutations(records):
        shelf = Shelf(land.verifier)
        offered(shelf, *order, now_ms=land.now_ms)
        ends.add((shelf.get("note", f"{owner.did}/a"), shelf.ids("note").fingerprint()))
    assert len(ends) == 1


def test_a_shelf_that_believed_whoever_came_first_would_be_noticed(
    land: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shelves, "outranks", lambda first, second: first[0] > second[0])
    owner = land.nodes[0]
    records = [land.note(owner), land.note(owner, text="another")]
    ends = set()
    for order in (records, records[::-1]):
        shelf = Shelf(land.verifier)
        offered(shelf, *order, now_ms=land.now_ms)
        ends.add(shelf.ids("note").fingerprint())
    assert len(ends) == 2


def test_a_bucket_in_which_time_decided_would_be_noticed(
    land: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    came = itertools.count()
    monkeypatch.setattr(shelves, "place_of", lambda *_: next(came).to_bytes(4, "big"))
    notes = [land.note(land.stranger(number)) for number in range(4)]
    ends = set()
    for order in (notes, notes[::-1]):
        shelf = Shelf(land.verifier, Limits(unsponsored_records_max=2))
        offered(shelf, *order, now_ms=land.now_ms)
        ends.add(shelf.ids("note").fingerprint())
    assert len(ends) == 2


@given(st.permutations(range(8)))
def test_under_a_name_the_same_owners_stay_whatever_the_order(land: Any, order: list[int]) -> None:
    """Of more providers than are kept those stay that have a sponsor, then those whose place is."""
    owners = [land.nodes[0], land.nodes[1], *(land.stranger(n) for n in range(24))]
    offers = [land.provider(owner) for owner in owners]
    shelf = Shelf(land.verifier)
    for place in order:
        offered(shelf, *offers[place::8], now_ms=land.now_ms)
    reference = Shelf(land.verifier)
    offered(reference, *offers, now_ms=land.now_ms)
    name = jws.peek(offers[0].jws).payload["name"]
    assert shelf.get("blob", name) == reference.get("blob", name)
    assert len(shelf.get("blob", name)) == 20
    assert {offers[0], offers[1]} == set(shelf.get("blob", name)[:2])


def test_a_member_is_given_room_by_the_proof_that_travels_with_the_record(
    land: Any, shelf: Shelf
) -> None:
    member = land.stranger(1)
    proof = (land.membership("library/ilse", member.did),)
    assert shelf.offer(land.note(member, proof=proof), land.now_ms).sponsor == "library"
    assert shelf.held()["unsponsored"] == 0


def test_a_proof_that_was_left_out_on_the_way_is_mended_by_a_later_copy(
    land: Any, shelf: Shelf
) -> None:
    member = land.stranger(1)
    proof = (land.membership("library/ilse", member.did),)
    bare, whole = land.note(member), land.note(member, proof=proof)
    shelf.offer(bare, land.now_ms)
    assert (shelf.held()["unsponsored"], shelf.held()["sponsored"]) == (1, 0)
    before = shelf.ids("note").fingerprint()
    assert offered(shelf, whole, now_ms=land.now_ms) == [RecordOutdated]
    assert (shelf.held()["unsponsored"], shelf.held()["sponsored"]) == (0, 1)
    assert shelf.ids("note").fingerprint() != before
    assert shelf.by_id(id_of(bare)) == whole
    assert offered(shelf, bare, whole, now_ms=land.now_ms) == [RecordOutdated] * 2
    assert shelf.by_id(id_of(bare)) == whole


def test_of_two_sponsors_every_node_takes_the_same(land: Any) -> None:
    member = land.stranger(1)
    proofs = [(land.membership(f"{coop}/ilse", member.did),) for coop in ("yard", "library")]
    for order in (proofs, proofs[::-1]):
        shelf = Shelf(land.verifier)
        offered(shelf, *(land.note(member, proof=proof) for proof in order), now_ms=land.now_ms)
        assert shelf.sponsor(id_of(land.note(member))) == "library"


def test_a_proof_for_which_there_is_no_room_leaves_the_record_where_it_is(land: Any) -> None:
    shelf = Shelf(land.verifier, Limits(coop_records_max=0))
    member = land.stranger(1)
    proof = (land.membership("library/ilse", member.did),)
    offered(shelf, land.note(member), land.note(member, proof=proof), now_ms=land.now_ms)
    assert shelf.held()["unsponsored"] == 1
    assert shelf.counts["not vouched"] == 1


def test_what_showed_the_sponsor_of_an_owner_shows_it_for_their_next_record(
    land: Any, shelf: Shelf
) -> None:
    member = land.stranger(1)
    proof = (land.membership("library/ilse", member.did),)
    shelf.offer(land.note(member, proof=proof), land.now_ms)
    kept = shelf.offer(land.note(member, sequence=2), land.now_ms)
    assert (kept.sponsor, kept.carried.proof) == ("library", proof)


def test_what_is_left_of_records_that_are_gone_is_cleared(
    land: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shelves, "SPARE", 8)
    shelf = Shelf(land.verifier)
    for sequence in range(1, 60):
        shelf.offer(land.note(land.nodes[0], sequence=sequence), land.now_ms)
        assert shelf.held()["times"] <= 2 + 8 + 1
    assert shelf.due_ms() == land.now_ms + 30 * DAY_MS - NEARLY_MS


def test_times_of_what_is_gone_are_skipped(land: Any, shelf: Shelf) -> None:
    owner = land.nodes[0]
    shelf.offer(land.note(owner, term_ms=HOUR_MS), land.now_ms)
    shelf.offer(land.note(owner, sequence=2), land.now_ms)
    assert shelf.due_ms() == land.now_ms + 30 * DAY_MS - NEARLY_MS
    shelf.offer(land.note(owner, sequence=3, text="x"), land.now_ms)
    shelf.tick(land.now_ms + 30 * DAY_MS)
    assert shelf.held()["records"] == 0


def test_shelves_that_saw_the_same_look_the_same(land: Any) -> None:
    """Whatever the order and however often: the same items, room and answers."""
    records = []
    for number, owner in enumerate((*land.nodes, *land.founders, land.stranger(0))):
        records += [land.note(owner, label, sequence=1 + number % 3) for label in "abc"]
        records += [land.note(owner, "a", sequence=4), land.place(owner), land.provider(owner)]
    chance = random.Random(7)
    looks = []
    for _ in range(5):
        shelf = Shelf(land.verifier)
        order = records * 2
        chance.shuffle(order)
        offered(shelf, *order, now_ms=land.now_ms)
        held = shelf.held()
        del held["times"]
        looks.append((held, [shelf.ids(n).fingerprint() for n in ("node", "note")]))
    assert all(look == looks[0] for look in looks)


def test_the_flood_of_valid_records_of_fresh_keys_costs_members_nothing(land: Any) -> None:
    limits = Limits(unsponsored_records_max=64)
    shelf = Shelf(Verifier(land.view, verdicts_max=64), limits)
    mine = [land.note(owner, label) for owner in land.nodes for label in "abcd"]
    assert offered(shelf, *mine[:12], now_ms=land.now_ms) == [None] * 12
    for number in range(300):
        offered(shelf, land.note(land.stranger(number)), now_ms=land.now_ms)
        held = shelf.held()
        assert held["unsponsored"] <= 64
        assert held["records"] == 12 + held["unsponsored"]
    assert held["unsponsored"] == 64
    assert offered(shelf, *mine[12:], now_ms=land.now_ms) == [None] * 12
    assert shelf.held()["sponsored"] == 24
    assert shelf.held()["times"] <= 2 * shelf.held()["records"] + shelves.SPARE


def test_notes_and_what_was_kept_are_plain_values(land: Any, shelf: Shelf) -> None:
    kept = shelf.offer(land.note(land.nodes[0]), land.now_ms)
    assert set(asdict(kept)) >= {"id", "namespace", "name", "owner", "sequence"}
