"""What of an answer the next ask can be made of, as OpenAPI says it.

A link stands here only where the contract means the same thing on both sides: a name that was
answered and is asked for, a place to go on reading from. Asks that carry a signature (a login, a
manifest, a record) cannot be made of answers alone, and have none. Source: OpenAPI 3.1, section
4.8.20 (Link Object) and 4.8.20.4 (runtime expressions).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

CURSOR = "{{{0}/generation}}.{{{0}/sequence}}.{{{0}/hash}}".format("$response.body#/cursor")
"""A cursor as a query carries it (`opkit.wire.events.Cursor`)."""


@dataclass(frozen=True, kw_only=True)
class Link:
    """An answer of `source` holds what fields of `target` ask for.

    Attributes:
        fields: for each field of the target's path or query where in the answer it stands: the
            name of a field, or a text with runtime expressions.
        says: what the next ask is good for.
    """

    source: str
    target: str
    fields: Mapping[str, str]
    says: str


LINKS = (
    Link(
        source="compute.put-blob",
        target="compute.get-blob",
        fields={"cid": "cid"},
        says="The bytes that were uploaded.",
    ),
    Link(
        source="compute.deploy",
        target="compute.module",
        fields={"wasm_hash": "wasm_hash"},
        says="The module that was deployed.",
    ),
    Link(
        source="compute.deploy",
        target="compute.get-blob",
        fields={"cid": "wasm_hash"},
        says="The bytes of the module.",
    ),
    Link(
        source="compute.deploy",
        target="compute.modules",
        fields={"owner": "owner"},
        says="The modules of the same owner.",
    ),
    Link(
        source="compute.modules",
        target="compute.modules",
        fields={"after": "next_after"},
        says="The next page.",
    ),
    Link(
        source="compute.submit",
        target="compute.task",
        fields={"task_id": "task_id"},
        says="How the task does; once it is final, with its receipt.",
    ),
    Link(
        source="compute.submit",
        target="compute.cancel",
        fields={"task_id": "task_id"},
        says="Have the task end.",
    ),
    Link(
        source="compute.task",
        target="compute.get-blob",
        fields={"cid": "output_hash"},
        says="The output, where the task has one.",
    ),
    Link(
        source="compute.task",
        target="compute.cancel",
        fields={"task_id": "task_id"},
        says="Have the task end.",
    ),
    Link(
        source="membership.list",
        target="membership.list",
        fields={"after": "next_after"},
        says="The next page.",
    ),
    Link(
        source="events.read",
        target="events.read",
        fields={"after": CURSOR},
        says="The entries that follow.",
    ),
    Link(
        source="events.read",
        target="journal.inclusion",
        fields={"sequence": "cursor/sequence", "size": "cursor/sequence"},
        says="The proof that the last entry is in the journal.",
    ),
    Link(
        source="events.read",
        target="journal.consistency",
        fields={"first": "cursor/sequence", "second": "cursor/sequence"},
        says="The proof that what was read begins a later journal; `second` is the later size.",
    ),
)


def links_of(source: str, *, mounted: Collection[str]) -> dict[str, Any]:
    """Return the links of an endpoint's answer to those endpoints that are mounted too."""
    return {
        link.target: {
            "operationId": link.target,
            "description": link.says,
            "parameters": {name: _expression(at) for name, at in link.fields.items()},
        }
        for link in LINKS
        if link.source == source and link.target in mounted
    }


def _expression(at: str) -> str:
    return at if at.startswith("{") else f"$response.body#/{at}"
