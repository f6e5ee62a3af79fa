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
class Cancelled(CoopError):
    """The task was cancelled before it ran: there is no receipt and no output."""

    task_id: str

    def __str__(self) -> str:
        """Return which task it was."""
        return f"task {self.task_id} was cancelled before it ran"
