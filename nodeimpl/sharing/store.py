"""What a node keeps of shared objects: openings, signed operations, and what they add up to."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, BindParameter, Column, Table, Text, bindparam, func, select

from nodeimpl.kernel.references import NAMES_NOTHING
from nodeimpl.kernel.schema import metadata
from nodeimpl.kernel.statements import insert_new, sql, upsert
from nodeimpl.kernel.tx import Tx
from opkit.wire.base import Count, Did, Jws, RecordId
from opkit.wire.operations import ObjectId, ObjectKind

PAGE = 256
"""How many rows are read at once."""

shared_objects = Table(
    "shared_objects",
    metadata,
    Column("object_id", Text, primary_key=True),
    Column("opening", Text, nullable=False),
    Column("told_by", Text, nullable=False),
    Column("generation", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("base", Text, nullable=True),
    Column("heads", Text, nullable=False),
    Column("heads_hash", Text, nullable=True, info=NAMES_NOTHING),
    Column("authors", Text, nullable=False),
    Column("expelled", Text, nullable=False),
    Column("readers", Text, nullable=False),
    Column("operations", BigInteger, nullable=False),
    Column("forks", BigInteger, nullable=False),
)
"""Replicas: what each was opened with, and what its operations add up to, for whoever only reads.
`told_by` is empty for what was opened here; `generation` is the journal's in which this node knew
what others have of it."""

shared_operations = Table(
    "shared_operations",
    metadata,
    Column("object_id", Text, primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("token", Text, nullable=False),
)
"""Signed operations in the order in which they were taken: each after all that it follows."""

shared_values = Table(
    "shared_values",
    metadata,
    Column("object_id", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("value", Text, nullable=True),
    Column("operation", Text, nullable=False, info=NAMES_NOTHING),
)
"""What the operations add up to: of a set by operation, of a map by key; None was emptied."""

shared_forks = Table(
    "shared_forks",
    metadata,
    Column("object_id", Text, primary_key=True),
    Column("did", Text, primary_key=True),
    Column("first", Text, nullable=False),
    Column("second", Text, nullable=False),
)
"""Proofs that an author signed two operations under one number."""

_o, _p, _v, _f = shared_objects.c, shared_operations.c, shared_values.c, shared_forks.c
_this: BindParameter[str] = bindparam("object_id")

PUT_OBJECT = upsert(shared_objects)
ADD_OPERATION = sql(shared_operations.insert())
PUT_VALUE = upsert(shared_values)
ADD_FORK = insert_new(shared_forks)

_GET_OBJECT = sql(select(shared_objects).where(_o.object_id == _this))
_OBJECTS = sql(
    select(shared_objects)
    .where(_o.object_id > bindparam("after"))
    .order_by(_o.object_id)
    .limit(PAGE)
)
_COUNT = sql(select(func.count()).select_from(shared_objects))
_COUNT_OF = sql(
    select(func.count()).select_from(shared_objects).where(_o.told_by == bindparam("peer"))
)
_EMPTY = sql(
    select(_o.object_id)
    .where(_o.told_by != "", _o.operations == 0)
    .order_by(_o.object_id)
    .limit(PAGE)
)
_EMPTY_OF = sql(
    select(_o.object_id)
    .where(_o.told_by == bindparam("peer"), _o.operations == 0)
    .order_by(_o.object_id)
    .limit(PAGE)
)
_DROP_OBJECT = sql(shared_objects.delete().where(_o.object_id == bindparam("its_object")))
_OPERATIONS = sql(
    select(_p.number, _p.token)
    .where(_p.object_id == _this, _p.number > bindparam("after"))
    .order_by(_p.number)
    .limit(PAGE)
)
_VALUES = sql(
    select(_v.key, _v.value, _v.operation)
    .where(_v.object_id == _this, _v.key > bindparam("after"))
    .order_by(_v.key)
    .limit(PAGE)
)
_DROP_VALUE = sql(
    shared_values.delete().where(
        _v.object_id == bindparam("its_object"), _v.key == bindparam("its_key")
    )
)
_DROP_VALUES = sql(shared_values.delete().where(_v.object_id == bindparam("its_object")))
_FORKS = sql(select(shared_forks).order_by(_f.object_id, _f.did).limit(PAGE))


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectRow:
    """A replica as it stood after the last commit."""

    object_id: ObjectId
    opening: str
    told_by: str
    generation: Count
    kind: ObjectKind
    epoch: int
    base: RecordId | None
    heads: tuple[RecordId, ...]
    heads_hash: RecordId | None
    authors: tuple[Did, ...]
    expelled: tuple[Did, ...]
    readers: tuple[Did, ...]
    operations: Count
    forks: Count

    @property
    def is_hearsay(self) -> bool:
        """Whether there is nothing of it but a peer's word: nobody has signed anything."""
        return bool(self.told_by) and not self.operations

    def is_for(self, node: Did) -> bool:
        """Return whether a node may have it."""
        return node in self.authors or node in self.readers


