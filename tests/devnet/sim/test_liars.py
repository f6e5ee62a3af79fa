"""What liars say, and that it is well-formed: only what is said is a lie."""

from __future__ import annotations

from random import Random

import pytest

from devnet.sim.keys import identity_of, network_of
from devnet.sim.liars import FLOOD_ENVELOPES, FLOOD_EVERY_MS, Liar, forged, named
from devnet.sim.world import EPOCH_MS, Peer, Silent
from nodeimpl.overlay.port import Contact, Outbox
from opkit.proof.checks import ProofError
from opkit.proof.record import read_record, sign_record
from opkit.wire.dht import (
    CONTACTS_MAX,
    ContactText,
    FindNodes,
    FindRecords,
    NodesFound,
    PutRecord,
    RecordsFound,
    RecordTaken,
)
from opkit.wire.gossip import Envelope, Gossip
from opkit.wire.records import Carried, RecordBody

OWNER = identity_of(1, "node", 0)
NETWORK = network_of(1, [OWNER, identity_of(1, "node", 1)]).network
TRUE = ContactText(did=OWNER.did, addresses=("sim:0",))
MADE_UP = ContactText(did=identity_of(1, "nobody", 0).did)
FRIEND = ContactText(did=identity_of(1, "liar", 1).did)
TARGET = "0" * 64


def record(sequence=1):
    body = RecordBody(
        network=NETWORK,
        aud="note",
        name=f"{OWNER.did}/a",
        owner=OWNER.did,
        sequence=sequence,
        issued_at_ms=EPOCH_MS,
        lapses_at_ms=EPOCH_MS + 1_000,
        value={"text": f"word {sequence}"},
    )
    return Carried(jws=sign_record(body, OWNER))


class Honest:
    """Answers as an honest node would."""

    due = None

    def __init__(self):
        self.heard_of, self.ticks = [], []

    def answer(self, peer, question, now_ms):
        if isinstance(question, FindNodes):
            return NodesFound(contacts=(TRUE,))
        if isinstance(question, PutRecord):
            return RecordTaken(new=True)
        return RecordsFound(records=(record(2),), contacts=(TRUE,))

    def heard(self, peer, cast, now_ms):
        self.heard_of.append(cast)

    def tick(self, now_ms):
        self.ticks.append(now_ms)

    def due_ms(self):
        return self.due


def liar(lie):
    identity = identity_of(1, "liar", 0)
    peer = Peer(
        index=3,
        identity=identity,
        contact=Contact(did=identity.did, addresses=()),
        outbox=Outbox(),
        chance=Random(1),
    )
    made = Liar(Honest(), lie=lie, peer=peer, accomplices=(FRIEND,), nobody=lambda: MADE_UP)
    return made, peer


def ask(lie, question, *, first=None):
    one, _ = liar(lie)
    if first is not None:
        one.heard("x", Gossip(publish=(Envelope(topic="records", carried=first),)), 0)
    return one.answer("x", question, 0)


RECORDS = FindRecords(namespace="note", name=f"{OWNER.did}/a")


def test_a_silent_liar_answers_nothing() -> None:
    with pytest.raises(Silent):
        ask("silent", FindNodes(target=TARGET))


def test_an_empty_liar_knows_nobody_and_keeps_nothing() -> None:
    assert ask("empty", FindNodes(target=TARGET)) == NodesFound(contacts=())
    assert ask("empty", RECORDS) == RecordsFound(records=(), contacts=())
    assert ask("empty", PutRecord(record=record())) == RecordTaken(new=True)


def test_a_wrong_liar_names_friends_and_nobody() -> None:
    found = ask("wrong", FindNodes(target=TARGET)).contacts
    assert len(found) == CONTACTS_MAX
    assert set(found) == {FRIEND, MADE_UP}
    assert ask("wrong", RECORDS).records == (record(2),)


def test_a_sybil_names_sybils_and_hides_records() -> None:
    assert ask("sybil", RECORDS) == RecordsFound(records=(), contacts=(FRIEND,))


def test_an_old_liar_hands_out_what_it_saw_first() -> None:
    assert ask("old", RECORDS).records == (record(2),)
    assert ask("old", RECORDS, first=record(1)).records == (record(1),)


def test_a_forged_record_looks_like_the_true_one_and_does_not_verify() -> None:
    (bad,) = ask("forged", RECORDS).records
    true = record(2)
    assert bad != true and named(bad) == named(true) == ("note", f"{OWNER.did}/a")
    read_record(true.jws, network=NETWORK)
    with pytest.raises(ProofError):
        read_record(bad.jws, network=NETWORK)
    assert len({forged(true, by=number).jws for number in range(1, 50)}) == 49


def test_a_flood_announces_forgeries_of_what_it_heard_to_everybody_it_is_linked_with() -> None:
    one, peer = liar("flood")
    peer.links["a"] = peer.links["b"] = None
    one.tick(0)
    assert peer.outbox.take() == []
    one.heard("x", Gossip(publish=(Envelope(topic="records", carried=record()),)), 0)
    one.tick(FLOOD_EVERY_MS - 1)
    assert one.due_ms() == FLOOD_EVERY_MS
    one.tick(FLOOD_EVERY_MS)
    casts = peer.outbox.take()
    assert [cast.to for cast in casts] == ["a", "b"]
    assert len(casts[0].message.publish) == FLOOD_ENVELOPES
    assert record() not in [envelope.carried for envelope in casts[0].message.publish]


def test_what_is_due_is_done_by_the_honest_node_within() -> None:
    one, _ = liar("wrong")
    assert one.due_ms() is None
    one.honest.due = 50
    assert one.due_ms() == 50
    one.tick(49)
    one.tick(50)
    assert one.honest.ticks == [50]
    flood, _ = liar("flood")
    flood.honest.due = -5
    assert flood.due_ms() == -5
