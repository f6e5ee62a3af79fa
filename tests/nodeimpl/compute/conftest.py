"""Small networks of real nodes' compute parts, in memory."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from devnet.genesis import MadeWorld, make_world
from nodeimpl.compute import holdings, offers
from nodeimpl.compute.rules import Limits, Policy
from nodeimpl.compute.service import Compute
from nodeimpl.kernel.binding import Caller
from nodeimpl.kernel.blobs import BlobStore
from nodeimpl.kernel.clock import RealClock
from nodeimpl.kernel.collect import Collector
from nodeimpl.kernel.references import References
from nodeimpl.kernel.schema import metadata
from nodeimpl.kernel.store import Store
from nodeimpl.kernel.tx import Tx
from nodeimpl.p2p.memory import MemoryNetwork
from nodeimpl.p2p.peers import Peers
from nodeimpl.p2p.reaching import PeerAddress
from nodeimpl.sandbox.sandbox import Sandbox
from opkit.proof import jws
from opkit.proof.cid import cid_of
from opkit.proof.keys import Identity
from opkit.proof.membership import founding_members
from opkit.wire import compute as wire
from opkit.wire.base import Jws, MemberId
from opkit.wire.endpoint import Scope
from opkit.wire.events import Event
from opkit.wire.membership import Member

WASM = Path(__file__).resolve().parents[3] / "wasm"
RIVER, BRIGHT, HARBOR = (
    "river-city-tool-library",
    "brightworks-cooperative",
    "harbor-homes-cooperative",
)
TEST_S_MAX = 200
WAIT_MS = 30_000
PATIENCE_MS = 60_000
GRACE_MS = 3_600_000
OLD_NS = 1_000_000_000


class Founders:
    """Membership as compute sees it: the founders of the genesis, and who was revoked."""

    def __init__(self, world: MadeWorld) -> None:
        self.known: dict[str, Member] = dict(founding_members(world.view))

    def member(self, tx: Tx, member_id: MemberId) -> Member | None:
        return self.known.get(member_id)

    def records(self, tx: Tx, member_id: MemberId) -> tuple[Jws, ...]:
        return ()

    def revoke(self, member_id: MemberId) -> None:
        self.known[member_id] = self.known[member_id].model_copy(update={"active": False})


@dataclass(eq=False, kw_only=True)
class Station:
    """The compute part of one node, and what it stands on."""

    org: str
    identity: Identity
    store: Store
    blobs: BlobStore
    peers: Peers
    compute: Compute
    events: list[Event]
    owner: asyncio.Task[None] | None = None

    @property
    def did(self) -> str:
        return self.identity.did

    def caller(self, member_id: MemberId, did: str) -> Caller:
        return Caller(
            member_id=member_id,
            did=did,
            scopes=frozenset(Scope),
            address="test",
            token_id=secrets.token_hex(16),
        )

    def collector(self, kind: type[Collector] = Collector) -> Any:
        """Return a collector of this node's blobs, of this kind, with an hour of grace."""
        return kind(
            store=self.store,
            blobs=self.blobs,
            references=References(metadata),
            counted=self.compute.parts.quotas,
            grace_ms=GRACE_MS,
        )

    def kept(self) -> set[str]:
        """Return the names of all blobs that are kept, as their folder has them."""
        folder = self.blobs.path(cid_of(b"")).parent
        return {path.name for path in folder.iterdir() if path.is_file()}

    def age(self, *cids: str) -> None:
        """Let blobs, or all of them, be as old as files can be."""
        for cid in cids or self.kept():
            os.utime(self.blobs.path(cid), ns=(OLD_NS, OLD_NS))

    async def charged(self, member_id: MemberId) -> int:
        used: int = await self.store.read(lambda tx: holdings.charged(tx, member_id))
        return used

    async def journal(self) -> list[str]:
        return [entry.type for entry in await self.store.read_journal(after=None, entries_max=1000)]


