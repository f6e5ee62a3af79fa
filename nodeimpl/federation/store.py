"""What a node has told of who joined and left the federation, each once."""

from __future__ import annotations

from sqlalchemy import Column, Table, Text

from nodeimpl.kernel.schema import metadata
from nodeimpl.kernel.statements import insert_new
from nodeimpl.kernel.tx import Tx
from opkit.wire.base import Did

federation_told = Table(
    "federation_told",
    metadata,
    Column("did", Text, primary_key=True),
    Column("what", Text, primary_key=True),
)
"""Changes of membership that were journalled."""

_ADD = insert_new(federation_told)


def is_news(tx: Tx, did: Did, what: str) -> bool:
    """Return whether this was not told before; it is then."""
    return tx.run(_ADD, did=did, what=what) > 0
