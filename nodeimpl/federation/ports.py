"""What the federation asks of the rest of the node; the composition root satisfies it."""

from __future__ import annotations

from typing import Protocol

from nodeimpl.kernel.store import Tx
from opkit.wire.base import RecordId, Slug


class Decisions(Protocol):
    """What the coop whose home this node is has decided."""

    def accepted(self, tx: Tx, coop: Slug, proposal: str) -> RecordId | None:
        """Return the decision on an accepted proposal, by its id or hash; None if there is none."""
