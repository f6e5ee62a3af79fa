"""Whoever lies while two nodes compare costs one session, and nothing is kept of it."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from nodeimpl.overlay.budgets import Limits
from nodeimpl.overlay.namespaces import RECONCILED
from nodeimpl.overlay.port import Ask
from nodeimpl.overlay.reconcile import PeerLied, ReconcilerLimits
from nodeimpl.overlay.repair import Bounds
from nodeimpl.overlay.shelf import Shelf
from opkit.wire.base import Wire
from opkit.wire.errors import Refusal
from opkit.wire.peer import FrameMalformed
from opkit.wire.reconcile import (
    FETCHED_MAX,
    ID_BYTES,
    Compare,
    Compared,
    Fetch,
    Push,
    Pushed,
    Range,
    RecordsGiven,
)
from opkit.wire.records import (
    Carried,
    RecordNotOwners,
    SignedRecordRejected,
)

A, B = "did:key:a", "did:key:b"


def many(land: Any, count: int, *, owner: Any = None) -> list[Carried]:
    owner = owner or land.founders[0]
    return [land.note(owner, f"many{number}") for number in range(count)]


Liar = Callable[[str, Any, int], Wire]


def noise(seed: int) -> Liar:
    """Return somebody whose fingerprints never end, and who lists what nobody has."""
    chance = random.Random(seed)

    def answer(peer: str, asked: Any, now_ms: int) -> Wire:
        del peer, now_ms
        if isinstance(asked, Compare):
            children = (chance.randbytes(16 * 24) for _ in asked.prefixes)
            return Compared(ranges=tuple(Range(children=said) for said in children))
        if isinstance(asked, Fetch):
            return RecordsGiven(records=(), upto=len(asked.ids) // ID_BYTES)
        return Pushed(kept=0)

    return answer


def lister(seed: int) -> Liar:
    """Return somebody who lists ids that nobody has, other ones each time."""
    chance = random.Random(seed)

    def answer(peer: str, asked: Any, now_ms: int) -> Wire:
        del peer, now_ms
        if isinstance(asked, Compare):
            ids = b"".join(sorted(chance.randbytes(ID_BYTES) for _ in range(32)))
            return Compared(ranges=(Range(ids=ids),))
        return RecordsGiven(records=(), upto=len(asked.ids) // ID_BYTES)

    return answer


def said(*ranges: Range) -> Liar:
    """Return somebody who always says this of prefixes."""
    return lambda _peer, _asked, _now_ms: Compared(ranges=ranges)


def wanders(peer: str, asked: Any, now_ms: int) -> Wire:
    """Answer with fingerprints first, then with an id that is of another prefix."""
    del peer, now_ms
    if asked.prefixes == ("",):
        return Compared(ranges=(Range(children=b"x" * 16 * 24),))
    return Compared(ranges=(Range(ids=(b"\x00" if asked.prefixes[0] != "0" else b"\xff") * 16),))


def differs(*differ: str) -> Liar:
    """Return somebody who says of every question that these namespaces differ."""
    return lambda *_: Compared(ranges=(Range(ids=b""),), differ=differ)


LIARS: dict[str, tuple[Liar, str]] = {
    "roots unasked": (differs(*RECONCILED[1:]), "not asked"),
    "other answer": (lambda *_: Pushed(kept=0), "another question"),
    "no range": (said(), "no prefix"),
    "more ranges": (said(Range(ids=b""), Range(ids=b"")), "no prefix"),
    "neither": (said(Range()), "both or neither"),
    "both": (said(Range(ids=b"", children=b"")), "both or neither"),
    "few fingerprints": (said(Range(children=b"x" * 24)), "not sixteen"),
    "cut ids": (said(Range(ids=b"x" * 17)), "cut off"),
    "disorder": (said(Range(ids=b"b" * 16 + b"a" * 16)), "not in order"),
    "twice": (said(Range(ids=b"a" * 32)), "not in order"),
    "elsewhere": (wanders, "begin with its prefix"),
    "gives nothing": (lister(1), "does not give"),
    "endless": (noise(1), "no end"),
}


@pytest.mark.parametrize(("lie", "why"), LIARS.values(), ids=LIARS)
def test_whoever_lies_loses_the_session_and_is_left_alone(
    land: Any, make_pair: Any, lie: Liar, why: str
) -> None:
    pair = make_pair(land)
    pair.keep(A, *many(land, 40))
    before = pair.shelves[A].held()
    pair.answers[B] = lie
    pair.join(A)
    pair.run()
    node = pair.nodes[A]
    assert node.counts["lies"] == 1
    notes = node.take_notes()
    assert isinstance(notes[-1], PeerLied)
    assert why in notes[-1].why
    assert node.held()["sessions"] == node.held()["questions"] == 0
    assert pair.shelves[A].held() == before
    away_ms = (node.due_ms() or 0) - pair.now_ms
    assert away_ms == 30_000
    node.suspect(B, pair.now_ms)
    node.left(B, pair.now_ms)
    node.joined(B, pair.now_ms)
    assert (node.due_ms() or 0) - pair.now_ms == 30_000
    pair.run()
    assert (node.due_ms() or 0) - pair.now_ms == 60_000


@pytest.mark.parametrize("named", [RECONCILED[0], *RECONCILED[1:2]])
def test_namespaces_that_were_not_asked_cannot_differ(
    land: Any, make_pair: Any, named: str
) -> None:
    pair = make_pair(land)
    pair.answers[B] = differs(named)
    pair.join(A)
    pair.nodes[A]._peers[B].met = True
    pair.run()
    assert pair.nodes[A].counts["lies"] == 1
    assert "not asked" in pair.nodes[A].take_notes()[-1].why


def test_a_session_with_a_liar_without_end_is_bounded(land: Any, make_pair: Any) -> None:
    bounds = Bounds(prefixes_max=2_000)
    pair = make_pair(land, limits=ReconcilerLimits(bounds=bounds))
    pair.keep(A, *many(land, 40))
    pair.answers[B] = noise(3)
    pair.join(A)
    node = pair.nodes[A]
    node.tick(node.due_ms() or 0)
    most = 0
    while effects := pair.outboxes[A].take():
        (ask,) = effects
        assert isinstance(ask, Ask)
        pair.carry(A, ask)
        most = max(most, node.held()["waiting"])
    assert most <= 2_000 + 40
    assert len(pair.asked) <= 600


@pytest.mark.parametrize(
    "bounds",
    [Bounds(questions_max=5), Bounds(records_max=200), Bounds(prefixes_max=10)],
    ids=["questions", "records", "prefixes"],
)
def test_a_session_that_reaches_its_bounds_goes_on_later_if_it_got_on(
    land: Any, make_pair: Any, bounds: Bounds
) -> None:
    pair = make_pair(land, limits=ReconcilerLimits(bounds=bounds))
    for number in range(3):
        pair.keep(B, land.place(land.nodes[number]))
    pair.keep(B, *many(land, 1_500))
    pair.join(A)
    pair.run()
    node = pair.nodes[A]
    assert node.counts["sessions at their bounds"] == 1
    assert node.counts["records kept"] >= 3
    assert node.counts["lies"] == 0
    assert (node.due_ms() or 0) - pair.now_ms <= 45_000


def test_a_session_that_takes_too_long_is_ended(land: Any, make_pair: Any) -> None:
    pair = make_pair(land, limits=ReconcilerLimits(session_ms_max=0))
    pair.join(A)
    pair.run()
    node = pair.nodes[A]
    assert node.held()["sessions"] == 0
    assert pair.asked == []
    assert (node.counts["sessions too late"], node.counts["lies"]) == (1, 0)
    assert (node.due_ms() or 0) - pair.now_ms >= 240_000


class Swapped:
    """A peer that is honest about ids and gives other records for them."""

    def __init__(self, pair: Any, gives: Callable[[RecordsGiven], RecordsGiven]) -> None:
        self.honest = pair.nodes[B].answer
        self.gives = gives

    def __call__(self, peer: str, asked: Any, now_ms: int) -> Wire:
        answer = self.honest(peer, asked, now_ms)
        return self.gives(answer) if isinstance(answer, RecordsGiven) else answer


def test_other_records_than_were_asked_for_are_a_lie(land: Any, make_pair: Any) -> None:
    good = land.note(land.nodes[0])
    forged = land.note(land.nodes[0], signer=land.nodes[1])
    gifts: list[Callable[[RecordsGiven], RecordsGiven]] = [
        lambda f: RecordsGiven(records=(land.note(land.nodes[1]),), upto=f.upto),
        lambda f: RecordsGiven(records=(forged,), upto=f.upto),
        lambda f: RecordsGiven(records=(good, good), upto=f.upto + 1),
        lambda _: RecordsGiven(records=(), upto=0),
        lambda f: RecordsGiven(records=(), upto=f.upto + 1),
    ]
    for gives in gifts:
        pair = make_pair(land)
        pair.keep(B, good)
        pair.answers[B] = Swapped(pair, gives)
        pair.join(A)
        pair.run()
        assert pair.nodes[A].counts["lies"] == 1
        assert len(pair.shelves[A].ids("note")) == 0


def test_the_same_record_twice_is_a_lie(land: Any, make_pair: Any) -> None:
    pair = make_pair(land)
    pair.keep(B, *many(land, 2))
    pair.answers[B] = Swapped(
        pair, lambda f: RecordsGiven(records=(f.records[0], f.records[0]), upto=f.upto)
    )
    pair.join(A)
    pair.run()
    assert pair.nodes[A].counts["lies"] == 1


def test_a_record_that_nobody_keeps_is_a_lie_though_it_was_listed(
    land: Any, make_pair: Any
) -> None:
    """Its hand is good, so its id can be listed; no honest node would have kept it."""
    wrong = land.note(land.nodes[0], value={"text": 7})
    pair = make_pair(land)
    item = pair.shelves[B].item(wrong)

    def answer(peer: str, asked: Any, now_ms: int) -> Wire:
        del peer, now_ms
        if isinstance(asked, Compare):
            return Compared(ranges=(Range(ids=item[:ID_BYTES]),))
        return RecordsGiven(records=(wrong,), upto=1)

    pair.answers[B] = answer
    pair.join(A)
    pair.run()
    assert pair.nodes[A].counts["lies"] == 1


def test_whose_clock_is_right_is_no_question_of_honesty(land: Any, make_pair: Any) -> None:
    """A peer that is ahead keeps what was issued in this node's future: it waits, and no more."""
    pair = make_pair(land)
    ahead = land.note(land.nodes[0], issued_at_ms=land.now_ms + 300_000)
    pair.shelves[B].offer(ahead, land.now_ms + 300_000)
    pair.join(A)
    pair.run()
    assert pair.nodes[A].counts["lies"] == 0
    assert pair.nodes[A].counts["sessions done"] == 1
    assert pair.nodes[A].held()["declined"] == 1
    other = make_pair(land)
    other.shelves[A].offer(ahead, land.now_ms + 300_000)
    other.join(A)
    other.run()
    assert other.nodes[A].counts["sessions done"] == 1
    assert other.nodes[B].counts["lies"] == 0
    assert len(other.shelves[B].ids("note")) == 0


