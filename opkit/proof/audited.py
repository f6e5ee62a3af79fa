"""What an auditor gathered, verified link by link by whoever holds it, and what is missing in it.

No node is asked and none is believed: entries are chained and summed again, the last one is proven
to be in the journal that the coop's home signed, each entry is held against the decision or
exchange that it cites. A link that does not hold refutes what rests on it; one that is not there is
a gap, and is never made up. Source: ADR 0048.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial

from opkit.proof.audit import LedgerAudit
from opkit.proof.audited_coop import NOT_SHOWN, AuditedCoop, read_coop
from opkit.proof.checks import Check, ProofError, Verdict, attempt, equal
from opkit.proof.clearing import Told, check_agreed, postings_of
from opkit.proof.findings import Findings
from opkit.proof.genesis import GenesisView
from opkit.proof.history import check_included, read_head
from opkit.proof.proposals import check_configured, check_entry
from opkit.wire.audit import AuditFile, CoopEvidence, Gap, ProofKind
from opkit.wire.base import SAFE_INT_MAX, RecordId, Slug
from opkit.wire.clearing import Commit, Leg, Offer
from opkit.wire.ledger import AccountConfigured, Entry, EntryPosted
from opkit.wire.votes import AttestedDecision, Effect

SIGNED = "what was signed of it"
"""What an entry posts of an exchange."""

_ONCE = {"once": "no id, decision, exchange or ruling stands for two entries"}
_POSTS_ONCE = {"decision", "exchange", "ruling"}
"""What a home posts one entry for, and no second one; what puts it right cites a ruling."""


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
            nothing = Gap(coop=coop, kind="ledger", named="", cited_by=None, why=NOT_SHOWN)
            unshown = (nothing, nothing.model_copy(update={"kind": "decision"}))
            yield CoopEvidence(coop=coop, home=signed.charter.home_node, unshown=unshown)


def _called(coop: Slug, checks: Iterable[Check]) -> list[Check]:
    return [replace(each, name=f"{coop}, {each.name}") for each in checks]


def _examine_coop(
    evidence: CoopEvidence, *, network: str, genesis: GenesisView | None
) -> AuditedCoop:
    audited = read_coop(evidence, genesis=genesis)
    ledger = _go_through(audited, network=network, genesis=genesis)
    of_ledger = [*ledger.checks(), *_tie(audited, ledger, genesis)]
    audited.checks += of_ledger
    audited.whole = all(check.ok for check in of_ledger)
    return audited


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
    names: list[tuple[str, str]] = [("id", entry.entry_id)]
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
        audited.gaps[said.decision] = audited.gap("decision", said.decision, cited_by=None)
        return
    why_not = _why_not(decision, partial(check_configured, said))
    ledger.decided(ledger.sequence, why_not=why_not)
    if not why_not:
        ledger.configured(said)


def _judge_cause(audited: AuditedCoop, ledger: LedgerAudit, entry: Entry) -> None:
    """Hold what an entry was posted for against it, or take note that it is not there."""
    if entry.cause is None or entry.cause.kind == "hold":
        return
    named = entry.cause.id
    kind: ProofKind = "exchange" if entry.cause.kind == "ruling" else entry.cause.kind
    if kind == "decision" and named in audited.decisions:
        why_not = _why_not(audited.decisions[named], partial(check_entry, entry))
        ledger.decided(entry.sequence, why_not=why_not)
        refuted = why_not != ""
    elif kind == "exchange" and named in audited.exchanges:
        ruled = entry.cause.kind == "ruling"
        half = _half(audited, entry, audited.exchanges[named], ruled=ruled)
        audited.checks.append(half)
        refuted = not half.ok
    else:
        verified: dict[ProofKind, Mapping[RecordId, object]]
        verified = {"receipt": audited.receipts, "agreement": audited.agreements}
        there = named in verified.get(kind, ())
        refuted = not there and (kind, named) in audited.failed
        if not (there or refuted):
            audited.gaps[entry.hash] = audited.gap(kind, named, cited_by=entry.hash)
    if refuted:
        audited.refuted.add(entry.hash)


def _why_not(decision: AttestedDecision, check: Callable[[Effect], None]) -> str:
    """Return why a decision does not give the right to what is checked; empty if it does."""
    why = ""
    if decision.outcome != "accepted":
        why = f"decision {decision.sequence} was {decision.outcome}"
    else:
        try:
            check(decision.effect)
        except ProofError as bad:
            why = bad.why
    return why


def _half(audited: AuditedCoop, entry: Entry, told: Told, *, ruled: bool) -> Check:
    """Return the check that an entry is its coop's half of an exchange, by its agreements."""
    why_not = _not_its_half(entry, told, ruled=ruled)
    for leg in told.offer.legs:
        if entry.coop in (leg.payer, leg.payee):
            why_not = why_not or _not_agreed(audited, entry, told.offer, leg)
    return Check(
        name=f"entry {entry.sequence}, half of an exchange",
        ok=not why_not,
        expected=SIGNED,
        actual=why_not or SIGNED,
    )


def _not_its_half(entry: Entry, told: Told, *, ruled: bool) -> str:
    """Return why an entry is not its coop's half of an exchange; empty if it is.

    An exchange that was committed is posted; a ruling may post it too, or take it back.
    """
    why = ""
    back = ruled and told.ending == "aborted"
    if not (back or told.ending == "committed" or isinstance(told.outcome, Commit)):
        why = "nothing says that it was committed"
    elif entry.coop not in told.offer.parties:
        why = f"{entry.coop} takes no part in it"
    elif entry.postings != postings_of(told.offer, entry.coop, back=back):
        why = "it posts something else than was offered"
    return why


def _not_agreed(audited: AuditedCoop, entry: Entry, offer: Offer, leg: Leg) -> str:
    """Return why the agreement of a leg does not provide for it; empty if it does.

    Take note of one that is not there: without it arbiter, unit and parties are the proposer's
    word.
    """
    why = ""
    file = audited.agreements.get(leg.agreement)
    if file is not None:
        try:
            check_agreed(offer, leg, file.terms)
        except ProofError as bad:
            why = bad.why
    elif ("agreement", leg.agreement) in audited.failed:
        why = "its agreement does not verify"
    else:
        missing = audited.gap("agreement", leg.agreement, cited_by=entry.hash)
        audited.gaps[entry.hash] = missing
    return why


def _tie(audited: AuditedCoop, ledger: LedgerAudit, genesis: GenesisView | None) -> list[Check]:
    """Return the checks that the last entry is in the journal that the home signed.

    A ledger without entries has nothing to be tied by: that it is empty is a gap, too.
    """
    tie = audited.evidence.tie
    hidden = any(gap.kind == "ledger" for gap in audited.evidence.unshown)
    if tie is None or hidden:
        if hidden:
            audited.untied = audited.gap("ledger", "", cited_by=None)
        else:
            audited.untied = audited.gap("journal", "", cited_by=None)
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
