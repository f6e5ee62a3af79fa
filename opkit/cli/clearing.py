"""`opkit clearing`: how coops stand with each other, and how that is brought to zero."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from opkit.cli import exits, out
from opkit.cli.address import Address, addressed
from opkit.cli.clearings import AgreementOption, agreement_of, call, named_for_good, show_one
from opkit.cli.failing import Mistake

if TYPE_CHECKING:
    from opkit.client import NodeClient
    from opkit.wire.clearing import ClearingPosition, Exchange, Leg

app = out.group(
    """Clearing between coops that have agreements: positions, settlements, netting.

    A position is what another coop owes under an agreement; the other's is its mirror.

    Examples:

      opkit clearing positions

      opkit clearing settle --agreement 1f0c6b --period 2026-03

      opkit clearing net --with birch --with cedar
    """
)


@app.command()
@addressed
def positions(
    address: Address,
    agreement: Annotated[str, typer.Option(help="Only under this agreement.")] = "",
    as_json: out.Json = False,
) -> int:
    """Show how the node's coop stands with others, and what of it is in doubt.

    Example: opkit clearing positions --node brightworks-cooperative
    """

    async def work(client: NodeClient) -> tuple[ClearingPosition, ...]:
        under = await agreement_of(client, agreement) if agreement else ""
        return await client.clearing.positions(agreement=under)

    found = call(address, work)
    out.show(
        {"positions": [each.model_dump(mode="json") for each in found]},
        as_json=as_json,
        human=lambda on: _table(on, found),
    )
    return exits.DONE


@app.command()
@addressed
def settle(
    address: Address,
    *,
    agreement: AgreementOption,
    period: Annotated[str, typer.Option(help="2026-03, 2026-Q1, or a part: 2026-Q1/run-7.")],
    other: Annotated[str, typer.Option(help="With whom, if there are several parties.")] = "",
    what: Annotated[str, typer.Option(help="How it was paid, for people.")] = "",
    as_json: out.Json = False,
) -> int:
    """Bring a position to zero on both sides, for a period, once; who is owed settles.

    Example: opkit clearing settle --agreement 1f0c6b --period 2026-03
    """

    async def work(client: NodeClient) -> Exchange:
        name = await agreement_of(client, agreement)
        return await client.clearing.settle(name, period, other=other or None, what=what)

    return show_one(call(address, work), as_json=as_json)


@app.command()
@addressed
def net(
    address: Address,
    *,
    coops: Annotated[
        list[str] | None,
        typer.Option("--with", help="A coop of the same devnet whose debts are netted along."),
    ] = None,
    legs: Annotated[
        list[str] | None,
        typer.Option("--leg", help="DEBTOR:CREDITOR:AMOUNT:AGREEMENT, for each debt."),
    ] = None,
    unit: Annotated[str, typer.Option(help="In which the debts are.")] = "commons-credits",
    exchange_id: Annotated[
        str, typer.Option("--id", help="Its id, for good: asking again does nothing twice.")
    ] = "",
    as_json: out.Json = False,
) -> int:
    """Take debts that go around in a circle out of all positions at once, all or none.

    On a devnet the positions of the coops are read, and as much as can be is netted.

    Examples:
      opkit clearing net --with birch --with cedar

      opkit clearing net --leg inn:mill:9:1f0c… --leg mill:yard:9:77ab… --leg …
    """
    if bool(coops) == bool(legs):
        raise Mistake("either --with COOP, or --leg for each debt", code=exits.USAGE)

    with named_for_good(exchange_id) as name:

        async def work(client: NodeClient) -> Exchange:
            if legs:
                wanted = tuple([_leg(each) for each in legs])
            else:
                wanted = await _circle(address, client, coops or [], unit)
            return await client.clearing.net(wanted, unit=unit, exchange_id=name)

        done = call(address, work)
    return show_one(done, as_json=as_json)


async def _circle(
    address: Address, client: NodeClient, coops: list[str], unit: str
) -> tuple[Leg, ...]:
    """Return what can be netted among the speaker's coop and others, as their homes say.

    Raises:
        Mistake: their debts do not go around.
    """
    from opkit.proof.circles import circle_of

    found = list(await client.clearing.positions())
    for coop in coops:
        there = replace(address, org=coop, speaker=None).resolve()
        async with there.client() as other:
            found += await other.clearing.positions(coop=coop)
    own = (await client.member_id()).partition("/")[0]
    around = (each for each in found if {each.coop, each.other} <= {own, *coops})
    legs = circle_of(around, unit, through=own)
    if not legs:
        raise Mistake("their debts do not go around", hint="`opkit clearing positions` shows them")
    return legs


def _leg(said: str) -> Leg:
    """Return a leg that lowers a debt. Raises `Mistake`: it is none."""
    from pydantic import ValidationError

    from opkit.wire.clearing import Leg

    try:
        debtor, creditor, amount, agreement = said.split(":")
        return Leg(agreement=agreement, payer=creditor, payee=debtor, amount=int(amount))
    except (ValueError, ValidationError) as bad:
        raise Mistake(
            f"{said!r} is no debt", hint="DEBTOR:CREDITOR:AMOUNT:AGREEMENT", code=exits.USAGE
        ) from bad


def _table(on: Any, found: tuple[ClearingPosition, ...]) -> None:
    from opkit.views.money import amount_text

    rows = [
        (
            each.coop,
            each.other,
            amount_text(each.balance, each.unit),
            amount_text(each.doubt_in, each.unit) if each.doubt_in else "",
            amount_text(each.doubt_out, each.unit) if each.doubt_out else "",
            amount_text(each.imbalance_max, each.unit),
            each.settled or "",
            each.agreement[:12],
        )
        for each in found
    ]
    headings = (
        "coop",
        "with",
        "is owed",
        "may rise by",
        "may fall by",
        "at most",
        "settled",
        "agreement",
    )
    out.table(on, headings, rows, none="nothing was exchanged: opkit exchange offer does")
