"""How an overlay's machines and the world speak: what comes in is a call, what goes out an effect.

A machine never waits, sends, or looks at a clock: it is told what arrived and what time it is, and
leaves in its outbox what should be sent. So the code that runs in a node also runs in a simulation
of a thousand nodes. Source: ADR 0028.

A machine has any of these methods; all take `now_ms`, real time that may jump but is never awaited:

    joined(peer, now_ms)                 a link to this peer stands; `dialled`: this node made it
    left(peer, now_ms)                   it is gone
    answer(peer, question, now_ms)       -> the answer, or raises a refusal
    answered(token, answer, now_ms)      an `Ask` of its own came back
    failed(token, why, now_ms)           it was refused, or nothing came in time
    heard(peer, cast, now_ms)            a one-way message arrived
    tick(now_ms)                         time has passed
    due_ms()                             -> when `tick` is wanted next, or None
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol, TypeVar

from opkit.proof.did import public_key_of
from opkit.wire.base import Did, Wire
from opkit.wire.records import Namespace, RecordName

T = TypeVar("T")

IDS_REMEMBERED = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """Somebody who can be asked: a key, and where its holder may be dialled.

    Addresses are hearsay until the transport has proven that the key is there.
    """

    did: Did
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """Ask a peer, dialling it if need be; `answered` or `failed` follows exactly once.

    Attributes:
        token: by which the machine knows its question again.
        timeout_ms: after which it has failed, dialling included.
    """

    token: int
    to: Contact
    question: Wire
    timeout_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Cast:
    """Send a one-way message to a peer with a standing link; lost with the link."""

    to: Did
    message: Wire


@dataclass(frozen=True, slots=True, kw_only=True)
class Ban:
    """End the link to a peer and take none of it for a while."""

    peer: Did
    why: str
    ban_ms: int


Effect = Ask | Cast | Ban


class Chance(Protocol):
    """Where a machine's choices come from: `random.Random`, seeded in simulations."""

    def random(self) -> float:
        """Return a number in [0, 1)."""

    def randrange(self, stop: int, /) -> int:
        """Return an integer in [0, stop)."""

    def sample(self, population: Sequence[T], /, k: int) -> list[T]:
        """Return `k` different members of `population`."""

    def shuffle(self, x: list[T], /) -> None:
        """Bring `x` into another order."""


class Outbox:
    """Effects in the order in which they were wanted, until the driver takes them."""

    def __init__(self) -> None:
        """Begin empty."""
        self._waiting: list[Effect] = []
        self._token = 0

    def __len__(self) -> int:
        """Return how much waits to be taken."""
        return len(self._waiting)

    def put(self, effect: Effect) -> None:
        """Want something done."""
        self._waiting.append(effect)

    def ask(self, to: Contact, question: Wire, *, timeout_ms: int) -> int:
        """Want a question asked; return the token under which its end will be told."""
        self._token += 1
        self.put(Ask(token=self._token, to=to, question=question, timeout_ms=timeout_ms))
        return self._token

    def take(self) -> list[Effect]:
        """Return what is wanted, once."""
        taken, self._waiting = self._waiting, []
        return taken


@lru_cache(maxsize=IDS_REMEMBERED)
def node_id(did: Did) -> int:
    """Return a node's place in the overlay: a hash of its key, as an integer of 256 bits.

    Hashing spreads load and protects nobody: a key near any place costs a second to find.

    Raises:
        ProofError: `did` encodes no key.
    """
    return _place(b"opkit overlay node 1\n" + public_key_of(did))


@lru_cache(maxsize=IDS_REMEMBERED)
def key_id(namespace: Namespace, name: RecordName) -> int:
    """Return the place of a name in the overlay, as an integer of 256 bits."""
    return _place(f"opkit overlay key 1\n{namespace}\n{name}".encode())


def _place(data: bytes) -> int:
    return int.from_bytes(hashlib.sha256(data).digest(), "big")
