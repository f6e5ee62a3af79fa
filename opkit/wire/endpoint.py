"""An endpoint as a value: the one place where a path, its types and its refusals stand.

The node mounts these values, the client calls them, OpenAPI and `docs/api.md` are made from them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

from opkit.wire.base import Wire
from opkit.wire.errors import Refusal

Ask = TypeVar("Ask", bound=Wire)
Answer = TypeVar("Answer", bound=Wire)

ENDPOINTS: dict[str, Endpoint[Wire, Wire]] = {}
"""Every endpoint by its name; filled when the value is made."""

JSON_BODY_BYTES_MAX = 262_144
"""The limit of a JSON body unless the endpoint says otherwise."""


class Scope(StrEnum):
    """What a token may be used for. Roles grant scopes (`opkit.wire.membership.ROLES`)."""

    NODE_READ = "node:read"
    MEMBERS_READ = "members:read"
    MEMBERS_WRITE = "members:write"
    WASM_READ = "wasm:read"
    WASM_WRITE = "wasm:write"
    COMPUTE_READ = "compute:read"
    COMPUTE_SUBMIT = "compute:submit"
    EVENTS_READ = "events:read"
    RECORDS_WRITE = "records:write"
    CARDS_READ = "cards:read"
    CARDS_WRITE = "cards:write"
    NAMES_READ = "names:read"
    NAMES_WRITE = "names:write"
    LEDGER_READ_OWN = "ledger:read-own"
    LEDGER_READ = "ledger:read"
    LEDGER_WRITE_OWN = "ledger:write-own"
    LEDGER_WRITE = "ledger:write"
    GOVERNANCE_READ = "governance:read"
    GOVERNANCE_WRITE = "governance:write"
    GOVERNANCE_VOTE = "governance:vote"
    FEDERATION_READ = "federation:read"
    FEDERATION_WRITE = "federation:write"
    AGREEMENTS_READ = "agreements:read"
    AGREEMENTS_WRITE = "agreements:write"
    CLEARING_READ = "clearing:read"
    CLEARING_WRITE = "clearing:write"
    CLOCK_WRITE = "clock:write"


@dataclass(frozen=True, kw_only=True)
class Endpoint(Generic[Ask, Answer]):
    """One question a node answers.

    Fields of `ask` that appear in `path` travel there; the others travel in the query (GET,
    DELETE) or in the JSON body (POST). `raw_ask` and `raw_answer` name the one `bytes` field that
    travels as the whole body instead (then the other fields travel in the query).

    Attributes:
        name: `domain.verb`, stable; idempotency keys and metrics are kept per name.
        scope: the scope a token needs; None means that no token is asked for.
        changes: whether it changes state; if so an `Idempotency-Key` is required.
        stores_answer: whether a repeated key is answered from the record (not for tokens).
        refuses: the domain's refusals in order of precedence: when two apply, the first is given.
            What the gateway itself refuses comes before them (`opkit.wire.gateway`).
        body_bytes_max: the greatest body that is read; the node's configuration may lower it.
    """

    name: str
    method: str
    path: str
    ask: type[Ask]
    answer: type[Answer]
    scope: Scope | None
    refuses: tuple[type[Refusal], ...] = ()
    changes: bool = False
    stores_answer: bool = True
    raw_ask: str | None = None
    raw_answer: str | None = None
    body_bytes_max: int = JSON_BODY_BYTES_MAX

    def __post_init__(self) -> None:
        """Register the endpoint under its name."""
        assert self.name not in ENDPOINTS, f"two endpoints share the name {self.name!r}"
        assert self.method in {"GET", "POST", "DELETE"}, self.method
        assert not (self.changes and self.method == "GET"), "a GET changes nothing"
        ENDPOINTS[self.name] = self  # type: ignore[assignment]  # the registry forgets the types

    def path_fields(self) -> tuple[str, ...]:
        """Return the names of the ask's fields that travel in the path."""
        return tuple(part[1:-1] for part in self.path.split("/") if part.startswith("{"))
