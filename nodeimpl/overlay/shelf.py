"""What a node keeps of other people's records, and which of two it believes.

Everything that reaches a node by whatever way is offered here, and is kept only if it verifies, is
what its namespace takes, outranks what stands, and finds room. Which record stands follows from
the records that were seen and never from their order. Source: ADR 0029.
"""

from __future__ import annotations

import hashlib
import heapq
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from nodeimpl.overlay.budgets import Budgets, Entry, Limits, Room, place_of, size_of
from nodeimpl.overlay.fingerprints import Fingerprints
from nodeimpl.overlay.namespaces import RECONCILED, RULES, judge
from opkit.proof.checks import ProofError
from opkit.proof.record import SKEW_MS, Equivocation, Record, Verifier, outranks
from opkit.wire.base import Did, Slug
from opkit.wire.reconcile import ReconciledNamespace
from opkit.wire.records import (
    Carried,
    Namespace,
    RecordName,
    RecordOutdated,
    RecordsExhausted,
    SignedRecordRejected,
)

NEARLY_MS = 2 * SKEW_MS
"""A record that lapses within this time is offered to nobody: a clock may differ by so much."""

EQUIVOCATIONS_MAX = 256
"""Of how many owners with a sponsor evidence is kept that they said two things."""

STRANGERS_EQUIVOCATIONS_MAX = 32
"""Of how many owners without one."""

NOTES_MAX = 1_024
"""How many notes wait for the driver; more are counted and dropped."""

_SET = {"jws", "proof"}

SPARE = 1_024
"""How many entries of the time table may be of records that are gone, before it is made anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A record was kept that was not before.

    Attributes:
        id: SHA-256 of its signing input.
        replaced: the id of what it took the place of; None if nothing of that owner stood there.
    """

    carried: Carried
    id: bytes
    namespace: Namespace
    name: RecordName
    owner: Did
    sequence: int
    issued_at_ms: int
    sponsor: Slug | None
    replaced: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EquivocationSeen:
    """An owner signed two records of one sequence; the node keeps both.

    Attributes:
        sponsored: somebody vouches for the owner, so there are not any number of such.
    """

    evidence: Equivocation
    sponsored: bool


