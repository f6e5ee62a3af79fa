"""A desk: one network, opened for an operator in a notebook, with all that is on it by name.

```
net = await open_desk(open_world("default", run_id="by-hand", seed=7), flows=FLOWS)
await net.nodes.harbor.info()
result = await net.members.hugo.run(wasm_hash, b"hello", at="harbor")
await net.close()
```
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import Any, cast

from opkit.client import TaskResult
from opkit.lab.bars import progress, together
from opkit.lab.comparing import Comparison, compare
from opkit.lab.formats import enable
from opkit.lab.listing import Journal, Listing
from opkit.lab.nodes import TASKS_MAX, NodeDesk, modules_of, tasks_of
from opkit.lab.people import MemberDesk
from opkit.lab.shelf import Shelf
from opkit.lab.spreading import watch_spread
from opkit.proof.checks import Verdict
from opkit.proof.genesis import GenesisView
from opkit.proof.receipt import verify_receipt
from opkit.story.chaos import Chaos, Disturbable
from opkit.story.flow import Flow
from opkit.story.hold import Held, opened
from opkit.story.world import World
from opkit.views.reprdesk import NodeNow, desk_html
from opkit.views.reproverlay import Reached
from opkit.wire.compute import ModuleInfo, ReceiptBundle, TaskView
from opkit.wire.network import Peers


class Desk:
    """One network with its nodes, members and flows by name. Get it from `open_desk`."""

    def __init__(self, world: World, held: Held[World], flows: Mapping[str, Flow[Any]]) -> None:
        """Take over an open world."""
        self._held = held
        self.world = world
        genesis = world.genesis
        self.nodes: Shelf[NodeDesk] = Shelf(
            {node.org: NodeDesk.of(world, node.org) for node in genesis.genesis.nodes},
            noun="node",
            about=lambda node: node.title,
        )
        self.members: Shelf[MemberDesk] = Shelf(
            {who.member_id: MemberDesk.of(self, coop, who) for coop, who in genesis.founders()},
            noun="member",
            short=lambda member_id: member_id.split("/")[1],
            about=lambda who: f"{who.name}, {who.title}",
        )
        self.flows: Shelf[Flow[Any]] = Shelf(flows, noun="flow", about=lambda flow: flow.title)

    @property
    def genesis(self) -> GenesisView:
        """Where trust in this network starts, as this machine keeps it."""
        return self.world.genesis

    @property
    def chaos(self) -> Chaos:
        """Harm on purpose, nodes named as on the shelf: `await net.chaos.loss(0.2, "harbor")`.

        Raises:
            ValueError: the nodes of this network are no processes.
        """
        if "chaos" not in self.world.capabilities:
            raise ValueError("this network's nodes are no processes: start a devnet for chaos")
        return Chaos(cast("Disturbable", self.world), org=lambda begins: self.nodes[begins].org)

    async def status(self) -> tuple[NodeNow, ...]:
        """Return how each node is now, those that do not answer included."""
        return tuple([await node.status() for node in self.nodes.values()])

    async def peers(self) -> dict[str, Peers]:
        """Return whom each node is connected to, by organisation: `opkit.frame` makes one table."""
        return {org: await node.peers() for org, node in self.nodes.items()}

    async def events(self, last: int = 50, *, of: str = "") -> dict[str, Journal]:
        """Return the last entries of each node's journal, by organisation: as `NodeDesk.events`."""
        return {org: await node.events(last, of=of) for org, node in self.nodes.items()}

    async def modules(self) -> Listing[ModuleInfo]:
        """Return every module that some node was given, oldest first, each once."""
        found: dict[str, ModuleInfo] = {}
        for node in self.nodes.values():
            for module in await node.modules():
                found.setdefault(module.wasm_hash, module)
        return modules_of(sorted(found.values(), key=lambda module: module.deployed_at_ms))

    async def tasks(self, last: int = TASKS_MAX) -> Listing[TaskView]:
        """Return the last tasks of the whole network as their submitters' nodes know them.

        Args:
            last: how many at most, newest first.
        """
        gathered = await together(
            "Asking the nodes for their tasks", (node.tasks(last) for node in self.nodes.values())
        )
        views = [view for found in gathered for view in found]
        return tasks_of(sorted(views, key=lambda view: -view.accepted_at_ms)[:last])

    async def receipts(self, last: int = TASKS_MAX) -> Listing[ReceiptBundle]:
        """Return the last receipts with what a third party needs to check them, newest first."""
        tasks = await self.tasks(last)
        return Listing(
            ReceiptBundle,
            (bundle_of(view) for view in tasks if view.receipt is not None),
            nothing="No receipt yet.",
            what_to_do="A receipt appears when a task has been run: tell flow A, or member.run(…).",
        )

    def verify(self, receipt: ReceiptBundle | TaskResult | TaskView) -> Verdict:
        """Check a receipt here, from the genesis that this machine keeps, asking nobody.

        Raises:
            ValueError: the task has no receipt yet.
        """
        return verify_receipt(bundle_of(receipt), genesis=self.genesis)

    async def compare(self, one: str, other: str) -> Comparison:
        """Return what two nodes say, side by side.

        Args:
            one: a node, by name or a beginning of it.
            other: the other.
        """
        async with progress("Asking both nodes"):
            return await compare(self.nodes[one], self.nodes[other])

    async def spread(self, member: MemberDesk, label: str, text: str) -> Listing[Reached]:
        """Publish a note of a member's, and return when each node was seen to have it.

        Raises:
            CoopError, TooManyRecords: as `watch_spread`.
        """
        home = self.nodes[member.coop]
        others = [node for node in self.nodes.values() if node is not home]
        return await watch_spread([home, *others], member.note(label, text))

    async def close(self) -> None:
        """Let go of the network: clients are closed, nodes stay."""
        await self._held.close()

    def __repr__(self) -> str:
        return f"<network {self.genesis.network}: {len(self.nodes)} nodes>"

    def _repr_html_(self) -> str:
        """Return what is on the desk, and what to type for it."""
        return desk_html(
            network=self.genesis.network,
            nodes=[(f"net.nodes.{name}", node.title) for name, node in self.nodes.typed()],
            members=[
                (f"net.members.{name}", f"{who.name}, {who.title}", who.coop)
                for name, who in self.members.typed()
            ],
            flows=[(f"net.flows.{name}", flow.title) for name, flow in self.flows.typed()],
        )


def bundle_of(receipt: ReceiptBundle | TaskResult | TaskView) -> ReceiptBundle:
    """Return the receipt of a task with its manifest.

    Raises:
        ValueError: the task has no receipt yet.
    """
    if isinstance(receipt, ReceiptBundle):
        return receipt
    if isinstance(receipt, TaskResult):
        return receipt.bundle
    if receipt.receipt is None:
        raise ValueError(f"task {receipt.task_id} is {receipt.state} and has no receipt")
    return ReceiptBundle(
        receipt=receipt.receipt, manifest=receipt.manifest, records=receipt.records
    )


async def open_desk(
    opening: Awaitable[World], *, flows: Mapping[str, Flow[Any]] | None = None
) -> Desk:
    """Open a world as a desk, and have the notebook draw what its nodes say.

    Args:
        opening: the coroutine that opens the world, not awaited yet: one task will own the world
            from here to `close`.
        flows: what can be told in it, by name.
    """
    enable()
    held = Held(opened(opening))
    return Desk(await held.open(), held, flows or {})
