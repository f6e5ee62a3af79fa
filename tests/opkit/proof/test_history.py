"""Signed heads: by the node that they name, for the network that the reader holds."""

from __future__ import annotations

from typing import Any

import pytest

from opkit.proof import jws
from opkit.proof.checks import ProofError
from opkit.proof.history import read_head
from opkit.wire.base import Jws
from opkit.wire.journal import JOURNAL_HEAD_TYP, JournalHead


def head_of(network: Any, *, signer: Any = None, **changes: Any) -> Jws:
    node = network.nodes["tool-library"]
    fields: dict[str, Any] = {
        "network": network.name,
        "aud": "journal",
        "node": node.did,
        "generation": 1,
        "size": 3,
        "root": "1" * 64,
        "hash": "2" * 64,
        "issued_at_ms": 9,
    }
    head = JournalHead(**{**fields, **changes})
    return jws.sign(head, typ=JOURNAL_HEAD_TYP, identity=signer or node)


def test_a_head_is_read_with_the_genesis_and_without(network: Any) -> None:
    token = head_of(network)
    assert read_head(token, genesis=network.view) == read_head(token, genesis=None)


def test_a_head_that_another_signed_or_of_another_network_is_not_read(
    network: Any, rebuilt: Any
) -> None:
    with pytest.raises(ProofError, match="it is signed by"):
        read_head(head_of(network, signer=network.operator), genesis=network.view)
    with pytest.raises(ProofError, match="another network"):
        read_head(head_of(rebuilt), genesis=network.view)
