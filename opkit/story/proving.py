"""Proofs as they are kept, and verifying again what a marker rests on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from opkit.proof import jws
from opkit.proof.agreement import verify_agreement
from opkit.proof.audited import examine_audit
from opkit.proof.checks import Check, ProofError, attempt, equal
from opkit.proof.clearing import verify_exchange
from opkit.proof.decision import verify_decision
from opkit.proof.genesis import GenesisView
from opkit.proof.history import read_head, verify_entry
from opkit.proof.ledger import entry_hash, sums_of
from opkit.proof.names import read_name
from opkit.proof.omission import verify_omission
from opkit.story.evidence import (
    AgreementProof,
    AuditProof,
    BlobProof,
    DecisionProof,
    EntryProof,
    ExchangeProof,
    NameProof,
    OmissionProof,
    Proof,
)
from opkit.story.report import (
    AgreementRecord,
    AuditRecord,
    BlobRecord,
    DecisionRecord,
    EntryRecord,
    ExchangeRecord,
    NameRecord,
    OmissionRecord,
    ProofRecord,
    ReceiptRecord,
)
from opkit.wire.base import Jws
from opkit.wire.ledger import EntryPosted
from opkit.wire.records import RECORD_TYP, RecordBody
from opkit.wire.votes import BALLOT_RECEIPT_TYP, BallotReceipt


def record_of(proof: Proof) -> ProofRecord:
    """Return a proof as the evidence keeps it; bytes lie beside the report under their name."""
    if isinstance(proof, BlobProof):
        return BlobRecord(cid=proof.cid, path=f"blobs/{proof.cid}")
    if isinstance(proof, NameProof):
        return NameRecord(record=proof.record)
    if isinstance(proof, DecisionProof):
        return DecisionRecord(file=proof.file)
    if isinstance(proof, OmissionProof):
        return OmissionRecord(file=proof.file, ballot=proof.ballot, receipt=proof.receipt)
    if isinstance(proof, EntryProof):
        return EntryRecord(entry=proof.entry, journal=proof.journal)
    if isinstance(proof, AgreementProof):
        return AgreementRecord(file=proof.file)
    if isinstance(proof, ExchangeProof):
        return exchange_record(proof)
    if isinstance(proof, AuditProof):
        return AuditRecord(file=proof.file)
    return ReceiptRecord(bundle=proof.bundle)


def exchange_record(proof: ExchangeProof) -> ExchangeRecord:
    """Return a posted exchange as the evidence keeps it."""
    return ExchangeRecord(
        evidence=proof.evidence,
        agreements=proof.agreements,
        halves=tuple(EntryRecord(**vars(each)) for each in proof.halves),
    )


def name_checks(record: Jws, *, genesis: GenesisView | None) -> tuple[Check, ...]:
    """Return what verifying the record of a name finds.

    Args:
        record: as it stands in the evidence.
        genesis: the network's genesis as the verifier keeps it; None if they have none: then only
            that it is signed by whom it names can be said, not that this is the name's home.
    """
    try:
        if genesis is None:
            body = jws.verify_by_author(
                record, typ=RECORD_TYP, author="owner", network=None, of=RecordBody
            )
            return (_held(f"name {body.name}: signed by whom it names", body.owner),)
        view = read_name(record, genesis)
    except ProofError as bad:
        expected = "the record of a name, by its home node"
        return (Check(name="name", ok=False, expected=expected, actual=bad.why),)
    return (
        _held(f"name {view.name}: claimed by a member with their own key", view.member_id),
        _held(f"name {view.name}: countersigned by its coop's home node", view.home),
    )


def proof_checks(
    proof: NameRecord
    | DecisionRecord
    | OmissionRecord
    | EntryRecord
    | AgreementRecord
    | ExchangeRecord
    | AuditRecord,
    *,
    genesis: GenesisView | None,
) -> tuple[Check, ...]:
    """Return what verifying a proof finds, from the genesis and the proof alone.

    Args:
        proof: as it stands in the evidence.
        genesis: the network's genesis as the verifier keeps it; None if they have none: then no
            more can be said than that a proof adds up, signed by whoever it names.
    """
    if isinstance(proof, NameRecord):
        return name_checks(proof.record, genesis=genesis)
    if isinstance(proof, DecisionRecord):
        return _called("decision", verify_decision(proof.file, genesis=genesis).checks)
    if isinstance(proof, OmissionRecord):
        return _called("omission", _omission_checks(proof, genesis))
    if isinstance(proof, AgreementRecord):
        return _called("agreement", verify_agreement(proof.file, genesis=genesis).checks)
    if isinstance(proof, ExchangeRecord):
        return _called("exchange", _exchange_checks(proof, genesis))
    if isinstance(proof, AuditRecord):
        return _called("audit", examine_audit(proof.file, genesis=genesis).verdict.checks)
    return _called("entry", _entry_checks(proof, genesis))


def _called(what: str, checks: Iterable[Check]) -> tuple[Check, ...]:
    return tuple(replace(each, name=f"{what}, {each.name}") for each in checks)


def _omission_checks(proof: OmissionRecord, genesis: GenesisView | None) -> Iterable[Check]:
    if genesis is not None:
        return verify_omission(
            proof.file, ballot=proof.ballot, receipt=proof.receipt, genesis=genesis
        ).checks
    receipt, signed = attempt(
        "receipt-signature",
        lambda: jws.verify_by_author(
            proof.receipt, typ=BALLOT_RECEIPT_TYP, author="did", network=None, of=BallotReceipt
        ),
    )
    if receipt is None:
        return [signed]
    named, same = attempt("receipt-ballot", lambda: jws.record_id(proof.ballot))
    if named is not None:
        same = equal("receipt-ballot", expected=receipt.ballot, actual=named)
    return [signed, same]


def _exchange_checks(proof: ExchangeRecord, genesis: GenesisView | None) -> Iterable[Check]:
    """Verify an exchange, and that the home of each party has journalled its half.

    Without a genesis nobody knows whose homes signed, only of what.
    """
    evidence, entries = proof.evidence, [each.entry for each in proof.halves]
    said, read = attempt("offer", lambda: jws.peek(evidence.offer))
    if said is None:
        return [read]
    sides = sorted(each.coop for each in entries)
    checks = [equal("a half of each party", expected=said.payload.get("parties"), actual=sides)]
    for half in proof.halves:
        checks += _called(f"half of {half.entry.coop}", _entry_checks(half, genesis))
    if genesis is not None:
        verdict = verify_exchange(
            evidence, genesis=genesis, agreements=proof.agreements, entries=entries
        )
        return [*verdict.checks, *checks]
    words = [*evidence.acceptances, evidence.outcome, evidence.ruling]
    checks += [_on_offer(word, evidence.offer) for word in words if word is not None]
    for file in proof.agreements:
        about = f"agreement {file.agreement[:8]}"
        checks += _called(about, verify_agreement(file, genesis=None).checks)
    return checks


def _on_offer(word: Jws, offer: Jws) -> Check:
    """Return the check that a signed word is on an offer, whoever signed the two."""
    said, read = attempt("what was signed of it", lambda: jws.peek(word))
    if said is None:
        return read
    cited, expected = said.payload.get("offer"), jws.record_id(offer)
    return equal(f"{said.typ} is on this offer", expected=expected, actual=cited)


def _entry_checks(proof: EntryRecord, genesis: GenesisView | None) -> Iterable[Check]:
    """Return the checks that an entry is whole, and that its ledger's home has journalled it.

    The event names the entry's hash, the signed head covers the event; so nobody can show another
    entry in its place, the node itself included.
    """
    entry, event = proof.entry, proof.journal.entry
    yield equal("hash", expected=entry_hash(entry), actual=entry.hash)
    for unit, total in sorted(sums_of(entry.postings).items()):
        yield equal(f"sum-{unit}", expected=0, actual=total)
    yield equal("event", expected=EntryPosted.type, actual=event.type)
    for field in ("coop", "sequence", "hash"):
        said = event.body.get(field)
        yield equal(f"event-{field}", expected=getattr(entry, field), actual=said)
    yield from verify_entry(proof.journal, genesis=genesis).checks
    if genesis is not None:
        charter = genesis.charter(entry.coop)
        home = "no such coop" if charter is None else charter.home_node
        head, read = attempt("home", lambda: read_head(proof.journal.head, genesis=genesis))
        yield read if head is None else equal("home", expected=home, actual=head.node)
        yield equal("network", expected=genesis.network, actual=entry.network)


def _held(name: str, who: str) -> Check:
    return Check(name=name, ok=True, expected=who, actual=who)
