"""What follows from fixed inputs: keys, places, items, trees, names of content, journals."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import vectors_agreements as agreements
import vectors_clearing as clearing
import vectors_journal as journal
import vectors_names as names
import vectors_operations as operations
import vectors_people as people
import vectors_votes as votes
from vectors_frames import BLOB, notes
from vectors_signed import record_vector

from nodeimpl.overlay.fingerprints import Fingerprints
from nodeimpl.overlay.port import node_id
from opkit.proof.canonical import canonical
from opkit.proof.cid import cid_of
from opkit.proof.journal import JOURNAL_START, entry_hash
from opkit.proof.merkle import leaf_hash
from opkit.wire.base import b64encode
from opkit.wire.records import Carried

TREES = (0, 1, 2, 31, 32, 33, 64, 500, 1_000)
"""How many items the trees of fingerprints have."""

LOGS = (1, 2, 3, 4, 5, 7, 8, 9, 33)
"""How many entries the Merkle trees have."""


def derived() -> dict[str, Any]:
    """Return what follows from what, by the name of the rule in `docs/protocol.md`."""
    return {
        "keys": list(_keys()),
        "records": list(_records()),
        "nearest": _nearest(),
        "trees": list(_trees()),
        "cids": [{"bytes": data.hex(), "cid": cid_of(data)} for data in (b"", BLOB, bytes(1_000))],
        "base64url": [
            {"bytes": data.hex(), "text": b64encode(data)}
            for data in (b"", b"f", b"fo", b"foo", b"\xfb\xef\xff", bytes(range(32)))
        ],
        "canonical": list(_canonical()),
        "journal": list(_journal()),
        "merkle": list(_merkle()),
        "decisions": list(votes.files()),
        "agreements": list(agreements.derived()),
        "exchanges": list(clearing.derived()),
        "operations": [operations.derived()],
    }


def _keys() -> Iterator[dict[str, str]]:
    for name in people.PEOPLE:
        who = people.identity(name)
        yield {
            "name": name,
            "seed": who.seed.hex(),
            "public": who.public_key.hex(),
            "did": who.did,
            "place": f"{node_id(who.did):064x}",
        }


def _records() -> Iterator[dict[str, Any]]:
    founder, member, stranger, tombstone = notes()
    yield record_vector("a founder's note", founder)
    yield record_vector("a member's note, with its proof", member)
    yield record_vector("the same without proof", Carried(jws=member.jws))
    yield record_vector("a stranger's note", stranger)
    yield record_vector("a tombstone", tombstone)
    yield record_vector("the operator's note", people.note("operator", "all", "to all"))
    yield record_vector("a countersigned head", people.witnessed("head", journal.head_value()))
    for number, fork in enumerate(journal.forks()):
        yield record_vector(f"a fork {number}", people.witnessed("fork", fork))
    yield record_vector("a node", people.node_record())
    yield record_vector("a link of a member's chain", people.member_link())
    yield record_vector("the same from a node elsewhere", people.member_link(of="node-3"))
    yield record_vector("what a home says of its members", people.standing())
    for name, token in names.taken():
        yield record_vector(name, Carried(jws=token))
    yield record_vector("a provider", people.blob_record(cid_of(BLOB), len(BLOB)))


def _nearest() -> dict[str, Any]:
    """Return all keys in the order of their distance from a place."""
    target = hashlib.sha256(b"somewhere").digest()
    at = int.from_bytes(target, "big")
    order = sorted(map(people.did, people.PEOPLE), key=lambda did: node_id(did) ^ at)
    return {"target": target.hex(), "nearest": order}


def _trees() -> Iterator[dict[str, Any]]:
    """Yield trees over SHA-256 of `item 0`, `item 1` and so on."""
    for count in TREES:
        tree = Fingerprints()
        for number in range(count):
            tree.add(hashlib.sha256(f"item {number}".encode()).digest())
        prefixes = ("", "7", "7f", "7f0")
        yield {
            "count": count,
            "fingerprints": {prefix: tree.fingerprint(prefix).hex() for prefix in prefixes},
            "children": tree.children("").hex(),
        }


def _canonical() -> Iterator[dict[str, str]]:
    values: tuple[dict[str, Any], ...] = (
        {},
        {"b": [1, None, True, {"z": "", "a": -1}], "a": '\u20ac \u0007 \\ / "\n'},
        {"\U0001f6e0": 2**53 - 1, "\ufb33": "Åda", "1": -(2**53) + 1},
    )
    for value in values:
        text = canonical(value).decode()
        yield {"canonical": text, "sha256": hashlib.sha256(text.encode()).hexdigest()}


def _journal() -> Iterator[dict[str, Any]]:
    """Yield the entries of a journal, each with the hash that the next one cites."""
    previous = JOURNAL_START
    for stored in journal.entries()[: max(LOGS)]:
        made = entry_hash(previous=previous, stored=stored)
        leaf = leaf_hash(stored).hex()
        yield {"previous": previous, "stored": stored.decode(), "hash": made, "leaf": leaf}
        previous = made


def _merkle() -> Iterator[dict[str, Any]]:
    """Yield trees over the journal's first entries, with a proof of each kind."""
    for size in LOGS:
        index, first = size // 2, (size + 1) // 2
        yield {
            "size": size,
            "root": journal.root(journal.entries(), size),
            "index": index,
            "inclusion": list(journal.inclusion(index, size)),
            "first": first,
            "first_root": journal.root(journal.entries(), first),
            "consistency": list(journal.consistency(first, size)),
        }
