"""Who keeps agreements, as a home tells them of it: for what is tested of one node alone."""

from __future__ import annotations

from dataclasses import dataclass, field

from nodeimpl.agreements.service import Agreements
from nodeimpl.kernel.store import Tx
from nodeimpl.kernel.timers import Timers
from opkit.proof.genesis import GenesisView
from opkit.proof.keys import Identity
from opkit.wire.base import RecordId
from opkit.wire.terms import Terms


@dataclass
class Told:
    """What a home has the keepers of agreements told of."""

    shared: dict[str, Terms] = field(default_factory=dict)
    signings: list[tuple[str, str]] = field(default_factory=list)

    def share(self, tx: Tx, agreement: RecordId, terms: Terms) -> None:
        self.shared[agreement] = terms

    def add(self, tx: Tx, agreement: RecordId, signing: str) -> None:
        self.signings.append((agreement, signing))


def alone(identity: Identity, genesis: GenesisView, timers: Timers) -> tuple[Agreements, Told]:
    """Return a node's agreements, and what it has others told of."""
    told = Told()
    kept = Agreements(identity=identity, genesis=genesis, timers=timers, shared=told)
    return kept, told
