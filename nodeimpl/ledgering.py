"""A node that keeps the ledgers of the coops whose home it is: joins entries, holds and members."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import structlog

from nodeimpl.kernel.binding import Route
from nodeimpl.kernel.store import Store
from nodeimpl.kernel.timers import Timers
from nodeimpl.ledger.checking import check
from nodeimpl.ledger.holds_checking import SetAside, check_holds
from nodeimpl.ledger.holds_routes import routes as holds_routes
from nodeimpl.ledger.holds_service import Holds
from nodeimpl.ledger.reading import Reading
from nodeimpl.ledger.routes import routes as ledger_routes
from nodeimpl.ledger.rules import Limits
from nodeimpl.ledger.service import Ledger
from nodeimpl.membership.former import KeyHolders
from nodeimpl.membership.service import Membership
from opkit.proof.genesis import GenesisView
from opkit.wire.base import Did

_log = structlog.get_logger("ledger")


@dataclass(frozen=True, kw_only=True)
class Ledgers:
    """A node's part in ledgers: what posts, what answers, and what is set aside."""

    ledger: Ledger
    reading: Reading
    holds: Holds

    def routes(self) -> list[Route]:
        """Return what answers the ledger's endpoints."""
        return [*ledger_routes(self.ledger, self.reading), *holds_routes(self.holds)]


async def join_ledger(
    own: Did,
    genesis: GenesisView,
    store: Store,
    membership: Membership,
    *,
    timers: Timers,
    others: SetAside | None = None,
    limits: Limits | None = None,
) -> Ledgers:
    """Return a node's part in ledgers, once what it keeps of them was added up.

    Args:
        own: this node's key.
        genesis: says whose home it is.
        store: keeps the ledgers.
        membership: says who posts.
        timers: end holds.
        others: who else has something set aside in them.
        limits: the bounds.

    Raises:
        LedgerDamaged: what is kept contradicts itself.
        StoreBusy: it cannot be read.
    """
    ledger = Ledger(own=own, genesis=genesis, limits=limits)
    for coop in ledger.coops:
        checked = await check(store, coop, network=genesis.network)
        await store.read(partial(check_holds, coop=coop, others=others))
        if checked:
            _log.info("the ledger adds up", coop=coop, entries=checked)
    return Ledgers(
        ledger=ledger,
        reading=Reading(ledger, members=KeyHolders(membership, genesis=genesis)),
        holds=Holds(network=genesis.network, ledger=ledger, timers=timers),
    )
