"""Which columns name blobs: whoever keeps names of blobs says so where the column is declared.

A column of content names carries `info=NAMES_BLOBS` if what it names must be kept, else
`info=NAMES_NOTHING`, where it names something else or is no reason to keep it. A test reads the
schema for columns that say neither (ADR 0020).
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Column, MetaData, bindparam, literal, select

from nodeimpl.kernel.statements import Statement, sql
from nodeimpl.kernel.tx import Tx

_KEY = "names_blobs"

NAMES_BLOBS = {_KEY: True}
"""A blob named in this column is never collected. The column must lead an index."""

NAMES_NOTHING = {_KEY: False}
"""A name in this column is no reason to keep a blob."""


def says(column: Column[str]) -> bool | None:
    """Return whether a column names blobs that must be kept; None if it does not say."""
    said: bool | None = column.info.get(_KEY)
    return said


class References:
    """The columns of a schema that name blobs, as statements."""

    def __init__(self, metadata: MetaData) -> None:
        """Read the schema, once all domains have declared their tables."""
        self._statements: Sequence[Statement] = [
            sql(select(literal(1)).where(column == bindparam("cid")).limit(1))
            for table in metadata.sorted_tables
            for column in table.columns
            if says(column)
        ]

    def hold(self, tx: Tx, cid: str) -> bool:
        """Return whether anything that is kept names this blob."""
        return any(tx.one(each, cid=cid) is not None for each in self._statements)
