"""Content names: CIDv1, raw, sha2-256, base32, the same that IPFS writes.

The hash inside is what `sha256sum` says, so anyone can check a name with what their system has.
Source: the CID specification (version 1); multicodec `raw` 0x55, multihash `sha2-256` 0x12.
"""

from __future__ import annotations

import base64
import hashlib
import re
from functools import lru_cache

from opkit.proof.checks import ProofError
from opkit.wire.base import CID_PATTERN, Cid

_PREFIX = b"\x01\x55\x12\x20"
_SHAPE = re.compile(CID_PATTERN)

_READ_MAX = 4_096
"""How many names that were read are remembered: a task's few are asked for again and again."""


def cid_of(data: bytes) -> Cid:
    """Return the name of `data`."""
    return _named(hashlib.sha256(data).digest())


def is_cid(text: str) -> bool:
    """Return whether `text` is a content name in its one spelling."""
    try:
        sha256_of_cid(text)
    except ProofError:
        return False
    return True


def sha256_of_cid(cid: str) -> str:
    """Return the SHA-256 that `cid` names, in hex.

    Raises:
        ProofError: another version, codec, hash or base, or other than the one spelling.
    """
    if not _SHAPE.fullmatch(cid):
        raise ProofError("not a CIDv1 of raw bytes by sha2-256 in base32")
    return _read(cid)


@lru_cache(maxsize=_READ_MAX)
def _read(cid: str) -> str:
    """Return the SHA-256 in a name of the right shape; what is refused is not remembered."""
    data = base64.b32decode(cid[1:].upper() + "======")
    if _named(data[len(_PREFIX) :]) != cid:
        raise ProofError("not the canonical spelling of a CID")
    return data[len(_PREFIX) :].hex()


class CidHasher:
    """Names content that arrives in pieces."""

    def __init__(self) -> None:
        """Start with no bytes."""
        self._hash = hashlib.sha256()

    def update(self, data: bytes) -> None:
        """Take the next piece."""
        self._hash.update(data)

    def cid(self) -> Cid:
        """Return the name of all pieces so far."""
        return _named(self._hash.digest())


def _named(digest: bytes) -> Cid:
    return "b" + base64.b32encode(_PREFIX + digest).decode("ascii").rstrip("=").lower()
