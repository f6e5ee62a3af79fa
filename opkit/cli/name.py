"""`opkit name`: names under a coop, claimed by its members and countersigned by its home node."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from opkit.cli import exits, out
from opkit.cli.address import Address, Target, addressed
from opkit.cli.anchors import anchor
from opkit.cli.failing import Mistake
from opkit.cli.listing import first

if TYPE_CHECKING:
    from opkit.client import NodeClient
    from opkit.client.bulk import Claimed
    from opkit.wire.names import NameHeld, NameTarget

DAY_MS = 86_400_000
FILE_BYTES_MAX = 64 * 2**20
NAMES_MAX = 100_000
REFUSED_SHOWN = 20
"""How many refused names of an import are told one by one."""

TELL_S = 1.0
"""How often an import says how far it is."""

app = out.group(
    """Names under a coop, such as `lathe.river-city-tool-library`.

    A member claims a name; it is held once the coop's home node has countersigned the claim, and
    found from every node. What nodes answer is verified here.

    Examples:

      opkit name register lathe --type machine-booking

      opkit name get lathe.river-city-tool-library
    """
)

NameArgument = Annotated[
    str, typer.Argument(help="label.coop, or just a label: under the speaker's own coop.")
]
Days = Annotated[int, typer.Option(min=1, max=30, help="For how many days, from now on.")]


@app.command()
@addressed
def register(
    address: Address,
    name: NameArgument,
    type_: Annotated[str, typer.Option("--type", help="A service of this type.")] = "",
    endpoint: Annotated[
        list[str] | None, typer.Option(help="How the service is called: protocol=/path.")
    ] = None,
    capability: Annotated[list[str] | None, typer.Option(help="What the service can.")] = None,
    region: Annotated[str, typer.Option(help="Where the service is.")] = "",
    at: Annotated[str, typer.Option(help="DID of its node; default: the node spoken to.")] = "",
    alias: Annotated[str, typer.Option(help="Another name that it stands for.")] = "",
    days: Days = 7,
    as_json: out.Json = False,
) -> int:
    """Claim a name for a service, for a node, or as an alias; also to change what it stands for.

    Examples:
      opkit name register lathe --type booking --endpoint opkit=/v1/compute

      opkit name register workshop --alias lathe.river-city-tool-library
    """
    target = address.resolve()
    said = {"type": type_, "region": region, "at": at, "alias": alias}
    wanted = _target(target, said, endpoint or [], capability or [])

    async def call(client: NodeClient) -> NameHeld:
        full = await _full(client, name)
        return await client.names.register(full, wanted, term_ms=days * DAY_MS)

    return _one(address, target, call, as_json=as_json)


@app.command()
@addressed
def renew(address: Address, name: NameArgument, days: Days = 7, as_json: out.Json = False) -> int:
    """Hold a name for longer.

    Example: opkit name renew lathe --days 30
    """

    async def call(client: NodeClient) -> NameHeld:
        return await client.names.renew(await _full(client, name), term_ms=days * DAY_MS)

    return _one(address, address.resolve(), call, as_json=as_json)


@app.command()
@addressed
def withdraw(address: Address, name: NameArgument, as_json: out.Json = False) -> int:
    """Give a name back; all nodes forget it.

    Example: opkit name withdraw lathe
    """

    async def call(client: NodeClient) -> NameHeld:
        return await client.names.withdraw(await _full(client, name))

    return _one(address, address.resolve(), call, as_json=as_json)


@app.command()
@addressed
def get(address: Address, name: NameArgument, as_json: out.Json = False) -> int:
    """Say who holds a name, and what it stands for. Exit code 1 if nobody does.

    Example: opkit name get lathe.river-city-tool-library
    """

    async def call(client: NodeClient) -> NameHeld:
        return await client.names.get(await _full(client, name))

    return _one(address, address.resolve(), call, as_json=as_json)


@app.command("list")
@addressed
def list_names(
    address: Address,
    prefix: Annotated[str, typer.Option(help="How they begin.")] = "",
    owner: Annotated[str, typer.Option(help="The member who holds them: coop/member.")] = "",
    names_max: Annotated[int, typer.Option("--max", min=1, max=NAMES_MAX, help="How many.")] = 100,
    as_json: out.Json = False,
) -> int:
    """List the names that a node knows, in order.

    Examples:
      opkit name list

      opkit name list --prefix lathe --max 10
    """
    target = address.resolve()

    async def look() -> list[NameHeld]:
        async with target.client() as client:
            return await first(client.names.list(prefix=prefix, owner=owner, page=500), names_max)

    names = asyncio.run(look())
    rows = [
        (held.name, held.member_id, _stands_for(held.target), out.moment(held.lapses_at_ms))
        for held in names
    ]
    headings = ("name", "holder", "stands for", "until")
    none = "nobody holds such a name, as far as this node knows: opkit name register claims one"
    out.show(
        {"names": [held.model_dump(mode="json") for held in names]},
        as_json=as_json,
        human=lambda on: out.table(on, headings, rows, none=none),
    )
    return exits.DONE


@app.command("import")
@addressed
def import_names(
    address: Address,
    file: Annotated[Path, typer.Argument(help="JSON lines: {name, target}, or {name} alone.")],
    days: Days = 7,
    as_json: out.Json = False,
) -> int:
    """Claim all names in a file; what is held already is passed over, so do it again to go on.

    A line is a JSON object with `name` and, unless it is to stand for the node spoken to, `target`
    as the node answers it. Exit code 1 if one was refused.

    Example: opkit name import names.jsonl
    """
    target = address.resolve()
    lines = _read_lines(file)
    began = time.monotonic()
    done = asyncio.run(_import(target, lines, term_ms=days * DAY_MS, tell=not as_json))
    refused = [each for each in done if each.refusal is not None]
    said = {
        "names": len(done),
        "claimed": sum(not each.before and each.refusal is None for each in done),
        "held_before": sum(each.before for each in done),
        "refused": [{"name": each.name, "why": str(each.refusal)} for each in refused],
        "took_ms": round((time.monotonic() - began) * 1_000),
    }

    def human(on: Any) -> None:
        for each in refused[:REFUSED_SHOWN]:
            on.print(f"{each.name}: {each.refusal}", markup=False)
        out.facts(on, {**said, "refused": len(refused)})

    out.show(said, as_json=as_json, human=human)
    return exits.FAILED if refused else exits.DONE


def _one(address: Address, target: Target, call: Any, *, as_json: bool) -> int:
    """Do something with one name, and show who holds it then."""
    from opkit.wire.names import NameUnknown

    async def run() -> NameHeld:
        async with target.client() as client:
            client.genesis = anchor(address.genesis, network=target.network)
            held: NameHeld = await call(client)
            return held

    try:
        held = asyncio.run(run())
    except NameUnknown as unknown:
        raise Mistake(str(unknown), code=exits.FAILED) from unknown
    said = held.model_dump(mode="json")
    facts = {
        "name": held.name,
        "holder": held.member_id,
        "stands_for": _stands_for(held.target),
        "until": out.moment(held.lapses_at_ms),
        "home": held.home,
        "sequence": str(held.sequence),
    }
    out.show(said, as_json=as_json, human=lambda on: out.facts(on, facts))
    return exits.DONE


async def _full(client: NodeClient, name: str) -> str:
    """Return a name with its coop: the speaker's, if none is said."""
    if "." in name:
        return name
    return f"{name}.{(await client.member_id()).partition('/')[0]}"


