"""The pieces of evidence of a funder report, each where figures link to it."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Any

from opkit.proof.audited_coop import AuditedCoop
from opkit.proof.clearing import Told
from opkit.views.money import amount_text
from opkit.views.values import values_table
from opkit.wire.agreements import AgreementFile
from opkit.wire.audit import ProofKind
from opkit.wire.base import RecordId
from opkit.wire.ledger import Entry
from opkit.wire.votes import AttestedDecision


def anchor(kind: ProofKind, hash_: RecordId) -> str:
    """Return where on the page a piece of evidence stands."""
    return f"{kind}-{hash_}"


def pieces(coop: AuditedCoop) -> str:
    """Return all that a coop showed, one piece after another, each to be opened."""
    evidence = coop.evidence
    journal = () if evidence.tie is None or not evidence.entries else (_journal(coop),)
    parts: list[Iterable[str]] = [
        journal,
        (_decision(hash_, said) for hash_, said in coop.decisions.items()),
        (_agreement(hash_, file) for hash_, file in coop.agreements.items()),
        (_exchange(hash_, told) for hash_, told in coop.exchanges.items()),
        (_receipt(hash_) for hash_ in coop.receipts),
        (_entry(entry) for entry in evidence.entries),
    ]
    shown = "".join(part for some in parts for part in some)
    return f'<ul class="people">{shown}</ul>' if shown else "<p>Nothing.</p>"


def _piece(kind: ProofKind, hash_: RecordId, title: str, beside: str, facts: dict[str, Any]) -> str:
    return (
        f'<li id="{anchor(kind, hash_)}"><details><summary><span>{escape(title)}</span>'
        f'<span class="took soft">{escape(beside)}</span></summary>'
        f"{values_table(facts)}</details></li>"
    )


def _journal(coop: AuditedCoop) -> str:
    tie = coop.evidence.tie
    assert tie is not None, "there is a journal to be shown"
    facts = {
        "node": coop.evidence.home,
        "place in the journal": tie.entry.sequence,
        "announces": tie.entry.body,
        "signed head": tie.head,
    }
    last = coop.evidence.entries[-1]
    return _piece("journal", last.hash, f"The journal has entry {last.sequence}", "signed", facts)


def _decision(hash_: RecordId, said: AttestedDecision) -> str:
    tally = said.tally
    facts = {
        "decision": hash_,
        "title": said.title,
        "effect": said.effect.model_dump(mode="json"),
        "yes": tally.yes,
        "no": tally.no,
        "took part": f"{tally.cast} of {tally.electorate}",
        "signed by": said.did,
    }
    return _piece("decision", hash_, f"{said.title}: {said.outcome}", "attested", facts)


def _agreement(hash_: RecordId, file: AgreementFile) -> str:
    signed = {each.coop: each.action for each in file.signatures}
    facts = {"agreement": hash_, "terms": file.terms.model_dump(mode="json"), "signed by": signed}
    return _piece("agreement", hash_, file.terms.title, "agreement", facts)


def _exchange(hash_: RecordId, told: Told) -> str:
    offer = told.offer
    facts = {
        "exchange": told.hash,
        "legs": [leg.model_dump(mode="json") for leg in offer.legs],
        "unit": offer.unit,
        "accepted by": sorted(told.acceptances),
        "ended": told.ending or "in doubt",
    }
    title = offer.what or offer.exchange_id
    return _piece("exchange", hash_, title, told.ending or "in doubt", facts)


def _receipt(hash_: RecordId) -> str:
    return _piece("receipt", hash_, "A receipt of work", "handed over", {"receipt": hash_})


def _entry(entry: Entry) -> str:
    facts: dict[str, Any] = {
        "entry": entry.entry_id,
        "place": entry.sequence,
        "kind": entry.kind,
        "by": entry.by,
        "postings": {each.account: amount_text(each.amount, each.unit) for each in entry.postings},
        "because of": "" if entry.cause is None else f"{entry.cause.kind} {entry.cause.id}",
        "effective on": entry.effective_on or "",
        "hash": entry.hash,
        "after": entry.previous,
    }
    title = entry.memo or entry.entry_id
    return _piece("ledger", entry.hash, title, f"entry {entry.sequence}", facts)
