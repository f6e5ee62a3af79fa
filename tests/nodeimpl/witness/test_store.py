"""What was seen and proven is kept, on both engines."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from nodeimpl.kernel.clock import RealClock
from nodeimpl.kernel.store import Store
from nodeimpl.witness import store as table
from nodeimpl.witness.rules import Known
from opkit.proof import jws
from opkit.proof.forks import read_seen
from opkit.proof.keys import Identity
from opkit.wire.journal import JOURNAL_HEAD_TYP, JournalHead
from opkit.wire.witness import ForkValue

NETWORK = "a" * 26
NODE = Identity.generate()


def head(size: int) -> str:
    said = JournalHead(
        network=NETWORK,
        aud="journal",
        node=NODE.did,
        generation=1,
        size=size,
        root=f"{size:064x}",
        hash="0" * 64,
        issued_at_ms=5,
    )
    return jws.sign(said, typ=JOURNAL_HEAD_TYP, identity=NODE)


def with_store(url: str, main: Callable[[Store], Awaitable[None]]) -> None:
    """Run `main` with a store that is closed at its end."""

    async def run() -> None:
        store = await Store.open(url=url, clock=RealClock())
        try:
            async with asyncio.timeout(30):
                await main(store)
        finally:
            await store.close()

    asyncio.run(run())


def test_the_last_head_of_each_node_replaces_the_one_before(store_url: str) -> None:
    async def main(store: Store) -> None:
        early, late = (
            Known(
                node=NODE.did,
                seen=read_seen(head(size), node=NODE.did, network=NETWORK),
                asked_at_ms=size,
                announced_at_ms=size,
                unproven=why,
                told_at_ms=size,
            )
            for size, why in ((3, None), (9, "it is shorter"))
        )
        for known in (early, late):
            await store.write(lambda tx, known=known: table.keep(tx, known))
        await store.write(lambda tx: table.keep(tx, Known(node="did:key:none")))
        kept = await store.read(lambda tx: list(table.known(tx, network=NETWORK)))
        assert sorted(kept, key=lambda it: it.node) == sorted(
            [late, Known(node="did:key:none")], key=lambda it: it.node
        )

    with_store(store_url, main)


def test_a_head_that_does_not_verify_any_more_counts_as_none(store_url: str) -> None:
    async def main(store: Store) -> None:
        seen = read_seen(head(3), node=NODE.did, network=NETWORK)
        await store.write(lambda tx: table.keep(tx, Known(node=NODE.did, seen=seen)))
        (kept,) = await store.read(lambda tx: list(table.known(tx, network="b" * 26)))
        assert kept == Known(node=NODE.did)

    with_store(store_url, main)


def test_the_first_proof_of_a_generation_is_kept(store_url: str) -> None:
    async def main(store: Store) -> None:
        proofs = [ForkValue(first=head(size), second=head(size + 1)) for size in (1, 2, 3)]
        told = [
            await store.write(
                lambda tx, value=value, number=number: table.add_fork(
                    tx, value, node=NODE.did, generation=number
                )
            )
            for value, number in zip(proofs, (1, 1, 2), strict=True)
        ]
        assert told == [True, False, True]
        kept = await store.read(table.forks)
        assert kept == {NODE.did: {1: proofs[0], 2: proofs[2]}}

    with_store(store_url, main)
