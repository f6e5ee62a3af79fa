"""Peers that gossip in bad faith, as machines: for simulations, and tests that show each harmless.

They have the methods of `nodeimpl.overlay.gossip.Gossiper` that a driver calls, and none of its
patience. What they do not understand they pass over, as nobody can be made to behave.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable

from nodeimpl.overlay.port import Cast, Outbox
from opkit.wire.base import Did
from opkit.wire.gossip import (
    BACK_OFF_MS_MAX,
    ENVELOPES_MAX,
    Envelope,
    Gossip,
    Have,
    Prune,
    packed,
    unpacked,
)
from opkit.wire.records import Carried

HEARD_MAX = 4_096
"""How much of what they heard they remember."""


class GossipLiar:
    """Somebody who subscribes as honest nodes do, and lies whenever its time has come.

    Attributes:
        sent: how many frames it has sent.
        heard_of: messages that it was given, for those who use them.
    """

    def __init__(self, *, outbox: Outbox, topic: str, every_ms: int) -> None:
        """Lie about `topic` to all its peers, every so often."""
        self.sent = 0
        self.heard_of: deque[Envelope] = deque(maxlen=HEARD_MAX)
        self._outbox = outbox
        self._topic = topic
        self._every_ms = every_ms
        self._peers: dict[Did, None] = {}
        self._due_ms: int | None = None

    def joined(self, peer: Did, now_ms: int) -> None:
        """Subscribe, to be believed."""
        self._peers[peer] = None
        self._due_ms = self._due_ms or now_ms + self._every_ms
        self._say(peer, Gossip(subscribe=(self._topic,), graft=(self._topic,)))

    def left(self, peer: Did, now_ms: int) -> None:
        """Be cut off by one more."""
        self._peers.pop(peer, None)

    def congested(self, peer: Did, unsent_bytes: int, now_ms: int) -> None:
        """Care for no bounds."""

    def heard(self, peer: Did, frame: Gossip, now_ms: int) -> None:
        """Remember what it is given."""
        self.heard_of.extend(frame.publish)

    def tick(self, now_ms: int) -> None:
        """Lie to everybody, if it is time."""
        if self._due_ms is not None and now_ms >= self._due_ms:
            self._due_ms = now_ms + self._every_ms
            for peer in list(self._peers):
                self._lie(peer)

    def due_ms(self) -> int | None:
        """Return when the next lie is due."""
        return self._due_ms if self._peers else None

    def flush(self) -> None:
        """Hold nothing back."""

    def _lie(self, peer: Did) -> None:
        """Lie to a peer."""
        raise NotImplementedError

    def _say(self, peer: Did, frame: Gossip) -> None:
        self.sent += 1
        self._outbox.put(Cast(to=peer, message=frame))


class Flooder(GossipLiar):
    """Sends messages that it makes up, as many a second as it is told to."""

    def __init__(
        self, *, outbox: Outbox, topic: str, make: Callable[[int], Carried], per_second: int
    ) -> None:
        """Send what `make` returns for 0, 1, 2 and so on."""
        super().__init__(outbox=outbox, topic=topic, every_ms=10)
        self._make = make
        self._each_time = max(1, min(per_second // 100, ENVELOPES_MAX))
        self._made = 0

    def _lie(self, peer: Did) -> None:
        made = range(self._made, self._made + self._each_time)
        self._made = made.stop
        envelopes = [Envelope(topic=self._topic, carried=self._make(n)) for n in made]
        self._say(peer, Gossip(publish=tuple(envelopes)))


class Withholder(GossipLiar):
    """Announces messages, real and made up, and never gives one; it asks for all that it can."""

    def __init__(self, *, outbox: Outbox, topic: str, per_beat: int = 100) -> None:
        """Make up so many ids at a time."""
        super().__init__(outbox=outbox, topic=topic, every_ms=1_000)
        self._per_beat = per_beat
        self._made = 0
        self._real: deque[bytes] = deque(maxlen=HEARD_MAX)

    def heard(self, peer: Did, frame: Gossip, now_ms: int) -> None:
        """Announce to all others at once what somebody says to have, and ask for it thrice."""
        super().heard(peer, frame, now_ms)
        for have in frame.have:
            self._real.extend(unpacked(have.ids))
            for _ in range(3):
                self._say(peer, Gossip(want=have.ids))
            for other in self._peers:
                if other != peer:
                    self._say(other, Gossip(have=(have,)))

    def _lie(self, peer: Did) -> None:
        made = range(self._made, self._made + self._per_beat)
        self._made = made.stop
        ids = [hashlib.sha256(f"{n}".encode()).digest() for n in made]
        ids += list(self._real)[-self._per_beat :]
        self._say(peer, Gossip(have=(Have(topic=self._topic, ids=packed(ids)),)))


class Pruner(GossipLiar):
    """Joins every mesh, leaves it again at once for as long as can be said, and joins again."""

    def __init__(self, *, outbox: Outbox, topic: str, every_ms: int = 500) -> None:
        """Begin anew every so often."""
        super().__init__(outbox=outbox, topic=topic, every_ms=every_ms)

    def _lie(self, peer: Did) -> None:
        away = Prune(topic=self._topic, back_off_ms=BACK_OFF_MS_MAX)
        self._say(peer, Gossip(graft=(self._topic,)))
        self._say(peer, Gossip(prune=(away,)))


class Replayer(GossipLiar):
    """Sends everything that it was ever given, again and again."""

    def __init__(self, *, outbox: Outbox, topic: str, every_ms: int = 50) -> None:
        """Send it all again every so often."""
        super().__init__(outbox=outbox, topic=topic, every_ms=every_ms)

    def heard(self, peer: Did, frame: Gossip, now_ms: int) -> None:
        """Ask for all that there is."""
        super().heard(peer, frame, now_ms)
        for have in frame.have:
            self._say(peer, Gossip(want=have.ids))

    def _lie(self, peer: Did) -> None:
        last = tuple(self.heard_of)[-ENVELOPES_MAX:]
        if last:
            self._say(peer, Gossip(publish=last))
