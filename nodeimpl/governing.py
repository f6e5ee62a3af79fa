"""A node that keeps assemblies: joins governance with members, the ledger, and other homes."""

from __future__ import annotations

from nodeimpl.governance.ports import Agreements, Ledger
from nodeimpl.governance.rules import Limits
from nodeimpl.governance.service import Governance
from nodeimpl.kernel.clock import Clock
from nodeimpl.kernel.store import Store
from nodeimpl.kernel.timers import Timers
from nodeimpl.membership.decided import AssemblyMembers
from nodeimpl.membership.service import Membership
from nodeimpl.outside import Outside
from nodeimpl.p2p.peers import Peers
from nodeimpl.p2p.reaching import PeerAddress
from opkit.proof import jws
from opkit.wire.base import Did
from opkit.wire.governance import PASS_BALLOT, BallotPassed, PassBallot
from opkit.wire.records import NodeValue, RecordBody

REACH_MS = 2_000
"""How long it is tried to connect with a home node."""


def join_governance(
    membership: Membership,
    ledger: Ledger,
    agreements: Agreements,
    outside: Outside,
    *,
    store: Store,
    peers: Peers,
    clock: Clock,
    timers: Timers,
    limits: Limits | None = None,
) -> Governance:
    """Return a node's part in governance; what is to run for it runs with `outside`."""
    governance = Governance(
        identity=membership.identity,
        genesis=membership.genesis,
        store=store,
        clock=clock,
        timers=timers,
        members=AssemblyMembers(membership),
        ledger=ledger,
        agreements=agreements,
        homes=_Homes(peers, outside=outside),
        limits=limits,
    )
    peers.serve(PASS_BALLOT, governance.lodging.passed)
    outside.run_too(governance.lodging.run)
    return governance


class _Homes:
    """Other nodes, as homes of their assemblies."""

    def __init__(self, peers: Peers, *, outside: Outside) -> None:
        self._peers = peers
        self._outside = outside

    async def pass_ballot(self, home: Did, ask: PassBallot) -> BallotPassed:
        """Hand a lodged ballot to its assembly's home, connecting with it if need be.

        Raises:
            Refusal: it said no.
            Unreachable: it did not answer.
            Fault: it is broken, or answers outside the protocol.
        """
        if home not in self._peers.connected():
            at = PeerAddress(did=home, addresses=self._addresses(home))
            await self._peers.reach(at, deadline_ms=REACH_MS)
        return await self._peers.ask(home, PASS_BALLOT, ask)

    def _addresses(self, home: Did) -> tuple[str, ...]:
        """Return where a node says that it can be dialled."""
        carried = self._outside.overlay.shelf.standing("node", home, home)
        if carried is None:
            return ()
        body = RecordBody.model_validate(jws.peek(carried.jws).payload)
        if body.value is None:
            return ()
        return NodeValue.model_validate(body.value, strict=False).addresses
