"""Canonical JSON against RFC 8785, and what is refused before work is done for it."""

from __future__ import annotations

import json
import struct
from typing import Any

import pytest
import rfc8785
from hypothesis import example, given
from hypothesis import strategies as st

from opkit.proof import canonical as proof
from opkit.proof.canonical import (
    DEPTH_MAX,
    SIZE_MAX,
    canonical,
    canonical_of,
    parse_canonical,
    parse_object,
    sha256_hex,
)
from opkit.proof.checks import ProofError
from opkit.wire.base import Wire

SAFE = st.integers(min_value=-(2**53) + 1, max_value=2**53 - 1)
TEXT = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=20)
VALUES = st.recursive(
    st.none() | st.booleans() | SAFE | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(TEXT, VALUES, max_size=5))
def test_what_is_written_canonically_reads_back_the_same(value: dict[str, Any]) -> None:
    assert parse_canonical(canonical(value)) == value


@given(st.dictionaries(TEXT, VALUES, min_size=1, max_size=5))
def test_any_other_spelling_of_a_value_is_refused(value: dict[str, Any]) -> None:
    spaced = json.dumps(value, indent=1).encode()
    assert parse_object(spaced) == value
    with pytest.raises(ProofError, match="canonical spelling"):
        parse_canonical(spaced)


class Said(Wire):
    """What is no JSON before it is written: bytes, and a tuple."""

    name: bytes
    amounts: tuple[int, ...]


def test_a_wire_value_is_written_as_the_json_that_it_crosses_in() -> None:
    assert canonical_of(Said(name=b"a", amounts=(2, 1))) == b'{"amounts":[2,1],"name":"a"}'
    with pytest.raises(ProofError):
        canonical_of(Said(name=b"a", amounts=(2**53,)))


