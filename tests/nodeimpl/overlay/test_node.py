"""The composite: which machine is told what, and that one machine's news reaches the others."""

from __future__ import annotations

import random
from contextlib import suppress
from dataclasses import replace

import pytest

from devnet.sim.keys import identity_of, network_of
from nodeimpl.overlay.gossip import Verdict
from nodeimpl.overlay.node import (
    COMPARED_NEWS_BURST,
    COMPARED_NEWS_PER_S,
    NEWS_MS,
    TOPIC,
    OverlayLimits,
    OverlayNode,
)
from nodeimpl.overlay.port import Ask, Cast, Contact, Outbox
from nodeimpl.overlay.table import TableLimits
from opkit.proof.cid import cid_of
from opkit.proof.record import SKEW_MS, Verifier, sign_record
from opkit.wire.dht import (
    ContactText,
    FindNodes,
    FindRecords,
    Ping,
    Pong,
    PutRecord,
    RecordsFound,
    RecordTaken,
)
from opkit.wire.gossip import Envelope, Gossip
from opkit.wire.peer import HaveBlob, MethodUnknown
from opkit.wire.reconcile import Compare, Compared, Push
from opkit.wire.records import Carried, RecordBody, RecordOutdated

NOW_MS = 1_767_225_600_000
DAY_MS = 86_400_000
NODES = [identity_of(1, "node", number) for number in range(3)]
GENESIS = network_of(1, NODES)


def note(*, owner=NODES[1], at_ms=NOW_MS, label="a", text="hello", lapses_ms=DAY_MS, sequence=None):
    body = RecordBody(
        network=GENESIS.network,
        aud="note",
        name=f"{owner.did}/{label}",
        owner=owner.did,
        sequence=sequence or at_ms,
        issued_at_ms=at_ms,
        lapses_at_ms=at_ms + lapses_ms,
        value={"text": text},
    )
    return Carried(jws=sign_record(body, owner))


def blob():
    body = RecordBody(
        network=GENESIS.network,
        aud="blob",
        name=cid_of(b"x"),
        owner=NODES[1].did,
        sequence=NOW_MS,
        issued_at_ms=NOW_MS,
        lapses_at_ms=NOW_MS + DAY_MS,
        value={"size_bytes": 1},
    )
    return Carried(jws=sign_record(body, NODES[1]))


@pytest.fixture
def node():
    """Return a node that has two peers; one of them subscribes to records."""
    made = OverlayNode(
        contact=Contact(did=NODES[0].did, addresses=("sim:0",)),
        verifier=Verifier(GENESIS),
        outbox=Outbox(),
        chance=random.Random(1),
    )
    for peer in NODES[1:]:
        made.joined(peer.did, NOW_MS)
    made.heard(NODES[2].did, Gossip(subscribe=(TOPIC,), graft=(TOPIC,)), NOW_MS)
    take(made)
    return made


def take(node):
    node.flush()
    return node.dht.asking._outbox.take()


def published(node):
    """Return what the node gossips now, by whom it is told."""
    return [
        (effect.to, envelope.carried)
        for effect in take(node)
        if isinstance(effect, Cast)
        for envelope in effect.message.publish
    ]


def ignore(_outcome):
    return


def test_a_link_is_told_to_gossip_the_table_and_reconciliation() -> None:
    outbox = Outbox()
    node = OverlayNode(
        contact=Contact(did=NODES[0].did, addresses=()),
        verifier=Verifier(GENESIS),
        outbox=outbox,
        chance=random.Random(1),
    )
    node.joined(NODES[1].did, NOW_MS)
    node.flush()
    effects = outbox.take()
    assert Cast(to=NODES[1].did, message=Gossip(subscribe=(TOPIC,))) in effects
    assert [type(each.question) for each in effects if isinstance(each, Ask)] == [Ping]
    held = node.held()
    assert (held["gossip: peers"], held["reconcile: peers"]) == (1, 1)
    node.left(NODES[1].did, NOW_MS)
    held = node.held()
    assert (held["gossip: peers"], held["reconcile: peers"]) == (0, 0)


def test_what_arrives_in_one_turn_is_told_each_peer_in_one_frame(node) -> None:
    first, second = note(owner=NODES[1]), note(owner=NODES[0])
    for carried in (first, second):
        said = Gossip(publish=(Envelope(topic=TOPIC, carried=carried),))
        node.heard(NODES[1].did, said, NOW_MS)
    told = [each.message.publish for each in take(node) if isinstance(each, Cast)]
    assert [[each.carried for each in frame] for frame in told] == [[first, second]]


