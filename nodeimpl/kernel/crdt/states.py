"""Values that merge: whatever the order, and however often, the outcome is the same.

Each is a join semilattice (`merged` is commutative, associative and idempotent), and an operation
is a small value of the same kind, so that a delta merges like a whole. Names of additions are ids
of operations, never counts of an author's: somebody who gives one number to two operations would
otherwise have two replicas keep different ones for good. Source: ADR 0043; Shapiro and others: A
Comprehensive Study of Convergent and Commutative Replicated Data Types (2011); Almeida, Shoker,
Baquero: Delta State Replicated Data Types (2018).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from nodeimpl.kernel.crdt.hlc import Hlc
from opkit.wire.base import Did, RecordId, Wire
from opkit.wire.operations import (
    Act,
    AddAct,
    AssignAct,
    CountAct,
    ObjectKind,
    RemoveAct,
    SetAct,
)

_encode = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode

Row = list[Any]


@dataclass(frozen=True, slots=True)
class Said:
    """By whom and when an act was signed, and under which id."""

    id: RecordId
    did: Did
    at: Hlc


def spelled(value: Any) -> bytes:
    """Return the canonical JSON of lists, texts and integers, of whatever size.

    Names are ours and in ASCII, and nothing is a float: so this is what RFC 8785 says.
    """
    return _encode(value).encode("utf-8")


class PnCounter:
    """Two totals for each author, of which the greatest that they signed counts.

    It says what was counted, and enforces no limit: two sides that are apart may each stay within
    one that they exceed together. Limits are judged by who alone writes an account.
    """

    kind: ClassVar[ObjectKind] = ObjectKind.PN_COUNTER
    acts: ClassVar[tuple[type[Wire], ...]] = (CountAct,)

    def __init__(self) -> None:
        """Begin with nothing counted."""
        self.totals: dict[Did, tuple[int, int]] = {}

    @property
    def value(self) -> int:
        """All that was counted up, less all that was counted down."""
        return sum(up - down for up, down in self.totals.values())

    def total(self, did: Did) -> tuple[int, int]:
        """Return an author's own totals, up and down."""
        return self.totals.get(did, (0, 0))

    def apply(self, said: Said, act: CountAct) -> None:
        """Take in an author's totals."""
        self._raise(said.did, act.up, act.down)

    def absorb(self, other: Self) -> None:
        """Take in all that another value has."""
        for did, (up, down) in other.totals.items():
            self._raise(did, up, down)

    def _raise(self, did: Did, up: int, down: int) -> None:
        before = self.total(did)
        self.totals[did] = (max(before[0], up), max(before[1], down))

    def copy(self) -> Self:
        """Return the same value, to be changed apart."""
        made = type(self)()
        made.totals = dict(self.totals)
        return made

    def compacted(self) -> Self:
        """Return the value without what no later operation needs."""
        return self.copy()

    def rows(self) -> list[Row]:
        """Return author and totals, by author."""
        return [[did, up, down] for did, (up, down) in sorted(self.totals.items())]

    @classmethod
    def of_rows(cls, rows: list[Row]) -> Self:
        """Return the value that was spelled so."""
        made = cls()
        made.totals = {did: (up, down) for did, up, down in rows}
        return made


class GCounter(PnCounter):
    """A counter that only grows: what is counted down counts for nothing."""

    kind: ClassVar[ObjectKind] = ObjectKind.G_COUNTER

    def _raise(self, did: Did, up: int, down: int) -> None:
        super()._raise(did, up, 0)


class _Tagged:
    """Values under the ids of the operations that brought them, until one takes them back."""

    def __init__(self) -> None:
        """Begin empty."""
        self.added: dict[RecordId, str] = {}
        self.removed: set[RecordId] = set()

    def absorb(self, other: Self) -> None:
        """Take in all that another value has."""
        for tag, value in other.added.items():
            self._add(tag, value)
        for tag in other.removed:
            self._remove(tag)

    def _add(self, tag: RecordId, value: str) -> None:
        if tag not in self.removed:
            self.added[tag] = value

    def _remove(self, tag: RecordId) -> None:
        self.removed.add(tag)
        self.added.pop(tag, None)

    def copy(self) -> Self:
        """Return the same value, to be changed apart."""
        made = type(self)()
        made.added = dict(self.added)
        made.removed = set(self.removed)
        return made

    def compacted(self) -> Self:
        """Return the value without what was taken back: none of that can come again."""
        made = self.copy()
        made.removed = set()
        return made

    def rows(self) -> list[Row]:
        """Return id and value, by id; an id alone was taken back."""
        kept: list[Row] = [[tag, value] for tag, value in self.added.items()]
        return sorted(kept + [[tag] for tag in self.removed])

    @classmethod
    def of_rows(cls, rows: list[Row]) -> Self:
        """Return the value that was spelled so."""
        made = cls()
        made.added = {row[0]: row[1] for row in rows if len(row) == 2}
        made.removed = {row[0] for row in rows if len(row) == 1}
        return made