EVERY = st.recursive(
    VALUES | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


@given(EVERY)
@example("".join(map(chr, range(0x300))))
@example({chr(code): code for code in range(0x300)})
@example({"\ue000": 1, "\U00010000": 2, "z": [True, False, None, 2**53 - 1, -(2**53) + 1]})
@example({"both": ({}, [], ()), "": "\u2028\u2029\u007f\u0085\ufeff\uffff\U0010ffff"})
def test_the_quick_way_spells_as_the_thorough_one_does(value: Any) -> None:
    assert canonical(value) == rfc8785.dumps(value)


@pytest.mark.parametrize(
    ("value", "simple"),
    [
        *((value, True) for value in ("é", True, None, 2**53 - 1, -(2**53) + 1, [], (), {})),
        *((value, True) for value in ({"a": [1, None, True, "x"]}, ("x", 1))),
        *((value, False) for value in (2**53, -(2**53), 1.5, b"", {"é": 1}, {1: "x"}, {"x"})),
        *((value, False) for value in ([1.5], {"a": 1.5}, ["x", b""])),
    ],
)
def test_only_what_both_encoders_spell_alike_goes_the_quick_way(value: Any, simple: bool) -> None:
    assert proof._is_simple(value) is simple


def test_the_sample_of_the_rfc_comes_out_as_printed_there() -> None:
    """Source: RFC 8785, section 3.2.2 (input) and 3.2.3 (output)."""
    value = {
        "numbers": [333333333.33333329, 1e30, 4.50, 2e-3, 0.000000000000000000000000001],
        "string": "\u20ac$\u000f\u000aA'\u0042\u0022\u005c\\\"/",
        "literals": [None, True, False],
    }
    assert (
        canonical(value)
        == (
            '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
            '"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
        ).encode()
    )


def test_keys_are_ordered_by_utf_16_code_units() -> None:
    """Source: RFC 8785, section 3.2.3."""
    keys = ["\u20ac", "\r", "\ufb33", "1", "\U0001f600", "\u0080", "\u00f6"]
    ordered = list(json.loads(canonical(dict.fromkeys(keys, 0))))
    assert ordered == ["\r", "1", "\u0080", "\u00f6", "\u20ac", "\U0001f600", "\ufb33"]


@pytest.mark.parametrize(
    ("bits", "text"),
    [
        ("0000000000000000", "0"),
        ("8000000000000000", "0"),
        ("0000000000000001", "5e-324"),
        ("7fefffffffffffff", "1.7976931348623157e+308"),
        ("4340000000000000", "9007199254740992"),
        ("4430000000000000", "295147905179352830000"),
        ("44b52d02c7e14af5", "9.999999999999997e+22"),
        ("44b52d02c7e14af6", "1e+23"),
        ("444b1ae4d6e2ef4f", "999999999999999900000"),
        ("444b1ae4d6e2ef50", "1e+21"),
        ("3eb0c6f7a0b5ed8c", "9.999999999999997e-7"),
        ("3eb0c6f7a0b5ed8d", "0.000001"),
        ("41b3de4355555553", "333333333.3333332"),
        ("41b3de4355555557", "333333333.33333343"),
        ("becbf647612f3696", "-0.0000033333333333333333"),
    ],
)
def test_numbers_are_spelled_as_the_rfc_lists_them(bits: str, text: str) -> None:
    """Source: RFC 8785, appendix B."""
    assert canonical(struct.unpack(">d", bytes.fromhex(bits))[0]) == text.encode()


@pytest.mark.parametrize(
    "value",
    [2**53, -(2**53), float("nan"), float("inf"), {1: 2}, {"a": ...}, "\ud800", b"bytes"],
    ids=repr,
)
def test_what_is_no_json_value_has_no_canonical_spelling(value: object) -> None:
    with pytest.raises(ProofError, match="no canonical JSON"):
        canonical(value)


def nested(depth: int, *, brackets: str = "[]") -> str:
    """Return `depth` nested arrays."""
    return brackets[0] * depth + brackets[1] * depth


def test_nesting_is_bounded_where_it_is_written() -> None:
    assert canonical(json.loads(nested(DEPTH_MAX + 1)))
    with pytest.raises(ProofError, match="deeper"):
        canonical(json.loads(nested(DEPTH_MAX + 2)))
    deep: dict[str, Any] = {}
    for _ in range(10_000):
        deep = {"a": deep}
    with pytest.raises(ProofError, match="deeper"):
        canonical(deep)


def test_nesting_is_bounded_where_it_is_read() -> None:
    assert parse_object(b'{"a":%s}' % nested(DEPTH_MAX - 1).encode())
    with pytest.raises(ProofError, match="deeper"):
        parse_object(b'{"a":%s}' % nested(DEPTH_MAX).encode())
    with pytest.raises(ProofError, match="deeper"):
        parse_object(b'{"a":' * 200_000)


def test_brackets_beside_each_other_or_in_text_are_no_nesting() -> None:
    many = {"a": [[] for _ in range(100)], "text": '[[{"' * 100}
    assert parse_canonical(canonical(many)) == many


@pytest.mark.parametrize(("depth", "good"), [(DEPTH_MAX, True), (DEPTH_MAX + 1, False)])
def test_nesting_is_counted_beside_what_was_closed_before_it(depth: int, good: bool) -> None:
    beside = b"[" + b"[]," * 40 + b"[]]"
    data = b'{"a":' + beside + b',"b":' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"
    assert [proof._deep(b"{}"), proof._deep(data)] == [False, not good]
    if good:
        assert "b" in parse_object(data)
    else:
        with pytest.raises(ProofError, match="nested deeper"):
            parse_object(data)


def test_size_is_counted_to_the_last_character() -> None:
    written, read = "x" * (SIZE_MAX - 2), "x" * (SIZE_MAX - len('{"a":""}'))
    assert len(canonical([written])) == SIZE_MAX + 2
    with pytest.raises(ProofError, match="larger than"):
        canonical([written + "x"])
    assert parse_object(f'{{"a":"{read}"}}'.encode()) == {"a": read}
    with pytest.raises(ProofError, match="more than"):
        parse_object(f'{{"a":"{read}x"}}'.encode())


def test_a_long_number_is_shown_by_its_beginning() -> None:
    with pytest.raises(ProofError, match=r"no integer: 1\.0{30}$"):
        parse_object(b'{"a":1.' + b"0" * 50 + b"}")


def test_size_is_bounded_where_it_is_written() -> None:
    with pytest.raises(ProofError, match="larger"):
        canonical({"a": "x" * SIZE_MAX})
    with pytest.raises(ProofError, match="larger"):
        canonical({"x" * SIZE_MAX: 1})
    with pytest.raises(ProofError, match="larger"):
        canonical([0] * SIZE_MAX)


def test_size_is_bounded_where_it_is_read() -> None:
    with pytest.raises(ProofError, match="more than"):
        parse_object(b" " * (SIZE_MAX + 1))


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b'{"a":1,"a":1}', "key twice"),
        (b'{"a":{"b":1,"b":2}}', "key twice"),
        (b'{"a":1.0}', "no integer"),
        (b'{"a":1e3}', "no integer"),
        (b'{"a":NaN}', "no integer"),
        (b'{"a":-Infinity}', "no integer"),
        (b"[1]", "no object"),
        (b"", "not JSON"),
        (b'{"a":1}x', "not JSON"),
        (b"\xff", "not JSON"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        (b'{"a":' + b"9" * 5000 + b"}", "not JSON"),
    ],
)
def test_what_signed_json_may_not_hold_is_refused_where_it_is_read(data: bytes, why: str) -> None:
    with pytest.raises(ProofError, match=why):
        parse_object(data)


