"""What the commands of exchanges and of clearing share: whom they call, and how they show."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from opkit.cli import anchors, exits, out
from opkit.cli.failing import Mistake, explain

if TYPE_CHECKING:
    from opkit.cli.address import Address
    from opkit.client import NodeClient
    from opkit.wire.clearing import Exchange, Leg

T = TypeVar("T")

AgreementOption = Annotated[
    str, typer.Option("--agreement", help="The agreement's id, or how it begins (6 or more).")
]


def call(address: Address, work: Callable[[NodeClient], Awaitable[T]]) -> T:
    """Return what `work` makes of a node, whose proofs are verified by the reader's own genesis."""
    target = address.resolve()

    async def run() -> T:
        async with target.client() as client:
            client.genesis = anchors.anchor(address.genesis, network=target.network)
            return await work(client)

    return asyncio.run(run())


@contextmanager
def named_for_good(said: str) -> Iterator[str]:
    """Give an exchange its id, what was said or a fresh one; it is told if no answer comes.

    Without it whoever asks again would exchange twice.

    Raises:
        Mistake: the node did not answer, or is broken or busy; it may have done it all the same.
    """
    from opkit.wire.errors import Busy, Fault, Unreachable

    name = said or secrets.token_hex(16)
    try:
        yield name
    except (Busy, Fault, Unreachable, KeyboardInterrupt) as unsaid:
        told = explain(unsaid)
        assert told is not None, "all of these are explained"
        again = f"it may have been done: to ask again, and not do it twice, add --id {name}"
        hint = f"{told.hint}; {again}" if told.hint else again
        raise Mistake(told.why, hint=hint, code=told.code) from unsaid


async def agreement_of(client: NodeClient, said: str) -> str:
    """Return the id of the agreement that is meant.

    Raises:
        Mistake: none, or several, begin so.
    """
    if len(said) == 64:
        return said
    if len(said) < 6:
        raise Mistake(f"{said!r} is too short", hint="6 digits of the id, or more")
    found = [
        each.agreement async for each in client.agreements.list() if each.agreement.startswith(said)
    ]
    if len(found) != 1:
        why = f"{len(found)} agreements begin with {said}"
        raise Mistake(why, hint="`opkit agreement list` shows them")
    return found[0]


def show_one(exchange: Exchange, *, as_json: bool, more: dict[str, object] | None = None) -> int:
    """Show an exchange, and return that all went well."""
    from opkit.views.money import amount_text

    facts: dict[str, object] = {
        "exchange": exchange.exchange_id,
        "kind": exchange.kind,
        "state": _state(exchange),
        "why": exchange.why,
        "what": out.plain(exchange.what),
        "period": exchange.period,
        "proposed by": exchange.proposer,
    }
    for number, leg in enumerate(exchange.legs, 1):
        amount = amount_text(leg.amount, exchange.unit)
        facts[f"leg {number}"] = f"{leg.payer} owes {leg.payee} {amount} more"
        facts[f"agreement {number}"] = leg.agreement
    facts |= {"entry": exchange.entry, "correction": exchange.correction, "hash": exchange.hash}
    said = exchange.model_dump(mode="json")
    out.show(
        {**said, **(more or {})},
        as_json=as_json,
        human=lambda on: out.facts(on, {**facts, **(more or {})}),
    )
    return exits.DONE


def table_of(on: Any, exchanges: list[Exchange], *, none: str) -> None:
    """Show exchanges, a line each."""
    from opkit.views.money import amount_text

    rows = [
        (
            each.exchange_id,
            each.kind,
            _state(each),
            ", ".join(_leg(leg) for leg in each.legs),
            " + ".join(amount_text(leg.amount, each.unit) for leg in each.legs),
            out.plain(each.what),
            out.moment(each.offered_ms),
        )
        for each in exchanges
    ]
    headings = ("exchange", "kind", "state", "payer → payee", "amount", "what", "offered")
    out.table(on, headings, rows, none=none)


def _state(exchange: Exchange) -> str:
    by = ", by ruling" if exchange.ruled else ""
    doubt = ", in doubt" if exchange.in_doubt else ""
    return f"{exchange.state}{by}{doubt}"


def _leg(leg: Leg) -> str:
    return f"{leg.payer} → {leg.payee}"
