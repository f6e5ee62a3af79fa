"""A node that keeps agreements: joins what is signed of them with what nodes share."""

from __future__ import annotations

from nodeimpl.agreements.rules import Limits
from nodeimpl.agreements.service import Agreements
from nodeimpl.kernel.store import Tx
from nodeimpl.kernel.timers import Timers
from opkit.proof.genesis import GenesisView
from opkit.proof.keys import Identity
from opkit.wire.base import RecordId
from opkit.wire.terms import Terms


def join_agreements(
    identity: Identity, genesis: GenesisView, *, timers: Timers, limits: Limits | None = None
) -> Agreements:
    """Return a node's part in agreements."""
    return Agreements(
        identity=identity, genesis=genesis, timers=timers, shared=_Alone(), limits=limits
    )


class _Alone:
    """Nobody else."""

    def share(self, tx: Tx, agreement: RecordId, terms: Terms) -> None:
        """Share with nobody."""

    def add(self, tx: Tx, agreement: RecordId, signing: str) -> None:
        """Tell nobody."""
