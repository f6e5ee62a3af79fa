"""How many operations an object's log takes, of all and of each author. Source: ADR 0043."""

from __future__ import annotations

from collections.abc import Container

from nodeimpl.kernel.crdt.fold import ObjectSpec
from nodeimpl.kernel.crdt.log import Log
from opkit.wire.base import Did
from opkit.wire.operations import LogFull, Operation


def check_room(
    said: Operation, spec: ObjectSpec, log: Log, forked: Container[Did], all_max: int
) -> None:
    """Return if there is room for one more operation.

    Where authors have rooms of their own, the first proof that one has two histories finds room
    beyond theirs: who fills one replica with this and another with that is found out where they
    meet.

    Args:
        forked: the authors of whom two histories are known here.
        all_max: how many operations there may be of all authors.

    Raises:
        LogFull: there is none.
    """
    if len(log) >= all_max:
        raise LogFull(limit=all_max)
    most, places = spec.of_author_max, log.places
    if most is None or (said.did not in forked and (said.did, said.sequence) in places):
        return
    if sum(len(ids) for (did, _), ids in places.items() if did == said.did) >= most:
        raise LogFull(limit=most)
