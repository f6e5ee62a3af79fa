"""A world of real processes: a running devnet that a story attaches to.

Everything is read from the state file and the keystore; what is done to the network goes through
the supervisor's socket, which journals it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from devnet.company import PROCESSES, Company
from devnet.control import ask_supervisor
from devnet.state import (
    DevnetState,
    NodeState,
    load_identities,
    load_running,
)
from opkit import home
from opkit.client import NodeClient
from opkit.proof.genesis import GenesisView, read_genesis
from opkit.proof.keys import Identity
from opkit.wire.endpoint import Scope

DISTURBS = frozenset(
    {
        "loss",
        "delay",
        "rate",
        "cut",
        "partition",
        "pause",
        "kill",
        "skew",
        "save",
        "restart",
        "heal",
    }
)
"""What can be done to the network, beyond what a world has methods for (ADR 0033)."""


@dataclass(frozen=True, kw_only=True)
class AttachedHostile:
    """A hostile peer in a process of its own."""

    did: str
    _number: int
    _world: AttachedWorld

    async def stats(self) -> Mapping[str, Any]:
        """Return what the peer was asked, and what it served."""
        return await self._world.ask("hostile-stats", number=self._number)

    async def stop(self) -> None:
        """Disconnect it. Stopping twice is allowed."""
        await self._world.stop_hostile(self._number)


class AttachedWorld(Company):
    """A running devnet as a story sees it. Satisfies `opkit.story.World`."""

    def __init__(
        self, *, state: DevnetState, run_id: str, seed: int, token: str | None = None
    ) -> None:
        """Read genesis and keys; nothing is connected yet. Arguments as of `open_world`.

        Raises:
            ProofError: genesis or keystore do not verify.
        """
        super().__init__(identities=load_identities(state))
        self.run_id = run_id
        self.seed = seed
        self.profile: str = state.profile
        self.genesis: GenesisView = read_genesis(
            home.genesis_file(state.network).read_text("ascii")
        )
        self.capabilities = PROCESSES
        self._state = state
        self._token = token
        self._hostile: set[int] = set()

    def _make_client(
        self, org: str, identity: Identity | None, scopes: tuple[Scope, ...] | None
    ) -> NodeClient:
        node = self.node(org)
        return NodeClient(
            url=node.url,
            node=node.did,
            network=self._state.network,
            identity=identity,
            scopes=scopes,
            genesis=self.genesis,
        )

    def node(self, org: str) -> NodeState:
        """Return the node of an organisation; `KeyError` if the network has none."""
        for node in self._state.nodes:
            if node.org == org:
                return node
        raise KeyError(org)

    async def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Return the supervisor's answer to one ask.

        Raises:
            DevnetError: it said no, or does not answer.
        """
        return await ask_supervisor(self._state.socket, do, token=self._token, **arguments)

    async def _disturb(self, do: str, **arguments: Any) -> dict[str, Any]:
        answer = await self.ask(do, **arguments)
        self._notes.append(answer)
        return answer

    async def hostile(
        self, kind: str, *, against: Sequence[str], about: str = ""
    ) -> AttachedHostile:
        """Connect a hostile peer of this kind to the nodes of these organisations."""
        after = {"about": about} if about else {}
        said = await self._disturb("hostile", kind=kind, against=list(against), **after)
        self._hostile.add(said["number"])
        return AttachedHostile(did=said["did"], _number=said["number"], _world=self)

    async def stop_hostile(self, number: int) -> None:
        """End a hostile peer of this world; one that has ended stays ended."""
        if number in self._hostile:
            self._hostile.discard(number)
            await self._disturb("stop-hostile", number=number)

    async def kill(self, org: str) -> None:
        """Kill the organisation's node, without warning."""
        await self._disturb("kill", org=org)

    async def restart(self, org: str) -> None:
        """Start the organisation's node again and wait until it is ready."""
        await self._disturb("restart", org=org)

    async def cut(self, a: str, b: str) -> None:
        """Cut the link between the nodes of two organisations."""
        await self._disturb("cut", a=a, b=b)

    async def heal(self, a: str, b: str) -> None:
        """Heal the link between the nodes of two organisations."""
        await self._disturb("heal", a=a, b=b)

    async def pass_time(self, *, days: int) -> None:
        """Move the network's world time ahead."""
        await self._disturb("pass-time", days=days)

    async def disturb(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Have the supervisor do one of `DISTURBS` and return what it journalled.

        Raises:
            DevnetError: it said no, or does not answer.
        """
        assert do in DISTURBS, do
        return await self._disturb(do, **arguments)

    async def lasting(self) -> list[dict[str, Any]]:
        """Return what is done to the network now."""
        lasting: list[dict[str, Any]] = (await self.ask("chaos"))["lasting"]
        return lasting

    async def close(self) -> None:
        """Let go of the network: clients and hostile peers of this telling end, nodes stay."""
        await asyncio.gather(*(self.stop_hostile(number) for number in sorted(self._hostile)))
        await self.close_clients()


async def open_world(
    name: str, *, run_id: str, seed: int, token: str | None = None
) -> AttachedWorld:
    """Return the running devnet `name` as a world for one telling.

    Args:
        name: the devnet.
        run_id: tells this telling from others on the same network.
        seed: fixes figures, order and faults of the telling; never keys.
        token: by which the supervisor is asked; None: the owner's.

    Raises:
        DevnetError: there is no such devnet, or it does not run.
        ProofError: its genesis or keystore do not verify.
    """
    return AttachedWorld(state=load_running(name), run_id=run_id, seed=seed, token=token)
