"""A lone node that is killed: what it answered as published is found on it afterwards."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.node import AskedNode, asked_node
from opkit.proof import keystore
from opkit.proof.record import make_record, read_record
from opkit.wire.compute import PUT_BLOB, PutBlob
from opkit.wire.overlay import (
    PROVIDE,
    PUBLISH,
    RECORDS,
    AskRecords,
    ProvideBlob,
    PublishRecord,
)
from opkit.wire.records import Carried

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.usefixtures("unmeasured_processes"),
]

DAY_MS = 86_400_000
PLENTY_S = 120


@pytest.fixture(params=["SQLite", pytest.param("PostgreSQL", marks=pytest.mark.postgres)])
def node(request: pytest.FixtureRequest) -> Iterator[AskedNode]:
    """A node of its own that nobody else is connected with, on each engine."""
    with asked_node(request.param) as running:
        yield running


def note(node: AskedNode, label: str) -> Carried:
    owner = node.world.members[node.members[0]]
    token = make_record(
        owner,
        network=node.world.view.network,
        namespace="note",
        name=f"{owner.did}/{label}",
        value={"text": "Mon 9-12"},
        at_ms=time.time_ns() // 1_000_000,
        term_ms=DAY_MS,
    )
    return Carried(jws=token)


def opkit(node: AskedNode, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the command as the member of whom the notes are."""
    where = ("--url", node.url, "--did", node.identity.did)
    whose = ("--genesis", f"{node.folder}/genesis.jws", "--identity", f"{folder}/me.json")
    return subprocess.run(
        [sys.executable, "-m", "opkit.cli", *words, *where, *whose],
        env={**os.environ, "OPKIT_HOME": str(folder)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_a_note_that_was_published_is_found_by_the_command_after_a_kill(node, tmp_path) -> None:
    async def publish_and_kill() -> None:
        client = node.client(node.members[0])
        async with client:
            await client.call(PUBLISH, PublishRecord(carried=note(node, "hours")))
            node.kill()
        await node.start()

    asyncio.run(asyncio.wait_for(publish_and_kill(), PLENTY_S))
    key = secrets.token_bytes(32)
    owner = node.world.members[node.members[0]]
    (tmp_path / "me.json").write_bytes(keystore.seal({"identity": owner.seed}, secret=key))
    (tmp_path / "me.key").write_bytes(key)
    (tmp_path / "me.key").chmod(0o600)
    done = opkit(node, tmp_path, "dht", "get", "hours", "--json")
    assert done.returncode == 0, done.stderr
    (found,) = json.loads(done.stdout)["records"]
    assert (found["owner"], found["value"]) == (owner.did, {"text": "Mon 9-12"})


def test_every_note_that_was_answered_stands_and_a_blob_is_said_again_after_a_kill(node) -> None:
    """Many publish at once, so their commits are shared; the node is killed amid them."""
    answered: list[str] = []

    async def publish(number: int) -> None:
        async with node.client(node.members[0]) as client:
            for turn in range(200):
                said = note(node, f"{number}-{turn}")
                await client.call(PUBLISH, PublishRecord(carried=said))
                answered.append(said.jws)

    async def story() -> None:
        async with node.client(node.members[0]) as client:
            cid = (await client.call(PUT_BLOB, PutBlob(content=b"kept"))).cid
        async with node.operator() as operator:
            await operator.call(PROVIDE, ProvideBlob(cid=cid))
            (before,) = (
                await operator.call(RECORDS, AskRecords(namespace="blob", name=cid))
            ).records
        publishers = [asyncio.create_task(publish(number)) for number in range(4)]
        while len(answered) < 40:
            await asyncio.sleep(0.005)
        node.kill()
        await asyncio.wait(publishers)
        assert all(task.exception() is not None for task in publishers)
        await node.start()
        network = node.world.view.network
        async with node.operator() as operator:
            for token in answered:
                name = read_record(token, network=network).name
                found = await operator.call(RECORDS, AskRecords(namespace="note", name=name))
                assert [one.jws for one in found.records] == [token]
            first = read_record(before.jws, network=network)
            while True:
                ask = AskRecords(namespace="blob", name=cid)
                (after,) = (await operator.call(RECORDS, ask)).records
                if read_record(after.jws, network=network).sequence > first.sequence:
                    return
                await asyncio.sleep(0.05)

    asyncio.run(asyncio.wait_for(story(), PLENTY_S))
