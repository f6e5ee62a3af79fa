"""Coops whose evidence was verified, as if by others, to compute figures of; figures by hand."""

from __future__ import annotations

from typing import Any

from opkit.proof.audited import AuditView
from opkit.proof.audited_coop import AuditedCoop
from opkit.proof.checks import Verdict
from opkit.proof.figures import figures_of
from opkit.wire.audit import AuditFile, CoopEvidence, EvidenceRef, Figure
from opkit.wire.ledger import Cause, Entry, Posting
from tests.opkit.proof.audits import tied
from tests.opkit.proof.test_audit import NETWORK, Books
from tests.opkit.proof.test_clearing import AGREED, AGREEMENT, SAID
from tests.simulation import town

CREDITS, CENTS = "commons-credits", "usd-cents"
DECISION, RECEIPT = "d" * 64, "e" * 64
APPLE, BIRCH = "apple", "birch"


def post(books: Books, coop: str, *postings: tuple[str, str, int], **changes: Any) -> Entry:
    """Post to accounts of a coop: path, unit, amount."""
    made = tuple(
        Posting(account=f"{coop}:{path}", unit=unit, amount=amount)
        for path, unit, amount in postings
    )
    return books.post(coop=coop, postings=made, **changes)


def cause(kind: str, named: str) -> Cause:
    return Cause.model_validate({"kind": kind, "id": named})


def coop_of(coop: str, books: Books, *, is_tied: bool = True, **found: Any) -> AuditedCoop:
    """Return a coop's evidence as if it had been verified, and this was found of it."""
    home = town.key_of(coop)
    tie = tied(books, home) if is_tied and books.entries else None
    entries = tuple(books.entries)
    evidence = CoopEvidence(coop=coop, home=home.did, entries=entries, tie=tie)
    return AuditedCoop(evidence=evidence, **found)


def view_of(*coops: AuditedCoop) -> AuditView:
    return AuditView(
        file=AuditFile(network=NETWORK, auditor="apple/zuri", gathered_ms=1, coops=()),
        verdict=Verdict(subject="", checks=(), anchored=True),
        coops={each.coop: each for each in coops},
    )


def ref(kind: str, hash_: str, coop: str = APPLE) -> EvidenceRef:
    return EvidenceRef.model_validate({"kind": kind, "coop": coop, "hash": hash_})


def ledger(*entries: Entry, coop: str = APPLE) -> list[EvidenceRef]:
    return [ref("ledger", entry.hash, coop) for entry in entries]


def figure(
    name: str, label: str, amount: int, standing: str, *refs: EvidenceRef, **changes: Any
) -> Figure:
    unit = next((unit for unit in (CREDITS, CENTS) if name.endswith(f"/{unit}")), "-")
    said = {"coop": APPLE, "name": name, "label": label, "unit": unit, "amount": amount}
    return Figure.model_validate({**said, "standing": standing, "rests_on": refs, **changes})


def by_name(*coops: AuditedCoop) -> dict[str, Figure]:
    """Return the figures of the first coop."""
    return {each.name: each for each in figures_of(view_of(*coops)) if each.coop == coops[0].coop}


def exchanged() -> tuple[Books, Books]:
    """Return the books of apple and birch: one exchange, and what apple got under one id."""
    apple, birch = Books(), Books()
    shared = {"kind": "bound", "cause": cause("exchange", SAID.name)}
    post(apple, APPLE, ("due/birch", CREDITS, 40), ("income", CREDITS, -40), **shared)
    post(apple, APPLE, ("due/birch", CREDITS, -5), ("rent", CREDITS, 5), entry_id="lathe")
    post(apple, APPLE, ("due/birch", CREDITS, -1), ("rent", CREDITS, 1), entry_id="drill")
    post(birch, BIRCH, ("due/apple", CREDITS, 5), ("income", CREDITS, -5), entry_id="lathe")
    post(birch, BIRCH, ("due/apple", CREDITS, -40), ("rent", CREDITS, 40), **shared)
    post(birch, BIRCH, ("due/apple", CREDITS, 1), ("rent", CREDITS, -1), entry_id="drill")
    return apple, birch


EXCHANGES: dict[str, Any] = {
    "exchanges": {SAID.name: SAID.read()},
    "agreements": {AGREED: AGREEMENT},
}
