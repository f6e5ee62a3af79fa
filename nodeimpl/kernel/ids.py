"""Random ids, from the operating system's generator; none says anything about its bearer."""

from __future__ import annotations

import base64
import secrets


def random_id() -> str:
    """Return 128 random bits in hex: task ids, token ids, request ids."""
    return secrets.token_hex(16)


def incident_id() -> str:
    """Return 64 random bits in hex: short enough to read aloud, found in one node's log only."""
    return secrets.token_hex(8)


def network_id() -> str:
    """Return 128 random bits in lower-case base32, as `opkit.wire.base.NetworkId` wants them."""
    return base64.b32encode(secrets.token_bytes(16)).decode("ascii").rstrip("=").lower()
