"""Signs a replay, and verifies one anywhere: the operator's word over the page, every proof."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from opkit.proof.canonical import sha256_hex
from opkit.proof.checks import Check, Verdict
from opkit.proof.genesis import GenesisView
from opkit.proof.keys import Identity
from opkit.proof.report import ReportStatement, file_hash, sign_report, verify_report
from opkit.runner.folder import EVIDENCE, INDEX
from opkit.runner.verify import check_contents
from opkit.story.record import RunRecord
from opkit.views.replay import (
    Recording,
    embedded_blobs,
    embedded_evidence_text,
    replay_html,
    without_signature,
)

REPLAY = "replay.html"
"""Under which name the statement lists the page, whatever the file is called."""

REPLAY_BYTES_MAX = 128 * 2**20


def signed_replay(
    run: RunRecord, recording: Recording, *, blobs: Mapping[str, bytes], operator: Identity
) -> str:
    """Return a replay's page with the operator's statement over all the rest of it.

    Raises:
        ProofError: the statement cannot be signed.
    """
    data, _ = without_signature(replay_html(run, recording, blobs=blobs))
    statement = ReportStatement(
        network=run.network,
        run_id=run.run_id,
        created_ms=run.created_ms + run.took_ms,
        files=(file_hash(REPLAY, data),),
    )
    return replay_html(run, recording, blobs=blobs, signature=sign_report(statement, operator))


def read_replay(path: Path) -> str:
    """Return a replay's page.

    Raises:
        ValueError: it is larger than a replay can be, or no text.
        OSError: it cannot be read.
    """
    if path.stat().st_size > REPLAY_BYTES_MAX:
        raise ValueError(f"a replay has at most {REPLAY_BYTES_MAX} bytes")
    try:
        return path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as bad:
        raise ValueError("it is no text") from bad


def verify_replay(html: str, *, genesis: GenesisView | None) -> Verdict:
    """Check a replay whole; never raises for a bad one.

    Args:
        html: the page, as `read_replay` gives it.
        genesis: the network's genesis as the verifier keeps it; None if they have none: then the
            best answer is "consistent, signer unknown".
    """
    try:
        data, token = without_signature(html)
        blobs = embedded_blobs(html)
    except ValueError as bad:
        failed = Check(name="readable", ok=False, expected="a replay", actual=str(bad))
        return Verdict(subject="replay", checks=(failed,), anchored=genesis is not None)
    signed = verify_report(token, genesis=genesis, files={REPLAY: (sha256_hex(data), len(data))})
    files = {
        EVIDENCE: embedded_evidence_text(html).encode("utf-8"),
        INDEX: html.encode("utf-8"),
        **{f"blobs/{cid}": content for cid, content in blobs.items()},
    }
    checks = (*signed.checks, *check_contents(files, genesis))
    return Verdict(subject="replay", checks=checks, anchored=genesis is not None)
