"""What was really signed and published in a run, whoever says what of it.

Nodes are judged against this: what none of them can know of itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from devnet.sim.world import Peer
from opkit.wire.base import Did
from opkit.wire.records import Carried, Namespace, RecordName

Key = tuple[Namespace, RecordName, Did]
"""What one record replaces another of: namespace, name and owner."""


@dataclass(slots=True, eq=False, kw_only=True)
class Published:
    """A record, when its owner published it, and whom it has reached since, by their numbers.

    Attributes:
        up: who was up then, and honest: number and life.
        owner: who published it, and in which of its lives.
    """

    key: Key
    carried: Carried
    sequence: int
    at_ms: int
    up: frozenset[tuple[int, int]]
    owner: tuple[Peer, int]
    reached_ms: dict[int, int] = field(default_factory=dict)

    def owner_lives(self) -> bool:
        """Whether its owner has been up ever since."""
        peer, epoch = self.owner
        return peer.machine is not None and peer.epoch == epoch


class Truth:
    """All records that were honestly signed in a run."""

    def __init__(self) -> None:
        """Begin without any."""
        self.published: list[Published] = []
        self._by_token: dict[str, Published] = {}
        self._latest: dict[Key, Published] = {}

    def add(self, record: Published) -> None:
        """Take note of what somebody publishes."""
        self.published.append(record)
        self._by_token[record.carried.jws] = record
        self._latest[record.key] = record

    def of(self, token: str) -> Published | None:
        """Return what was published as this token, to the letter; None if it is forged."""
        return self._by_token.get(token)

    def latest(self, namespace: Namespace) -> list[Published]:
        """Return what was published last under each key of a namespace."""
        return [each for key, each in self._latest.items() if key[0] == namespace]
