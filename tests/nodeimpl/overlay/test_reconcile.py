"""Two nodes compare what they keep: both end with the same, and whoever lies costs one session."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodeimpl.overlay.budgets import Limits
from nodeimpl.overlay.port import Ask, Outbox
from nodeimpl.overlay.reconcile import PeerLied, Reconciler, ReconcilerLimits, Repaired
from nodeimpl.overlay.repair import Bounds
from nodeimpl.overlay.shelf import Shelf
from opkit.proof import jws
from opkit.wire.base import Wire
from opkit.wire.errors import Refusal
from opkit.wire.peer import FrameMalformed
from opkit.wire.reconcile import (
    FETCHED_MAX,
    ID_BYTES,
    PUSHED_MAX,
    RANGE_IDS_MAX,
    Compare,
    Compared,
    Fetch,
    Fetched,
    Push,
    Pushed,
    Range,
)
from opkit.wire.records import (
    Carried,
    RecordNotOwners,
    RecordOutdated,
    SignedRecordRejected,
)

A, B = "did:key:a", "did:key:b"
Answers = Callable[[str, Any, int], Wire]


class Pair:
    """Two nodes with a link; what `loses` says of the number of a question is lost."""

    def __init__(self, land: Any, *, limits: ReconcilerLimits | None = None, seed: int = 1) -> None:
        self.now_ms = land.now_ms
        self.shelves = {did: Shelf(land.verifier) for did in (A, B)}
        self.outboxes = {did: Outbox() for did in (A, B)}
        self.nodes = {
            did: Reconciler(
                self.shelves[did],
                outbox=self.outboxes[did],
                chance=random.Random(seed + number),
                limits=limits,
            )
            for number, did in enumerate((A, B))
        }
        self.answers: dict[str, Answers] = {did: node.answer for did, node in self.nodes.items()}
        self.loses: Callable[[int], bool] = lambda _: False
        self.asked: list[Wire] = []
        self.answered: list[Wire] = []

    def keep(self, did: str, *records: Carried) -> None:
        for record in records:
            self.shelves[did].offer(record, self.now_ms)

    def join(self, *who: str) -> None:
        for did in who or (A, B):
            self.nodes[did].joined(B if did == A else A, self.now_ms)

    def settle(self) -> None:
        """Carry questions and answers until nobody asks any more."""
        waiting: deque[tuple[str, Ask]] = deque()
        while True:
            for did, outbox in self.outboxes.items():
                waiting += [(did, ask) for ask in outbox.take() if isinstance(ask, Ask)]
            if not waiting:
                return
            self.carry(*waiting.popleft())

    def carry(self, did: str, ask: Ask) -> None:
        """Carry one question and what comes of it."""
        self.now_ms += 1
        self.asked.append(ask.question)
        node = self.nodes[did]
        assert node.owns(ask.token)
        if self.loses(len(self.asked)):
            node.failed(ask.token, "timeout", self.now_ms)
        else:
            try:
                answer = self.answers[ask.to.did](did, ask.question, self.now_ms)
            except Refusal as no:
                node.failed(ask.token, no.code, self.now_ms)
            else:
                self.answered.append(answer)
                node.answered(ask.token, answer, self.now_ms)
        assert not node.owns(ask.token)

    def run(self, ticks: int = 1) -> None:
        """Tick whoever is due and settle, so often."""
        for _ in range(ticks):
            due = [node.due_ms() for node in self.nodes.values()]
            known = [due_ms for due_ms in due if due_ms is not None]
            if not known:
                return
            self.now_ms = max(self.now_ms, min(known))
            for node in self.nodes.values():
                node.tick(self.now_ms)
            self.settle()

    def alike(self) -> bool:
        prints = [
            [shelf.ids(namespace).fingerprint() for namespace in ("node", "note")]
            for shelf in self.shelves.values()
        ]
        return prints[0] == prints[1]


def id_of(carried: Carried) -> bytes:
    return bytes.fromhex(jws.record_id(carried.jws))


def pool_of(land: Any) -> list[Carried]:
    """Return records of many owners: notes, later ones, tombstones, places, two of one sequence."""
    owners = [*land.nodes, *land.founders, land.stranger(1), land.stranger(2)]
    records = [land.place(owner) for owner in owners]
    for owner in owners:
        records += [land.note(owner, f"n{number}") for number in range(12)]
        records += [land.note(owner, "n0", sequence=2), land.tombstone(owner, "n1", sequence=3)]
        records += [land.note(owner, "n2", text="another")]
    return records


@pytest.fixture(scope="session")
def pool(land: Any) -> list[Carried]:
    """Records to share out."""
    return pool_of(land)


def share(pair: Pair, pool: Iterable[Carried], where: Callable[[int], str]) -> None:
    for number, record in enumerate(pool):
        for did in where(number):
            try:
                pair.shelves[did].offer(record, pair.now_ms)
            except RecordOutdated:
                continue


@given(
    seed=st.integers(0, 2**32),
    lost=st.sets(st.integers(1, 40), max_size=20),
    shares=st.sampled_from(["ab", "a", "both", "mixed"]),
)
def test_any_two_shelves_end_equal_whichever_questions_are_lost(
    land: Any, pool: list[Carried], seed: int, lost: set[int], shares: str
) -> None:
    chance = random.Random(seed)
    pair = Pair(land, seed=seed)
    places = {"ab": [A, B], "a": [A], "both": [(A, B)], "mixed": [(A,), (B,), (A, B), ()]}[shares]
    share(
        pair, pool, lambda _: [place] if isinstance(place := chance.choice(places), str) else place
    )
    pair.loses = lambda number: number in lost
    pair.join()
    for _ in range(12):
        pair.run()
        if any(node.counts["sessions done"] for node in pair.nodes.values()):
            break
    assert pair.alike()
    for node in pair.nodes.values():
        assert node.held()["questions"] == node.held()["sessions"] == 0


def test_one_session_repairs_both_sides(land: Any, pool: list[Carried]) -> None:
    pair = Pair(land)
    share(pair, pool, lambda number: [(A, B)[number % 2]])
    pair.join(A)
    pair.run()
    assert pair.alike()
    done = pair.nodes[A]
    assert done.counts["sessions done"] == 1
    (note,) = done.take_notes()
    assert isinstance(note, Repaired)
    assert note.kept == done.counts["records kept"] > 0
    assert note.pushed == done.counts["records pushed"] == pair.nodes[B].counts["records taken"]
    assert done.take_notes() == []


def test_equal_nodes_ask_one_question_a_namespace(land: Any, pool: list[Carried]) -> None:
    pair = Pair(land)
    share(pair, pool, lambda _: (A, B))
    pair.join(A)
    pair.run()
    assert [type(asked) for asked in pair.asked] == [Compare, Compare]
    assert pair.nodes[A].take_notes() == []


def many(land: Any, count: int, *, owner: Any = None) -> list[Carried]:
    owner = owner or land.founders[0]
    return [land.note(owner, f"many{number}") for number in range(count)]


def test_what_travels_is_near_the_size_of_the_difference(land: Any) -> None:
    pair = Pair(land)
    records = many(land, 1_500)
    pair.keep(A, *records[4:])
    pair.keep(B, *records[:-4])
    pair.join(A)
    pair.run()
    assert pair.alike()
    travelled = sum(
        len(message.model_dump_json())
        for message in (*pair.asked, *pair.answered)
        if not isinstance(message, Fetched | Push)
    )
    assert travelled < 25_000 < 1_500 * ID_BYTES * 2


def test_an_empty_node_is_told_the_ids_at_once(land: Any) -> None:
    """Where nothing is kept fingerprints say nothing, so the peer lists its ids sooner."""
    pair = Pair(land)
    pair.keep(B, *many(land, 1_500))
    pair.join(A)
    pair.run()
    assert pair.alike()
    compares = [asked for asked in pair.asked if isinstance(asked, Compare)]
    assert len(compares) == 3
    assert max(asked.ids_max for asked in compares) == RANGE_IDS_MAX


def test_a_full_node_gives_an_empty_one_everything(land: Any) -> None:
    pair = Pair(land)
    pair.keep(A, *many(land, 300))
    pair.join(A)
    pair.run()
    assert pair.alike()
    assert max(len(a.records) for a in pair.asked if isinstance(a, Push)) == PUSHED_MAX


def test_records_that_one_message_does_not_hold_come_in_several(land: Any) -> None:
    large = [land.note(land.founders[0], f"n{n}", text="x" * 4_000) for n in range(130)]
    for giver in (A, B):
        pair = Pair(land)
        pair.keep(giver, *large)
        pair.join(A)
        pair.run()
        assert pair.alike()
        for message in (*pair.asked, *pair.answered):
            assert len(message.model_dump_json()) < 400_000


def test_a_copy_whose_proof_was_left_out_is_mended(land: Any) -> None:
    member = land.stranger(3)
    whole = land.note(member, proof=(land.membership("yard/ilse", member.did),))
    for bare_at in (A, B):
        pair = Pair(land)
        pair.keep(bare_at, land.note(member))
        pair.keep(B if bare_at == A else A, whole)
        pair.join(A)
        pair.run()
        assert pair.alike()
        assert pair.shelves[bare_at].sponsor(id_of(whole)) == "yard"


def test_what_has_no_room_is_left_alone_for_a_while(land: Any) -> None:
    pair = Pair(land)
    pair.shelves[A] = full = Shelf(land.verifier, Limits(owner_records_max=5))
    pair.nodes[A]._shelf = full
    records = many(land, 20)
    pair.keep(A, *records[:5])
    pair.keep(B, *records[5:])
    pair.join(A)
    pair.run()
    fetched = sum(isinstance(asked, Fetch) for asked in pair.asked)
    assert fetched == 1
    assert pair.nodes[A].held()["declined"] == 15
    pair.run(2)
    assert sum(isinstance(asked, Fetch) for asked in pair.asked) == 1
    assert pair.nodes[A].counts["sessions done"] >= 2


def test_what_a_peer_has_no_room_for_is_not_pushed_again_soon(land: Any) -> None:
    pair = Pair(land)
    pair.shelves[B] = full = Shelf(land.verifier, Limits(owner_records_max=5))
    pair.nodes[B]._shelf = full
    pair.keep(A, *many(land, 20))
    pair.join(A)
    pair.run()
    assert pair.nodes[A].counts["records pushed"] == 5
    pushes = sum(isinstance(asked, Push) for asked in pair.asked)
    pair.nodes[B].left(A, pair.now_ms)
    pair.run(2)
    assert sum(isinstance(asked, Push) for asked in pair.asked) == pushes


def test_the_session_of_one_puts_off_that_of_the_other_once(land: Any) -> None:
    pair = Pair(land)
    pair.join()
    first, second = (node.due_ms() for node in pair.nodes.values())
    assert first is not None
    assert second is not None
    begins, waits = (A, B) if first <= second else (B, A)
    pair.run()
    assert pair.nodes[begins].counts["sessions begun"] == 1
    put_off = pair.nodes[waits].due_ms()
    assert put_off is not None
    assert put_off >= pair.now_ms + 50_000
    whole = Compare(namespace="node", prefixes=("",), ids_max=32)
    pair.nodes[waits].answer(begins, whole, pair.now_ms + 40_000)
    assert pair.nodes[waits].due_ms() == put_off


def test_sessions_run_again_after_a_while_and_on_suspicion(land: Any) -> None:
    pair = Pair(land)
    pair.join(A)
    pair.run()
    node = pair.nodes[A]
    due_ms = node.due_ms()
    assert due_ms is not None
    assert 55_000 < due_ms - pair.now_ms <= 180_000
    node.suspect(B, pair.now_ms)
    sooner_ms = node.due_ms()
    assert sooner_ms is not None
    assert pair.now_ms < sooner_ms <= pair.now_ms + 5_000
    node.suspect("did:key:nobody", pair.now_ms)
    pair.run()
    assert node.counts["sessions done"] == 2
    assert node.counts["suspicions"] == 1


def test_silence_ends_a_session_which_is_begun_again_later(land: Any) -> None:
    pair = Pair(land)
    pair.keep(B, land.note(land.nodes[0]))
    pair.loses = lambda number: number <= 3
    pair.join(A)
    pair.run()
    node = pair.nodes[A]
    assert node.counts["sessions without answer"] == 1
    assert node.held()["sessions"] == 0
    assert len(pair.asked) == 3
    pair.run()
    assert pair.alike()


def test_a_link_that_is_lost_ends_its_session(land: Any) -> None:
    pair = Pair(land)
    pair.join(A)
    node = pair.nodes[A]
    node.tick(node.due_ms() or 0)
    (ask,) = pair.outboxes[A].take()
    assert isinstance(ask, Ask)
    node.left(B, pair.now_ms)
    assert node.counts["sessions cut"] == 1
    assert node.owns(ask.token)
    node.answered(ask.token, Compared(ranges=()), pair.now_ms)
    assert not node.owns(ask.token)
    assert node.due_ms() is None
    node.joined(B, pair.now_ms)
    node.tick(pair.now_ms + 1_000)
    (again,) = pair.outboxes[A].take()
    assert isinstance(again, Ask)
    node.left(B, pair.now_ms)
    node.joined(B, pair.now_ms)
    node.tick(pair.now_ms + 1_000)
    node.failed(again.token, "timeout", pair.now_ms)
    assert node.held()["sessions"] == 1
    assert node.held()["questions"] == 1


def test_few_sessions_run_at_once_and_few_peers_are_known(land: Any) -> None:
    limits = ReconcilerLimits(sessions_max=2, peers_max=3)
    outbox = Outbox()
    node = Reconciler(Shelf(land.verifier), outbox=outbox, chance=random.Random(1), limits=limits)
    for number in range(4):
        node.joined(f"did:key:{number}", land.now_ms)
        node.joined(f"did:key:{number}", land.now_ms)
    assert node.held()["peers"] == 3
    assert node.counts["peers beyond the limit"] == 2
    later_ms = land.now_ms + 1_000
    node.tick(later_ms)
    assert len(outbox.take()) == node.held()["sessions"] == 2
    assert node.due_ms() is None
    node.tick(later_ms)
    assert outbox.take() == []


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
            return Fetched(records=(), upto=len(asked.ids) // ID_BYTES)
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
        return Fetched(records=(), upto=len(asked.ids) // ID_BYTES)

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


LIARS: dict[str, tuple[Liar, str]] = {
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
def test_whoever_lies_loses_the_session_and_is_left_alone(land: Any, lie: Liar, why: str) -> None:
    pair = Pair(land)
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


def test_a_session_with_a_liar_without_end_is_bounded(land: Any) -> None:
    bounds = Bounds(prefixes_max=2_000)
    pair = Pair(land, limits=ReconcilerLimits(bounds=bounds))
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
    land: Any, bounds: Bounds
) -> None:
    pair = Pair(land, limits=ReconcilerLimits(bounds=bounds))
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


def test_a_session_that_takes_too_long_is_ended(land: Any) -> None:
    pair = Pair(land, limits=ReconcilerLimits(session_ms_max=0))
    pair.join(A)
    pair.run()
    node = pair.nodes[A]
    assert node.held()["sessions"] == 0
    assert pair.asked == []
    assert (node.counts["sessions too late"], node.counts["lies"]) == (1, 0)
    assert (node.due_ms() or 0) - pair.now_ms >= 240_000


class Swapped:
    """A peer that is honest about ids and gives other records for them."""

    def __init__(self, pair: Pair, gives: Callable[[Fetched], Fetched]) -> None:
        self.honest = pair.nodes[B].answer
        self.gives = gives

    def __call__(self, peer: str, asked: Any, now_ms: int) -> Wire:
        answer = self.honest(peer, asked, now_ms)
        return self.gives(answer) if isinstance(answer, Fetched) else answer


def test_other_records_than_were_asked_for_are_a_lie(land: Any) -> None:
    good = land.note(land.nodes[0])
    forged = land.note(land.nodes[0], signer=land.nodes[1])
    gifts: list[Callable[[Fetched], Fetched]] = [
        lambda f: Fetched(records=(land.note(land.nodes[1]),), upto=f.upto),
        lambda f: Fetched(records=(forged,), upto=f.upto),
        lambda f: Fetched(records=(good, good), upto=f.upto + 1),
        lambda _: Fetched(records=(), upto=0),
        lambda f: Fetched(records=(), upto=f.upto + 1),
    ]
    for gives in gifts:
        pair = Pair(land)
        pair.keep(B, good)
        pair.answers[B] = Swapped(pair, gives)
        pair.join(A)
        pair.run()
        assert pair.nodes[A].counts["lies"] == 1
        assert len(pair.shelves[A].ids("note")) == 0


def test_the_same_record_twice_is_a_lie(land: Any) -> None:
    pair = Pair(land)
    pair.keep(B, *many(land, 2))
    pair.answers[B] = Swapped(
        pair, lambda f: Fetched(records=(f.records[0], f.records[0]), upto=f.upto)
    )
    pair.join(A)
    pair.run()
    assert pair.nodes[A].counts["lies"] == 1


def test_a_record_that_nobody_keeps_is_a_lie_though_it_was_listed(land: Any) -> None:
    """Its hand is good, so its id can be listed; no honest node would have kept it."""
    wrong = land.note(land.nodes[0], value={"text": 7})
    pair = Pair(land)
    item = pair.shelves[B].item(wrong)

    def answer(peer: str, asked: Any, now_ms: int) -> Wire:
        del peer, now_ms
        if isinstance(asked, Compare):
            return Compared(ranges=(Range(ids=item[:ID_BYTES]),))
        return Fetched(records=(wrong,), upto=1)

    pair.answers[B] = answer
    pair.join(A)
    pair.run()
    assert pair.nodes[A].counts["lies"] == 1


def test_whose_clock_is_right_is_no_question_of_honesty(land: Any) -> None:
    """A peer that is ahead keeps what was issued in this node's future: it waits, and no more."""
    pair = Pair(land)
    ahead = land.note(land.nodes[0], issued_at_ms=land.now_ms + 300_000)
    pair.shelves[B].offer(ahead, land.now_ms + 300_000)
    pair.join(A)
    pair.run()
    assert pair.nodes[A].counts["lies"] == 0
    assert pair.nodes[A].counts["sessions done"] == 1
    assert pair.nodes[A].held()["declined"] == 1
    other = Pair(land)
    other.shelves[A].offer(ahead, land.now_ms + 300_000)
    other.join(A)
    other.run()
    assert other.nodes[A].counts["sessions done"] == 1
    assert other.nodes[B].counts["lies"] == 0
    assert len(other.shelves[B].ids("note")) == 0


