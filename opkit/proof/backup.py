"""What a node signs over a backup of itself: its files, and where its journal stood.

The statement covers every file by its hash; blobs are named by theirs, so one list of names and
sizes covers them all. Source: ADR 0021.
"""

from __future__ import annotations

from functools import partial
from typing import Annotated, Literal

from pydantic import Field

from opkit.proof import jws
from opkit.proof.checks import Check, ProofError, attempt, equal
from opkit.proof.genesis import GenesisView
from opkit.proof.history import examine_head
from opkit.proof.keys import Identity
from opkit.wire.base import Count, Did, Jws, NetworkId, RecordId, TimeMs, Wire
from opkit.wire.journal import JournalHead

BACKUP_TYP = "opkit-backup+jws"

FILES_MAX = 16
"""The most files beside the blobs."""


class BackupFile(Wire):
    """One file of a backup, by its name, size and SHA-256."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z.]{0,30}[a-z]$")]
    size_bytes: Count
    sha256: RecordId


class BackupStatement(Wire):
    """A node's word on a backup of itself.

    Attributes:
        revision: the schema of the database in it.
        head: where the journal stands in it, signed like every head.
    """

    network: NetworkId
    aud: Literal["backup"]
    node: Did
    version: Annotated[str, Field(max_length=64)]
    revision: Annotated[str, Field(pattern=r"^[0-9]{4}$")]
    head: Jws
    files: Annotated[tuple[BackupFile, ...], Field(max_length=FILES_MAX)]
    created_at_ms: TimeMs


class SignedBackup(Wire):
    """What stands in a backup's `backup.json`."""

    statement: Jws


def sign_backup(statement: BackupStatement, identity: Identity) -> Jws:
    """Return the statement, signed by the node that it is about."""
    return jws.sign(statement, typ=BACKUP_TYP, identity=identity)


def read_backup(token: Jws, *, genesis: GenesisView | None) -> BackupStatement:
    """Return a statement that the node it names has signed.

    Args:
        genesis: whose network it must belong to; None takes the network that it names.

    Raises:
        ProofError: signature, type, network or shape.
    """
    network = None if genesis is None else genesis.network
    return jws.verify_by_author(
        token, typ=BACKUP_TYP, author="node", network=network, of=BackupStatement
    )


def examine_backup(
    token: Jws, *, genesis: GenesisView | None
) -> tuple[BackupStatement | None, JournalHead | None, list[Check]]:
    """Return a statement and its head if they are well signed, and the checks that say so.

    Without a genesis, signatures are checked against the key that the statement names itself.
    """
    statement, signed = attempt("backup-signature", partial(read_backup, token, genesis=genesis))
    if statement is None:
        return None, None, [signed]
    head, checks = examine_head("head", statement.head, genesis=genesis)
    checks = [signed, *checks]
    if head is not None:
        checks.append(equal("head-node", expected=statement.node, actual=head.node))
        checks.append(equal("head-network", expected=statement.network, actual=head.network))
    return statement, head, checks


def check_file(said: BackupFile, *, size_bytes: int, sha256: RecordId) -> None:
    """Return if a file is the one that a statement names.

    Raises:
        ProofError: another size, or another hash, in this order.
    """
    if size_bytes != said.size_bytes:
        raise ProofError(f"{said.name} has {size_bytes:,} bytes, not {said.size_bytes:,}")
    if sha256 != said.sha256:
        raise ProofError(f"{said.name} is not what was backed up")
