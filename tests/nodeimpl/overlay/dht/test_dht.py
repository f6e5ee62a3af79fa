"""The distributed hash table's machine: it serves, finds, puts, and says who provides."""

from __future__ import annotations

from typing import Any

import pytest

from nodeimpl.overlay.dht import DhtLimits, contact_text
from nodeimpl.overlay.port import Contact, key_id
from nodeimpl.overlay.search import Outcome
from nodeimpl.overlay.searches import SearchesLimits
from nodeimpl.overlay.upkeep import UpkeepLimits
from opkit.proof.cid import cid_of
from opkit.wire.base import Wire
from opkit.wire.dht import (
    CONTACTS_MAX,
    ContactText,
    FindNodes,
    FindRecords,
    LookupsFull,
    NodesFound,
    Ping,
    Pong,
    PutRecord,
    RecordsFound,
    RecordTaken,
)
from opkit.wire.peer import FRAME_BYTES_MAX, METHODS, AnswerFrame, HaveBlob, MethodUnknown
from opkit.wire.records import (
    PROOF_CHARACTERS_MAX,
    PROOF_MAX,
    RECORD_CHARACTERS_MAX,
    Carried,
    RecordLapsed,
    RecordNotOwners,
    RecordOutdated,
    RecordsExhausted,
    SignedRecordRejected,
)

CID = cid_of(b"module")
HOUR_MS = 3_600_000


def note(web: Any, place: Any, label: str = "a", sequence: int = 0, text: str = "hello") -> Carried:
    name = f"{place.identity.did}/{label}"
    carried: Carried = web.record(
        place, "note", name, value={"text": text}, now_ms=web.now_ms, sequence=sequence
    )
    return carried


def ask(web: Any, place: Any, question: Wire, *, by: Any) -> Wire:
    answer: Wire = place.dht.answer(by.identity.did, question, web.now_ms)
    return answer


def sender(place: Any) -> ContactText:
    return contact_text(place.contact)


def test_three_nodes_know_each_other_as_soon_as_they_are_linked(web: Any) -> None:
    a, b, c = (web.add() for _ in range(3))
    for one, other in ((a, b), (b, c), (a, c)):
        one.dht.joined(other.identity.did, web.now_ms)
        other.dht.joined(one.identity.did, web.now_ms)
        web.act(one)
        web.act(other)
    web.run(200)
    assert [len(place.dht.table) for place in (a, b, c)] == [2, 2, 2]
    assert a.dht.table.get(b.identity.did) == sender(b)


def test_among_three_nodes_a_provider_is_found_by_one_round_of_questions(web: Any) -> None:
    web.grow(3)
    a, _, c = web.places
    assert web.wait(a, a.dht.provide, CID, 6).kept == 2
    late = web.add()
    late.dht.bootstrap([c.contact], web.now_ms)
    web.act(late)
    web.run(1_000)
    found = web.wait(late, late.dht.providers, CID)
    assert [contact.did for contact in found.contacts] == [a.identity.did]
    assert found.contacts[0].addresses == a.contact.addresses
    assert found.took_ms < 2 * web.latency_ms[1]
    assert late.asks["FindRecords"] <= 3


def test_a_provider_that_is_known_here_costs_no_question(web: Any) -> None:
    web.grow(3)
    a, _, c = web.places
    web.wait(a, a.dht.provide, CID, 6)
    found = web.wait(c, c.dht.providers, CID)
    assert [contact.did for contact in found.contacts] == [a.identity.did]
    assert c.asks["FindRecords"] == 0
    assert web.wait(c, c.dht.providers, CID, anew=True).asked == 2


def test_who_keeps_a_blob_no_more_is_no_provider(web: Any) -> None:
    web.grow(4)
    a, b, *_ = web.places
    web.wait(a, a.dht.provide, CID, 6)
    web.run(10)
    assert web.wait(a, a.dht.provide_no_more, CID).kept == 3
    found = web.wait(b, b.dht.providers, CID, anew=True)
    assert found.contacts == ()
    assert a.dht.held()["own"] == 0


