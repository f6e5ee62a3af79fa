"""What an auditor gathered, verified link by link by whoever holds it, and what is missing in it.

No node is asked and none is believed: entries are chained and summed again, the last one is proven
to be in the journal that the coop's home signed, each entry is held against the decision or
exchange that it cites. A link that does not hold refutes what rests on it; one that is not there is
a gap, and is never made up. Source: ADR 0048.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from opkit.proof import jws
from opkit.proof.agreement import examine_agreement
from opkit.proof.audit import LedgerAudit
from opkit.proof.checks import Check, ProofError, Verdict, attempt, equal
from opkit.proof.clearing import Told, check_agreed, postings_of, read_evidence
from opkit.proof.decision import examine_attested
from opkit.proof.findings import Findings
from opkit.proof.genesis import GenesisView
from opkit.proof.history import check_included, read_head
from opkit.proof.proposals import check_configured, check_entry
from opkit.proof.receipt import verify_receipt
from opkit.wire.agreements import AgreementFile
from opkit.wire.audit import AuditFile, CoopEvidence, Gap, ProofKind
from opkit.wire.base import SAFE_INT_MAX, RecordId, Slug
from opkit.wire.clearing import Commit, Offer
from opkit.wire.compute import ReceiptBundle
from opkit.wire.ledger import AccountConfigured, Entry, EntryPosted
from opkit.wire.votes import AttestedDecision

NOT_SHOWN = "not-shown"
"""Why a proof is missing that nobody was seen to refuse."""

NO_GENESIS = "no-genesis"
"""Why one is that was shown: without a genesis nobody knows whose homes signed it."""


_ONCE = {"once": "no id, decision, exchange or ruling stands for two entries"}
_POSTS_ONCE = {"decision", "exchange", "ruling"}
"""What a home posts one entry for, and no second one; what puts it right cites a ruling."""


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
        others = tuple(gap for gap in self.evidence.unshown if (gap.kind, gap.named) not in cited)
        untied = () if self.untied is None else (self.untied,)
        told = (gap for gap in others if gap != self.untied)
        return (*untied, *self.gaps.values(), *self.skipped, *told)


@dataclass(frozen=True, kw_only=True)
class AuditView:
    """An audit, verified: the verdict over every link, and what is missing.

    A gap is no failure of the verdict: nothing in the evidence is wrong, something is not there.
    """

    file: AuditFile
    verdict: Verdict
    coops: Mapping[Slug, AuditedCoop]

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """Everything that should be there and is not, coop by coop."""
        return tuple(gap for coop in self.coops.values() for gap in coop.missing)


def examine_audit(file: AuditFile, *, genesis: GenesisView | None) -> AuditView:
    """Verify all that was gathered; never raises for bad evidence.

    Args:
        file: what was gathered.
        genesis: the network's genesis as the verifier keeps it; None if they have none: then no
            more can be said than that the evidence adds up.
    """
    coops: dict[Slug, AuditedCoop] = {}
    checks = []
    for evidence in (*file.coops, *_left_out(file, genesis)):
        audited = _examine_coop(evidence, network=file.network, genesis=genesis)
        coops[evidence.coop] = audited
        checks += _called(evidence.coop, audited.checks)
    names = [evidence.coop for evidence in file.coops]
    checks.append(equal("coops-once", expected=sorted(set(names)), actual=sorted(names)))
    if genesis is not None:
        checks.append(equal("network", expected=genesis.network, actual=file.network))
    subject = f"audit of {len(names)} coops by {file.auditor}"
    verdict = Verdict(subject=subject, checks=tuple(checks), anchored=genesis is not None)
    return AuditView(file=file, verdict=verdict, coops=coops)


def _left_out(file: AuditFile, genesis: GenesisView | None) -> Iterable[CoopEvidence]:
    """Return for each chartered coop that an audit says nothing of that nothing was shown."""
    there = {evidence.coop for evidence in file.coops}
    for signed in () if genesis is None else genesis.genesis.charters:
        coop = signed.charter.coop
        if coop not in there:
            kinds: tuple[ProofKind, ...] = ("ledger", "decision")
            unshown = tuple(
                Gap(coop=coop, kind=kind, named="", cited_by=None, why=NOT_SHOWN) for kind in kinds
            )
            yield CoopEvidence(coop=coop, home=signed.charter.home_node, unshown=unshown)


def _called(coop: Slug, checks: Iterable[Check]) -> list[Check]:
    return [replace(each, name=f"{coop}, {each.name}") for each in checks]


def _examine_coop(
    evidence: CoopEvidence, *, network: str, genesis: GenesisView | None
) -> AuditedCoop:
    audited = AuditedCoop(evidence=evidence)
    if genesis is not None:
        charter = genesis.charter(evidence.coop)
        home = "no such coop" if charter is None else charter.home_node
        audited.checks.append(equal("home", expected=home, actual=evidence.home))
    _read_decisions(audited, genesis)
    _read_agreements(audited, genesis)
    _read_exchanges(audited, genesis)
    _read_receipts(audited, genesis)
    ledger = _go_through(audited, network=network, genesis=genesis)
    of_ledger = [*ledger.checks(), *_tie(audited, ledger, genesis)]
    audited.checks += of_ledger
    audited.whole = all(check.ok for check in of_ledger)
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
        numbers.add(said.sequence)
        mine = equal(f"{what}, of this coop", expected=audited.coop, actual=said.aud)
        audited.checks.append(mine)
        if mine.ok and all(check.ok for check in verdict.checks):
            audited.decisions[said.decision] = said
        else:
            audited.failed.add(("decision", said.decision))
    audited.skipped = tuple(
        _gap(audited, "decision", f"number {first}" + f" to {last}" * (last > first), cited_by=None)
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
        verdict, view = examine_agreement(file, genesis=genesis)
        what = f"agreement {file.agreement[:8]}"
        audited.checks += [replace(each, name=f"{what}, {each.name}") for each in verdict.checks]
        if view is not None and all(check.ok for check in verdict.checks):
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


def _go_through(audited: AuditedCoop, *, network: str, genesis: GenesisView | None) -> LedgerAudit:
    """Chain, sum and judge every entry, with the changes of accounts where they came."""
    evidence = audited.evidence
    ledger = LedgerAudit(network=network, coop=evidence.coop)
    charter = None if genesis is None else genesis.charter(evidence.coop)
    if genesis is None:
        # How far an account may go down, its coop's charter says: without one nothing is too far.
        places = {
            (each.account, each.unit) for entry in evidence.entries for each in entry.postings
        }
        ledger.floors |= dict.fromkeys(places, -SAFE_INT_MAX)
    if charter is not None:
        for floor in charter.floors:
            path = floor.account.removeprefix(f"{evidence.coop}:")
            ledger.floors[f"{evidence.coop}:{path}", floor.unit] = floor.floor
    changes = sorted(evidence.changes, key=lambda change: change.after)
    once, seen = Findings(_ONCE), set[tuple[str, str]]()
    by_hash = {entry.hash: entry for entry in evidence.entries}
    for entry in evidence.entries:
        while changes and changes[0].after < entry.sequence:
            _change(audited, ledger, changes.pop(0).said)
        ledger.add(entry)
        if entry.corrects is not None:
            ledger.corrected(entry, by_hash.get(entry.corrects))
        _judge_cause(audited, ledger, entry)
        why_not = _posted_before(entry, seen)
        once.tell("once", f"entry {entry.sequence}", why_not)
        if why_not:
            audited.refuted.add(entry.hash)
    audited.checks += once.checks()
    for change in changes:
        _change(audited, ledger, change.said)
    return ledger


def _posted_before(entry: Entry, seen: set[tuple[str, str]]) -> str:
    """Return what an entry has in common with one before it, and may not; empty for nothing."""
    names = [("id", str(entry.entry_id))]
    if entry.cause is not None and entry.cause.kind in _POSTS_ONCE:
        names.append((entry.cause.kind, entry.cause.id))
    again = [f"{kind} {named}" for kind, named in names if (kind, named) in seen]
    seen.update(names)
    return f"an entry before it has {' and '.join(again)}" if again else ""


def _change(audited: AuditedCoop, ledger: LedgerAudit, said: AccountConfigured) -> None:
    """Take a change of an account if its decision is there and says so."""
    decision = audited.decisions.get(said.decision)
    if decision is None and ("decision", said.decision) in audited.failed:
        ledger.decided(ledger.sequence, why_not="the decision that it cites does not verify")
        return
    if decision is None:
        audited.gaps[said.decision] = _gap(audited, "decision", said.decision, cited_by=None)
        return
    _, held = attempt("change", partial(check_configured, said, decision.effect))
    ledger.decided(ledger.sequence, why_not="" if held.ok else held.actual)
    if held.ok and decision.outcome == "accepted":
        ledger.configured(said)


def _judge_cause(audited: AuditedCoop, ledger: LedgerAudit, entry: Entry) -> None:
    """Hold what an entry was posted for against it, or take note that it is not there."""
    if entry.cause is None or entry.cause.kind == "hold":
        return
    named = entry.cause.id
    kind: ProofKind = "exchange" if entry.cause.kind == "ruling" else entry.cause.kind
    why_not = ""
    if kind == "decision" and named in audited.decisions:
        why_not = _why_not(entry, audited.decisions[named])
        ledger.decided(entry.sequence, why_not=why_not)
    elif kind == "exchange" and named in audited.exchanges:
        why_not = _not_its_half(entry, audited.exchanges[named]) or _not_agreed(
            audited, entry, audited.exchanges[named].offer
        )
        expected = "what was signed of it"
        check = Check(
            name=f"entry {entry.sequence}, half of an exchange",
            ok=not why_not,
            expected=expected,
            actual=why_not or expected,
        )
        audited.checks.append(check)
    elif kind in {"receipt", "agreement"} and named in (
        audited.receipts if kind == "receipt" else audited.agreements
    ):
        return
    elif (kind, named) in audited.failed:
        why_not = f"the {kind} that it cites does not verify"
    else:
        audited.gaps[entry.hash] = _gap(audited, kind, named, cited_by=entry.hash)
    if why_not:
        audited.refuted.add(entry.hash)


def _why_not(entry: Entry, decision: AttestedDecision) -> str:
    """Return why a decision does not give the right to an entry; empty if it does."""
    if decision.outcome != "accepted":
        return f"decision {decision.sequence} was {decision.outcome}"
    try:
        check_entry(entry, decision.effect)
    except ProofError as bad:
        return bad.why
    return ""


def _not_its_half(entry: Entry, told: Told) -> str:
    """Return why an entry is not its coop's half of an exchange; empty if it is.

    An exchange that was committed is posted; a ruling may post it too, or take it back.
    """
    ruled = entry.cause is not None and entry.cause.kind == "ruling"
    back = ruled and told.ending == "aborted"
    if not (back or told.ending == "committed" or isinstance(told.outcome, Commit)):
        return "nothing says that it was committed"
    if entry.coop not in told.offer.parties:
        return f"{entry.coop} takes no part in it"
    if entry.postings != postings_of(told.offer, entry.coop, back=back):
        return "it posts something else than was offered"
    return ""


def _not_agreed(audited: AuditedCoop, entry: Entry, offer: Offer) -> str:
    """Return why the coop's agreements do not provide for its half; empty if they do.

    Take note of one that is not there: without it arbiter, unit and parties are the proposer's
    word.
    """
    for leg in offer.legs:
        if entry.coop not in (leg.payer, leg.payee):
            continue
        named = leg.agreement
        file = audited.agreements.get(named)
        if file is None and ("agreement", named) in audited.failed:
            return "its agreement does not verify"
        if file is None:
            audited.gaps[entry.hash] = _gap(audited, "agreement", named, cited_by=entry.hash)
            continue
        try:
            check_agreed(offer, leg, file.terms)
        except ProofError as bad:
            return bad.why
    return ""


def _gap(audited: AuditedCoop, kind: ProofKind, named: str, *, cited_by: RecordId | None) -> Gap:
    """Return the gap of a proof, with the reason that was given for it."""
    why = next(
        (
            gap.why
            for gap in audited.evidence.unshown
            if (gap.kind, gap.named) in {(kind, named), (kind, "")}
        ),
        NO_GENESIS if named in audited.unread else NOT_SHOWN,
    )
    return Gap(coop=audited.coop, kind=kind, named=named, cited_by=cited_by, why=why)


def _tie(audited: AuditedCoop, ledger: LedgerAudit, genesis: GenesisView | None) -> list[Check]:
    """Return the checks that the last entry is in the journal that the home signed.

    A ledger without entries has nothing to be tied by: that it is empty is a gap, too.
    """
    tie = audited.evidence.tie
    hidden = any(gap.kind == "ledger" for gap in audited.evidence.unshown)
    if tie is None or hidden:
        if hidden:
            audited.untied = _gap(audited, "ledger", "", cited_by=None)
        else:
            audited.untied = _gap(audited, "journal", "", cited_by=None)
        return []
    head, signed = attempt("journal-head", partial(read_head, tie.head, genesis=genesis))
    if head is None:
        return [signed]
    _, included = attempt("tied-to-journal", partial(check_included, tie.entry, head, tie.path))
    said = tie.entry.body
    return [
        signed,
        equal("journal-of-home", expected=audited.evidence.home, actual=head.node),
        included,
        equal("announced", expected=EntryPosted.type, actual=tie.entry.type),
        equal("announced-coop", expected=audited.coop, actual=said.get("coop")),
        equal("announced-place", expected=ledger.sequence, actual=said.get("sequence")),
        equal("announced-hash", expected=ledger.hash, actual=said.get("hash")),
    ]
