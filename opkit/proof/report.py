"""The statement over a run's report: the hash of every file, signed by the network's operator.

Source: ADR 0010.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from opkit.proof import jws
from opkit.proof.canonical import sha256_hex
from opkit.proof.checks import Check, ProofError, Verdict, equal
from opkit.proof.genesis import GenesisView
from opkit.proof.keys import Identity
from opkit.wire.base import Count, Jws, NetworkId, RecordId, TimeMs, Wire

REPORT_TYP = "opkit-report+jws"

FILES_MAX = 1000
"""The most files that one statement lists: so many fit a signed object under blobs' names."""

FilePath = Annotated[
    str,
    StringConstraints(
        max_length=128, pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]*(?:/[A-Za-z0-9_][A-Za-z0-9._-]*)*$"
    ),
]
"""A path below the run's folder with `/` between parts; no part starts with a dot."""


class FileHash(Wire):
    """One file of a report, by its hash."""

    path: FilePath
    sha256: RecordId
    size_bytes: Count


class ReportStatement(Wire):
    """Every file of a report (the payload of a JWS of type `opkit-report+jws`), ordered by path."""

    network: NetworkId
    aud: Literal["report"] = "report"
    run_id: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    created_ms: TimeMs
    files: Annotated[tuple[FileHash, ...], Field(max_length=FILES_MAX)]

    @model_validator(mode="after")
    def _ordered(self) -> ReportStatement:
        paths = [file.path for file in self.files]
        if paths != sorted(set(paths)):
            raise ValueError("files are listed once each, ordered by path")
        return self


def file_hash(path: str, data: bytes) -> FileHash:
    """Return the line of a statement for a file of these bytes."""
    return FileHash(path=path, sha256=sha256_hex(data), size_bytes=len(data))


def sign_report(statement: ReportStatement, operator: Identity) -> Jws:
    """Return the statement signed by the network's operator.

    Raises:
        ProofError: the statement is too long for a signed object.
    """
    return jws.sign(statement, typ=REPORT_TYP, identity=operator)


def read_report(token: Jws, *, genesis: GenesisView | None) -> ReportStatement:
    """Return the statement, verified against the operator of `genesis`.

    Without a genesis it is verified against the key that it names itself, which proves nothing
    about whose it is.

    Raises:
        ProofError: the statement does not verify.
    """
    if genesis is None:
        claimed = jws.peek(token)
        issuer, network = claimed.kid, str(claimed.payload.get("network"))
    else:
        issuer, network = genesis.operator, genesis.network
    return jws.verify(token, typ=REPORT_TYP, issuer=issuer, network=network, of=ReportStatement)


def verify_report(
    token: Jws, *, genesis: GenesisView | None, files: Mapping[str, tuple[str, int]]
) -> Verdict:
    """Check a report's statement, and that its files are exactly those in the folder.

    Args:
        token: the signed statement.
        genesis: the network's genesis as the verifier keeps it; None if they have none.
        files: what is in the folder, by path: SHA-256 in hex and size in bytes. The file that
            holds the statement itself is not among them.
    """
    anchored = genesis is not None
    signer = genesis.operator if genesis else "the key that the statement names"
    try:
        statement = read_report(token, genesis=genesis)
    except ProofError as bad:
        signed = Check(name="statement-signature", ok=False, expected=signer, actual=bad.why)
        return Verdict(subject="report", checks=(signed,), anchored=anchored)
    checks = [Check(name="statement-signature", ok=True, expected=signer, actual="verifies")]
    listed = {file.path: (file.sha256, file.size_bytes) for file in statement.files}
    checks.extend(
        equal(f"file {path}", expected=_said(listed.get(path)), actual=_said(files.get(path)))
        for path in sorted(listed.keys() | files.keys())
    )
    return Verdict(subject=f"report {statement.run_id}", checks=tuple(checks), anchored=anchored)


def _said(file: tuple[str, int] | None) -> str:
    return "no such file" if file is None else f"{file[0]} ({file[1]} bytes)"
