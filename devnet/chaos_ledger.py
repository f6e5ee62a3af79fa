"""What disturbs a network now, until when, and what that comes to on each link."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from devnet.chaos_lane import NONE, Hindrance, together
from devnet.state import DevnetError

FOR_MS_DEFAULT = 600_000
"""How long a disturbance lasts unless it is said: long enough to be talked about."""

FOR_MS_MIN = 100
FOR_MS_MAX = 86_400_000
ACTIVE_MAX = 64
"""How many may last at once."""

Pair = frozenset[str]
"""A link by the organisations at its ends."""

PARTED_PERMILLE = 500
"""From this loss on, nobody waits for two nodes to find each other."""


@dataclass(eq=False, kw_only=True)
class Disturbance:
    """One that lasts.

    Attributes:
        id: by which it is healed; never given twice in one devnet.
        kind: `loss`, `delay`, `rate`, `cut`, `partition`, `pause`, `kill`, `skew` or `old-state`.
        told: what was journalled of it.
        pairs: the links that it hinders still.
        org: whose node it is done to; empty for what is done to links.
        hindrance: of its links.
        seed: fixes what its links lose.
        ends: when, as monotonic seconds; `began_ms` and `ends_ms` are times for people.
        failed: how often it was tried to end it in vain.
    """

    id: int
    kind: str
    told: Mapping[str, Any]
    pairs: set[Pair]
    org: str
    hindrance: Hindrance
    seed: int
    ends: float
    began_ms: int
    ends_ms: int
    failed: int = 0


@dataclass(kw_only=True)
class Ledger:
    """All disturbances that last, by their ids. `now` is a monotonic clock in seconds."""

    first: int = 1
    now: Callable[[], float] = time.monotonic
    _active: dict[int, Disturbance] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Count on from the first id that was never given."""
        self._ids = itertools.count(self.first)

    def check(self, for_ms: int) -> None:
        """Refuse what would last too short or too long, or be one too many.

        Raises:
            DevnetError: the time is out of range, or too many last already.
        """
        if not FOR_MS_MIN <= for_ms <= FOR_MS_MAX:
            raise DevnetError(
                f"a disturbance lasts {FOR_MS_MIN} ms to {FOR_MS_MAX // 3_600_000} h",
                hint="it can be asked for again when it is over",
            )
        if len(self._active) >= ACTIVE_MAX:
            raise DevnetError(
                f"{ACTIVE_MAX} disturbances last already", hint="opkit devnet chaos heal"
            )

    def begin(
        self,
        kind: str,
        *,
        for_ms: int,
        told: Mapping[str, Any],
        pairs: Iterable[Pair] = (),
        org: str = "",
        hindrance: Hindrance = NONE,
        seed: int = 0,
    ) -> Disturbance:
        """Keep a disturbance that begins now; `check` has let it pass."""
        now_ms = time.time_ns() // 1_000_000
        begun = Disturbance(
            id=next(self._ids),
            kind=kind,
            told=dict(told),
            pairs=set(pairs),
            org=org,
            hindrance=hindrance,
            seed=seed,
            ends=self.now() + for_ms / 1000,
            began_ms=now_ms,
            ends_ms=now_ms + for_ms,
        )
        self._active[begun.id] = begun
        return begun

    def get(self, number: int) -> Disturbance:
        """Return one by its id.

        Raises:
            DevnetError: none of this id lasts.
        """
        found = self._active.get(number)
        if found is None:
            ids = ", ".join(map(str, self._active)) or "nothing is disturbed"
            raise DevnetError(f"no disturbance {number} lasts", hint=f"there are: {ids}")
        return found

    def resume(self, one: Disturbance) -> None:
        """Keep one again that could not be ended."""
        self._active[one.id] = one

    def end(self, number: int) -> None:
        """Forget one; harmless when repeated."""
        self._active.pop(number, None)

    def all(self) -> tuple[Disturbance, ...]:
        """Return all that last, oldest first."""
        return tuple(self._active.values())

    def of(self, org: str, *kinds: str) -> tuple[Disturbance, ...]:
        """Return what is done to a node, of these kinds."""
        return tuple(one for one in self.all() if one.org == org and one.kind in kinds)

    def due(self) -> tuple[Disturbance, ...]:
        """Return those whose time is over."""
        now = self.now()
        return tuple(one for one in self.all() if one.ends <= now)

    def next_end(self) -> float | None:
        """Return when the next one ends, as monotonic seconds; None if nothing lasts."""
        return min((one.ends for one in self.all()), default=None)

    def on(self, pair: Pair) -> tuple[Hindrance, int]:
        """Return what hinders a link in all, and the seed of the newest that does."""
        there = [one for one in self.all() if pair in one.pairs]
        return together(one.hindrance for one in there), there[-1].seed if there else 0

    def parts(self, pair: Pair) -> bool:
        """Return whether two nodes cannot be expected to find each other."""
        how, _ = self.on(pair)
        paused = any(self.of(org, "pause") for org in pair)
        return how.cut or paused or how.loss_permille >= PARTED_PERMILLE

    def listed(self) -> list[dict[str, Any]]:
        """Return all that last as values, with the time that each has left."""
        now = self.now()
        return [
            {
                **one.told,
                "id": one.id,
                "what": one.kind,
                "at_ms": one.began_ms,
                "links": ends_of(one.pairs),
                "ends_ms": one.ends_ms,
                "left_ms": max(0, round((one.ends - now) * 1000)),
            }
            for one in self.all()
        ]


def ends_of(pairs: Iterable[Pair]) -> list[list[str]]:
    """Return links as values: the ends of each, in order."""
    return sorted(sorted(pair) for pair in pairs)
