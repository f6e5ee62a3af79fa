"""`opkit hold`: money set aside in its account until it is paid, released, or its time is over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from opkit.cli import exits, out
from opkit.cli.address import Address, addressed
from opkit.cli.failing import Mistake
from opkit.cli.ledgers import ROWS_MAX, Coop, Unit, call, path_of
from opkit.cli.listing import first

if TYPE_CHECKING:
    from opkit.client.ledger import LedgerCalls
    from opkit.wire.holds import Hold

HOUR_MS = 3_600_000
STATES = ("held", "posted", "voided", "lapsed")

app = out.group(
    """Holds: set money aside now, and pay it, or a part of it, later. It stays in its account.

    A hold ends once: posted by who may spend the money, voided by them or by who was to get it, or
    lapsed at its moment of world time. What was not paid is free again.

    Examples:

      opkit hold create d7 --from member/theo --to income --amount 5000 --as theo

      opkit hold post d7 --amount 3000 --as theo

      opkit hold list --state held
    """
)

HoldArgument = Annotated[str, typer.Argument(help="The hold's id, as it was given.")]


@app.command()
@addressed
def create(
    address: Address,
    hold_id: Annotated[
        str, typer.Argument(help="The hold's id, for good: asking again holds nothing twice.")
    ],
    *,
    from_account: Annotated[str, typer.Option("--from", help="Where the money is, and stays.")],
    to_account: Annotated[str, typer.Option("--to", help="Where it goes once it is posted.")],
    amount: Annotated[int, typer.Option(min=1, help="How much, in the unit's smallest step.")],
    unit: Unit = "usd-cents",
    hours: Annotated[
        int, typer.Option(min=1, max=9_600, help="After how many hours of world time it lapses.")
    ] = 168,
    memo: Annotated[str, typer.Option(help="What it is for, for people.")] = "",
    coop: Coop = "",
    as_json: out.Json = False,
) -> int:
    """Set money aside. It stays in its account, and cannot be spent otherwise.

    Example: opkit hold create d8 --from equity/opening --to member/ines --amount 9
    """

    async def do(ledger: LedgerCalls) -> Hold:
        return await ledger.hold(
            amount,
            from_account=from_account,
            to_account=to_account,
            unit=unit,
            memo=memo,
            hold_id=hold_id,
            lapses_at_ms=await _lapses_at(ledger, hold_id, hours),
        )

    return _one(call(address, coop, do), as_json=as_json)


@app.command("list")
@addressed
def list_holds(
    address: Address,
    state: Annotated[str, typer.Option(help="held, posted, voided or lapsed; default: all.")] = "",
    account: Annotated[str, typer.Option(help="Only those from or to this account.")] = "",
    holds_max: Annotated[int, typer.Option("--max", min=1, max=ROWS_MAX, help="How many.")] = 50,
    coop: Coop = "",
    as_json: out.Json = False,
) -> int:
    """List holds, the newest first.

    Examples:
      opkit hold list

      opkit hold list --account member/theo --json
    """
    if state and state not in STATES:
        raise Mistake(f"{state!r} is no state of a hold", hint=", ".join(STATES))

    async def read(ledger: LedgerCalls) -> list[Hold]:
        wanted: Any = state or None
        return await first(ledger.holds(state=wanted, account=account), holds_max)

    holds = call(address, coop, read)
    out.show(
        {"holds": [hold.model_dump(mode="json") for hold in holds]},
        as_json=as_json,
        human=lambda on: _show(on, holds, none="no such hold: opkit hold create makes one"),
    )
    return exits.DONE


@app.command()
@addressed
def show(
    address: Address, hold_id: HoldArgument, coop: Coop = "", as_json: out.Json = False
) -> int:
    """Show one hold, and what became of it.

    Example: opkit hold show d7
    """
    return _one(call(address, coop, lambda ledger: ledger.get_hold(hold_id)), as_json=as_json)


@app.command()
@addressed
def post(
    address: Address,
    hold_id: HoldArgument,
    amount: Annotated[
        int, typer.Option(min=0, help="How much of it; the rest is free again. Default: all.")
    ] = 0,
    coop: Coop = "",
    as_json: out.Json = False,
) -> int:
    """Pay what is held, or a part of it, by an entry that cites the hold.

    Example: opkit hold post d7 --amount 3000 --as theo
    """

    async def do(ledger: LedgerCalls) -> Hold:
        return await ledger.post_hold(hold_id, amount or None)

    return _one(call(address, coop, do), as_json=as_json)


@app.command()
@addressed
def void(
    address: Address, hold_id: HoldArgument, coop: Coop = "", as_json: out.Json = False
) -> int:
    """Release what is held: nothing is paid.

    Example: opkit hold void d8 --as ines
    """
    return _one(call(address, coop, lambda ledger: ledger.void_hold(hold_id)), as_json=as_json)


async def _lapses_at(ledger: LedgerCalls, hold_id: str, hours: int) -> int:
    """Return when a hold lapses: of one that there is already, when it did, so that it is the same.

    The time that is said begins when the command is given, and it may be given again.
    """
    from opkit.wire.holds import HoldUnknown

    try:
        return (await ledger.get_hold(hold_id)).lapses_at_ms
    except HoldUnknown:
        return await ledger.world_ms() + hours * HOUR_MS


def _one(hold: Hold, *, as_json: bool) -> int:
    def human(on: Any) -> None:
        _show(on, [hold])
        out.facts(
            on,
            {
                "memo": hold.memo,
                "by": hold.by,
                "ended_by": hold.ended_by,
                "entry": hold.entry,
                "hash": hold.hash,
            },
        )

    out.show(hold.model_dump(mode="json"), as_json=as_json, human=human)
    return exits.DONE


def _show(on: Any, holds: list[Hold], *, none: str = "") -> None:
    from opkit.views.money import amount_text

    rows = [
        (
            out.plain(hold.hold_id),
            hold.state,
            out.plain(path_of(hold.from_account)),
            out.plain(path_of(hold.to_account)),
            amount_text(hold.amount, hold.unit),
            amount_text(hold.posted, hold.unit) if hold.posted else "",
            out.moment(hold.lapses_at_ms),
        )
        for hold in holds
    ]
    headings = ("hold", "state", "from", "to", "amount", "posted", "lapses (world time)")
    out.table(on, headings, rows, none=none)