def test_what_lapses_while_a_session_runs_is_no_lie(land: Any) -> None:
    pair = Pair(land)
    pair.keep(B, land.note(land.nodes[0], term_ms=3_600_000))
    pair.answers[B] = Swapped(pair, lambda _: Fetched(records=(), upto=1))
    pair.join(A)
    pair.run()
    assert pair.nodes[A].counts["lies"] == 0
    late = Pair(land)
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


def test_pushed_records_that_do_not_verify_are_refused_and_none_is_kept(land: Any) -> None:
    pair = Pair(land)
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


def test_a_push_is_answered_with_what_is_not_kept(land: Any) -> None:
    pair = Pair(land)
    node = pair.nodes[B]
    note = land.note(land.nodes[0], sequence=2)
    lapsed = land.note(land.nodes[1], issued_at_ms=land.now_ms - 3_600_000, term_ms=1_000)
    pair.keep(B, note)
    push = Push(
        namespace="note", records=(note, land.note(land.nodes[0]), lapsed, land.note(land.nodes[2]))
    )
    assert node.answer(A, push, pair.now_ms) == Pushed(kept=1, declined=(1, 2))


def test_a_peer_that_refuses_a_push_is_not_pushed_the_same_again(land: Any) -> None:
    """A node of another version may refuse what this one keeps: the rest still gets through."""
    pair = Pair(land)
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


