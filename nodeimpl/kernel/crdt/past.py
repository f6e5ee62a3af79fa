"""Whether an operation fits what it follows: judged by its past alone, so everywhere alike."""

from __future__ import annotations

from nodeimpl.kernel.crdt.hlc import Hlc
from nodeimpl.kernel.crdt.log import Log, cites_of
from opkit.proof.operations import Base, ReadOperation
from opkit.wire.operations import ExpelAct, OperationRejected


def check_past(read: ReadOperation, base: Base, log: Log) -> None:
    """Return if an operation fits what it follows, all of which is in the log.

    Raises:
        OperationRejected: it does not, on any replica.
    """
    said, entries = read.operation, log.entries
    at = Hlc(said.time_ms, said.tick)
    if said.time_ms <= base.time_ms and base.epoch:
        raise OperationRejected(why="its time lies before the checkpoint")
    if any(entries[each].said.at >= at for each in cites_of(read)):
        raise OperationRejected(why="its time is not after all that it follows")
    if said.previous is not None:
        before = entries[said.previous]
        if (before.said.did, before.sequence + 1) != (said.did, said.sequence):
            raise OperationRejected(why="it is not the next one of its author")
    if isinstance(said.act, ExpelAct) and said.act.fork is not None:
        _check_fork(read, said.act, log)


def _check_fork(read: ReadOperation, act: ExpelAct, log: Log) -> None:
    assert act.fork is not None
    found = [log.entries.get(each) for each in act.fork]
    ids = [each.said.id for each in found if each is not None]
    if len(ids) != 2 or not all(log.follows(cites_of(read), each) for each in ids):
        raise OperationRejected(why="it does not follow the fork that it names")
    places = {(each.said.did, each.sequence) for each in found if each is not None}
    if len(places) != 1 or places.pop()[0] != act.did:
        raise OperationRejected(why="what it names is no fork of theirs")