class OrSet(_Tagged):
    """A set in which an addition stands until somebody who has seen it takes it back."""

    kind: ClassVar[ObjectKind] = ObjectKind.OR_SET
    acts: ClassVar[tuple[type[Wire], ...]] = (AddAct, RemoveAct)

    @property
    def value(self) -> frozenset[str]:
        """The elements."""
        return frozenset(self.added.values())

    def tags(self, element: str) -> tuple[RecordId, ...]:
        """Return the additions that keep an element in, in order: what removing it is over."""
        return tuple(sorted(tag for tag, value in self.added.items() if value == element))

    def apply(self, said: Said, act: AddAct | RemoveAct) -> None:
        """Take in an addition, or take others back."""
        if isinstance(act, AddAct):
            self._add(said.id, act.element)
            return
        for tag in act.over:
            self._remove(tag)


class MvRegister(_Tagged):
    """A register that shows every value that nobody has replaced having seen it."""

    kind: ClassVar[ObjectKind] = ObjectKind.MV_REGISTER
    acts: ClassVar[tuple[type[Wire], ...]] = (AssignAct,)

    @property
    def value(self) -> tuple[str, ...]:
        """The values, by the ids of their operations."""
        return tuple(self.added[tag] for tag in sorted(self.added))

    @property
    def tags(self) -> tuple[RecordId, ...]:
        """The operations whose values show, in order: what a new value is over."""
        return tuple(sorted(self.added))

    def apply(self, said: Said, act: AssignAct) -> None:
        """Take in a value in place of others."""
        self._add(said.id, act.value)
        for tag in act.over:
            self._remove(tag)


Latest = tuple[int, int, RecordId, str | None]
"""When a value was set, by which operation, and the value; None if it was emptied."""


class LwwMap:
    """A map in which, for each key, the latest value stands; at one moment, the higher id."""

    kind: ClassVar[ObjectKind] = ObjectKind.LWW_MAP
    acts: ClassVar[tuple[type[Wire], ...]] = (SetAct,)

    def __init__(self) -> None:
        """Begin empty."""
        self.latest: dict[str, Latest] = {}

    @property
    def value(self) -> dict[str, str]:
        """The values by their keys."""
        return {key: each[3] for key, each in self.latest.items() if each[3] is not None}

    def get(self, key: str) -> str | None:
        """Return the value of a key, if there is one."""
        found = self.latest.get(key)
        return None if found is None else found[3]

    def apply(self, said: Said, act: SetAct) -> None:
        """Take in a value of a key."""
        self._set(act.key, (said.at.time_ms, said.at.tick, said.id, act.value))

    def absorb(self, other: Self) -> None:
        """Take in all that another value has."""
        for key, each in other.latest.items():
            self._set(key, each)

    def _set(self, key: str, each: Latest) -> None:
        before = self.latest.get(key)
        if before is None or before[:3] < each[:3]:
            self.latest[key] = each

    def copy(self) -> Self:
        """Return the same value, to be changed apart."""
        made = type(self)()
        made.latest = dict(self.latest)
        return made

    def compacted(self) -> Self:
        """Return the value without what was emptied: what comes later is later."""
        made = type(self)()
        made.latest = {key: each for key, each in self.latest.items() if each[3] is not None}
        return made

    def rows(self) -> list[Row]:
        """Return key, moment, id and value, by key."""
        return [[key, *each] for key, each in sorted(self.latest.items())]

    @classmethod
    def of_rows(cls, rows: list[Row]) -> Self:
        """Return the value that was spelled so."""
        made = cls()
        made.latest = {key: (at, tick, tag, value) for key, at, tick, tag, value in rows}
        return made


class LwwRegister(LwwMap):
    """One value: the latest."""

    kind: ClassVar[ObjectKind] = ObjectKind.LWW_REGISTER

    @property
    def one(self) -> str | None:
        """The value, if there is one."""
        return self.get("")

    def apply(self, said: Said, act: SetAct) -> None:
        """Take in a value; a register has no keys, so one that is named counts for nothing."""
        if not act.key:
            super().apply(said, act)


AnyState = GCounter | PnCounter | OrSet | MvRegister | LwwRegister | LwwMap

STATES: dict[ObjectKind, type[AnyState]] = {
    state.kind: state for state in (GCounter, PnCounter, OrSet, MvRegister, LwwRegister, LwwMap)
}
"""The value of each kind of object."""


def merged(one: AnyState, other: AnyState) -> AnyState:
    """Return what two values of one kind add up to; both stay as they are."""
    assert type(one) is type(other), "values of two kinds do not merge"
    made = one.copy()
    made.absorb(other)  # type: ignore[arg-type]  # of one kind: asserted above
    return made


def delta_of(kind: ObjectKind, said: Said, act: Act) -> AnyState:
    """Return an operation as a value of its own, which merges like any other."""
    made = STATES[kind]()
    made.apply(said, act)  # type: ignore[arg-type]  # whoever calls has an act of this kind
    return made