def test_what_is_published_is_kept_gossiped_and_put(node) -> None:
    mine = note(owner=NODES[0])
    done = []
    node.publish(mine, done.append, NOW_MS)
    effects = take(node)
    assert node.shelf.get("note", f"{NODES[0].did}/a") == (mine,)
    assert [each.message.publish for each in effects if isinstance(each, Cast)] == [
        (Envelope(topic=TOPIC, carried=mine),)
    ]
    assert done or any(isinstance(each, Ask) for each in effects)


def test_what_is_put_here_by_a_peer_is_gossiped_unless_its_namespace_is_not(node) -> None:
    assert node.answer(NODES[1].did, PutRecord(record=blob()), NOW_MS) == RecordTaken(new=True)
    assert published(node) == []
    node.answer(NODES[1].did, PutRecord(record=note()), NOW_MS)
    assert (NODES[2].did, note()) in published(node)


def test_what_came_long_after_its_issue_is_no_news(node) -> None:
    old = note(at_ms=NOW_MS - NEWS_MS - 1)
    node.answer(NODES[1].did, PutRecord(record=old), NOW_MS)
    assert node.shelf.get("note", f"{NODES[1].did}/a") == (old,)
    assert published(node) == []
    node.answer(NODES[1].did, PutRecord(record=note(label="b", at_ms=NOW_MS - NEWS_MS)), NOW_MS)
    assert len(published(node)) == 1


def test_what_was_just_issued_is_news_however_low_its_sequence(node) -> None:
    first = note(sequence=1)
    node.answer(NODES[1].did, PutRecord(record=first), NOW_MS)
    assert (NODES[2].did, first) in published(node)


def test_little_of_what_comparing_brought_is_gossiped_and_all_of_it_kept(node) -> None:
    many = tuple(note(label=f"n{number}") for number in range(COMPARED_NEWS_BURST + 30))
    for at in range(0, len(many), 32):
        node.answer(NODES[1].did, Push(namespace="note", records=many[at : at + 32]), NOW_MS)
    assert node.held()["shelf: records"] == len(many)
    assert len(published(node)) == COMPARED_NEWS_BURST
    later_ms = NOW_MS + 1_000
    more = tuple(note(label=f"m{number}") for number in range(10))
    node.answer(NODES[1].did, Push(namespace="note", records=more), later_ms)
    assert len(published(node)) == COMPARED_NEWS_PER_S
    for number in range(10):
        node.publish(note(owner=NODES[0], label=f"own{number}"), ignore, later_ms)
    assert len(published(node)) == 10


def test_what_gossip_brings_is_kept_and_handed_on_once(node) -> None:
    frame = Gossip(publish=(Envelope(topic=TOPIC, carried=note()),))
    node.heard(NODES[1].did, frame, NOW_MS)
    assert node.shelf.get("note", f"{NODES[1].did}/a") == (note(),)
    assert published(node) == [(NODES[2].did, note())]
    node.heard(NODES[1].did, frame, NOW_MS)
    assert published(node) == []


@pytest.mark.parametrize(
    ("carried", "verdict"),
    [
        (note(), Verdict.ACCEPT),
        (note(at_ms=NOW_MS - 5), Verdict.IGNORE),
        (note(at_ms=NOW_MS + SKEW_MS + 1), Verdict.STALE),
        (note(at_ms=NOW_MS - 20, lapses_ms=10), Verdict.STALE),
        (blob(), Verdict.REJECT),
        (Carried(jws=note().jws[:-8] + "AAAAAAAA"), Verdict.REJECT),
    ],
)
def test_the_shelf_judges_what_gossip_brings(node, carried, verdict) -> None:
    if verdict is Verdict.IGNORE:
        node.shelf.offer(note(), NOW_MS)
    assert node._judge(TOPIC, carried, NOW_MS) is verdict


def test_answers_reach_the_machine_that_asked(node) -> None:
    node.tick(NOW_MS + 1_000)
    asked = {type(each.question): each.token for each in take(node) if isinstance(each, Ask)}
    assert Compare in asked
    node.answered(asked[Compare], Compared(ranges=()), NOW_MS + 1_010)
    assert node.reconciler.counts["lies"] == 1
    node.dht.get("note", "x", ignore, NOW_MS)
    node.dht.bootstrap([Contact(did=NODES[1].did, addresses=("sim:1",))], NOW_MS + 2_000)
    node.answered(999_999, RecordsFound(records=(), contacts=()), NOW_MS)
    node.failed(999_999, "timeout", NOW_MS)


