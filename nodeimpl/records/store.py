"""What of the overlay's shelf survives a restart: each record that is kept, of each owner one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import BigInteger, Column, Table, Text, bindparam, delete, select, tuple_

from nodeimpl.kernel.references import NAMES_NOTHING
from nodeimpl.kernel.schema import metadata
from nodeimpl.kernel.store import Tx, sql, upsert
from opkit.wire.base import Did
from opkit.wire.records import Carried, Namespace, RecordName

RecordKey = tuple[Namespace, RecordName, Did]
"""Where one owner's record stands."""

PAGE = 256
"""How many rows are read, or written, at once."""

overlay_records = Table(
    "overlay_records",
    metadata,
    Column("namespace", Text, primary_key=True),
    # Who says that they keep a blob says so while they do: their word is no reason to keep it.
    Column("name", Text, primary_key=True, info=NAMES_NOTHING),
    Column("owner", Text, primary_key=True),
    Column("until_ms", BigInteger, nullable=False),
    Column("record", Text, nullable=False),
    Column("proof", Text, nullable=False),
)
"""`until_ms`: until then it stands or bars what it replaced; `proof`: one record a line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptRow:
    """A record as the shelf kept it.

    Attributes:
        until_ms: until when nothing that it replaced comes back; not before it lapses.
    """

    key: RecordKey
    carried: Carried
    until_ms: int


_key = tuple_(overlay_records.c.namespace, overlay_records.c.name, overlay_records.c.owner)

_KEEP = upsert(overlay_records)
_DROP = sql(
    delete(overlay_records).where(
        overlay_records.c.namespace == bindparam("of_namespace"),
        overlay_records.c.name == bindparam("of_name"),
        overlay_records.c.owner == bindparam("of_owner"),
    )
)
_DROP_LAPSED = sql(delete(overlay_records).where(overlay_records.c.until_ms <= bindparam("now_ms")))
_READ = sql(
    select(overlay_records)
    .where(
        _key
        > tuple_(bindparam("after_namespace"), bindparam("after_name"), bindparam("after_owner"))
    )
    .order_by(overlay_records.c.namespace, overlay_records.c.name, overlay_records.c.owner)
    .limit(PAGE)
)


def write(tx: Tx, kept: Sequence[KeptRow], gone: Sequence[RecordKey]) -> None:
    """Keep rows, each in the place of what stood there, and let others go."""
    for row in kept:
        namespace, name, owner = row.key
        tx.later(
            _KEEP,
            namespace=namespace,
            name=name,
            owner=owner,
            until_ms=row.until_ms,
            record=row.carried.jws,
            proof="\n".join(row.carried.proof),
        )
    for namespace, name, owner in gone:
        tx.later(_DROP, of_namespace=namespace, of_name=name, of_owner=owner)


def drop_lapsed(tx: Tx) -> int:
    """Let go of what is over; return how much that was."""
    return tx.run(_DROP_LAPSED, now_ms=tx.now_ms)


def read(tx: Tx, after: tuple[str, str, str] = ("", "", "")) -> list[KeptRow]:
    """Return the next rows in the order of their keys, `PAGE` at most."""
    namespace, name, owner = after
    found = tx.all(_READ, after_namespace=namespace, after_name=name, after_owner=owner)
    return [
        KeptRow(
            key=(row[0], row[1], row[2]),
            # What was taken in was checked then, and is verified again by the shelf.
            carried=Carried.model_construct(jws=row[4], proof=tuple(row[5].split())),
            until_ms=row[3],
        )
        for row in found
    ]