def test_what_lapses_while_a_session_runs_is_no_lie(land: Any, make_pair: Any) -> None:
    pair = make_pair(land)
    pair.keep(B, land.note(land.nodes[0], term_ms=3_600_000))
    pair.answers[B] = Swapped(pair, lambda _: RecordsGiven(records=(), upto=1))
    pair.join(A)
    pair.run()
    assert pair.nodes[A].counts["lies"] == 0
    late = make_pair(land)
    note = land.note(land.nodes[0], term_ms=3_600_000)
    late.keep(B, note)
    honest = late.nodes[B].answer
    late.join(A)

    def answer(peer: str, asked: Any, now_ms: int) -> Wire:
        said = honest(peer, asked, now_ms)
        if isinstance(asked, Fetch):
            late.now_ms += 3_600_000
        return said

    late.answers[B] = answer
    late.run()
    assert late.nodes[A].counts["lies"] == 0
    assert late.nodes[A].held()["declined"] == 1


def test_pushed_records_that_do_not_verify_are_refused_and_none_is_kept(
    land: Any, make_pair: Any
) -> None:
    pair = make_pair(land)
    node = pair.nodes[B]
    good = land.note(land.nodes[0])
    bad: list[tuple[Carried, type[Refusal]]] = [
        (land.note(land.nodes[1], signer=land.nodes[2]), SignedRecordRejected),
        (land.place(land.nodes[1], name=land.nodes[0].did), RecordNotOwners),
    ]
    for record, refusal in bad:
        with pytest.raises(refusal):
            node.answer(A, Push(namespace="note", records=(good, record)), pair.now_ms)
    assert pair.shelves[B].held()["records"] == 0
    assert node.counts["lies"] == 2


