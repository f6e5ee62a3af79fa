"""Governance at one node: its parts, joined."""

from __future__ import annotations

from nodeimpl.governance.assemblies import Assemblies
from nodeimpl.governance.deciding import Deciding
from nodeimpl.governance.executing import Executing
from nodeimpl.governance.files import Files
from nodeimpl.governance.lodging import Lodging
from nodeimpl.governance.ports import Agreements, Homes, Ledger, Members
from nodeimpl.governance.proposing import Proposing
from nodeimpl.governance.rules import Limits
from nodeimpl.governance.voting import Voting
from nodeimpl.kernel.clock import Clock
from nodeimpl.kernel.store import Store
from nodeimpl.kernel.timers import Timers
from opkit.proof.genesis import GenesisView
from opkit.proof.keys import Identity


class Governance:
    """The assemblies whose home a node is, and the ballots it witnesses for others.

    Attributes:
        assemblies: how they stand; the other parts are what is done in them.
    """

    def __init__(
        self,
        *,
        identity: Identity,
        genesis: GenesisView,
        store: Store,
        clock: Clock,
        timers: Timers,
        members: Members,
        ledger: Ledger,
        agreements: Agreements,
        homes: Homes,
        limits: Limits | None = None,
    ) -> None:
        """Join the parts."""
        limits = limits or Limits()
        self.assemblies = Assemblies(
            identity=identity,
            genesis=genesis,
            members=members,
            ledger=ledger,
            agreements=agreements,
        )
        self.proposing = Proposing(self.assemblies, timers=timers, limits=limits)
        self.voting = Voting(self.assemblies, timers=timers)
        self.deciding = Deciding(self.assemblies, timers=timers)
        self.executing = Executing(self.assemblies, timers=timers)
        self.files = Files(self.assemblies, store=store)
        self.lodging = Lodging(
            self.assemblies,
            self.voting,
            self.deciding,
            store=store,
            clock=clock,
            timers=timers,
            homes=homes,
            limits=limits,
        )
