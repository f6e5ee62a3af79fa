"""A node that is killed under load: what it acknowledged stands afterwards, and stands once."""

from __future__ import annotations

import asyncio

import pytest

from bench import kills
from bench.kills import Acknowledged, Lost, killed
from bench.node import asked_node
from bench.rows import Engine
from opkit.client import NodeClient
from opkit.proof.cid import cid_of
from opkit.wire.compute import PUT_BLOB, BlobUnknown, PutBlob

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.usefixtures("unmeasured_processes"),
]


@pytest.mark.parametrize(
    "engine", ["SQLite", pytest.param("PostgreSQL", marks=pytest.mark.postgres)]
)
def test_everything_acknowledged_before_a_kill_stands_after_it_and_stands_once(
    engine: Engine,
) -> None:
    with asked_node(engine) as node:
        taken = asyncio.run(killed(node, times=2, entries=1_000))
    assert len(taken) == 2


def test_an_upload_that_was_acknowledged_and_is_not_kept_is_found_out(monkeypatch) -> None:
    """The check can fail: here members believe in uploads that never left them."""

    async def boast(client: NodeClient, said: Acknowledged) -> None:
        async with client:
            while True:
                content = b"kept %d" % len(said.uploads)
                if len(said.uploads) != 3:
                    await client.call(PUT_BLOB, PutBlob(content=content))
                said.uploads.add(cid_of(content))

    monkeypatch.setattr(kills, "_upload", boast)
    monkeypatch.setattr(kills, "UPLOADERS", 1)
    with asked_node("SQLite") as node, pytest.raises(BlobUnknown):
        asyncio.run(killed(node, times=1, entries=1))


def test_a_receipt_that_is_replaced_is_found_out(monkeypatch) -> None:
    check = kills._check_acknowledged

    async def forge(node, said: Acknowledged) -> None:
        first, second, *_ = said.receipts
        said.receipts[first] = said.receipts[second]
        await check(node, said)

    monkeypatch.setattr(kills, "_check_acknowledged", forge)
    with asked_node("SQLite") as node, pytest.raises(Lost, match="receipt"):
        asyncio.run(killed(node, times=1, entries=1))
