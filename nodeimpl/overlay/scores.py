"""What a peer is worth to gossip: what it gave first, less what it did wrong; all of it decays.

Nothing here needs anybody's word: a node judges by what reached it. Duplicates cost a peer nothing
as long as they are no more than there were messages, for a mesh makes them.
Source: ADR 0031; gossipsub v1.1, "Peer scoring".
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from opkit.wire.base import Did

HALF_LIFE_MS = 60_000
"""After this time what a peer did counts for half."""

FIRST_WORTH, FIRST_MAX = 0.25, 40.0
INVALID_COST = 1.0
STALE_COST = 0.0025
BROKEN_COST, BROKEN_COST_MAX = 0.1, 50.0
BROKEN_FREE = 5.0
USELESS_COST = 0.1
USELESS_FREE = 500.0
USELESS_PER_FRESH = 3.0
EXCESS_COST = 0.1
RUDE_COST, RUDE_FREE = 1.0, 3.0
GREEDY_COST = 0.05
MISLED_FREE, MISLED_SHARE = 5.0, 0.1

TRUSTED_MIN = -20.0
"""Below this neither its announcements nor its wants are heard."""

BANNED_MAX = -100.0
"""At this it is banned: ten messages that nobody honest hands on."""


@dataclass(slots=True, eq=False)
class Standing:
    """What a peer did, decayed.

    Attributes:
        first: good messages that it was the first to bring.
        invalid: messages and frames that nobody honest sends.
        stale: messages whose time is over.
        kept, broken: what it announced, was asked for, and delivered or did not.
        useless: duplicates and others that this node could do nothing with.
        excess: what it sent beyond what may be sent.
        rude: joining a mesh although it was told to stay away.
        greedy: wants beyond what is given.
        hinted: peers of whom it said that they were sent a message; misled: who then asked for it.
        bans: how often it was banned; does not decay.
        banned_until_ms: when the last ban is over, by steady time.
    """

    first: float = 0.0
    invalid: float = 0.0
    stale: float = 0.0
    kept: float = 0.0
    broken: float = 0.0
    useless: float = 0.0
    excess: float = 0.0
    rude: float = 0.0
    greedy: float = 0.0
    hinted: float = 0.0
    misled: float = 0.0
    bans: int = 0
    banned_until_ms: int = 0

    def score(self, fresh: float) -> float:
        """Return its worth; below 0 it has no place in a mesh.

        Args:
            fresh: how many different messages reached this node, decayed as this is.
        """
        worth = FIRST_WORTH * min(self.first, FIRST_MAX)
        worth -= INVALID_COST * self.invalid**2 + STALE_COST * self.stale**2
        broken = max(0.0, self.broken - BROKEN_FREE - self.kept)
        worth -= min(BROKEN_COST * broken**2, BROKEN_COST_MAX)
        worth -= USELESS_COST * max(0.0, self.useless - USELESS_FREE - USELESS_PER_FRESH * fresh)
        worth -= RUDE_COST * max(0.0, self.rude - RUDE_FREE) ** 2
        return worth - EXCESS_COST * self.excess - GREEDY_COST * self.greedy

    def believed(self) -> bool:
        """Return whether who it says was sent a message mostly was: a push may be lost, too."""
        return self.misled <= MISLED_FREE + MISLED_SHARE * self.hinted

    def decay(self, factor: float) -> None:
        """Let everything count for less."""
        self.first *= factor
        self.invalid *= factor
        self.stale *= factor
        self.kept *= factor
        self.broken *= factor
        self.useless *= factor
        self.excess *= factor
        self.rude *= factor
        self.greedy *= factor
        self.hinted *= factor
        self.misled *= factor


def factor(elapsed_ms: int) -> float:
    """Return by what everything is multiplied after some time."""
    return float(0.5 ** (elapsed_ms / HALF_LIFE_MS))


class Remembered:
    """The standings of peers that left, so that nobody washes it by coming again; bounded."""

    def __init__(self, *, peers_max: int) -> None:
        """Remember so many; who left first is forgotten first."""
        self._max = peers_max
        self._left: OrderedDict[Did, tuple[int, Standing]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._left)

    def keep(self, peer: Did, standing: Standing, at_ms: int) -> None:
        """Remember a peer that leaves."""
        self._left[peer] = (at_ms, standing)
        while len(self._left) > self._max:
            self._left.popitem(last=False)

    def take(self, peer: Did, at_ms: int) -> Standing:
        """Return the standing of a peer that comes, as it is now."""
        left_ms, standing = self._left.pop(peer, (at_ms, Standing()))
        standing.decay(factor(at_ms - left_ms))
        return standing
