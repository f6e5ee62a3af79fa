"""What agreements ask of the rest of the node; the composition root satisfies it."""

from __future__ import annotations

from typing import Protocol

from nodeimpl.kernel.store import Tx
from opkit.wire.base import RecordId
from opkit.wire.terms import Terms


class Shared(Protocol):
    """What all keepers of an agreement share of it: its terms, and what was signed."""

    def share(self, tx: Tx, agreement: RecordId, terms: Terms) -> None:
        """Have the keepers share an agreement from now on, if they do not already."""

    def add(self, tx: Tx, agreement: RecordId, signing: str) -> None:
        """Tell the keepers of a signature, once the transaction is committed."""