def test_answers_and_failures_reach_the_table() -> None:
    outbox = Outbox()
    node = OverlayNode(
        contact=Contact(did=NODES[0].did, addresses=()),
        verifier=Verifier(GENESIS),
        outbox=outbox,
        chance=random.Random(1),
    )
    node.join([Contact(did=each.did, addresses=("sim:1",)) for each in NODES[1:]], NOW_MS)
    first, second = outbox.take()
    pong = Pong(contact=ContactText(did=NODES[1].did, addresses=("sim:1",)))
    node.answered(first.token, pong, NOW_MS)
    assert node.held()["dht: contacts"] == 1
    node.failed(second.token, "timeout", NOW_MS)
    assert node.held()["dht: suspects"] == 1


def test_a_lookup_never_brings_less_than_what_the_node_learned_meanwhile() -> None:
    outbox, done = Outbox(), []
    node = OverlayNode(
        contact=Contact(did=NODES[0].did, addresses=()),
        verifier=Verifier(GENESIS),
        outbox=outbox,
        chance=random.Random(1),
    )
    node.join([Contact(did=NODES[2].did, addresses=("sim:2",))], NOW_MS)
    pong = Pong(contact=ContactText(did=NODES[2].did, addresses=("sim:2",)))
    node.answered(outbox.take()[0].token, pong, NOW_MS)
    older, newer = note(at_ms=NOW_MS - 5), note()
    node.dht.get("note", f"{NODES[1].did}/a", done.append, NOW_MS)
    asked = [each for each in outbox.take() if isinstance(each.question, FindRecords)]
    node.shelf.offer(newer, NOW_MS)
    node.answered(asked[0].token, RecordsFound(records=(older,), contacts=()), NOW_MS + 5)
    assert done[0].records == (newer,)


def test_failures_reach_reconciliation(node) -> None:
    node.tick(NOW_MS + 1_000)
    asked = [each for each in take(node) if isinstance(each, Ask)]
    token = next(each.token for each in asked if isinstance(each.question, Compare))
    node.failed(token, "timeout", NOW_MS + 6_000)
    assert any(isinstance(each, Ask) for each in take(node))


def test_questions_go_to_the_machine_whose_they_are(node) -> None:
    compare = Compare(namespace="note", prefixes=("",), ids_max=32)
    assert isinstance(node.answer(NODES[1].did, compare, NOW_MS), Compared)
    find = FindNodes(target="0" * 64)
    assert node.answer(NODES[1].did, find, NOW_MS).contacts == ()
    with pytest.raises(MethodUnknown):
        node.answer(NODES[1].did, HaveBlob(cid="x"), NOW_MS)


def test_a_cast_of_another_kind_is_nothing(node) -> None:
    node.heard(NODES[1].did, HaveBlob(cid="x"), NOW_MS)
    assert take(node) == []


def test_it_is_due_when_the_first_of_its_machines_is(node) -> None:
    node.tick(NOW_MS)
    assert node.due_ms() < node.dht.due_ms()
    machines = (node.shelf, node.dht, node.gossip, node.reconciler)
    dues = [due for machine in machines if (due := machine.due_ms()) is not None]
    assert node.due_ms() == min(dues)
    node.shelf.offer(note(lapses_ms=300_000), NOW_MS)
    node.tick(NOW_MS + 400_000)
    assert node.held()["shelf: records"] == 0


def test_what_was_kept_before_a_restart_is_kept_again_and_told_nobody(node) -> None:
    lapsed = note(label="old", at_ms=NOW_MS - 20, lapses_ms=10)
    assert node.restore([note(), note(label="b"), lapsed], NOW_MS) == 2
    assert published(node) == []
    node.heard(NODES[1].did, Gossip(publish=(Envelope(topic=TOPIC, carried=note()),)), NOW_MS)
    assert published(node) == []


def test_gossip_that_may_have_missed_something_has_the_peer_compared_with(node) -> None:
    node._suspect(NODES[1].did)
    assert node.reconciler.counts["suspicions"] == 1


def test_notes_of_all_machines_are_taken_once(node) -> None:
    node.shelf.offer(note(text="one"), NOW_MS)
    with suppress(RecordOutdated):  # Of two with one sequence chance says which one stands.
        node.shelf.offer(note(text="two"), NOW_MS)
    kinds = {type(each).__name__ for each in node.take_notes()}
    assert {"EquivocationSeen", "MeshJoined"} <= kinds
    assert node.take_notes() == []


def test_limits_are_those_that_were_given() -> None:
    limits = OverlayLimits()
    limits = replace(limits, dht=replace(limits.dht, table=TableLimits(bucket_max=3)))
    node = OverlayNode(
        contact=Contact(did=NODES[0].did, addresses=()),
        verifier=Verifier(GENESIS),
        outbox=Outbox(),
        chance=random.Random(1),
        limits=limits,
    )
    assert node.limits is limits
