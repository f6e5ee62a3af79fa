"""What a node signs over a backup of itself: by whom, for which network, with which head."""

from __future__ import annotations

from typing import Any

import pytest

from opkit.proof import jws
from opkit.proof.backup import (
    BackupFile,
    BackupStatement,
    check_file,
    examine_backup,
    read_backup,
    sign_backup,
)
from opkit.proof.checks import ProofError
from opkit.proof.keys import Identity
from opkit.wire.base import Jws
from opkit.wire.journal import JOURNAL_HEAD_TYP, JournalHead

FILE = BackupFile(name="node.db", size_bytes=3, sha256="a" * 64)


def head_of(network: Any, signer: Identity, **changes: Any) -> Jws:
    fields: dict[str, Any] = {
        "network": network.name,
        "aud": "journal",
        "node": signer.did,
        "generation": 1,
        "size": 0,
        "root": "1" * 64,
        "hash": "2" * 64,
        "issued_at_ms": 9,
    }
    return jws.sign(JournalHead(**{**fields, **changes}), typ=JOURNAL_HEAD_TYP, identity=signer)


def backup_of(network: Any, *, signer: Any = None, **changes: Any) -> Jws:
    node = network.nodes["tool-library"]
    fields: dict[str, Any] = {
        "network": network.name,
        "aud": "backup",
        "node": node.did,
        "version": "1",
        "revision": "0003",
        "head": head_of(network, node),
        "files": (FILE,),
        "created_at_ms": 9,
    }
    return sign_backup(BackupStatement(**{**fields, **changes}), signer or node)


def failed(token: Jws, genesis: Any) -> list[str]:
    _, _, checks = examine_backup(token, genesis=genesis)
    return [check.name for check in checks if not check.ok]


def test_a_statement_is_read_with_the_genesis_and_without(network: Any) -> None:
    token = backup_of(network)
    assert jws.peek(token).typ == "opkit-backup+jws"
    assert read_backup(token, genesis=network.view) == read_backup(token, genesis=None)
    statement, head, _ = examine_backup(token, genesis=network.view)
    assert statement is not None
    assert head is not None
    assert (statement.node, failed(token, network.view)) == (head.node, [])
    assert failed(token, None) == []


def test_a_statement_that_another_signed_is_none(network: Any, rebuilt: Any) -> None:
    forged = backup_of(network, signer=network.operator)
    assert failed(forged, network.view) == ["backup-signature"]
    assert examine_backup(forged, genesis=None)[:2] == (None, None)
    assert failed(backup_of(rebuilt), network.view) == ["backup-signature"]
    stranger = Identity.generate()
    own = backup_of(network, signer=stranger, node=stranger.did, head=head_of(network, stranger))
    assert failed(own, network.view) == ["head-node-known"]


def test_the_head_in_it_is_the_nodes_own(network: Any, rebuilt: Any) -> None:
    other = network.nodes["building-yard"]
    assert failed(backup_of(network, head=head_of(network, other)), network.view) == ["head-node"]
    node = network.nodes["tool-library"]
    elsewhere = backup_of(network, head=head_of(rebuilt, node))
    assert failed(elsewhere, network.view) == ["head-signature"]
    assert failed(elsewhere, None) == ["head-network"]
    forged = head_of(network, network.operator, node=node.did)
    statement, head, _ = examine_backup(backup_of(network, head=forged), genesis=network.view)
    assert statement is not None
    assert head is None


def test_a_file_is_the_one_that_was_named() -> None:
    check_file(FILE, size_bytes=3, sha256="a" * 64)
    with pytest.raises(ProofError, match="has 4 bytes, not 3"):
        check_file(FILE, size_bytes=4, sha256="b" * 64)
    with pytest.raises(ProofError, match="is not what was backed up"):
        check_file(FILE, size_bytes=3, sha256="b" * 64)
