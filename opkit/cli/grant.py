"""`opkit grant`: let a node submit tasks in your name, for clients that hold no key of yours."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Annotated

import typer

from opkit.cli import exits, out
from opkit.cli.address import Address, Target, addressed
from opkit.cli.failing import Mistake

if TYPE_CHECKING:
    from opkit.wire.grants import GrantHeld

app = out.group(
    """Grants: what a node may submit in your name, for A2A clients that hold no key of yours.

    Signed with your key, for one node, so many tasks and so much fuel each, until then.

    Examples:

      opkit grant give --tasks 100

      opkit grant list

      opkit grant revoke GRANT
    """
)

DAY_MS = 86_400_000
DAYS_MAX = 30
GRANT_ID = re.compile(r"^[0-9a-f]{64}$")
MODULE = re.compile(r"^bafkrei[a-z2-7]{52}$")


@app.command()
@addressed
def give(
    address: Address,
    *,
    tasks: Annotated[int, typer.Option("--tasks", min=1, max=1_000_000, help="How many tasks.")],
    fuel: Annotated[
        int, typer.Option(min=1, max=100_000_000_000, help="The most fuel of one task.")
    ] = 1_000_000_000,
    days: Annotated[int, typer.Option(min=1, max=DAYS_MAX, help="For how long.")] = 1,
    module: Annotated[str, typer.Option(help="The only module; none: any.")] = "",
    as_json: out.Json = False,
) -> int:
    """Let a node submit tasks in your name.

    Whatever the node does, it can spend no more than so much fuel for so many tasks.

    Examples:
      opkit grant give --tasks 100

      opkit grant give --tasks 5 --fuel 2000000000 --days 7 --module bafkrei…
    """
    if module and not MODULE.match(module):
        raise Mistake(f"{module!r} is no module", hint="`opkit wasm list` shows their names")
    target = _signing(address)
    held = asyncio.run(_give(target, tasks=tasks, fuel=fuel, days=days, module=module or None))
    return _show(held, as_json=as_json)


@app.command("list")
@addressed
def list_grants(address: Address, as_json: out.Json = False) -> int:
    """List what a node may do in your name, and how much of it was used.

    Example: opkit grant list
    """
    found = asyncio.run(_list(address.resolve()))
    said = {"grants": [held.model_dump(mode="json") for held in found]}
    rows = [
        (
            held.grant_id,
            held.state.value,
            f"{held.tasks_used} of {held.tasks_max}",
            str(held.fuel_max),
            held.module or "any",
            out.moment(held.lapses_at_ms),
        )
        for held in found
    ]
    headings = ("grant", "state", "tasks", "fuel", "module", "lapses")
    none = "no grant is kept here: opkit grant give signs one"
    out.show(said, as_json=as_json, human=lambda on: out.table(on, headings, rows, none=none))
    return exits.DONE


@app.command()
@addressed
def revoke(
    address: Address,
    grant: Annotated[str, typer.Argument(help="The grant, as `opkit grant list` shows it.")],
    as_json: out.Json = False,
) -> int:
    """Take a grant back: the node uses it no more, and ends what runs under it.

    Example: opkit grant revoke GRANT
    """
    if not GRANT_ID.match(grant):
        raise Mistake(f"{grant!r} is no grant", hint="64 hex digits: `opkit grant list`")
    return _show(asyncio.run(_revoke(address.resolve(), grant)), as_json=as_json)


def _signing(address: Address) -> Target:
    target = address.resolve()
    if target.identity is None:
        raise Mistake("a grant is signed with your key", hint="--identity NAME, or a file")
    return target


def _show(held: GrantHeld, *, as_json: bool) -> int:
    said = held.model_dump(mode="json")
    shown = {name: value for name, value in said.items() if name != "grant" and value is not None}
    out.show(said, as_json=as_json, human=lambda on: out.facts(on, shown))
    return exits.DONE


async def _give(
    target: Target, *, tasks: int, fuel: int, days: int, module: str | None
) -> GrantHeld:
    from opkit.client.grants import GrantCalls

    async with target.client() as client:
        return await GrantCalls(client).give(
            tasks_max=tasks, fuel_max=fuel, term_ms=days * DAY_MS, module=module
        )


async def _list(target: Target) -> tuple[GrantHeld, ...]:
    from opkit.client.grants import GrantCalls

    async with target.client() as client:
        return await GrantCalls(client).list()


async def _revoke(target: Target, grant_id: str) -> GrantHeld:
    from opkit.client.grants import GrantCalls

    async with target.client() as client:
        return await GrantCalls(client).revoke(grant_id)
