"""The journal's links: every byte and every earlier entry is in the hash."""

from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from opkit.proof.canonical import canonical
from opkit.proof.journal import JOURNAL_START, entry_hash, stored_bytes


def test_the_hash_is_over_domain_previous_and_stored_bytes() -> None:
    expected = hashlib.sha256(b"opkit journal entry 1\n" + bytes(32) + b"{}").hexdigest()
    assert entry_hash(previous=JOURNAL_START, stored=b"{}") == expected


@given(st.binary(max_size=50), st.binary(max_size=50))
def test_other_bytes_or_another_previous_give_another_hash(stored: bytes, other: bytes) -> None:
    first = entry_hash(previous=JOURNAL_START, stored=stored)
    assert (entry_hash(previous=JOURNAL_START, stored=other) == first) == (other == stored)
    assert entry_hash(previous=first, stored=stored) != first


def test_what_is_stored_is_the_canonical_json_of_the_whole_entry() -> None:
    body = {"b": [1, "ž"], "a": None}
    stored = stored_bytes(sequence=7, type_name="a.b", at_ms=9, body=canonical(body))
    assert stored == canonical({"sequence": 7, "type": "a.b", "at_ms": 9, "body": body})
