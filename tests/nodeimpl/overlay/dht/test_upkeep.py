"""Records stay where they belong: said again, put again, copied, and gone in time."""

from __future__ import annotations

from typing import Any

import pytest

from nodeimpl.overlay.asking import AskingLimits
from nodeimpl.overlay.dht import DhtLimits, contact_text
from nodeimpl.overlay.lookup import LookupLimits
from nodeimpl.overlay.namespaces import PROVIDERS_MAX
from nodeimpl.overlay.presence import PresenceLimits
from nodeimpl.overlay.search import nowhere
from nodeimpl.overlay.searches import SearchesLimits
from nodeimpl.overlay.table import TableLimits
from nodeimpl.overlay.upkeep import Timetable, UpkeepLimits
from opkit.proof.cid import cid_of
from opkit.wire.base import Wire
from opkit.wire.dht import (
    ContactText,
    FindNodes,
    PutRecord,
    RecordsFound,
    RecordTaken,
)
from opkit.wire.records import (
    RecordNotOwners,
    RecordOutdated,
)

CID = cid_of(b"module")
MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS


def kept(web: Any, name: str, namespace: str = "blob") -> list[Any]:
    """Return who has something under a name in its shelf."""
    return [place for place in web.places if place.alive and place.shelf.get(namespace, name)]


