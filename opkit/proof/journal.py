"""The hash that links journal entries: each names what came before, so none changes alone.

Source: ADR 0005; `docs/protocol.md` (journal).
"""

from __future__ import annotations

import hashlib

from opkit.wire.base import RecordId

JOURNAL_START: RecordId = "0" * 64
"""What the first entry of a journal has as its previous hash."""

_DOMAIN = b"opkit journal entry 1\n"


def entry_hash(*, previous: RecordId, stored: bytes) -> RecordId:
    """Return the hash of an entry whose stored bytes are `stored`.

    SHA-256 over a domain prefix (no hash of anything else can be passed off as an entry's), the 32
    bytes of the previous hash, and the stored bytes.

    Args:
        previous: the hash of the entry before, or `JOURNAL_START`.
        stored: exactly the bytes that the store keeps.
    """
    return hashlib.sha256(_DOMAIN + bytes.fromhex(previous) + stored).hexdigest()


def stored_bytes(*, sequence: int, type_name: str, at_ms: int, body: bytes) -> bytes:
    """Return the canonical JSON that an entry's hash covers.

    Args:
        type_name: the event's type, lower-case ASCII by its own rule.
        body: canonical JSON already; it is put in its place as it is.
    """
    head = f'{{"at_ms":{at_ms},"body":'.encode("ascii")
    tail = f',"sequence":{sequence},"type":"{type_name}"}}'.encode("ascii")
    return head + body + tail
