"""The shape of every value that travels: as JSON Schema, and as a table for people."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from dataclasses import fields
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from annotated_types import MaxLen

from opkit import wire
from opkit.proof import backup, report
from opkit.wire import (
    agreements,
    clearing,
    compute,
    federation,
    genesis,
    grants,
    journal,
    membership,
    names,
    network,
    operations,
    records,
    votes,
)
from opkit.wire.base import B64, Wire
from opkit.wire.casts import CASTS
from opkit.wire.peer import COMMON_REFUSALS, METHODS, AnswerFrame, RequestFrame

SIGNED: dict[str, type[Wire]] = {
    genesis.GENESIS_TYP: genesis.Genesis,
    genesis.CHARTER_TYP: genesis.Charter,
    membership.MEMBER_TYP: membership.MemberRecord,
    membership.LOGIN_TYP: membership.Login,
    membership.TOKEN_TYP: membership.TokenClaims,
    network.CLOCK_TYP: network.ClockRecord,
    compute.TASK_TYP: compute.Manifest,
    grants.GRANT_TYP: grants.Grant,
    grants.GRANTED_TASK_TYP: grants.GrantedManifest,
    compute.RECEIPT_TYP: compute.Receipt,
    report.REPORT_TYP: report.ReportStatement,
    journal.JOURNAL_HEAD_TYP: journal.JournalHead,
    backup.BACKUP_TYP: backup.BackupStatement,
    records.RECORD_TYP: records.RecordBody,
    names.NAME_TYP: names.NameClaim,
    membership.DECIDED_MEMBER_TYP: membership.DecidedMember,
    votes.PROPOSAL_TYP: votes.Proposal,
    votes.BALLOT_TYP: votes.Ballot,
    votes.DELEGATION_TYP: votes.Delegation,
    votes.BALLOT_RECEIPT_TYP: votes.BallotReceipt,
    votes.LODGING_RECEIPT_TYP: votes.LodgingReceipt,
    votes.DECISION_TYP: votes.Decision,
    votes.ATTESTED_DECISION_TYP: votes.AttestedDecision,
    agreements.AGREEMENT_SIGNATURE_TYP: agreements.AgreementSignature,
    clearing.OFFER_TYP: clearing.Offer,
    clearing.ACCEPTANCE_TYP: clearing.Acceptance,
    clearing.COMMIT_TYP: clearing.Commit,
    clearing.ABORT_TYP: clearing.Abort,
    clearing.RULING_TYP: clearing.Ruling,
    operations.OPERATION_TYP: operations.Operation,
    operations.CHECKPOINT_TYP: operations.Checkpoint,
    federation.COOP_STATEMENT_TYP: federation.CoopStatement,
    federation.ATTESTATION_TYP: federation.Attestation,
}
"""What is signed, by its type in the JWS."""

BYTES = get_args(B64)[1:3]
"""What makes a field one of bytes: how it is read, and written."""

ID = get_args(operations.ObjectId)[1].pattern

NAMES = {
    r"^did:key:z6Mk[1-9A-HJ-NP-Za-km-z]{44}$": "DID",
    r"^bafkrei[a-z2-7]{52}$": "CID",
    r"^[0-9a-f]{64}$": "64 hex digits",
    r"^[0-9a-f]{32}$": "32 hex digits",
    r"^[0-9a-f]{0,32}$": "up to 32 hex digits",
    r"^[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?$": "slug",
    r"^[a-z0-9-]{1,64}/[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?$": "member id",
    r"^[a-z2-7]{26}$": "network id",
    ID: "object id",
    r"^[A-Za-z0-9_.-]+$": "JWS",
    r"^[!#-\[\]-~]{1,64}$": "address",
    r"^[1-9A-HJ-NP-Za-km-z]{8}$": "a DID's end",
    r"^[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?\.[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?$": (
        "name under a coop"
    ),
}
"""How the page calls texts of a pattern."""


def load_contract() -> None:
    """Import every module of the contract, so that its registries are full."""
    for module in pkgutil.walk_packages(wire.__path__, f"{wire.__name__}."):
        importlib.import_module(module.name)


def roots() -> list[type[Wire]]:
    """Return the types that travel or are signed as they are, in the order of the page."""
    found: dict[type[Wire], None] = {RequestFrame: None, AnswerFrame: None}
    for method in METHODS.values():
        found |= {method.ask: None, method.answer: None}
    found |= {cast.message: None for cast in CASTS.values()}
    found |= dict.fromkeys(records.VALUES.values())
    found |= dict.fromkeys(SIGNED.values())
    return list(found)


def schemas() -> dict[str, Any]:
    """Return the JSON Schema of each type, by its name; texts of bytes have `maxBytes`."""
    made: dict[str, Any] = {}
    for root in roots():
        schema = root.model_json_schema(ref_template="#/types/{model}")
        inner = schema.pop("$defs", {})
        for name, one in {root.__name__: schema, **inner}.items():
            made.setdefault(name, _plain(one))
    for each in _every(roots()):
        for name, bytes_max in _bytes_max(each):
            _mark(made[each.__name__]["properties"][name], bytes_max)
    return made


def _every(types: list[type[Wire]]) -> Iterator[type[Wire]]:
    """Yield types and all that their fields hold, each once."""
    seen: set[type[Wire]] = set()
    waiting = list(types)
    while waiting:
        each = waiting.pop()
        if each in seen:
            continue
        seen.add(each)
        yield each
        for hint in get_type_hints(each, include_extras=True).values():
            waiting += [part for part in _parts(hint) if _is_wire(part)]


def _is_wire(part: Any) -> bool:
    return isinstance(part, type) and issubclass(part, Wire)


def _parts(hint: Any) -> Iterator[Any]:
    yield hint
    for part in get_args(hint):
        yield from _parts(part)


def _bytes_max(each: type[Wire]) -> Iterator[tuple[str, int]]:
    """Yield the fields of bytes that have a bound, with it."""
    for name, hint in get_type_hints(each, include_extras=True).items():
        for part in _parts(hint):
            if get_origin(part) is Annotated and part.__metadata__[:2] == BYTES:
                bounds = [bound for meta in part.__metadata__ for bound in _bounds(meta)]
                yield from ((name, bound) for bound in bounds)


def _bounds(meta: Any) -> list[int]:
    inner = getattr(meta, "metadata", [])
    return [one.max_length for one in (meta, *inner) if isinstance(one, MaxLen)]


def _mark(schema: dict[str, Any], bytes_max: int) -> None:
    for one in (schema, *schema.get("anyOf", ())):
        if one.get("contentEncoding"):
            one["maxBytes"] = bytes_max


def _plain(schema: Any) -> Any:
    """Return a schema without words for people and hints; one of several is any of them."""
    if isinstance(schema, list):
        return [_plain(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    left_out = {"title", "description", "discriminator"}
    kept = {
        "anyOf" if key == "oneOf" else key: value
        for key, value in schema.items()
        if key not in left_out
    }
    if isinstance(schema.get("properties"), dict):
        kept["properties"] = {key: _plain(one) for key, one in schema["properties"].items()}
        return {key: one if key == "properties" else _plain(one) for key, one in kept.items()}
    return {key: _plain(one) for key, one in kept.items()}


def table() -> str:
    """Return the table of the page: each type and its fields, in Markdown."""
    lines = ["| value | fields |", "|---|---|"]
    for name, schema in schemas().items():
        if "enum" not in schema:
            lines.append(f"| `{name}` | {_fields(schema)} |")
    return "\n".join(lines) + "\n"


def refusals() -> str:
    """Return the table of refusals between peers: what stands in the details of each."""
    leaves = dict.fromkeys(COMMON_REFUSALS)
    for method in METHODS.values():
        leaves |= dict.fromkeys(method.refuses)
    lines = ["| refusal | status | details | meaning |", "|---|---|---|---|"]
    for leaf in sorted(leaves, key=lambda each: each.code):
        hints = get_type_hints(leaf)
        details = ", ".join(
            f"`{field.name}`{' (integer)' if hints[field.name] is int else ''}"
            for field in fields(leaf)
        )
        meaning = (leaf.__doc__ or "").split("\n", 1)[0]
        lines.append(f"| `{leaf.code}` | {leaf.status} | {details} | {meaning} |")
    return "\n".join(lines) + "\n"


def _fields(schema: dict[str, Any]) -> str:
    needed = schema.get("required", [])
    parts = [
        f"`{name}`{'' if name in needed else '?'} {_words(one)}"
        for name, one in schema.get("properties", {}).items()
    ]
    return "; ".join(parts) or "none"


def _words(one: dict[str, Any]) -> str:
    """Return what a field takes, in a few words."""
    if "anyOf" in one:
        return " or ".join(_words(each) for each in one["anyOf"])
    if "$ref" in one:
        name = one["$ref"].rpartition("/")[2]
        inner = schemas_cached()[name]
        return _words(inner) if "enum" in inner else f"`{name}`"
    if "const" in one:
        return f"`{one['const']}`"
    if "enum" in one:
        return ", ".join(f"`{each}`" for each in one["enum"])
    kind = one.get("type")
    if kind == "array":
        return _list(one)
    if kind == "integer":
        return _integer(one)
    if kind == "string":
        return _text(one)
    return {"boolean": "yes or no", "null": "null"}.get(kind or "", "object")


def _list(one: dict[str, Any]) -> str:
    least, most = one.get("minItems", 0), one.get("maxItems")
    bounds = "" if most is None else f" {least}–{most:,}" if least else f" ≤ {most:,}"
    return f"[{_words(one['items'])}]{bounds}"


def _integer(one: dict[str, Any]) -> str:
    least, most = one.get("minimum"), one.get("maximum")
    if most in (None, 2**53 - 1):
        return "integer" if least is None else f"≥ {least:,}"
    return f"{least:,}" if least == most else f"{least:,}–{most:,}"


def _text(one: dict[str, Any]) -> str:
    if one.get("contentEncoding"):
        return f"bytes ≤ {one['maxBytes']:,}" if "maxBytes" in one else "bytes"
    known = NAMES.get(one.get("pattern", ""), "text")
    least, most = one.get("minLength", 0), one.get("maxLength")
    if most is None or known not in {"text", "JWS"}:
        return known
    return f"{known} {least}–{most:,}" if least else f"{known} ≤ {most:,}"


_schemas: dict[str, Any] = {}


def schemas_cached() -> dict[str, Any]:
    """Return `schemas()`, made once."""
    if not _schemas:
        _schemas.update(schemas())
    return _schemas
