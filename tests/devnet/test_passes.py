"""One token for each node, as long as it is good, and another in time."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from devnet import passes
from devnet.passes import RENEWED_BEFORE_MS, TTL_MS, Passes
from devnet.state import DevnetError, NodeState
from opkit.proof.keys import Identity
from opkit.wire.membership import Token

NODE = NodeState.model_construct(org="bakery", title="Bakery", did="did:key:z", url="http://x")


class Counting(Passes):
    """Logs in nowhere: gives tokens that last so long, and counts them."""

    def __init__(self, *, lasts_ms: int = TTL_MS) -> None:
        super().__init__(network="n", operator=Identity.from_seed(bytes(32)))
        self.lasts_ms = lasts_ms
        self.logins = 0

    async def _log_in(self, node: NodeState) -> Token:
        self.logins += 1
        await asyncio.sleep(0)  # Others that wait for the same token come in between.
        ends_ms = time.time_ns() // 1_000_000 + self.lasts_ms
        return Token(
            token=f"{node.org}-{self.logins}",
            member_id="-/operator",
            scopes=(),
            expires_at_ms=ends_ms,
        )


def given(door: Passes, **arguments: Any) -> str:
    return asyncio.run(door.token(NODE, **arguments)).token


def test_a_token_is_got_once_however_many_ask_for_it() -> None:
    door = Counting()

    async def many() -> set[str]:
        return {one.token for one in await asyncio.gather(*(door.token(NODE) for _ in range(5)))}

    assert asyncio.run(many()) == {"bakery-1"}


def test_one_that_ends_soon_is_not_handed_out_any_more() -> None:
    door = Counting(lasts_ms=RENEWED_BEFORE_MS - 1)
    assert [given(door), given(door)] == ["bakery-1", "bakery-2"]


def test_one_that_the_node_rejects_is_replaced_once() -> None:
    door = Counting()
    first = given(door)
    assert given(door, instead_of="of long ago") == first
    second = given(door, instead_of=first)
    assert second != first
    assert given(door, instead_of=first) == second


def test_a_node_that_has_not_started_has_none_to_give() -> None:
    silent = NODE.model_copy(update={"url": ""})
    with pytest.raises(DevnetError, match="not started"):
        asyncio.run(Counting().token(silent))


def test_what_is_handed_out_reads_and_nothing_else() -> None:
    rights = {str(scope).partition(":")[2] for scope in passes.SCOPES}
    assert rights == {"read", "read-own"}