class Shelf:
    """The records that a node keeps.

    Attributes:
        on_kept: called with every record that is new here, in order.
        on_changed: called with namespace, name and owner whenever another record is there than was,
            or none, or with another proof.
        on_compared: by namespace, called with a record that was offered and the one of the same
            owner and name that stood here, whichever then stands.
        notes: what operators should hear of; whoever drives takes it (`take_notes`).
        counts: how often what happened.
    """

    def __init__(self, verifier: Verifier, limits: Limits | None = None) -> None:
        """Keep nothing yet; read through `verifier`, which others may share."""
        self.on_kept: list[Callable[[Kept], None]] = []
        self.on_changed: list[Callable[[Namespace, RecordName, Did], None]] = []
        self.on_compared: dict[Namespace, Callable[[Carried, Carried], None]] = {}
        self.notes: list[EquivocationSeen] = []
        self.counts: Counter[str] = Counter()
        self._verifier = verifier
        self._budgets = Budgets(limits or Limits())
        self._names: dict[tuple[Namespace, RecordName], dict[Did, Entry]] = {}
        self._by_id: dict[bytes, Entry] = {}
        self._by_item: dict[bytes, Entry] = {}
        self._trees: dict[str, Fingerprints] = {name: Fingerprints() for name in RECONCILED}
        self._times: list[tuple[int, bytes]] = []
        self._evidence: dict[Did, Equivocation] = {}
        self._strangers_evidence: dict[Did, Equivocation] = {}

    def read(self, carried: Carried) -> Record:
        """Return a record that verifies, whatever else there is to say about it.

        Raises:
            SignedRecordRejected: it does not.
        """
        try:
            return self._verifier.read(carried.jws)
        except ProofError as bad:
            raise SignedRecordRejected(why=bad.why) from bad

    def check(self, carried: Carried, now_ms: int) -> Record:
        """Return a record that any node would take now that has room and nothing that outranks it.

        Refuses, in this order:
            SignedRecordRejected: it does not verify, or is not what its namespace takes.
            RecordNotOwners: the name is not this owner's to write.
            RecordLapsed: its time is over.
        """
        record = self.read(carried)
        self.judge(record, now_ms)
        return record

    def judge(self, record: Record, now_ms: int) -> None:
        """Return if a record that verifies is one that its namespace takes; refuses as `check`."""
        judge(record, genesis=self._verifier.genesis, now_ms=now_ms)

    def offer(self, carried: Carried, now_ms: int) -> Kept:
        """Keep a record, or refuse it.

        Refuses, in this order:
            SignedRecordRejected: it does not verify, or is not what its namespace takes.
            RecordNotOwners: the name is not this owner's to write.
            RecordLapsed: its time is over.
            RecordOutdated: it stands already, or one that outranks it.
            RecordsExhausted: there is no room.
        """
        self.tick(now_ms)
        record = self.read(carried)
        known = self._by_id.get(record.id)
        if known is not None:
            self._vouch(known, carried, now_ms)
            raise RecordOutdated(standing_sequence=known.sequence)
        self.judge(record, now_ms)
        body = record.body
        sponsor = self._verifier.sponsor(body.owner, carried.proof)
        standing = self._names.get((body.aud, body.name), {}).get(body.owner)
        if standing is not None:
            self._compare(record, standing, sponsor)
            if sponsor is None and standing.sponsor is not None:
                # What showed it for the owner's last record shows it for this one.
                carried = Carried.model_construct(jws=carried.jws, proof=standing.carried.proof)
                sponsor = standing.sponsor
        entry = _entry(record, carried, sponsor=sponsor, replaced=standing)
        self._place(entry, standing, now_ms)
        return self._tell(entry, standing, body.issued_at_ms)

    def get(self, namespace: Namespace, name: RecordName) -> tuple[Carried, ...]:
        """Return what stands under a name, tombstones included, of each owner one.

        Records with a sponsor come first; the order is the same on every node.
        """
        owners = self._names.get((namespace, name))
        if owners is None:
            return ()
        standing = sorted(
            (entry for entry in owners.values() if not entry.lapsed), key=lambda entry: entry.rank
        )
        return tuple(entry.carried for entry in standing)

    def standing(self, namespace: Namespace, name: RecordName, owner: Did) -> Carried | None:
        """Return what stands of one owner under a name."""
        entry = self._names.get((namespace, name), {}).get(owner)
        return None if entry is None or entry.lapsed else entry.carried

    def kept(
        self, namespace: Namespace, name: RecordName, owner: Did
    ) -> tuple[Carried, int] | None:
        """Return what is here of one owner under a name, if only as a bar, and until when."""
        entry = self._names.get((namespace, name), {}).get(owner)
        return None if entry is None else (entry.carried, entry.floor_until_ms)

    def bar(self, carried: Carried, *, until_ms: int, now_ms: int) -> None:
        """Keep what a record replaced from coming back until then, as it was before a restart.

        A record that stands here bars it so long; one that lapsed is kept for nothing else. If
        another one of its owner is here, or there is no room, nothing happens.

        Raises:
            SignedRecordRejected: it does not verify.
        """
        record = self.read(carried)
        body = record.body
        standing = self._names.get((body.aud, body.name), {}).get(body.owner)
        if standing is None and body.lapses_at_ms <= now_ms < until_ms:
            sponsor = self._verifier.sponsor(body.owner, carried.proof)
            entry = _entry(record, carried, sponsor=sponsor, replaced=None)
            entry.floor_until_ms = until_ms
            with suppress(RecordsExhausted):
                self._place(entry, None, now_ms)
        elif standing is not None and standing.id == record.id:
            standing.floor_until_ms = max(standing.floor_until_ms, until_ms)

    def by_id(self, record_id: bytes) -> Carried | None:
        """Return the record with this id, if it stands here and is not about to lapse."""
        entry = self._by_id.get(record_id)
        return entry.carried if entry is not None and entry.listed else None

    def by_item(self, item: bytes) -> Carried | None:
        """Return the record with this id among those that nodes compare, as `by_id` does."""
        entry = self._by_item.get(item)
        return entry.carried if entry is not None and entry.listed else None

    def has_id(self, record_id: bytes) -> bool:
        """Return whether the record is here, though it may only bar others, or soon lapse."""
        return record_id in self._by_id

    def item(self, carried: Carried) -> bytes:
        """Return a record's id among those that nodes compare, whether or not it is here.

        Raises:
            SignedRecordRejected: it does not verify.
        """
        record = self.read(carried)
        return item_of(record.id, self._verifier.sponsor(record.body.owner, carried.proof))

    def ids(self, namespace: ReconciledNamespace) -> Fingerprints:
        """Return the ids that two nodes compare of a namespace (`item_of`), to be looked at."""
        return self._trees[namespace]

    def sponsor(self, record_id: bytes) -> Slug | None:
        """Return who vouches for a record that is here."""
        entry = self._by_id.get(record_id)
        return None if entry is None else entry.sponsor

    def equivocations(self) -> tuple[Equivocation, ...]:
        """Return the evidence that owners said two things, at most one of each."""
        return (*self._evidence.values(), *self._strangers_evidence.values())

    def tick(self, now_ms: int) -> None:
        """Drop what has lapsed, and what kept others from coming back and need not any more."""
        times = self._times
        while times and times[0][0] <= now_ms:
            _, record_id = heapq.heappop(times)
            entry = self._by_id.get(record_id)
            if entry is not None:
                self._age(entry, now_ms)

    def due_ms(self) -> int | None:
        """Return when `tick` is wanted next."""
        times = self._times
        while times and times[0][1] not in self._by_id:
            heapq.heappop(times)
        return times[0][0] if times else None

    def take_notes(self) -> list[EquivocationSeen]:
        """Return what operators should hear of, once."""
        taken, self.notes = self.notes, []
        return taken

    def held(self) -> dict[str, int]:
        """Return how many of each there are: what the limits bound."""
        rooms = self._budgets.sponsored().values()
        return {
            "records": len(self._by_id),
            "sponsored": sum(room.records for room in rooms),
            "sponsored_bytes": sum(room.bytes for room in rooms),
            "unsponsored": self._budgets.unsponsored.records,
            "unsponsored_bytes": self._budgets.unsponsored.bytes,
            "equivocations": len(self._evidence) + len(self._strangers_evidence),
            "times": len(self._times),
            "notes": len(self.notes),
        }

    def rooms(self) -> dict[Slug | None, Room]:
        """Return what each sponsor's owners take of the room, and those without one (None)."""
        rooms: dict[Slug | None, Room] = {None: self._budgets.unsponsored}
        return rooms | self._budgets.sponsored()

    def by_namespace(self) -> dict[Namespace, int]:
        """Return how many records are here of each namespace that has any."""
        found: Counter[Namespace] = Counter()
        for (namespace, _), owners in self._names.items():
            found[namespace] += len(owners)
        return dict(found)

    def names(self, namespace: Namespace) -> tuple[RecordName, ...]:
        """Return the names of a namespace under which something is here."""
        return tuple(name for aud, name in self._names if aud == namespace)

    def _tell(self, entry: Entry, standing: Entry | None, issued_at_ms: int) -> Kept:
        """Say that a record was kept."""
        kept = Kept(
            carried=entry.carried,
            id=entry.id,
            namespace=entry.namespace,
            name=entry.name,
            owner=entry.owner,
            sequence=entry.sequence,
            issued_at_ms=issued_at_ms,
            sponsor=entry.sponsor,
            replaced=None if standing is None else standing.id,
        )
        self.counts["kept"] += 1
        for tell in self.on_kept:
            tell(kept)
        return kept

    def _compare(self, record: Record, standing: Entry, sponsor: Slug | None) -> None:
        """Return if a record outranks what stands; keep both if their owner said two things.

        Raises:
            RecordOutdated: it does not.
        """
        body = record.body
        compared = self.on_compared.get(body.aud)
        if compared is not None:
            compared(Carried.model_construct(jws=record.token), standing.carried)
        if body.sequence == standing.sequence:
            self._expose(record, standing, sponsor)
        if not outranks((body.sequence, record.id), (standing.sequence, standing.id)):
            raise RecordOutdated(standing_sequence=standing.sequence)

    def _expose(self, record: Record, standing: Entry, sponsor: Slug | None) -> None:
        """Keep the evidence that an owner said two things, if there is none of them yet."""
        of_whom, limit = self._evidence, EQUIVOCATIONS_MAX
        if sponsor is None and standing.sponsor is None:
            of_whom, limit = self._strangers_evidence, STRANGERS_EQUIVOCATIONS_MAX
        if standing.owner in of_whom:
            return
        self.counts["equivocations"] += 1
        if len(of_whom) >= limit:
            del of_whom[next(iter(of_whom))]
        pair = sorted(((record.id, record.token), (standing.id, standing.carried.jws)))
        evidence = Equivocation(
            owner=standing.owner,
            namespace=standing.namespace,
            name=standing.name,
            sequence=standing.sequence,
            first=pair[0][1],
            second=pair[1][1],
        )
        of_whom[standing.owner] = evidence
        if len(self.notes) >= NOTES_MAX:
            self.counts["notes dropped"] += 1
        else:
            sponsored = of_whom is self._evidence
            self.notes.append(EquivocationSeen(evidence=evidence, sponsored=sponsored))

    def _vouch(self, known: Entry, carried: Carried, now_ms: int) -> None:
        """Move a record that is here to the room of whoever the new proof shows to vouch for it.

        A proof is not under the owner's signature: who hands a record on may have left it out.
        """
        if carried.proof == known.carried.proof:
            return
        sponsor = self._verifier.sponsor(known.owner, carried.proof)
        if sponsor is None or (known.sponsor is not None and known.sponsor <= sponsor):
            return
        entry = _entry(self.read(carried), carried, sponsor=sponsor, replaced=known)
        try:
            self._place(entry, known, now_ms)
        except RecordsExhausted:
            self.counts["not vouched"] += 1

    def _place(self, entry: Entry, standing: Entry | None, now_ms: int) -> None:
        """Put a record where it belongs, and take away what has to go for it.

        Raises:
            RecordsExhausted: there is no room; nothing has changed.
        """
        owners = self._names.get((entry.namespace, entry.name), {})
        rivals = [other for other in owners.values() if other is not standing]
        leaving = self._budgets.admit(
            entry,
            rivals=rivals,
            owners_max=RULES[entry.namespace].owners_max,
            replaced=standing,
        )
        if standing is not None:
            self._forget(standing)
        for other in leaving:
            self._forget(other)
            self.counts["displaced"] += 1
        owners = self._names.setdefault((entry.namespace, entry.name), {})
        owners[entry.owner] = entry
        self._by_id[entry.id] = entry
        self._by_item[entry.item] = entry
        self._list(entry)
        self._changed(entry)
        self._age(entry, now_ms)

    def _list(self, entry: Entry) -> None:
        entry.listed = True
        tree = self._trees.get(entry.namespace)
        if tree is not None:
            tree.add(entry.item)

    def _unlist(self, entry: Entry) -> None:
        entry.listed = False
        tree = self._trees.get(entry.namespace)
        if tree is not None:
            tree.discard(entry.item)

    def _forget(self, entry: Entry) -> None:
        """Take a record out of all tables; its room was given back."""
        if entry.listed:
            self._unlist(entry)
        key = (entry.namespace, entry.name)
        owners = self._names[key]
        del owners[entry.owner]
        if not owners:
            del self._names[key]
        del self._by_id[entry.id]
        del self._by_item[entry.item]
        self._changed(entry)

    def _changed(self, entry: Entry) -> None:
        for tell in self.on_changed:
            tell(entry.namespace, entry.name, entry.owner)

    def _age(self, entry: Entry, now_ms: int) -> None:
        """Bring a record to where it belongs at this time of its life."""
        if entry.listed and now_ms >= entry.lapses_at_ms - NEARLY_MS:
            self._unlist(entry)
        if now_ms >= entry.floor_until_ms:
            self._budgets.release(entry)
            self._forget(entry)
            self.counts["lapsed"] += 1
            return
        if now_ms >= entry.lapses_at_ms:
            entry.lapsed = True
            self._await(entry.floor_until_ms, entry)
        elif not entry.listed:
            self._await(entry.lapses_at_ms, entry)
        else:
            self._await(entry.lapses_at_ms - NEARLY_MS, entry)

    def _await(self, at_ms: int, entry: Entry) -> None:
        """Have a record looked at again; what is left over of others is cleared now and then."""
        heapq.heappush(self._times, (at_ms, entry.id))
        if len(self._times) > 2 * len(self._by_id) + SPARE:
            self._times = [time for time in set(self._times) if time[1] in self._by_id]
            heapq.heapify(self._times)


def item_of(record_id: bytes, sponsor: Slug | None) -> bytes:
    """Return a record's id among those that two nodes compare.

    The record's id stands for key, sequence and content. Who vouches for it is in it as well, so
    that a copy whose proof somebody left out on the way is mended like a missing record.
    """
    said = b"opkit record item 1\n" + record_id + (sponsor or "").encode("ascii")
    return hashlib.sha256(said).digest()


def _entry(
    record: Record, carried: Carried, *, sponsor: Slug | None, replaced: Entry | None
) -> Entry:
    body = record.body
    floor_until_ms = 0 if replaced is None else replaced.floor_until_ms
    return Entry(
        # There are many: what pydantic notes of each is the same for all.
        carried=Carried.model_construct(_SET, jws=carried.jws, proof=carried.proof),
        id=record.id,
        item=item_of(record.id, sponsor),
        place=place_of(body.aud, body.name, body.owner),
        namespace=body.aud,
        name=body.name,
        owner=sys.intern(body.owner),  # One text for all of an owner's records.
        sequence=body.sequence,
        lapses_at_ms=body.lapses_at_ms,
        sponsor=sponsor,
        floor_until_ms=max(body.lapses_at_ms, floor_until_ms),
        size_bytes=size_of(carried),
    )
