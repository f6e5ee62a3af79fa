"""Messages that a node hands out again: which, for how long, and who has them already.

A peer is a bit, and a message remembers in one integer who is known to have it: by having sent or
announced it, or by having been given it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass

from opkit.wire.base import Did
from opkit.wire.gossip import Envelope

ENVELOPE_BYTES = 64
"""What an envelope takes beside its tokens, about."""


@dataclass(slots=True, eq=False)
class Message:
    """A message that was judged good, or is this node's own.

    Attributes:
        serial: grows by one with each message of this node.
        at_ms: when it came, by steady time; beat: how many heartbeats there had been.
        known_by: bits of the peers that have shown that they have it.
        sent_to: bits of those that it was pushed to, by whomever; a push may be lost with its link.
        hinted: bits of those of whom only a peer says so.
        hinter: that peer.
        given: how often each peer was given it on demand, by the peer's bit.
    """

    id: bytes
    envelope: Envelope
    bytes: int
    serial: int
    at_ms: int
    beat: int = 0
    known_by: int = 0
    sent_to: int = 0
    hinted: int = 0
    hinter: Did | None = None
    given: dict[int, int] | None = None

    def give(self, bit: int) -> int:
        """Note that a peer is given it on demand, and return for which time."""
        if self.given is None:
            self.given = {}
        self.given[bit] = times = self.given.get(bit, 0) + 1
        return times


def weight(envelope: Envelope) -> int:
    """Return about how many bytes an envelope takes in a frame."""
    carried = envelope.carried
    size = len(carried.jws) + ENVELOPE_BYTES
    return size + sum(map(len, carried.proof)) if carried.proof else size


class Messages:
    """The messages of the last while, in the order in which they came; bounded in three ways."""

    def __init__(self, *, span_ms: int, count_max: int, bytes_max: int) -> None:
        """Keep so many, so large together, so long."""
        self._span_ms = span_ms
        self._count_max = count_max
        self._bytes_max = bytes_max
        self._kept: OrderedDict[bytes, Message] = OrderedDict()
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, each: bytes) -> Message | None:
        """Return the message of this id, if it is kept."""
        return self._kept.get(each)

    def add(self, message: Message) -> list[Message]:
        """Keep a message that is not kept; return what had to go to make room for it."""
        assert message.id not in self._kept, "a message is kept once"
        self._kept[message.id] = message
        self.bytes += message.bytes
        gone = []
        while len(self._kept) > self._count_max or self.bytes > self._bytes_max:
            gone.append(self._drop())
        return gone

    def age(self, at_ms: int) -> list[Message]:
        """Drop and return what is old."""
        gone = []
        while self._kept and next(iter(self._kept.values())).at_ms <= at_ms - self._span_ms:
            gone.append(self._drop())
        return gone

    def since(self, at_ms: int) -> list[Message]:
        """Return what came after a time, the latest first."""
        found = []
        for message in reversed(self._kept.values()):
            if message.at_ms <= at_ms:
                break
            found.append(message)
        return found

    def after(self, serial: int) -> list[Message]:
        """Return what came after the message with this number, the latest first."""
        found = []
        for message in reversed(self._kept.values()):
            if message.serial <= serial:
                break
            found.append(message)
        return found

    def take(self, topic: str) -> list[Message]:
        """Remove and return all messages of a topic, the earliest first."""
        taken = [each for each in self._kept.values() if each.envelope.topic == topic]
        for message in taken:
            del self._kept[message.id]
            self.bytes -= message.bytes
        return taken

    def forget(self, bit: int) -> None:
        """Forget what the peer of this bit has, for another one gets it."""
        for message in self._kept.values():
            message.known_by &= ~bit
            message.sent_to &= ~bit
            message.hinted &= ~bit
            if message.given is not None:
                message.given.pop(bit, None)

    def __iter__(self) -> Iterator[Message]:
        return iter(self._kept.values())

    def _drop(self) -> Message:
        _, message = self._kept.popitem(last=False)
        self.bytes -= message.bytes
        return message
