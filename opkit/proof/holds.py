"""The hash of a hold, which anyone can make again from what the hold says.

Source: ADR 0040.
"""

from __future__ import annotations

import hashlib

from opkit.proof.canonical import canonical
from opkit.wire.base import RecordId
from opkit.wire.holds import HoldBody

_DOMAIN = b"opkit hold 1\n"


def hold_hash(hold: HoldBody) -> RecordId:
    """Return SHA-256 over a domain prefix and the canonical JSON of what was agreed.

    What became of the hold is no part of it.
    """
    said = {name: getattr(hold, name) for name in HoldBody.model_fields}
    return hashlib.sha256(_DOMAIN + canonical(said)).hexdigest()
