"""A node that clears: joins exchanges with agreements, the ledger, and the nodes of other coops."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from nodeimpl.agreements.service import Agreements
from nodeimpl.clearing.carrier import Carrier
from nodeimpl.clearing.desk import Desk
from nodeimpl.clearing.hearing import Hearing
from nodeimpl.clearing.ports import Ledger
from nodeimpl.clearing.rules import Limits
from nodeimpl.clearing.ruling import Rulings
from nodeimpl.clearing.service import Clearing
from nodeimpl.kernel.clock import Clock
from nodeimpl.kernel.store import Store, Tx
from nodeimpl.outside import Outside
from nodeimpl.p2p.company import Watcher
from nodeimpl.p2p.peers import Peers
from nodeimpl.p2p.reaching import PeerAddress
from opkit.proof import jws
from opkit.proof.genesis import GenesisView
from opkit.proof.keys import Identity
from opkit.wire.agreements import ReadAgreement
from opkit.wire.base import Did, TimeMs, Wire
from opkit.wire.clearing import ASK_OUTCOME, ASK_RULING, OFFER_EXCHANGE, TELL_OUTCOME
from opkit.wire.endpoint import Answer, Ask
from opkit.wire.peer import PeerMethod
from opkit.wire.records import NodeValue, RecordBody
from opkit.wire.terms import Terms

REACH_MS = 2_000
"""How long it is tried to connect with a node."""

Handler = Callable[[Did, Any], Awaitable[Wire]]


def join_clearing(
    identity: Identity,
    genesis: GenesisView,
    store: Store,
    *,
    ledger: Ledger,
    agreements: Agreements,
    outside: Outside,
    peers: Peers,
    clock: Clock,
    limits: Limits | None = None,
) -> Clearing:
    """Return a node's part in clearing; what is to run for it runs with `outside`."""
    desk = Desk(
        identity=identity,
        genesis=genesis,
        ledger=ledger,
        agreements=_Terms(agreements),
        limits=limits or Limits(),
    )
    nodes = _Nodes(identity.did, peers=peers, outside=outside)
    carrier = Carrier(desk, store=store, clock=clock, nodes=nodes)
    hearing = Hearing(desk, store=store)
    rulings = Rulings(desk, store=store, clock=clock, nodes=nodes)
    nodes.answer(OFFER_EXCHANGE, hearing.offered)
    nodes.answer(TELL_OUTCOME, hearing.told)
    nodes.answer(ASK_OUTCOME, hearing.asked)
    nodes.answer(ASK_RULING, rulings.rule)
    peers.watch(_Joining(carrier))
    outside.run_too(carrier.run)
    return Clearing(desk, carrier, store=store)


class _Terms:
    """The agreements of this node, as clearing needs them."""

    def __init__(self, agreements: Agreements) -> None:
        self._agreements = agreements

    def active(self, tx: Tx, agreement: str, now_world_ms: TimeMs) -> Terms:
        """Return the terms of an agreement that is in force.

        Refuses:
            AgreementUnknown, AgreementInactive: it is not.
        """
        return self._agreements.active(tx, agreement, now_world_ms)

    def terms(self, tx: Tx, agreement: str) -> Terms:
        """Return the terms of an agreement, whatever became of it. Refuses: AgreementUnknown."""
        return self._agreements.show(tx, ReadAgreement(agreement=agreement), None).terms


class _Joining(Watcher):
    """Tells the carrier who has come."""

    def __init__(self, carrier: Carrier) -> None:
        self._carrier = carrier

    def joined(self, peer: Did) -> None:
        """Have said to a peer what it did not hear."""
        self._carrier.joined(peer)


class _Nodes:
    """The nodes of the network, this one among them: it may be the home of two that exchange."""

    def __init__(self, own: Did, *, peers: Peers, outside: Outside) -> None:
        self._own = own
        self._peers = peers
        self._outside = outside
        self._handlers: dict[str, Handler] = {}

    def answer(
        self,
        method: PeerMethod[Ask, Answer],
        handler: Callable[[Did, Ask], Awaitable[Answer]],
    ) -> None:
        """Let `handler` answer what other nodes ask, and what this node asks itself."""
        self._handlers[method.name] = handler
        self._peers.serve(method, handler)

    async def ask(
        self, node: Did, method: PeerMethod[Ask, Answer], ask: Ask, *, deadline_ms: int
    ) -> Answer:
        """Ask a node one question, connecting with it if need be.

        Raises:
            Refusal: it said no.
            Unreachable: it did not answer.
            Fault: it is broken, or answers outside the protocol.
        """
        if node == self._own:
            said = await self._handlers[method.name](node, ask)
            assert isinstance(said, method.answer), f"{method.name} is answered by its type"
            return said
        if node not in self._peers.connected():
            at = PeerAddress(did=node, addresses=self._addresses(node))
            await self._peers.reach(at, deadline_ms=REACH_MS)
        return await self._peers.ask(node, method, ask, deadline_ms=deadline_ms)

    def _addresses(self, node: Did) -> tuple[str, ...]:
        """Return where a node says that it can be dialled."""
        carried = self._outside.overlay.shelf.standing("node", node, node)
        if carried is None:
            return ()
        body = RecordBody.model_validate(jws.peek(carried.jws).payload)
        if body.value is None:
            return ()
        return NodeValue.model_validate(body.value, strict=False).addresses
