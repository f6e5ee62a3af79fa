"""A lookup: nearer and nearer to a place, over paths that share no contact.

Each path believes only whom it asks itself. A liar can send its own path astray, by wrong
neighbours or ones that never answer; it cannot use up what another path may ask. A contact belongs
to the path that asks it first; named at a wrong address it fails, and belongs to the next path that
knows another one. So what is there is found if one path is honest.

Whoever is slow or failed once is passed over, and a late answer is not waited for: others know as
much. Only if nothing was found are they all asked and waited for, before nobody knows.
Source: ADR 0030; Baumgart, Mies: S/Kademlia (2007), section 4.4.
"""

from __future__ import annotations

from bisect import insort
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush, nsmallest

from nodeimpl.overlay.port import node_id
from opkit.proof.checks import ProofError
from opkit.wire.base import Did
from opkit.wire.dht import ContactText


@dataclass(frozen=True, slots=True, kw_only=True)
class LookupLimits:
    """Bounds.

    Attributes:
        paths: how many paths there are, if there are as many contacts to begin with (d).
        at_once: questions under way in all paths together that are not slow yet (alpha).
        width: a path ends when this many have answered and it knows nobody nearer than the last of
            them. All paths together so hear from more than the `CONTACTS_MAX` nearest.
        asks_max: questions of one path.
        slow_max: questions of one path that take longer than usual and yet are waited for.
        per_prefix_max: contacts of one address prefix that one path asks.
        lookup_ms: after which it ends with what it has.
    """

    paths: int = 3
    at_once: int = 3
    width: int = 8
    asks_max: int = 32
    slow_max: int = 3
    per_prefix_max: int = 4
    lookup_ms: int = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How long answers take: after `slow_ms` another is asked besides, after `late_ms` instead."""

    slow_ms: int
    late_ms: int


@dataclass(slots=True)
class Candidate:
    """Somebody to ask: how far from the target, after how many hops, and who named them."""

    contact: ContactText
    distance: int
    hops: int
    named_by: Did | None


@dataclass(slots=True)
class Waiting:
    """A question under way: when it is slow, and when it is late."""

    candidate: Candidate
    slow_ms: int
    late_ms: int


@dataclass(slots=True)
class Path:
    """Contacts that lead to each other.

    Attributes:
        heap: whom to ask, the nearest first; `known` are all that ever were in it.
        near: the distances of those that answered, the least first.
        brought: what its answers brought, for whoever compares paths.
        passed: suspects that were passed over; `aside`: whom another path is asking right now.
    """

    heap: list[tuple[int, Candidate]]
    known: set[Did]
    waiting: dict[Did, Waiting] = field(default_factory=dict)
    near: list[int] = field(default_factory=list)
    asks: int = 0
    prefixes: dict[str, int] = field(default_factory=dict)
    brought: set[str] = field(default_factory=set)
    passed: list[tuple[int, Candidate]] = field(default_factory=list)
    aside: list[Candidate] = field(default_factory=list)


class Lookup:
    """One lookup. Whoever drives it asks whom it wants, and tells it what came of it.

    Attributes:
        answered_by: who answered.
        stopped: whether it ended before its paths did.
        widened: whether those are asked, too, who were passed over and may live.
        standing: what a path must have brought to be content; None if all go to their ends.
        asked: questions so far; `silent`: those of them that came to nothing so far.
        named: for each who named others: how many of those were asked, and how many answered.
    """

    def __init__(
        self,
        target: int,
        *,
        own: Did,
        seeds: Sequence[ContactText],
        doubts: Callable[[ContactText], bool],
        gone: Callable[[ContactText], bool],
        prefixes: Callable[[ContactText], frozenset[str]],
        limits: LookupLimits,
        now_ms: int,
    ) -> None:
        """Deal out the contacts to begin with among the paths.

        Args:
            target: the place.
            own: who looks, and never asks itself.
            seeds: contacts to begin with, the nearest first.
            doubts: whether a contact did not answer of late; then it is asked only if nobody else
                answers, or when this is widened.
            gone: whether it did not answer again and again; then it is not asked even so.
            prefixes: the address prefixes of a contact.
        """
        self.target = target
        self.answered_by: dict[Did, Candidate] = {}
        self.standing: str | None = None
        self.asked = 0
        self.silent = 0
        self.named: dict[Did, list[int]] = {}
        self.began_ms = now_ms
        self._own = own
        self._doubts = doubts
        self._gone = gone
        self._prefixes = prefixes
        self._limits = limits
        self._owner: dict[Did, tuple[Path, Candidate]] = {}
        self._failed: set[Did] = set()
        self._owed: Counter[Did] = Counter()
        self.stopped = False
        self.widened = False
        self._desperate = False
        count = max(1, min(limits.paths, len(seeds)))
        self._paths = [Path([], {own}) for _ in range(count)]
        self._each = max(1, limits.at_once // count)
        for at, seed in enumerate(seeds):
            self._learn(self._paths[at % count], (seed,), hops=1, named_by=None)

    def wanted(self, now_ms: int, pace: Pace) -> list[ContactText]:
        """Return whom to ask now: the caller does so, and tells what came of it."""
        found: list[ContactText] = []
        if self.stopped:
            return found
        for path in self._paths:
            if path.brought and self.standing in path.brought:
                continue
            while self._may_ask(path, now_ms):
                candidate = self._next(path)
                if candidate is None:
                    break
                self._claim(path, candidate, now_ms, pace)
                found.append(candidate.contact)
        if not found and self._nobody_left():
            self._desperate = True
            return self.wanted(now_ms, pace)
        return found

    def answered(
        self, did: Did, contacts: Iterable[ContactText], brought: Iterable[str] = ()
    ) -> None:
        """Take an answer in, late ones too."""
        path, candidate = self._owner[did]
        self._owed.pop(did, None)
        if did in self.answered_by:
            return
        if did in self._failed:
            self._failed.discard(did)
            self.silent -= 1
        path.waiting.pop(did, None)
        self.answered_by[did] = candidate
        insort(path.near, candidate.distance)
        path.brought.update(brought)
        self._count(candidate, 1)
        self._learn(path, contacts, hops=candidate.hops + 1, named_by=did)

    def failed(self, did: Did) -> None:
        """Take note that a question came to nothing: it has ended, late or not."""
        self._owed[did] -= 1
        if self._owed[did] <= 0:
            del self._owed[did]
        self._give_up(did)

    def overdue(self, now_ms: int) -> None:
        """Wait no longer for who is late; end if it has taken too long in all."""
        if now_ms >= self.began_ms + self._limits.lookup_ms:
            self.stopped = True
        for path in self._paths:
            for did in [did for did, one in path.waiting.items() if one.late_ms <= now_ms]:
                self._give_up(did)

    def widen(self, contacts: Iterable[ContactText]) -> None:
        """Ask also who was passed over and is not gone, as far as they are near enough.

        Args:
            contacts: such as were left out of those to begin with.
        """
        self.widened = True
        for path in self._paths:
            path.heap += path.passed
            path.passed = []
            heapify(path.heap)
        for at, contact in enumerate(contacts):
            self._learn(self._paths[at % len(self._paths)], (contact,), hops=1, named_by=None)

    def awaits(self) -> bool:
        """Return whether somebody who is late may answer yet, and is not gone."""
        late = (self._owner[did][1].contact for did in self._owed)
        return not self.stopped and not all(self._gone(contact) for contact in late)

    def stop(self) -> None:
        """End it: what was found is enough."""
        self.stopped = True

    def ended(self) -> bool:
        """Return whether nobody is to be asked or waited for; `wanted` comes first."""
        return self.stopped or all(
            not path.waiting or (path.brought and self.standing in path.brought)
            for path in self._paths
        )

    def due_ms(self, now_ms: int) -> int:
        """Return when `wanted` or `overdue` may say something new without an answer."""
        due = self.began_ms + self._limits.lookup_ms
        for path in self._paths:
            for one in path.waiting.values():
                at_ms = one.slow_ms if one.slow_ms > now_ms else one.late_ms
                due = min(due, at_ms)
        return due

    def closest(self, count: int) -> list[ContactText]:
        """Return who answered, the nearest to the target first."""
        near = nsmallest(count, self.answered_by.values(), key=_distance)
        return [candidate.contact for candidate in near]

    def unasked(self, count: int, besides: Iterable[ContactText]) -> list[ContactText]:
        """Return who was named and not asked, suspects left out, the nearest first.

        Args:
            besides: others who may be such, from elsewhere.
        """
        named = {contact.did: contact for contact in besides}
        named |= {one.contact.did: one.contact for path in self._paths for _, one in path.heap}
        left = (one for did, one in named.items() if did not in self._owner and did != self._own)
        sound = (one for one in left if not self._doubts(one))
        return nsmallest(count, sound, key=lambda one: node_id(one.did) ^ self.target)

    def contact_of(self, did: Did) -> ContactText | None:
        """Return where somebody is, as others said."""
        if did in self._owner:
            return self._owner[did][1].contact
        named = (one for path in self._paths for _, one in path.heap)
        return next((one.contact for one in named if one.contact.did == did), None)

    def hops(self) -> int:
        """Return after how many hops the nearest that answered was heard of."""
        if not self.answered_by:
            return 0
        return min(self.answered_by.values(), key=_distance).hops

    def misled_by(self) -> tuple[Did, ...]:
        """Return who named several contacts of which none answered."""
        return tuple(did for did, (asked, came) in self.named.items() if asked >= 3 and not came)

    def held(self) -> int:
        """Return how many candidates it holds."""
        return sum(len(path.known) + len(path.passed) for path in self._paths)

    def _may_ask(self, path: Path, now_ms: int) -> bool:
        """Return whether a path has room for one more question: slow ones hold it up but little."""
        waiting = path.waiting
        if path.asks >= self._limits.asks_max:
            return False
        if len(waiting) < self._each:
            return True
        brisk = sum(1 for one in waiting.values() if one.slow_ms > now_ms)
        return brisk < self._each and len(waiting) < self._each + self._limits.slow_max

    def _next(self, path: Path) -> Candidate | None:
        """Return the nearest that no path has asked, unless enough nearer ones have answered."""
        heap = path.heap
        while heap:
            distance, candidate = heap[0]
            if candidate.contact.did in self._owner and not self._again(path, candidate):
                heappop(heap)
                continue
            width = self._limits.width
            if len(path.near) >= width and distance > path.near[width - 1]:
                return None
            heappop(heap)
            if self._passes_over(candidate.contact):
                path.passed.append((distance, candidate))
                continue
            if self._crowded(path, candidate):
                continue
            return candidate
        return None

    def _again(self, path: Path, candidate: Candidate) -> bool:
        """Return whether to ask somebody once more who failed at another address.

        While the other question is under way the candidate waits aside.
        """
        did = candidate.contact.did
        _, asked = self._owner[did]
        if did in self.answered_by or asked.contact.addresses == candidate.contact.addresses:
            return False
        if did in self._failed:
            return True
        path.aside.append(candidate)
        return False

    def _passes_over(self, contact: ContactText) -> bool:
        """Return whether others are asked before somebody."""
        if self._desperate:
            return False
        return self._gone(contact) if self.widened else self._doubts(contact)

    def _give_up(self, did: Did) -> None:
        """Wait no longer for an answer; who knows another address may try it."""
        path, _ = self._owner[did]
        if path.waiting.pop(did, None) is None:
            return
        self.silent += 1
        self._failed.add(did)
        for path in self._paths:
            for candidate in path.aside:
                if candidate.contact.did == did:
                    heappush(path.heap, (candidate.distance, candidate))
            path.aside = [one for one in path.aside if one.contact.did != did]

    def _claim(self, path: Path, candidate: Candidate, now_ms: int, pace: Pace) -> None:
        did = candidate.contact.did
        self._owner[did] = path, candidate
        self._failed.discard(did)
        self._owed[did] += 1
        path.waiting[did] = Waiting(candidate, now_ms + pace.slow_ms, now_ms + pace.late_ms)
        path.asks += 1
        self.asked += 1
        self._count(candidate, 0)

    def _count(self, candidate: Candidate, at: int) -> None:
        """Count a contact as asked (0) or as having answered (1) for whoever named it."""
        if candidate.named_by is not None:
            self.named.setdefault(candidate.named_by, [0, 0])[at] += 1

    def _crowded(self, path: Path, candidate: Candidate) -> bool:
        """Return whether a path has asked enough of one address prefix, else count this one."""
        prefixes = self._prefixes(candidate.contact)
        most = self._limits.per_prefix_max
        if any(path.prefixes.get(prefix, 0) >= most for prefix in prefixes):
            return True
        for prefix in prefixes:
            path.prefixes[prefix] = path.prefixes.get(prefix, 0) + 1
        return False

    def _nobody_left(self) -> bool:
        """Return whether suspects are the last to ask; if so, they are candidates again."""
        if self._desperate or self.answered_by or any(path.waiting for path in self._paths):
            return False
        for path in self._paths:
            path.heap, path.passed = path.passed, []
            heapify(path.heap)
        return any(path.heap for path in self._paths)

    def _learn(
        self, path: Path, contacts: Iterable[ContactText], *, hops: int, named_by: Did | None
    ) -> None:
        known, heap, target = path.known, path.heap, self.target
        for contact in contacts:
            did = contact.did
            if did in known:
                continue
            try:
                distance = node_id(did) ^ target
            except ProofError:
                # No key: nobody can ever answer for it.
                continue
            known.add(did)
            heappush(heap, (distance, Candidate(contact, distance, hops, named_by)))


def _distance(candidate: Candidate) -> int:
    return candidate.distance
