"""One replica of an object: takes what verifies, in whatever order, and tells what others lack.

It does no I/O: whoever drives it carries operations, keeps the signed texts, and says what time it
is. Two replicas with the same operations that count have the same bytes (`snapshot`), whatever came
first, came twice, or was said twice by one author. Source: ADR 0043.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum

from nodeimpl.kernel.crdt.authority import Authority, Standing
from nodeimpl.kernel.crdt.fold import (
    Cut,
    ObjectSpec,
    apply_all,
    checkpoint_of,
    cut_of,
    read_snapshot,
    snapshot_of,
)
from nodeimpl.kernel.crdt.hlc import Hlc, check_skew
from nodeimpl.kernel.crdt.limits import RELEASES_MAX, ReplicaLimits
from nodeimpl.kernel.crdt.log import Control, Entry, Log, cites_of
from nodeimpl.kernel.crdt.past import check_past
from nodeimpl.kernel.crdt.room import check_room
from nodeimpl.kernel.crdt.states import STATES, AnyState
from nodeimpl.kernel.crdt.told import OPERATIONS_GIVEN_MAX, Delta, Frontier
from nodeimpl.kernel.crdt.waiting import Waiting
from opkit.proof import jws
from opkit.proof.canonical import sha256_hex
from opkit.proof.checks import ProofError
from opkit.proof.keys import Identity
from opkit.proof.operations import (
    Base,
    ReadOperation,
    checkpoint_id,
    read_checkpoint,
    read_next,
    read_operation,
    sign_checkpoint,
    sign_operation,
)
from opkit.wire.base import Did, Jws, RecordId
from opkit.wire.errors import Refusal
from opkit.wire.operations import (
    HEADS_MAX,
    PARENTS_MAX,
    TICK_MAX,
    Act,
    AdmitAct,
    Checkpoint,
    CheckpointRejected,
    EpochOver,
    ExpelAct,
    Operation,
    OperationNotAuthors,
    OperationRejected,
)


class Taken(StrEnum):
    """What became of an operation: `WAITING` ones lack what they follow."""

    NEW = "new"
    KNOWN = "known"
    WAITING = "waiting"


class Replica:
    """What one node has of an object.

    Attributes:
        base: what the epoch began with.
        state: the value, of the kind of the object.
        counts: how often what happened, to be measured.
        placed: told of each operation that was taken in, after all that it follows.
    """

    def __init__(
        self, spec: ObjectSpec, base: Base, *, limits: ReplicaLimits | None = None
    ) -> None:
        """Begin with nothing but who may begin."""
        self.spec = spec
        self.limits = limits or ReplicaLimits()
        self.counts: Counter[str] = Counter()
        self.placed: Callable[[ReadOperation], None] = lambda _read: None
        self._begin(base, STATES[spec.kind]())

    def _begin(self, base: Base, begun: AnyState) -> None:
        self.base = base
        self.state: AnyState = begun.copy()
        self._begun = begun
        self._log = Log()
        self._control: set[RecordId] = set()
        self._authority = self._judge_of(base)
        self._waiting = Waiting(self.spec.of_author_max or self.limits.waiting_max)
        self._releases_left = RELEASES_MAX
        self._forks: dict[Did, tuple[RecordId, RecordId]] = {}

    def _judge_of(self, base: Base) -> Authority:
        return Authority(
            base,
            self._log,
            admissions_min=self.spec.admissions_min,
            expulsions_min=self.spec.expulsions_min,
        )

    def __len__(self) -> int:
        """Return how many operations there are since the last checkpoint."""
        return len(self._log)

    def __contains__(self, operation: RecordId) -> bool:
        """Return whether an operation is here, in its past."""
        return operation in self._log.entries

    @property
    def standing(self) -> Standing:
        """Who is an author after all that is here."""
        return self._authority.standing

    @property
    def forks(self) -> dict[Did, tuple[Jws, Jws]]:
        """Authors who signed two operations under one number, with two that prove it."""
        entries = self._log.entries
        return {did: (entries[a].token, entries[b].token) for did, (a, b) in self._forks.items()}

    @property
    def fork_ids(self) -> dict[Did, tuple[RecordId, RecordId]]:
        """The same by ids, in order, as an expulsion cites them."""
        return dict(self._forks)

    def voices(self) -> tuple[Entry, ...]:
        """Return what authors said about authors since the last checkpoint, by id."""
        return tuple(self._log.entries[each] for each in sorted(self._control))

    def snapshot(self) -> bytes:
        """Return value and authors in their one spelling: equal on replicas that have the same."""
        return snapshot_of(self.spec, self.state, self.standing)

    # What comes in.

    def take(self, token: Jws, now_ms: int) -> Taken:
        """Take an operation from whomever; those that waited for it follow, now or as one goes on.

        Raises:
            OperationRejected, OperationClockAhead, EpochOver, OperationNotAuthors, LogFull: in this
                order; nothing has changed then.
        """
        try:
            if jws.record_id(token) in self._log.entries:
                return Taken.KNOWN
            read = read_operation(token, network=self.spec.network, aud=self.spec.aud)
        except ProofError as bad:
            raise OperationRejected(why=bad.why) from bad
        return self._take(read, now_ms)

    def take_read(self, read: ReadOperation, now_ms: int) -> Taken:
        """Take an operation whose signature was found to hold (`read_operation`); as `take`."""
        if read.id in self._log.entries:
            return Taken.KNOWN
        return self._take(read, now_ms)

    def put_back(self, read: ReadOperation) -> None:
        """Take an operation again that was taken here before, in the same order as then.

        Nothing is judged twice: what was here then, and the rules of then, have let it in.
        """
        self._put(read, self._log.control_of(cites_of(read)))

    def _take(self, read: ReadOperation, now_ms: int) -> Taken:
        said = read.operation
        self._check_act(said)
        check_skew(Hlc(said.time_ms), now_ms=now_ms, skew_ms_max=self.limits.skew_ms_max)
        if (said.epoch, said.base) != (self.base.epoch, self.base.id):
            raise EpochOver(epoch=said.epoch, epoch_now=self.base.epoch)
        if self._is_idle(read):
            raise OperationNotAuthors(did=said.did)
        absent = self._log.absent(cites_of(read))
        if absent:
            self._check_known(said.did)
            self._waiting.put(read, absent)
            return Taken.WAITING
        self._place(read)
        self._release()
        return Taken.NEW

    def _check_known(self, did: Did) -> None:
        """Raise `OperationNotAuthors` for who never was one here: strangers do not wait."""
        standing = self.standing
        if not any(
            did in known for known in (standing.authors, standing.expelled, self.base.authors)
        ):
            raise OperationNotAuthors(did=did)

    def _check_act(self, said: Operation) -> None:
        act = said.act
        if not isinstance(act, (*STATES[self.spec.kind].acts, AdmitAct, ExpelAct)):
            raise OperationRejected(why=f"{act.kind} is nothing that is done to a {self.spec.kind}")
        if not self.spec.permits(said.did, act):
            raise OperationRejected(why="its author may not say that of this object")

    def go_on(self) -> bool:
        """Take what waits for nothing any more, so many at once; return whether there was any.

        Whoever drives it calls this before each step: what one step takes fits into a transaction.
        """
        self._releases_left = RELEASES_MAX
        self._release()
        return self._releases_left < RELEASES_MAX

    def _release(self) -> None:
        while self._releases_left and (read := self._waiting.next()) is not None:
            self._releases_left -= 1
            if read.id in self._log.entries:
                continue
            try:
                self._place(read)
            except Refusal as no:
                self.counts[no.code] += 1

    def _place(self, read: ReadOperation) -> None:
        """Put an operation whose past is here into the log, and into the value if it counts.

        Raises:
            OperationRejected, OperationNotAuthors, LogFull: in this order; a voice that its author
                does not have is rejected only of who is an author.
        """
        said = read.operation
        check_past(read, self.base, self._log)
        control = self._log.control_of(cites_of(read))
        if said.did not in self._authority.standing_in(control).authors:
            raise OperationNotAuthors(did=said.did)
        if isinstance(said.act, AdmitAct | ExpelAct):
            self._authority.check_voice(said.did, said.act, control)
        if self._is_idle(read):
            raise OperationNotAuthors(did=said.did)
        check_room(said, self.spec, self._log, self._forks, self.limits.operations_max)
        self._put(read, control)
        self._waiting.arrived(read.id)

    def _put(self, read: ReadOperation, control: Control) -> None:
        entry = self._log.add(read, control)
        self._note_fork(entry)
        self._count_in(entry)
        self.placed(read)

    def _is_idle(self, read: ReadOperation) -> bool:
        """Return whether an operation counts for nothing, and nothing here waits for it.

        No expulsion that is here has seen it, or it would be here too. So who was expelled fills no
        log with what is not about authors.
        """
        said = read.operation
        if isinstance(said.act, AdmitAct | ExpelAct) or self._waiting.wants(read.id):
            return False
        return said.did in self.standing.expelled

    def _note_fork(self, entry: Entry) -> None:
        ids = self._log.places[entry.said.did, entry.sequence]
        if len(ids) > 1 and entry.said.did not in self._forks:
            first, second = sorted(ids)[:2]
            self._forks[entry.said.did] = (first, second)

    def _count_in(self, entry: Entry) -> None:
        """Have an operation count, if it does; after an expulsion, count all anew."""
        if not entry.about_authors:
            apply_all(self.state, (entry,), self._authority)
            return
        self._control.add(entry.said.id)
        ended = self._authority.voice(entry)
        if ended is not None and any(
            self._authority.is_void(each)
            for each in self._log.entries.values()
            if each.said.did == ended
        ):
            self.state = self._begun.copy()
            apply_all(self.state, self._log.entries.values(), self._authority)

    def is_void(self, operation: RecordId) -> bool:
        """Return whether an operation that is here counts for nothing, and so never will."""
        return self._authority.is_void(self._log.entries[operation])

    # What goes out.

    def issue(self, author: Identity, act: Act, now_ms: int) -> Jws:
        """Return an act as this author's next operation here, which was taken in with it.

        Raises:
            OperationRejected, OperationClockAhead, OperationNotAuthors, LogFull: nobody takes it.
        """
        base = self.base
        at = max(Hlc(base.time_ms, TICK_MAX), self._log.last).following(now_ms)
        previous = self._last_of(author.did)
        shared = self.spec.of_author_max is None
        heads = sorted(each for each in self._log.heads if shared and each != previous)
        operation = Operation(
            network=self.spec.network,
            aud=self.spec.aud,
            did=author.did,
            epoch=base.epoch,
            base=base.id,
            sequence=1 if previous is None else self._log.entries[previous].sequence + 1,
            previous=previous,
            parents=tuple(heads[:PARENTS_MAX]),
            time_ms=at.time_ms,
            tick=at.tick,
            act=act,
        )
        try:
            read = sign_operation(operation, author)
        except ProofError as bad:
            raise OperationRejected(why=bad.why) from bad
        self._take(read, now_ms)
        return read.token

    def _last_of(self, did: Did) -> RecordId | None:
        """Return an author's operation of the highest number; of a fork, the one with the lower id.

        Numbers have no gap, for each operation cites the one before.
        """
        low, high = 0, 1
        places = self._log.places
        while (did, high) in places:
            low, high = high, high * 2
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if (did, middle) in places else (low, middle)
        return min(places[did, low]) if low else None

    @property
    def heads_hash(self) -> RecordId | None:
        """SHA-256 of all that nothing follows here; None if a message has room for all of it."""
        heads = self._log.heads
        return sha256_hex("".join(sorted(heads)).encode()) if len(heads) > HEADS_MAX else None

    def frontier(self) -> Frontier:
        """Return what is here in few words, for a peer to answer with what is missing."""
        return Frontier(
            aud=self.spec.aud,
            epoch=self.base.epoch,
            base=self.base.id,
            heads=self._log.frontier_heads(),
            haves=self._log.haves(),
        )

    def lacking(self, frontier: Frontier) -> Delta:
        """Return the first operations that a peer lacks, each after what it follows.

        What counts for nothing is left out; whoever finds it cited asks for it (`missing`).

        Raises:
            EpochOver: the peer stands on another checkpoint: it rejoins, or this replica does.
        """
        if (frontier.epoch, frontier.base) != (self.base.epoch, self.base.id):
            raise EpochOver(epoch=frontier.epoch, epoch_now=self.base.epoch)
        entries = self._log.lacking((*frontier.heads, *frontier.haves), frontier.after)
        counting = (entry for entry in entries if not self._authority.is_void(entry))
        return self._delta(entry.token for entry in counting)

    def give(self, ids: Sequence[RecordId]) -> Delta:
        """Return operations by their ids, as far as they are here."""
        entries = self._log.entries
        return self._delta(entries[each].token for each in ids if each in entries)

    def _delta(self, tokens: Iterable[Jws]) -> Delta:
        given: list[Jws] = []
        room = self.limits.given_characters_max
        for token in tokens:
            room -= len(token)
            if len(given) == OPERATIONS_GIVEN_MAX or (given and room < 0):
                return Delta(operations=tuple(given), more=True)
            given.append(token)
        return Delta(operations=tuple(given), more=False)

    def missing(self) -> tuple[RecordId, ...]:
        """Return what others here wait for, to be asked for by id."""
        return self._waiting.wanted()

    # Checkpoints.

    def propose(self) -> Checkpoint:
        """Return the checkpoint that all that is here adds up to, to be signed.

        Raises:
            ProofError: there are more heads or authors than a checkpoint tells of.
        """
        entries = self._log.entries
        counting = [each for each in entries if not self._authority.is_void(entries[each])]
        covered = self._log.past(counting)
        cited = {cited for each in covered for cited in entries[each].cites}
        return self._checkpoint(covered - cited)

    def countersign(self, token: Jws, member: Identity) -> Jws:
        """Return a member's signature under a checkpoint of another one, which this replica judged.

        Raises:
            CheckpointRejected: it does not verify, or is not what its operations add up to.
        """
        try:
            asked = read_checkpoint(token, network=self.spec.network, aud=self.spec.aud)
            return sign_checkpoint(self._judged(asked), member)
        except ProofError as bad:
            raise CheckpointRejected(why=bad.why) from bad

    def _judged(self, asked: Checkpoint) -> Checkpoint:
        """Return a checkpoint that follows from what is here; raise `ProofError` otherwise."""
        if self._log.absent(asked.heads):
            raise ProofError("it covers operations that are not here")
        own = self._checkpoint(asked.heads)
        if checkpoint_id(own) != checkpoint_id(asked):
            raise ProofError("it is not what its operations add up to")
        return own

    def _checkpoint(self, heads: Iterable[RecordId]) -> Checkpoint:
        return checkpoint_of(self.spec, self.base, self._cut(heads), heads)

    def _cut(self, heads: Iterable[RecordId]) -> Cut:
        return cut_of(self.spec, self.base, self._begun, self._log, heads)

    def compact(self, tokens: Sequence[Jws], own: Did | None = None) -> tuple[Act, ...]:
        """Begin the epoch that the members agreed on; return one's own acts that it leaves out.

        Whoever missed the checkpoint signs them anew. Operations of the epoch before are refused
        from now on.

        Raises:
            CheckpointRejected: too few signed it, or it is not what its operations add up to, or
                covers some that are not here; nothing has changed then.
        """
        try:
            base, said = read_next(
                tokens, base=self.base, network=self.spec.network, aud=self.spec.aud
            )
            self._judged(said)
        except ProofError as bad:
            raise CheckpointRejected(why=bad.why) from bad
        covered = self._log.past(said.heads)
        begun = self._cut(said.heads).state.compacted()
        left = self._acts_of(own, covered)
        self._begin(base, begun)
        return left

    def _followed(self, chain: Sequence[Sequence[Jws]]) -> Base:
        """Return where a chain of checkpoints leads from here; raise `ProofError` if nowhere."""
        if not chain:
            raise ProofError("there is no later checkpoint")
        base = self.base
        for tokens in chain:
            base, _ = read_next(tokens, base=base, network=self.spec.network, aud=self.spec.aud)
        return base

    def _acts_of(self, did: Did | None, covered: set[RecordId]) -> tuple[Act, ...]:
        return tuple(
            entry.act
            for each, entry in self._log.entries.items()
            if entry.said.did == did and each not in covered
        )

    def rejoin(
        self, chain: Sequence[Sequence[Jws]], snapshot: bytes, own: Did | None = None
    ) -> tuple[Act, ...]:
        """Begin as new with the last of the checkpoints that follow the one that stands here.

        What of the operations here the members did not cover is unknown to them: one's own acts of
        this epoch are returned, for their author to see which of them are still wanted.

        Raises:
            CheckpointRejected: a link does not follow the one before, too few signed it, or the
                snapshot is another one; nothing has changed then.
        """
        try:
            base = self._followed(chain)
            begun = read_snapshot(snapshot, spec=self.spec, base=base)
        except ProofError as bad:
            raise CheckpointRejected(why=bad.why) from bad
        left = self._acts_of(own, set())
        self._begin(base, begun)
        return left
