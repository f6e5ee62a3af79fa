"""The OpenAPI document, made from the endpoint values: every ask, answer and refusal, with fields.

Source: OpenAPI 3.1; RFC 9457.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any, get_type_hints

from pydantic import TypeAdapter
from pydantic.json_schema import models_json_schema

from nodeimpl.gateway.links import links_of
from opkit import __version__
from opkit.wire.base import Wire
from opkit.wire.endpoint import Endpoint
from opkit.wire.errors import PROBLEM_TYPE, Refusal
from opkit.wire.gateway import RouteUnknown, all_refusals

Schema = dict[str, Any]

_REF = "#/components/schemas/{model}"
_PROBLEM = "application/problem+json"
_FAULT = "Fault"


def document(endpoints: Sequence[Endpoint[Any, Any]]) -> Schema:
    """Return the OpenAPI document of these endpoints."""
    models: list[tuple[type[Wire], Any]] = []
    for endpoint in endpoints:
        models += [(endpoint.ask, "validation"), (endpoint.answer, "serialization")]
    refs, definitions = models_json_schema(
        list(dict.fromkeys(models)), ref_template=_REF, title="opkit"
    )
    schemas: Schema = dict(definitions.get("$defs", {}))
    paths: Schema = {}
    mounted = {endpoint.name for endpoint in endpoints}
    refusals: dict[str, type[Refusal]] = {RouteUnknown.__name__: RouteUnknown}
    for endpoint in endpoints:
        leaves = all_refusals(endpoint)
        refusals |= {leaf.__name__: leaf for leaf in leaves}
        ask = _resolved(refs[endpoint.ask, "validation"], schemas)
        answer = refs[endpoint.answer, "serialization"]
        operation = _operation(endpoint, ask=ask, answer=answer)
        links = links_of(endpoint.name, mounted=mounted)
        if links:
            operation["responses"]["200"]["links"] = links
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = operation
    schemas |= {name: _refusal_schema(leaf) for name, leaf in sorted(refusals.items())}
    schemas[_FAULT] = _fault_schema()
    return {
        "openapi": "3.1.0",
        "info": {"title": "opkit node", "version": __version__},
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(endpoint: Endpoint[Any, Any], *, ask: Schema, answer: Schema) -> Schema:
    operation: Schema = {
        "operationId": endpoint.name,
        "tags": [endpoint.name.split(".", 1)[0]],
        "summary": _first_line(endpoint.ask),
        "parameters": _parameters(endpoint, ask),
        "responses": _responses(endpoint, answer),
    }
    if endpoint.scope is not None:
        operation["security"] = [{"token": []}]
        operation["x-scope"] = endpoint.scope.value
    if endpoint.raw_ask is not None:
        raw = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
        operation["requestBody"] = {"required": True, "content": raw}
    elif endpoint.method == "POST":
        content = {"application/json": {"schema": _without(ask, endpoint.path_fields())}}
        operation["requestBody"] = {"required": bool(ask.get("required")), "content": content}
    operation["x-body-bytes-max"] = endpoint.body_bytes_max
    return operation


def _parameters(endpoint: Endpoint[Any, Any], ask: Schema) -> list[Schema]:
    """Return path and query fields, and the idempotency key."""
    in_path = endpoint.path_fields()
    in_body = endpoint.method == "POST" and endpoint.raw_ask is None
    required = ask.get("required", [])
    parameters = []
    for name, schema in ask.get("properties", {}).items():
        if name == endpoint.raw_ask or (in_body and name not in in_path):
            continue
        parameters.append(
            {
                "name": name,
                "in": "path" if name in in_path else "query",
                "required": name in in_path or name in required,
                "schema": schema,
            }
        )
    if endpoint.changes:
        key = {"type": "string", "pattern": "^[!-~]{1,128}$"}
        parameters.append(
            {"name": "Idempotency-Key", "in": "header", "required": True, "schema": key}
        )
    return parameters


def _responses(endpoint: Endpoint[Any, Any], answer: Schema) -> Schema:
    """Return the answer, every refusal grouped by status in order of precedence, and the fault."""
    kind = "application/octet-stream" if endpoint.raw_answer else "application/json"
    said = {"type": "string", "format": "binary"} if endpoint.raw_answer else answer
    responses: Schema = {
        "200": {"description": _first_line(endpoint.answer), "content": {kind: {"schema": said}}}
    }
    by_status: dict[int, list[type[Refusal]]] = {}
    every: tuple[type[Refusal], ...] = (*all_refusals(endpoint), RouteUnknown)
    for leaf in every:
        by_status.setdefault(leaf.status, []).append(leaf)
    for status, leaves in sorted(by_status.items()):
        some = [{"$ref": _REF.format(model=leaf.__name__)} for leaf in leaves]
        responses[str(status)] = {
            "description": " ".join(_first_line(leaf) for leaf in leaves),
            "content": {_PROBLEM: {"schema": some[0] if len(some) == 1 else {"oneOf": some}}},
        }
    responses["500"] = {
        "description": "The node is broken; the incident stands in its log.",
        "content": {_PROBLEM: {"schema": {"$ref": _REF.format(model=_FAULT)}}},
    }
    return responses


def _refusal_schema(leaf: type[Refusal]) -> Schema:
    """Return the problem document of one refusal. Source: RFC 9457, section 3."""
    hints = get_type_hints(leaf)
    details = {field.name: TypeAdapter(hints[field.name]).json_schema() for field in fields(leaf)}
    return {
        "type": "object",
        "description": _first_line(leaf),
        "required": ["type", "title", "status", "code", "details", "hint"],
        "additionalProperties": False,
        "properties": {
            "type": {"const": PROBLEM_TYPE + leaf.code},
            "title": {"type": "string"},
            "status": {"const": leaf.status},
            "code": {"const": leaf.code},
            "details": {
                "type": "object",
                "required": sorted(details),
                "additionalProperties": False,
                "properties": details,
            },
            "hint": {"type": "string"},
        },
    }


def _fault_schema() -> Schema:
    return {
        "type": "object",
        "description": "The node is broken.",
        "required": ["type", "title", "status", "incident"],
        "properties": {
            "type": {"type": "string"},
            "title": {"type": "string"},
            "status": {"const": 500},
            "incident": {"type": "string"},
            "hint": {"type": "string"},
        },
    }


def _without(schema: Schema, names: Sequence[str]) -> Schema:
    """Return an object's schema without some of its fields."""
    kept = {
        name: value for name, value in schema.get("properties", {}).items() if name not in names
    }
    required = [name for name in schema.get("required", []) if name not in names]
    rest = {name: value for name, value in schema.items() if name not in {"properties", "required"}}
    return {**rest, "properties": kept, **({"required": required} if required else {})}


def _resolved(schema: Schema, schemas: Schema) -> Schema:
    """Return the schema that a reference names."""
    name = schema["$ref"].rsplit("/", 1)[1]
    found: Schema = schemas[name]
    return found


def _first_line(documented: type[Any]) -> str:
    return (documented.__doc__ or "").split("\n", 1)[0]
