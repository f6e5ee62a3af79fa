"""What all nodes say of each other's journals: records of heads and forks, as they are kept here.

Whoever keeps such a record has verified what is in it (`nodeimpl.overlay.namespaces`); here it is
only read again. Source: ADR 0032.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from nodeimpl.kernel.clock import Clock
from nodeimpl.witness.rules import Limits, wants_publishing
from opkit.proof import jws
from opkit.proof.checks import ProofError
from opkit.proof.forks import Seen, read_fork, read_seen
from opkit.wire.base import Did, Jws, NetworkId
from opkit.wire.records import Carried, Namespace, RecordBody
from opkit.wire.witness import WITNESSES_MAX, ForkValue, HeadValue

READ_MAX = 4_096
"""How many heads are remembered as they were read."""

_read_seen = lru_cache(maxsize=READ_MAX)(read_seen)


class Board:
    """The records of heads and forks that stand, and the way to add one."""

    def __init__(
        self,
        *,
        did: Did,
        network: NetworkId,
        clock: Clock,
        standing: Callable[[Namespace, Did], tuple[Carried, ...]],
        publish: Callable[[Namespace, Did, dict[str, Any]], None],
    ) -> None:
        """Keep the parts.

        Args:
            did: whose word is published.
            standing: what stands under a name.
            publish: signs a value, keeps it and tells others; what finds no room is dropped.
        """
        self._did = did
        self._network = network
        self._clock = clock
        self._standing = standing
        self._publish = publish

    def heads(self, node: Did) -> list[Seen]:
        """Return the heads of a node that others have countersigned, each once."""
        found = {}
        for body in self._bodies("head", node):
            seen = self._seen(node, body)
            if seen is not None:
                found[seen.token] = seen
        return list(found.values())

    def witnesses(self, node: Did) -> set[Did]:
        """Return who has countersigned a head of a node."""
        return {body.owner for body in self._bodies("head", node)}

    def records(self, node: Did) -> tuple[Jws, ...]:
        """Return the countersigned heads of a node, as they travel."""
        standing = self._standing("head", node)
        said = [each.jws for each in standing if _body(each).value is not None]
        return tuple(said[:WITNESSES_MAX])

    def forks(self, node: Did) -> list[ForkValue]:
        """Return the proofs that a node has two histories."""
        return [
            ForkValue.model_validate(body.value, strict=False)
            for body in self._bodies("fork", node)
        ]

    def countersign(self, seen: Seen, *, nodes: int, limits: Limits) -> None:
        """Publish that this node has seen a head, if it is time to."""
        node, now_ms = seen.head.node, self._clock.now_ms()
        own = [body for body in self._bodies("head", node) if body.owner == self._did]
        before = self._seen(node, own[0]) if own else None
        if wants_publishing(
            seen.head,
            standing=None if before is None else before.head,
            published_at_ms=own[0].issued_at_ms if own else 0,
            now_ms=now_ms,
            nodes=nodes,
            limits=limits,
        ):
            self._publish("head", node, HeadValue(head=seen.token).model_dump(mode="json"))

    def expose(self, node: Did, value: ForkValue) -> None:
        """Publish the proof of a fork, unless one of the same generation stands."""
        generation = read_fork(value, node=node, network=self._network).first.generation
        for standing in self.forks(node):
            fork = read_fork(standing, node=node, network=self._network)
            if fork.first.generation == generation:
                return
        self._publish("fork", node, value.model_dump(mode="json"))

    def _bodies(self, namespace: Namespace, node: Did) -> list[RecordBody]:
        bodies = [_body(each) for each in self._standing(namespace, node)]
        return [body for body in bodies if body.value is not None]

    def _seen(self, node: Did, body: RecordBody) -> Seen | None:
        head = HeadValue.model_validate(body.value, strict=False).head
        try:
            return _read_seen(head, node=node, network=self._network)
        except ProofError:
            return None


def _body(carried: Carried) -> RecordBody:
    """Return what a record says that was verified when it was kept."""
    return RecordBody.model_validate(jws.peek(carried.jws).payload)
