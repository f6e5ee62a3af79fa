"""Strangers after a name: they are told which one; what they send, flow B tells to real nodes."""

from __future__ import annotations

import asyncio

import pytest

from devnet.hostile import hostile_peer
from devnet.hostile_names import CONDUCTS
from devnet.spec import AFTER_A_NAME, HOSTILE_KINDS
from nodeimpl.p2p.memory import MemoryNetwork
from opkit.proof.genesis import read_genesis, sign_genesis
from opkit.proof.keys import Identity
from opkit.wire.genesis import Genesis


def test_the_kinds_that_are_after_a_name_are_known_by_it() -> None:
    assert set(CONDUCTS) == AFTER_A_NAME < set(HOSTILE_KINDS)


@pytest.mark.parametrize("kind", sorted(AFTER_A_NAME))
def test_who_is_after_a_name_is_told_which_one(kind: str) -> None:
    async def story() -> None:
        operator = Identity.generate()
        record = Genesis(
            network="a" * 26,
            devnet=True,
            operator=operator.did,
            created_ms=1,
            nodes=(),
            charters=(),
        )
        genesis = read_genesis(sign_genesis(record, operator))
        make = MemoryNetwork().transport
        with pytest.raises(ValueError, match=f"{kind} is after a name: say which one"):
            async with hostile_peer(kind, make=make, genesis=genesis, targets=()):
                pytest.fail("it is after nothing")
        named = hostile_peer(kind, make=make, genesis=genesis, targets=(), about="lathe.bakery")
        async with named as stranger:
            assert stranger.stats() == {}

    asyncio.run(asyncio.wait_for(story(), 120))