def test_a_push_is_answered_with_what_is_not_kept(land: Any, make_pair: Any) -> None:
    pair = make_pair(land)
    node = pair.nodes[B]
    note = land.note(land.nodes[0], sequence=2)
    lapsed = land.note(land.nodes[1], issued_at_ms=land.now_ms - 3_600_000, term_ms=1_000)
    pair.keep(B, note)
    push = Push(
        namespace="note", records=(note, land.note(land.nodes[0]), lapsed, land.note(land.nodes[2]))
    )
    assert node.answer(A, push, pair.now_ms) == Pushed(kept=1, declined=(1, 2))


def test_a_peer_that_refuses_a_push_is_not_pushed_the_same_again(land: Any, make_pair: Any) -> None:
    """A node of another version may refuse what this one keeps: the rest still gets through."""
    pair = make_pair(land)
    pair.keep(A, land.note(land.nodes[0]))
    pair.keep(B, land.note(land.nodes[1]))
    honest = pair.nodes[B].answer

    def answer(peer: str, asked: Any, now_ms: int) -> Wire:
        if isinstance(asked, Push):
            raise SignedRecordRejected(why="no")
        return honest(peer, asked, now_ms)

    pair.answers[B] = answer
    pair.join(A)
    pair.run()
    assert pair.nodes[A].counts["sessions done"] == 1
    assert len(pair.shelves[A].ids("note")) == 2
    pair.run()
    assert sum(isinstance(asked, Push) for asked in pair.asked) == 1


