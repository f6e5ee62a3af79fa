"""What was announced and has not come: whom to ask for it, and whom next.

A push may be faster than what announces it, so nobody is asked at once. Of those who announced a
message the one that is worth most is asked first, and no more at a time than it can give.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field

from nodeimpl.overlay.gossip_state import GossipState, MessageMissed, Peer
from nodeimpl.overlay.scores import TRUSTED_MIN
from opkit.wire.base import Did

TOGETHER_COST = 0.25
"""What each further promise counts that is broken at the same time."""

FULL_MAX = 64
"""How many messages are passed over, for all who announced them are asked enough, at a time."""


Suspect = Callable[[Did], None]


@dataclass(slots=True, eq=False)
class Missing:
    """A message that was announced and has not come."""

    topic: str
    due_ms: int
    announcers: list[Did] = field(default_factory=list)
    asked: Did | None = None


class Wants:
    """All that is missing."""

    def __init__(self, state: GossipState, *, suspect: Suspect) -> None:
        """Share `state` with the other parts of gossip; say to `suspect` who may have had more."""
        self._state = state
        self._suspect = suspect
        self._missing: dict[bytes, Missing] = {}
        self._due: list[tuple[int, bytes]] = []
        self._blocked_ms = 0
        self.suspects: dict[Did, None] = {}

    def held(self) -> int:
        """Return how much is kept."""
        return len(self._missing) + len(self._due)

    def announced(self, peer: Peer, topic: str, each: bytes, at_ms: int) -> None:
        """Take note that a peer says to have a message that has not come."""
        limits = self._state.limits
        missing = self._missing.get(each)
        if missing is None:
            if len(self._missing) >= limits.missing_max:
                self._state.counts.dropped["announcements"] += 1
                self.suspects[peer.did] = None
                return
            missing = Missing(topic=topic, due_ms=0)
            self._missing[each] = missing
            self._plan(each, missing, at_ms + limits.patience_ms)
        if peer.did not in missing.announcers and len(missing.announcers) < limits.announcers_max:
            missing.announcers.append(peer.did)

    def arrived(self, each: bytes) -> bool:
        """Take note that a message came and is not wanted any more; return whether it was asked."""
        missing = self._missing.pop(each, None)
        if missing is None or missing.asked is None:
            return False
        self._released(missing)
        return True

    def given(self, peer: Peer, each: bytes) -> None:
        """Take note that a peer gave what it was asked for, whatever comes of it."""
        missing = self._missing.get(each)
        if missing is not None and missing.asked == peer.did:
            peer.standing.kept += 1

    def useless(self, peer: Peer, each: bytes, at_ms: int) -> None:
        """Ask another one: what this peer gave under the id is no good."""
        missing = self._missing.get(each)
        if missing is not None and missing.asked == peer.did:
            self._released(missing)
            missing.announcers.remove(peer.did)
            self._plan(each, missing, at_ms)

    def left(self, peer: Peer, at_ms: int) -> None:
        """Ask others for what a peer was asked that is gone."""
        for each, missing in self._missing.items():
            if peer.did in missing.announcers:
                missing.announcers.remove(peer.did)
            if missing.asked == peer.did:
                missing.asked = None
                self._plan(each, missing, at_ms)

    def pursue(self, at_ms: int) -> None:
        """Ask for what is due; blame who did not give what it announced."""
        full = 0
        late: set[Did] = set()
        while self._due and self._due[0][0] <= at_ms and self._blocked_ms <= at_ms:
            due_ms, each = heapq.heappop(self._due)
            missing = self._missing.get(each)
            if missing is None or missing.due_ms != due_ms:
                continue
            if missing.asked is not None:
                self._broken(missing, late)
            if not self._ask(each, missing, at_ms):
                full += 1
            if full == FULL_MAX:
                self._blocked_ms = at_ms + self._state.limits.patience_ms

    def tell(self) -> None:
        """Say of which peers messages may have been missed, once."""
        if self.suspects:
            told, self.suspects = self.suspects, {}
            for did in told:
                self._suspect(did)

    def due_ms(self) -> int | None:
        """Return when `pursue` is wanted next, by steady time."""
        return max(self._due[0][0], self._blocked_ms) if self._due else None

    def _ask(self, each: bytes, missing: Missing, at_ms: int) -> bool:
        """Ask the best who announced a message; return False if all of them are asked enough."""
        state = self._state
        able = [state.peers[did] for did in missing.announcers if did in state.peers]
        able = [peer for peer in able if not peer.banned and not peer.stalled]
        if not able:
            self._give_up(each, missing)
            return True
        ready = [peer for peer in able if peer.asked < state.limits.asked_max]
        if not ready:
            self._plan(each, missing, at_ms + state.limits.patience_ms)
            return False
        best = max(ready, key=lambda peer: peer.standing.score(state.fresh))
        best.asked += 1
        missing.asked = best.did
        state.draft(best).want.append(each)
        state.counts.wanted += 1
        self._plan(each, missing, at_ms + state.limits.want_ms)
        return True

    def _broken(self, missing: Missing, late: set[Did]) -> None:
        """Take note that an asked peer let the time pass; `late` are those who just did already.

        What is asked together is lost together: one lost cast is not as many broken promises.
        """
        assert missing.asked is not None, "somebody was asked"
        peer = self._state.peers[missing.asked]
        peer.standing.broken += TOGETHER_COST if peer.did in late else 1
        late.add(peer.did)
        self._released(missing)
        missing.announcers.remove(peer.did)
        if peer.standing.score(self._state.fresh) < TRUSTED_MIN:
            self.suspects[peer.did] = None

    def _give_up(self, each: bytes, missing: Missing) -> None:
        state = self._state
        del self._missing[each]
        state.counts.lost += 1
        state.note(MessageMissed(topic=missing.topic, id=each))

    def _released(self, missing: Missing) -> None:
        """Take note that an asked peer owes one message less."""
        assert missing.asked is not None, "somebody was asked"
        self._state.peers[missing.asked].asked -= 1
        missing.asked = None
        self._blocked_ms = 0

    def _plan(self, each: bytes, missing: Missing, due_ms: int) -> None:
        missing.due_ms = due_ms
        heapq.heappush(self._due, (due_ms, each))
        if len(self._due) > 4 * self._state.limits.missing_max:
            self._due = [(known.due_ms, name) for name, known in self._missing.items()]
            heapq.heapify(self._due)
