"""Verifies a run folder on any machine: the operator's word, every file, every proof.

Starts from a genesis that the verifier keeps; the copy in the folder is never an anchor, for
whoever forged the folder could have made it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from pydantic import ValidationError

from opkit.proof.canonical import sha256_hex
from opkit.proof.checks import Check, ProofError, Verdict, equal
from opkit.proof.cid import cid_of
from opkit.proof.genesis import GenesisView
from opkit.proof.receipt import verify_receipt
from opkit.proof.report import verify_report
from opkit.proof.witness import witnesses_of
from opkit.runner.folder import EVIDENCE, INDEX, SIGNATURE, audit_files, files_of
from opkit.story.proving import proof_checks
from opkit.story.record import FlowRecord, RunRecord
from opkit.story.report import BlobRecord, ReceiptRecord
from opkit.views.report import EVIDENCE_ID, embedded_evidence
from opkit.wire.kept import why_unread

SIGNATURE_BYTES_MAX = 300_000


def verify_folder(folder: Path, *, genesis: GenesisView | None) -> Verdict:
    """Check a run folder whole; never raises for a bad one.

    Args:
        folder: what a run wrote.
        genesis: the network's genesis as the verifier keeps it; None if they have none: then the
            best answer is "consistent, signer unknown".
    """
    subject = f"report {folder.name}"
    try:
        token = read_signature(folder)
        files = files_of(folder)
    except (OSError, ValueError) as bad:
        actual = _in_words(bad, folder)
        failed = Check(name="readable", ok=False, expected="a run folder", actual=actual)
        return Verdict(subject=subject, checks=(failed,), anchored=genesis is not None)
    hashes = {name: (sha256_hex(data), len(data)) for name, data in files.items()}
    signed = verify_report(token, genesis=genesis, files=hashes)
    checks = (*signed.checks, *check_contents(files, genesis))
    return Verdict(subject=subject, checks=checks, anchored=genesis is not None)


def read_signature(folder: Path) -> str:
    """Return the signed statement that a run folder holds; nobody has looked at it yet.

    Raises:
        ValueError: there is none, or what stands there can be none.
        OSError: it cannot be read.
    """
    path = folder / SIGNATURE
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise ValueError(f"{SIGNATURE} is no file")
    if not path.exists():
        raise ValueError(f"it holds no {SIGNATURE}")
    if path.stat().st_size > SIGNATURE_BYTES_MAX:
        raise ValueError(f"{SIGNATURE} is longer than a statement can be")
    token = path.read_bytes()
    if not token.isascii():
        raise ValueError(f"{SIGNATURE} is no signed statement")
    return token.decode("ascii").strip()


def _in_words(bad: OSError | ValueError, folder: Path) -> str:
    """Return why a folder cannot be read, without the system's number for it."""
    if not isinstance(bad, OSError) or bad.strerror is None:
        return str(bad)
    if bad.filename is None:
        return bad.strerror
    path = Path(str(bad.filename))
    name = path.relative_to(folder).as_posix() if path.is_relative_to(folder) else str(path)
    return f"{name}: {bad.strerror}"


def check_contents(files: Mapping[str, bytes], genesis: GenesisView | None) -> Iterator[Check]:
    """Yield the checks of what a run's files say, whoever signed them.

    Args:
        files: at least evidence and page, and every blob that a marker rests on, by path.
        genesis: the network's genesis as the verifier keeps it; None if they have none.
    """
    try:
        run = RunRecord.model_validate_json(files[EVIDENCE])
    except (KeyError, ValidationError) as bad:
        said = why_unread(bad) if isinstance(bad, ValidationError) else f"there is no {bad}"
        yield Check(name="evidence", ok=False, expected="evidence of a run", actual=said)
        return
    yield _that("evidence adds up", run.consistent, "each ok follows from its markers")
    if genesis is not None:
        yield equal("network", expected=genesis.network, actual=run.network)
        yield equal("operator", expected=genesis.operator, actual=run.operator)
        known = {node.did for node in genesis.genesis.nodes}
        strangers = sorted({node.did for node in run.nodes} - known)
        yield _that("nodes are of the network", not strangers, "all", ", ".join(strangers))
        for node in run.nodes:
            found = witnesses_of(node.did, node.witnessed, genesis=genesis)
            name = f"{node.org}: witnesses of its journal"
            yield equal(name, expected=len(node.witnessed), actual=len(found))
    shown = embedded_evidence(files.get(INDEX, b""))
    yield _that(f"{INDEX} shows this evidence", shown == run, f"the same run in {EVIDENCE_ID}")
    for flow in run.flows:
        yield from _proofs(flow, files, genesis)
    if genesis is not None:
        yield from _audits(run, files, genesis)


def _audits(run: RunRecord, files: Mapping[str, bytes], genesis: GenesisView) -> Iterator[Check]:
    """Check that what lies beside an audit follows from it, as far as the folder has it.

    A replay has none of it. Whose exchanges are, a genesis alone says, so without one the figures
    are others. The page may be another version's, and is held to nothing but its signature.
    """
    for name, data in audit_files(run, genesis=genesis).items():
        if name in files and not name.endswith(".html"):
            said = f"{name} follows from the evidence"
            yield _that(said, files[name] == data, "to the byte")


def _proofs(
    flow: FlowRecord, files: Mapping[str, bytes], genesis: GenesisView | None
) -> Iterator[Check]:
    for marker in flow.markers:
        where = f"{flow.name} {marker.name}"
        bad = [check.name for check in marker.checks if not check.ok]
        yield _that(f"{where}: its checks hold", not (marker.ok and bad), "all", ", ".join(bad))
        for proof in marker.proofs:
            if isinstance(proof, BlobRecord):
                data = files.get(proof.path)
                actual = "missing" if data is None else cid_of(data)
                yield equal(f"{where}: bytes", expected=proof.cid, actual=actual)
            elif isinstance(proof, ReceiptRecord):
                yield from _receipt(where, proof, genesis)
            else:
                for check in proof_checks(proof, genesis=genesis):
                    yield replace(check, name=f"{where}: {check.name}")


def _receipt(where: str, proof: ReceiptRecord, genesis: GenesisView | None) -> Iterator[Check]:
    try:
        verdict = verify_receipt(proof.bundle, genesis=genesis)
    except ProofError as bad:
        yield Check(name=f"{where}: receipt", ok=False, expected="a receipt", actual=bad.why)
        return
    for check in verdict.checks:
        yield Check(
            name=f"{where}: receipt, {check.name}",
            ok=check.ok,
            expected=check.expected,
            actual=check.actual,
        )


def _that(name: str, ok: bool, expected: str, actual: str = "") -> Check:
    return Check(name=name, ok=ok, expected=expected, actual=actual or ("yes" if ok else "no"))
