"""Entries are spelled canonically, hashed by what they say, and chained."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from opkit.proof.canonical import canonical
from opkit.proof.checks import ProofError
from opkit.proof.ledger import (
    check_entry,
    entry_hash,
    seal,
    spell_posted,
    spell_postings,
    sums_of,
)
from opkit.wire.base import SAFE_INT_MAX
from opkit.wire.ledger import FIRST_PREVIOUS, UNITS, Cause, Entry, EntryPosted, Posting

NETWORK = "a" * 26
HASH = "ab" * 32

paths = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,8}(/[a-z0-9][a-z0-9._-]{0,8}){0,3}", fullmatch=True)
amounts = st.integers(-SAFE_INT_MAX, SAFE_INT_MAX)
# Whatever people may write, but the lone halves of pairs, which no wire type takes.
memos = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=60)
postings = st.lists(
    st.builds(
        Posting,
        account=paths.map("yard:{}".format),
        unit=st.sampled_from(UNITS),
        amount=amounts,
    ),
    min_size=2,
    max_size=5,
).map(tuple)
entries = st.builds(
    Entry,
    network=st.just(NETWORK),
    coop=st.just("yard"),
    entry_id=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,40}", fullmatch=True),
    kind=st.sampled_from(["ordinary", "correction", "decided", "bound"]),
    postings=postings,
    memo=memos,
    cause=st.none()
    | st.builds(Cause, kind=st.sampled_from(["decision", "hold"]), id=st.just("h:1/2")),
    corrects=st.none() | st.just(HASH),
    effective_on=st.none() | st.just("2026-01-15"),
    sequence=st.integers(1, SAFE_INT_MAX),
    recorded_ms=st.integers(0, SAFE_INT_MAX),
    world_ms=st.integers(0, SAFE_INT_MAX),
    by=st.sampled_from(["-", "yard/ada"]),
    previous=st.just(FIRST_PREVIOUS),
    hash=st.just(HASH),
)


def entry(**changes: Any) -> Entry:
    """Return the first entry of a ledger, rightly hashed unless `hash` is given."""
    said: dict[str, Any] = {
        "network": NETWORK,
        "coop": "yard",
        "entry_id": "e1",
        "kind": "ordinary",
        "postings": [
            {"account": "yard:equity/opening", "unit": "usd-cents", "amount": -5},
            {"account": "yard:member/ada", "unit": "usd-cents", "amount": 5},
        ],
        "memo": "",
        "cause": None,
        "corrects": None,
        "effective_on": None,
        "sequence": 1,
        "recorded_ms": 1,
        "world_ms": 1,
        "by": "yard/ada",
        "previous": FIRST_PREVIOUS,
        "hash": HASH,
    }
    made = Entry.model_validate({**said, **changes})
    return made if "hash" in changes else made.model_copy(update={"hash": entry_hash(made)})


PLAIN = entry()
FULL = entry(
    entry_id="2026/roof:1",
    kind="correction",
    memo='"roof", one\n\u2028 é',
    cause={"kind": "receipt", "id": "h:1/2"},
    corrects="cd" * 32,
    effective_on="2026-01-15",
    sequence=7,
    recorded_ms=8,
    world_ms=9,
    by="-",
    previous="ef" * 32,
)


@given(entries)
@example(PLAIN)
@example(FULL)
def test_what_is_spelled_directly_is_the_canonical_spelling(one: Entry) -> None:
    said = one.model_dump(mode="json")
    rows = spell_postings(one.postings)
    assert rows.encode() == canonical(said["postings"])
    digest, whole = seal(one, rows)
    del said["hash"]
    covered = b"opkit ledger entry 1\n" + canonical(said)
    assert digest == entry_hash(one) == hashlib.sha256(covered).hexdigest()
    assert whole == canonical({**said, "hash": digest})


@given(entries)
@example(PLAIN)
@example(FULL)
def test_the_event_of_an_entry_is_spelled_canonically_and_is_one(one: Entry) -> None:
    spelled = spell_posted(one, spell_postings(one.postings))
    event = EntryPosted.model_validate_json(spelled)
    assert canonical(event.model_dump(mode="json")) == spelled
    assert event.model_dump().items() <= one.model_dump().items()


@given(entries, st.data())
def test_whatever_an_entry_says_differently_hashes_differently(one: Entry, data: Any) -> None:
    other = data.draw(entries)
    same = one.model_copy(update={"hash": other.hash}) == other
    assert (entry_hash(one) == entry_hash(other)) == same


def test_an_entry_follows_the_one_before() -> None:
    first = entry()
    check_entry(first, network=NETWORK, coop="yard", after=None)
    second = entry(sequence=2, entry_id="e2", previous=first.hash)
    check_entry(second, network=NETWORK, coop="yard", after=first)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"network": "b" * 26}, "another ledger"),
        ({"coop": "mill"}, "another ledger"),
        ({"sequence": 2}, "does not follow"),
        ({"previous": HASH}, "does not follow"),
        ({"hash": HASH}, "its own hash"),
        (
            {
                "postings": [
                    {"account": "yard:a", "unit": "usd-cents", "amount": 1},
                    {"account": "yard:b", "unit": "commons-credits", "amount": -1},
                ]
            },
            "sums to 1 usd-cents",
        ),
    ],
)
def test_an_entry_that_is_wrong_anywhere_is_told(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(ProofError, match=why):
        check_entry(entry(**changes), network=NETWORK, coop="yard", after=None)


def test_sums_are_kept_apart_by_unit() -> None:
    rows = entry().postings
    assert sums_of(rows) == {"usd-cents": 0}
    assert sums_of(rows[:1]) == {"usd-cents": -5}
