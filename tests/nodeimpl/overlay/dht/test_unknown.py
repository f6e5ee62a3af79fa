"""What it takes to say that nobody knows a name: whoever may live was asked, and has had time."""

from __future__ import annotations

import hashlib
from functools import partial
from typing import Any

import pytest

from nodeimpl.overlay.asking import AskingLimits
from nodeimpl.overlay.dht import contact_text
from nodeimpl.overlay.search import Outcome
from nodeimpl.overlay.searches import SearchesLimits
from opkit.proof.cid import cid_of
from opkit.proof.keys import Identity
from opkit.wire.base import Did, Wire
from opkit.wire.dht import ContactText, FindRecords, RecordsFound
from opkit.wire.records import Carried

QUESTION_MS = AskingLimits().question_ms
LATE_MS = AskingLimits().late_ms_min
LOOKUP_MS = SearchesLimits().lookup.lookup_ms
ACTIVE_MAX = SearchesLimits().active_max
BRIEF_MS = 50
"""More than all answers of a lookup take in these networks, if nobody is late."""


def grown(web: Any, count: int) -> Any:
    """Return one of so many nodes, all of which know that the others answer within moments."""
    web.latency_ms = (1, 4)
    web.grow(count)
    for _ in range(20):
        for place in web.places:
            web.wait(place, place.dht.locate, web.chance.randrange(1 << 256))
    assert all(place.dht.asking.pace.late_ms == LATE_MS for place in web.places)
    return web.places[0]


def kept_by(web: Any, place: Any, count: int = 1) -> list[Carried]:
    """Return notes of a node that it has, and nobody else."""
    kept = []
    for number in range(count):
        name = note_of(place, number)
        kept.append(web.record(place, "note", name, value={"text": "x"}, now_ms=web.now_ms))
        place.shelf.offer(kept[-1], web.now_ms)
    return kept


def note_of(place: Any, number: int = 0) -> str:
    return f"{place.identity.did}/only-{number}"


def somebody(number: int) -> Did:
    """Return a key that no node has."""
    return Identity.from_seed(hashlib.sha256(b"somebody %d" % number).digest()).did


def get(web: Any, place: Any, name: str) -> Outcome:
    outcome: Outcome = web.wait(place, place.dht.get, "note", name)
    return outcome


def get_unknown(web: Any, place: Any, count: int) -> list[int]:
    """Have so many names looked up that nobody knows, one by one; return how long each took."""
    took = []
    for number in range(count):
        outcome = get(web, place, f"{somebody(number)}/a")
        assert outcome.records == ()
        took.append(outcome.took_ms)
    return took


@pytest.mark.parametrize("busy_ms", [150, 400, 1_900])
def test_what_only_a_busy_node_has_is_found(web: Any, busy_ms: int) -> None:
    """It was late once: it is waited for, and by those who ask meanwhile asked all the same."""
    a = grown(web, 3)
    b = web.places[1]
    *first, last = kept_by(web, b, 4)
    b.busy_ms = web.now_ms + busy_ms
    ended: dict[int, Outcome] = {}
    for number in range(len(first)):
        a.dht.get("note", note_of(b, number), partial(ended.__setitem__, number), web.now_ms)
    web.act(a)
    web.run(LATE_MS + 10)
    assert not ended
    assert a.dht.asking.doubts(contact_text(b.contact))
    assert get(web, a, note_of(b, 3)).records == (last,)
    web.run(BRIEF_MS)
    assert [ended[number].records for number in range(len(first))] == [(one,) for one in first]
    assert max(one.took_ms for one in ended.values()) < busy_ms + BRIEF_MS
    assert max(one.silent for one in ended.values()) == 0
    assert not a.dht.asking.doubts(contact_text(b.contact))


def test_who_leaves_many_questions_unanswered_at_once_has_failed_once(web: Any) -> None:
    a = grown(web, 3)
    b = web.places[1]
    b.alive = False
    for number in range(5):
        a.dht.get("note", note_of(b, number), lambda _: None, web.now_ms)
    web.act(a)
    web.run(QUESTION_MS + BRIEF_MS)
    assert a.dht.asking.counts["silent"] == 5
    assert a.dht.asking.doubts(contact_text(b.contact))
    assert not a.dht.table.suspects.gone(contact_text(b.contact))
    assert a.dht.asking.counts["dropped"] == 0


def test_who_is_late_with_answers_again_and_again_while_busy_once_is_not_gone(web: Any) -> None:
    a = grown(web, 3)
    b = web.places[1]
    kept_by(web, b, 8)
    b.busy_ms = web.now_ms + QUESTION_MS - BRIEF_MS
    for number in range(8):
        a.dht.get("note", note_of(b, number), lambda _: None, web.now_ms)
        web.act(a)
        web.run(LATE_MS + 10)
    assert not a.dht.table.suspects.gone(contact_text(b.contact))
    assert contact_text(b.contact) in a.dht.table.nearest(0, 20, suspects=True)
    assert a.dht.asking.counts["dropped"] == 0


