"""What a replica says to a peer and makes of what the peer says: everything within transactions.

A peer that may not have an object hears of it what it would if there were none. Source: ADR 0044.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from nodeimpl.kernel.crdt.pull import Pull, answer
from nodeimpl.kernel.crdt.replica import Taken
from nodeimpl.kernel.crdt.told import Delta, Frontier, Wanted
from nodeimpl.kernel.store import Tx
from nodeimpl.sharing import store as table
from nodeimpl.sharing.service import Sharing
from nodeimpl.sharing.store import ObjectRow
from opkit.proof import jws
from opkit.proof.checks import ProofError
from opkit.proof.operations import ReadOperation, read_operation
from opkit.wire import objects as wire
from opkit.wire.base import Did, Jws
from opkit.wire.operations import ObjectId

Question = wire.AskLacking | wire.AskOperations

_log = structlog.get_logger("sharing")


@dataclass(frozen=True, kw_only=True)
class Heard:
    """What follows from the heads that a peer told.

    Attributes:
        unknown: objects of which it is to tell how they are opened.
        lacking: objects of which it has something that is not here.
        behind: objects of which it lacks something that is here.
        lies: objects that it said are opened as they cannot be, and why.
    """

    unknown: list[ObjectId] = field(default_factory=list)
    lacking: list[ObjectId] = field(default_factory=list)
    behind: list[ObjectId] = field(default_factory=list)
    lies: dict[ObjectId, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """What came, looked at off the writer.

    Attributes:
        tokens: as they came, up to the first that does not verify.
        reads: those of them that are new, by their text.
        bad: why the next one does not verify; empty if all do.
    """

    tokens: tuple[Jws, ...]
    reads: Mapping[Jws, ReadOperation]
    bad: str


class Exchange:
    """One node's side of what replicas say to each other."""

    def __init__(self, sharing: Sharing) -> None:
        """Speak of these objects."""
        self._sharing = sharing

    # What is told.

    def heads(
        self, tx: Tx, peer: Did, wanted: Iterable[ObjectId] | None, after: str = ""
    ) -> tuple[tuple[wire.ObjectHeads, ...], str]:
        """Return what is here of the next objects that a peer may have, as of the last commit.

        Args:
            wanted: of which; None for all.
            after: the last one of the page before.

        Returns:
            At most `OBJECTS_TOLD_MAX`, and after which one to go on; empty if that were all.
        """
        if wanted is not None:
            ids = sorted(each for each in wanted if each > after)
            rows = [table.get_object(tx, each) for each in ids[: wire.OBJECTS_TOLD_MAX]]
            last = ids[wire.OBJECTS_TOLD_MAX - 1] if len(ids) > wire.OBJECTS_TOLD_MAX else ""
        else:
            page = table.objects(tx, after)[: wire.OBJECTS_TOLD_MAX]
            rows = list(page)
            last = page[-1].object_id if len(page) == wire.OBJECTS_TOLD_MAX else ""
        return tuple(_heads_of(row) for row in rows if row is not None and row.is_for(peer)), last

    def introduced(
        self, tx: Tx, peer: Did, unknown: Sequence[ObjectId]
    ) -> tuple[wire.ObjectHeads, ...]:
        """Return the heads of objects with what each was opened with."""
        found = []
        for each in unknown:
            row = table.get_object(tx, each)
            if row is not None and row.is_for(peer):
                found.append(_heads_of(row).model_copy(update={"opening": row.opening}))
        return tuple(found)

    def lacking(self, tx: Tx, peer: Did, ask: wire.AskLacking) -> wire.OperationsGiven:
        """Return operations beyond what a peer has. Refuses: ObjectUnknown, EpochOver."""
        frontier = Frontier(
            aud=ask.aud, epoch=ask.epoch, base=ask.base, heads=ask.heads, haves=ask.haves
        )
        return self._answer(tx, peer, frontier)

    def give(self, tx: Tx, peer: Did, ask: wire.AskOperations) -> wire.OperationsGiven:
        """Return operations by their ids. Refuses: ObjectUnknown."""
        return self._answer(tx, peer, Wanted(aud=ask.aud, ids=ask.ids))

    def _answer(self, tx: Tx, peer: Did, question: Frontier | Wanted) -> wire.OperationsGiven:
        if not self._sharing.row(tx, question.aud).is_for(peer):
            raise wire.ObjectUnknown(object_id=question.aud)
        delta = answer(self._sharing.replica(tx, question.aud), question)
        return wire.OperationsGiven(operations=delta.operations, more=delta.more)

    # What is heard.

    def hear(self, tx: Tx, peer: Did, told: Sequence[wire.ObjectHeads]) -> Heard:
        """Take note of what a peer has, and open what it introduced.

        What is of no kind that this node knows is passed over: not to know it is nobody's lie.
        """
        heard = Heard()
        for each in told:
            if not self._sharing.shares(each.aud):
                continue  # Perhaps a later version does.
            row = table.get_object(tx, each.aud)
            if row is None and each.opening is None:
                heard.unknown.append(each.aud)
            elif row is None:
                self._open(tx, peer, each, heard)
            elif row.is_for(peer):
                self._compare(tx, row, each, heard)
                if row.generation < self._sharing.generation and each.aud not in heard.lacking:
                    self._sharing.caught_up(tx, each.aud, peer)
        return heard

    def _open(self, tx: Tx, peer: Did, told: wire.ObjectHeads, heard: Heard) -> None:
        assert told.opening is not None, "it was introduced"
        try:
            self._sharing.open(tx, told.aud, told.opening, told_by=peer)
        except wire.OpeningRejected as no:
            heard.lies[told.aud] = no.why
        except wire.ObjectsFull as no:
            _log.warning("an object is not kept", object_id=told.aud, peer=peer, why=str(no))
        else:
            heard.lacking.append(told.aud)

    def _compare(self, tx: Tx, row: ObjectRow, told: wire.ObjectHeads, heard: Heard) -> None:
        if (row.epoch, row.base) != (told.epoch, told.base) or set(row.heads) == set(told.heads):
            return
        replica = self._sharing.replica(tx, row.object_id)
        if any(each not in replica for each in told.heads):
            heard.lacking.append(row.object_id)
        elif set(replica.frontier().heads) != set(told.heads):
            heard.behind.append(row.object_id)

    # What is pulled.

    def begin(self, tx: Tx, object_id: ObjectId) -> tuple[Pull, Question | None]:
        """Return a session that pulls what is lacking here, and its first question.

        Refuses: ObjectUnknown.
        """
        pull = Pull(self._sharing.replica(tx, object_id))
        return pull, _question(pull)

    def read(self, pull: Pull, given: wire.OperationsGiven) -> Read:
        """Verify what came; may run beside the writer, for it looks at signatures only.

        What the replica has already is not verified again; if it turns out to have been undone,
        it comes again.
        """
        replica, reads = pull.replica, dict[Jws, ReadOperation]()
        spec = replica.spec
        for count, token in enumerate(given.operations):
            try:
                if jws.record_id(token) not in replica:
                    reads[token] = read_operation(token, network=spec.network, aud=spec.aud)
            except ProofError as bad:
                return Read(tokens=given.operations[:count], reads=reads, bad=bad.why)
        return Read(tokens=given.operations, reads=reads, bad="")

    def step(self, tx: Tx, peer: Did, pull: Pull, came: Read, *, more: bool) -> Question | None:
        """Take what came into the replica and keep it; return what to ask next, if anything.

        A replica that was read anew meanwhile ends the session: the next one goes on.
        """
        object_id = pull.replica.spec.aud
        replica = self._sharing.replica(tx, object_id)
        if replica is not pull.replica:
            return None

        def take(token: Jws, now_ms: int) -> Taken:
            read = came.reads.get(token)
            return Taken.KNOWN if read is None else replica.take_read(read, now_ms)

        pull.answered(Delta(operations=came.tokens, more=more), tx.now_ms, take=take)
        pull.lied = pull.lied or came.bad
        self._sharing.keep(tx, object_id, peer=peer)
        question = _question(pull)
        if question is None and not pull.lied:
            self._sharing.caught_up(tx, object_id, peer)
        return question


def _question(pull: Pull) -> Question | None:
    question = pull.question()
    if question is None:
        return None
    if isinstance(question, Wanted):
        return wire.AskOperations(aud=question.aud, ids=question.ids)
    return wire.AskLacking(
        aud=question.aud,
        epoch=question.epoch,
        base=question.base,
        heads=question.heads,
        haves=question.haves,
    )


def _heads_of(row: ObjectRow) -> wire.ObjectHeads:
    return wire.ObjectHeads(aud=row.object_id, epoch=row.epoch, base=row.base, heads=row.heads)
