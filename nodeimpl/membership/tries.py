"""How often each challenge was tried, in bounded memory: each buys few checks of a signature."""

from __future__ import annotations

from opkit.wire.membership import ChallengeRejected


class Tries:
    """Tries by challenge; the challenge that was first tried longest ago is forgotten first.

    That one was used is also remembered in the store, which outlives this; here it saves looking.
    """

    def __init__(self, *, tries_max: int, challenges_max: int) -> None:
        """Begin with none."""
        assert tries_max > 0 and challenges_max > 0, "nobody could log in"
        self._tries_max = tries_max
        self._challenges_max = challenges_max
        self._tried: dict[str, int] = {}
        self._used: dict[str, None] = {}

    def take(self, nonce: str) -> None:
        """Count a try.

        Refuses, in this order:
            ChallengeRejected: the challenge was used, or tried as often as may be.
        """
        if nonce in self._used:
            raise ChallengeRejected(why="it was already used")
        tried = self._tried.get(nonce, 0)
        if tried >= self._tries_max:
            raise ChallengeRejected(why="it was tried too often")
        if not tried and len(self._tried) >= self._challenges_max:
            del self._tried[next(iter(self._tried))]
        self._tried[nonce] = tried + 1

    def use(self, nonce: str) -> None:
        """Remember that a token was issued for it."""
        if len(self._used) >= self._challenges_max:
            del self._used[next(iter(self._used))]
        self._used[nonce] = None
