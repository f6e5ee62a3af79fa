"""What can fail on the client's own side, beside the three ways a call can fail."""

from __future__ import annotations

from dataclasses import dataclass

from opkit.wire.base import Did, NetworkId
from opkit.wire.errors import CoopError


@dataclass(eq=False, kw_only=True)
class WrongNode(CoopError):
    """Whoever answered is not the node that was dialled: nothing was signed for it.

    A relay could otherwise have another node's challenge signed and log in there as the victim.
    Source: ADR 0009.
    """

    url: str
    expected: Did
    found: Did
    expected_network: NetworkId
    found_network: NetworkId

    def __str__(self) -> str:
        """Return who was dialled and who answered."""
        return (
            f"{self.url} answered as {self.found} of network {self.found_network}, "
            f"dialled was {self.expected} of network {self.expected_network}: nothing was signed"
        )


@dataclass(eq=False, kw_only=True)
class WrongKey(CoopError):
    """Whoever answered showed another key than the node's own record names: nothing was sent.

    Source: ADR 0038.
    """

    url: str
    expected: str
    found: str

    def __str__(self) -> str:
        """Return which key was expected and which was shown."""
        return (
            f"{self.url} showed the key {self.found}, the node's record names {self.expected}: "
            "nothing was sent"
        )


@dataclass(eq=False, kw_only=True)
class Cancelled(CoopError):
    """The task was cancelled before it ran: there is no receipt and no output."""

    task_id: str

    def __str__(self) -> str:
        """Return which task it was."""
        return f"task {self.task_id} was cancelled before it ran"


@dataclass(eq=False, kw_only=True)
class ServiceLapsed(CoopError):
    """A service that was found has lapsed since, or where its node is: look for it again."""

    service: str
    lapsed_at_ms: int

    def __str__(self) -> str:
        """Return which service it was, and since when."""
        return f"what proves the service {self.service} lapsed at {self.lapsed_at_ms}"


@dataclass(eq=False, kw_only=True)
class DoorUnknown(CoopError):
    """The node of a service says in its own record of no front door, so there is none to dial."""

    service: str
    node: Did

    def __str__(self) -> str:
        """Return which service and node it was."""
        return f"the node {self.node} of {self.service} says of no front door"
