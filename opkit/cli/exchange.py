"""`opkit exchange`: give or get something under an agreement with another coop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from opkit.cli import out
from opkit.cli.address import Address, addressed
from opkit.cli.clearings import (
    AgreementOption,
    agreement_of,
    call,
    named_for_good,
    show_one,
    table_of,
)

if TYPE_CHECKING:
    from opkit.client import NodeClient
    from opkit.wire.clearing import Exchange, ExchangeAnswer

LISTED_MAX = 10_000

app = out.group(
    """Exchanges between coops that have an agreement: offered, shown, listed.

    Both coops post their halves, or neither does. While one of them is silent the exchange is in
    doubt, and counts against the greatest imbalance; it goes on by itself.

    Examples:

      opkit exchange offer --agreement 1f0c6b --payer mill --payee inn --amount 9

      opkit exchange list --doubt
    """
)


@app.command()
@addressed
def offer(
    address: Address,
    *,
    agreement: AgreementOption,
    payer: Annotated[str, typer.Option(help="The coop that gets something, and owes for it.")],
    payee: Annotated[str, typer.Option(help="The coop that gives it.")],
    amount: Annotated[int, typer.Option(min=1, help="How much, in the unit's smallest step.")],
    unit: Annotated[str, typer.Option(help="The agreement's unit.")] = "commons-credits",
    what: Annotated[str, typer.Option(help="What is exchanged, for people.")] = "",
    exchange_id: Annotated[
        str, typer.Option("--id", help="Its id, for good: asking again does nothing twice.")
    ] = "",
    seconds: Annotated[
        int, typer.Option(min=1, max=600, help="For how long the other side may accept.")
    ] = 30,
    as_json: out.Json = False,
) -> int:
    """Propose an exchange, and post both halves if the other side is there and agrees.

    Example: opkit exchange offer --agreement 1f0c6b --payer mill --payee inn --amount 9
    """
    with named_for_good(exchange_id) as name:

        async def work(client: NodeClient) -> Exchange:
            return await client.clearing.offer(
                await agreement_of(client, agreement),
                payer=payer,
                payee=payee,
                amount=amount,
                unit=unit,
                what=what,
                exchange_id=name,
                ttl_ms=seconds * 1_000,
            )

        done = call(address, work)
    return show_one(done, as_json=as_json)


@app.command()
@addressed
def show(
    address: Address,
    exchange: Annotated[str, typer.Argument(help="The exchange's id, or its hash.")],
    as_json: out.Json = False,
) -> int:
    """Show an exchange as a side of it stands, once its proofs are verified.

    Example: opkit exchange show 4f1d7c
    """

    async def work(client: NodeClient) -> ExchangeAnswer:
        return await client.clearing.get(exchange)

    answer = call(address, work)
    evidence = answer.evidence.model_dump(mode="json")
    more: dict[str, object] = {"evidence": evidence} if as_json else {}
    return show_one(answer.exchange, as_json=as_json, more=more)


@app.command("list")
@addressed
def list_exchanges(
    address: Address,
    agreement: Annotated[str, typer.Option(help="Only those under this agreement.")] = "",
    doubt: Annotated[bool, typer.Option("--doubt", help="Only those in doubt.")] = False,
    listed_max: Annotated[int, typer.Option("--max", min=1, max=LISTED_MAX, help="How many.")] = 50,
    as_json: out.Json = False,
) -> int:
    """List the exchanges of the node's coop, newest first.

    Examples:
      opkit exchange list

      opkit exchange list --doubt --json
    """

    async def work(client: NodeClient) -> list[Exchange]:
        under = await agreement_of(client, agreement) if agreement else ""
        found: list[Exchange] = []
        async for each in client.clearing.list(agreement=under, doubt=doubt):
            found.append(each)
            if len(found) == listed_max:
                break
        return found

    exchanges = call(address, work)
    out.show(
        {"exchanges": [each.model_dump(mode="json") for each in exchanges]},
        as_json=as_json,
        human=lambda on: table_of(
            on, exchanges, none="no exchange: opkit exchange offer makes one"
        ),
    )
    return 0
