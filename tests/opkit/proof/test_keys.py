"""The one verifier: RFC vectors, published edge cases, and every flipped bit."""

from __future__ import annotations

import copy
import hashlib
import json
import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl import bindings

from opkit.proof.checks import ProofError
from opkit.proof.did import base58_encode, did_of
from opkit.proof.keys import Identity, verify_signature

VECTORS = json.loads(Path(__file__).with_name("ed25519_vectors.json").read_text())
ORDER = 2**252 + 27742317777372353535851937790883648493
ORDER_8_POINT = bytes.fromhex(VECTORS["small_order"]["points"][10])


def did_unchecked(key: bytes) -> str:
    """Return the DID text of any 32 bytes, also of such as are no good key."""
    return "did:key:z" + base58_encode(b"\xed\x01" + key)


@pytest.mark.parametrize("case", VECTORS["rfc8032"]["cases"])
def test_the_vectors_of_the_rfc_come_out(case: dict[str, str]) -> None:
    identity = Identity.from_seed(bytes.fromhex(case["seed"]))
    signature = identity.sign(bytes.fromhex(case["message"]))
    assert identity.public_key.hex() == case["pub_key"]
    assert signature.hex() == case["signature"]
    verify_signature(identity.did, data=bytes.fromhex(case["message"]), signature=signature)


@pytest.mark.parametrize("case", VECTORS["speccheck"]["cases"], ids=lambda case: case["what"])
def test_signatures_on_which_libraries_disagree_are_refused(case: dict[str, str]) -> None:
    """Whatever any library accepts of these, nobody can make from an honest key."""
    with pytest.raises(ProofError):
        verify_signature(
            did_unchecked(bytes.fromhex(case["pub_key"])),
            data=bytes.fromhex(case["message"]),
            signature=bytes.fromhex(case["signature"]),
        )


@pytest.mark.parametrize("case", VECTORS["speccheck"]["cases"], ids=lambda case: case["what"])
def test_their_signature_parts_are_refused_under_an_honest_key_too(case: dict[str, str]) -> None:
    with pytest.raises(ProofError):
        verify_signature(
            Identity.generate().did,
            data=bytes.fromhex(case["message"]),
            signature=bytes.fromhex(case["signature"]),
        )


@pytest.mark.parametrize("point", VECTORS["small_order"]["points"])
def test_every_encoding_of_a_small_order_point_is_refused_as_r(point: str) -> None:
    with pytest.raises(ProofError, match="R is "):
        verify_signature(
            Identity.generate().did, data=b"", signature=bytes.fromhex(point) + bytes(32)
        )


def test_a_scalar_beyond_the_order_is_refused_though_the_equation_holds() -> None:
    identity = Identity.generate()
    good = identity.sign(b"message")
    scalar = int.from_bytes(good[32:], "little") + ORDER
    with pytest.raises(ProofError, match="S is not canonical"):
        verify_signature(
            identity.did, data=b"message", signature=good[:32] + scalar.to_bytes(32, "little")
        )


@pytest.mark.parametrize(
    ("scalar", "why"), [(ORDER - 1, "does not verify"), (ORDER, "S is not canonical")]
)
def test_a_scalar_is_canonical_strictly_below_the_order(scalar: int, why: str) -> None:
    identity = Identity.from_seed(bytes(32))
    signature = identity.sign(b"data")[:32] + scalar.to_bytes(32, "little")
    with pytest.raises(ProofError, match=why):
        verify_signature(identity.did, data=b"data", signature=signature)


def test_a_signature_that_only_the_equation_with_cofactor_accepts_is_refused() -> None:
    """The holder of a key makes R of mixed order: verifiers that multiply by eight accept it."""
    seed = bytes(range(32))
    identity = Identity.from_seed(seed)
    digest = hashlib.sha512(seed).digest()
    secret = int.from_bytes(digest[:32], "little") & ((1 << 254) - 8) | (1 << 254)
    nonce = 123456789
    honest = bindings.crypto_scalarmult_ed25519_base_noclamp(nonce.to_bytes(32, "little"))
    for point, accepted in (
        (honest, True),
        (bindings.crypto_core_ed25519_add(honest, ORDER_8_POINT), False),
    ):
        hashed = hashlib.sha512(point + identity.public_key + b"m").digest()
        scalar = (nonce + int.from_bytes(hashed, "little") * secret) % ORDER
        signature = point + scalar.to_bytes(32, "little")
        if accepted:
            verify_signature(identity.did, data=b"m", signature=signature)
        else:
            with pytest.raises(ProofError, match="does not verify"):
                verify_signature(identity.did, data=b"m", signature=signature)


@given(st.binary(max_size=80), st.integers(min_value=0, max_value=511))
def test_any_flipped_bit_of_a_signature_is_refused(data: bytes, bit: int) -> None:
    identity = Identity.from_seed(bytes(32))
    good = identity.sign(data)
    verify_signature(identity.did, data=data, signature=good)
    flipped = bytearray(good)
    flipped[bit // 8] ^= 1 << (bit % 8)
    with pytest.raises(ProofError):
        verify_signature(identity.did, data=data, signature=bytes(flipped))


@given(st.binary(min_size=1, max_size=80), st.data())
def test_any_flipped_bit_of_the_data_is_refused(data: bytes, draw: st.DataObject) -> None:
    identity = Identity.from_seed(bytes(32))
    bit = draw.draw(st.integers(min_value=0, max_value=len(data) * 8 - 1))
    flipped = bytearray(data)
    flipped[bit // 8] ^= 1 << (bit % 8)
    with pytest.raises(ProofError, match="does not verify"):
        verify_signature(identity.did, data=bytes(flipped), signature=identity.sign(data))


def test_another_members_signature_is_refused() -> None:
    with pytest.raises(ProofError, match="does not verify"):
        verify_signature(
            Identity.generate().did, data=b"x", signature=Identity.generate().sign(b"x")
        )


@pytest.mark.parametrize("length", [0, 63, 65])
def test_a_signature_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(ProofError, match="64 bytes"):
        verify_signature(Identity.generate().did, data=b"", signature=bytes(length))


def test_a_seed_of_another_length_is_refused() -> None:
    with pytest.raises(ProofError, match="32 bytes, not 31"):
        Identity.from_seed(bytes(31))


def test_two_generated_identities_differ_and_equal_their_own_seeds() -> None:
    one, other = Identity.generate(), Identity.generate()
    assert one != other
    assert Identity.from_seed(one.seed) == one
    assert did_of(one.public_key) == one.did


def test_the_seed_never_shows() -> None:
    identity = Identity.generate()
    assert repr(identity) == f"Identity(did={identity.did!r})"
    for shown in (repr(identity), str(identity), f"{identity}"):
        assert identity.did in shown
        assert repr(identity.seed) not in shown
        assert identity.seed.hex() not in shown


def test_an_identity_survives_copying_and_pickling() -> None:
    identity = Identity.generate()
    assert copy.deepcopy(identity) == identity
    assert pickle.loads(pickle.dumps(identity)) == identity
