"""What the commands of ledgers and holds share: whose ledger, at which node, and dates."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from opkit.cli import exits
from opkit.cli.address import Address
from opkit.cli.failing import Mistake

if TYPE_CHECKING:
    from opkit.client.ledger import LedgerCalls

T = TypeVar("T")

Coop = Annotated[str, typer.Option(help="Whose ledger; default: that of the speaker's own coop.")]
Unit = Annotated[str, typer.Option(help="usd-cents, commons-credits or patronage-credits.")]
ROWS_MAX = 100_000


def call(address: Address, coop: str, work: Callable[[LedgerCalls], Awaitable[T]]) -> T:
    """Return what `work` makes of a coop's ledger, asked at its home node.

    Args:
        coop: whose ledger; empty for the speaker's own coop.
    """
    if coop and address.url is None and address.org is None:
        # Only the home of a coop keeps its ledger, and on a devnet it is called as the coop is.
        address = replace(address, org=coop)
    target = address.resolve()

    async def run() -> T:
        async with target.client() as client:
            whose = coop or (await client.member_id()).partition("/")[0]
            if whose == "-":
                raise Mistake("who speaks is of no coop", hint="--coop says whose ledger")
            return await work(client.ledger(whose))

    return asyncio.run(run())


def day_ms(text: str, *, after: bool = False) -> int:
    """Return when a day begins, or with `after` when it is over, in UTC.

    Raises:
        Mistake: it is no day.
    """
    try:
        day = date.fromisoformat(text)
    except ValueError as bad:
        raise Mistake(f"{text!r} is no day", hint="2026-01-31", code=exits.USAGE) from bad
    began = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=int(after))
    return int(began.timestamp() * 1000)


def path_of(account: str) -> str:
    """Return an account without its coop, which stands above."""
    return account.partition(":")[2] or account
