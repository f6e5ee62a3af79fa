"""One node at a desk: what it says about itself, its journal, modules and tasks."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from opkit.client import NodeClient
from opkit.lab.listing import Journal, Listing
from opkit.story.world import World
from opkit.views.reprdesk import NodeNow, node_html
from opkit.views.sentences import Names
from opkit.wire.compute import GET_TASK, GetTask, ModuleInfo, TaskId, TaskView
from opkit.wire.errors import CoopError
from opkit.wire.events import JournalEntry
from opkit.wire.membership import LIST_MEMBERS, ListMembers, Member
from opkit.wire.network import NODE, PEERS, AskNode, AskPeers, NodeInfo, Peers
from opkit.wire.overlay import (
    OVERLAY,
    RECORDS,
    ROUTE,
    AskOverlay,
    AskRecords,
    AskRoute,
    FoundRecords,
    Overlay,
    Route,
)
from opkit.wire.records import Namespace, RecordName

TASKS_MAX: Final = 100
"""How many tasks are asked for one by one unless told otherwise."""

ENTRIES_MAX: Final = 10_000
"""How many journal entries are kept at most, however many are read."""

MEMBERS_MAX: Final = 10_000
"""How many members are listed at most."""

_ACCEPTED = "compute.task-accepted"


@dataclass(frozen=True, kw_only=True)
class NodeDesk:
    """A node by name. Every call asks the node, as the network's operator."""

    org: str
    title: str
    did: str
    _world: World = field(repr=False)

    @classmethod
    def of(cls, world: World, org: str) -> NodeDesk:
        """Return the node of an organisation; nothing is asked yet."""
        node = world.node(org)
        return cls(org=org, title=node.title, did=node.did, _world=world)

    @property
    def url(self) -> str:
        """Where its front door listens now."""
        return self._world.node(self.org).url

    @property
    def client(self) -> NodeClient:
        """A client of it that speaks for the operator: `await node.client.call(ENDPOINT, ask)`."""
        return self._world.operator(self.org)

    async def info(self) -> NodeInfo:
        """Return who it is."""
        return await self.client.call(NODE, AskNode())

    async def peers(self) -> Peers:
        """Return whom it is connected to, and what it keeps."""
        return await self.client.call(PEERS, AskPeers())

    async def overlay(self) -> Overlay:
        """Return what it knows of the network around it."""
        return await self.client.call(OVERLAY, AskOverlay())

    async def route(self, namespace: Namespace, name: RecordName) -> Route:
        """Return which nodes are nearest to a name, as it finds them. Refuses: LookupsFull."""
        return await self.client.call(ROUTE, AskRoute(namespace=namespace, name=name))

    async def records(self, namespace: Namespace, name: RecordName) -> FoundRecords:
        """Return what stands under a name, wherever it is kept. Refuses: LookupsFull."""
        return await self.client.call(RECORDS, AskRecords(namespace=namespace, name=name))

    async def status(self) -> NodeNow:
        """Return how it is now; a node that does not answer is down, and `why` says how that is."""
        try:
            info, peers = await self.info(), await self.peers()
        except CoopError as silent:
            return NodeNow(org=self.org, title=self.title, url=self.url, up=False, why=str(silent))
        trips = [link.round_trip_us for link in peers.links]
        return NodeNow(
            org=self.org,
            title=self.title,
            url=self.url,
            up=True,
            why="",
            peers=len(peers.links),
            round_trip_us=max(trips, default=None),
            blobs=peers.blobs,
            journal=peers.journal.sequence,
            version=info.version,
            world_ms=info.world_ms,
        )

    async def modules(self) -> Listing[ModuleInfo]:
        """Return the modules that it was given, oldest first."""
        return modules_of([module async for module in self.client.wasm.list()])

    async def members(self) -> Listing[Member]:
        """Return the members that it knows, by id."""
        found: list[Member] = []
        after = ""
        while len(found) < MEMBERS_MAX:
            page = await self.client.call(LIST_MEMBERS, ListMembers(after=after))
            found += page.members
            if not page.next_after:
                break
            after = page.next_after
        return Listing(
            Member,
            found,
            nothing="No member is known here.",
            what_to_do="The operator adds one: opkit member add",
        )

    async def events(self, last: int = 50, *, of: str = "") -> Journal:
        """Return the last entries of its journal, oldest first.

        Args:
            last: how many at most.
            of: only those whose type begins so: `compute.`, `network.peer-lost`.
        """
        kept: deque[JournalEntry] = deque(maxlen=min(last, ENTRIES_MAX))
        async for page in self.client.journal():
            kept.extend(entry for entry in page.entries if entry.type.startswith(of))
        return Journal(self.org, kept, names=names_of(self._world))

    async def task(self, task_id: TaskId) -> TaskView:
        """Return a task that was submitted here, as this node knows it.

        Raises:
            TaskUnknown: none of this id was.
        """
        return await self.client.call(GET_TASK, GetTask(task_id=task_id))

    async def tasks(self, last: int = TASKS_MAX) -> Listing[TaskView]:
        """Return the last tasks that were submitted here, newest first."""
        accepted = await self.events(last, of=_ACCEPTED)
        return tasks_of([await self.task(entry.body["task_id"]) for entry in reversed(accepted)])

    def _repr_html_(self) -> str:
        return node_html(title=self.title, org=self.org, did=self.did, url=self.url)


def modules_of(found: Iterable[ModuleInfo]) -> Listing[ModuleInfo]:
    """Return modules as a list that says how to get one."""
    return Listing(
        ModuleInfo,
        found,
        nothing="No module yet.",
        what_to_do="A module appears when a member puts one on their node: member.deploy(…).",
    )


def tasks_of(found: Iterable[TaskView]) -> Listing[TaskView]:
    """Return tasks as a list that says how to get one."""
    return Listing(
        TaskView,
        found,
        nothing="No task yet.",
        what_to_do="A task appears when a member has a module run: tell flow A, or member.run(…).",
    )


def names_of(world: World) -> Names:
    """Return what the ids of a network mean."""
    nodes = world.genesis.genesis.nodes
    return Names(
        titles={node.org: node.title for node in nodes}, orgs={node.did: node.org for node in nodes}
    )
