"""Holds against accounts when the node starts: what is set aside is what open holds say.

Source: ADR 0040.
"""

from __future__ import annotations

from collections.abc import Callable

from nodeimpl.kernel.tx import Tx
from nodeimpl.ledger import holds_store as table
from nodeimpl.ledger.checking import LedgerDamaged
from opkit.wire.base import Slug
from opkit.wire.ledger import AccountId, Unit

SetAside = Callable[[Tx, Slug], dict[tuple[AccountId, Unit], int]]
"""What else of a ledger is set aside, by account and unit."""


def check_holds(tx: Tx, coop: Slug, *, others: SetAside | None = None) -> None:
    """Return if each account of a ledger has set aside what its holds and others say.

    Args:
        tx: reads.
        coop: whose ledger it is.
        others: who else has something set aside in it.

    Raises:
        LedgerDamaged: one has something else set aside.
    """
    held, set_aside = table.held(tx, coop), table.set_aside(tx, coop)
    for key, amount in (others(tx, coop) if others else {}).items():
        held[key] = held.get(key, 0) + amount
    for account, unit in sorted(held.keys() | set_aside.keys()):
        said, kept = held.get((account, unit), 0), set_aside.get((account, unit), 0)
        if said != kept:
            raise LedgerDamaged(f"{account} has {kept} {unit} set aside, and its holds say {said}")
