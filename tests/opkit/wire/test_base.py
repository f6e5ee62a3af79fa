"""The scalar types: what they take, and the one spelling of bytes."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from opkit.proof.cid import cid_of
from opkit.proof.keys import Identity
from opkit.wire import base
from opkit.wire.base import b64decode, b64encode

BYTES: TypeAdapter[bytes] = TypeAdapter(base.B64)


@given(st.binary(max_size=100))
def test_bytes_round_trip_through_their_text(data: bytes) -> None:
    assert b64decode(b64encode(data)) == data
    assert BYTES.validate_json(BYTES.dump_json(data)) == data
    assert BYTES.validate_python(data) == data
    assert BYTES.dump_python(data) == data


@pytest.mark.parametrize("text", ["A", "AA==", "AB", "AA\n", " AA", "+/", "A-_=", "é", "AAB"])
def test_any_other_spelling_of_bytes_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="base64url"):
        b64decode(text)
    with pytest.raises(ValidationError):
        BYTES.validate_python(text)


@given(
    st.text("AZaz09-_+/=\n Qgw", max_size=9)
    | st.binary(max_size=9).map(lambda data: base64.urlsafe_b64encode(data).decode())
    | st.binary(max_size=9).map(b64encode)
)
def test_text_is_read_if_and_only_if_it_is_what_would_be_written(text: str) -> None:
    try:
        expected = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        expected = None
    if expected is not None and b64encode(expected) == text:
        assert b64decode(text) == expected
    else:
        with pytest.raises(ValueError, match="base64url"):
            b64decode(text)


@pytest.mark.parametrize("value", [7, None, ["AA"], 1.5])
def test_what_is_neither_bytes_nor_text_is_refused(value: object) -> None:
    with pytest.raises(ValidationError, match="base64url text"):
        BYTES.validate_python(value)


DID = Identity.from_seed(bytes(32)).did
GOOD: dict[str, list[object]] = {
    "Did": [DID],
    "Cid": [cid_of(b"")],
    "RecordId": ["0" * 64],
    "Slug": ["a", "a-b", "0", "a" * 64],
    "MemberId": ["coop/a", "-/a", "a-b/c-d"],
    "NetworkId": ["a" * 26],
    "Jws": ["a.b.c"],
    "TimeMs": [0, 2**53 - 1],
    "Count": [0, 2**53 - 1],
    "Text": ["", "x" * 1024, "two\nlines"],
    "CidText": ["", "x" * 128],
    "MemberIdText": ["", "coop/a"],
}
BAD: dict[str, list[object]] = {
    "Did": ["", DID + "1", DID + "\n", " " + DID, DID.replace("z6Mk", "z6Mj"), DID[:-1] + "0"],
    "Cid": ["", cid_of(b"")[:-1], cid_of(b"").upper(), cid_of(b"") + "\n"],
    "RecordId": ["0" * 63, "G" * 64, "A" * 64, "0" * 64 + "\n"],
    "Slug": ["", "-a", "a-", "A", "a_b", "a" * 65, "a\n"],
    "MemberId": ["a", "/a", "a/", "a/b/c", "A/b", "a/-b", "a/b\n", "a" * 65 + "/b"],
    "NetworkId": ["a" * 25, "a" * 27, "1" * 26, "A" * 26],
    "Jws": ["", "a b", "a.b.c=", "é", "a" * 262_145],
    "TimeMs": [-1, 2**53],
    "Count": [-1, 2**53],
    "Text": ["x" * 1025, "a\0b"],
    "CidText": ["x" * 129, "\0"],
    "MemberIdText": ["x" * 131, "coop/a\0"],
}


@pytest.mark.parametrize(("name", "value"), [(n, v) for n, vs in GOOD.items() for v in vs])
def test_a_scalar_takes_what_it_is_for(name: str, value: object) -> None:
    assert TypeAdapter(getattr(base, name)).validate_python(value) == value


@pytest.mark.parametrize(("name", "value"), [(n, v) for n, vs in BAD.items() for v in vs])
def test_a_scalar_refuses_what_it_is_not_for(name: str, value: object) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(getattr(base, name)).validate_python(value)
