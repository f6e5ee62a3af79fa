"""The world that a story is told against: a port, implemented by devnets.

One implementation attaches to real processes, another runs the same nodes in this process. A
story names organisations and members, never node numbers, ports or keys.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from opkit.client import NodeClient
    from opkit.proof.genesis import GenesisView
    from opkit.proof.keys import Identity
    from opkit.wire.endpoint import Scope


class NodeHandle(Protocol):
    """A node of the network, as a story names it."""

    @property
    def org(self) -> str:
        """The organisation's id, such as `river-city-tool-library`."""

    @property
    def title(self) -> str:
        """The organisation's name for people."""

    @property
    def did(self) -> str:
        """The node's key and address in one."""

    @property
    def url(self) -> str:
        """Where its front door listens."""


class HostileHandle(Protocol):
    """A peer with a key of its own that misbehaves on purpose."""

    @property
    def did(self) -> str:
        """The hostile peer's own key."""

    async def stats(self) -> Mapping[str, Any]:
        """Return what the peer was asked, and what it served."""

    async def stop(self) -> None:
        """Disconnect it. Stopping twice is allowed."""


class World(Protocol):
    """A running network, with what a story may do to it.

    `capabilities` names what this world can do beyond calling nodes: `kill`, `cut`, `hostile`,
    `pass_time`, and where nodes are processes `chaos` (`opkit.story.chaos`). A flow that needs more
    is not applicable here, which is never reported as success.
    """

    @property
    def run_id(self) -> str:
        """What tells this telling from every other on the same network."""

    @property
    def seed(self) -> int:
        """The number that fixes figures, order and faults; never keys."""

    @property
    def profile(self) -> str:
        """Which nodes the network has, by the profile's name."""

    @property
    def genesis(self) -> GenesisView:
        """Where trust in this network starts, as this machine keeps it."""

    @property
    def capabilities(self) -> frozenset[str]:
        """What this world can do to its network."""

    def node(self, org: str) -> NodeHandle:
        """Return the node of an organisation; `KeyError` if the network has none."""

    def member(self, member_id: str) -> Identity:
        """Return a member's own key, to sign in their name; `KeyError` if it is not kept here."""

    def client(
        self, org: str, member_id: str | None, *, scopes: tuple[Scope, ...] | None = None
    ) -> NodeClient:
        """Return a client of the organisation's node that speaks for a member.

        None for the member means a caller without an identity. Clients are kept and closed by the
        world.
        """

    def operator(self, org: str) -> NodeClient:
        """Return a client of the organisation's node that speaks for the network's operator."""

    async def hostile(self, kind: str, *, against: Sequence[str], about: str = "") -> HostileHandle:
        """Connect a hostile peer of this kind to the nodes of these organisations.

        Args:
            kind: how it misbehaves.
            against: to whose nodes it connects.
            about: the name that it is after; most kinds are after none.
        """

    async def kill(self, org: str) -> None:
        """Kill the organisation's node, without warning."""

    async def restart(self, org: str) -> None:
        """Start the organisation's node again and wait until it is ready."""

    async def cut(self, a: str, b: str) -> None:
        """Cut the link between the nodes of two organisations."""

    async def heal(self, a: str, b: str) -> None:
        """Heal the link between the nodes of two organisations."""

    async def pass_time(self, *, days: int) -> None:
        """Move the network's world time ahead."""

    def disturbances(self) -> tuple[dict[str, Any], ...]:
        """Return what was done to the network in this telling, in order."""

    async def close(self) -> None:
        """Let go of the network: clients and hostile peers end, nodes stay."""