def test_what_was_put_is_found_by_everybody(web: Any) -> None:
    web.grow(40)
    owner = web.places[0]
    carried = note(web, owner)
    put = web.wait(owner, owner.dht.put, carried)
    assert put.kept == CONTACTS_MAX
    assert put.refused == ()
    for place in web.places:
        got = web.wait(place, place.dht.get, "note", f"{owner.identity.did}/a")
        assert got.records == (carried,)
        assert got.liars == ()


def test_a_later_record_takes_the_place_of_an_earlier_one_whoever_asks(web: Any) -> None:
    web.grow(30)
    owner, reader = web.places[0], web.places[20]
    name = f"{owner.identity.did}/a"
    old, new = note(web, owner, sequence=1), note(web, owner, sequence=2)
    web.wait(owner, owner.dht.put, old)
    assert web.wait(reader, reader.dht.get, "note", name).records == (old,)
    web.wait(owner, owner.dht.put, new)
    assert web.wait(reader, reader.dht.get, "note", name).records == (new,)


def test_a_get_is_never_below_what_is_kept_here(web: Any) -> None:
    web.grow(10)
    owner, reader = web.places[0], web.places[5]
    old, new = note(web, owner, sequence=1), note(web, owner, sequence=2)
    web.wait(owner, owner.dht.put, old)
    reader.shelf.offer(new, web.now_ms)
    got = web.wait(reader, reader.dht.get, "note", f"{owner.identity.did}/a")
    assert got.records == (new,)


def test_nobody_alone_finds_what_is_kept_here(web: Any) -> None:
    alone = web.add()
    carried = note(web, alone)
    assert web.wait(alone, alone.dht.put, carried).kept == 0
    got = web.wait(alone, alone.dht.get, "note", f"{alone.identity.did}/a")
    assert got.records == (carried,)
    assert (got.hops, got.asked) == (0, 0)


def test_put_refuses_in_the_order_of_the_contract(web: Any, land: Any) -> None:
    a, b = web.add(), web.add()
    other = land.nodes[1]
    issued = {"issued_at_ms": web.now_ms - 40 * 24 * HOUR_MS}

    def put(carried: Carried) -> bool:
        answer = ask(web, a, PutRecord(record=carried), by=b)
        assert isinstance(answer, RecordTaken)
        return answer.new

    assert METHODS["dht.put"].refuses == (
        SignedRecordRejected,
        RecordNotOwners,
        RecordLapsed,
        RecordOutdated,
        RecordsExhausted,
    )
    with pytest.raises(SignedRecordRejected):
        put(
            land.record(
                other, "node", land.nodes[2].did, signer=land.nodes[2], value=None, **issued
            )
        )
    with pytest.raises(RecordNotOwners):
        put(land.record(other, "node", land.nodes[2].did, value={"addresses": []}, **issued))
    with pytest.raises(RecordLapsed):
        put(land.note(other, **issued))
    assert put(land.note(other, sequence=2))
    assert not put(land.note(other, sequence=2))
    with pytest.raises(RecordOutdated) as outdated:
        put(land.note(other, sequence=1))
    assert outdated.value.standing_sequence == 2
    stranger = land.stranger()
    for number in range(16):
        assert put(land.note(stranger, str(number)))
    with pytest.raises(RecordsExhausted):
        put(land.note(stranger, "16"))


def test_an_asker_is_believed_only_about_itself(web: Any) -> None:
    a, b, c = (web.add() for _ in range(3))
    ask(web, a, Ping(sender=sender(c)), by=b)
    assert len(a.dht.table) == 0
    assert a.dht.counts["contacts of others"] == 1
    assert ask(web, a, Ping(sender=sender(b)), by=b) == Pong(contact=sender(a))
    assert a.dht.table.get(b.identity.did) == sender(b)


