"""Keystores: private seeds under a passphrase, or under a random key that a file holds.

Bytes in, bytes out: where they lie and with which permissions is the caller's. The envelope is
JSON with a version and the derivation's parameters; the content is sealed by SecretBox, so a
changed parameter or byte is noticed as such. Source: ADR 0003; RFC 9106 (argon2id).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from nacl.exceptions import CryptoError
from nacl.pwhash import argon2id
from nacl.secret import SecretBox
from nacl.utils import random as random_bytes
from pydantic import Field, StringConstraints, ValidationError

from opkit.proof.canonical import canonical_of, parse_object
from opkit.proof.checks import ProofError
from opkit.proof.keys import SEED_BYTES
from opkit.wire.base import B64, Wire

SECRET_BYTES = SecretBox.KEY_SIZE
"""The length of a random secret."""

VERSION = 1
"""The newest form of the envelope that is known here."""

SEEDS_MAX = 1024

_SeedName = Annotated[str, StringConstraints(min_length=1, max_length=130)]
_Seed = Annotated[B64, Field(min_length=SEED_BYTES, max_length=SEED_BYTES)]


class _Argon2id(Wire):
    """How the key came from a passphrase. Bounds: a crafted file must not take all memory."""

    name: Literal["argon2id"] = "argon2id"
    salt: Annotated[B64, Field(min_length=16, max_length=16)]
    operations: Annotated[int, Field(ge=argon2id.OPSLIMIT_MIN, le=argon2id.OPSLIMIT_SENSITIVE)]
    memory_bytes: Annotated[int, Field(ge=argon2id.MEMLIMIT_MIN, le=argon2id.MEMLIMIT_MODERATE)]


class _Envelope(Wire):
    v: Literal[1] = 1
    kdf: _Argon2id | None
    box: B64


class _Content(Wire):
    seeds: Annotated[dict[_SeedName, _Seed], Field(max_length=SEEDS_MAX)]


def seal(seeds: Mapping[str, bytes], *, secret: bytes | str) -> bytes:
    """Return a keystore with these seeds by name.

    Args:
        seeds: 32-byte Ed25519 seeds.
        secret: a passphrase (text; argon2id, about 64 MiB and half a second), or the 32 random
            bytes of a key file (no derivation).

    Raises:
        ProofError: a seed or secret of another length, or more than `SEEDS_MAX` seeds.
    """
    if any(len(seed) != SEED_BYTES for seed in seeds.values()):
        raise ProofError(f"a seed has {SEED_BYTES} bytes")
    try:
        content = _Content(seeds=dict(seeds))
    except ValidationError as bad:
        raise ProofError("a keystore holds few seeds with short names") from bad
    kdf = _fresh_kdf() if isinstance(secret, str) else None
    plain = canonical_of(content)
    box = SecretBox(_key(secret, kdf)).encrypt(plain)
    return canonical_of(_Envelope(kdf=kdf, box=bytes(box)))


def unseal(data: bytes, *, secret: bytes | str) -> dict[str, bytes]:
    """Return the seeds of a keystore by name.

    Raises:
        ProofError: of a newer version, not a keystore, made for the other kind of secret, wrong
            secret, or damaged.
    """
    said = parse_object(data)
    version = said.get("v")
    if isinstance(version, int) and version > VERSION:
        raise ProofError(
            f"the keystore is of version {version}, and this opkit knows up to {VERSION}: "
            "a newer one wrote it"
        )
    try:
        envelope = _Envelope.model_validate(said)
    except ValidationError as bad:
        raise ProofError("not a keystore") from bad
    box = SecretBox(_key(secret, envelope.kdf))
    try:
        content = _Content.model_validate_json(box.decrypt(envelope.box))
    except (CryptoError, ValueError) as bad:
        raise ProofError("wrong secret, or the keystore is damaged") from bad
    return dict(content.seeds)


def _fresh_kdf() -> _Argon2id:
    return _Argon2id(
        salt=random_bytes(argon2id.SALTBYTES),
        operations=argon2id.OPSLIMIT_INTERACTIVE,
        memory_bytes=argon2id.MEMLIMIT_INTERACTIVE,
    )


def _key(secret: bytes | str, kdf: _Argon2id | None) -> bytes:
    if isinstance(secret, str):
        if kdf is None:
            raise ProofError("this keystore opens with a key file, not with a passphrase")
        return argon2id.kdf(
            SECRET_BYTES,
            secret.encode("utf-8"),
            kdf.salt,
            opslimit=kdf.operations,
            memlimit=kdf.memory_bytes,
        )
    if kdf is not None:
        raise ProofError("this keystore opens with a passphrase, not with a key file")
    if len(secret) != SECRET_BYTES:
        raise ProofError(f"a key file holds {SECRET_BYTES} bytes, not {len(secret)}")
    return secret
