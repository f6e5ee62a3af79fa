"""How much one replica keeps, and how much it gives at once."""

from __future__ import annotations

from dataclasses import dataclass

from nodeimpl.kernel.crdt.hlc import SKEW_MS_MAX

RELEASES_MAX = 256
"""How many operations that waited are taken in one step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaLimits:
    """What a replica keeps.

    Attributes:
        operations_max: operations since the last checkpoint.
        waiting_max: of each author, operations that wait for what they follow.
    """

    skew_ms_max: int = SKEW_MS_MAX
    operations_max: int = 262_144
    waiting_max: int = 1_024
    given_characters_max: int = 1_048_576