def test_what_a_node_has_that_all_others_suspect_is_found(web: Any) -> None:
    """Nobody names it to anybody then: who looks for something remembers it."""
    a = grown(web, 4)
    b = web.places[1]
    (record,) = kept_by(web, b)
    b.busy_ms = web.now_ms + 600
    others = [one for one in web.places if one is not b]
    for other in others:
        web.wait(other, other.dht.locate, b.identity.did)
    assert all(one.dht.table.suspects.doubts(contact_text(b.contact)) for one in others)
    assert get(web, a, note_of(b)).records == (record,)


def test_who_alone_provides_a_blob_is_found_though_busy(web: Any) -> None:
    a = grown(web, 3)
    b, c = web.places[1:]
    cid = cid_of(b"blob")
    for place, value in ((b, {"size_bytes": 4, "addresses": []}), (c, None)):
        place.shelf.offer(
            web.record(place, "blob", cid, value=value, now_ms=web.now_ms), web.now_ms
        )
    b.busy_ms = web.now_ms + 300
    found = web.wait(a, a.dht.providers, cid)
    assert [contact.did for contact in found.contacts] == [b.identity.did], "c took it back"


@pytest.mark.parametrize("how", ["busy", "dead"])
def test_what_others_have_is_found_as_quickly_beside_somebody_silent(web: Any, how: str) -> None:
    a = grown(web, 3)
    b, c = web.places[1:]
    records = kept_by(web, c, 3)
    b.alive, b.busy_ms = how == "busy", web.now_ms + QUESTION_MS
    found = [get(web, a, note_of(c, number)) for number in range(len(records))]
    assert [one.records for one in found] == [(record,) for record in records]
    assert found[0].took_ms <= LATE_MS + BRIEF_MS
    assert max(one.took_ms for one in found[1:]) <= BRIEF_MS
    assert [one.asked for one in found] == [2, 1, 1]


@pytest.mark.parametrize(("count", "dead"), [(3, 1), (12, 1), (12, 4)])
def test_for_names_that_nobody_knows_the_dead_cost_two_time_outs_in_all(
    web: Any, count: int, dead: int
) -> None:
    a = grown(web, count)
    for place in web.places[-dead:]:
        place.alive = False
    web.timeouts.clear()
    took = get_unknown(web, a, 20)
    assert max(took[:2]) <= QUESTION_MS + BRIEF_MS
    assert max(took[2:]) <= BRIEF_MS
    asked = {who: n for (_, who, kind), n in web.timeouts.items() if kind == "FindRecords"}
    assert len(asked) == dead
    assert max(asked.values()) == 2


def test_who_is_cut_off_waits_for_two_time_outs_in_all(web: Any) -> None:
    a = grown(web, 5)
    for place in web.places[1:]:
        place.alive = False
    took = get_unknown(web, a, 6)
    assert sum(took) <= 2 * QUESTION_MS + 4 * (LATE_MS + BRIEF_MS)


def test_many_names_that_nobody_knows_hold_up_no_search_for_longer(web: Any) -> None:
    """Right after somebody died, and with all places taken: what is found has its turn, too."""
    a = grown(web, 6)
    b = web.places[1]
    kept_by(web, b)
    web.places[-1].alive = False
    ended: dict[int, Outcome] = {}
    for number in range(5 * ACTIVE_MAX):
        unknown = f"{somebody(number)}/a"
        a.dht.get("note", unknown, partial(ended.__setitem__, number), web.now_ms)
    a.dht.get("note", note_of(b), partial(ended.__setitem__, -1), web.now_ms)
    web.act(a)
    web.run(100)
    assert a.dht.held()["searches"] == ACTIVE_MAX
    web.run(2 * QUESTION_MS + 4 * BRIEF_MS)
    assert len(ended) == 5 * ACTIVE_MAX + 1
    assert ended[-1].took_ms <= BRIEF_MS


def test_who_names_new_ones_without_end_cannot_keep_a_lookup_from_its_end(web: Any) -> None:
    """A liar is slow, names keys that never answer and liars, and does so again and again."""
    a = grown(web, 12)
    liars = web.places[6:]

    def lie(place: Any, peer: Did, question: Wire, now_ms: int) -> Wire:
        if not isinstance(question, FindRecords):
            answer: Wire = place.dht.answer(peer, question, now_ms)
            return answer
        place.busy_ms = now_ms + QUESTION_MS - BRIEF_MS
        made_up = [ContactText(did=somebody(web.chance.randrange(10**9))) for _ in range(14)]
        named = [contact_text(one.contact) for one in liars]
        return RecordsFound(records=(), contacts=(*made_up, *named))

    for place in liars:
        place.lie = partial(lie, place)
    assert max(get_unknown(web, a, 10)) <= LOOKUP_MS
    web.run(QUESTION_MS)
    assert a.dht.held()["searches"] == 0
    assert a.dht.held()["questions"] <= 1, "a suspect may be looked at"
