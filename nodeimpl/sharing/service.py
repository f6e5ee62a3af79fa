"""Replicas of shared objects in a node: signed, kept and told of in one breath with their cause.

All that changes a replica runs on the writer, in the transaction of whoever wants it, so nobody is
told of an operation before it is on disk, and a change that is undone takes its operations with it.
Who only reads finds what the operations add up to in tables, as of the last commit. The replica in
memory is a copy: the signed operations are what is kept. Source: ADR 0044.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from nodeimpl.kernel.crdt.fold import ObjectSpec
from nodeimpl.kernel.crdt.replica import Replica
from nodeimpl.kernel.crdt.states import AnyState
from nodeimpl.kernel.store import Tx
from nodeimpl.sharing import store as table
from nodeimpl.sharing.specs import CaughtUp, Changed, Judge, SharedSpec, SharingLimits
from nodeimpl.sharing.store import ObjectRow, ValueRow
from nodeimpl.sharing.values import keys_of, row_of, touched
from opkit.proof.canonical import sha256_hex
from opkit.proof.keys import Identity
from opkit.proof.operations import ReadOperation, beginning, reread_operation
from opkit.wire import objects as wire
from opkit.wire.base import Did, Jws, NetworkId, RecordId
from opkit.wire.gateway import StoreBusy
from opkit.wire.operations import Act, ObjectId

FIRST_GENERATION = 1
"""The generation of a journal that was never begun anew: what is not here was never said."""


@dataclass(eq=False)
class Kept:
    """A replica in memory.

    Attributes:
        generation: of the journal, in which this node knew what others have of its own.
        number: how many operations of the object were ever kept.
        fresh: taken in, and not kept yet.
        forks: authors whose forks are kept.
        state: the value that the rows were last brought after; another one has to be written whole.
        hashed: its snapshot's hash, and how many operations it had then.
    """

    spec: SharedSpec
    opening: str
    told_by: str
    replica: Replica
    state: AnyState
    generation: int
    number: int = 0
    fresh: list[ReadOperation] = field(default_factory=list)
    forks: set[Did] = field(default_factory=set)
    hashed: tuple[int, int, RecordId] | None = None

    def __post_init__(self) -> None:
        """Hear of what the replica takes in."""
        self.replica.placed = self._heard

    def _heard(self, read: ReadOperation) -> None:
        self.fresh.append(read)


@dataclass(eq=False)
class Dirty:
    """What of an object has to be written before the group commits; all keys if `whole`."""

    keys: set[str] = field(default_factory=set)
    whole: bool = False


class Sharing:
    """The shared objects of one node. What takes a `Tx` that writes belongs to the writer.

    Attributes:
        generation: the journal's (ADR 0021).
        when_touched: called on the event loop once something new of an object is on disk.
    """

    def __init__(
        self,
        identity: Identity,
        *,
        network: NetworkId,
        generation: int = 0,
        limits: SharingLimits | None = None,
    ) -> None:
        """Sign with the node's key; objects of no domain that called `opener` are refused."""
        self.limits = limits or SharingLimits()
        self.network = network
        self.own = identity.did
        self.generation = generation
        self.when_touched: list[Callable[[ObjectId], None]] = []
        self._identity = identity
        self._judges: dict[str, Judge] = {}
        self._changed: list[tuple[str, Changed]] = []
        self._said_on: list[tuple[str, CaughtUp]] = []
        self._kept: OrderedDict[ObjectId, Kept] = OrderedDict()
        self._heard_out: dict[ObjectId, set[Did]] = {}

    # What domains say before anything is shared.

    def opener(self, prefix: str, judge: Judge) -> None:
        """Let `judge` say what the objects are whose ids begin so, by their openings."""
        assert prefix not in self._judges, f"{prefix} has its judge"
        self._judges[prefix] = judge

    def changed(self, prefix: str, callback: Changed) -> None:
        """Tell `callback` of each operation on objects whose ids begin so, own and heard."""
        self._changed.append((prefix, callback))

    def when_caught_up(self, prefix: str, callback: CaughtUp) -> None:
        """Tell `callback` from when on this node says something of an object again (`may_say`)."""
        self._said_on.append((prefix, callback))

    def shares(self, object_id: ObjectId) -> bool:
        """Return whether a domain of this node knows objects whose ids begin so."""
        return any(object_id.startswith(prefix) for prefix in self._judges)

    # Writing.

    def open(
        self, tx: Tx, object_id: ObjectId, opening: str, *, told_by: Did | None = None
    ) -> bool:
        """Keep an object from now on; return whether it was not kept before.

        Args:
            told_by: the peer that told of it; None if it is opened here.

        Refuses, in this order:
            OpeningRejected: the opening is not that of this object, or the object is none of this
                node's, or of the peer's.
            ObjectsFull: there is no room for one more, and something is signed of each.
        """
        row = table.get_object(tx, object_id)
        if row is not None:
            if row.opening != opening:
                raise wire.OpeningRejected(object_id=object_id, why="it is opened otherwise")
            return False
        spec = self._judge(object_id, opening)
        allowed = spec.founders | spec.readers
        if self.own not in allowed or (told_by is not None and told_by not in allowed):
            raise wire.OpeningRejected(object_id=object_id, why="it is not for both of us")
        self._check_room(tx, told_by)
        kept = self._begin(object_id, spec, opening=opening, told_by=told_by or "")
        if self.generation <= FIRST_GENERATION:
            kept.generation = self.generation
        self._will_change(tx, object_id)
        table.put_object(tx, self._row(object_id, kept))
        self._kept[object_id] = kept
        if told_by is None:
            self._announce_opened(tx, object_id, kept)
        tx.after_commit(lambda: self._touched(object_id))
        return True

    def _announce_opened(self, tx: Tx, object_id: ObjectId, kept: Kept) -> None:
        spec = kept.spec
        founders = tuple(sorted(spec.founders))
        peer = kept.told_by or None
        tx.announce(
            wire.ObjectOpened(object_id=object_id, kind=spec.kind, founders=founders, peer=peer)
        )

    def say(self, tx: Tx, object_id: ObjectId, act: Act) -> RecordId:
        """Sign an act of this node's on an object, keep it, and tell of it once it is committed.

        Refuses, in this order:
            ObjectUnknown: it is not kept here.
            StoreBusy: the journal was begun anew, and too few have said what this node had said.
            OperationRejected: no replica would take it.
            OperationClockAhead: what it would follow is later than clocks may differ.
            OperationNotAuthors: this node may not write to it.
            LogFull: it has no room.
        """
        kept = self._of(tx, object_id)
        if not self.may_say(tx, object_id):
            raise StoreBusy(why=f"others are asked what this node has said of {object_id}")
        self._will_change(tx, object_id)
        token = kept.replica.issue(self._identity, act, tx.now_ms)
        said = kept.fresh[-1]
        assert said.token == token, "what was signed was taken in last"
        self.keep(tx, object_id)
        return said.id

    def may_say(self, tx: Tx, object_id: ObjectId) -> bool:
        """Return whether this node knows what it has said of an object, or has nobody to ask.

        Signing under a number that was used before would be a second history. Refuses:
        ObjectUnknown.
        """
        kept = self._of(tx, object_id)
        return kept.generation >= self.generation or kept.replica.standing.authors == {self.own}

    def keep(self, tx: Tx, object_id: ObjectId, *, peer: Did | None = None) -> int:
        """Keep what its replica has taken in since the last time; return how many operations."""
        kept = self._of(tx, object_id)
        fresh, kept.fresh = kept.fresh, []
        if not fresh:
            return 0
        rows = [
            (object_id, number, read.token) for number, read in enumerate(fresh, kept.number + 1)
        ]
        if kept.told_by and not kept.number:
            self._announce_opened(tx, object_id, kept)
        kept.number += len(fresh)
        tx.many(table.ADD_OPERATION, rows)
        dirty = self._dirty(tx).setdefault(object_id, Dirty())
        if kept.state is not kept.replica.state:
            # Somebody's operations count no more: all was added up anew.
            dirty.whole, kept.state = True, kept.replica.state
        for read in fresh:
            dirty.keys.update(touched(read))
        tx.before_commit(self._flush)
        tx.announce(
            wire.ObjectMerged(
                object_id=object_id, operations=len(fresh), total=len(kept.replica), peer=peer
            )
        )
        self._note_forks(tx, object_id, kept)
        tx.after_commit(lambda: self._touched(object_id))
        counting = [read for read in fresh if not kept.replica.is_void(read.id)]
        for prefix, callback in self._changed:
            if object_id.startswith(prefix):
                for read in counting:
                    callback(tx, object_id, read)
        return len(fresh)

    def caught_up(self, tx: Tx, object_id: ObjectId, peer: Did) -> None:
        """Take note that all is here that another author has.

        A database that was put back from an old copy lacks what its node said since; what others
        keep of it comes back before the node goes on (`say`). Any one of them may be behind itself,
        so more than half of them are heard: what at least half of them had is here then.
        """
        kept = self._of(tx, object_id)
        others = kept.replica.standing.authors - {self.own}
        if kept.generation >= self.generation or peer not in others:
            return
        heard = self._heard_out.setdefault(object_id, set())
        if peer not in heard:
            heard.add(peer)
            tx.if_undone(lambda: heard.discard(peer))
        if 2 * len(heard & others) > len(others):
            self._will_change(tx, object_id)
            kept.generation = self.generation
            self._heard_out.pop(object_id, None)
            self._dirty(tx).setdefault(object_id, Dirty())
            tx.before_commit(self._flush)
            for prefix, callback in self._said_on:
                if object_id.startswith(prefix):
                    callback(tx, object_id)

    def replica(self, tx: Tx, object_id: ObjectId) -> Replica:
        """Return the replica itself, for whoever brings operations; then `keep` them.

        It is another object once what was done to it was undone.

        Refuses: ObjectUnknown.
        """
        kept = self._of(tx, object_id)
        self._will_change(tx, object_id)
        return kept.replica

    def as_it_stands(self, tx: Tx, object_id: ObjectId) -> Replica:
        """Return the replica itself, to look at it on the writer; whoever changes it: `replica`.

        Whoever only looks may be refused afterwards, and the replica stays in memory all the same.

        Refuses: ObjectUnknown.
        """
        return self._of(tx, object_id).replica

    # Reading: in a transaction that writes, with what it has done itself; else as committed.

    def row(self, tx: Tx, object_id: str) -> ObjectRow:
        """Return an object in short. Refuses: ObjectUnknown."""
        if tx.writes:
            return self._row(object_id, self._of(tx, object_id))
        row = table.get_object(tx, object_id)
        if row is None:
            raise wire.ObjectUnknown(object_id=object_id[:129])
        return row

    def values(self, tx: Tx, object_id: ObjectId, begins: str = "") -> list[ValueRow]:
        """Return what stands in an object, by key; of a set, the ids of operations are keys.

        Args:
            begins: only under keys that begin so.

        Refuses: ObjectUnknown.
        """
        if tx.writes:
            state = self._of(tx, object_id).replica.state
            found = (row_of(state, key) for key in keys_of(state, begins))
            return [row for row in found if row is not None]
        self.row(tx, object_id)
        rows, after = [], ""
        while page := table.values(tx, object_id, after):
            rows += [row for row in page if row.key.startswith(begins)]
            after = page[-1].key
        return sorted(rows, key=lambda row: row.key)

    def elements(self, tx: Tx, object_id: ObjectId) -> tuple[str, ...]:
        """Return the values that stand in an object, each once, in order.

        Refuses: ObjectUnknown.
        """
        found = {row.value for row in self.values(tx, object_id) if row.value is not None}
        return tuple(sorted(found))

    def state(self, tx: Tx, object_id: ObjectId) -> RecordId:
        """Return SHA-256 of the object's snapshot, equal on replicas that have the same; writer's.

        Refuses: ObjectUnknown.
        """
        kept = self._of(tx, object_id)
        mark = (kept.replica.base.epoch, len(kept.replica))
        if kept.hashed is None or kept.hashed[:2] != mark:
            kept.hashed = (*mark, sha256_hex(kept.replica.snapshot()))
        return kept.hashed[2]

    def forks(self, tx: Tx) -> list[tuple[ObjectId, Did, Jws, Jws]]:
        """Return the proofs that authors signed two histories, by object and author."""
        return table.forks(tx)

    # How it is kept.

    def _judge(self, object_id: ObjectId, opening: str) -> SharedSpec:
        for prefix, judge in self._judges.items():
            if object_id.startswith(prefix):
                return judge(object_id, opening)
        raise wire.OpeningRejected(object_id=object_id, why="no object of that kind is shared")

    def _check_room(self, tx: Tx, told_by: Did | None) -> None:
        limits = self.limits
        of_peer_max = limits.objects_of_peer_max
        if told_by is not None and table.count_of(tx, told_by) >= of_peer_max:
            self._make_room(tx, table.empty(tx, told_by), limit=of_peer_max)
        if table.count(tx) >= limits.objects_max:
            self._make_room(tx, table.empty(tx), limit=limits.objects_max)

    def _make_room(self, tx: Tx, empty: list[ObjectId], *, limit: int) -> None:
        """Forget the one of some objects that was used longest ago, if nobody signed any of it.

        An opening needs no signature, so it may keep out nothing that is signed.
        """
        used = {object_id: at for at, object_id in enumerate(self._kept, 1)}
        idle = [
            each for each in empty if each not in self._kept or not len(self._kept[each].replica)
        ]
        if not idle:
            raise wire.ObjectsFull(limit=limit)
        oldest = min(idle, key=lambda each: used.get(each, 0))
        self._will_change(tx, oldest)
        self._kept.pop(oldest, None)
        table.drop_object(tx, oldest)

    def _begin(self, object_id: ObjectId, spec: SharedSpec, *, opening: str, told_by: str) -> Kept:
        said = ObjectSpec(
            network=self.network,
            aud=object_id,
            kind=spec.kind,
            admissions_min=spec.admissions_min,
            expulsions_min=spec.expulsions_min,
            permits=spec.permits,
            of_author_max=spec.of_author_max,
        )
        replica = Replica(said, beginning(spec.founders), limits=self.limits.replica)
        return Kept(spec, opening, told_by, replica, state=replica.state, generation=0)

    def _of(self, tx: Tx, object_id: str) -> Kept:
        """Return a replica, read from the database if it is not in memory."""
        assert tx.writes, "replicas are the writer's; who only reads finds rows"
        kept = self._kept.get(object_id)
        if kept is None:
            row = table.get_object(tx, object_id)
            if row is None:
                raise wire.ObjectUnknown(object_id=object_id[:129])
            kept = self._load(tx, row)
            self._kept[object_id] = kept
            tx.before_commit(self._flush)
        self._kept.move_to_end(object_id)
        return kept

    def _load(self, tx: Tx, row: ObjectRow) -> Kept:
        spec = self._judge(row.object_id, row.opening)
        kept = self._begin(row.object_id, spec, opening=row.opening, told_by=row.told_by)
        while page := table.operations(tx, row.object_id, kept.number):
            for number, token in page:
                kept.replica.put_back(reread_operation(token))
                kept.number = number
        kept.state = kept.replica.state
        kept.fresh.clear()
        kept.forks = set(kept.replica.forks)
        kept.generation = row.generation
        return kept

    def _will_change(self, tx: Tx, object_id: ObjectId) -> None:
        """Have the replica read anew if what follows is undone."""
        tx.if_undone(lambda: self._kept.pop(object_id, None))

    def _dirty(self, tx: Tx) -> dict[ObjectId, Dirty]:
        made: dict[ObjectId, Dirty] = {}
        return tx.group.shared(self, lambda: made)

    def _flush(self, tx: Tx) -> None:
        """Bring the rows after the replicas, once for all that one commit did."""
        dirty = self._dirty(tx)
        for object_id in sorted(dirty):
            with suppress(wire.ObjectUnknown):  # Opening it was undone, and all that followed.
                kept, mark = self._of(tx, object_id), dirty[object_id]
                table.put_object(tx, self._row(object_id, kept))
                self._write_values(tx, object_id, kept, mark)
        dirty.clear()
        while len(self._kept) > self.limits.loaded_max:
            self._kept.popitem(last=False)

    def _write_values(self, tx: Tx, object_id: ObjectId, kept: Kept, mark: Dirty) -> None:
        state = kept.replica.state
        if mark.whole:
            table.drop_all_values(tx, object_id)
        keys = keys_of(state) if mark.whole else tuple(sorted(mark.keys))
        found = {key: row_of(state, key) for key in keys}
        table.drop_values(tx, object_id, (key for key, row in found.items() if row is None))
        tx.many(
            table.PUT_VALUE,
            [
                (object_id, key, row.value, row.operation)
                for key, row in found.items()
                if row is not None
            ],
        )

    def _row(self, object_id: ObjectId, kept: Kept) -> ObjectRow:
        replica, standing = kept.replica, kept.replica.standing
        return ObjectRow(
            object_id=object_id,
            opening=kept.opening,
            told_by=kept.told_by,
            generation=kept.generation,
            kind=kept.spec.kind,
            epoch=replica.base.epoch,
            base=replica.base.id,
            heads=replica.frontier().heads,
            heads_hash=replica.heads_hash,
            authors=tuple(sorted(standing.authors)),
            expelled=tuple(sorted(standing.expelled)),
            readers=tuple(sorted(kept.spec.readers)),
            operations=len(replica),
            forks=len(kept.forks),
        )

    def _note_forks(self, tx: Tx, object_id: ObjectId, kept: Kept) -> None:
        for did, (first, second) in kept.replica.forks.items():
            if did in kept.forks:
                continue
            kept.forks.add(did)
            tx.run(table.ADD_FORK, object_id=object_id, did=did, first=first, second=second)
            one, other = reread_operation(first), reread_operation(second)
            tx.announce(
                wire.AuthorForked(
                    object_id=object_id,
                    did=did,
                    epoch=one.operation.epoch,
                    sequence=one.operation.sequence,
                    first=one.id,
                    second=other.id,
                )
            )

    def _touched(self, object_id: ObjectId) -> None:
        for told in self.when_touched:
            told(object_id)
