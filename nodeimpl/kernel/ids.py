"""Random ids; none says anything about its bearer.

Those that must not be guessed come from the operating system's generator.
"""

from __future__ import annotations

import base64
import random
import secrets


def random_id() -> str:
    """Return 128 random bits in hex: task ids, token ids."""
    return secrets.token_hex(16)


def incident_id() -> str:
    """Return 64 random bits in hex: short enough to read aloud, found in one node's log only."""
    return secrets.token_hex(8)


def request_id() -> str:
    """Return 64 random bits in hex that name one request in the log, and may be guessed.

    Asking the system for randomness lets go of the interpreter, and a busy node waits for it again
    behind its other threads: a tenth of what a small request takes (ADR 0027).
    """
    return f"{random.getrandbits(64):016x}"


def network_id() -> str:
    """Return 128 random bits in lower-case base32, as `opkit.wire.base.NetworkId` wants them."""
    return base64.b32encode(secrets.token_bytes(16)).decode("ascii").rstrip("=").lower()
