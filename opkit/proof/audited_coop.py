"""What an auditor gathered of one coop, read link by link, before its entries are held against it.

What was shown and verifies is kept by its hash; what does not verify is told, and remembered, for
it refutes whatever cites it. What is not there is a gap. Source: ADR 0048.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import partial

from opkit.proof import jws
from opkit.proof.agreement import examine_agreement
from opkit.proof.checks import Check, attempt, equal
from opkit.proof.clearing import Told, read_evidence
from opkit.proof.decision import examine_attested
from opkit.proof.genesis import GenesisView
from opkit.proof.receipt import verify_receipt
from opkit.wire.agreements import AgreementFile
from opkit.wire.audit import CoopEvidence, Gap, ProofKind
from opkit.wire.base import RecordId, Slug
from opkit.wire.compute import ReceiptBundle
from opkit.wire.votes import AttestedDecision

NOT_SHOWN = "not-shown"
"""Why a proof is missing that nobody was seen to refuse."""

NO_GENESIS = "no-genesis"
"""Why one is that was shown: without a genesis nobody knows whose homes signed it."""


@dataclass(kw_only=True)
class AuditedCoop:
    """A coop's evidence, verified.

    Attributes:
        checks: each link, by name.
        decisions: by hash, those whose attestation verified.
        agreements, receipts: by hash, those that verified.
        exchanges: those that verified, by the hash of their offer, and of the ruling on them.
        gaps: what entries rest on, by the entry's hash, and was not shown.
        refuted: entries that what they rest on contradicts, by hash.
        failed: what was shown and does not verify, by kind and hash; no hash if it has none.
        skipped: decisions with a lower number than others, that nobody shows.
        unread: exchanges that cannot be read without a genesis, by the hash of their offer.
        whole: whether the ledger itself holds: its chain, its sums, its place in the journal.
    """

    evidence: CoopEvidence
    checks: list[Check] = field(default_factory=list)
    decisions: dict[RecordId, AttestedDecision] = field(default_factory=dict)
    agreements: dict[RecordId, AgreementFile] = field(default_factory=dict)
    exchanges: dict[RecordId, Told] = field(default_factory=dict)
    receipts: dict[RecordId, ReceiptBundle] = field(default_factory=dict)
    gaps: dict[RecordId, Gap] = field(default_factory=dict)
    refuted: set[RecordId] = field(default_factory=set)
    failed: set[tuple[ProofKind, str]] = field(default_factory=set)
    unread: set[RecordId] = field(default_factory=set)
    skipped: tuple[Gap, ...] = ()
    untied: Gap | None = None
    whole: bool = True

    @property
    def coop(self) -> Slug:
        """Whose evidence it is."""
        return self.evidence.coop

    @property
    def missing(self) -> tuple[Gap, ...]:
        """Everything that should be there and is not."""
        cited = {(gap.kind, gap.named) for gap in self.gaps.values()}
        others = (
            gap
            for gap in self.evidence.unshown
            if (gap.kind, gap.named) not in cited and gap != self.untied
        )
        untied = () if self.untied is None else (self.untied,)
        return (*untied, *self.gaps.values(), *self.skipped, *others)

    def gap(self, kind: ProofKind, named: str, *, cited_by: RecordId | None) -> Gap:
        """Return the gap of a proof, with the reason that was given for it."""
        why = next(
            (
                gap.why
                for gap in self.evidence.unshown
                if (gap.kind, gap.named) in {(kind, named), (kind, "")}
            ),
            NO_GENESIS if named in self.unread else NOT_SHOWN,
        )
        return Gap(coop=self.coop, kind=kind, named=named, cited_by=cited_by, why=why)


def read_coop(evidence: CoopEvidence, *, genesis: GenesisView | None) -> AuditedCoop:
    """Return a coop's evidence with all that was shown beside its entries read.

    Args:
        evidence: what its home showed.
        genesis: the network's genesis as the verifier keeps it; None if they have none.
    """
    audited = AuditedCoop(evidence=evidence)
    if genesis is not None:
        charter = genesis.charter(evidence.coop)
        home = "no such coop" if charter is None else charter.home_node
        audited.checks.append(equal("home", expected=home, actual=evidence.home))
    _read_decisions(audited, genesis)
    _read_agreements(audited, genesis)
    _read_exchanges(audited, genesis)
    _read_receipts(audited, genesis)
    return audited


def _read_decisions(audited: AuditedCoop, genesis: GenesisView | None) -> None:
    numbers = set()
    for file in audited.evidence.decisions:
        verdict, said = examine_attested(file, genesis=genesis)
        what = "a decision" if said is None else f"decision {said.sequence}"
        audited.checks += [replace(each, name=f"{what}, {each.name}") for each in verdict.checks]
        if said is None:
            audited.failed.add(("decision", ""))
            continue
        mine = equal(f"{what}, of this coop", expected=audited.coop, actual=said.aud)
        audited.checks.append(mine)
        if mine.ok:
            numbers.add(said.sequence)
        if mine.ok and verdict.ok:
            audited.decisions[said.decision] = said
        else:
            audited.failed.add(("decision", said.decision))
    audited.skipped = tuple(
        audited.gap("decision", f"number {first}" + f" to {last}" * (last > first), cited_by=None)
        for first, last in _holes(numbers)
    )


def _holes(numbers: Iterable[int]) -> Iterable[tuple[int, int]]:
    """Return the first and last number of each run that is missing before the highest."""
    before = 0
    for number in sorted(numbers):
        if number > before + 1:
            yield before + 1, number - 1
        before = number


def _read_agreements(audited: AuditedCoop, genesis: GenesisView | None) -> None:
    for file in audited.evidence.agreements:
        verdict, _ = examine_agreement(file, genesis=genesis)
        what = f"agreement {file.agreement[:8]}"
        audited.checks += [replace(each, name=f"{what}, {each.name}") for each in verdict.checks]
        if verdict.ok:
            audited.agreements[file.agreement] = file
        else:
            audited.failed.add(("agreement", file.agreement))


def _read_exchanges(audited: AuditedCoop, genesis: GenesisView | None) -> None:
    """Read what was signed of exchanges: whose home a node is, a genesis alone says."""
    for number, evidence in enumerate(audited.evidence.exchanges, 1):
        named, read = attempt(f"exchange {number}", partial(jws.record_id, evidence.offer))
        if named is None:
            audited.checks.append(read)
            continue
        if genesis is None:
            audited.unread.add(named)
            continue
        what = f"exchange {named[:8]}"
        told, read = attempt(what, partial(read_evidence, evidence, genesis))
        audited.checks.append(read)
        if told is None:
            audited.failed.add(("exchange", named))
            continue
        audited.checks.append(
            equal(
                f"{what}, decisions that contradict", expected=0, actual=int(told.rival is not None)
            )
        )
        audited.exchanges[told.hash] = told
        if told.ruling_id is not None:
            audited.exchanges[told.ruling_id] = told


def _read_receipts(audited: AuditedCoop, genesis: GenesisView | None) -> None:
    for number, bundle in enumerate(audited.evidence.receipts, 1):
        named, read = attempt(f"receipt {number}", partial(jws.record_id, bundle.receipt))
        if named is None:
            audited.checks.append(read)
            continue
        what = f"receipt {named[:8]}"
        verdict = verify_receipt(bundle, genesis=genesis)
        audited.checks += [replace(each, name=f"{what}, {each.name}") for each in verdict.checks]
        if verdict.ok:
            audited.receipts[named] = bundle
        else:
            audited.failed.add(("receipt", named))
