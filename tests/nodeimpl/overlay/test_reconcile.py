"""Two nodes compare what they keep: both end with the same, at the price of the difference."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodeimpl.overlay.budgets import Limits
from nodeimpl.overlay.namespaces import RECONCILED
from nodeimpl.overlay.port import Ask, Outbox
from nodeimpl.overlay.reconcile import Reconciler, ReconcilerLimits, Repaired
from nodeimpl.overlay.shelf import Shelf
from opkit.proof import jws
from opkit.wire.reconcile import (
    ID_BYTES,
    PUSHED_MAX,
    RANGE_IDS_MAX,
    Compare,
    Compared,
    Fetch,
    Push,
    Pushed,
    RecordsGiven,
)
from opkit.wire.records import (
    Carried,
    RecordOutdated,
)

A, B = "did:key:a", "did:key:b"


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


def share(pair: Any, pool: Iterable[Carried], where: Callable[[int], Iterable[str]]) -> None:
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
    land: Any, make_pair: Any, pool: list[Carried], seed: int, lost: set[int], shares: str
) -> None:
    chance = random.Random(seed)
    pair = make_pair(land, seed=seed)
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


def test_one_session_repairs_both_sides(land: Any, make_pair: Any, pool: list[Carried]) -> None:
    pair = make_pair(land)
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


def test_equal_nodes_ask_one_question_about_all_namespaces(
    land: Any, make_pair: Any, pool: list[Carried]
) -> None:
    pair = make_pair(land)
    share(pair, pool, lambda _: (A, B))
    pair.join(A)
    pair.nodes[A]._peers[B].met = True
    pair.run()
    (asked,) = pair.asked
    assert isinstance(asked, Compare)
    assert (asked.namespace, *(root.namespace for root in asked.roots)) == RECONCILED
    assert pair.nodes[A].take_notes() == []


def test_nodes_that_meet_look_at_each_namespace_and_later_at_all_together(
    land: Any, make_pair: Any
) -> None:
    pair = make_pair(land)
    pair.join(A)
    pair.run()
    assert [asked.namespace for asked in pair.asked] == list(RECONCILED)
    assert not any(asked.roots for asked in pair.asked)
    pair.asked.clear()
    pair.now_ms = pair.nodes[A].due_ms()
    pair.nodes[A].tick(pair.now_ms)
    pair.settle()
    (asked,) = pair.asked
    assert len(asked.roots) == len(RECONCILED) - 1


def test_a_peer_that_says_nothing_of_roots_is_asked_about_each_namespace(
    land: Any, make_pair: Any, pool: list[Carried]
) -> None:
    pair = make_pair(land)
    share(pair, pool, lambda _: (A, B))
    honest = pair.answers[B]
    pair.answers[B] = lambda *asked: honest(*asked).model_copy(update={"differ": None})
    pair.join(A)
    pair.nodes[A]._peers[B].met = True
    pair.run()
    assert all(isinstance(asked, Compare) for asked in pair.asked)
    assert tuple(asked.namespace for asked in pair.asked) == RECONCILED
    assert [bool(asked.roots) for asked in pair.asked] == [True] + [False] * (len(RECONCILED) - 1)


def test_of_many_namespaces_only_those_that_differ_are_walked(
    land: Any, make_pair: Any, pool: list[Carried]
) -> None:
    pair = make_pair(land)
    share(pair, pool, lambda _: (A, B))
    pair.keep(B, *many(land, 1))
    pair.join(A)
    pair.nodes[A]._peers[B].met = True
    pair.run()
    assert pair.alike()
    compares = [asked for asked in pair.asked if isinstance(asked, Compare)]
    assert [asked.namespace for asked in compares[:2]] == [RECONCILED[0], "note"]
    assert {asked.namespace for asked in compares[1:]} == {"note"}


def many(land: Any, count: int, *, owner: Any = None) -> list[Carried]:
    owner = owner or land.founders[0]
    return [land.note(owner, f"many{number}") for number in range(count)]


def test_what_travels_is_near_the_size_of_the_difference(land: Any, make_pair: Any) -> None:
    pair = make_pair(land)
    records = many(land, 1_500)
    pair.keep(A, *records[4:])
    pair.keep(B, *records[:-4])
    pair.join(A)
    pair.run()
    assert pair.alike()
    travelled = sum(
        len(message.model_dump_json())
        for message in (*pair.asked, *pair.answered)
        if not isinstance(message, RecordsGiven | Push)
    )
    assert travelled < 25_000 < 1_500 * ID_BYTES * 2


def test_an_empty_node_is_told_the_ids_at_once(land: Any, make_pair: Any) -> None:
    """Where nothing is kept fingerprints say nothing, so the peer lists its ids sooner."""
    pair = make_pair(land)
    pair.keep(B, *many(land, 1_500))
    pair.join(A)
    pair.run()
    assert pair.alike()
    compares = [asked for asked in pair.asked if isinstance(asked, Compare)]
    assert len(compares) == len(RECONCILED) + 1
    assert max(asked.ids_max for asked in compares) == RANGE_IDS_MAX


def test_a_full_node_gives_an_empty_one_everything(land: Any, make_pair: Any) -> None:
    pair = make_pair(land)
    pair.keep(A, *many(land, 300))
    pair.join(A)
    pair.run()
    assert pair.alike()
    assert max(len(a.records) for a in pair.asked if isinstance(a, Push)) == PUSHED_MAX


def test_records_that_one_message_does_not_hold_come_in_several(land: Any, make_pair: Any) -> None:
    large = [land.note(land.founders[0], f"n{n}", text="x" * 4_000) for n in range(130)]
    for giver in (A, B):
        pair = make_pair(land)
        pair.keep(giver, *large)
        pair.join(A)
        pair.run()
        assert pair.alike()
        for message in (*pair.asked, *pair.answered):
            assert len(message.model_dump_json()) < 400_000


def test_a_copy_whose_proof_was_left_out_is_mended(land: Any, make_pair: Any) -> None:
    member = land.stranger(3)
    whole = land.note(member, proof=(land.membership("yard/ilse", member.did),))
    for bare_at in (A, B):
        pair = make_pair(land)
        pair.keep(bare_at, land.note(member))
        pair.keep(B if bare_at == A else A, whole)
        pair.join(A)
        pair.run()
        assert pair.alike()
        assert pair.shelves[bare_at].sponsor(id_of(whole)) == "yard"


def test_what_a_peer_did_not_keep_is_offered_again_over_its_next_link(
    land: Any, make_pair: Any
) -> None:
    """It may have started again meanwhile, and would wait for minutes if it is asked first."""
    pair = make_pair(land)
    pair.keep(A, land.note(land.nodes[0]))
    honest = pair.nodes[B].answer

    def refuse(peer: str, asked: Any, now_ms: int) -> Any:
        if isinstance(asked, Push):
            return Pushed(kept=0, declined=(0,))
        return honest(peer, asked, now_ms)

    pair.answers[B] = refuse
    pair.join(A)
    pair.run(2)
    assert sum(isinstance(asked, Push) for asked in pair.asked) == 1
    pair.answers[B] = honest
    pair.nodes[A].left(B, pair.now_ms)
    assert pair.nodes[A].held()["declined"] == 0
    pair.join(A)
    pair.run()
    assert pair.alike()


def test_what_has_no_room_is_left_alone_for_a_while(land: Any, make_pair: Any) -> None:
    pair = make_pair(land)
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


def test_what_a_peer_has_no_room_for_is_not_pushed_again_soon(land: Any, make_pair: Any) -> None:
    pair = make_pair(land)
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


def test_the_session_of_one_puts_off_that_of_the_other_once(land: Any, make_pair: Any) -> None:
    pair = make_pair(land)
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


def test_sessions_run_again_after_a_while_and_on_suspicion(land: Any, make_pair: Any) -> None:
    pair = make_pair(land)
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


def test_silence_ends_a_session_which_is_begun_again_later(land: Any, make_pair: Any) -> None:
    pair = make_pair(land)
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


def test_a_link_that_is_lost_ends_its_session(land: Any, make_pair: Any) -> None:
    pair = make_pair(land)
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