def test_a_client_asks_and_is_in_no_table(web: Any) -> None:
    web.grow(10)
    client = web.add(serves=False)
    client.dht.bootstrap([web.places[0].contact], web.now_ms)
    web.act(client)
    web.run(2_000)
    owner = web.places[1]
    carried = note(web, owner)
    web.wait(owner, owner.dht.put, carried)
    got = web.wait(client, client.dht.get, "note", f"{owner.identity.did}/a")
    assert got.records == (carried,)
    assert all(client.identity.did not in place.dht.table for place in web.places)
    with pytest.raises(MethodUnknown):
        ask(web, client, Ping(), by=owner)
    with pytest.raises(MethodUnknown):
        ask(web, owner, HaveBlob(cid=CID), by=client)


def test_answers_name_the_nearest_and_never_the_asker(web: Any) -> None:
    web.grow(30)
    a, b = web.places[:2]
    target = key_id("blob", CID)
    found = ask(web, a, FindNodes(sender=sender(b), target=f"{target:064x}"), by=b)
    assert isinstance(found, NodesFound)
    assert len(found.contacts) == CONTACTS_MAX
    assert sender(b) not in found.contacts
    also = ask(web, a, FindRecords(namespace="blob", name=CID), by=b)
    assert also == RecordsFound(records=(), contacts=found.contacts)


def test_the_largest_answer_fits_a_frame(web: Any) -> None:
    contact = ContactText(did=web.add().identity.did, addresses=("x" * 64,) * 4)
    record = Carried(
        jws="x" * RECORD_CHARACTERS_MAX, proof=("x" * PROOF_CHARACTERS_MAX,) * PROOF_MAX
    )
    answer = RecordsFound(records=(record,) * 20, contacts=(contact,) * CONTACTS_MAX)
    frame = AnswerFrame(ok=answer.model_dump(mode="json"))
    assert len(frame.model_dump_json()) <= FRAME_BYTES_MAX


def test_no_more_searches_wait_than_may(web: Any) -> None:
    limits = DhtLimits(searches=SearchesLimits(active_max=1, waiting_max=2))
    a, b = web.add(limits=limits), web.add()
    a.dht.bootstrap([b.contact], web.now_ms)
    web.act(a)
    web.run(1_000)
    ended: list[Outcome] = []
    for target in range(3):
        a.dht.locate(target, ended.append, web.now_ms)
    with pytest.raises(LookupsFull):
        a.dht.locate(b.identity.did, ended.append, web.now_ms)
    assert a.dht.held()["searches"] == 1
    assert a.dht.held()["searches waiting"] == 2
    web.act(a)
    web.run(1_000)
    assert len(ended) == 3


def test_no_more_records_are_kept_alive_than_may(web: Any) -> None:
    a = web.add(limits=DhtLimits(upkeep=UpkeepLimits(own_max=1)))
    a.dht.provide(CID, 6, lambda _: None, web.now_ms)
    with pytest.raises(RecordsExhausted):
        a.dht.provide(cid_of(b"other"), 5, lambda _: None, web.now_ms)


def test_addresses_that_do_not_travel_are_left_out() -> None:
    did = "did:key:z6MkpTHR8VNsBxYAAWHut2Geadd9jSwuBV8xRoAnwWsdvktH"
    contact = contact_text(Contact(did=did, addresses=("x" * 65, "a", "b", "c", "d", "e")))
    assert contact == ContactText(did=did, addresses=("a", "b", "c", "d"))


def test_time_that_jumps_ends_no_search_and_keeps_none(web: Any) -> None:
    web.grow(5)
    a = web.places[0]
    ended: list[Outcome] = []
    a.dht.locate(1, ended.append, web.now_ms)
    before = a.dht.due_ms() - web.now_ms
    a.dht.tick(web.now_ms - HOUR_MS)
    assert a.dht.due_ms() <= web.now_ms - HOUR_MS + before
    while asks := a.outbox.take():
        for one in asks:
            a.dht.failed(one.token, "timeout", web.now_ms - HOUR_MS)
    assert len(ended) == 1
