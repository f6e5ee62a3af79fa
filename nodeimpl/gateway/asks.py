"""From a request to the endpoint's ask: path, query and body, each field from where it travels."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

from pydantic import ValidationError
from pydantic_core import from_json

from nodeimpl.kernel.once import SaidTwice, refuse_twice
from opkit.wire.base import Wire
from opkit.wire.endpoint import Endpoint
from opkit.wire.flaws import first_flaw
from opkit.wire.gateway import Malformed

QUERY_FIELDS_MAX = 32
WHY_CHARACTERS_MAX = 200

_JSON = b"application/json"


class AskReader:
    """Reads the asks of one endpoint. What can be worked out once is worked out here."""

    def __init__(self, endpoint: Endpoint[Any, Any]) -> None:
        """Prepare for this endpoint."""
        self._type: type[Wire] = endpoint.ask
        self._in_path = endpoint.path_fields()
        self._raw = endpoint.raw_ask
        self._json = endpoint.method == "POST" and endpoint.raw_ask is None
        self._empty = not endpoint.ask.model_fields

    def read(
        self, *, in_path: tuple[str, ...], query: bytes, body: bytes, content_type: bytes
    ) -> Wire:
        """Return the ask.

        Args:
            in_path: the values of the path's fields, in the path's order, unquoted.

        Raises:
            Malformed: a field is missing, unknown, given twice, or not of its type.
        """
        try:
            if self._json:
                return self._from_json(in_path, query=query, body=body, content_type=content_type)
            if self._raw is None and body:
                raise Malformed(field="body", why="this ask carries none")
            if self._empty and not query:
                return self._type()
            fields: dict[str, Any] = self._from_query(query)
            self._add_path(fields, in_path)
            if self._raw is not None:
                self._refuse_twice(fields, self._raw)
                fields[self._raw] = body
            return self._type.model_validate(fields)
        except ValidationError as bad:
            raise malformed(bad) from bad

    def _from_json(
        self, in_path: tuple[str, ...], *, query: bytes, body: bytes, content_type: bytes
    ) -> Wire:
        if query:
            raise Malformed(field="query", why="this ask travels in the body")
        if body and content_type.split(b";", 1)[0].strip().lower() != _JSON:
            raise Malformed(field="Content-Type", why="application/json is expected")
        if not self._in_path:
            ask = self._type.model_validate_json(body or b"{}")
            _refuse_twice(body or b"{}")
            return ask
        try:
            fields: Any = from_json(body or b"{}")
        except ValueError as bad:
            raise Malformed(field="body", why="not JSON") from bad
        if not isinstance(fields, dict):
            raise Malformed(field="body", why="not a JSON object")
        _refuse_twice(body or b"{}")
        self._add_path(fields, in_path)
        return self._type.model_validate(fields)

    def _from_query(self, query: bytes) -> dict[str, Any]:
        try:
            pairs = parse_qsl(
                query.decode("ascii"),
                keep_blank_values=True,
                strict_parsing=bool(query),
                errors="strict",
                max_num_fields=QUERY_FIELDS_MAX,
            )
        except ValueError as bad:
            raise Malformed(field="query", why="not name=value pairs") from bad
        fields: dict[str, Any] = {}
        for name, value in pairs:
            self._refuse_twice(fields, name)
            fields[name] = value
        return fields

    def _add_path(self, fields: dict[str, Any], in_path: tuple[str, ...]) -> None:
        for name, value in zip(self._in_path, in_path, strict=True):
            self._refuse_twice(fields, name)
            fields[name] = value

    def _refuse_twice(self, fields: dict[str, Any], name: str) -> None:
        if name in fields:
            raise Malformed(field=name[:WHY_CHARACTERS_MAX], why="given twice")


def _refuse_twice(body: bytes) -> None:
    try:
        refuse_twice(body)
    except SaidTwice as twice:
        raise Malformed(field=twice.name[:WHY_CHARACTERS_MAX], why="given twice") from twice


def malformed(bad: ValidationError) -> Malformed:
    """Return the refusal for the first error; it never repeats what was sent."""
    flaw = first_flaw(bad)
    field = flaw.where or "body"
    return Malformed(field=field[:WHY_CHARACTERS_MAX], why=flaw.why[:WHY_CHARACTERS_MAX])
