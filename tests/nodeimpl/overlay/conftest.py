"""A small network whose keys sign records, for the overlay's machines."""

from __future__ import annotations

import hashlib
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from nodeimpl.overlay.port import Ask, Outbox
from nodeimpl.overlay.reconcile import Reconciler, ReconcilerLimits
from nodeimpl.overlay.shelf import Shelf
from opkit.proof import jws
from opkit.proof.cid import cid_of
from opkit.proof.genesis import GenesisView, read_genesis, sign_charter, sign_genesis
from opkit.proof.keys import Identity
from opkit.proof.record import Verifier
from opkit.wire.base import Jws, Wire
from opkit.wire.errors import Refusal
from opkit.wire.genesis import Charter, Founder, Genesis, GenesisNode
from opkit.wire.membership import MEMBER_TYP, MemberRecord
from opkit.wire.records import RECORD_TYP, Carried, RecordBody

NETWORK = "a" * 26
NOW_MS = 1_767_225_600_000
DAY_MS = 86_400_000
TERMS_MS = {
    "node": DAY_MS,
    "blob": DAY_MS,
    "note": 30 * DAY_MS,
    "head": 7 * DAY_MS,
    "fork": 30 * DAY_MS,
}
COOPS = ("yard", "library")
NODES = 6
A, B = "did:key:a", "did:key:b"
Answers = Callable[[str, Any, int], Wire]


def identity_of(role: str, number: int = 0) -> Identity:
    """Return a key that is the same in each run."""
    return Identity.from_seed(hashlib.sha256(f"overlay tests {role} {number}".encode()).digest())


@dataclass(frozen=True)
class Land:
    """A genesis and the keys behind it: six nodes of two coops, a founder each, and strangers.

    `verifier` is shared by all shelves of a test run, so that each signature is checked once.
    """

    operator: Identity
    nodes: tuple[Identity, ...]
    founders: tuple[Identity, ...]
    view: GenesisView
    verifier: Verifier
    now_ms: int = NOW_MS

    def stranger(self, number: int = 0) -> Identity:
        """Return a key that nobody vouches for."""
        return identity_of("stranger", number)

    def record(self, owner: Identity, namespace: str, name: str, **changes: Any) -> Carried:
        """Return a record, signed whatever it says, by `owner` or by `signer`.

        `term_ms` is how long it lasts; as long as it may if it is not said.
        """
        signer = changes.pop("signer", owner)
        proof = changes.pop("proof", ())
        issued_at_ms = changes.setdefault("issued_at_ms", self.now_ms)
        term_ms = changes.pop("term_ms", TERMS_MS[namespace])
        fields = {
            "network": NETWORK,
            "aud": namespace,
            "name": name,
            "owner": owner.did,
            "sequence": 1,
            "lapses_at_ms": issued_at_ms + term_ms,
        }
        body = RecordBody(**{**fields, **changes})
        return Carried(jws=jws.sign(body, typ=RECORD_TYP, identity=signer), proof=proof)

    def note(self, owner: Identity, label: str = "a", **changes: Any) -> Carried:
        """Return an owner's note."""
        value = {"text": changes.pop("text", "hello")}
        changes.setdefault("value", value)
        return self.record(owner, "note", f"{owner.did}/{label}", **changes)

    def place(self, owner: Identity, **changes: Any) -> Carried:
        """Return what a node says of itself."""
        changes.setdefault("value", {"addresses": ["here:1"]})
        return self.record(owner, "node", changes.pop("name", owner.did), **changes)

    def provider(self, owner: Identity, data: bytes = b"blob", **changes: Any) -> Carried:
        """Return the word of somebody who keeps a blob."""
        changes.setdefault("value", {"size_bytes": len(data)})
        return self.record(owner, "blob", cid_of(data), **changes)

    def tombstone(self, owner: Identity, label: str = "a", **changes: Any) -> Carried:
        """Return what takes a note back."""
        return self.note(owner, label, value=None, **changes)

    def membership(self, member_id: str, did: str, sequence: int = 1, action: str = "add") -> Jws:
        """Return a record of the operator about a member."""
        record = MemberRecord(
            network=NETWORK,
            aud=member_id.partition("/")[0],
            action=action,
            member_id=member_id,
            name="Ilse",
            title="member",
            did=did,
            roles=("member",),
            sequence=sequence,
            issued_at_ms=5,
        )
        return jws.sign(record, typ=MEMBER_TYP, identity=self.operator)


def make_land() -> Land:
    """Return the network of these tests."""
    operator = identity_of("operator")
    nodes = tuple(identity_of("node", number) for number in range(NODES))
    founders = tuple(identity_of("founder", number) for number in range(len(COOPS)))
    charters = []
    for number, coop in enumerate(COOPS):
        founder = Founder(
            member_id=f"{coop}/one",
            name="One",
            title="founder",
            did=founders[number].did,
            roles=("member",),
        )
        charter = Charter(
            network=NETWORK,
            coop=coop,
            title=coop,
            home_node=nodes[number].did,
            founders=(founder,),
            quorum_percent=50,
            approval_percent=50,
            voting_period_ms=DAY_MS,
            challenge_window_ms=DAY_MS,
        )
        charters.append(sign_charter(charter, {f"{coop}/one": founders[number]}))
    genesis = Genesis(
        network=NETWORK,
        devnet=True,
        operator=operator.did,
        created_ms=1,
        nodes=tuple(
            GenesisNode(
                org=f"node-{number}",
                title=f"Node {number}",
                did=node.did,
                coop=COOPS[number % len(COOPS)] if number < NODES - 1 else None,
            )
            for number, node in enumerate(nodes)
        ),
        charters=tuple(charters),
    )
    view = read_genesis(sign_genesis(genesis, operator))
    return Land(
        operator=operator,
        nodes=nodes,
        founders=founders,
        view=view,
        verifier=Verifier(view, verdicts_max=65_536),
    )


@pytest.fixture(scope="session")
def land() -> Land:
    """The network of these tests."""
    return make_land()


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


@pytest.fixture(scope="session")
def make_pair() -> type[Pair]:
    """The maker of two nodes that compare what they keep."""
    return Pair