@dataclass(frozen=True, slots=True)
class ValueRow:
    """What stands under a key, and the operation by which it does."""

    key: str
    value: str | None
    operation: RecordId


def put_object(tx: Tx, row: ObjectRow) -> None:
    """Keep what is to be known of a replica by whoever only reads."""
    lists = {
        name: json.dumps(list(getattr(row, name)))
        for name in ("heads", "authors", "expelled", "readers")
    }
    tx.run(
        PUT_OBJECT,
        object_id=row.object_id,
        opening=row.opening,
        told_by=row.told_by,
        generation=row.generation,
        kind=row.kind.value,
        epoch=row.epoch,
        base=row.base,
        heads_hash=row.heads_hash,
        operations=row.operations,
        forks=row.forks,
        **lists,
    )


def get_object(tx: Tx, object_id: str) -> ObjectRow | None:
    """Return a replica as it stood after the last commit."""
    row = tx.one(_GET_OBJECT, object_id=object_id)
    return None if row is None else _object(row)


def objects(tx: Tx, after: str = "") -> list[ObjectRow]:
    """Return the next replicas, in the database's order of ids, at most `PAGE`."""
    return [_object(row) for row in tx.all(_OBJECTS, after=after)]


def count(tx: Tx) -> int:
    """Return how many objects are kept."""
    row = tx.one(_COUNT)
    assert row is not None, "a count is a row"
    return int(row[0])


def count_of(tx: Tx, peer: Did) -> int:
    """Return how many of them a peer told of first."""
    row = tx.one(_COUNT_OF, peer=peer)
    assert row is not None, "a count is a row"
    return int(row[0])


def empty(tx: Tx, peer: Did | None = None) -> list[ObjectId]:
    """Return objects that a peer told of and of which nothing is kept; at most `PAGE`."""
    rows = tx.all(_EMPTY) if peer is None else tx.all(_EMPTY_OF, peer=peer)
    return [row[0] for row in rows]


def drop_object(tx: Tx, object_id: ObjectId) -> None:
    """Forget an object of which nothing is kept."""
    tx.run(_DROP_OBJECT, its_object=object_id)


def operations(tx: Tx, object_id: ObjectId, after: int = 0) -> list[tuple[int, Jws]]:
    """Return the next operations with their numbers, at most `PAGE`."""
    rows = tx.all(_OPERATIONS, object_id=object_id, after=after)
    return [(int(number), token) for number, token in rows]


def values(tx: Tx, object_id: ObjectId, after: str = "") -> list[ValueRow]:
    """Return what stands under the next keys, at most `PAGE`."""
    return [ValueRow(*row) for row in tx.all(_VALUES, object_id=object_id, after=after)]


def drop_values(tx: Tx, object_id: ObjectId, keys: Iterable[str]) -> None:
    """Forget what stood under some keys."""
    for key in keys:
        tx.run(_DROP_VALUE, its_object=object_id, its_key=key)


def drop_all_values(tx: Tx, object_id: ObjectId) -> None:
    """Forget what stood under all keys."""
    tx.run(_DROP_VALUES, its_object=object_id)


def forks(tx: Tx) -> list[tuple[ObjectId, Did, Jws, Jws]]:
    """Return the proofs, by object and author, at most `PAGE`."""
    return [tuple(row) for row in tx.all(_FORKS)]


def _object(row: Any) -> ObjectRow:
    object_id, opening, told_by, generation, kind, epoch, base, *rest = row
    heads, heads_hash, authors, expelled, readers, operations, forks = rest
    return ObjectRow(
        object_id=object_id,
        opening=opening,
        told_by=told_by,
        generation=generation,
        kind=ObjectKind(kind),
        epoch=epoch,
        base=base,
        heads=tuple(json.loads(heads)),
        heads_hash=heads_hash,
        authors=tuple(json.loads(authors)),
        expelled=tuple(json.loads(expelled)),
        readers=tuple(json.loads(readers)),
        operations=operations,
        forks=forks,
    )
