"""Asks as HTTP requests and HTTP answers as values: what the endpoint value says, and no more."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from pydantic import ValidationError

from opkit.wire.endpoint import Answer, Ask, Endpoint
from opkit.wire.errors import REFUSALS, CoopError, Fault, Refusal, refusal_from
from opkit.wire.flaws import first_flaw
from opkit.wire.gateway import RouteUnknown, all_refusals

JSON = "application/json"
BYTES = "application/octet-stream"


@dataclass(frozen=True, kw_only=True)
class Request:
    """One HTTP request: the target is path and query."""

    method: str
    target: str
    body: bytes
    content_type: str


def encode(endpoint: Endpoint[Ask, Answer], ask: Ask) -> Request:
    """Return the request that carries `ask`.

    Path fields travel in the path, one segment each whatever characters they hold; the others in
    the query or in the body. Fields at their default are left out of a query.
    """
    in_path = endpoint.path_fields()
    path = "/".join(
        _segment(str(getattr(ask, part[1:-1]))) if part.startswith("{") else part
        for part in endpoint.path.split("/")
    )
    if endpoint.method == "POST" and endpoint.raw_ask is None:
        body = ask.model_dump_json(exclude=set(in_path)).encode()
        return Request(method="POST", target=path, body=body, content_type=JSON)
    raw: bytes = getattr(ask, endpoint.raw_ask) if endpoint.raw_ask else b""
    hidden = {*in_path, endpoint.raw_ask or ""}
    query = ask.model_dump(mode="json", exclude=hidden, exclude_defaults=True)
    target = f"{path}?{urlencode(query)}" if query else path
    return Request(method=endpoint.method, target=target, body=raw, content_type=BYTES)


def decode(
    endpoint: Endpoint[Ask, Answer], *, status: int, body: bytes, where: str
) -> Answer | CoopError:
    """Return the answer, or the failure that the response describes, to be raised.

    A refusal counts only if the endpoint declares it and the status is its own; anything else is a
    fault, so that no undocumented behaviour passes for an answer.
    """
    if status == 200:
        return _answer(endpoint, body, where)
    problem = _json(body)
    refusal = refusal_from(problem)
    if refusal is not None and _is_declared(endpoint, refusal) and refusal.status == status:
        return refusal
    incident = str(problem.get("incident", "")) if isinstance(problem, dict) else ""
    return Fault(where=where, incident=incident[:64], why=_said(problem, refusal, status))


def _said(problem: Any, refusal: Refusal | None, status: int) -> str:
    """Return what a response said that is no answer and no refusal that may be given here."""
    if refusal is not None:
        return f"undeclared refusal {refusal}"
    code = problem.get("code") if isinstance(problem, dict) else None
    if isinstance(code, str) and code != "fault" and code not in REFUSALS:
        return f"status {status}, refusal {code[:64]!r}: the node may be newer than this opkit"
    return f"status {status}"


def _segment(value: str) -> str:
    """Return a value as one path segment; a dot alone would be taken for a step in the path."""
    return value.replace(".", "%2E") if value in {".", ".."} else quote(value, safe="")


def _answer(endpoint: Endpoint[Ask, Answer], body: bytes, where: str) -> Answer | CoopError:
    try:
        if endpoint.raw_answer is not None:
            return endpoint.answer.model_validate({endpoint.raw_answer: body})
        return endpoint.answer.heard_json(body)
    except ValidationError as bad:
        why = f"its answer to {endpoint.name} is not of the declared shape: {first_flaw(bad)}"
        return Fault(where=where, incident="", why=why)


def _is_declared(endpoint: Endpoint[Ask, Answer], refusal: Refusal) -> bool:
    return type(refusal) in (*all_refusals(endpoint), RouteUnknown)


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None
