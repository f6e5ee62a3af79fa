"""DIDs: published vectors, round trips, and keys that no honest member has."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multiformats import multibase, multicodec

from opkit.proof.checks import ProofError
from opkit.proof.did import base58_decode, base58_encode, did_of, public_key_of
from opkit.proof.keys import Identity

VECTORS = json.loads(Path(__file__).with_name("ed25519_vectors.json").read_text())
IDENTITY_POINT = bytes([1]) + bytes(31)


@pytest.mark.parametrize(
    ("seed", "did"),
    [
        (0, "did:key:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp"),
        (1, "did:key:z6MkjchhfUsD6mmvni8mCdXHw216Xrm9bQe2mBH1P5RDjVJG"),
        (2, "did:key:z6MknGc3ocHs3zdPiJbnaaqDi58NGb4pk1Sp9WxWufuXSdxf"),
    ],
)
def test_the_vectors_of_the_did_key_method_come_out(seed: int, did: str) -> None:
    """Source: w3c-ccg/did-method-key, test-vectors/ed25519-x25519.json."""
    assert Identity.from_seed(seed.to_bytes(32, "big")).did == did


@pytest.mark.parametrize("zeros", [0, 1, 2])
def test_any_first_byte_comes_back_behind_any_zeros(zeros: int) -> None:
    for first in range(256):
        data = bytes(zeros) + bytes([first]) + b"and more"
        assert base58_decode(base58_encode(data)) == data


@pytest.mark.parametrize(("length", "good"), [(128, True), (129, False)])
def test_text_of_up_to_128_letters_is_read(length: int, good: bool) -> None:
    if good:
        assert base58_decode("1" * length) == bytes(length)
    else:
        with pytest.raises(ProofError, match="longer than any key"):
            base58_decode("1" * length)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"Hello World!", "2NEpo7TZRRrLZSi2U"),
        (
            b"The quick brown fox jumps over the lazy dog.",
            "USm3fpXnKG5EUBx2ndxBDMPVciP5hGey2Jh4NDv6gmeo1LkMeiKrLJUUBk6Z",
        ),
        (bytes.fromhex("0000287fb4cd"), "11233QC4"),
    ],
)
def test_the_vectors_of_base58_come_out(data: bytes, text: str) -> None:
    """Source: draft-msporny-base58-03, section 5."""
    assert base58_encode(data) == text
    assert base58_decode(text) == data


@given(st.binary(max_size=60))
def test_base58_round_trips(data: bytes) -> None:
    assert base58_decode(base58_encode(data)) == data


@given(st.binary(min_size=32, max_size=32))
def test_a_key_round_trips_through_its_did(seed: bytes) -> None:
    identity = Identity.from_seed(seed)
    assert did_of(public_key_of(identity.did)) == identity.did


@given(st.binary(min_size=32, max_size=32))
def test_the_multiformats_library_reads_our_dids(seed: bytes) -> None:
    identity = Identity.from_seed(seed)
    codec, key = multicodec.unwrap(multibase.decode(identity.did.removeprefix("did:key:")))
    assert (codec.name, bytes(key)) == ("ed25519-pub", identity.public_key)


@pytest.mark.parametrize("point", VECTORS["small_order"]["points"])
def test_every_encoding_of_a_small_order_point_is_refused_as_a_key(point: str) -> None:
    with pytest.raises(ProofError, match="prime order"):
        did_of(bytes.fromhex(point))
    with pytest.raises(ProofError, match="prime order"):
        public_key_of("did:key:z" + base58_encode(b"\xed\x01" + bytes.fromhex(point)))


def test_a_key_of_mixed_order_is_refused() -> None:
    key = bytes.fromhex(VECTORS["speccheck"]["cases"][3]["pub_key"])
    with pytest.raises(ProofError, match="prime order"):
        did_of(key)


def test_bytes_that_are_no_point_are_refused_as_a_key() -> None:
    with pytest.raises(ProofError, match="prime order"):
        did_of(bytes([2]) + bytes(31))


@pytest.mark.parametrize(
    ("did", "why"),
    [
        ("", "not a did:key"),
        ("did:web:example.org", "not a did:key"),
        ("did:key:f6Mk", "not a did:key"),
        ("did:key:z0OIl", "no base58 letter"),
        ("did:key:z" + "1" * 200, "longer than any key"),
        ("did:key:z" + base58_encode(b"\xec\x01" + bytes(32)), "no Ed25519 key"),
        ("did:key:z" + base58_encode(b"\xed\x01" + bytes(31)), "has 32 bytes, not 31"),
        ("did:key:z1" + base58_encode(b"\xed\x01" + IDENTITY_POINT), "no Ed25519 key"),
    ],
)
def test_other_text_is_refused_as_a_did(did: str, why: str) -> None:
    with pytest.raises(ProofError, match=why):
        public_key_of(did)


def test_a_fragment_or_query_behind_a_did_is_refused() -> None:
    did = Identity.generate().did
    for tail in ("#key-1", "?a=b", " ", "\n", "/"):
        with pytest.raises(ProofError):
            public_key_of(did + tail)
