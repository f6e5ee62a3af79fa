"""`opkit dht`: what is known in the whole network, by name: find it, say it, see the way there."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from opkit.cli import exits, out
from opkit.cli.address import Address, Target, addressed
from opkit.cli.failing import Mistake

if TYPE_CHECKING:
    from opkit.wire.endpoint import Answer, Ask, Endpoint
    from opkit.wire.overlay import FoundRecords, Published, Route
    from opkit.wire.records import Carried, Namespace, RecordBody

app = out.group(
    """Records that the network keeps by name: found from any node, believed by their signature.

    A NAME is a node's DID, a blob's hash (bafkrei…), or the label of a note: DID/LABEL, or LABEL
    for one of your own.

    Examples:

      opkit dht put opening-hours "Mon 9-12"

      opkit dht get opening-hours

      opkit dht route opening-hours
    """
)

DAY_MS = 86_400_000


@app.callback()
def _group() -> None:
    """Find records in the network, and publish your own."""


@app.command()
@addressed
def get(
    address: Address,
    name: Annotated[str, typer.Argument(help="A DID, a hash, or a note's label.")],
    as_json: out.Json = False,
) -> int:
    """Find what stands under a name, and check who signed it; exit code 1 if nothing does.

    Example: opkit dht get opening-hours
    """
    target = address.resolve()
    found = _find(target, name)
    bodies = [_checked(carried, target) for carried in found.records]
    said = {
        "records": [body.model_dump(mode="json") for body in bodies],
        "hops": found.hops,
        "asked": found.asked,
        "silent": found.silent,
        "took_ms": found.took_ms,
    }
    out.show(said, as_json=as_json, human=lambda on: _show_found(on, bodies, found))
    return exits.DONE if any(body.value is not None for body in bodies) else exits.FAILED


@app.command()
@addressed
def put(
    address: Address,
    label: Annotated[str, typer.Argument(help="What the note is called.")],
    text: Annotated[str, typer.Argument(help="What it says; nothing takes it back.")] = "",
    days: Annotated[int, typer.Option(min=1, max=30, help="For how long.")] = 30,
    as_json: out.Json = False,
) -> int:
    """Sign a note of your own and have the network keep it; a later one replaces it.

    Examples:
      opkit dht put opening-hours "Mon 9-12"

      opkit dht put opening-hours
    """
    target = address.resolve()
    said = _put(target, label, text, days).model_dump(mode="json")
    out.show(said, as_json=as_json, human=lambda on: out.facts(on, said))
    return exits.DONE


@app.command()
@addressed
def provide(
    address: Address,
    cid: Annotated[str, typer.Argument(help="The blob's hash (bafkrei…).")],
    as_json: out.Json = False,
) -> int:
    """Have a node say in the network that it keeps a blob.

    Example: opkit dht provide bafkrei…
    """
    from opkit.wire.overlay import PROVIDE, ProvideBlob

    said = _called(address.resolve(), PROVIDE, ProvideBlob(cid=cid)).model_dump(mode="json")
    out.show(said, as_json=as_json, human=lambda on: out.facts(on, said))
    return exits.DONE


@app.command()
@addressed
def providers(
    address: Address,
    cid: Annotated[str, typer.Argument(help="The blob's hash (bafkrei…).")],
    as_json: out.Json = False,
) -> int:
    """List who says that they keep a blob; exit code 1 if nobody does.

    Example: opkit dht providers bafkrei…
    """
    target = address.resolve()
    found = _find(target, cid)
    bodies = [_checked(carried, target) for carried in found.records]
    kept = [body for body in bodies if body.value is not None]
    said = {"providers": [body.owner for body in kept], "took_ms": found.took_ms}
    rows = [(body.owner, f"{(body.value or {}).get('size_bytes', '')}") for body in kept]
    headings, none = ("provider", "bytes"), "nobody says that they have it"
    out.show(said, as_json=as_json, human=lambda on: out.table(on, headings, rows, none=none))
    return exits.DONE if kept else exits.FAILED


@app.command()
@addressed
def route(
    address: Address,
    name: Annotated[str, typer.Argument(help="A DID, a hash, or a note's label.")],
    as_json: out.Json = False,
) -> int:
    """Show which nodes are nearest to a name: those that keep what stands there.

    Example: opkit dht route opening-hours
    """
    from opkit.wire.overlay import ROUTE, AskRoute

    target = address.resolve()
    namespace, full = _place(target, name)
    found = _called(target, ROUTE, AskRoute(namespace=namespace, name=full))
    said = found.model_dump(mode="json")
    rows = [(one.did, " ".join(one.addresses)) for one in found.contacts]

    def human(on: Any) -> None:
        out.table(on, ("nearest first", "where"), rows)
        on.print(_effort(found))

    out.show(said, as_json=as_json, human=human)
    return exits.DONE


def _show_found(on: Any, bodies: list[RecordBody], found: FoundRecords) -> None:
    for body in bodies:
        if body.value is None:
            on.print(f"taken back by {body.owner}", markup=False)
            continue
        facts = {"owner": body.owner, "sequence": body.sequence, "lapses_at_ms": body.lapses_at_ms}
        out.facts(on, facts | body.value)
    if not bodies:
        on.print("nothing stands under this name")
    on.print(_effort(found))


def _effort(found: FoundRecords | Route) -> str:
    silent = f", {found.silent} silent" if found.silent else ""
    asked, hops = _count(found.asked, "node"), _count(found.hops, "hop")
    return f"{asked} asked{silent}, {hops}, {found.took_ms} ms"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _checked(carried: Carried, target: Target) -> RecordBody:
    """Return what a record says, having checked here who says it."""
    from opkit.proof.record import read_record

    return read_record(carried.jws, network=target.network)


def _place(target: Target, name: str) -> tuple[Namespace, str]:
    """Return the namespace and the full name that somebody means."""
    from opkit.proof.cid import is_cid

    if is_cid(name):
        return "blob", name
    if name.startswith("did:key:"):
        return ("note", name) if "/" in name else ("node", name)
    return "note", f"{_speaker(target)}/{name}"


def _speaker(target: Target) -> str:
    if target.identity is None:
        raise Mistake(
            "a label is one of your own notes, and a token does not say whose",
            hint="say DID/LABEL, or speak with an identity",
        )
    return target.identity.did


def _find(target: Target, name: str) -> FoundRecords:
    from opkit.wire.overlay import RECORDS, AskRecords

    namespace, full = _place(target, name)
    return _called(target, RECORDS, AskRecords(namespace=namespace, name=full))


def _put(target: Target, label: str, text: str, days: int) -> Published:
    from opkit.proof.record import make_record
    from opkit.wire.overlay import PUBLISH, PublishRecord
    from opkit.wire.records import Carried

    if "/" in label or label.startswith("did:"):
        raise Mistake("a note's label has no slash and is no DID", hint="opening-hours, say")
    name = f"{_speaker(target)}/{label}"
    assert target.identity is not None, "whoever speaks was asked for above"
    token = make_record(
        target.identity,
        network=target.network,
        namespace="note",
        name=name,
        value={"text": text} if text else None,
        at_ms=time.time_ns() // 1_000_000,
        # What takes back lasts as long as any note may: it outlives all that it takes back.
        term_ms=(days if text else 30) * DAY_MS,
    )
    carried = Carried(jws=token)
    return _called(target, PUBLISH, PublishRecord(carried=carried))


def _called(target: Target, endpoint: Endpoint[Ask, Answer], ask: Ask) -> Answer:
    """Ask a node one question, and return its answer."""

    async def call() -> Answer:
        async with target.client() as client:
            return await client.call(endpoint, ask)

    return asyncio.run(call())