def test_a_push_that_is_refused_for_another_reason_is_tried_again(
    land: Any, make_pair: Any
) -> None:
    pair = make_pair(land)
    pair.keep(A, land.note(land.nodes[0]))
    honest = pair.nodes[B].answer
    busy = iter([True])

    def answer(peer: str, asked: Any, now_ms: int) -> Wire:
        if isinstance(asked, Push) and next(busy, False):
            raise FrameMalformed(why="not now")
        return honest(peer, asked, now_ms)

    pair.answers[B] = answer
    pair.join(A)
    pair.run()
    assert pair.alike()


@pytest.mark.parametrize(
    "answer", [Pushed(kept=2), Pushed(kept=0, declined=(1,))], ids=["kept", "declined"]
)
def test_more_than_was_pushed_is_neither_kept_nor_declined(
    land: Any, make_pair: Any, answer: Pushed
) -> None:
    pair = make_pair(land)
    pair.keep(A, land.note(land.nodes[0]))
    honest = pair.nodes[B].answer
    pair.answers[B] = lambda peer, asked, now_ms: (
        answer if isinstance(asked, Push) else honest(peer, asked, now_ms)
    )
    pair.join(A)
    pair.run()
    assert pair.nodes[A].counts["lies"] == 1


def test_what_leaves_before_it_is_pushed_is_not_pushed(land: Any, make_pair: Any) -> None:
    pair = make_pair(land)
    owner = land.nodes[0]
    pair.keep(A, land.note(owner, term_ms=3_600_000))
    honest = pair.nodes[B].answer

    def answer(peer: str, asked: Any, now_ms: int) -> Wire:
        said = honest(peer, asked, now_ms)
        pair.shelves[A].tick(land.now_ms + 3_600_000)
        return said

    pair.join(A)
    pair.nodes[A].tick(pair.now_ms + 1_000)
    (node_ask,) = pair.outboxes[A].take()
    pair.carry(A, node_ask)
    (note_ask,) = pair.outboxes[A].take()
    answer_said = honest(A, note_ask.question, pair.now_ms)
    session = pair.nodes[A]._peers[B].session
    assert session is not None
    session.take(answer_said, pair.now_ms)
    pair.shelves[A].tick(land.now_ms + 3_600_000)
    assert isinstance(session.question(), Compare)  # Of the next namespace: nothing is pushed.


