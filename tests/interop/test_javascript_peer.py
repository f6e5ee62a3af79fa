"""A peer in JavaScript in a network of three real nodes: each step is seen from both sides.

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
from opkit.proof.cid import cid_of
from opkit.proof.keys import Identity
from opkit.proof.record import sign_record
from opkit.proof.wasm import add_custom_section
from opkit.wire.base import Jws, b64decode, b64encode
from opkit.wire.compute import PUT_BLOB, PutBlob
from opkit.wire.membership import MEMBER_TYP, MemberRecord
from opkit.wire.network import PEERS, AskPeers
from opkit.wire.overlay import (
    OVERLAY,
    PROVIDE,
    PUBLISH,
    RECORDS,
    ROUTE,
    AskOverlay,
    AskRecords,
    AskRoute,
    Overlay,
    ProvideBlob,
    PublishRecord,
)
from opkit.wire.records import Carried, RecordBody

pytestmark = [pytest.mark.interop, pytest.mark.timeout(240)]

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
        story: Callable[[Stage], Awaitable[None]], *, as_member: str = "", serves: bool = False
    ) -> None:
        async def act() -> None:
            async with asyncio.timeout(TEST_S):
                world = await open_world(network, run_id=secrets.token_hex(4), seed=11)
                try:
                    who = world.member(as_member) if as_member else Identity.generate()
                    async with peer_of(world, who, serves=serves) as peer:
                        await story(Stage(world, peer))
                        state = await peer.do("state")
                        assert state["broken"] == []
                finally:
                    await world.close()

        asyncio.run(act())

    return told


def test_a_record_that_it_puts_is_found_by_nodes_and_the_other_way_round(
    tell: Callable[..., None],
) -> None:
    async def story(stage: Stage) -> None:
        peer, known = stage.peer, [stage.contact(RIVER)]
        mine = await peer.do("note", label="from-javascript", text="größer als 7 €")
        answers = await peer.do("put", carried=mine, known=known)
        # Nodes gossip what is new, so a later one may have it from an earlier one.
        assert any(answers[stage.world.node(org).did] for org in ALL)
        again = await peer.do("put", carried=mine, known=known)
        assert [again[stage.world.node(org).did] for org in ALL] == [False] * len(ALL)
        for org in ALL:
            assert await stage.holds(org, name_of(mine["jws"])) == [mine["jws"]]
            assert await stage.found(org, name_of(mine["jws"])) == [mine["jws"]]
        theirs = await stage.publish(BRIGHT, "from-python")
        (found,) = await peer.do("get", namespace="note", name=name_of(theirs.jws), known=known)
        assert (found["jws"], found["id"]) == (theirs.jws, jws.record_id(theirs.jws))
        assert found["value"] == {"text": "what from-python says: größer"}

    tell(story)


def test_it_fetches_a_blob_from_a_node_by_its_name_and_a_node_one_from_it(
    tell: Callable[..., None],
) -> None:
    async def story(stage: Stage) -> None:
        peer, world, known = stage.peer, stage.world, [stage.contact(RIVER)]
        content = secrets.token_bytes(300_000)
        operator = world.operator(HARBOR)
        kept = await operator.call(PUT_BLOB, PutBlob(content=content))
        await operator.call(PROVIDE, ProvideBlob(cid=kept.cid))
        got = await peer.do("fetch", cid=kept.cid, known=known)
        assert b64decode(got["bytes"]) == content
        assert got["from"] == world.node(HARBOR).did
        with pytest.raises(Refused) as nobody:
            await peer.do("fetch", cid=cid_of(secrets.token_bytes(8)), known=known)
        assert nobody.value.code == "blob-unknown"

        # A module that nobody has seen: the executor can have it from the peer alone.
        module = add_custom_section(MODULE, "made", secrets.token_bytes(16))
        provided = await peer.do("provide", bytes=b64encode(module), known=known)
        assert provided["cid"] == cid_of(module)
        executor = world.node(BRIGHT).did
        await peer.do("drop", did=executor)
        await eventually(lambda: stage.is_gone(BRIGHT))
        handle = await world.client(RIVER, MARA).compute.submit(
            provided["cid"], b"said in small letters", executor=executor
        )
        result = await handle.result()
        assert result.output == b"SAID IN SMALL LETTERS"
        fetched = result.view.fetched
        assert fetched is not None
        assert (fetched.peer, fetched.size_bytes) == (peer.did, len(module))
        asked = (await peer.do("state"))["asked"]
        assert asked[executor]["blob.fetch"] == 1

    tell(story)


def test_it_hears_gossip_and_is_heard(tell: Callable[..., None]) -> None:
    async def story(stage: Stage) -> None:
        peer = stage.peer
        await stage.dial_all()

        async def in_mesh() -> bool:
            return len((await peer.do("state"))["mesh"]) == len(ALL)

        await eventually(in_mesh)
        theirs = await stage.publish(RIVER, "to-all")

        theirs_id = jws.record_id(theirs.jws)
        await eventually(lambda: peer.do("brought", id=theirs_id))
        (kept,) = await peer.do("kept", namespace="note", name=name_of(theirs.jws))
        assert kept["jws"] == theirs.jws
        assert (await peer.do("state"))["counts"]["bad"] == 0
        mine = await peer.do("note", label="to-everybody", text="heard?")
        await peer.do("publish", carried=mine)

        async def all_keep_it() -> bool:
            kept = [await stage.holds(org, name_of(mine["jws"])) for org in ALL]
            return kept == [[mine["jws"]]] * len(ALL)

        await eventually(all_keep_it)
        overlay = await stage.overlay(HARBOR)
        assert peer.did in {link.did for link in overlay.mesh}
        assert peer.did not in overlay.banned

    tell(story)


def test_what_either_side_lacks_comes_to_it_by_reconciliation(tell: Callable[..., None]) -> None:
    async def story(stage: Stage) -> None:
        peer, there = stage.peer, stage.contact(RIVER)
        notes = [await stage.publish(RIVER, f"many-{number}") for number in range(40)]
        mine = await peer.do("note", label="kept-only", text="by nobody else yet")
        await peer.do("keep", carried=mine)
        # A node that just met the peer asks what it keeps.
        await peer.do("dial", to=there)

        async def has_asked() -> bool:
            asked = (await peer.do("state"))["asked"].get(there["did"], {})
            return "reconcile.compare" in asked and bool(
                await stage.holds(RIVER, name_of(mine["jws"]))
            )

        await eventually(has_asked)
        # Now the peer asks, and pushes. The node may ask at the same time, and fetch it first.
        pushed = 0
        for number in range(20):
            late = await peer.do("note", label=f"kept-late-{number}", text="pushed")
            await peer.do("keep", carried=late)
            pushed = (await peer.do("reconcile", **{"with": there, "namespace": "note"}))["went"]
            if pushed:
                break
        assert pushed == 1
        assert await stage.holds(RIVER, name_of(late["jws"])) == [late["jws"]]
        for one in notes:
            (kept,) = await peer.do("kept", namespace="note", name=name_of(one.jws))
            assert kept["jws"] == one.jws
        nodes = await peer.do("reconcile", **{"with": there, "namespace": "node"})
        assert nodes["went"] == 0
        assert len(await peer.do("items", namespace="node")) == len(ALL)
        done = await peer.do("reconcile", **{"with": there, "namespace": "note"})
        assert done == {"came": 0, "went": 0}

    tell(story)


def test_all_that_it_lacks_comes_to_a_fresh_peer_that_asks(tell: Callable[..., None]) -> None:
    async def story(stage: Stage) -> None:
        for number in range(40):
            await stage.publish(HARBOR, f"fresh-{number}")
        there = stage.contact(HARBOR)
        done = await stage.peer.do("reconcile", **{"with": there, "namespace": "note"})
        assert len(await stage.peer.do("items", namespace="note")) >= 40
        assert done["went"] == 0

    tell(story)


def test_a_member_as_peer_writes_into_the_room_of_its_coop(tell: Callable[..., None]) -> None:
    async def story(stage: Stage) -> None:
        async def room() -> int:
            rooms = (await stage.overlay(BRIGHT)).rooms
            return sum(one.records for one in rooms if one.sponsor == RIVER)

        before = await room()
        mine = await stage.peer.do("note", label=f"of-{secrets.token_hex(4)}", text="sponsored")
        await stage.peer.do("put", carried=mine, known=[stage.contact(BRIGHT)])
        assert await room() > before
        assert await stage.found(HARBOR, name_of(mine["jws"])) == [mine["jws"]]

    tell(story, as_member=MARA)


def test_who_is_no_founder_shows_by_a_proof_who_vouches_for_its_records(
    tell: Callable[..., None],
) -> None:
    async def story(stage: Stage) -> None:
        world, member = stage.world, Identity.generate()

        async def room() -> int:
            rooms = (await stage.overlay(BRIGHT)).rooms
            return sum(one.records for one in rooms if one.sponsor == RIVER)

        before = await room()
        async with peer_of(world, member, proof=(joined(world, member),)) as peer:
            mine = await peer.do("note", label="proven", text="sponsored by a proof")
            await peer.do("put", carried=mine, known=[stage.contact(BRIGHT)])
        assert await room() > before
        found = await stage.ask(HARBOR, "dht.get", namespace="note", name=name_of(mine["jws"]))
        assert [one["proof"] for one in found["records"]] == [mine["proof"]]

    tell(story)


def test_what_it_does_wrong_is_refused_as_the_page_says(tell: Callable[..., None]) -> None:
    async def refused(stage: Stage, method: str, **body: Any) -> str:
        with pytest.raises(Refused) as no:
            await stage.ask(RIVER, method, **body)
        return no.value.code

    async def story(stage: Stage) -> None:
        assert await refused(stage, "dht.pong") == "method-unknown"
        assert await refused(stage, "dht.ping", ttl=1) == "frame-malformed"
        assert await refused(stage, "dht.find", target="A" * 64) == "frame-malformed"
        assert await refused(stage, "peer.cast", kind="rumour") == "method-unknown"
        assert await refused(stage, "blob.have", cid="nothing") == "hash-malformed"
        mara = stage.note(stage.world.member(MARA), "of-mara")
        head, body, signature = mara.jws.split(".")
        forged = {"jws": f"{head}.{body}.{signature[::-1]}", "proof": []}
        assert await refused(stage, "dht.put", record=forged) == "signed-record-rejected"
        manifest = {"manifest": mara.jws}
        assert await refused(stage, "compute.offer", **manifest) in {
            "manifest-rejected",
            "submitter-not-accepted",
        }
        assert (await stage.ask(RIVER, "dht.ping"))["contact"]["did"]

    tell(story)


def test_it_says_hello_pings_and_finds_every_node_by_one_of_them(
    tell: Callable[..., None],
) -> None:
    async def story(stage: Stage) -> None:
        peer, world = stage.peer, stage.world
        await peer.do("dial", to=stage.contact(RIVER))
        pong = await stage.ask(RIVER, "dht.ping", sender=None)
        assert pong["contact"]["did"] == world.node(RIVER).did
        links = (await world.operator(RIVER).call(PEERS, AskPeers())).links
        assert [link.org for link in links if link.did == peer.did] == [None]
        goal = world.node(HARBOR).did
        found = await peer.do("find", did=goal, known=[stage.contact(RIVER)])
        assert found[0]["did"] == goal
        assert {one["did"] for one in found} >= {world.node(org).did for org in ALL}
        state = await peer.do("state")
        assert set(state["connected"]) >= {world.node(org).did for org in ALL}

        async def is_known() -> bool:
            """Whether a node that the peer was never told of finds it now by itself."""
            ask = AskRoute(namespace="note", name=f"{peer.did}/x")
            route = await world.operator(HARBOR).call(ROUTE, ask)
            return peer.did in {one.did for one in route.contacts}

        await eventually(is_known)
        asked = (await peer.do("state"))["asked"]
        assert {"dht.find", "dht.ping"} & set(asked[goal])

    tell(story, serves=True)
