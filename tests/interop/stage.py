"""A network of three real nodes and a peer in JavaScript beside them, for tests to tell stories of.

The peer (`tests/interop/js/peer`) is written from `docs/protocol.md`. Here are commands for it, the
nodes are processes, and what came of each command is asked of them over HTTP, or of each alone by
the peer's own questions.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from devnet.attach import AttachedWorld, open_world
from devnet.launch import launch, temporary_name
from opkit.proof import jws
from opkit.proof.keys import Identity
from opkit.proof.record import sign_record
from opkit.wire.base import Jws
from opkit.wire.membership import MEMBER_TYP, MemberRecord
from opkit.wire.network import PEERS, AskPeers
from opkit.wire.overlay import (
    OVERLAY,
    PUBLISH,
    RECORDS,
    AskOverlay,
    AskRecords,
    Overlay,
    PublishRecord,
)
from opkit.wire.records import Carried, RecordBody

FOLDER = Path(__file__).with_name("js")
PROGRAM = FOLDER / "peer" / "main.mjs"
MODULE = (Path(__file__).parents[2] / "wasm" / "upper.wasm").read_bytes()
RIVER, BRIGHT, HARBOR = ALL = (
    "river-city-tool-library",
    "brightworks-cooperative",
    "harbor-homes-cooperative",
)
MARA = f"{RIVER}/mara"
WAIT_S = 60
TEST_S = 120
DAY_MS = 86_400_000
LINE_BYTES_MAX = 4 * 2**20


class Refused(Exception):
    """The peer was refused, or failed: `code` says how."""

    def __init__(self, code: str, details: dict[str, Any]) -> None:
        super().__init__(code)
        self.code, self.details = code, details


class Peer:
    """The peer's process: one command at a time, a line each."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.did = ""

    async def do(self, deed: str, **ask: Any) -> Any:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps({"do": deed, **ask}).encode() + b"\n")
        line = await asyncio.wait_for(self._process.stdout.readline(), WAIT_S)
        assert line, "the peer has ended"
        said = json.loads(line)
        if "no" in said:
            raise Refused(said["no"], said["details"])
        return said["ok"]


@asynccontextmanager
async def peer_of(
    world: AttachedWorld, identity: Identity, *, serves: bool = False, proof: tuple[Jws, ...] = ()
) -> AsyncIterator[Peer]:
    """Run a peer with this key until the context ends; it must end by itself then."""
    node = shutil.which("node")
    assert node is not None
    process = await asyncio.create_subprocess_exec(
        node,
        str(PROGRAM),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=LINE_BYTES_MAX,
    )
    peer = Peer(process)
    try:
        ask = {"seed": identity.seed.hex(), "genesis": world.genesis.token, "proof": proof}
        peer.did = (await peer.do("open", serves=serves, **ask))["did"]
        assert peer.did == identity.did
        yield peer
        assert process.stdin
        process.stdin.close()
        assert await asyncio.wait_for(process.wait(), WAIT_S) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@dataclass
class Stage:
    """The network, and a peer of it."""

    world: AttachedWorld
    peer: Peer

    def contact(self, org: str) -> dict[str, Any]:
        node = self.world.node(org)
        return {"did": node.did, "addresses": list(node.peer_addresses)}

    async def dial_all(self) -> None:
        for org in ALL:
            await self.peer.do("dial", to=self.contact(org))

    async def ask(self, org: str, method: str, **body: Any) -> Any:
        return await self.peer.do("ask", to=self.contact(org), method=method, body=body)

    async def holds(self, org: str, name: str) -> list[str]:
        """Return the notes of a name that one node keeps itself, whatever others keep."""
        found = await self.ask(org, "dht.get", namespace="note", name=name)
        return [one["jws"] for one in found["records"]]

    async def found(self, org: str, name: str) -> list[str]:
        """Return the notes of a name that are found in the network by a node."""
        ask = AskRecords(namespace="note", name=name)
        found = await self.world.operator(org).call(RECORDS, ask)
        return [one.jws for one in found.records]

    async def overlay(self, org: str) -> Overlay:
        return await self.world.operator(org).call(OVERLAY, AskOverlay())

    async def is_gone(self, org: str) -> bool:
        """Return whether a node has no link to the peer: it has to dial to reach it."""
        links = (await self.world.operator(org).call(PEERS, AskPeers())).links
        return self.peer.did not in {link.did for link in links}

    async def publish(self, org: str, label: str) -> Carried:
        """Have a founder's note published by a node."""
        carried = self.note(self.world.member(MARA), label)
        await self.world.operator(org).call(PUBLISH, PublishRecord(carried=carried))
        return carried

    def note(self, identity: Identity, label: str) -> Carried:
        now_ms = time.time_ns() // 1_000_000
        body = RecordBody(
            network=self.world.genesis.network,
            aud="note",
            name=f"{identity.did}/{label}",
            owner=identity.did,
            sequence=now_ms,
            issued_at_ms=now_ms,
            lapses_at_ms=now_ms + DAY_MS,
            value={"text": f"what {label} says: größer"},
        )
        return Carried(jws=sign_record(body, identity))


def joined(world: AttachedWorld, member: Identity) -> Jws:
    """Return the operator's word that somebody new is of the coop, which no node has heard."""
    operator = world.operator(RIVER).identity
    assert operator is not None
    record = MemberRecord(
        network=world.genesis.network,
        aud=RIVER,
        action="add",
        member_id=f"{RIVER}/{secrets.token_hex(4)}",
        name="Zoë",
        title="",
        did=member.did,
        roles=("member",),
        sequence=1,
        issued_at_ms=time.time_ns() // 1_000_000,
    )
    return jws.sign(record, typ=MEMBER_TYP, identity=operator)


def name_of(jws_text: str) -> str:
    return str(jws.peek(jws_text).payload["name"])


async def eventually(holds: Callable[[], Awaitable[object]]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not await holds():
            await asyncio.sleep(0.05)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Hold three nodes as processes; return the devnet's name."""
    if shutil.which("node") is None:
        pytest.skip("not run: Node.js is missing (scripts/setup interop)")
    if not list((FOLDER / "node_modules" / "@number0").glob("iroh-*/*.node")):
        pytest.skip("not run: there is no binary of iroh's JavaScript binding for this platform")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPKIT_HOME", str(tmp_path_factory.mktemp("home")))
        launched = launch(name=temporary_name(), profile="three", seed=11, temporary=True)
        try:
            launched.wait_ready()
            yield launched.name
        finally:
            launched.down()


@pytest.fixture
def tell(network: str) -> Callable[..., None]:
    """Return what tells a story against the network and a fresh peer, who may be a member.

    One that serves gets into the nodes' tables, and is looked for there after its end.
    """

    def told(
        story: Callable[[Stage], Awaitable[None]],
        *,
        as_member: str = "",
        key: Identity | None = None,
        serves: bool = False,
        first: Callable[[AttachedWorld], Awaitable[None]] | None = None,
    ) -> None:
        """Tell a story; `key` is the peer's own, and `first` is done before it comes."""

        async def act() -> None:
            async with asyncio.timeout(TEST_S):
                world = await open_world(network, run_id=secrets.token_hex(4), seed=11)
                try:
                    who = world.member(as_member) if as_member else key or Identity.generate()
                    if first is not None:
                        await first(world)
                    async with peer_of(world, who, serves=serves) as peer:
                        await story(Stage(world, peer))
                        state = await peer.do("state")
                        assert state["broken"] == []
                finally:
                    await world.close()

        asyncio.run(act())

    return told