def test_ids_that_are_cut_off_are_a_malformed_question(land: Any, make_pair: Any) -> None:
    pair = make_pair(land)
    with pytest.raises(FrameMalformed):
        pair.nodes[A].answer(B, Fetch(namespace="note", ids=b"x" * 17), pair.now_ms)
    unknown = Fetch(namespace="note", ids=b"x" * 32)
    assert pair.nodes[A].answer(B, unknown, pair.now_ms) == RecordsGiven(records=(), upto=2)


def test_an_answer_never_lists_more_ids_than_one_may_have(
    land: Any, make_pair: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nodeimpl.overlay.reconcile.IDS_MAX", 100)
    pair = make_pair(land)
    pair.keep(B, *many(land, 1_500))
    pair.join(A)
    pair.run()
    assert pair.alike()
    for message in pair.answered:
        if isinstance(message, Compared) and len(message.ranges) > 1:
            assert sum(len(said.ids or b"") for said in message.ranges) <= 100 * ID_BYTES


def test_what_is_remembered_of_liars_and_of_what_was_declined_is_bounded(
    land: Any, make_pair: Any
) -> None:
    limits = ReconcilerLimits(liars_max=2, declined_max=3, notes_max=2)
    pair = make_pair(land, limits=limits)
    pair.shelves[A] = full = Shelf(land.verifier, Limits(owner_records_max=1))
    pair.nodes[A]._shelf = full
    node = pair.nodes[A]
    forged = land.note(land.nodes[1], signer=land.nodes[2])
    for number in range(4):
        with pytest.raises(SignedRecordRejected):
            node.answer(f"did:key:{number}", Push(namespace="note", records=(forged,)), 1)
    assert node.held()["liars"] == 2
    assert (len(node.notes), node.counts["notes dropped"]) == (2, 2)
    pair.keep(B, *many(land, 10))
    pair.join(A)
    pair.run()
    assert node.held()["declined"] == 3


def test_the_longest_backoff_is_an_hour(land: Any, make_pair: Any) -> None:
    pair = make_pair(land)
    node = pair.nodes[A]
    node.joined(B, pair.now_ms)
    forged = land.note(land.nodes[1], signer=land.nodes[2])
    for _ in range(40):
        with pytest.raises(SignedRecordRejected):
            node.answer(B, Push(namespace="note", records=(forged,)), pair.now_ms)
    assert (node.due_ms() or 0) - pair.now_ms == 3_600_000


def test_a_peer_that_is_honest_again_is_forgiven(land: Any, make_pair: Any) -> None:
    pair = make_pair(land)
    pair.answers[B] = said()
    pair.join(A)
    pair.run()
    pair.answers[B] = pair.nodes[B].answer
    pair.run()
    assert pair.nodes[A].held()["liars"] == 0


def test_the_sizes_of_questions_fit_the_contract() -> None:
    assert FETCHED_MAX * ID_BYTES == 2_048
    assert replace(Bounds(), undelivered_max=0).undelivered_max == 0
