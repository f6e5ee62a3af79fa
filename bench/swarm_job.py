"""A node that is told over a channel what to publish, put, get and fetch, and measures it.

It is the node that `python -m nodeimpl` serves, in a process of its own, with one thing more that
runs by itself: it takes lines of JSON from whoever measures. So neither the front door nor a client
is part of what is measured. Times are of the machine's monotonic clock, which all processes share.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import socket
import time
from pathlib import Path
from typing import Any

import psutil

from bench.swarm import LINE_BYTES_MAX
from nodeimpl import __main__ as process
from nodeimpl.config import load_config
from nodeimpl.kernel.blobs import BlobStore, BlobWriter
from nodeimpl.node import Node
from nodeimpl.overlay.namespaces import RULES
from nodeimpl.overlay.shelf import Kept
from nodeimpl.p2p.driving import Driver
from opkit.proof.cid import cid_of
from opkit.proof.keys import Identity
from opkit.proof.record import sign_record
from opkit.wire.base import Cid, Did
from opkit.wire.records import Carried, Namespace, RecordBody

LOOK_S = 0.005
"""How often it is looked whether somebody has been met: the table tells nobody."""

FETCHED_BYTES_MAX = 2**20


def run(config: str, channel: socket.socket) -> None:
    """Serve the node that a configuration file describes until the channel's other end closes."""
    ToldNode.channel = channel
    vars(process)["Node"] = ToldNode
    process.serve(load_config(Path(config)))


