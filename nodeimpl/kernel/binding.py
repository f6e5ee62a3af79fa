"""How a domain says which function answers which endpoint. Knows no web framework.

A domain's `routes.py` is a table of `serve(wire.CLAIM, naming.claim)`; whoever mounts it runs the
function in a transaction of the store and turns refusals into answers.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from nodeimpl.kernel.tx import Tx
from opkit.wire.base import Did, MemberId
from opkit.wire.endpoint import Answer, Ask, Endpoint, Scope

Handle: TypeAlias = "Callable[[Tx, Any, Caller | None, Any], Any]"
Prepare: TypeAlias = "Callable[[Any, Caller | None], Awaitable[Any]]"
Direct: TypeAlias = "Callable[[Any, Caller | None], Awaitable[Any]]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks, as the token says and the store confirmed.

    Attributes:
        address: where the ask came from, for rates and logs only.
        token_id: which token it was, so that revoking it can end what it started.
    """

    member_id: MemberId
    did: Did
    scopes: frozenset[Scope]
    address: str
    token_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """An endpoint and what answers it: `handle` in a transaction, or `direct` without one.

    Attributes:
        prepare: waits for what a transaction must not wait for; its result is `handle`'s last
            argument.
        writes: whether `handle` runs on the writer.
    """

    endpoint: Endpoint[Any, Any]
    handle: Handle | None = None
    prepare: Prepare | None = None
    direct: Direct | None = None
    writes: bool = False


def serve(
    endpoint: Endpoint[Ask, Answer],
    handle: Callable[[Tx, Ask, Caller | None, Any], Answer],
    *,
    prepare: Callable[[Ask, Caller | None], Awaitable[Any]] | None = None,
    writes: bool | None = None,
) -> Route:
    """Answer `endpoint` by `handle` in a transaction.

    Args:
        handle: gets the transaction, the ask, who asks (None where no token is asked for), and
            what `prepare` returned (None without it).
        prepare: runs before the transaction and may wait.
        writes: whether the transaction changes anything; as `endpoint.changes` unless said.
    """
    changes = endpoint.changes if writes is None else writes
    assert changes or not endpoint.changes, f"{endpoint.name} changes something"
    return Route(endpoint=endpoint, handle=handle, prepare=prepare, writes=changes)


def answer(
    endpoint: Endpoint[Ask, Answer], direct: Callable[[Ask, Caller | None], Awaitable[Answer]]
) -> Route:
    """Answer `endpoint` by `direct`, which sees to its own transactions if it needs any."""
    return Route(endpoint=endpoint, direct=direct)