@pytest.mark.parametrize(
    ("data", "quick"),
    [
        (b'{"a":[1,-2,true,null,"x/\\u001f\\n\x7f"],"b":{}}', True),
        (b'{"a":100000000000000}', True),
        (b'{"a":9007199254740991}', False),
        (b'{"a":-9007199254740991}', False),
        ('{"a":"é"}'.encode(), False),
        (b'{"a":"\\u00e9"}', False),
        (b'{"a":1,"a":1}', False),
        (b'{"a":1.0}', False),
        (b'{"a":NaN}', False),
        (b'{"b":1,"a":1}', False),
        (b"[1]", False),
        (b'{"a":' + b"[" * 40 + b"]" * 40 + b"}", False),
        (b'{"a":"' + b"x" * (SIZE_MAX - 8) + b'"}', True),
        (b'{"a":"' + b"x" * (SIZE_MAX - 7) + b'"}', False),
    ],
)
def test_what_is_in_any_doubt_is_read_slowly(data: bytes, quick: bool) -> None:
    found = proof._parse_plain(data)
    assert (found is not None) is quick
    if found is not None:
        assert found == parse_object(data)
        assert canonical(found) == data


def test_what_is_plain_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proof, "parse_object", pytest.fail)
    assert parse_canonical(b'{"a":1}') == {"a": 1}


def test_who_reads_numbers_of_another_spelling_says_how() -> None:
    data = b'{"a":7.0,"b":8}'
    assert parse_object(data, number=lambda text: int(float(text))) == {"a": 7, "b": 8}
    with pytest.raises(ProofError, match="no integer: NaN"):
        parse_object(b'{"a":NaN}', number=lambda _: 0)


@given(st.dictionaries(TEXT, EVERY, max_size=5))
def test_both_ways_of_reading_agree(value: dict[str, Any]) -> None:
    for data in (json.dumps(value).encode(), rfc8785.dumps(value)):
        found = proof._parse_plain(data)
        assert found is None or (parse_object(data) == found and rfc8785.dumps(found) == data)


@pytest.mark.parametrize(
    "data", [b'{"a":9007199254740993}', b'{"a":-0}', b'{"b":1,"a":1}', b'{"a":"\\ud800"}', b"{} "]
)
def test_what_has_another_or_no_canonical_spelling_is_refused(data: bytes) -> None:
    with pytest.raises(ProofError, match="canonical"):
        parse_canonical(data)


def test_a_hash_is_what_sha256sum_says() -> None:
    assert sha256_hex(b"abc").startswith("ba7816bf8f01cfea414140de5dae2223")