class Town:
    """Nodes of one made world, joined in memory, each with a store and blobs in a folder."""

    def __init__(
        self, folder: Path, sandbox: Sandbox, *, limits: Limits, urls: Callable[[str], str]
    ) -> None:
        self.folder = folder
        self.urls = urls
        self.sandbox = sandbox
        self.limits = limits
        self.clock = RealClock()
        self.world = make_world("three", now_ms=self.clock.now_ms())
        self.network = MemoryNetwork()
        self.founders = Founders(self.world)
        self.at: dict[str, Station] = {}
        self._stacks: dict[str, AsyncExitStack] = {}

    def coops(self) -> frozenset[str]:
        return frozenset((RIVER, BRIGHT, HARBOR))

    async def open(
        self, org: str, *, policy: Policy | None = None, own_workers: bool = False
    ) -> Station:
        """Start a node, or start it again on what it kept; the others share one set of workers."""
        stack = AsyncExitStack()
        sandbox = await self._own_sandbox(org, stack) if own_workers else self.sandbox
        identity = self.world.nodes[org]
        store = await Store.open(url=self.urls(org), clock=self.clock)
        stack.push_async_callback(store.close)
        blobs = BlobStore(self.folder / f"{org}-blobs", quota_bytes=64 * 2**20)
        transport = self.network.transport(identity)
        await transport.start()
        stack.push_async_callback(transport.close)
        others = [
            PeerAddress(did=each.did, addresses=each.peers._company._transport.addresses())
            for each in self.at.values()
            if each.org != org
        ]
        events: list[Event] = []

        async def announce(event: Event) -> None:
            events.append(event)

        peers = Peers(
            transport=transport,
            genesis=self.world.view,
            org=org,
            version="test",
            clock=self.clock,
            bootstrap=others,
            announce=announce,
        )
        peers.serve_blobs(blobs)
        compute = Compute(
            store=store,
            blobs=blobs,
            sandbox=sandbox,
            network=peers,
            members=self.founders,
            identity=identity,
            genesis=self.world.view,
            clock=self.clock,
            limits=self.limits,
            policy=policy or Policy(accept_coops=self.coops()),
        )
        compute.serve_peers(peers)
        made = Station(
            org=org,
            identity=identity,
            store=store,
            blobs=blobs,
            peers=peers,
            compute=compute,
            events=events,
        )

        async def own() -> None:
            async with asyncio.TaskGroup() as group:
                group.create_task(peers.run())
                group.create_task(compute.run())

        made.owner = asyncio.create_task(own())
        self.at[org] = made
        self._stacks[org] = stack
        for other in others:
            await peers.wait_connected(other.did, 30_000)
        return made

    async def _own_sandbox(self, org: str, stack: AsyncExitStack) -> Sandbox:
        sandbox = Sandbox.launch(workers_max=2, cache_folder=self.folder / f"{org}-code")
        stack.push_async_callback(sandbox.close)
        await sandbox.start()
        stack.push_async_callback(sandbox.stop)
        return sandbox

    async def close(self, org: str) -> None:
        """Stop a node at once, as a kill would: what it had begun is not finished."""
        made = self.at.pop(org)
        assert made.owner is not None
        made.owner.cancel()
        await asyncio.wait({made.owner})
        await self._stacks.pop(org).aclose()

    async def close_all(self) -> None:
        for org in list(self.at):
            await self.close(org)

    def manifest(self, member_id: MemberId, module: bytes | str, stdin: bytes, **more: Any) -> Jws:
        """Return a manifest that a member signed; `more` replaces fields."""
        now_ms = self.clock.now_ms()
        fields: dict[str, Any] = {
            "network": self.world.view.network,
            "aud": "any",
            "task_id": secrets.token_hex(16),
            "member_id": member_id,
            "wasm_hash": module if isinstance(module, str) else cid_of(module),
            "input_hash": cid_of(stdin),
            "limits": wire.TaskLimits(),
            "issued_at_ms": now_ms,
            "expires_at_ms": now_ms + 60_000,
        } | more
        signer = fields.pop("signer", self.world.members.get(member_id))
        manifest = wire.Manifest(**fields)
        return jws.sign(manifest, typ=wire.TASK_TYP, identity=signer)

    async def deploy(self, org: str, module: bytes, *, member_id: MemberId) -> wire.ModuleInfo:
        at, ask = self.at[org], wire.DeployModule(name="test", module=module)
        caller = at.caller(member_id, self.world.members[member_id].did)
        kept = await at.compute.stage_module(ask, caller)
        return await at.store.write(lambda tx: at.compute.deploy(tx, ask, caller, kept))

    async def upload(self, org: str, content: bytes, *, member_id: MemberId) -> str:
        at, ask = self.at[org], wire.PutBlob(content=content)
        caller = at.caller(member_id, self.world.members[member_id].did)
        kept = await at.compute.stage_blob(ask, caller)
        return (await at.store.write(lambda tx: at.compute.put_blob(tx, ask, caller, kept))).cid

    async def submit(
        self, org: str, manifest: Jws, stdin: bytes | None, *, member_id: MemberId
    ) -> wire.TaskView:
        at, ask = self.at[org], wire.SubmitTask(manifest=manifest, input_inline=stdin)
        caller = at.caller(member_id, self.world.members[member_id].did)
        return await at.store.write(lambda tx: at.compute.submit(tx, ask, caller, None))

    async def result(
        self, org: str, task_id: str, *, member_id: MemberId, wait_ms: int | None = None
    ) -> wire.TaskView:
        """Return how a task does once it is final, or so much later if that is said."""
        at = self.at[org]
        caller = at.caller(member_id, self.world.members[member_id].did)
        ask = wire.GetTask(task_id=task_id, wait_ms=WAIT_MS if wait_ms is None else wait_ms)
        view = await at.compute.get_task(ask, caller)
        while wait_ms is None and view.state not in wire.FINAL:
            view = await at.compute.get_task(ask, caller)
        return view

    def bundle(self, view: wire.TaskView) -> wire.ReceiptBundle:
        assert view.receipt is not None
        return wire.ReceiptBundle(receipt=view.receipt, manifest=view.manifest)


@pytest.fixture
def in_town(
    tmp_path: Path,
    sandbox: Sandbox,
    store_urls: Callable[[str], str],
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., Any]:
    """Run an async function against a fresh town: `in_town(story, RIVER, BRIGHT, queue_max=1)`.

    However busy the machine is, peers say in time how busy they are, and a task finds its place.
    """
    monkeypatch.setattr(offers, "LOAD_DEADLINE_MS", PATIENCE_MS)

    @asynccontextmanager
    async def town(orgs: tuple[str, ...], **limits: int) -> AsyncIterator[Town]:
        given = replace(Limits(placement_ms_max=PATIENCE_MS), **limits)
        made = Town(tmp_path, sandbox, limits=given, urls=store_urls)
        await sandbox.start()
        try:
            for org in orgs:
                await made.open(org)
            yield made
        finally:
            await made.close_all()
            await sandbox.stop()

    def run(story: Callable[[Town], Any], *orgs: str, **limits: int) -> Any:
        async def main() -> Any:
            async with asyncio.timeout(TEST_S_MAX), town(orgs, **limits) as made:
                return await story(made)

        return asyncio.run(main())

    return run


@pytest.fixture
def orgs() -> tuple[str, str, str]:
    """The three organisations, in the order of the demo world."""
    return RIVER, BRIGHT, HARBOR
