"""The running network: nodes as processes, links between all pairs, and what is done to them."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Coroutine, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from devnet.chaos import Chaos
from devnet.disturbances import Disturbances
from devnet.forks import ForkServer
from devnet.lair import Lair
from devnet.layout import (
    last_words,
    ready_file,
    stop_ms,
    unless_it_ends,
    wait_serving,
    write_config,
)
from devnet.links import Link
from devnet.reaper import Child, Reaper
from devnet.saying import say
from devnet.spec import AFTER_A_NAME, DAY_MS, HOSTILE_KINDS
from devnet.state import DevnetError, DevnetState, NodeState, node_folder, save_state
from devnet.timekeeper import Timekeeper
from devnet.watch import Watch
from nodeimpl.kernel.rotation import shift_if_full
from opkit import home
from opkit.proof.keys import Identity

SERVE_DEADLINE_MS = 30_000
CONNECT_DEADLINE_MS = 30_000
END_GRACE_MS = 7_000
"""How long a node may take to end beyond what its tasks may: callers, streams, store, peers."""
WORKERS = 2


@dataclass(eq=False)
class Node:
    """One node of the network and the process that is it, if any.

    Attributes:
        skew_ms: by how much its clock is wrong when it is started, on purpose.
    """

    org: str
    did: str
    dials: dict[str, tuple[str, ...]]
    log: Path
    port: int = 0
    child: Child | None = None
    state: str = "down"
    skew_ms: int = 0
    marks: dict[str, int] = field(default_factory=dict)

    @property
    def running(self) -> bool:
        """Whether its process lives."""
        return self.child is not None and self.child.status is None


class Network:
    """All nodes and links of one devnet. Commands are done one after another."""

    def __init__(
        self,
        *,
        state: DevnetState,
        forks: ForkServer,
        reaper: Reaper,
        operator: Identity,
        began: float,
    ) -> None:
        """Keep the parts; `began` is the monotonic time from which start-up is counted."""
        self.state = state
        self._forks = forks
        self._reaper = reaper
        self._began = began
        self._nodes: dict[str, Node] = {}
        self.links: dict[frozenset[str], Link] = {}
        self._watch = Watch(network=state.network, operator=operator)
        self._clock = Timekeeper(folder=state.folder, network=state.network, operator=operator)
        self._lair = Lair(forks=forks, reaper=reaper, folder=state.folder, genesis=state.genesis)
        self.turn = asyncio.Lock()
        self._watchers: set[asyncio.Task[None]] = set()
        self._ending = False
        self.disturbances = Disturbances(state.folder / "disturbances.jsonl")
        self.chaos = Chaos(self)

    async def prepare(self) -> None:
        """Open every link, so that every node can be told whom to dial."""
        dials: dict[str, dict[str, tuple[str, ...]]] = {node.org: {} for node in self.state.nodes}
        for one, other in combinations(self.state.nodes, 2):
            link = Link(one.org, other.org)
            self.links[frozenset((one.org, other.org))] = link
            dials[one.org][other.did] = (await link.open(),)
            # By its own address, which the overlay tells, it would be reached round the link.
            dials[other.org][one.did] = ()
        await self._watch.warm_up()
        for node in self.state.nodes:
            self._nodes[node.org] = Node(
                org=node.org,
                did=node.did,
                dials=dials[node.org],
                log=home.private_folder(node_folder(self.state.folder, node.org)) / "node.log",
            )
        self.chaos.begin()

    async def up(self) -> None:
        """Start all nodes at once; return when each is ready and connected to all others.

        Raises:
            DevnetError: one ended, or did not get there in time.
        """
        await _all(self._serve(node) for node in self._nodes.values())
        save_state(self.state)
        await _all(self._connected(node) for node in self._nodes.values())
        await _all(self.catch_up(node) for node in self._nodes.values())

    async def _serve(self, node: Node) -> None:
        """Fork the node and wait until it serves; aim the links that lead to it.

        The first start takes a free port; later ones take the same, so that its URL stays.
        """
        ready_at = ready_file(self.state, node.org)
        ready_at.unlink(missing_ok=True)
        config = write_config(
            self.state,
            node.org,
            peers=node.dials,
            workers=WORKERS,
            port=node.port,
            skew_ms=node.skew_ms,
        )
        shift_if_full(node.log)
        log = os.open(node.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        ask = {
            "module": "devnet.node_job",
            "call": "run",
            "arguments": [self.state.spec.node_module, str(config)],
            "title": node.org,
        }
        try:
            node.child = self._reaper.know(await self._forks.fork(ask, files=(log,)))
        finally:
            os.close(log)
        node.state = "starting"
        node.marks = {"forked": self._elapsed_ms()}
        watcher = asyncio.get_running_loop().create_task(self._notice_end(node, node.child))
        self._watchers.add(watcher)
        watcher.add_done_callback(self._watchers.discard)
        ready = await wait_serving(
            ready_at, child=node.child, log=node.log, deadline_ms=SERVE_DEADLINE_MS
        )
        node.marks["serving"] = self._elapsed_ms()
        node.port = urlsplit(ready.url).port or 0
        self._keep(
            node.org,
            self.state.node(node.org).model_copy(
                update={"url": ready.url, "peer_addresses": ready.peer_addresses}
            ),
        )
        for pair, link in self.links.items():
            if link.b == node.org and node.org in pair:
                link.aim(ready.peer_addresses[0])

    async def _notice_end(self, node: Node, child: Child) -> None:
        """Say so when a node ends that nobody ended."""
        await child.ended.wait()
        if (
            node.child is child
            and node.state in ("starting", "ready", "paused")
            and not self._ending
        ):
            node.state = "crashed"
            say("node-crashed", org=node.org, how=child.how(), last=last_words(node.log)[0])

    async def _connected(self, node: Node) -> None:
        """Wait until the node is ready and connected to all it can reach meanwhile."""

        def within_reach() -> list[str]:
            others = (other for other in self._nodes.values() if other is not node)
            return [
                other.did
                for other in others
                if other.running and not self.chaos.parts(node.org, other.org)
            ]

        ready = self._watch.wait_ready(
            self.state.node(node.org), peers=within_reach, deadline_ms=CONNECT_DEADLINE_MS
        )
        assert node.child is not None, "it was forked a moment ago"
        await unless_it_ends(ready, child=node.child, log=node.log)
        node.state = "ready"
        node.marks["connected"] = self._elapsed_ms()

    async def catch_up(self, node: Node) -> None:
        """Give a node the world time that the others have."""
        if self._clock.record is not None:
            await self._watch.move_clock(self.state.node(node.org), self._clock.record)

    def _keep(self, org: str, changed: NodeState) -> None:
        nodes = tuple(changed if node.org == org else node for node in self.state.nodes)
        self.state = self.state.model_copy(update={"nodes": nodes})

    def _elapsed_ms(self) -> int:
        return round((time.monotonic() - self._began) * 1000)

    def node(self, org: str) -> Node:
        """Return a node and its process.

        Raises:
            DevnetError: there is none of this organisation.
        """
        self.state.node(org)
        return self._nodes[org]

    def running(self, org: str) -> Node:
        """Return a node whose process lives.

        Raises:
            DevnetError: there is no such node, or it does not run.
        """
        node = self.node(org)
        if not node.running:
            raise DevnetError(f"the node of {org!r} does not run", hint="restart it")
        return node

    def check_runs(self, org: str) -> NodeState:
        """Return the node of an organisation, whose process lives.

        Raises:
            DevnetError: there is no such node, or it does not run.
        """
        self.running(org)
        return self.state.node(org)

    async def stop(self, node: Node) -> None:
        """End a node in order, if it runs."""
        if node.running and node.child is not None:
            node.state = "restarting"
            await self._reaper.end(node.child, grace_ms=self._grace_ms)

    async def start(self, node: Node) -> None:
        """Start a node that does not run; return once it is ready, connected to all it can reach.

        It has the world time then.

        Raises:
            DevnetError: it did not get there.
        """
        await self._serve(node)
        save_state(self.state)
        await self._connected(node)
        await self.catch_up(node)

    async def hostile(
        self, kind: str, against: Sequence[str], *, by: int, about: str = ""
    ) -> dict[str, Any]:
        """Start a hostile peer that connects to the named nodes; return its number and key.

        Args:
            kind: how it misbehaves.
            against: whom it connects to, by organisation.
            by: the number of the grant under which it was asked for.
            about: the name that it is after, for kinds that are after one.

        Raises:
            DevnetError: there is no such kind or node, the kind is after a name and none is said,
                or the other way round, or it ended or hung before it connected.
        """
        if kind not in HOSTILE_KINDS:
            kinds = ", ".join(HOSTILE_KINDS)
            raise DevnetError(f"no hostile peer is of kind {kind!r}", hint=f"kinds: {kinds}")
        if bool(about) != (kind in AFTER_A_NAME):
            what = "a name" if kind in AFTER_A_NAME else "no name"
            raise DevnetError(f"a {kind} is after {what}", hint="--about NAME says which one")
        async with self.turn:
            targets = [self.state.node(org) for org in against]
            after = {"about": about} if about else {}
            note = self.disturbances.note("hostile", kind=kind, against=list(against), **after)
            return {**note, **await self._lair.start(kind, targets, by=by, about=about)}

    async def hostile_stats(self, number: int) -> dict[str, Any]:
        """Return what a hostile peer was asked and served."""
        return await self._lair.stats(number)

    async def stop_hostile(self, number: int) -> dict[str, Any]:
        """End a hostile peer."""
        async with self.turn:
            await self._lair.stop(number)
            return self.disturbances.note("stop-hostile", peer=number)

    async def end_hostile_of(self, by: int) -> None:
        """End the hostile peers that were started under a grant, by its number."""
        async with self.turn:
            for number in self._lair.of(by):
                await self._lair.stop(number)
                self.disturbances.note("stop-hostile", peer=number)

    async def pass_time(self, days: int) -> dict[str, Any]:
        """Move world time ahead on every running node; the others follow when they start.

        Raises:
            DevnetError: no whole number of days from 1 to 366.
            CoopError: a node refused, or did not answer.
        """
        if not 1 <= days <= 366:
            raise DevnetError("time passes by 1 to 366 days at once")
        async with self.turn:
            record = self._clock.move(days * DAY_MS)
            note = self.disturbances.note("pass-time", days=days, offset_ms=self._clock.offset_ms)
            running = [node for node in self._nodes.values() if self._listens(node)]
            await _all(
                self._watch.move_clock(self.state.node(node.org), record) for node in running
            )
            return note

    def _listens(self, node: Node) -> bool:
        return node.running and not self.chaos.is_paused(node.org)

    async def status(self, *, look: bool = True) -> dict[str, Any]:
        """Return the network as it is now.

        Args:
            look: whether each node is asked for its links, which takes seconds if one is silent.
        """
        nodes = list(self._nodes.values())
        figures = await asyncio.gather(*(self._figures(node, look=look) for node in nodes))
        return {
            "name": self.state.name,
            "profile": self.state.profile,
            "network": self.state.network,
            "operator": self.state.operator,
            "folder": str(self.state.folder),
            "genesis": str(self.state.genesis),
            "database": self.state.spec.database,
            "pid": os.getpid(),
            "world_offset_ms": self._clock.offset_ms,
            "nodes": figures,
            "links": [
                {"a": link.a, "b": link.b, "cut": link.hindrance.cut, "lost": link.lost}
                for link in self.links.values()
            ],
            "hostile": self._lair.list(),
            "chaos": self.chaos.listed(),
            "disturbances": self.disturbances.all(),
        }

    async def _figures(self, node: Node, *, look: bool) -> dict[str, Any]:
        state = self.state.node(node.org)
        asked = look and self._listens(node) and state.url
        links = await self._watch.links(state) if asked else None
        orgs = {other.did: other.org for other in self.state.nodes}
        return {
            "org": node.org,
            "title": state.title,
            "did": node.did,
            "url": state.url,
            "state": node.state,
            "pid": node.child.pid if node.running and node.child else None,
            "how": node.child.how() if node.child else "never started",
            "answers": links is not None,
            "connected": sorted(orgs.get(link.did, link.did) for link in links or ()),
            "log": str(node.log),
            "marks_ms": node.marks,
        }

    @property
    def _grace_ms(self) -> int:
        return stop_ms(self.state) + END_GRACE_MS

    async def down(self) -> None:
        """End every node in order, then whatever is left, and close all links."""
        self._ending = True
        self.chaos.close()
        self.disturbances.close()
        await self._lair.close()
        running = [node.child for node in self._nodes.values() if node.running and node.child]
        await asyncio.gather(*(self._reaper.end(one, grace_ms=self._grace_ms) for one in running))
        for node in self._nodes.values():
            node.state = "down"
        for link in self.links.values():
            link.close()
        for watcher in self._watchers:
            watcher.cancel()
        await self._watch.close()


async def _all(steps: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Do all at once; when one fails the others are cancelled, and its own error is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            for step in steps:
                group.create_task(step)
    except ExceptionGroup as several:
        raise several.exceptions[0] from several
