"""Proofs as they are saved from a page: files that the command line verifies as they are."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from opkit.story.report import (
    AgreementRecord,
    AuditRecord,
    DecisionRecord,
    ReceiptRecord,
    SignedRecord,
)
from opkit.wire.base import Wire

PROOF_NAMES: Final[Mapping[str, str]] = {
    "receipt": "the receipt",
    "name": "the record of the name",
    "decision": "the decision",
    "omission": "the proof of the missing vote",
    "entry": "the entry",
    "agreement": "the agreement",
    "exchange": "the exchange",
    "audit": "the audit",
}
"""What each kind of proof is called."""


def proof_json(proof: SignedRecord) -> str:
    """Return a proof as the text of its file: what `opkit receipt verify` and the like read."""
    kept: Wire = proof
    if isinstance(proof, ReceiptRecord):
        kept = proof.bundle
    elif isinstance(proof, DecisionRecord | AgreementRecord | AuditRecord):
        kept = proof.file
    return json.dumps(kept.model_dump(mode="json"), indent=2)
