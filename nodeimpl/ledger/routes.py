"""The ledger's endpoints bound to what answers them."""

from __future__ import annotations

from nodeimpl.kernel.binding import Route, serve
from nodeimpl.ledger.reading import Reading
from nodeimpl.ledger.service import Ledger
from opkit.wire import ledger as wire


def routes(ledger: Ledger, reading: Reading) -> list[Route]:
    """Return this domain's endpoints."""
    return [
        serve(wire.LEDGER_POST, ledger.post),
        serve(wire.LEDGER_ENTRY, reading.entry),
        serve(wire.LEDGER_HISTORY, reading.history),
        serve(wire.LEDGER_POSITION, reading.position),
        serve(wire.LEDGER_ACCOUNTS, reading.accounts),
        serve(wire.LEDGER_TRIAL_BALANCE, reading.trial_balance),
        serve(wire.LEDGER_STATEMENT, reading.statement),
    ]
