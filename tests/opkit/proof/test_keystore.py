"""Keystores open with their own secret and with nothing else."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl.secret import SecretBox

from opkit.proof.canonical import canonical
from opkit.proof.checks import ProofError
from opkit.proof.keystore import SEEDS_MAX, seal, unseal
from opkit.wire.base import b64decode, b64encode

KEY = bytes(range(32))
SEEDS = {"tool-library/mira": bytes(32), "operator": bytes([7]) * 32}
NAMES = st.text(alphabet=st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)


@given(st.dictionaries(NAMES, st.binary(min_size=32, max_size=32), max_size=5))
def test_seeds_round_trip_under_a_key_file(seeds: dict[str, bytes]) -> None:
    assert unseal(seal(seeds, secret=KEY), secret=KEY) == seeds


def test_seeds_round_trip_under_a_passphrase_and_no_other() -> None:
    sealed = seal(SEEDS, secret="river lathe osprey")
    assert unseal(sealed, secret="river lathe osprey") == SEEDS
    with pytest.raises(ProofError, match="wrong secret"):
        unseal(sealed, secret="river lathe osprex")


def test_a_passphrase_is_derived_with_the_parameters_in_the_envelope() -> None:
    kdf = json.loads(seal(SEEDS, secret="x"))["kdf"]
    assert (kdf["name"], kdf["operations"], kdf["memory_bytes"]) == ("argon2id", 2, 67_108_864)
    assert len(b64decode(kdf["salt"])) == 16


def test_no_seed_shows_in_a_keystore_and_two_of_them_differ() -> None:
    one, other = seal(SEEDS, secret=KEY), seal(SEEDS, secret=KEY)
    assert one != other
    for shown in (b64encode(bytes([7]) * 32).encode(), b"mira", (bytes([7]) * 32).hex().encode()):
        assert shown not in one


def test_the_wrong_key_or_kind_of_secret_is_refused() -> None:
    by_key, by_passphrase = seal(SEEDS, secret=KEY), seal(SEEDS, secret="x")
    with pytest.raises(ProofError, match="wrong secret"):
        unseal(by_key, secret=bytes(32))
    with pytest.raises(ProofError, match="opens with a key file"):
        unseal(by_key, secret="x")
    with pytest.raises(ProofError, match="opens with a passphrase"):
        unseal(by_passphrase, secret=KEY)


@given(st.data())
def test_any_flipped_bit_is_refused(draw: st.DataObject) -> None:
    sealed = seal(SEEDS, secret=KEY)
    bit = draw.draw(st.integers(min_value=0, max_value=len(sealed) * 8 - 1))
    flipped = bytearray(sealed)
    flipped[bit // 8] ^= 1 << (bit % 8)
    with pytest.raises(ProofError):
        unseal(bytes(flipped), secret=KEY)


@pytest.mark.parametrize(
    "changes",
    [
        {"v": 2},
        {"more": 1},
        {"box": 7},
        {"box": ""},
        {"kdf": {"name": "scrypt"}},
    ],
)
def test_an_envelope_that_is_not_ours_is_refused(changes: dict[str, object]) -> None:
    sealed = json.loads(seal(SEEDS, secret=KEY))
    with pytest.raises(ProofError):
        unseal(json.dumps({**sealed, **changes}).encode(), secret=KEY)


@pytest.mark.parametrize(
    ("name", "value"), [("memory_bytes", 2**28 + 1), ("operations", 5), ("memory_bytes", 1)]
)
def test_a_derivation_that_would_take_all_memory_or_time_is_refused(name: str, value: int) -> None:
    sealed = json.loads(seal(SEEDS, secret="x"))
    sealed["kdf"][name] = value
    with pytest.raises(ProofError, match="not a keystore"):
        unseal(json.dumps(sealed).encode(), secret="x")


def test_what_a_holder_of_the_secret_sealed_must_still_be_seeds() -> None:
    for content in (b"{}", b"x", canonical({"seeds": {"a": b64encode(bytes(31))}})):
        box = bytes(SecretBox(KEY).encrypt(content))
        envelope = canonical({"v": 1, "kdf": None, "box": b64encode(box)})
        with pytest.raises(ProofError, match="damaged"):
            unseal(envelope, secret=KEY)


def test_secrets_and_seeds_of_another_length_are_refused() -> None:
    with pytest.raises(ProofError, match="32 bytes, not 5"):
        seal(SEEDS, secret=b"short")
    with pytest.raises(ProofError, match="a seed has 32 bytes"):
        seal({"a": bytes(31)}, secret=KEY)


def test_a_name_has_130_characters_at_most() -> None:
    assert unseal(seal({"x" * 130: KEY}, secret=KEY), secret=KEY) == {"x" * 130: KEY}
    with pytest.raises(ProofError, match="short names"):
        seal({"x" * 131: KEY}, secret=KEY)


@pytest.mark.parametrize("length", [31, 33])
def test_a_sealed_seed_of_another_length_is_none(length: int) -> None:
    content = canonical({"seeds": {"x": b64encode(bytes(length))}})
    box = b64encode(bytes(SecretBox(KEY).encrypt(content)))
    with pytest.raises(ProofError, match="wrong secret"):
        unseal(canonical({"v": 1, "kdf": None, "box": box}), secret=KEY)


def test_too_many_seeds_or_a_nameless_one_are_refused() -> None:
    for seeds in ({"": bytes(32)}, {str(place): bytes(32) for place in range(SEEDS_MAX + 1)}):
        with pytest.raises(ProofError, match="few seeds"):
            seal(seeds, secret=KEY)


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b"\xff", b'{"v":1}'])
def test_other_bytes_are_no_keystore(data: bytes) -> None:
    with pytest.raises(ProofError):
        unseal(data, secret=KEY)


def test_a_keystore_of_a_newer_version_is_refused_by_its_number() -> None:
    newer = canonical({**json.loads(seal(SEEDS, secret=KEY)), "v": 2, "kdf": {"name": "later"}})
    with pytest.raises(ProofError, match="of version 2, and this opkit knows up to 1: a newer"):
        unseal(newer, secret=KEY)
