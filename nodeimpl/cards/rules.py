"""What may be published as a card, which of two is the newer one, and what a node says of itself.

Source: ADR 0036.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from opkit.proof.canonical import canonical
from opkit.proof.cards import CardView, match_card, read_card
from opkit.proof.checks import ProofError
from opkit.wire.agents import (
    A2A_JSONRPC_PATH,
    A2A_REST_PATH,
    A2A_VERSION,
    CARD_BYTES_MAX,
    EXTENSION_URI,
    CardValue,
)
from opkit.wire.base import NetworkId
from opkit.wire.cards import CardOversize, CardRejected, CardStale
from opkit.wire.endpoint import Scope
from opkit.wire.records import RecordBody

SKILL = "wasm-task"
"""The one thing that a node does for whoever calls it by A2A."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Bounds of the domain.

    Attributes:
        cached_max: cards that are remembered as they were resolved.
        cached_bytes_max: how many bytes these may have together.
        cached_ms: how long one is believed without asking anybody: as long as it may take until
            a revocation counts everywhere.
        touched_ms: how often large cards that are kept here are kept from being collected.
    """

    cached_max: int = 1_024
    cached_bytes_max: int = 8 * 2**20
    cached_ms: int = 30_000
    touched_ms: int = 600_000


def read_brought(
    body: RecordBody, value: CardValue, brought: dict[str, Any], *, network: NetworkId
) -> CardView:
    """Return the card that was brought beside a record that names it.

    Refuses, in this order:
        CardOversize: it is larger than a card may be.
        CardRejected: it stands in the record already, does not verify, or is another one.
    """
    try:
        size_bytes = len(canonical(brought))
        if size_bytes > CARD_BYTES_MAX:
            raise CardOversize(size_bytes=size_bytes, limit_bytes=CARD_BYTES_MAX)
        if value.card is not None:
            raise CardRejected(why="the card stands in its record already")
        view = read_card(brought, did=body.owner, network=network)
        match_card(body, value, view)
    except ProofError as bad:
        raise CardRejected(why=bad.why) from bad
    return view


def bytes_of(view: CardView) -> bytes:
    """Return the bytes that a card's name names."""
    return canonical(view.card)


def judge_update(standing: CardView | None, new: CardView) -> None:
    """Return if a card may take the place of another one of its agent.

    Refuses:
        CardStale: its sequence is lower, or the same though it says something else.
    """
    if standing is None or standing.cid == new.cid:
        return
    if new.agent.sequence <= standing.agent.sequence:
        raise CardStale(standing_sequence=standing.agent.sequence)


def says_the_same(first: dict[str, Any], second: dict[str, Any]) -> bool:
    """Return whether two cards of one agent differ in nothing but sequence and signature."""
    return _without_sequence(first) == _without_sequence(second)


def node_card(*, title: str, version: str, urls: Sequence[str]) -> dict[str, Any]:
    """Return what a node says of itself to A2A clients, not signed yet.

    Args:
        title: the node's, by the genesis.
        version: of the software.
        urls: where its front door is; the first is preferred.
    """
    assert urls, "who cannot be called has no card"
    return {
        "name": title,
        "description": (
            "Runs WebAssembly modules for members of a cooperative network, and signs a receipt "
            "for each run. One data part names a module and its input by their hashes."
        ),
        "version": version,
        "provider": {"organization": title, "url": urls[0]},
        "supportedInterfaces": [
            {"url": url.rstrip("/") + path, "protocolBinding": kind, "protocolVersion": A2A_VERSION}
            for url in urls
            for path, kind in ((A2A_JSONRPC_PATH, "JSONRPC"), (A2A_REST_PATH, "HTTP+JSON"))
        ],
        "capabilities": {"streaming": True},
        "securitySchemes": {
            "bearer": {
                "httpAuthSecurityScheme": {
                    "description": "A token of this node's, got by signing its challenge.",
                    "scheme": "Bearer",
                }
            }
        },
        "securityRequirements": [{"schemes": {"bearer": {"list": [Scope.COMPUTE_SUBMIT.value]}}}],
        "defaultInputModes": ["application/json"],
        "defaultOutputModes": ["application/json", "application/octet-stream"],
        "skills": [
            {
                "id": SKILL,
                "name": "Run a WebAssembly module",
                "description": (
                    "Takes one data part {wasm_hash, input}, runs the module under the member's "
                    "grant, and gives its output and the executor's signed receipt."
                ),
                "tags": ["compute", "wasm", "receipts"],
            }
        ],
    }


def _without_sequence(card: dict[str, Any]) -> dict[str, Any]:
    bare = {name: value for name, value in card.items() if name != "signatures"}
    said = bare.get("capabilities", {})
    extensions = [_bare_extension(each) for each in said.get("extensions", [])]
    return {**bare, "capabilities": {**said, "extensions": extensions}}


def _bare_extension(extension: dict[str, Any]) -> dict[str, Any]:
    if extension.get("uri") != EXTENSION_URI:
        return extension
    params = {name: value for name, value in extension["params"].items() if name != "sequence"}
    return {**extension, "params": params}
