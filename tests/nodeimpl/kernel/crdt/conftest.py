"""Authors with keys of their own, and replicas that are driven by hand."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import cache

import pytest

from nodeimpl.kernel.crdt.fold import ObjectSpec
from nodeimpl.kernel.crdt.limits import ReplicaLimits
from nodeimpl.kernel.crdt.pull import Pull, answer
from nodeimpl.kernel.crdt.replica import Replica
from opkit.proof.keys import Identity
from opkit.proof.operations import beginning
from opkit.wire.errors import Refusal
from opkit.wire.operations import ObjectKind

NETWORK = "a" * 26
NOW = 1_767_225_600_000


@cache
def key_of(name: str) -> Identity:
    return Identity.from_seed(hashlib.sha256(name.encode()).digest())


class Party:
    """An author with a replica; ten milliseconds pass with each thing that they say.

    Attributes:
        asked: how many questions the last pull asked.
    """

    def __init__(self, name: str, replica: Replica) -> None:
        self.identity = key_of(name)
        self.did = self.identity.did
        self.replica = replica
        self.now = NOW
        self.asked = 0

    def say(self, act):
        self.now += 10
        return self.replica.issue(self.identity, act, self.now)

    def hear(self, *tokens):
        return [self.replica.take(token, self.now + 60_000) for token in tokens]

    def pull(self, other: Party) -> int:
        """Take what this replica lacks of another one's, as a driver does; return how many."""
        session, self.asked = Pull(self.replica), 0
        while (question := session.question()) is not None:
            self.asked += 1
            session.answered(answer(other.replica, question), self.now + 60_000)
        assert not session.lied, session.lied
        return session.taken

    def _offered(self, token):
        try:
            return self.replica.take(token, self.now + 60_000)
        except Refusal as no:
            return no.code


@pytest.fixture
def parties() -> Callable[..., list[Party]]:
    """Return authors who founded one object, each with a replica."""

    def make(
        names: Sequence[str] = ("ada", "ben", "cy"),
        *,
        kind: ObjectKind = ObjectKind.OR_SET,
        founders: Sequence[str] | None = None,
        limits: ReplicaLimits | None = None,
        **thresholds: int,
    ) -> list[Party]:
        base = beginning(key_of(name).did for name in founders or names)
        spec = ObjectSpec(network=NETWORK, aud="pool/tools", kind=kind, **thresholds)
        return [Party(name, Replica(spec, base, limits=limits)) for name in names]

    return make


def settled(parties: Sequence[Party]) -> None:
    """Have everybody pull from everybody until nobody learns anything."""
    while sum(one.pull(other) for one in parties for other in parties if one is not other):
        pass


@pytest.fixture
def settle() -> Callable[[Sequence[Party]], None]:
    return settled


@pytest.fixture
def key() -> Callable[[str], Identity]:
    """Return the key pair of somebody by their name."""
    return key_of
