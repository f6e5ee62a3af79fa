"""`opkit service`: what members offer in the whole network, found from any node, proven here."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer

from opkit.cli import exits, out
from opkit.cli.address import Address, Target, addressed
from opkit.cli.anchors import Verbose, anchor
from opkit.cli.failing import Mistake

if TYPE_CHECKING:
    from opkit.client.discovery import Discovery
    from opkit.proof.checks import Verdict
    from opkit.proof.genesis import GenesisView
    from opkit.proof.services import ProvenService
    from opkit.wire.services import ServiceHealth

app = out.group(
    """Services that members named, found from any node.

    What a node answers is verified here, from the genesis that this machine keeps: the member's
    chain and claim, the home node's countersignature, the record and the card of the service's own
    node.

    Example: opkit service find --type machine-booking
    """
)


@app.callback()
def _group() -> None:
    """Find services in the network."""


@app.command()
@addressed
def find(
    address: Address,
    type_: Annotated[str, typer.Option("--type", help="What the service is.")] = "",
    capability: Annotated[str, typer.Option(help="What it can, or a skill on its card.")] = "",
    region: Annotated[str, typer.Option(help="Where it is.")] = "",
    found_max: Annotated[int, typer.Option("--max", min=1, max=1000, help="How many.")] = 100,
    verbose: Verbose = False,
    as_json: out.Json = False,
) -> int:
    """Find services and prove each; of whose node was heard last first. Exit code 1 if none is.

    Examples:
      opkit service find

      opkit service find --type machine-booking --region north --verbose

      opkit service find --capability turning --json
    """
    target = address.resolve()
    genesis = anchor(address.genesis, network=target.network)
    if genesis is None:
        raise Mistake(
            "without the network's genesis nothing can be proven", hint="say --genesis FILE"
        )
    asked = {"type": type_, "capability": capability, "region": region}
    found = asyncio.run(_look(target, genesis, asked, found_max))
    said = {
        "services": [_as_json(service) for service in found.proven],
        "refuted": [
            {"name": out.plain(each.found.name), **each.verdict.as_json()} for each in found.refuted
        ],
        "more": found.more,
    }
    out.show(said, as_json=as_json, human=lambda on: _show(on, found, verbose=verbose))
    return exits.DONE if found.proven else exits.FAILED


async def _look(
    target: Target, genesis: GenesisView, asked: dict[str, str], found_max: int
) -> Discovery:
    from opkit.client.discovery import look_for
    from opkit.wire.services import FindServices

    async with target.client() as client:
        return await look_for(client, FindServices(**asked), genesis=genesis, found_max=found_max)


def _as_json(service: ProvenService) -> dict[str, Any]:
    """Return a proven service as JSON values, with its checks and the records themselves."""
    return {
        "name": service.name,
        "service": service.service,
        "type": service.type,
        "member_id": service.member_id,
        "did": service.did,
        "home": service.home,
        "node": service.node,
        "urls": [door.url for door in service.doors],
        "endpoints": [endpoint.model_dump(mode="json") for endpoint in service.endpoints],
        "capabilities": list(service.capabilities),
        "region": service.region,
        "card": None if service.card is None else service.card.name,
        "sequence": service.sequence,
        "lapses_at_ms": service.lapses_at_ms,
        "health": service.health.model_dump(mode="json"),
        "proof": service.verdict.as_json(),
        "found": service.found.model_dump(mode="json"),
    }


def _show(on: Any, found: Discovery, *, verbose: bool) -> None:
    if found.proven:
        headings = ("name", "what", "can", "region", "where", "node", "until", "proof")
        out.table(on, headings, [_row(service) for service in found.proven])
    elif not found.refuted:
        on.print("nobody has named such a service, as far as this node knows")
        on.print("  hint: opkit name register names one", markup=False)
    if verbose:
        for service in found.proven:
            _show_checks(on, service.verdict)
    for refuted in found.refuted:
        bad = refuted.verdict.failures[0]
        on.print(f"✗ {out.plain(refuted.found.name)} is not proven: {bad.name}", markup=False)
        on.print(f"    expected {out.plain(bad.expected)}", markup=False)
        on.print(f"    found    {out.plain(bad.actual)}", markup=False)
    if found.more:
        on.print("there are more: ask for a type, a capability or a region")


def _row(service: ProvenService) -> tuple[str, ...]:
    return (
        service.name if service.name == service.service else f"{service.name} → {service.service}",
        service.type,
        " ".join(service.capabilities),
        service.region or "",
        " ".join(out.plain(door.url) for door in service.doors) or "says of no door",
        _health(service.health),
        out.moment(service.lapses_at_ms),
        f"{len(service.verdict.checks)} checks hold",
    )


def _health(health: ServiceHealth) -> str:
    """Return how a node does, in the answering node's words."""
    if health.state == "here":
        return "the asked one"
    if health.state == "live":
        trip = "" if health.round_trip_us is None else f", {health.round_trip_us / 1_000:.1f} ms"
        return f"live{trip}"
    if health.heard_ms is None:
        return "never heard of"
    return f"{health.state}, heard {out.moment(health.heard_ms)}"


def _show_checks(on: Any, verdict: Verdict) -> None:
    on.print(f"\n{verdict.subject}: {verdict.status}", markup=False)
    for check in verdict.checks:
        on.print(f"✓ {check.name}: {out.plain(check.actual)}", markup=False)
