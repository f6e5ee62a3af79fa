"""Fingerprints: they follow from the set alone, and two sets that differ have other ones."""

from __future__ import annotations

import hashlib
import random

from hypothesis import given
from hypothesis import strategies as st

from nodeimpl.overlay.fingerprints import FINGERPRINT_BYTES, LEAF_MAX, WAYS, Fingerprints

DIGITS = "0123456789abcdef"


def ids(count: int, start: int = 0) -> list[bytes]:
    return [hashlib.sha256(b"%d" % n).digest() for n in range(start, start + count)]


def tree(items: list[bytes]) -> Fingerprints:
    made = Fingerprints()
    for item in items:
        made.add(item)
    return made


def plain(items: list[bytes], prefix: str = "") -> bytes:
    """Return a fingerprint as the page says it is made, without a tree."""
    under = sorted(item for item in items if item.hex().startswith(prefix))
    if len(under) <= LEAF_MAX:
        said = b"\x00" + b"".join(under)
    else:
        said = b"\x01" + b"".join(plain(under, prefix + digit) for digit in DIGITS)
    return hashlib.sha256(said).digest()[:FINGERPRINT_BYTES]


def test_an_empty_set_has_the_fingerprint_of_nothing() -> None:
    empty = Fingerprints()
    assert empty.fingerprint() == plain([])
    assert empty.children("") == plain([]) * WAYS
    assert (len(empty), empty.count("ab"), empty.ids("ab")) == (0, 0, [])
    assert bytes(32) not in empty


def test_a_fingerprint_is_what_the_page_says_at_every_prefix() -> None:
    items = ids(700)
    made = tree(items)
    for prefix in ("", "0", "a", "a1", "a17", "ffff", items[0].hex()[:9]):
        assert made.fingerprint(prefix) == plain(items, prefix)
        assert made.children(prefix) == b"".join(plain(items, prefix + d) for d in DIGITS)
        under = sorted(item for item in items if item.hex().startswith(prefix))
        assert made.ids(prefix) == under
        assert made.count(prefix) == len(under)
    assert made.starting(items[5][:16]) == [items[5]]
    assert made.starting(bytes(16)) == []


def test_adding_and_taking_out_leaves_no_trace() -> None:
    made = tree(ids(LEAF_MAX))
    before = made.fingerprint()
    further = ids(500, start=1_000)
    for item in further:
        made.add(item)
        made.add(item)
    assert len(made) == LEAF_MAX + 500
    assert made.fingerprint() != before
    for item in further:
        made.discard(item)
        made.discard(item)
    assert (len(made), made.fingerprint()) == (LEAF_MAX, before)


@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 120)), max_size=300),
    st.sampled_from(["", "0", "00", "e"]),
)
def test_a_fingerprint_follows_from_the_set_and_not_from_its_history(
    changes: list[tuple[bool, int]], prefix: str
) -> None:
    """Ids that begin alike, so that the tree is deep in one place, and often asked between."""
    made, held = Fingerprints(), set()
    for adds, number in changes:
        item = bytes([0, 0, number & 3]) + hashlib.sha256(b"%d" % number).digest()[:29]
        (made.add if adds else made.discard)(item)
        (held.add if adds else held.discard)(item)
        assert (item in made) == adds
        made.fingerprint(prefix)
    assert made.fingerprint() == plain(list(held))
    assert made.fingerprint(prefix) == plain(list(held), prefix)
    assert made.ids() == sorted(held)


def test_whoever_chooses_ids_cannot_make_two_sets_alike_by_sums() -> None:
    """Ids whose exclusive or and sum agree: such fingerprints would miss the difference."""
    one = [bytes(31) + bytes([n]) for n in (1, 2, 4, 7)]
    other = [bytes(31) + bytes([n]) for n in (0, 3, 5, 6)]
    assert sum(item[-1] for item in one) == sum(item[-1] for item in other)
    assert tree(one).fingerprint() != tree(other).fingerprint()


def test_a_change_costs_the_way_down_and_no_more() -> None:
    """All other fingerprints are kept: counted by the nodes whose fingerprint is forgotten."""
    items = ids(20_000)
    made = tree(items)
    made.fingerprint()
    extra = ids(1, start=30_000)[0]
    made.add(extra)
    forgotten = known = 0
    nodes = [made._root]
    while nodes:
        node = nodes.pop()
        forgotten += node.fingerprint is None
        known += node.fingerprint is not None
        nodes += node.children or []
    assert known > 4_000
    assert forgotten <= 4 + WAYS


def test_ids_that_begin_alike_are_told_apart_at_their_last_digit() -> None:
    chance = random.Random(1)
    start = chance.randbytes(30)
    items = [start + bytes([n, m]) for n in range(2) for m in range(40)]
    made = tree(items)
    assert made.ids() == sorted(items)
    assert made.fingerprint() == plain(items)
    for item in items:
        made.discard(item)
    assert made.fingerprint() == plain([])
