"""Who did not answer: asked last, looked at again now and then, forgotten in time.

A contact that fails is suspected at once, by whatever question it failed, so that it costs one
time-out and not one in each lookup; two, where nobody else knows what is looked for. Whoever is
heard of by itself is suspected no longer. What others say of it counts for nothing, for they may
not have noticed; but a suspicion is of a key at its addresses, so that nobody can discredit a node
by naming it at a wrong one. Source: ADR 0030.
"""

from __future__ import annotations

from dataclasses import dataclass

from opkit.wire.base import Did
from opkit.wire.dht import ContactText


@dataclass(frozen=True, slots=True, kw_only=True)
class SuspectsLimits:
    """Bounds.

    Attributes:
        count_max: how many are remembered; beyond it the longest known are forgotten.
        retry_ms: after this the first look again; each next one takes three times as long.
        gone_after: failures in a row after which a contact is not even asked for what nobody else
            knows.
        lapse_ms: after this long without a failure a suspicion is forgotten.
    """

    count_max: int = 2_048
    retry_ms: int = 3_000
    gone_after: int = 2
    lapse_ms: int = 1_800_000


@dataclass(slots=True)
class Suspicion:
    """Where a contact failed how often in a row, when it last did, and when to look again."""

    addresses: tuple[str, ...]
    failures: int
    since_ms: int
    retry_ms: int


class Suspects:
    """The contacts of one node that did not answer it.

    Attributes:
        next_ms: before this nobody is due to be looked at again; None if nobody ever is.
    """

    __slots__ = ("_all", "_limits", "next_ms")

    def __init__(self, limits: SuspectsLimits) -> None:
        """Begin without suspicion."""
        self.next_ms: int | None = None
        self._limits = limits
        self._all: dict[Did, Suspicion] = {}

    def doubts(self, contact: ContactText) -> bool:
        """Return whether a contact is suspected at these addresses."""
        found = self._all.get(contact.did)
        return found is not None and found.addresses == contact.addresses

    def gone(self, contact: ContactText) -> bool:
        """Return whether a contact failed so often at these addresses that it hardly lives."""
        return self.doubts(contact) and self._all[contact.did].failures >= self._limits.gone_after

    def failed_ms(self, contact: ContactText) -> int | None:
        """Return when a contact last failed at these addresses, if it is suspected."""
        return self._all[contact.did].since_ms if self.doubts(contact) else None

    def without(self, known: list[tuple[int, ContactText]]) -> list[tuple[int, ContactText]]:
        """Return those of some contacts, each with its distance, that are not suspected."""
        suspected = self._all
        if not suspected:
            return known
        return [one for one in known if one[1].did not in suspected or not self.doubts(one[1])]

    def __len__(self) -> int:
        """Return how many are suspected."""
        return len(self._all)

    def failed(self, contact: ContactText, now_ms: int) -> int:
        """Count a failure; return how many there were in a row at these addresses.

        A look again that is to come is not put off by it.
        """
        before = self._all.pop(contact.did, None)
        if before is not None and before.addresses != contact.addresses:
            before = None
        failures = before.failures + 1 if before else 1
        retry_ms = now_ms + self._limits.retry_ms * 3 ** min(failures - 1, 6)
        if before is not None and before.retry_ms > now_ms:
            retry_ms = min(retry_ms, before.retry_ms)
        self._all[contact.did] = Suspicion(contact.addresses, failures, now_ms, retry_ms)
        if self.next_ms is None or retry_ms < self.next_ms:
            self.next_ms = retry_ms
        if len(self._all) > self._limits.count_max:
            del self._all[next(iter(self._all))]
        return failures

    def clear(self, did: Did) -> bool:
        """Suspect a contact no longer; return whether it was suspected."""
        return bool(self._all) and self._all.pop(did, None) is not None

    def due(self, now_ms: int) -> list[Did]:
        """Return whom to look at again now."""
        if self.next_ms is None or now_ms < self.next_ms:
            return []
        self.next_ms = min((one.retry_ms for one in self._all.values()), default=None)
        return [did for did, found in self._all.items() if found.retry_ms <= now_ms]

    def put_off(self, did: Did, now_ms: int) -> None:
        """Look at a suspect again only when what was asked of it now has ended."""
        if found := self._all.get(did):
            found.retry_ms = now_ms + self._limits.lapse_ms

    def lapse(self, now_ms: int) -> None:
        """Forget who has not failed for long: the oldest suspicions come first."""
        before_ms = now_ms - self._limits.lapse_ms
        while self._all:
            did, found = next(iter(self._all.items()))
            if found.since_ms > before_ms:
                return
            del self._all[did]
