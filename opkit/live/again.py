"""Verifying again, here, what a marker rests on: its proofs, not what was said of them."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from opkit.live.live import Live
from opkit.live.ports import ControlRefused
from opkit.proof.checks import FAILED, Check
from opkit.proof.cid import cid_of
from opkit.proof.receipt import verify_receipt
from opkit.story.proving import proof_checks
from opkit.story.report import BlobRecord, CheckRecord, MarkerRecord, ReceiptRecord
from opkit.views.figures import Verification
from opkit.wire.compute import GET_BLOB, GetBlob, ReceiptBundle
from opkit.wire.errors import CoopError


async def verify_again(live: Live, told: MarkerRecord) -> Verification:
    """Return what verifying a marker's proofs finds now.

    Receipts and names are verified against the genesis that this machine keeps. Bytes are asked of
    the nodes, one after another, until one has them, and named anew here.
    """
    checks: list[Check] = []
    bundle: ReceiptBundle | None = None
    for number, proof in enumerate(told.proofs, start=1):
        if isinstance(proof, ReceiptRecord):
            bundle = proof.bundle
            verdict = await asyncio.to_thread(
                verify_receipt, proof.bundle, genesis=live.source.genesis
            )
            checks += [
                Check(f"proof {number}: {each.name}", each.ok, each.expected, each.actual)
                for each in verdict.checks
            ]
        elif isinstance(proof, BlobRecord):
            checks.append(await _named_anew(live, proof, number))
        else:
            said = await asyncio.to_thread(proof_checks, proof, genesis=live.source.genesis)
            checks += [replace(each, name=f"proof {number}: {each.name}") for each in said]
    ok = bool(checks) and all(check.ok for check in checks)
    return Verification(
        subject=told.name,
        at_ms=live.now_ms(),
        ok=ok,
        verdict="verified" if ok else FAILED,
        checks=tuple(CheckRecord(**vars(check)) for check in checks),
        bundle=bundle,
    )


async def _named_anew(live: Live, proof: BlobRecord, number: int) -> Check:
    """Return the check that bytes which a node holds have the name that the marker cites."""
    silent = []
    for org, followed in live.followed.items():
        if followed.health != "up":
            silent.append(f"{followed.at.title}: {followed.why}")
            continue
        try:
            blob = await live.call(org, GET_BLOB, GetBlob(cid=proof.cid))
        except (CoopError, ControlRefused) as no:
            silent.append(f"{followed.at.title}: {getattr(no, 'code', '') or no}")
            continue
        name = f"proof {number}: name of the bytes that {followed.at.title} has"
        actual = cid_of(blob.content)
        return Check(name=name, ok=actual == proof.cid, expected=proof.cid, actual=actual)
    name = f"proof {number}: bytes"
    return Check(name=name, ok=False, expected="a node that has them", actual="; ".join(silent))
