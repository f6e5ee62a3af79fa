"""What a node answers a question for a name with: what its shelf has, and copies kept aside.

A node near a name keeps its records in the shelf, in the room of their sponsors. One far from it,
which has them from a search or was given them on the way of one, keeps copies: few, for a while,
the shorter the farther it is. So what is asked for often is found early, and no copy outlives by
much what its owner says next. Source: ADR 0030; Maymounkov, Mazieres: Kademlia, section 2.3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from nodeimpl.overlay.namespaces import RULES
from opkit.proof.record import Record, outranks
from opkit.wire.base import Did
from opkit.wire.dht import CONTACTS_MAX
from opkit.wire.records import (
    Carried,
    Namespace,
    RecordName,
    RecordOutdated,
    RecordsExhausted,
)


class ShelfPort(Protocol):
    """What is needed of a shelf (`nodeimpl.overlay.shelf`)."""

    def read(self, carried: Carried) -> Record:
        """Return a record that verifies. Raises `SignedRecordRejected`."""

    def judge(self, record: Record, now_ms: int) -> None:
        """Return if a record is one that its namespace takes."""

    def offer(self, carried: Carried, now_ms: int) -> object:
        """Keep a record, or refuse it; one that stands already is refused as outdated."""

    def get(self, namespace: Namespace, name: RecordName) -> tuple[Carried, ...]:
        """Return what stands under a name, tombstones included."""

    def standing(self, namespace: Namespace, name: RecordName, owner: Did) -> Carried | None:
        """Return what stands of one owner under a name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CopiesLimits:
    """Bounds.

    Attributes:
        names_max: names of which copies are kept; beyond it those kept longest go.
        copy_ms: how long a copy is kept by a node that only just is too far away for its shelf.
        halved_by: of how many more nodes in between each halves that.
        copy_ms_min: how long one is kept at least.
    """

    names_max: int = 1_024
    copy_ms: int = 1_800_000
    halved_by: int = 5
    copy_ms_min: int = 60_000


@dataclass(slots=True)
class Copy:
    """A record kept aside until then."""

    record: Record
    carried: Carried
    until_ms: int


class Copies:
    """The shelf of a node, and the copies beside it."""

    def __init__(self, shelf: ShelfPort, limits: CopiesLimits) -> None:
        """Keep no copy yet."""
        self._shelf = shelf
        self._limits = limits
        self._names: dict[tuple[Namespace, RecordName], dict[Did, Copy]] = {}

    def read(self, carried: Carried) -> Record:
        """Return a record that verifies. Raises `SignedRecordRejected`."""
        return self._shelf.read(carried)

    def judge(self, record: Record, now_ms: int) -> None:
        """Return if a record is one that its namespace takes; refuses as the shelf does."""
        self._shelf.judge(record, now_ms)

    def take(self, record: Record, carried: Carried, *, now_ms: int, nearer: int) -> bool:
        """Keep a record that verifies; return whether it was not here before.

        Args:
            record: what `read` returned of `carried`.
            now_ms: real time.
            nearer: how many nodes nearer to its name this node knows.

        Refuses, in this order:
            SignedRecordRejected, RecordNotOwners, RecordLapsed: as the shelf does.
            RecordOutdated: another record of its owner outranks it.
            RecordsExhausted: there is no room.
        """
        body = record.body
        kept = self._shelf.standing(body.aud, body.name, body.owner)
        if kept is not None and self.read(kept).id == record.id:
            if carried.proof != kept.proof:
                self._vouch(carried, now_ms)
            return False
        if kept is not None or nearer < CONTACTS_MAX:
            self._shelf.offer(carried, now_ms)
            return True
        self.judge(record, now_ms)
        copy = self._live(body.aud, body.name, now_ms).get(body.owner)
        if copy is not None and copy.record.id == record.id:
            return False
        if copy is not None and outranks(_rank(copy.record), _rank(record)):
            raise RecordOutdated(standing_sequence=copy.record.body.sequence)
        self._set_aside(record, carried, now_ms=now_ms, nearer=nearer)
        return True

    def get(self, namespace: Namespace, name: RecordName, now_ms: int) -> tuple[Carried, ...]:
        """Return what stands under a name, of each owner one, from the shelf and from copies."""
        kept = self._shelf.get(namespace, name)
        if (namespace, name) not in self._names:
            return kept
        stands = {record.body.owner: (record, one) for one in kept for record in (self.read(one),)}
        for owner, copy in self._live(namespace, name, now_ms).items():
            other = stands.get(owner)
            if other is None or outranks(_rank(copy.record), _rank(other[0])):
                stands[owner] = copy.record, copy.carried
        return tuple(carried for _, carried in stands.values())

    def lapse(self, now_ms: int) -> None:
        """Drop copies whose time is over."""
        for namespace, name in list(self._names):
            self._live(namespace, name, now_ms)

    def held(self) -> int:
        """Return how many copies there are."""
        return sum(map(len, self._names.values()))

    def _vouch(self, carried: Carried, now_ms: int) -> None:
        """Show the shelf another proof of who vouches for a record that it has."""
        try:
            self._shelf.offer(carried, now_ms)
        except RecordOutdated:
            # It stands already: what counts is what the shelf read in the proof.
            return

    def _live(self, namespace: Namespace, name: RecordName, now_ms: int) -> dict[Did, Copy]:
        owners = self._names.get((namespace, name))
        if owners is None:
            return {}
        for owner in [owner for owner, copy in owners.items() if copy.until_ms <= now_ms]:
            del owners[owner]
        if not owners:
            del self._names[namespace, name]
        return owners

    def _set_aside(self, record: Record, carried: Carried, *, now_ms: int, nearer: int) -> None:
        body, limits = record.body, self._limits
        owners = self._names.setdefault((body.aud, body.name), {})
        if body.owner not in owners and len(owners) >= RULES[body.aud].owners_max:
            raise RecordsExhausted(limit=RULES[body.aud].owners_max)
        halvings = min((nearer - CONTACTS_MAX) // limits.halved_by, 60)
        wait_ms = max(limits.copy_ms >> halvings, limits.copy_ms_min)
        until_ms = min(now_ms + wait_ms, body.lapses_at_ms)
        owners[body.owner] = Copy(record, carried, until_ms)
        if len(self._names) > limits.names_max:
            del self._names[next(iter(self._names))]


def _rank(record: Record) -> tuple[int, bytes]:
    return record.body.sequence, record.id
