"""Who speaks in the protocol's vectors: keys from fixed seeds, a network, and records of theirs.

Everything follows from the texts here, so that the same file is made on every machine.
"""

from __future__ import annotations

import hashlib
from functools import cache
from typing import Any

from opkit.proof import jws
from opkit.proof.genesis import GenesisView, read_genesis, sign_charter, sign_genesis
from opkit.proof.keys import Identity
from opkit.proof.record import sign_record
from opkit.proof.standing import link_name, standing_of
from opkit.wire.base import Did, Jws, Wire
from opkit.wire.genesis import Charter, Founder, Genesis, GenesisNode
from opkit.wire.membership import MEMBER_TYP, MemberRecord
from opkit.wire.records import Carried, Namespace, RecordBody
from opkit.wire.standing import MemberValue

NETWORK = "vectors" + "a" * 19
"""The network of the vectors."""

CLOCK_MS = 1_767_225_600_000
"""What every clock shows: the first moment of 2026."""

DAY_MS = 86_400_000

TERMS_MS: dict[str, int] = {
    "node": DAY_MS,
    "blob": DAY_MS,
    "note": 30 * DAY_MS,
    "head": 7 * DAY_MS,
    "fork": 30 * DAY_MS,
    "member": 30 * DAY_MS,
    "standing": 600_000,
}
"""How long a record is made to last, by its namespace; a day where none stands here."""

COOP = "river-tools"

PEOPLE = ("operator", "node-1", "node-2", "node-3", "founder", "member", "stranger")
"""Whose keys there are."""


@cache
def identity(name: str) -> Identity:
    """Return the key of one of `PEOPLE`: its seed is SHA-256 of `opkit vector key NAME`."""
    assert name in PEOPLE, name
    return Identity.from_seed(hashlib.sha256(f"opkit vector key {name}".encode()).digest())


def did(name: str) -> Did:
    """Return the DID of one of `PEOPLE`."""
    return identity(name).did


@cache
def charter() -> Charter:
    """Return what the one coop's founder agreed on."""
    founder = Founder(
        member_id=f"{COOP}/ada",
        name="Åda",
        title="Keeper of tools",
        did=did("founder"),
        roles=("member",),
    )
    return Charter(
        network=NETWORK,
        coop=COOP,
        title="River City Tools",
        home_node=did("node-1"),
        founders=(founder,),
        quorum_percent=50,
        approval_percent=60,
        voting_period_ms=7 * DAY_MS,
        challenge_window_ms=2 * DAY_MS,
    )


@cache
def genesis_token() -> Jws:
    """Return the genesis: three nodes, the first of a coop, and that coop's charter."""
    signed = sign_charter(charter(), {f"{COOP}/ada": identity("founder")})
    nodes = tuple(
        GenesisNode(org=org, title=org.title(), did=did(key), coop=coop)
        for org, key, coop in (
            (COOP, "node-1", COOP),
            ("bright-works", "node-2", None),
            ("harbor-homes", "node-3", None),
        )
    )
    genesis = Genesis(
        network=NETWORK,
        devnet=True,
        operator=did("operator"),
        created_ms=CLOCK_MS - DAY_MS,
        nodes=nodes,
        charters=(signed,),
    )
    return sign_genesis(genesis, identity("operator"))


@cache
def genesis() -> GenesisView:
    """Return the same, read."""
    return read_genesis(genesis_token())


@cache
def membership() -> tuple[Jws, ...]:
    """Return the chain of the coop's one later member, oldest first."""
    record = MemberRecord(
        network=NETWORK,
        aud=COOP,
        action="add",
        member_id=f"{COOP}/zoe",
        name="Zoë",
        title="",
        did=did("member"),
        roles=("member",),
        sequence=1,
        issued_at_ms=CLOCK_MS - DAY_MS,
    )
    return (jws.sign(record, typ=MEMBER_TYP, identity=identity("operator")),)


def body(
    owner: str, namespace: Namespace, name: str, value: dict[str, Any] | None, **changes: Any
) -> RecordBody:
    """Return a record of one of `PEOPLE`, issued a minute ago for the namespace's whole term."""
    issued_at_ms = CLOCK_MS - 60_000
    said = {
        "network": NETWORK,
        "aud": namespace,
        "name": name,
        "owner": did(owner),
        "sequence": issued_at_ms,
        "issued_at_ms": issued_at_ms,
        "lapses_at_ms": issued_at_ms + TERMS_MS.get(namespace, DAY_MS),
        "value": value,
    }
    return RecordBody.model_validate(said | changes)


def note(owner: str, label: str, text: str | None, **changes: Any) -> Carried:
    """Return a note that is signed; one without text is a tombstone. A member's has its proof."""
    value = None if text is None else {"text": text}
    said = body(owner, "note", f"{did(owner)}/{label}", value, **changes)
    proof = membership() if owner == "member" else ()
    return Carried(jws=sign_record(said, identity(owner)), proof=proof)


def member_link(*, of: str = "node-1", sequence: int = 1) -> Carried:
    """Return a node's word that it recorded the first link of the coop's one later member."""
    value = MemberValue(record=membership()[0]).model_dump(mode="json")
    said = body(of, "member", link_name(f"{COOP}/zoe", sequence), value)
    return Carried(jws=sign_record(said, identity(of)))


def standing() -> Carried:
    """Return what the coop's home says of its members: a founder, and one who came later."""
    said = standing_of(
        COOP, ((f"{COOP}/ada", 0, None), (f"{COOP}/zoe", 1, jws.record_id(membership()[0])))
    )
    value = said.model_dump(mode="json")
    return Carried(jws=sign_record(body("node-1", "standing", COOP, value), identity("node-1")))


def node_record() -> Carried:
    """Return what the first node says of itself."""
    endpoints = [
        {"url": "http://127.0.0.1:8080", "tls_key_hash": None},
        {"url": "https://tools.example:8443", "tls_key_hash": "5" * 64},
    ]
    value = {"addresses": ["127.0.0.1:4433"], "endpoints": endpoints}
    said = body("node-1", "node", did("node-1"), value)
    return Carried(jws=sign_record(said, identity("node-1")))


def witnessed(namespace: Namespace, value: Wire) -> Carried:
    """Return the second node's word on the first one's journal."""
    said = body("node-2", namespace, did("node-1"), value.model_dump(mode="json"))
    return Carried(jws=sign_record(said, identity("node-2")))


def blob_record(cid: str, size_bytes: int) -> Carried:
    """Return the second node's word that it keeps a blob."""
    value = {"size_bytes": size_bytes, "addresses": ["127.0.0.1:4434"]}
    return Carried(jws=sign_record(body("node-2", "blob", cid, value), identity("node-2")))
