"""`opkit peers`: whom a node is connected with, and how these links do."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from opkit.cli import exits, out
from opkit.cli.address import Address, Target, addressed

if TYPE_CHECKING:
    from opkit.wire.network import PeerLink, Peers
    from opkit.wire.overlay import MeshLink, Overlay

app = out.group()


@app.command()
@addressed
def peers(address: Address, as_json: out.Json = False) -> int:
    """List whom a node is connected with: round trips, losses, bytes, and its mesh of gossip.

    Examples:
      opkit peers

      opkit peers --node harbor-homes-cooperative --json
    """
    connected, overlay = asyncio.run(_ask(address.resolve()))
    said = {
        "links": [link.model_dump(mode="json") for link in connected.links],
        "overlay": overlay.model_dump(mode="json"),
    }
    out.show(said, as_json=as_json, human=lambda on: _show(on, connected, overlay))
    return exits.DONE


async def _ask(target: Target) -> tuple[Peers, Overlay]:
    from opkit.wire.network import PEERS, AskPeers
    from opkit.wire.overlay import OVERLAY, AskOverlay

    async with target.client() as client:
        return await client.call(PEERS, AskPeers()), await client.call(OVERLAY, AskOverlay())


def _show(on: Any, connected: Peers, overlay: Overlay) -> None:
    mesh: dict[str, list[MeshLink]] = {}
    for link in overlay.mesh:
        mesh.setdefault(link.did, []).append(link)
    headings = ("peer", "org", "link", "round trip", "lost", "sent", "received", "gossip")
    rows = [_row(link, mesh.get(link.did, [])) for link in connected.links]
    out.table(on, headings, rows)
    kept = ", ".join(f"{each.count} {each.name}" for each in overlay.records)
    on.print(f"{overlay.contacts} in the table · records: {kept or 'none'}")
    if overlay.banned:
        on.print(f"banned: {', '.join(overlay.banned)}", markup=False)


def _row(link: PeerLink, mesh: list[MeshLink]) -> tuple[str, ...]:
    round_trip = f"{link.round_trip_us / 1000:.0f} ms" if link.round_trip_us else "< 1 ms"
    words = ["pushed to" if one.in_mesh else "told" for one in mesh]
    words += ["slow" for one in mesh if one.slow]
    return (
        link.did,
        link.org or "",
        {None: "good", "loss": "loses too much", "delay": "slow"}[link.amiss],
        round_trip,
        f"{link.lost_permille / 10:.1f} %",
        f"{link.sent_bytes:,}",
        f"{link.received_bytes:,}",
        ", ".join(words),
    )
