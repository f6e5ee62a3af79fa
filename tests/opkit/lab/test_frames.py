"""Tables: one row a thing, one kind of value a column, whatever the thing is."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass

import pytest

import opkit
from flows import FLOWS
from opkit.lab import frames
from opkit.lab.listing import Listing
from opkit.proof.checks import Check, Verdict
from opkit.proof.keys import Identity
from opkit.proof.record import make_record
from opkit.wire.compute import ModuleInfo, Receipt, ReceiptBundle, TaskView
from opkit.wire.dht import ContactText
from opkit.wire.events import Cursor, JournalEntry, JournalPage
from opkit.wire.network import PeerLink, Peers
from opkit.wire.overlay import FoundRecords, MeshLink, Overlay, Route
from opkit.wire.records import Carried

DID = "did:key:z6Mk" + "a" * 44
HASH = "0" * 64
MARCH_MS = 1_772_323_200_000


def link(number: int, *, org: str | None = "bakery") -> PeerLink:
    return PeerLink(
        did=DID, org=org, round_trip_us=number, sent_bytes=1, received_bytes=2, since_ms=MARCH_MS
    )


def entry(number: int, type_: str = "node.started", **body: object) -> JournalEntry:
    return JournalEntry(
        sequence=number, type=type_, at_ms=MARCH_MS, body=body, previous=HASH, hash=HASH
    )


def listing(kind: type) -> Listing:
    return Listing(kind, (), nothing="Nothing.", what_to_do="Wait.")


def test_importing_opkit_costs_nothing():
    script = "import opkit, sys; print('pandas' in sys.modules, 'opkit.lab' in sys.modules)"
    ran = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    assert ran.stdout.strip() == "False False"


def test_frame_is_at_hand_and_nothing_else_is_made_up():
    assert opkit.frame is frames.frame
    with pytest.raises(AttributeError, match="nonsense"):
        _ = opkit.nonsense


def contact(number: int) -> ContactText:
    """Return somebody who is near a name."""
    return ContactText(did=Identity.generate().did, addresses=(f"127.0.0.1:{number}",))


def mesh(number: int) -> MeshLink:
    """Return a peer in gossip."""
    did = Identity.generate().did
    return MeshLink(topic="records", did=did, in_mesh=True, score_milli=number, slow=False)


OWNER = Identity.generate()
NOTE = Carried(
    jws=make_record(
        OWNER,
        network="a" * 26,
        namespace="note",
        name=f"{OWNER.did}/hours",
        value={"text": "Mon 9-12"},
        at_ms=1_763_735_526_420,
        term_ms=86_400_000,
    )
)


def test_a_route_has_places_and_a_record_says_what_its_owner_did():
    route = Route(contacts=(contact(1), contact(2)), hops=1, asked=2, silent=0, took_ms=3)
    assert opkit.frame(route)["place"].tolist() == [1, 2]
    table = opkit.frame(NOTE)
    assert table["value_text"].tolist() == ["Mon 9-12"]
    assert str(table["issued_at"].dtype).startswith("datetime64")


def test_a_list_has_a_row_for_each_thing():
    table = opkit.frame([link(1), link(2)])
    assert list(table.columns) == [
        "did", "org", "round_trip_us", "sent_bytes", "received_bytes", "since",
        "sent_packets", "lost_packets", "lost_permille", "amiss",
    ]  # fmt: skip
    assert table["round_trip_us"].tolist() == [1, 2]


def test_one_thing_is_one_row():
    assert len(opkit.frame(link(1))) == 1


@pytest.mark.parametrize(
    "thing",
    [
        Peers(
            links=(link(1), link(2)),
            blobs=0,
            blob_bytes=0,
            journal=Cursor(generation=1, sequence=1, hash=HASH),
        ),
        JournalPage(
            entries=(entry(1), entry(2)),
            passed_through=0,
            cursor=Cursor(generation=1, sequence=2, hash=HASH),
        ),
        Verdict(
            subject="a",
            checks=tuple(Check(name, ok=True, expected="1", actual="1") for name in "ab"),
            anchored=True,
        ),
        Route(contacts=(contact(1), contact(2)), hops=1, asked=2, silent=0, took_ms=3),
        FoundRecords(records=(NOTE, NOTE), hops=1, asked=2, silent=0, took_ms=3),
        Overlay(contacts=2, records=(), rooms=(), mesh=(mesh(1), mesh(2)), banned=(), counts=()),
    ],
    ids=["links", "entries", "checks", "route", "records", "overlay"],
)
def test_what_is_a_list_by_nature_has_its_rows(thing):
    assert len(opkit.frame(thing)) == 2
    assert len(opkit.frame([thing, thing])) == 4


def test_a_flow_has_a_row_for_each_step():
    table = opkit.frame(FLOWS["a"])
    assert tuple(table["marker"]) == FLOWS["a"].markers


def test_labels_become_the_first_column():
    table = opkit.frame({"one": [link(1)], "other": [link(2), link(3)]})
    assert table.columns[0] == "of"
    assert table["of"].tolist() == ["one", "other", "other"]


def test_moments_are_times_and_lose_their_unit():
    table = opkit.frame([entry(1, expires_at_ms=MARCH_MS, took_ms=5)])
    assert str(table["at"][0]) == "2026-03-01 00:00:00+00:00"
    assert str(table["expires_at"].dtype).endswith("UTC]")
    assert table["took_ms"][0] == 5


def test_never_is_no_moment():
    @dataclass
    class Task:
        ended_at_ms: int

    table = opkit.frame([Task(0), Task(MARCH_MS)])
    assert table["ended_at"].isna().tolist() == [True, False]


def test_whole_numbers_stay_whole_where_one_is_missing():
    table = opkit.frame([entry(1, fuel_used=2**53 - 1), entry(2)])
    assert str(table["fuel_used"].dtype) == "Int64"
    assert table["fuel_used"][0] == 2**53 - 1


def test_a_field_of_an_event_hides_none_of_its_entry():
    table = opkit.frame([entry(1, sequence=9)])
    assert (table["sequence"][0], table["body_sequence"][0]) == (1, 9)


def test_nested_values_become_columns_and_lists_of_values_their_number():
    @dataclass
    class Box:
        link: PeerLink
        links: tuple[PeerLink, ...]
        names: tuple[str, ...]

    table = opkit.frame([Box(link(7), (link(1), link(2)), ("a", "b"))])
    assert table["link_round_trip_us"][0] == 7
    assert table["links"][0] == 2
    assert table["names"][0] == ("a", "b")


def test_rows_may_be_mappings():
    assert opkit.frame([{"a": 1}, {"b": 2}]).shape == (2, 2)


@pytest.mark.parametrize("kind", [ModuleInfo, TaskView, JournalEntry, ReceiptBundle, Receipt])
def test_an_empty_list_has_the_columns_of_its_kind(kind):
    table = opkit.frame(listing(kind))
    assert len(table) == 0
    assert len(table.columns) >= 4
    assert not [name for name in table.columns if name.endswith("at_ms")]


def test_an_empty_list_of_nothing_in_particular_is_an_empty_table():
    assert opkit.frame([]).shape == (0, 0)


@pytest.mark.parametrize("thing", [3, "text", b"bytes", None, [1, 2]])
def test_what_has_no_fields_is_refused(thing):
    with pytest.raises(TypeError, match="no row"):
        opkit.frame(thing)


def test_too_many_rows_are_refused(monkeypatch):
    monkeypatch.setattr(frames, "ROWS_MAX", 2)
    with pytest.raises(ValueError, match="3 rows are more than 2"):
        opkit.frame([link(1)] * 3)


def test_without_pandas_it_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ModuleNotFoundError) as missing:
        opkit.frame([link(1)])
    assert any("opkit[lab]" in note for note in missing.value.__notes__)
