"""What one node tells of the federation, as it was asked last."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from opkit.live.examined import Examined
from opkit.wire.agreements import AgreementView
from opkit.wire.clearing import ClearingPosition, Exchange
from opkit.wire.federation import AttestationView, FederationMembers, ForkShown


@dataclass(frozen=True, kw_only=True)
class NodeTold:
    """What a node tells.

    Attributes:
        members: who belongs to the federation; None before it answered.
        files: the files of its agreements, as they were examined here.
        unlike: the agreements of which it tells again and again another hash than their file has.
        ahead_ms: by how much its world time runs ahead.
        trouble: why it does not answer; what it told stays. Empty if it does.
    """

    members: FederationMembers | None = None
    attested: tuple[AttestationView, ...] = ()
    forks: tuple[ForkShown, ...] = ()
    agreements: tuple[AgreementView, ...] = ()
    more_agreements: bool = False
    files: Mapping[str, Examined] = field(default_factory=dict)
    unlike: frozenset[str] = frozenset()
    positions: tuple[ClearingPosition, ...] = ()
    exchanges: tuple[Exchange, ...] = ()
    more_exchanges: bool = False
    ahead_ms: int = 0
    trouble: str = ""


Tells = Mapping[str, NodeTold]
"""What all nodes tell, by their organisations, in the network's order."""


@dataclass(frozen=True, kw_only=True)
class Places:
    """Who is where: what ids mean, for whatever compares what nodes tell.

    Attributes:
        homes: the organisation whose node is a coop's home, by the coop.
        titles: names of organisations and coops.
        orgs: organisations by their nodes' keys.
    """

    homes: Mapping[str, str]
    titles: Mapping[str, str]
    orgs: Mapping[str, str]

    def title(self, of: str) -> str:
        """Return the name of an organisation or a coop, or what it is called by."""
        return self.titles.get(of, of)

    def of_key(self, did: str) -> str:
        """Return the name of whose node has this key, or the key."""
        return self.title(self.orgs[did]) if did in self.orgs else did