def test_a_push_that_is_refused_for_another_reason_is_tried_again(land: Any) -> None:
    pair = Pair(land)
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
def test_more_than_was_pushed_is_neither_kept_nor_declined(land: Any, answer: Pushed) -> None:
    pair = Pair(land)
    pair.keep(A, land.note(land.nodes[0]))
    honest = pair.nodes[B].answer
    pair.answers[B] = lambda peer, asked, now_ms: (
        answer if isinstance(asked, Push) else honest(peer, asked, now_ms)
    )
    pair.join(A)
    pair.run()
    assert pair.nodes[A].counts["lies"] == 1


def test_what_leaves_before_it_is_pushed_is_not_pushed(land: Any) -> None:
    pair = Pair(land)
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
    assert session.question() is None


def test_ids_that_are_cut_off_are_a_malformed_question(land: Any) -> None:
    pair = Pair(land)
    with pytest.raises(FrameMalformed):
        pair.nodes[A].answer(B, Fetch(namespace="note", ids=b"x" * 17), pair.now_ms)
    unknown = Fetch(namespace="note", ids=b"x" * 32)
    assert pair.nodes[A].answer(B, unknown, pair.now_ms) == Fetched(records=(), upto=2)


def test_an_answer_never_lists_more_ids_than_one_may_have(
    land: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nodeimpl.overlay.reconcile.IDS_MAX", 100)
    pair = Pair(land)
    pair.keep(B, *many(land, 1_500))
    pair.join(A)
    pair.run()
    assert pair.alike()
    for message in pair.answered:
        if isinstance(message, Compared) and len(message.ranges) > 1:
            assert sum(len(said.ids or b"") for said in message.ranges) <= 100 * ID_BYTES


def test_what_is_remembered_of_liars_and_of_what_was_declined_is_bounded(land: Any) -> None:
    limits = ReconcilerLimits(liars_max=2, declined_max=3, notes_max=2)
    pair = Pair(land, limits=limits)
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


def test_the_longest_backoff_is_an_hour(land: Any) -> None:
    pair = Pair(land)
    node = pair.nodes[A]
    node.joined(B, pair.now_ms)
    forged = land.note(land.nodes[1], signer=land.nodes[2])
    for _ in range(40):
        with pytest.raises(SignedRecordRejected):
            node.answer(B, Push(namespace="note", records=(forged,)), pair.now_ms)
    assert (node.due_ms() or 0) - pair.now_ms == 3_600_000


def test_a_peer_that_is_honest_again_is_forgiven(land: Any) -> None:
    pair = Pair(land)
    pair.answers[B] = said()
    pair.join(A)
    pair.run()
    pair.answers[B] = pair.nodes[B].answer
    pair.run()
    assert pair.nodes[A].held()["liars"] == 0


def test_the_sizes_of_questions_fit_the_contract() -> None:
    assert FETCHED_MAX * ID_BYTES == 2_048
    assert replace(Bounds(), undelivered_max=0).undelivered_max == 0
