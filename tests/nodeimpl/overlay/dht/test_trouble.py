"""A web in trouble: nodes that die, messages that are lost, and nodes that lie."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from nodeimpl.overlay.dht import contact_text
from nodeimpl.overlay.port import key_id, node_id
from opkit.proof.keys import Identity
from opkit.wire.base import Did, Wire
from opkit.wire.dht import (
    ContactText,
    FindNodes,
    FindRecords,
    NodesFound,
    PutRecord,
    RecordsFound,
    RecordTaken,
)
from opkit.wire.records import Carried


def put_notes(web: Any, count: int, spare: int = 0) -> dict[str, Carried]:
    """Have notes put by as many nodes, each as its first and then as its second version."""
    notes = {}
    for number in range(count):
        owner = web.places[number + spare]
        name = f"{owner.identity.did}/a"
        for sequence in (1, 2):
            carried = web.record(
                owner, "note", name, value={"text": "x"}, now_ms=web.now_ms, sequence=sequence
            )
            assert web.wait(owner, owner.dht.put, carried).kept
        notes[name] = carried
    return notes


def found(web: Any, notes: dict[str, Carried], readers: list[Any]) -> int:
    """Return how many of the notes are found as they stand, each by another reader."""
    count = 0
    for number, (name, carried) in enumerate(notes.items()):
        reader = readers[number % len(readers)]
        count += web.wait(reader, reader.dht.get, "note", name).records == (carried,)
    return count


def of_lookups(web: Any) -> Counter[tuple[Did, Did]]:
    """Return how often who waited in vain for whom, in lookups and puts."""
    waits: Counter[tuple[Did, Did]] = Counter()
    for (asker, asked, kind), count in web.timeouts.items():
        if kind != "Ping":
            waits[asker, asked] += count
    return waits


@pytest.mark.parametrize("count", [12, 60])
def test_with_a_quarter_dead_all_is_found_and_each_dead_costs_a_node_one_time_out(
    web: Any, count: int
) -> None:
    web.grow(count)
    notes = put_notes(web, 10)
    web.kill(0.25)
    live = [place for place in web.places if place.alive]
    web.timeouts.clear()
    for start in range(6):
        assert found(web, notes, live[start:]) == len(notes)
    web.run(5_000)
    waits = of_lookups(web)
    assert waits
    assert max(waits.values()) == 1


def test_the_dead_are_dropped_and_the_living_come_back_when_they_are_heard_of(web: Any) -> None:
    web.grow(12)
    a, b = web.places[0], web.places[5]
    b.alive = False
    for target in range(3):
        web.wait(a, a.dht.locate, target)
    web.run(120_000)
    assert b.identity.did not in a.dht.table
    assert a.dht.asking.counts["dropped"] == 1
    b.alive = True
    web.wait(b, b.dht.locate, a.identity.did)
    assert b.identity.did in a.dht.table
    assert contact_text(b.contact) in a.dht.table.nearest(node_id(b.identity.did), 1)


def test_a_node_that_all_others_seemed_dead_to_finds_them_again(web: Any) -> None:
    """Suspects are asked if nobody else answers."""
    web.grow(6)
    a = web.places[0]
    for other in web.places[1:]:
        other.alive = False
    assert web.wait(a, a.dht.locate, 1).contacts == ()
    for other in web.places[1:]:
        other.alive = True
    assert len(web.wait(a, a.dht.locate, 1).contacts) == 5


def test_two_halves_that_dropped_each_other_find_each_other_again(web: Any) -> None:
    """Nobody on one side names anybody of the other any more: somebody has to look back."""
    web.grow(8)
    places = web.places
    web.apart = frozenset(place.identity.did for place in places[:4])
    for target in range(40):
        for place in places:
            web.wait(place, place.dht.locate, target << 250)
        web.run(15_000)
    for place in places:
        here = place.identity.did in web.apart
        known = {other.identity.did for other in places if other.identity.did in place.dht.table}
        assert all((did in web.apart) == here for did in known)
    web.apart = frozenset()
    web.run(330_000)
    for place in places:
        assert len(place.dht.table) == 7


def test_with_one_message_in_ten_lost_all_is_found(web_of: Callable[[int], Any]) -> None:
    web = web_of(3)
    web.grow(50)
    web.loss = 0.1
    notes = put_notes(web, 20)
    for start in range(3):
        assert found(web, notes, web.places[start + 20 :]) == len(notes)


def test_a_lookup_asks_another_besides_whoever_is_slow(web: Any) -> None:
    """It does not wait for a whole time-out; what comes late counts all the same."""
    web.grow(20)
    a = web.places[0]
    for _ in range(5):
        web.wait(a, a.dht.locate, 1)
    web.kill(0.3, spare=a)
    took_ms = web.wait(a, a.dht.locate, 2).took_ms
    assert took_ms < 2_000


class Liars:
    """Nodes that lie, each in one way."""

    def __init__(self, web: Any, share: float) -> None:
        """Choose among the nodes."""
        self.web = web
        self.all = web.chance.sample(web.places[20:], int(len(web.places) * share))
        self.old: dict[str, Carried] = {}

    def begin(self, lie: str) -> None:
        """Lie from now on."""
        for place in self.all:
            place.lie = self.lie_of(place, getattr(self, lie))

    def lie_of(self, place: Any, lie: Callable[[Any, Wire], Wire]) -> Any:
        def answer(peer: Did, question: Wire, now_ms: int) -> Wire:
            if isinstance(question, PutRecord):
                return RecordTaken(new=True)
            honest = place.dht.answer(peer, question, now_ms)
            return lie(question, honest)

        return answer

    def contacts(self, question: Wire, contacts: tuple[ContactText, ...]) -> Wire:
        if isinstance(question, FindNodes):
            return NodesFound(contacts=contacts)
        return RecordsFound(records=(), contacts=contacts)

    def nothing(self, question: Wire, honest: Wire) -> Wire:
        del honest
        return self.contacts(question, ())

    def each_other(self, question: Wire, honest: Wire) -> Wire:
        del honest
        return self.contacts(question, tuple(contact_text(one.contact) for one in self.all[:20]))

    def nobody(self, question: Wire, honest: Wire) -> Wire:
        """Name keys that nobody has, and texts that are no key."""
        del honest
        numbers = [self.web.chance.randrange(200) for _ in range(15)]
        none = "did:key:z6Mk" + "1" * 44
        made_up = tuple(ContactText(did=nowhere(number)) for number in numbers)
        return self.contacts(question, (ContactText(did=none), *made_up))

    def wrong_addresses(self, question: Wire, honest: Wire) -> Wire:
        assert isinstance(honest, NodesFound | RecordsFound)
        wrong = tuple(ContactText(did=one.did, addresses=("6.6.6.6:6",)) for one in honest.contacts)
        return self.contacts(question, wrong)

    def old_records(self, question: Wire, honest: Wire) -> Wire:
        if isinstance(question, FindRecords) and question.name in self.old:
            assert isinstance(honest, RecordsFound)
            return RecordsFound(records=(self.old[question.name],), contacts=honest.contacts)
        return honest

    def forged(self, question: Wire, honest: Wire) -> Wire:
        if isinstance(question, FindRecords) and self.old:
            assert isinstance(honest, RecordsFound)
            one = next(iter(self.old.values()))
            broken = Carried(jws=one.jws[:-8] + "AAAAAAAA")
            return RecordsFound(records=(broken, one), contacts=honest.contacts)
        return honest

    def other_answer(self, question: Wire, honest: Wire) -> Wire:
        """Answer another question than the one that was asked."""
        del honest
        return RecordTaken(new=True) if isinstance(question, FindNodes) else NodesFound(contacts=())


def nowhere(number: int) -> Did:
    return Identity.from_seed(hashlib.sha256(b"nobody %d" % number).digest()).did


@pytest.mark.parametrize(
    "lie",
    [
        "nothing",
        "each_other",
        "nobody",
        "wrong_addresses",
        "old_records",
        "forged",
        "other_answer",
    ],
)
def test_with_a_fifth_lying_all_is_found_as_it_stands(web: Any, lie: str) -> None:
    web.grow(60)
    liars = Liars(web, 0.2)
    liars.begin("nothing" if lie == "old_records" else lie)
    notes = put_notes(web, 10)
    for name in notes:
        owner = next(place for place in web.places if name.startswith(place.identity.did))
        liars.old[name] = web.record(
            owner, "note", name, value={"text": "x"}, now_ms=web.now_ms, sequence=1
        )
    liars.begin(lie)
    honest = [place for place in web.places[10:] if place not in liars.all]
    for start in range(2):
        assert found(web, notes, honest[start * 11 :]) == len(notes)


def test_who_forges_is_named(web: Any) -> None:
    web.grow(30)
    liars = Liars(web, 0.3)
    notes = put_notes(web, 3)
    liars.old = {"any": next(iter(notes.values()))}
    liars.begin("forged")
    named: set[Did] = set()
    for place in web.places[:10]:
        got = web.wait(place, place.dht.get, "note", "did:key:nobody/a")
        named |= set(got.liars)
        assert got.records == ()
    assert named
    assert named <= {place.identity.did for place in liars.all}


def test_who_names_only_those_that_never_answer_is_named(web: Any) -> None:
    web.grow(30)
    liars = Liars(web, 0.3)
    liars.begin("nobody")
    named: set[Did] = set()
    for number in range(10):
        target = node_id(nowhere(number))
        place = web.places[number]
        named |= set(web.wait(place, place.dht.locate, target).liars)
    assert named
    assert named <= {place.identity.did for place in liars.all}


def test_honest_nodes_named_at_wrong_addresses_are_asked_at_the_right_ones(web: Any) -> None:
    web.grow(40)
    liars = Liars(web, 0.3)
    liars.begin("wrong_addresses")
    a = web.places[0]
    for target in range(20):
        web.wait(a, a.dht.locate, target)
    honest = [contact_text(p.contact) for p in web.places[1:] if p not in liars.all]
    assert not any(a.dht.asking.doubts(one) for one in honest)


def near(target: int, count: int, of: int) -> list[Identity]:
    """Return the keys nearest to a place among so many: what anybody can make in seconds."""
    keys = [Identity.from_seed(hashlib.sha256(b"sybil %d" % n).digest()) for n in range(of)]
    return sorted(keys, key=lambda key: node_id(key.did) ^ target)[:count]


def prefix(address: str) -> str | None:
    return "10.66" if address.startswith("66.") else None


@pytest.mark.slow
def test_many_identities_from_one_place_that_surround_a_name_hide_nothing(web: Any) -> None:
    """Each is nearer to the name than any honest node, and all say that there is nothing."""
    web.grow(40, prefix=prefix)
    owner = web.places[0]
    name = f"{owner.identity.did}/a"
    carried = web.record(owner, "note", name, value={"text": "x"}, now_ms=web.now_ms)
    web.wait(owner, owner.dht.put, carried)
    target = key_id("note", name)
    sybils = []
    for number, key in enumerate(near(target, 40, 2_000)):
        sybils.append(web.add(identity=key, addresses=(f"66.0.0.{number}:1",)))
        sybils[-1].dht.bootstrap([web.places[1].contact], web.now_ms)
        web.act(sybils[-1])
        web.run(300)
    liars = Liars(web, 0)
    liars.all = sybils
    liars.begin("each_other")
    strangers = [place for place in web.places[1:40] if not place.shelf.get("note", name)]
    assert len(strangers) > 10
    for place in strangers:
        got = web.wait(place, place.dht.get, "note", name)
        assert got.records == (carried,)