class ToldNode(Node):
    """A node with a channel to whoever measures, set before it is made."""

    channel: socket.socket

    def __init__(self, **parts: Any) -> None:
        """Join the parts, and begin to note when records come."""
        given, driver, blobs = parts["given"], parts["outside"].driver, parts["blobs"]
        self._orders = Orders(
            identity=given.identity,
            network=given.genesis.network,
            driver=driver,
            blobs=blobs,
            node=self,
        )
        super().__init__(**parts)

    async def _run(self) -> None:
        """Own everything that runs by itself, and take orders."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(super()._run())
            tasks.create_task(self._orders.serve(self.channel))


class FirstByte(BlobStore):
    """A store that notes when the first bytes of a blob were there to be written."""

    came_ns = 0

    async def open_writer(self, cid: Cid, size_bytes: int) -> BlobWriter:
        """Return a writer that notes its first write."""
        writer = await super().open_writer(cid, size_bytes)
        write = writer.write

        async def noted(chunk: bytes | bytearray | memoryview) -> None:
            self.came_ns = self.came_ns or time.monotonic_ns()
            await write(chunk)

        vars(writer)["write"] = noted
        return writer


class Orders:
    """What a node is told to do, one order after the other, by the names of these methods."""

    def __init__(
        self, *, identity: Identity, network: str, driver: Driver, blobs: BlobStore, node: Node
    ) -> None:
        """Use the node's parts; note from now on which notes are kept, and when."""
        self._identity = identity
        self._network = network
        self._driver = driver
        self._overlay = driver.overlay
        self._blobs = blobs
        self._node = node
        self._came: dict[str, tuple[int, int]] = {}
        self._more = asyncio.Event()
        self._overlay.shelf.on_kept.append(self._kept)

    async def serve(self, channel: socket.socket) -> None:
        """Do what each line says and answer it; the process ends when nobody measures any more."""
        reader, writer = await asyncio.open_unix_connection(sock=channel, limit=LINE_BYTES_MAX)
        while line := await reader.readline():
            order = json.loads(line)
            said = await getattr(self, order["do"])(**order["with"])
            writer.write(json.dumps(said).encode() + b"\n")
            await writer.drain()
        os._exit(0)

    async def met(self, *, links: list[Did], contacts: int, within_ms: int) -> None:
        """Return once it is linked with these, and knows so many."""
        for did in links:
            await self._node.peers.wait_connected(did, within_ms)
        async with asyncio.timeout(within_ms / 1_000):
            while len(self._overlay.dht.table) < contacts:  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(LOOK_S)

    async def used(self) -> int:
        """Return the processor time of the process so far, all of its threads, in ns."""
        return time.process_time_ns()

    # Gossip.

    async def publish(
        self, *, run: str, count: int, every_us: int, first_ns: int, characters: int, put: bool
    ) -> list[int]:
        """Publish notes at even distances; return when each was begun, before it was signed.

        Args:
            run: tells these notes from others of the owner's.
            first_ns: when the first one is due.
            characters: how long the text of each is.
            put: whether the nearest nodes are given it too, as when a member publishes; else it is
                kept and announced only.
        """
        began_ns: list[int] = []
        texts = [secrets.token_hex(characters // 2) for _ in range(count)]
        async with asyncio.TaskGroup() as tasks:
            for number, text in enumerate(texts):
                due_ns = first_ns + number * every_us * 1_000
                await asyncio.sleep(max(0, due_ns - time.monotonic_ns()) / 1e9)
                began_ns.append(time.monotonic_ns())
                note = self._signed("note", f"{run}/{number}", {"text": text})
                if put:
                    tasks.create_task(self._spread(note))
                else:
                    self._overlay.shelf.offer(note, _now_ms())
                    self._driver.touch()
        return began_ns

    async def heard(self, *, run: str, count: int, within_ms: int) -> list[tuple[Did, int, int]]:
        """Return whose notes of a run were kept here, their numbers, and when; once all were.

        After `within_ms` it returns what there is.
        """
        try:
            async with asyncio.timeout(within_ms / 1_000):
                while len(self._of_run(run)) < count:
                    self._more.clear()
                    await self._more.wait()
        except TimeoutError:
            pass
        return self._of_run(run)

    def _of_run(self, run: str) -> list[tuple[Did, int, int]]:
        split = ((name.split("/"), ns) for name, (ns, _) in self._came.items())
        return [(owner, int(number), ns) for (owner, of, number), ns in split if of == run]

    # The hash table.

    async def keep(self, *, records: list[str]) -> None:
        """Keep signed records here, as if they had been put to this node."""
        for token in records:
            self._overlay.dht.copies.read(Carried(jws=token))
            self._overlay.shelf.offer(Carried(jws=token), _now_ms())

    async def put(self) -> dict[str, Any]:
        """Sign a record that says that a blob is here, and put it to the nearest nodes."""
        began_ns = time.monotonic_ns()
        cid = cid_of(secrets.token_bytes(32))
        record = self._signed("blob", cid, {"size_bytes": 1, "addresses": []})
        done = await self._driver.search(
            lambda on_done, now_ms: self._overlay.dht.put(record, on_done, now_ms)
        )
        return {"ms": _ms_since(began_ns), "kept": done.kept, "silent": done.silent}

    async def get(self, *, name: Cid) -> dict[str, Any]:
        """Find a blob's records, none of which is here."""
        assert not self._overlay.shelf.get("blob", name), "it would be answered from here"
        began_ns = time.monotonic_ns()
        done = await self._driver.search(
            lambda on_done, now_ms: self._overlay.dht.get("blob", name, on_done, now_ms)
        )
        took_ms = _ms_since(began_ns)
        return {"ms": took_ms, "found": len(done.records), "silent": done.silent}

    async def resolve(self, *, did: Did) -> dict[str, Any]:
        """Find an agent's card, which is not here, and then once more."""
        assert not self._overlay.shelf.get("card", did), "it would be answered from here"
        began_ns = time.monotonic_ns()
        await self._node.cards.resolve(did)
        found_ms, again_ns = _ms_since(began_ns), time.monotonic_ns()
        again = await self._node.cards.resolve(did)
        assert again.cached, "it is remembered"
        return {"found_ms": found_ms, "again_ms": _ms_since(again_ns)}

    # Blobs.

    async def offer_blob(self, *, size_bytes: int) -> tuple[Cid, str]:
        """Keep a blob that nobody is told of; return its name, and the record that says it."""
        cid = await self._blobs.put(secrets.token_bytes(size_bytes))
        where = list(self._node.peer_addresses())
        record = self._signed("blob", cid, {"size_bytes": size_bytes, "addresses": where})
        return cid, record.jws

    async def first_byte(self, *, name: Cid, provider: Did) -> float:
        """Fetch a blob of somebody who was never met; return after how many ms a byte was here."""
        assert provider not in self._node.peers.connected(), "they have met"
        assert provider not in self._overlay.dht.table, "it knows who that is"
        folder = self._blobs.path(name).parent.parent / "beside"
        blobs = FirstByte(folder, quota_bytes=8 * FETCHED_BYTES_MAX)
        began_ns = time.monotonic_ns()
        await self._node.peers.fetch(name, size_max=FETCHED_BYTES_MAX, blobs=blobs)
        return (blobs.came_ns - began_ns) / 1e6

    # Repair.

    async def restore(self, *, path: str) -> int:
        """Keep the signed records of a file, one a line, and tell nobody; return how many."""
        lines = Path(path).read_text("ascii").splitlines()
        return self._overlay.restore([Carried(jws=token) for token in lines], _now_ms())

    async def filled(self, *, count: int, within_ms: int) -> float:
        """Return how many ms after its first link it had so many notes."""
        async with asyncio.timeout(within_ms / 1_000):
            while len(self._came) < count:
                self._more.clear()
                await self._more.wait()
        linked_ms = min(link.since_ms for link in self._node.peers.links())
        return float(sorted(ms for _, ms in self._came.values())[count - 1] - linked_ms)

    # What is held.

    async def held(self) -> dict[str, int]:
        """Return how many of each there are in the overlay, and `rss`: bytes of the process."""
        return {**self._overlay.held(), "rss": psutil.Process().memory_info().rss}

    async def stands(self, *, names: list[str]) -> int:
        """Return how many of these notes are kept here."""
        return sum(bool(self._overlay.shelf.get("note", name)) for name in names)

    # Parts of these.

    def _kept(self, kept: Kept) -> None:
        if kept.namespace == "note" and kept.sponsor is not None:
            self._came[kept.name] = time.monotonic_ns(), _now_ms()
            self._more.set()

    def _signed(self, namespace: Namespace, name: str, value: dict[str, Any]) -> Carried:
        did = self._identity.did
        return signed_record(
            self._identity,
            network=self._network,
            namespace=namespace,
            name=f"{did}/{name}" if namespace == "note" else name,
            value=value,
        )

    async def _spread(self, note: Carried) -> None:
        await self._driver.search(
            lambda on_done, now_ms: self._overlay.publish(note, on_done, now_ms)
        )


def signed_record(
    owner: Identity, *, network: str, namespace: Namespace, name: str, value: dict[str, Any]
) -> Carried:
    """Return a record that was issued just now and lasts as long as one may."""
    now_ms = _now_ms()
    body = RecordBody(
        network=network,
        aud=namespace,
        name=name,
        owner=owner.did,
        sequence=now_ms,
        issued_at_ms=now_ms,
        lapses_at_ms=now_ms + RULES[namespace].term_ms_max,
        value=value,
    )
    return Carried(jws=sign_record(body, owner))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _ms_since(began_ns: int) -> float:
    return (time.monotonic_ns() - began_ns) / 1e6
