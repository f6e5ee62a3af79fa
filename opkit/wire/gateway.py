"""What the front door itself says: refusals that every endpoint shares, health, and paging.

`GATE_REFUSALS` is in order of precedence and comes before an endpoint's own refusals, but for
`StoreBusy`, which can only be said last.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from opkit.wire.endpoint import Endpoint
from opkit.wire.errors import (
    Busy,
    Conflict,
    Denied,
    Exhausted,
    Invalid,
    Missing,
    Oversize,
    Refusal,
    Unauthenticated,
)


@dataclass(eq=False, kw_only=True)
class BodyOversize(Oversize):
    """The body is larger than this endpoint reads."""

    code = "body-oversize"
    hint = "send less, or by hash"
    limit_bytes: int


@dataclass(eq=False, kw_only=True)
class RateExceeded(Exhausted):
    """Too many asks in too short a time."""

    code = "rate-exceeded"
    hint = "wait retry_after_ms and ask again"
    retry_after_ms: int


@dataclass(eq=False, kw_only=True)
class TokenMissing(Unauthenticated):
    """This endpoint needs a token, and none came."""

    code = "token-missing"
    hint = "sign the node's challenge to get a token (`opkit login`)"


@dataclass(eq=False, kw_only=True)
class TokenRejected(Unauthenticated):
    """The token is not one that this node accepts now."""

    code = "token-rejected"
    hint = "sign a new challenge; a token is for one node, one member and at most an hour"
    why: str


@dataclass(eq=False, kw_only=True)
class StandingStale(Denied):
    """The home of the caller's coop was not heard for too long: they may have been revoked."""

    code = "standing-stale"
    hint = "ask at the home node of your coop, or again once this node hears it"
    coop: str
    home: str
    limit_ms: int


@dataclass(eq=False, kw_only=True)
class ScopeMissing(Denied):
    """The token is good, but not for this."""

    code = "scope-missing"
    hint = "ask for a token with this scope; your role must grant it"
    needs: str
    has: list[str]


@dataclass(eq=False, kw_only=True)
class Malformed(Invalid):
    """The ask is not of the declared shape."""

    code = "malformed"
    hint = "compare with the endpoint's schema in /openapi.json"
    field: str
    why: str


@dataclass(eq=False, kw_only=True)
class IdempotencyKeyMissing(Invalid):
    """An ask that changes something carries an `Idempotency-Key`, and this one does not."""

    code = "idempotency-key-missing"
    hint = "send a fresh random key, and the same one when you repeat the ask"


@dataclass(eq=False, kw_only=True)
class IdempotencyConflict(Conflict):
    """This key was used before for another ask."""

    code = "idempotency-conflict"
    hint = "a key belongs to one ask: use a fresh one"
    key: str


@dataclass(eq=False, kw_only=True)
class IdempotencyFull(Exhausted):
    """This principal holds as many remembered keys as a node keeps for one."""

    code = "idempotency-full"
    hint = "keys are remembered for seven days; make fewer changes"
    limit: int


@dataclass(eq=False, kw_only=True)
class RouteUnknown(Missing):
    """The node has no such endpoint."""

    code = "route-unknown"
    hint = "see /openapi.json"
    path: str


@dataclass(eq=False, kw_only=True)
class StoreBusy(Busy):
    """The store could not take it (full queue, full disk, lost connection): nothing happened."""

    code = "store-busy"
    hint = "ask again with the same idempotency key"
    why: str


GATE_REFUSALS: tuple[type[Refusal], ...] = (
    BodyOversize,
    RateExceeded,
    TokenMissing,
    TokenRejected,
    StandingStale,
    ScopeMissing,
    Malformed,
    IdempotencyKeyMissing,
    IdempotencyConflict,
    IdempotencyFull,
)


def all_refusals(endpoint: Endpoint[Any, Any]) -> tuple[type[Refusal], ...]:
    """Return every refusal of `endpoint`, in order of precedence."""
    asks_for_token = endpoint.scope is not None
    skipped: set[type[Refusal]] = set()
    if not asks_for_token:
        skipped |= {TokenMissing, TokenRejected, StandingStale, ScopeMissing}
    if not endpoint.changes:
        skipped |= {IdempotencyKeyMissing, IdempotencyConflict, IdempotencyFull}
    if not endpoint.stores_answer:
        skipped |= {IdempotencyConflict, IdempotencyFull}
    gate = tuple(leaf for leaf in GATE_REFUSALS if leaf not in skipped)
    return (*gate, *endpoint.refuses, StoreBusy)
