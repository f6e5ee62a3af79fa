"""Running a receipt's task again, to see whether the executor told the truth.

Only outcomes that are reproducible are compared, and only under an equal engine id: another
version or other settings may well give other fuel.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from nodeimpl.sandbox.sandbox import Job, Sandbox
from opkit.proof.checks import Check, ProofError, Verdict, equal
from opkit.proof.cid import cid_of
from opkit.proof.grants import claimed_manifest
from opkit.proof.receipt import claimed_receipt
from opkit.wire.compute import (
    REPRODUCIBLE,
    Manifest,
    ModuleInvalid,
    Outcome,
    Receipt,
    ReceiptBundle,
)


async def replay(bundle: ReceiptBundle, *, module: bytes, input_bytes: bytes) -> Verdict:
    """Run the task of a receipt again in a worker and compare outcome, output and fuel.

    What the signatures are worth is not judged here (`opkit.proof.receipt.verify_receipt`).
    """
    try:
        receipt = claimed_receipt(bundle.receipt)
        manifest = claimed_manifest(bundle.manifest)
    except (ProofError, ValueError) as bad:
        broken = Check(name="readable", ok=False, expected="receipt and manifest", actual=str(bad))
        return Verdict(subject="replay", checks=(broken,), anchored=False)
    checks = [
        equal("module", expected=receipt.wasm_hash, actual=cid_of(module)),
        equal("input", expected=receipt.input_hash, actual=cid_of(input_bytes)),
        Check(
            name="reproducible",
            ok=receipt.outcome in REPRODUCIBLE,
            expected="one of " + ", ".join(sorted(REPRODUCIBLE)),
            actual=receipt.outcome.value,
        ),
    ]
    with tempfile.TemporaryDirectory(prefix="opkit-replay-") as folder:
        sandbox = Sandbox.launch(workers_max=1, cache_folder=Path(folder) / "code")
        try:
            mine, theirs = str(sandbox.engine), str(receipt.engine)
            checks.append(equal("engine", expected=theirs, actual=mine))
            if all(check.ok for check in checks):
                await sandbox.start()
                checks += await _run(sandbox, receipt, manifest, module, input_bytes)
        finally:
            await sandbox.close()
    return Verdict(subject="replay", checks=tuple(checks), anchored=False)


async def _run(
    sandbox: Sandbox, receipt: Receipt, manifest: Manifest, module: bytes, input_bytes: bytes
) -> list[Check]:
    job = Job(
        wasm_hash=receipt.wasm_hash,
        module=module,
        stdin=input_bytes,
        limits=receipt.limits,
        grants=manifest.grants,
    )
    try:
        result = await sandbox.run(job)
    except ModuleInvalid as no:
        return [equal("outcome", expected=receipt.outcome.value, actual=f"refused: {no.why}")]
    output = cid_of(result.output) if result.outcome is Outcome.OK else None
    return [
        equal("outcome", expected=receipt.outcome.value, actual=result.outcome.value),
        equal("reason", expected=receipt.reason, actual=result.reason),
        equal("output", expected=str(receipt.output_hash), actual=str(output)),
        equal("fuel", expected=str(receipt.fuel_used), actual=str(result.fuel_used)),
    ]
