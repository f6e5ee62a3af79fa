"""How much room records get: by who vouches for their owner, because keys cost nothing.

Each coop has room of its own, in it each owner, and beside all of them everybody without sponsor
shares one small bucket. Who is displaced, where room is shared, is decided by the place of a
record's key, a hash, and never by who came first: so nodes that were offered the same records
keep the same ones, and have nothing left to reconcile. Source: ADR 0029.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left, insort
from collections.abc import Iterable
from dataclasses import dataclass, field

from opkit.wire.base import Did, Slug
from opkit.wire.records import Carried, Namespace, RecordName, RecordsExhausted

RECORD_BYTES = 2_048
"""What a record costs beside its text: the tables and the tree that it stands in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Room for records; `bytes` count their text with their proof, and `RECORD_BYTES` each.

    How many coops there are is fixed by the genesis, so the whole is bounded as well.

    Attributes:
        coop_records_max: of all whom one coop vouches for; so with bytes.
        namespace_records_max: of these, in one namespace, so that none fills with another's.
        owner_records_max: of one key that somebody vouches for.
        unsponsored_records_max: of all keys together that nobody vouches for.
        unsponsored_owner_records_max: of one of them.
    """

    coop_records_max: int = 65_536
    coop_bytes_max: int = 256 * 2**20
    owner_records_max: int = 16_384
    owner_bytes_max: int = 64 * 2**20
    namespace_records_max: int = 49_152
    namespace_bytes_max: int = 192 * 2**20
    unsponsored_records_max: int = 1_024
    unsponsored_bytes_max: int = 4 * 2**20
    unsponsored_owner_records_max: int = 16


@dataclass(slots=True, eq=False, kw_only=True)
class Entry:
    """A record that is kept.

    Attributes:
        id: SHA-256 of its signing input.
        item: its id among those that two nodes compare (`item_of`).
        place: by which shared room is given (`place_of`).
        floor_until_ms: when the last record lapses that it replaced: until then it stands, so
            that none of them comes back.
        lapsed: its own time is over; it only bars what it replaced.
        listed: it stands in the tree that two nodes compare.
    """

    carried: Carried
    id: bytes
    item: bytes
    place: bytes
    namespace: Namespace
    name: RecordName
    owner: Did
    sequence: int
    lapses_at_ms: int
    sponsor: Slug | None
    floor_until_ms: int
    size_bytes: int
    lapsed: bool = False
    listed: bool = False

    @property
    def rank(self) -> tuple[bool, bytes]:
        """Its place among rivals for shared room; the lowest stays."""
        return self.sponsor is None, self.place


def place_of(namespace: Namespace, name: RecordName, owner: Did) -> bytes:
    """Return where a key stands among those that share room: the same on every node."""
    return hashlib.sha256(f"opkit record room 1\n{namespace}\n{owner}\n{name}".encode()).digest()


def size_of(carried: Carried) -> int:
    """Return how many bytes of room a record takes."""
    return len(carried.jws) + sum(map(len, carried.proof)) + RECORD_BYTES


@dataclass(slots=True)
class Room:
    """How much of a room is taken."""

    records: int = 0
    bytes: int = 0


@dataclass(slots=True)
class Rooms:
    """What is taken of each room of one kind; an empty one is forgotten."""

    taken: dict[str, Room] = field(default_factory=dict)

    def fits(self, key: str, size_bytes: int, *, records_max: int, bytes_max: int) -> bool:
        """Return whether one more record of this size fits."""
        room = self.taken.get(key)
        if room is None:
            return records_max > 0 and size_bytes <= bytes_max
        return room.records < records_max and room.bytes + size_bytes <= bytes_max

    def change(self, key: str, *, records: int, size_bytes: int) -> None:
        """Take room, or give it back."""
        room = self.taken.setdefault(key, Room())
        room.records += records
        room.bytes += size_bytes
        assert room.records >= 0, "more is given back than was taken"
        if room.records == 0:
            del self.taken[key]


class Budgets:
    """Who has how much room, and who has to go."""

    def __init__(self, limits: Limits) -> None:
        """Begin with all of it free."""
        self._limits = limits
        self._coops = Rooms()
        self._owners = Rooms()
        self._namespaces = Rooms()
        self._bucket = Room()
        self._strangers: list[tuple[bytes, bytes]] = []
        self._by_id: dict[bytes, Entry] = {}

    @property
    def unsponsored(self) -> Room:
        """What is taken of the bucket that all without sponsor share."""
        return self._bucket

    def sponsored(self) -> dict[str, Room]:
        """Return what each coop has taken."""
        return dict(self._coops.taken)

    def admit(
        self, entry: Entry, *, rivals: Iterable[Entry], owners_max: int, replaced: Entry | None
    ) -> list[Entry]:
        """Take room for a record; return those that have to go for it.

        Args:
            entry: the record.
            rivals: the records of other owners under its name.
            owners_max: of how many owners there may be records under it.
            replaced: the record of the same owner and name that makes room for it.

        Raises:
            RecordsExhausted: there is no room; nothing has changed.
        """
        if replaced is not None:
            self.release(replaced)
        try:
            leaving = self._under_the_name(entry, list(rivals), owners_max)
            leaving += self._in_its_room(entry, leaving)
        except RecordsExhausted:
            if replaced is not None:
                self._take(replaced)
            raise
        for other in leaving:
            self.release(other)
        self._take(entry)
        return leaving

    def release(self, entry: Entry) -> None:
        """Give back the room of a record."""
        self._change(entry, -1)

    def _take(self, entry: Entry) -> None:
        self._change(entry, 1)

    def _change(self, entry: Entry, by: int) -> None:
        size_bytes = by * entry.size_bytes
        self._owners.change(entry.owner, records=by, size_bytes=size_bytes)
        if entry.sponsor is not None:
            self._coops.change(entry.sponsor, records=by, size_bytes=size_bytes)
            self._namespaces.change(_shelf_of(entry), records=by, size_bytes=size_bytes)
            return
        self._bucket.records += by
        self._bucket.bytes += size_bytes
        rank = (entry.place, entry.id)
        if by > 0:
            insort(self._strangers, rank)
            self._by_id[entry.id] = entry
        else:
            del self._strangers[bisect_left(self._strangers, rank)]
            del self._by_id[entry.id]

    @staticmethod
    def _under_the_name(entry: Entry, rivals: list[Entry], owners_max: int) -> list[Entry]:
        """Return who has to go from under the name."""
        if len(rivals) < owners_max:
            return []
        worst = max(rivals, key=lambda rival: rival.rank)
        if worst.rank < entry.rank:
            raise RecordsExhausted(limit=owners_max)
        return [worst]

    def _in_its_room(self, entry: Entry, leaving: list[Entry]) -> list[Entry]:
        """Return who has to go from the sponsor's room, which is nobody, or from the bucket."""
        limits = self._limits
        if entry.sponsor is None:
            return self._from_the_bucket(entry, leaving)
        rooms = (
            (self._owners, entry.owner, limits.owner_records_max, limits.owner_bytes_max),
            (self._coops, entry.sponsor, limits.coop_records_max, limits.coop_bytes_max),
            (
                self._namespaces,
                _shelf_of(entry),
                limits.namespace_records_max,
                limits.namespace_bytes_max,
            ),
        )
        for room, key, records_max, bytes_max in rooms:
            if not room.fits(key, entry.size_bytes, records_max=records_max, bytes_max=bytes_max):
                raise RecordsExhausted(limit=records_max)
        return []

    def _from_the_bucket(self, entry: Entry, leaving: list[Entry]) -> list[Entry]:
        """Return who has to go from the bucket: nobody, if that would not make room for it."""
        limits = self._limits
        owner_max = limits.unsponsored_owner_records_max
        bytes_max = limits.unsponsored_bytes_max
        if not self._owners.fits(
            entry.owner, entry.size_bytes, records_max=owner_max, bytes_max=bytes_max
        ):
            raise RecordsExhausted(limit=owner_max)
        gone = {other.id: other for other in leaving if other.sponsor is None}
        records = self._bucket.records + 1 - len(gone)
        size_bytes = self._bucket.bytes + entry.size_bytes
        size_bytes -= sum(other.size_bytes for other in gone.values())
        further: list[Entry] = []
        for place, record_id in reversed(self._strangers):
            if records <= limits.unsponsored_records_max and size_bytes <= bytes_max:
                break
            if place < entry.place:
                raise RecordsExhausted(limit=limits.unsponsored_records_max)
            if record_id not in gone:
                further.append(self._by_id[record_id])
                records -= 1
                size_bytes -= further[-1].size_bytes
        if records > limits.unsponsored_records_max or size_bytes > bytes_max:
            raise RecordsExhausted(limit=limits.unsponsored_records_max)
        return further


def _shelf_of(entry: Entry) -> str:
    return f"{entry.sponsor}/{entry.namespace}"
