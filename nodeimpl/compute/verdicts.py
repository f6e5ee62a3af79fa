"""Verdicts of signatures, for the rules to judge by: whose manifest, whose receipt."""

from __future__ import annotations

from dataclasses import dataclass

from nodeimpl.compute import store as table
from nodeimpl.compute.parts import Members
from nodeimpl.compute.rules import state_of
from nodeimpl.kernel.tx import Tx
from opkit.proof import jws
from opkit.proof.checks import ProofError
from opkit.proof.cid import cid_of
from opkit.proof.genesis import GenesisView
from opkit.proof.grants import claimed_manifest
from opkit.proof.membership import fold_member
from opkit.proof.receipt import verify_manifest, verify_receipt
from opkit.wire.base import Did, Jws, RecordId
from opkit.wire.compute import Manifest, Receipt, ReceiptBundle, TaskView
from opkit.wire.membership import Member


@dataclass(frozen=True, kw_only=True)
class Signed:
    """A manifest's JWS and what its signature says; `manifest` is None if it does not verify."""

    token: Jws
    manifest: Manifest | None
    manifest_hash: RecordId
    why: str = ""


def read_manifest(
    tx: Tx, token: Jws, *, records: tuple[Jws, ...], members: Members, genesis: GenesisView
) -> Signed:
    """Verify a manifest against its member's current key.

    The member is the one this node knows or the one the records prove, whichever is newer: so a
    revocation that is known here counts, whatever records come along.
    """
    try:
        manifest_hash = jws.record_id(token)
    except ProofError as bad:
        return Signed(token=token, manifest=None, manifest_hash="", why=bad.why)
    try:
        member_id = str(jws.peek(token).payload.get("member_id"))
        member = _newest(members.member(tx, member_id), member_id, records, genesis)
        manifest = verify_manifest(token, genesis=genesis, member=member)
    except ProofError as bad:
        return Signed(token=token, manifest=None, manifest_hash=manifest_hash, why=bad.why)
    return Signed(token=token, manifest=manifest, manifest_hash=manifest_hash)


def claimed_executor(token: Jws) -> str:
    """Return which executor a manifest names, UNVERIFIED; empty if it is no manifest at all."""
    try:
        return str(jws.peek(token).payload.get("aud"))
    except ProofError:
        return ""


def _newest(
    known: Member | None, member_id: str, records: tuple[Jws, ...], genesis: GenesisView
) -> Member:
    proved = fold_member(member_id, genesis=genesis, records=records) if records else None
    if proved is not None and (known is None or proved.sequence > known.sequence):
        return proved
    if known is None:
        raise ProofError(f"{member_id} is no member that is known here")
    return known


def manifest_of(token: Jws) -> Manifest:
    """Return the manifest of a JWS that was verified when it was taken."""
    return claimed_manifest(token)


def receipt_of(token: Jws) -> Receipt:
    """Return the receipt of a JWS that was verified, or made here."""
    return Receipt.model_validate(jws.peek(token).payload)


def judge_end(
    view: TaskView,
    *,
    task: table.Task,
    executor: Did,
    records: tuple[Jws, ...],
    genesis: GenesisView,
) -> str:
    """Return why an executor's word on how a task ended is not believed; empty if it is.

    A receipt must verify, be by the executor that has the task, and agree with the state; an
    output must hash to what the receipt says.
    """
    if view.receipt is None:
        return "there is no receipt"
    bundle = ReceiptBundle(receipt=view.receipt, manifest=task.manifest, records=records)
    verdict = verify_receipt(bundle, genesis=genesis)
    wrong = [check.name for check in verdict.checks if not check.ok]
    if wrong:
        return "the receipt fails: " + ", ".join(wrong)
    receipt = receipt_of(view.receipt)
    if receipt.executor != executor:
        return "the receipt is another executor's"
    if state_of(receipt.outcome) is not view.state:
        return "state and receipt disagree"
    if view.output_hash != receipt.output_hash:
        return "output and receipt disagree"
    if view.output_inline is not None and cid_of(view.output_inline) != receipt.output_hash:
        return "the output is not the one that the receipt names"
    return ""
