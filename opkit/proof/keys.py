"""Ed25519 identities, and the one function that verifies a signature.

Every signature in the project is checked by `verify_signature`, so that there is one answer to
what is valid. Source: ADR 0001; RFC 8032, section 5.1.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

from opkit.proof.checks import ProofError
from opkit.proof.did import did_of, public_key_of
from opkit.wire.base import Did

SEED_BYTES = 32
SIGNATURE_BYTES = 64

_ORDER = 2**252 + 27742317777372353535851937790883648493
_FIELD = 2**255 - 19
_ORDER_8_Y = int("7a03ac9277fdc74ec6cc392cfa53202a0f67100d760b3cba4fd84d3d706a17c7", 16)
_SMALL_ORDER_Y = frozenset({0, 1, _FIELD - 1, _ORDER_8_Y, _FIELD - _ORDER_8_Y})
"""The y coordinates of the eight points whose order divides the cofactor."""


@dataclass(frozen=True)
class Identity:
    """A key pair. `seed` is the private half: it never shows in a representation or a log."""

    did: Did
    seed: bytes = field(repr=False)
    _signing: SigningKey = field(repr=False, compare=False)

    @classmethod
    def generate(cls) -> Identity:
        """Return a fresh random identity."""
        return cls._of(SigningKey.generate())

    @classmethod
    def from_seed(cls, seed: bytes) -> Identity:
        """Return the identity of a 32-byte seed. Source: RFC 8032, section 5.1.5.

        Raises:
            ProofError: not 32 bytes.
        """
        if len(seed) != SEED_BYTES:
            raise ProofError(f"an Ed25519 seed has {SEED_BYTES} bytes, not {len(seed)}")
        return cls._of(SigningKey(seed))

    @classmethod
    def _of(cls, signing: SigningKey) -> Identity:
        return cls(did=did_of(bytes(signing.verify_key)), seed=bytes(signing), _signing=signing)

    @property
    def public_key(self) -> bytes:
        """The 32 bytes of the public half."""
        return public_key_of(self.did)

    def sign(self, data: bytes) -> bytes:
        """Return the 64-byte Ed25519 signature over `data`."""
        return self._signing.sign(data).signature


def verify_signature(did: str, *, data: bytes, signature: bytes) -> None:
    """Return if `signature` is the one over `data` by the key that `did` names.

    Stricter than RFC 8032 asks, so that no two implementations can disagree: the point R and the
    scalar S have their canonical encodings, and neither the key nor R is of small order.

    Raises:
        ProofError: the DID, the signature's length, S, R, or the equation is wrong, in this order.
    """
    key = public_key_of(did)
    if len(signature) != SIGNATURE_BYTES:
        raise ProofError(f"an Ed25519 signature has {SIGNATURE_BYTES} bytes, not {len(signature)}")
    if int.from_bytes(signature[32:], "little") >= _ORDER:
        raise ProofError("the signature's S is not canonical")
    y = int.from_bytes(signature[:32], "little") & (2**255 - 1)
    if y >= _FIELD:
        raise ProofError("the signature's R is not canonical")
    if y in _SMALL_ORDER_Y:
        raise ProofError("the signature's R is of small order")
    try:
        VerifyKey(key).verify(data, signature)
    except BadSignatureError as bad:
        raise ProofError("the signature does not verify") from bad
