"""Operations on a shared object, a checkpoint over them, and what is neither, by fixed keys."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import vectors_people as people

from nodeimpl.kernel.crdt.fold import ObjectSpec
from nodeimpl.kernel.crdt.replica import Replica
from opkit.proof import jws
from opkit.proof.checks import ProofError
from opkit.proof.operations import (
    beginning,
    checkpoint_id,
    read_checkpoint,
    read_operation,
    sign_checkpoint,
)
from opkit.wire.base import Jws
from opkit.wire.operations import (
    CHECKPOINT_TYP,
    OPERATION_TYP,
    Act,
    AddAct,
    AdmitAct,
    ExpelAct,
    ObjectKind,
    RemoveAct,
)

AUD = "federation"
FOUNDERS = ("node-1", "node-2")


@cache
def story() -> tuple[tuple[str, Jws], ...]:
    """Return operations in causal order, with who signed each."""
    return _told()[1]


@cache
def _told() -> tuple[Replica, tuple[tuple[str, Jws], ...]]:
    """Return the replica that heard all of it, and what was said in an order that it took."""
    here, there = _replica(), _replica()
    told: list[tuple[str, Jws]] = []

    def say(by: Replica, name: str, act: Act) -> None:
        told.append((name, by.issue(people.identity(name), act, people.CLOCK_MS)))

    say(here, "node-1", AddAct(element="river-tools"))
    say(here, "node-2", AddAct(element="Werkzeug für alle"))
    say(here, "node-1", AdmitAct(did=people.did("node-3")))
    for _, token in told:
        there.take(token, people.CLOCK_MS)
    say(there, "node-3", AddAct(element="hill-bakery"))
    here.take(told[-1][1], people.CLOCK_MS)
    say(there, "node-3", AddAct(element="what the expulsion has not seen"))
    say(here, "node-2", ExpelAct(did=people.did("node-3")))
    say(here, "node-1", RemoveAct(over=(jws.record_id(told[0][1]),)))
    for _, token in told[-2:]:
        there.take(token, people.CLOCK_MS)
    assert here.snapshot() == there.snapshot()
    return there, tuple(told)


def _replica() -> Replica:
    spec = ObjectSpec(network=people.NETWORK, aud=AUD, kind=ObjectKind.OR_SET)
    return Replica(spec, beginning(map(people.did, FOUNDERS)))


@cache
def checkpoint_token() -> Jws:
    """Return the first node's signature under what the story adds up to."""
    return sign_checkpoint(_told()[0].propose(), people.identity("node-1"))


def signed() -> dict[Jws, str]:
    """Return all of it, with who signed each."""
    return {token: name for name, token in story()} | {checkpoint_token(): "node-1"}


def derived() -> dict[str, Any]:
    """Return what the story adds up to: who stands, the snapshot, and the checkpoint's id."""
    replica, told = _told()
    checkpoint = replica.propose()
    return {
        "aud": AUD,
        "founders": sorted(map(people.did, FOUNDERS)),
        "operations": [token for _, token in told],
        "snapshot": replica.snapshot().decode(),
        "checkpoint": checkpoint_token(),
        "checkpoint_id": checkpoint_id(checkpoint),
    }


def refused() -> Iterator[dict[str, str]]:
    """Yield what is no operation, or no checkpoint, of this object; each was refused here."""
    for name, token in (*_operations(), *_checkpoints()):
        of = read_checkpoint if name.startswith("checkpoint") else read_operation
        try:
            of(token, network=people.NETWORK, aud=AUD)
        except ProofError:
            yield {"name": name, "jws": token}
            continue
        raise AssertionError(f"{name} is not refused")


def _operations() -> Iterator[tuple[str, Jws]]:
    first, second = (
        read_operation(token, network=people.NETWORK, aud=AUD).operation
        for _, token in (story()[0], story()[2])
    )
    a, b = "a" * 64, "b" * 64
    for name, said, changes in (
        ("of another network", first, {"network": "b" * 26}),
        ("on another object", first, {"aud": "pool"}),
        ("by another than it names", first, {"did": people.did("node-2")}),
        ("of a later epoch, on no checkpoint", first, {"epoch": 1}),
        ("of the beginning, on a checkpoint", first, {"base": a}),
        ("a first one with one before it", first, {"previous": a}),
        ("a later one with none before it", second, {"previous": None}),
        ("parents not in order", first, {"parents": (b, a)}),
        ("a parent twice", first, {"parents": (a, a)}),
        ("the previous one among the parents", second, {"parents": (second.previous,)}),
        ("removing the same twice", first, {"act": RemoveAct(over=(a, a))}),
        ("a fork not in order", first, {"act": ExpelAct(did=people.did("node-2"), fork=(b, a))}),
    ):
        changed = said.model_copy(update=changes)
        yield name, jws.sign(changed, typ=OPERATION_TYP, identity=people.identity("node-1"))
    yield (
        "of another type",
        jws.sign(first, typ="opkit-name+jws", identity=people.identity("node-1")),
    )


def _checkpoints() -> Iterator[tuple[str, Jws]]:
    said = read_checkpoint(checkpoint_token(), network=people.NETWORK, aud=AUD)
    for name, changes in (
        ("of another object", {"aud": "pool"}),
        ("the first one, after another", {"base": "a" * 64}),
        ("a later one, after none", {"epoch": 2}),
        ("authors not in order", {"authors": said.authors[::-1]}),
        ("who stands and is expelled", {"expelled": said.authors[:1]}),
        ("by another than it names", {"did": people.did("node-2")}),
    ):
        changed = said.model_copy(update=changes)
        token = jws.sign(changed, typ=CHECKPOINT_TYP, identity=people.identity("node-1"))
        yield f"checkpoint: {name}", token