def _target(
    target: Target, said: Mapping[str, str], endpoints: list[str], capabilities: list[str]
) -> NameTarget:
    """Return what a name is to stand for, as the options say.

    Raises:
        Mistake: they contradict each other, or are not what a name may stand for.
    """
    about = (said["type"], said["region"], *endpoints, *capabilities)
    if said["alias"] and any((said["at"], *about)):
        raise Mistake("an alias stands for a name, nothing else", hint="say --alias alone")
    if not said["type"] and any(about):
        raise Mistake("what is said of a service needs its --type")
    ways = [dict(zip(("protocol", "path"), way.split("=", 1), strict=False)) for way in endpoints]
    node = {"kind": "node", "node": said["at"] or target.did}
    service = {
        "kind": "service",
        "type": said["type"],
        "endpoints": ways,
        "capabilities": capabilities,
        "region": said["region"] or None,
    }
    if said["alias"]:
        return _as_target({"kind": "alias", "name": said["alias"]})
    return _as_target({**node, **service} if said["type"] else node)


def _as_target(said: Any) -> NameTarget:
    """Return what a name is to stand for.

    Raises:
        Mistake: it is nothing that a name may stand for.
    """
    from pydantic import TypeAdapter, ValidationError

    from opkit.wire.flaws import first_flaw
    from opkit.wire.names import NameTarget as Wanted

    read: TypeAdapter[NameTarget] = TypeAdapter(Wanted)
    try:
        return read.validate_python(said)
    except ValidationError as bad:
        raise Mistake(f"no name stands for that: {first_flaw(bad)}") from bad


def _stands_for(target: NameTarget | None) -> str:
    from opkit.wire.names import AliasTarget, ServiceTarget

    if target is None:
        return "nothing: it was withdrawn"
    if isinstance(target, AliasTarget):
        return f"the name {target.name}"
    if isinstance(target, ServiceTarget):
        return f"{target.type} on {out.shorten(target.node)}"
    return f"the node {out.shorten(target.node)}"


def _read_lines(file: Path) -> list[Any]:
    """Return what a file of JSON lines says.

    Raises:
        Mistake: there is none, it is too large, or a line is no object with a name.
    """
    if not file.is_file():
        raise Mistake(f"there is no file {file}")
    if file.stat().st_size > FILE_BYTES_MAX:
        raise Mistake(f"{file} is larger than {FILE_BYTES_MAX} bytes", hint="split it")
    found = []
    for number, line in enumerate(file.read_text("utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            said = json.loads(line)
        except ValueError as bad:
            raise Mistake(f"line {number} of {file} is no JSON: {bad}") from bad
        if not isinstance(said, dict) or not isinstance(said.get("name"), str):
            raise Mistake(f"line {number} of {file} is no object with a name")
        found.append(said)
    if len(found) > NAMES_MAX:
        raise Mistake(f"{len(found)} names are more than {NAMES_MAX}", hint="split the file")
    return found


async def _import(target: Target, lines: list[Any], *, term_ms: int, tell: bool) -> list[Claimed]:
    """Claim all names, and say now and then on standard error how far it is."""
    from opkit.client.bulk import hold_all

    async with target.client() as client:
        here = {"kind": "node", "node": client.node}
        wanted = {
            await _full(client, each["name"]): _as_target(each.get("target") or here)
            for each in lines
        }
        done: list[Claimed] = []
        told = time.monotonic()
        everything = hold_all(
            client.names, wanted, member_id=await client.member_id(), term_ms=term_ms
        )
        async for each in everything:
            done.append(each)
            if tell and (time.monotonic() - told >= TELL_S or len(done) == len(wanted)):
                told = time.monotonic()
                sys.stderr.write(f"{len(done):,} of {len(wanted):,} names\n")
        return done
