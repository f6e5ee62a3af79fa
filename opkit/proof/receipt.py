"""Receipts: what an executor says happened, checked against the manifest, members and genesis.

A receipt proves what the executor said, never that it is true: who wants that runs the module
again (`opkit receipt replay`). Source: ADR 0008.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from opkit.proof import jws
from opkit.proof.checks import Check, ProofError, Verdict, attempt, equal
from opkit.proof.cid import sha256_of_cid
from opkit.proof.genesis import GenesisView
from opkit.proof.grants import ReadManifest, grant_checks, read_manifest
from opkit.proof.membership import member_history
from opkit.wire.base import Did, Jws
from opkit.wire.compute import (
    RECEIPT_TYP,
    Manifest,
    Outcome,
    Receipt,
    ReceiptBundle,
)
from opkit.wire.membership import Member

ANY_EXECUTOR = "any"
"""The audience of a manifest whose submitter leaves the choice to their node."""

CHAIN_MAX = 100_000
"""The longest piece of a chain that is verified at once."""


def verify_manifest(token: Jws, *, genesis: GenesisView, member: Member) -> Manifest:
    """Return a manifest by this member's current key, or by a node under their grant.

    Raises:
        ProofError: the member is not active; signature, type, network or shape, also of the grant;
            the grant does not cover the task; it names another member; it ends before it was
            issued.
    """
    if not member.active:
        raise ProofError(f"{member.member_id} is no active member")
    read = read_manifest(token, network=genesis.network, key=member.did)
    for check in grant_checks(read):
        if not check.ok:
            raise ProofError(f"{check.name} is {check.actual}, not {check.expected}")
    return _of_member(read, member)


def _of_member(read: ReadManifest, member: Member) -> Manifest:
    manifest = read.manifest
    if manifest.member_id != member.member_id:
        raise ProofError(f"{member.member_id} signed a task of {manifest.member_id}")
    if manifest.expires_at_ms <= manifest.issued_at_ms:
        raise ProofError("the manifest ends before it was issued")
    return manifest


def read_receipt(token: Jws, *, genesis: GenesisView | None) -> Receipt:
    """Return a receipt that the executor it names has signed; nothing else is checked.

    Args:
        token: the receipt.
        genesis: whose network it must belong to; None takes the network that it names.

    Raises:
        ProofError: signature, type, network or shape.
    """
    network = None if genesis is None else genesis.network
    return jws.verify_by_author(
        token, typ=RECEIPT_TYP, author="executor", network=network, of=Receipt
    )


def claimed_receipt(token: Jws) -> Receipt:
    """Return what a receipt claims, UNVERIFIED: to be shown beside its checks, or run again.

    Raises:
        ProofError: it is no token.
        pydantic.ValidationError: what it holds is not of a receipt's shape.
    """
    return Receipt.model_validate(jws.peek(token).payload)


def verify_receipt(bundle: ReceiptBundle, *, genesis: GenesisView | None) -> Verdict:
    """Check a receipt with its manifest; never raises for a bad one. See `examine_receipt`."""
    return examine_receipt(bundle, genesis=genesis)[0]


def examine_receipt(
    bundle: ReceiptBundle, *, genesis: GenesisView | None
) -> tuple[Verdict, Receipt | None]:
    """Check a receipt with its manifest, and return it too if its own signature verifies.

    Without a genesis, signatures are checked against the keys that the objects name themselves:
    that shows consistency and nothing about whose they are.

    Args:
        bundle: the receipt, the manifest that it cites, and the submitter's membership records.
        genesis: the network's genesis as the verifier keeps it; None if they have none.
    """
    anchored = genesis is not None
    receipt, signed = attempt(
        "receipt-signature", partial(read_receipt, bundle.receipt, genesis=genesis)
    )
    if receipt is None:
        return Verdict(subject="receipt", checks=(signed,), anchored=anchored), None
    checks = [signed]
    if genesis is not None:
        checks.append(_executor_known(receipt, genesis))
    read, submitted = attempt("manifest-signature", partial(_read_manifest, bundle, genesis))
    checks += [submitted, _cites(bundle, receipt)]
    if read is not None:
        checks += [*grant_checks(read), *_agreement(receipt, read.manifest)]
    checks += _inner(receipt)
    verdict = Verdict(subject=_subject(receipt), checks=tuple(checks), anchored=anchored)
    return verdict, receipt


def verify_chain(receipts: Sequence[Jws], *, genesis: GenesisView | None) -> Verdict:
    """Check that receipts are one unbroken piece of one executor's one history, oldest first.

    Args:
        receipts: in order; the piece may start anywhere, and a start at 1 has no previous.
        genesis: the network's genesis as the verifier keeps it; None if they have none.
    """
    anchored = genesis is not None
    length = Check(
        name="length",
        ok=0 < len(receipts) <= CHAIN_MAX,
        expected=f"1 to {CHAIN_MAX} receipts",
        actual=str(len(receipts)),
    )
    if not length.ok:
        return Verdict(subject="receipt chain", checks=(length,), anchored=anchored)
    checks = [length]
    before: tuple[Receipt, str] | None = None
    for place, token in enumerate(receipts, start=1):
        receipt, signed = attempt(
            f"receipt {place} signature", partial(read_receipt, token, genesis=genesis)
        )
        checks.append(signed)
        if receipt is None:
            break
        if before is None and genesis is not None:
            checks.append(_executor_known(receipt, genesis))
        checks.append(_link(place, receipt, before))
        before = receipt, jws.record_id(token)
    return Verdict(subject="receipt chain", checks=tuple(checks), anchored=anchored)


def _read_manifest(bundle: ReceiptBundle, genesis: GenesisView | None) -> ReadManifest:
    claimed = jws.peek(bundle.manifest).payload
    network = str(claimed.get("network")) if genesis is None else genesis.network
    read = read_manifest(bundle.manifest, network=network)
    if genesis is not None:
        member_id = read.manifest.member_id
        states = member_history(member_id, genesis=genesis, records=bundle.records)
        _of_member(read, _state_with_key(states, read.key, member_id))
    return read


def _state_with_key(states: Sequence[Member], key: Did, member_id: str) -> Member:
    """Return the first state in which the member held `key`: no later change undoes a receipt."""
    for state in states:
        if state.did == key:
            return state
    raise ProofError(f"{key} is no key of {member_id} by genesis and records")


def _executor_known(receipt: Receipt, genesis: GenesisView) -> Check:
    node = genesis.node(receipt.executor)
    return Check(
        name="executor-known",
        ok=node is not None,
        expected="a node of the network",
        actual=node.title if node else f"{receipt.executor} is none",
    )


def _cites(bundle: ReceiptBundle, receipt: Receipt) -> Check:
    name = "manifest-cited"
    hashed, tried = attempt(name, partial(jws.record_id, bundle.manifest))
    return tried if hashed is None else equal(name, expected=receipt.manifest_hash, actual=hashed)


def _agreement(receipt: Receipt, manifest: Manifest) -> list[Check]:
    """Return the checks that the executor ran what the submitter asked for."""
    return [
        equal("network", expected=manifest.network, actual=receipt.network),
        equal("submitter", expected=manifest.member_id, actual=receipt.aud),
        Check(
            name="executor-asked",
            ok=manifest.aud in (ANY_EXECUTOR, receipt.executor),
            expected=manifest.aud,
            actual=receipt.executor,
        ),
        equal("task-id", expected=manifest.task_id, actual=receipt.task_id),
        equal("module-hash", expected=manifest.wasm_hash, actual=receipt.wasm_hash),
        equal("input-hash", expected=manifest.input_hash, actual=receipt.input_hash),
        equal("limits-agreed", expected=manifest.limits, actual=receipt.limits),
    ]


def _inner(receipt: Receipt) -> list[Check]:
    """Return the checks that a receipt does not contradict itself."""
    has_output = receipt.output_hash is not None
    return [
        _names(receipt),
        equal(
            "output-named",
            expected="an output" if receipt.outcome is Outcome.OK else "no output",
            actual="an output" if has_output else "no output",
        ),
        *_limits_kept(receipt),
        Check(
            name="engine-named",
            ok=all((receipt.engine.name, receipt.engine.version, receipt.engine.settings)),
            expected="name, version and settings",
            actual=f"{receipt.engine.name} {receipt.engine.version} {receipt.engine.settings}",
        ),
        _starts(receipt),
        _at_most("time-forward", used=receipt.started_at_ms, limit=receipt.ended_at_ms),
    ]


def _names(receipt: Receipt) -> Check:
    """Return the check that every content name has its one spelling."""
    names = [receipt.wasm_hash, receipt.input_hash]
    if receipt.output_hash is not None:
        names.append(receipt.output_hash)
    _, tried = attempt("hashes-well-formed", lambda: [sha256_of_cid(name) for name in names])
    return tried


def _limits_kept(receipt: Receipt) -> list[Check]:
    """Return the checks of what was used; a run ended by its time was, by nature, over it."""
    limits = receipt.limits
    kept = [
        _at_most("fuel-kept", used=receipt.fuel_used, limit=limits.fuel),
        _at_most("memory-kept", used=receipt.memory_peak_bytes, limit=limits.memory_bytes),
        _at_most("output-kept", used=receipt.output_bytes, limit=limits.output_bytes),
    ]
    if receipt.outcome is not Outcome.TIME:
        limit_us = limits.time_ms * 1000
        kept.append(_at_most("time-kept", used=receipt.time_used_us, limit=limit_us))
    return kept


def _at_most(name: str, *, used: int, limit: int) -> Check:
    return Check(name=name, ok=used <= limit, expected=f"at most {limit}", actual=str(used))


def _starts(receipt: Receipt) -> Check:
    """Return the check that exactly the first receipt of a generation has none before it."""
    return equal(
        "chain-start",
        expected="no previous" if receipt.sequence == 1 else "a previous",
        actual="no previous" if receipt.previous is None else "a previous",
    )


def _link(place: int, receipt: Receipt, before: tuple[Receipt, str] | None) -> Check:
    name = f"receipt {place} link"
    if before is None:
        start = _starts(receipt)
        return Check(name=name, ok=start.ok, expected=start.expected, actual=start.actual)
    earlier, hashed = before
    return equal(
        name,
        expected=_place(earlier.executor, earlier.generation, earlier.sequence + 1, hashed),
        actual=_place(receipt.executor, receipt.generation, receipt.sequence, receipt.previous),
    )


def _place(executor: Did, generation: int, sequence: int, previous: str | None) -> str:
    return f"{executor} generation {generation} sequence {sequence} after {previous}"


def _subject(receipt: Receipt) -> str:
    return f"receipt {receipt.sequence} of generation {receipt.generation} by {receipt.executor}"
