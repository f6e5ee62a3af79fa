"""Flow 4's figures made once more from what was gathered alone, by none of the report's own code.

Which entries belong to a figure is said here again, and not taken from the figure: one that left
entries out would otherwise agree with itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from opkit.proof import jws
from opkit.wire.audit import AuditFile, CoopEvidence
from opkit.wire.base import RecordId, Slug
from opkit.wire.ledger import TREASURY, Entry

COUNTED = "-"
"""The unit of what is counted, not added up."""

NOTHING = ("", "")
"""What an entry needs that is for nothing that could be shown."""

PROOFS = {
    "receipt": "receipt",
    "decision": "decision",
    "agreement": "agreement",
    "exchange": "exchange",
    "ruling": "exchange",
}
"""What has to be shown for an entry, by what it says that it is for."""


@dataclass(frozen=True, kw_only=True)
class Sum:
    """What a figure has to be.

    Attributes:
        rests_on: what it has to name of its own coop: entries, or what was counted.
    """

    amount: int
    rests_on: frozenset[RecordId]


def sums_of_all(file: AuditFile) -> dict[tuple[Slug, str], Sum]:
    """Return by coop and name every figure that the report has to have, and no other."""
    others = [each.coop for each in file.coops]
    return {
        (coop.coop, f"{name}/{unit}" if unit != COUNTED else name): found
        for coop in file.coops
        for name, unit, found in (*_counts(coop), *_sums(coop, others))
    }


def _counts(coop: CoopEvidence) -> Iterator[tuple[str, str, Sum]]:
    """Yield what is counted: entries, of which the last is tied, and accepted decisions."""
    last = [each.hash for each in coop.entries[-1:] if coop.tie is not None]
    yield "entries", COUNTED, Sum(amount=len(coop.entries), rests_on=frozenset(last))
    told = [jws.peek(each.attested).payload for each in coop.decisions]
    accepted = frozenset(str(each["decision"]) for each in told if each["outcome"] == "accepted")
    yield "decisions-accepted", COUNTED, Sum(amount=len(accepted), rests_on=accepted)


def _sums(coop: CoopEvidence, others: list[Slug]) -> Iterator[tuple[str, str, Sum]]:
    """Yield what is added up, unit by unit."""
    shown = _shown(coop)
    for unit in sorted({each.unit for entry in coop.entries for each in entry.postings}):
        here = [entry for entry in coop.entries if any(p.unit == unit for p in entry.postings)]
        kept = [entry for entry in here if _needs(entry) in shown]
        bare = [entry for entry in here if _needs(entry) not in shown]
        parts: dict[str, list[tuple[Entry, int]]] = {
            "paid-by-decision": [(e, _gained(e, unit)) for e in kept if e.kind == "decided"]
        }
        for root in TREASURY:
            under = [(e, _under(e, unit, root)) for e in here]
            parts[f"has/{root}"] = [(e, sum(amounts)) for e, amounts in under if amounts]
        for other in others:
            due = [(e, sum(_under(e, unit, f"due/{other}"))) for e in kept]
            parts[f"charged-to/{other}"] = [(e, amount) for e, amount in due if amount > 0]
            parts[f"charged-by/{other}"] = [(e, -amount) for e, amount in due if amount < 0]
        for proof in sorted(set(PROOFS.values())):
            some = [e for e in bare if _needs(e)[0] == proof]
            parts[f"unproven/{proof}"] = [(e, _gained(e, unit)) for e in some]
        for name, counted in parts.items():
            if counted:
                named = frozenset(entry.hash for entry, _ in counted)
                yield name, unit, Sum(amount=sum(each for _, each in counted), rests_on=named)


def _needs(entry: Entry) -> tuple[str, str]:
    """Return which proof an entry needs, and by what name; nothing, named nothing, for none."""
    if entry.cause is None or entry.cause.kind not in PROOFS:
        return NOTHING
    return PROOFS[entry.cause.kind], entry.cause.id


def _shown(coop: CoopEvidence) -> set[tuple[str, str]]:
    """Return which proofs a coop showed, and that none needs no showing."""
    offers = [jws.record_id(each.offer) for each in coop.exchanges]
    rulings = [jws.record_id(each.ruling) for each in coop.exchanges if each.ruling is not None]
    return {
        NOTHING,
        *(("receipt", jws.record_id(each.receipt)) for each in coop.receipts),
        *(
            ("decision", str(jws.peek(each.attested).payload["decision"]))
            for each in coop.decisions
        ),
        *(("agreement", each.agreement) for each in coop.agreements),
        *(("exchange", each) for each in (*offers, *rulings)),
    }


def _gained(entry: Entry, unit: str) -> int:
    """Return all that somebody gets by an entry."""
    amounts = [each.amount for each in entry.postings if each.unit == unit]
    return sum(amount for amount in amounts if amount > 0)


def _under(entry: Entry, unit: str, path: str) -> list[int]:
    """Return what an entry posts to an account, and to those under it."""
    account = f"{entry.coop}:{path}"
    return [
        each.amount
        for each in entry.postings
        if each.unit == unit and f"{each.account}/".startswith(f"{account}/")
    ]
