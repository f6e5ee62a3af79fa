"""The operations on one object since its last checkpoint, each after all that it follows.

It is a graph: an operation cites those that it follows directly, and its id, a hash, covers what it
cites. So a causal past cannot be changed afterwards, and is the same on every replica.
Source: ADR 0043.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from nodeimpl.kernel.crdt.hlc import Hlc
from nodeimpl.kernel.crdt.states import Said
from nodeimpl.kernel.crdt.told import HAVES_MAX
from opkit.proof.operations import ReadOperation
from opkit.wire.base import Did, Jws, RecordId
from opkit.wire.operations import HEADS_MAX, Act, AdmitAct, ExpelAct

Control = tuple[RecordId, ...]
"""Operations: what they and their pasts say about authors is all that some causal past says."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An operation in its causal past.

    Attributes:
        cites: what it follows directly.
        depth: how many operations the longest way back has.
        control: the operation that, with its past, says the same about authors as this one with its
            own; None if nobody says anything. Each names one and not all of them, so that what is
            kept grows as the log does and not with its square.
    """

    said: Said
    sequence: int
    act: Act
    cites: tuple[RecordId, ...]
    depth: int
    control: RecordId | None
    token: Jws

    @property
    def about_authors(self) -> bool:
        """Whether it says who is an author, and not what the object's value is."""
        return isinstance(self.act, AdmitAct | ExpelAct)


class Log:
    """A growing graph of operations.

    Attributes:
        entries: by id, each after all that it follows.
        heads: what nothing follows.
        places: the ids under each author's number: more than one is a fork.
        last: when the latest one was signed.
    """

    def __init__(self) -> None:
        """Begin without operations."""
        self.entries: dict[RecordId, Entry] = {}
        self.heads: set[RecordId] = set()
        self.places: dict[tuple[Did, int], list[RecordId]] = {}
        self.last = Hlc(0)
        self._order: list[RecordId] = []

    def __len__(self) -> int:
        """Return how many operations there are."""
        return len(self.entries)

    def absent(self, cites: Iterable[RecordId]) -> list[RecordId]:
        """Return those ids that are not here."""
        return [each for each in cites if each not in self.entries]

    def control_of(self, cites: Iterable[RecordId]) -> Control:
        """Return what stands for all that these operations and their pasts say about authors.

        It is one operation, if one of them says as much as all.
        """
        found = {self.entries[each].control for each in cites} - {None}
        ways = sorted(each for each in found if each is not None)
        if len(ways) < 2:
            return tuple(ways)
        said = {each: {entry.said.id for entry in self.voices([each])} for each in ways}
        every = set().union(*said.values())
        return next(((each,) for each in ways if len(said[each]) == len(every)), tuple(ways))

    def voices(self, control: Iterable[RecordId]) -> Iterator[Entry]:
        """Yield what is said about authors by operations and their pasts, each once."""
        waiting = list(control)
        found = set(waiting)
        while waiting:
            entry = self.entries[waiting.pop()]
            if entry.about_authors:
                yield entry
            for cited in entry.cites:
                each = self.entries[cited].control
                if each is not None and each not in found:
                    found.add(each)
                    waiting.append(each)

    def add(self, read: ReadOperation, control: Control) -> Entry:
        """Take in an operation that follows what is here; return it in its past."""
        said = read.operation
        cites = cites_of(read)
        assert read.id not in self.entries and not self.absent(cites)
        depth = 1 + max((self.entries[each].depth for each in cites), default=0)
        act = said.act
        own = isinstance(act, AdmitAct | ExpelAct) or len(control) > 1
        entry = Entry(
            said=Said(read.id, said.did, Hlc(said.time_ms, said.tick)),
            sequence=said.sequence,
            act=act,
            cites=cites,
            depth=depth,
            control=read.id if own else next(iter(control), None),
            token=read.token,
        )
        self.entries[read.id] = entry
        self._order.append(read.id)
        self.heads.difference_update(cites)
        self.heads.add(read.id)
        self.places.setdefault((said.did, said.sequence), []).append(read.id)
        self.last = max(self.last, entry.said.at)
        return entry

    def past(self, ids: Iterable[RecordId]) -> set[RecordId]:
        """Return operations and all that they follow."""
        found: set[RecordId] = set()
        waiting = list(ids)
        while waiting:
            each = waiting.pop()
            if each not in found:
                found.add(each)
                waiting += self.entries[each].cites
        return found

    def follows(self, later: Iterable[RecordId], earlier: RecordId) -> bool:
        """Return whether one of some operations is or follows another one."""
        floor = self.entries[earlier].depth
        found: set[RecordId] = set()
        waiting = list(later)
        while waiting:
            each = waiting.pop()
            if each == earlier:
                return True
            if each not in found and self.entries[each].depth > floor:
                found.add(each)
                waiting += self.entries[each].cites
        return False

    def haves(self) -> tuple[RecordId, ...]:
        """Return ids of what is here: the last ones, and further and further back."""
        found: list[RecordId] = []
        back = 1
        while back <= len(self._order) and len(found) < HAVES_MAX - 1:
            found.append(self._order[-back])
            back += max(1, back // 4)
        return (*found, *self._order[:1]) if self._order else ()

    def frontier_heads(self) -> tuple[RecordId, ...]:
        """Return what nothing follows, in order, as far as a message has room."""
        return tuple(sorted(self.heads)[:HEADS_MAX])

    def lacking(self, known: Iterable[RecordId], after: RecordId | None = None) -> Iterator[Entry]:
        """Yield what is here and not in the past of known operations, in causal order.

        The walk goes from the latest to what comes before, and ends where all that is left is
        known: it costs what is lacking, not what is here. The order is by depth and id, so that it
        is the same whatever is known: whoever was given a page goes on after its last one.
        """
        last = None if after not in self.entries else (-self.entries[after].depth, after)
        there = {each for each in known if each in self.entries}
        queue = [(-self.entries[each].depth, each) for each in self.heads | there]
        heapq.heapify(queue)
        open_ = sum(each not in there for _, each in queue)
        seen = {each for _, each in queue}
        found: list[Entry] = []
        while queue and open_ and (last is None or queue[0] < last):
            _, each = heapq.heappop(queue)
            entry = self.entries[each]
            is_there = each in there
            if not is_there:
                open_ -= 1
                found.append(entry)
            for cited in entry.cites:
                if cited not in seen:
                    seen.add(cited)
                    heapq.heappush(queue, (-self.entries[cited].depth, cited))
                    open_ += not is_there
                    if is_there:
                        there.add(cited)
                elif is_there and cited not in there:
                    there.add(cited)
                    open_ -= 1
        yield from reversed(found)


def cites_of(read: ReadOperation) -> tuple[RecordId, ...]:
    """Return all that an operation follows directly."""
    said = read.operation
    return said.parents if said.previous is None else (said.previous, *said.parents)
