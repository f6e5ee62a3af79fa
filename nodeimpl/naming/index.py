"""The names that are held, as this node knows them: by name, by holder, and when each lapses.

It follows the shelf, which keeps the records, and holds no more than it does. Records were verified
when they were kept, so they are only read again here.
"""

from __future__ import annotations

import heapq
import sys
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from opkit.proof.names import NameView, view_name
from opkit.wire.base import MemberId, TimeMs
from opkit.wire.names import ALIAS_DEPTH_MAX, AliasTarget, NameTarget, NameText
from opkit.wire.records import Carried

SPARE = 1_024
"""How many entries of the time table may be of names that changed, before it is made anew."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A name that somebody holds."""

    member_id: MemberId
    sequence: int
    lapses_at_ms: TimeMs


class Index:
    """Held names in order; `lapsed` gives those whose time is over, once."""

    def __init__(self, standing: Callable[[NameText], Carried | None]) -> None:
        """Know none yet; `standing` returns what the shelf has of a name."""
        self._standing = standing
        self._held: dict[NameText, Listed] = {}
        self._order: list[NameText] = []
        self._by_member: dict[MemberId, list[NameText]] = {}
        self._times: list[tuple[TimeMs, NameText]] = []

    def __len__(self) -> int:
        return len(self._held)

    def see(self, name: NameText) -> tuple[Listed | None, NameView | None]:
        """Look again at a name; return who was known to hold it, and what stands now."""
        before, carried = self._held.get(name), self._standing(name)
        view = None if carried is None else view_name(carried.jws)
        if before is not None:
            self._take_out(name, before)
        if view is not None and view.held:
            self._put_in(name, view)
        return before, view

    def view(self, name: str, *, now_ms: TimeMs) -> NameView | None:
        """Return who holds a name now."""
        if name not in self._held:
            return None
        carried = self._standing(name)
        view = None if carried is None else view_name(carried.jws)
        return view if view is not None and view.held and now_ms < view.lapses_at_ms else None

    def page(
        self, *, prefix: str, owner: str, after: str, names_max: int, now_ms: TimeMs
    ) -> tuple[list[NameView], str]:
        """Return names in order, and the last one if there are more."""
        order = self._by_member.get(owner, []) if owner else self._order
        found: list[NameView] = []
        for name in _from(order, prefix=prefix, after=after):
            view = self.view(name, now_ms=now_ms)
            if view is None:
                continue
            if len(found) == names_max:
                return found, found[-1].name
            found.append(view)
        return found, ""

    def depth(self, target: NameTarget | None, *, name: NameText, now_ms: TimeMs) -> int:
        """Return how many aliases one follows from a target on, no more than are too many.

        Args:
            target: what `name` is to stand for; who comes back to the name goes in a circle.
        """
        depth = 0
        while isinstance(target, AliasTarget) and depth <= ALIAS_DEPTH_MAX:
            depth = depth + 1 if target.name != name else ALIAS_DEPTH_MAX + 1
            view = self.view(target.name, now_ms=now_ms)
            target = None if view is None else view.target
        return depth

    def lapsed(self, now_ms: TimeMs) -> list[tuple[NameText, Listed]]:
        """Take out and return the names whose time is over."""
        gone = []
        while self._times and self._times[0][0] <= now_ms:
            at_ms, name = heapq.heappop(self._times)
            listed = self._held.get(name)
            if listed is not None and listed.lapses_at_ms == at_ms:
                self._take_out(name, listed)
                gone.append((name, listed))
        return gone

    def due_ms(self) -> TimeMs | None:
        """Return when `lapsed` is wanted next; perhaps too early, never too late."""
        return self._times[0][0] if self._times else None

    def _put_in(self, name: NameText, view: NameView) -> None:
        # One text for all names of a member, and of a name the one that the shelf has.
        listed = Listed(sys.intern(view.member_id), view.sequence, view.lapses_at_ms)
        self._held[name] = listed
        insort(self._order, name)
        insort(self._by_member.setdefault(listed.member_id, []), name)
        heapq.heappush(self._times, (listed.lapses_at_ms, name))
        if len(self._times) > 2 * len(self._held) + SPARE:
            self._times = [(each.lapses_at_ms, name) for name, each in self._held.items()]
            heapq.heapify(self._times)

    def _take_out(self, name: NameText, listed: Listed) -> None:
        del self._held[name]
        del self._order[bisect_left(self._order, name)]
        names = self._by_member[listed.member_id]
        del names[bisect_left(names, name)]
        if not names:
            del self._by_member[listed.member_id]


def _from(order: list[NameText], *, prefix: str, after: str) -> Iterator[NameText]:
    """Yield the names that begin with something, those after one of them."""
    at = max(bisect_left(order, prefix), bisect_right(order, after) if after else 0)
    while at < len(order) and order[at].startswith(prefix):
        yield order[at]
        at += 1
