"""`did:key` for Ed25519: a DID is the public key itself, so parsing it is the whole lookup.

A key is accepted only if it is a point that honest key generation can give: canonically encoded,
on the curve, and of the prime order. Libraries disagree on all others; for the identity point some
accept one constant signature for every message. Source: ADR 0001; the did:key method, section 3.1;
multicodec `ed25519-pub` (0xed); Chalkias, Garillot, Nikolaenko: Taming the many EdDSAs (2020).
"""

from __future__ import annotations

from functools import lru_cache

from nacl.bindings import crypto_core_ed25519_is_valid_point

from opkit.proof.checks import ProofError
from opkit.wire.base import Did

PREFIX = "did:key:z"
KEY_BYTES = 32

_MULTICODEC = b"\xed\x01"
_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_VALUES = {letter: value for value, letter in enumerate(_ALPHABET)}
_PARSED_MAX = 4096


def base58_encode(data: bytes) -> str:
    """Return base58btc text: big-endian, one `1` per leading zero byte."""
    number = int.from_bytes(data, "big")
    letters = []
    while number:
        number, digit = divmod(number, 58)
        letters.append(_ALPHABET[digit])
    zeros = len(data) - len(data.lstrip(b"\0"))
    return "1" * zeros + "".join(reversed(letters))


def base58_decode(text: str) -> bytes:
    """Return the bytes of base58btc text of bounded length.

    Raises:
        ProofError: longer than any key's text, or another alphabet.
    """
    if len(text) > 128:
        raise ProofError("the base58 text is longer than any key")
    number = 0
    for letter in text:
        value = _VALUES.get(letter)
        if value is None:
            raise ProofError(f"{letter!r} is no base58 letter")
        number = number * 58 + value
    zeros = len(text) - len(text.lstrip("1"))
    return b"\0" * zeros + number.to_bytes((number.bit_length() + 7) // 8, "big")


def did_of(public_key: bytes) -> Did:
    """Return the DID of an Ed25519 public key.

    Raises:
        ProofError: the key is not one that `public_key_of` accepts.
    """
    _check_point(public_key)
    return PREFIX + base58_encode(_MULTICODEC + public_key)


def public_key_of(did: str) -> bytes:
    """Return the 32 bytes of the Ed25519 key that `did` names.

    Raises:
        ProofError: not a `did:key`, another key type, or a point that no honest key has: off the
            curve, of small or mixed order, or not canonically encoded.
    """
    return _parsed(did)


@lru_cache(maxsize=_PARSED_MAX)
def _parsed(did: str) -> bytes:
    if not did.startswith(PREFIX):
        raise ProofError("not a did:key in base58btc")
    data = base58_decode(did[len(PREFIX) :])
    if not data.startswith(_MULTICODEC):
        raise ProofError("the did:key holds no Ed25519 key")
    key = data[len(_MULTICODEC) :]
    _check_point(key)
    return key


def _check_point(key: bytes) -> None:
    if len(key) != KEY_BYTES:
        raise ProofError(f"an Ed25519 key has {KEY_BYTES} bytes, not {len(key)}")
    if not crypto_core_ed25519_is_valid_point(key):
        raise ProofError("the key is no canonical Ed25519 point of prime order")
