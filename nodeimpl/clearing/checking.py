"""What exchanges have set aside in a ledger, for whoever adds it up when the node starts."""

from __future__ import annotations

from nodeimpl.clearing import store as tables
from nodeimpl.kernel.store import Tx
from opkit.proof.clearing import postings_of
from opkit.wire.base import Slug
from opkit.wire.ledger import AccountId, Unit


def set_aside(tx: Tx, coop: Slug) -> dict[tuple[AccountId, Unit], int]:
    """Return what a coop's exchanges in doubt have set aside, by account and unit."""
    aside: dict[tuple[AccountId, Unit], int] = {}
    for kept in tables.set_aside(tx, coop):
        for each in postings_of(kept.offer, coop):
            if each.amount < 0:
                key = (each.account, each.unit)
                aside[key] = aside.get(key, 0) - each.amount
    return aside