def test_an_owner_says_it_again_after_half_of_the_term_until_it_is_taken_back(web: Any) -> None:
    web.grow(6)
    owner = web.places[0]
    web.wait(owner, owner.dht.provide, CID, 6)
    (first,) = owner.shelf.get("blob", CID)
    web.run(DAY_MS // 2 + MINUTE_MS)
    assert len(kept(web, CID)) == 6
    assert all(place.shelf.get("blob", CID) != (first,) for place in web.places)
    web.run(2 * DAY_MS)
    assert len(kept(web, CID)) == 6
    web.wait(owner, owner.dht.provide_no_more, CID)
    said = owner.dht.upkeep.counts["said again"]
    web.run(2 * DAY_MS)
    assert kept(web, CID) == []
    assert owner.dht.upkeep.counts["said again"] == said


def test_what_nobody_took_is_put_again_soon(web: Any) -> None:
    owner, other = web.add(), web.add()
    assert web.wait(owner, owner.dht.provide, CID, 6).kept == 0
    web.run(5_000)
    owner.dht.bootstrap([other.contact], web.now_ms)
    web.act(owner)
    web.run(2 * MINUTE_MS)
    assert kept(web, CID) == [owner, other]
    said = owner.dht.upkeep.counts["said again"]
    web.run(HOUR_MS)
    assert owner.dht.upkeep.counts["said again"] == said


def test_one_holder_puts_again_what_nobody_put_for_an_hour_and_newcomers_have_it(web: Any) -> None:
    web.grow(10)
    owner = web.places[0]
    web.wait(owner, owner.dht.provide, CID, 6)
    owner.alive = False
    late = web.add()
    late.dht.bootstrap([web.places[1].contact], web.now_ms)
    web.act(late)
    web.run(59 * MINUTE_MS)
    assert late not in kept(web, CID)
    web.run(20 * MINUTE_MS)
    assert late in kept(web, CID)
    again = sum(place.dht.upkeep.counts["put again"] for place in web.places)
    assert again < 5, "whoever hears of it need not"
    web.run(DAY_MS)
    assert kept(web, CID) == [], "without its owner it lapses all the same"
    web.run(2 * HOUR_MS)
    assert all(place.dht.held()["to put again"] == 0 for place in web.places)


def test_what_is_put_again_at_once_is_bounded(web: Any) -> None:
    limits = DhtLimits(upkeep=UpkeepLimits(searches_max=2, held_max=5, republish_ms=MINUTE_MS))
    a, b = web.add(limits=limits), web.add()
    a.dht.bootstrap([b.contact], web.now_ms)
    web.act(a)
    web.run(1_000)
    for number in range(8):
        name = f"{b.identity.did}/{number}"
        record = web.record(b, "note", name, value={"text": ""}, now_ms=web.now_ms)
        assert a.dht.answer(b.identity.did, PutRecord(record=record), web.now_ms)
    assert a.dht.held()["to put again"] == 5
    assert a.dht.upkeep.counts["not put again"] == 3
    now_ms = web.now_ms + 2 * MINUTE_MS
    a.dht.tick(now_ms)
    assert a.dht.upkeep.counts["put again"] == 2
    a.dht.tick(now_ms + 1_000)
    assert a.dht.upkeep.counts["put again"] == 4


def test_a_range_into_which_nothing_was_looked_up_for_an_hour_is_refreshed(web: Any) -> None:
    web.grow(10)
    a = web.places[0]
    web.run(MINUTE_MS)
    before = a.dht.presence.counts["refreshed"]
    web.run(HOUR_MS)
    assert a.dht.presence.counts["refreshed"] >= before + len(a.dht.table.ranges())


def test_no_room_for_a_refresh_leaves_it_for_later(web: Any) -> None:
    limits = DhtLimits(
        presence=PresenceLimits(refresh_ms=0), searches=SearchesLimits(waiting_max=0)
    )
    a, b = web.add(limits=limits), web.add()
    a.dht.bootstrap([b.contact], web.now_ms)
    web.act(a)
    web.run(5_000)
    assert b.identity.did in a.dht.table
    assert a.dht.presence.counts["refreshed"] == 0


def test_who_finds_nobody_to_begin_with_tries_again(web: Any) -> None:
    a, b = web.add(), web.add()
    b.alive = False
    a.dht.bootstrap([a.contact, b.contact], web.now_ms)
    web.act(a)
    web.run(20_000)
    assert len(a.dht.table) == 0
    assert a.asks["Ping"] > 2
    b.alive = True
    web.run(2 * MINUTE_MS)
    assert b.identity.did in a.dht.table
    assert a.identity.did in b.dht.table


def test_after_a_get_the_nearest_that_had_nothing_is_given_a_copy(web: Any) -> None:
    web.grow(12)
    owner, reader = web.places[0], web.places[1]
    name = f"{owner.identity.did}/a"
    carried = web.record(owner, "note", name, value={"text": "x"}, now_ms=web.now_ms)
    owner.shelf.offer(carried, web.now_ms)
    got = web.wait(reader, reader.dht.get, "note", name)
    assert got.records == (carried,)
    web.run(1_000)
    assert reader.dht.searches.counts["copies given"] == 1
    assert len(kept(web, name, "note")) == 3


def test_a_put_of_what_is_outranked_is_refused_and_told(web: Any) -> None:
    web.grow(5)
    owner = web.places[0]
    name = f"{owner.identity.did}/a"
    notes = [
        web.record(owner, "note", name, value={"text": ""}, now_ms=web.now_ms, sequence=sequence)
        for sequence in (1, 2)
    ]
    for place in web.places[1:]:
        place.shelf.offer(notes[1], web.now_ms)
    put = web.wait(owner, owner.dht.put, notes[0])
    assert (put.kept, put.refused) == (0, (("record-outdated", 4),))
    with pytest.raises(RecordOutdated):
        web.places[1].dht.put(notes[0], lambda _: None, web.now_ms)


def test_who_has_no_room_for_it_puts_it_all_the_same(web: Any, land: Any) -> None:
    web.grow(9)
    stranger = web.places[8]
    for number in range(16):
        stranger.shelf.offer(land.note(stranger.identity, str(number)), web.now_ms)
    name = f"{stranger.identity.did}/more"
    carried = web.record(stranger, "note", name, value={"text": ""}, now_ms=web.now_ms)
    assert web.wait(stranger, stranger.dht.put, carried).kept == 8
    assert stranger.dht.upkeep.counts["no room here"] == 1
    assert web.wait(stranger, stranger.dht.get, "note", name).records == (carried,)


def test_records_of_another_name_are_not_believed_to_be_an_answer(web: Any, land: Any) -> None:
    web.grow(5)
    other = land.note(land.nodes[3], "other")

    def lie(place: Any) -> Any:
        def answer(peer: str, question: Wire, now_ms: int) -> Wire:
            honest = place.dht.answer(peer, question, now_ms)
            return (
                RecordsFound(records=(other,), contacts=())
                if isinstance(honest, RecordsFound)
                else honest
            )

        return answer

    for place in web.places[1:]:
        place.lie = lie(place)
    a = web.places[0]
    got = web.wait(a, a.dht.get, "note", f"{land.nodes[3].did}/a")
    assert got.records == ()
    assert len(got.liars) == 4
    lapsed = land.note(land.nodes[3], "a", issued_at_ms=web.now_ms - 31 * DAY_MS)
    other = lapsed
    got = web.wait(a, a.dht.get, "note", f"{land.nodes[3].did}/a")
    assert got.records == got.liars == ()


def test_where_a_provider_is_comes_from_its_own_word_first(web: Any, land: Any) -> None:
    web.grow(4)
    a, b, c = web.places[:3]
    now_ms = web.now_ms
    bare = web.record(b, "blob", CID, value={"size_bytes": 1}, now_ms=now_ms)
    a.shelf.offer(bare, now_ms)
    assert web.wait(a, a.dht.providers, CID).contacts == (contact_text(b.contact),)
    gone = land.nodes[5]
    a.shelf.offer(land.place(gone), now_ms)
    assert a.dht.where(gone.did).addresses == ("here:1",)
    assert a.dht.where(land.nodes[4].did) is None
    a.shelf.offer(land.place(land.nodes[4], value=None), now_ms)
    assert a.dht.where(land.nodes[4].did) is None
    long = web.record(c, "blob", CID, value={"addresses": ["x" * 65]}, now_ms=now_ms)
    assert web.wait(c, c.dht.put, long).kept == 3
    found = web.wait(a, a.dht.providers, CID, enough=2)
    assert found.contacts == (contact_text(b.contact), contact_text(c.contact))


def test_a_timetable_has_each_name_once() -> None:
    due = Timetable(3)
    for at_ms in range(500):
        assert due.set(("blob", "a"), at_ms)
    assert due.take(498) is None
    assert due.take(499) == ("blob", "a")
    assert due.take(10_000) is None
    assert due.set(("blob", "b"), 1)
    due.drop(("blob", "b"))
    assert due.take(10_000) is None
    assert [due.set(("blob", name), 1) for name in "abcd"] == [True, True, True, False]
    assert len(due) == 3


def test_no_more_puts_of_one_search_are_under_way_than_may(web: Any) -> None:
    web.grow(20)
    owner = web.places[0]
    record = web.record(owner, "blob", CID, value={}, now_ms=web.now_ms)
    owner.dht.put(record, lambda _: None, web.now_ms)
    most = 0
    for _ in range(1_000):
        web.act(owner)
        web.run(1)
        most = max(most, len(owner.dht.asking))
    assert most <= 8
    assert len(kept(web, CID)) == 20


def test_a_put_that_is_not_answered_ends_all_the_same(web: Any) -> None:
    web.grow(8)
    owner = web.places[0]

    def lie(place: Any) -> Any:
        def answer(peer: str, question: Wire, now_ms: int) -> Wire:
            if isinstance(question, PutRecord):
                place.alive = False
                return RecordTaken(new=True)
            answered: Wire = place.dht.answer(peer, question, now_ms)
            return answered

        return answer

    for place in web.places[1:4]:
        place.lie = lie(place)
        place.alive = True
    web.loss = 0.1
    record = web.record(owner, "blob", CID, value={}, now_ms=web.now_ms)
    put = web.wait(owner, owner.dht.put, record)
    assert 0 < put.kept <= 7


def test_a_provider_whose_addresses_do_not_travel_breaks_nobody(web: Any) -> None:
    web.grow(3)
    a, b = web.places[:2]
    value = {"addresses": ['a "b"', "c\\d", "\u00e9:1", "fine:1"]}
    record = web.record(b, "blob", CID, value=value, now_ms=web.now_ms)
    assert web.wait(b, b.dht.put, record).kept == 2
    (contact,) = web.wait(a, a.dht.providers, CID).contacts
    assert contact.addresses == ("fine:1",)
    node = web.record(b, "node", b.identity.did, value=value, now_ms=web.now_ms)
    b.shelf.offer(node, web.now_ms)
    assert b.dht.where(b.identity.did).addresses == ("fine:1",)


def test_an_owner_whose_clock_went_back_goes_on_and_says_it_again_later(web: Any) -> None:
    web.grow(3)
    owner = web.places[0]
    web.wait(owner, owner.dht.provide, CID, 6)
    later = web.record(owner, "blob", CID, value={}, now_ms=web.now_ms + 100_000)
    owner.shelf.offer(later, web.now_ms)
    with pytest.raises(RecordOutdated):
        owner.dht.provide(CID, 7, lambda _: None, web.now_ms)
    with pytest.raises(RecordOutdated):
        owner.dht.provide_no_more(CID, lambda _: None, web.now_ms)
    owner.dht.upkeep._own_due.set(("blob", CID), 0)
    web.run(1_000)
    assert owner.dht.upkeep.counts["not said"] == 1
    web.run(13 * HOUR_MS)
    assert owner.dht.upkeep.counts["not said"] == 1
    assert len(kept(web, CID)) == 3


def test_what_was_refused_at_first_is_not_kept_alive(web: Any, land: Any) -> None:
    owner = web.add()
    other = land.nodes[3].did
    with pytest.raises(RecordNotOwners):
        owner.dht.keep("node", other, {"addresses": []}, lambda _: None, web.now_ms)
    assert owner.dht.held()["own"] == 0


def test_searches_share_few_questions_and_all_of_them_end(web: Any) -> None:
    limits = DhtLimits(asking=AskingLimits(pending_max=16))
    web.grow(12)
    a = web.add(limits=limits)
    a.dht.bootstrap([web.places[0].contact], web.now_ms)
    web.act(a)
    web.run(3_000)
    ended: list[Any] = []
    for number in range(6):
        name = f"{a.identity.did}/{number}"
        record = web.record(a, "note", name, value={"text": ""}, now_ms=web.now_ms)
        a.dht.put(record, ended.append, web.now_ms)
        assert len(a.dht.asking) <= 16
    most = 0
    for _ in range(3_000):
        web.act(a)
        web.run(1)
        most = max(most, len(a.dht.asking))
    assert most <= 16
    assert [outcome.kept for outcome in ended] == [12] * 6


def test_the_machine_knows_its_own_questions(web: Any) -> None:
    a, b = web.add(), web.add()
    a.dht.bootstrap([b.contact], web.now_ms)
    (ask,) = a.outbox.take()
    assert a.dht.owns(ask.token)
    a.dht.failed(ask.token, "method-unknown", web.now_ms)
    assert not a.dht.owns(ask.token)
    assert a.dht.table.suspects.doubts(contact_text(b.contact)), "who serves nothing is no contact"


def test_no_more_owners_are_found_than_a_name_may_have(web: Any, land: Any) -> None:
    web.grow(3)
    a, b = web.places[:2]
    cid = cid_of(b"blob")
    for number in range(PROVIDERS_MAX):
        a.shelf.offer(land.provider(land.stranger(number)), web.now_ms)
        b.shelf.offer(land.provider(land.stranger(100 + number)), web.now_ms)
    got = web.wait(a, a.dht.get, "blob", cid)
    assert len(got.records) == PROVIDERS_MAX


def test_what_is_taken_back_twice_at_once_is_forgotten_once(web: Any) -> None:
    web.grow(3)
    owner = web.places[0]
    ended: list[Any] = []
    owner.dht.provide_no_more(CID, ended.append, web.now_ms)
    web.act(owner)
    web.run(1)
    owner.dht.provide_no_more(CID, ended.append, web.now_ms)
    web.act(owner)
    web.run(1_000)
    assert [outcome.kept for outcome in ended] == [2, 2]
    assert owner.dht.held()["own"] == 0


def test_puts_wait_for_room_to_ask_and_all_of_them_end(web: Any) -> None:
    limits = DhtLimits(
        asking=AskingLimits(pending_max=16),
        searches=SearchesLimits(lookup=LookupLimits(slow_max=0), puts_at_once=12),
    )
    web.grow(14)
    a = web.add(limits=limits)
    a.dht.bootstrap([web.places[0].contact], web.now_ms)
    web.act(a)
    web.run(3_000)
    ended: list[Any] = []
    for number in range(6):
        name = f"{a.identity.did}/{number}"
        record = web.record(a, "note", name, value={"text": ""}, now_ms=web.now_ms)
        a.dht.put(record, ended.append, web.now_ms)
    most = 0
    for _ in range(3_000):
        web.act(a)
        web.run(1)
        most = max(most, len(a.dht.asking))
    assert most == 16
    assert [outcome.kept for outcome in ended] == [14] * 6
    for place in web.places[:14]:
        a.dht.presence.look_at(contact_text(place.contact))
        a.dht.presence.look_at(contact_text(place.contact))
    assert len(a.dht.asking) == 14
    for number in range(5):
        stranger = web.land.stranger(number).did
        a.dht.presence.look_at(ContactText(did=stranger))
    assert len(a.dht.asking) == 16


def test_a_link_to_a_known_peer_or_with_a_full_table_costs_no_ping(web: Any) -> None:
    web.grow(30)
    a, b = web.places[:2]
    pings = a.asks["Ping"]
    for peer in (a.identity.did, b.identity.did, web.land.stranger().did):
        a.dht.joined(peer, web.now_ms)
        web.act(a)
    assert a.asks["Ping"] == pings


def test_where_a_provider_without_addresses_is_others_say(web: Any) -> None:
    web.grow(3)
    a, b, c = web.places
    bare = web.record(c, "blob", CID, value={}, now_ms=web.now_ms)
    b.shelf.offer(bare, web.now_ms)
    for _ in range(3):
        a.dht.table.failed(contact_text(c.contact), 1)
    assert a.dht.where(c.identity.did) is None
    assert nowhere(c.identity.did) is None
    found = web.wait(a, a.dht.providers, CID)
    assert found.contacts == (contact_text(c.contact),)


def test_an_answer_from_a_newcomer_has_the_oldest_of_a_full_range_looked_at(web: Any) -> None:
    a = web.add(limits=DhtLimits(table=TableLimits(bucket_max=1)))
    web.grow(20)
    for place in web.places[1:]:
        a.dht.table.heard(contact_text(place.contact), a.dht.moment.at_ms)
    web.run(2 * MINUTE_MS)
    pings = a.asks["Ping"]
    aside = [known.contact for known in a.dht.table.spares()]
    assert aside
    a.dht.asking.ask(aside[0], FindNodes(target="0" * 64), lambda _, __: None)
    web.act(a)
    web.run(1_000)
    assert a.asks["Ping"] == pings + 1
