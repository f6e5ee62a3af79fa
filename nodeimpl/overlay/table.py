"""The routing table: few contacts far away, many nearby, and old ones that live before new ones.

A contact enters only after its holder was heard of itself: by an answer, or by a question over a
link that proves its key. A full bucket keeps whom it has; newcomers wait aside until one fails.
Somebody who makes keys by the thousand so finds the places taken. Source: ADR 0030; Maymounkov,
Mazieres: Kademlia (2002), sections 2.2 and 4.1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from nodeimpl.overlay.port import node_id
from nodeimpl.overlay.suspects import Suspects, SuspectsLimits
from opkit.wire.base import Did
from opkit.wire.dht import CONTACTS_MAX, ContactText

Prefix = Callable[[str], str | None]
"""Of an address, the part of which all that share it are easily one person's, as the transport
knows; None where there is no bound."""

PLACE_BITS = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class TableLimits:
    """Bounds.

    Attributes:
        bucket_max: contacts in a bucket (k).
        spare_max: newcomers that wait aside for a place in a full bucket.
        per_prefix_max: contacts of one address prefix in a bucket, and as many aside.
        failures_max: failures in a row after which a contact is dropped.
        fresh_ms: who was heard of in this time need not be asked whether they live.
    """

    bucket_max: int = CONTACTS_MAX
    spare_max: int = 10
    per_prefix_max: int = 2
    failures_max: int = 3
    fresh_ms: int = 60_000
    suspects: SuspectsLimits = field(default_factory=SuspectsLimits)


@dataclass(slots=True)
class Known:
    """A contact in the table: `place` is its id, `heard_ms` when it was last heard of itself."""

    contact: ContactText
    place: int
    heard_ms: int
    prefixes: frozenset[str]


@dataclass(slots=True)
class Bucket:
    """Contacts in one range of distance, who was heard of longest ago first.

    `looked_ms` is when a lookup last went into this range.
    """

    looked_ms: int
    live: dict[Did, Known] = field(default_factory=dict)
    spare: dict[Did, Known] = field(default_factory=dict)


class Table:
    """The contacts that one node knows."""

    def __init__(self, own: Did, *, limits: TableLimits, prefix: Prefix | None = None) -> None:
        """Begin empty; `own` is never in it."""
        self.own = own
        self.place = node_id(own)
        self.suspects = Suspects(limits.suspects)
        self._limits = limits
        self._prefix = prefix
        self._buckets: dict[int, Bucket] = {}
        self._order: list[int] = []
        self._size = 0

    def __len__(self) -> int:
        """Return how many contacts are in it."""
        return self._size

    def __contains__(self, did: Did) -> bool:
        """Return whether a contact is in it."""
        return self.get(did) is not None

    def get(self, did: Did) -> ContactText | None:
        """Return a contact of the table."""
        bucket = self._buckets.get(self._index(node_id(did)))
        known = bucket.live.get(did) if bucket else None
        return known.contact if known else None

    def heard(
        self, contact: ContactText, now_ms: int, *, own_word: bool = True
    ) -> ContactText | None:
        """Take note that a contact's holder itself was heard of.

        Args:
            own_word: whether it said itself where it is; else what the table has is kept.

        Returns:
            The contact for whose place it waits and that should be asked whether it lives, if any.
        """
        did = contact.did
        if did == self.own:
            return None
        self.suspects.clear(did)
        place = node_id(did)
        bucket = self._bucket(self._index(place), now_ms)
        live = bucket.live
        known = live.pop(did, None)
        if known is not None:
            known.heard_ms = now_ms
            if own_word:
                self._renew(known, contact, bucket)
            live[did] = known
            return None
        known = Known(contact, place, now_ms, self.prefixes(contact))
        bucket.spare.pop(did, None)
        if len(live) < self._limits.bucket_max:
            self._admit(known, bucket)
            return None
        return self._set_aside(known, bucket, now_ms)

    def alive(self, did: Did, now_ms: int) -> bool:
        """Take note that a key's holder was heard of; return whether it is in the table."""
        self.suspects.clear(did)
        bucket = self._buckets.get(self._index(node_id(did)))
        known = bucket.live.pop(did, None) if bucket else None
        if bucket is None or known is None:
            return False
        known.heard_ms = now_ms
        bucket.live[did] = known
        return True

    def failed(self, contact: ContactText, now_ms: int) -> bool:
        """Take note that a contact did not answer; return whether it was dropped for it."""
        failures = self.suspects.failed(contact, now_ms)
        did = contact.did
        index = self._index(node_id(did))
        bucket = self._buckets.get(index)
        if bucket is None:
            return False
        bucket.spare.pop(did, None)
        known = bucket.live.get(did)
        if known is None or failures < self._limits.failures_max:
            return False
        if known.contact.addresses != contact.addresses:
            return False
        del bucket.live[did]
        self._size -= 1
        self._promote(bucket)
        if not bucket.live:
            del self._buckets[index]
            self._order.remove(index)
        return True

    def nearest(self, target: int, count: int, *, suspects: bool = False) -> list[ContactText]:
        """Return the contacts nearest to a place, the nearest first.

        Args:
            target: the place.
            count: how many at most.
            suspects: whether also those that did not answer of late.
        """
        found: list[ContactText] = []
        for index in self._outwards(target):
            known = [
                (one.place ^ target, one.contact) for one in self._buckets[index].live.values()
            ]
            if not suspects:
                known = self.suspects.without(known)
            # No two have one distance, so contacts are never compared.
            known.sort()
            found += [contact for _, contact in known[: count - len(found)]]
            if len(found) == count:
                break
        return found

    def nearer(self, target: int) -> int:
        """Return how many contacts of the table are nearer to a place than this node itself."""
        distance = target ^ self.place
        return sum(len(self._buckets[index].live) for index in self._order if distance >> index & 1)

    def looked(self, target: int, now_ms: int) -> None:
        """Take note that a lookup goes to a place: its range need not be refreshed soon."""
        bucket = self._buckets.get(self._index(target)) if target != self.place else None
        if bucket is not None:
            bucket.looked_ms = now_ms

    def unlooked(self, before_ms: int) -> list[int]:
        """Return the ranges, by their index, into which no lookup went since."""
        return [i for i in self._order if self._buckets[i].looked_ms < before_ms]

    def looked_ms(self, now_ms: int) -> int:
        """Return when a lookup last went into the range where that is longest ago."""
        return min((bucket.looked_ms for bucket in self._buckets.values()), default=now_ms)

    def ranges(self) -> dict[int, tuple[int, int]]:
        """Return for each range in use how many contacts it has, and how many wait aside."""
        return {
            index: (len(self._buckets[index].live), len(self._buckets[index].spare))
            for index in self._order
        }

    def __iter__(self) -> Iterator[Known]:
        """Iterate over all that are in it, the nearest ranges first."""
        for index in self._order:
            yield from self._buckets[index].live.values()

    def aside(self) -> int:
        """Return how many wait aside."""
        return sum([len(bucket.spare) for bucket in self._buckets.values()])

    def spares(self) -> Iterator[Known]:
        """Iterate over all that wait aside."""
        for index in self._order:
            yield from self._buckets[index].spare.values()

    def prefixes(self, contact: ContactText) -> frozenset[str]:
        """Return the prefixes of a contact's addresses, as far as they are bounded.

        All that do not say where they are share one: they may as easily be one person's.
        """
        if self._prefix is None:
            return _NONE
        if not contact.addresses:
            return _NOWHERE
        return frozenset(p for p in map(self._prefix, contact.addresses) if p is not None)

    def _index(self, place: int) -> int:
        return (place ^ self.place).bit_length() - 1

    def _outwards(self, target: int) -> list[int]:
        """Return the ranges in use, by their distance from `target`: they do not overlap."""
        distance = target ^ self.place
        order = self._order
        inward = [index for index in reversed(order) if distance >> index & 1]
        return inward + [index for index in order if not distance >> index & 1]

    def _bucket(self, index: int, now_ms: int) -> Bucket:
        bucket = self._buckets.get(index)
        if bucket is None:
            bucket = self._buckets[index] = Bucket(now_ms)
            self._order.append(index)
            self._order.sort()
        return bucket

    def _renew(self, known: Known, contact: ContactText, bucket: Bucket) -> None:
        """Note where a contact of `bucket`, taken out of it for now, is to be dialled from now."""
        if contact is known.contact or contact.addresses == known.contact.addresses:
            return
        prefixes = self.prefixes(contact)
        if self._has_room(prefixes, bucket.live):
            known.contact, known.prefixes = contact, prefixes

    def _admit(self, known: Known, bucket: Bucket) -> bool:
        if not self._has_room(known.prefixes, bucket.live):
            return False
        bucket.live[known.contact.did] = known
        self._size += 1
        return True

    def _set_aside(self, known: Known, bucket: Bucket, now_ms: int) -> ContactText | None:
        oldest = next(iter(bucket.live.values()))
        if self._has_room(known.prefixes, bucket.spare):
            bucket.spare[known.contact.did] = known
            if len(bucket.spare) > self._limits.spare_max:
                del bucket.spare[next(iter(bucket.spare))]
        if oldest.heard_ms > now_ms - self._limits.fresh_ms:
            return None
        return None if self.suspects.doubts(oldest.contact) else oldest.contact

    def _promote(self, bucket: Bucket) -> None:
        """Give the free place to whoever waits aside and was heard of last."""
        for did in reversed(bucket.spare):
            if self._admit(bucket.spare[did], bucket):
                del bucket.spare[did]
                return

    def _has_room(self, prefixes: frozenset[str], among: dict[Did, Known]) -> bool:
        others = (known.prefixes for known in among.values())
        return _has_room(prefixes, others, self._limits.per_prefix_max)


_NONE: frozenset[str] = frozenset()
_NOWHERE = frozenset({""})


def _has_room(prefixes: frozenset[str], others: Iterable[frozenset[str]], count_max: int) -> bool:
    """Return whether for each of `prefixes` fewer than `count_max` of `others` have it."""
    if not prefixes:
        return True
    met = dict.fromkeys(prefixes, 0)
    for other in others:
        for prefix in prefixes & other:
            met[prefix] += 1
    return all(count < count_max for count in met.values())
