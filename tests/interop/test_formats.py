"""What we write is what others write: published vectors, and an implementation in JavaScript.

That implementation (`tests/interop/js/basics.mjs`, `merkle.mjs`) is written from the specifications
alone. Where it and we see the same bytes, both must make the same of them.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opkit.proof.canonical import canonical, parse_canonical
from opkit.proof.checks import ProofError
from opkit.proof.cid import cid_of
from opkit.proof.did import did_of, public_key_of
from opkit.proof.keys import Identity
from opkit.proof.merkle import (
    Frontier,
    consistency_path,
    inclusion_path,
    leaf_hash,
    node_hash,
    verify_consistency,
    verify_inclusion,
)

Ask = Callable[..., dict[str, list[dict[str, Any]]]]

RFC8785 = json.loads(Path(__file__).with_name("rfc8785_vectors.json").read_text("utf-8"))
NUMBERS = {
    1_000: "be18b62b6f69cdab33a7e0dae0d9cfa869fda80ddc712221570f9f40a5878687",
    10_000: "b9f7a8e75ef22a835685a52ccba7f7d6bdc99e34b010992cbc5864cd12be6892",
}
"""SHA-256 of so many first lines of the published number test. Source: as the vectors' file says,
testdata/README.md."""
TREES_MAX = 64


def doubles() -> Iterator[bytes]:
    """Yield the sequence of the published number test, big-endian.

    Listed ones first, 2,000 from the smallest normal one on, then what SHA-256 makes of 32 zero
    bytes, again and again, without zeros and what is no number. Source: testdata/numgen.js there.
    """
    yield from map(bytes.fromhex, RFC8785["doubles"])
    yield from (struct.pack(">Q", 0x0010000000000000 + place) for place in range(2_000))
    block = bytes(32)
    while True:
        block = hashlib.sha256(block).digest()
        for start in range(0, 32, 8):
            bits = block[start : start + 8][::-1]
            (value,) = struct.unpack(">d", bits)
            if value != 0 and math.isfinite(value):
                yield bits


@pytest.mark.parametrize("case", RFC8785["cases"], ids=lambda case: case["name"])
def test_the_published_samples_of_rfc_8785_come_out_byte_for_byte(case: dict[str, str]) -> None:
    assert canonical(json.loads(case["input"])) == case["output"].encode()


@pytest.mark.parametrize("count", NUMBERS)
def test_the_published_numbers_of_rfc_8785_come_out(count: int) -> None:
    hashed = hashlib.sha256()
    for bits in itertools.islice(doubles(), count):
        (value,) = struct.unpack(">d", bits)
        text = canonical(value).decode()
        hashed.update(f"{int.from_bytes(bits, 'big'):x},{text}\n".encode())
    assert hashed.hexdigest() == NUMBERS[count]


@pytest.mark.interop
def test_javascript_spells_the_published_samples_and_numbers_alike(ask_javascript: Ask) -> None:
    cases = RFC8785["cases"]
    bits = [one.hex() for one in itertools.islice(doubles(), 10_000)]
    said = ask_javascript(
        canonical=[{"text": case["input"]} for case in cases], numbers=[{"bits": bits}]
    )
    assert [one["ok"] for one in said["canonical"]] == [case["output"] for case in cases]
    ours = [canonical(struct.unpack(">d", bytes.fromhex(one))[0]).decode() for one in bits]
    assert said["numbers"] == [{"ok": ours}]


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(min_value=-(2**53) + 1, max_value=2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.interop
@settings(max_examples=8)
@given(st.lists(VALUES, min_size=20, max_size=60))
def test_javascript_spells_any_value_as_we_do(ask_javascript: Ask, values: list[Any]) -> None:
    said = ask_javascript(canonical=[{"text": json.dumps(value)} for value in values])
    assert [one.get("ok") for one in said["canonical"]] == [
        canonical(value).decode() for value in values
    ]


REFUSED = (
    b'{"b":1,"a":1}',
    b'{"a":1,"a":1}',
    b'{"a": 1}',
    b'{"a":1}\n',
    b'{"a":1.0}',
    b'{"a":1e2}',
    b'{"a":0.5}',
    b'{"a":-0}',
    b'{"a":01}',
    b'{"a":9007199254740993}',
    b'{"a":NaN}',
    b'{"a":"\\u0041"}',
    b'{"a":"\\/"}',
    b'{"a":"\\ud800"}',
    b'{"a":"\xff"}',
    b"\xef\xbb\xbf{}",
    b"[1]",
    b"1",
    b"null",
    b"",
    b"{",
)
"""Bytes that nobody may sign: no object, or an object in another spelling than its one."""


@pytest.mark.interop
def test_javascript_refuses_as_signed_what_we_refuse(ask_javascript: Ask) -> None:
    fine = canonical({"a": [1, -5, 2**53 - 1], "\u20ac": '\u2028"\\', "\U0001f6e0": None})
    said = ask_javascript(signed=[{"data": data.hex()} for data in (fine, *REFUSED)])["signed"]
    assert said[0] == {"ok": fine.decode()}
    assert parse_canonical(fine)
    assert [data for data, one in zip(REFUSED, said[1:], strict=True) if "no" not in one] == []
    for data in REFUSED:
        with pytest.raises(ProofError):
            parse_canonical(data)


def names() -> list[bytes]:
    """Return contents whose names are compared: none, one byte, all bytes, and more."""
    return [b"", b"\0", b"hello world", bytes(range(256)), b"x" * 100_000]


@pytest.mark.interop
def test_javascript_names_content_and_keys_as_we_do(ask_javascript: Ask) -> None:
    identities = [Identity.from_seed(bytes([number]) * 32) for number in range(20)]
    said = ask_javascript(
        cid=[{"data": data.hex()} for data in names()],
        did=[{"key": identity.public_key.hex()} for identity in identities],
        key=[{"did": identity.did} for identity in identities],
    )
    assert [one["ok"] for one in said["cid"]] == [cid_of(data) for data in names()]
    assert [one["ok"] for one in said["did"]] == [did_of(one.public_key) for one in identities]
    assert [one["ok"] for one in said["key"]] == [one.public_key.hex() for one in identities]


@pytest.mark.interop
def test_javascript_refuses_the_dids_that_we_refuse(ask_javascript: Ask) -> None:
    """All but those whose point is at fault: that takes arithmetic on the curve."""
    honest = Identity.generate().did
    bad = ["", "did:web:example.org", f"{honest}#key", f"{honest}\n", honest.replace("z6", "f6", 1)]
    bad += [f"{honest[:9]}1{honest[9:]}", honest[:-1], f"{honest}1", honest.replace("z6Mk", "z6LS")]
    said = ask_javascript(key=[{"did": did} for did in bad])["key"]
    assert [did for did, one in zip(bad, said, strict=True) if "no" not in one] == []
    for did in bad:
        with pytest.raises(ProofError):
            public_key_of(did)


def subtree(level: int, position: int) -> bytes:
    """Return the root over `entry N` from `position * 2**level` on."""
    if level == 0:
        return leaf_hash(f"entry {position}".encode())
    return node_hash(subtree(level - 1, 2 * position), subtree(level - 1, 2 * position + 1))


def our_roots() -> list[str]:
    """Return the root of each tree of 1 to `TREES_MAX` leaves, as a node computes them."""
    frontier, roots = Frontier(), []
    for place in range(TREES_MAX):
        frontier, _ = frontier.append(leaf_hash(f"entry {place}".encode()))
        roots.append(frontier.root().hex())
    return roots


def our_inclusion(index: int, size: int) -> list[str]:
    return [one.hex() for one in inclusion_path(index=index, size=size, subtree=subtree)]


def our_consistency(first: int, second: int) -> list[str]:
    return [one.hex() for one in consistency_path(first=first, second=second, subtree=subtree)]


PAIRS = [(first, second) for second in range(1, TREES_MAX + 1) for first in range(1, second + 1)]
"""Every place in every tree, counted from 1, and every tree with each that it grew from."""


@pytest.mark.interop
def test_javascript_makes_the_same_trees_and_proofs(ask_javascript: Ask) -> None:
    """By the recursive definitions of RFC 9162, where ours are made from a frontier and a table."""
    (said,) = ask_javascript(tree=[{"size": TREES_MAX}])["tree"]
    made, roots = said["ok"], our_roots()
    assert made["roots"] == roots
    for first, second in PAIRS:
        theirs = made["inclusion"][second - 1][first - 1]
        assert theirs == our_inclusion(first - 1, second)
        verify_inclusion(
            leaf=leaf_hash(f"entry {first - 1}".encode()),
            index=first - 1,
            size=second,
            path=list(map(bytes.fromhex, theirs)),
            root=bytes.fromhex(roots[second - 1]),
        )
        theirs = made["consistency"][second - 1][first - 1]
        assert theirs == our_consistency(first, second)
        verify_consistency(
            first=first,
            first_root=bytes.fromhex(roots[first - 1]),
            second=second,
            second_root=bytes.fromhex(roots[second - 1]),
            path=list(map(bytes.fromhex, theirs)),
        )


def spoilt(path: list[str], *, at: int) -> list[list[str]]:
    """Return ways to spoil a path: one hash changed, missing, doubled, or one too many."""
    extra = [*path, "00" * 32]
    if not path:
        return [extra]
    at %= len(path)
    changed = f"{int(path[at][:2], 16) ^ 1:02x}{path[at][2:]}"
    return [
        extra,
        [*path[:at], changed, *path[at + 1 :]],
        [*path[:at], *path[at + 1 :]],
        [*path[:at], path[at], *path[at:]],
    ]


@pytest.mark.interop
def test_javascript_verifies_ours_and_refuses_what_is_spoilt(ask_javascript: Ask) -> None:
    roots = our_roots()
    includes: list[dict[str, Any]] = []
    grew: list[dict[str, Any]] = []
    honest: list[bool] = []
    for number, (first, second) in enumerate(PAIRS):
        place = {"index": first - 1, "size": second, "root": roots[second - 1]}
        growth = {"first": first, "first_root": roots[first - 1], "second": second}
        growth["second_root"] = roots[second - 1]
        shown, grown = our_inclusion(first - 1, second), our_consistency(first, second)
        ways = min(len(spoilt(shown, at=number)), len(spoilt(grown, at=number)))
        includes += [{**place, "path": way} for way in (shown, *spoilt(shown, at=number)[:ways])]
        grew += [{**growth, "path": way} for way in (grown, *spoilt(grown, at=number)[:ways])]
        honest += [True, *[False] * ways]
    said = ask_javascript(includes=includes, grew=grew)
    assert [one.get("ok", False) for one in said["includes"]] == honest
    assert [one.get("ok", False) for one in said["grew"]] == honest
    assert honest.count(True) == len(PAIRS) == 2_080
