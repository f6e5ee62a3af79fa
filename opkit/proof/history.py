"""A node's history as others can check it: signed heads, one entry, and growth without rewriting.

A head proves what the node said of its journal, and no more: that it showed everybody the same one
takes others who compare heads. Source: ADR 0019; RFC 9162.
"""

from __future__ import annotations

from typing import TypeVar

from opkit.proof import jws
from opkit.proof.genesis import GenesisView
from opkit.wire.base import Jws
from opkit.wire.journal import (
    JOURNAL_HEAD_TYP,
    JournalHead,
)

T = TypeVar("T")


def read_head(token: Jws, *, genesis: GenesisView | None) -> JournalHead:
    """Return a head that the node it names has signed.

    Args:
        token: the head.
        genesis: whose network it must belong to; None takes the network that it names.

    Raises:
        ProofError: signature, type, network or shape.
    """
    claimed = jws.peek(token).payload
    network = genesis.network if genesis else str(claimed.get("network"))
    issuer = str(claimed.get("node"))
    return jws.verify(token, typ=JOURNAL_HEAD_TYP, issuer=issuer, network=network, of=JournalHead)
