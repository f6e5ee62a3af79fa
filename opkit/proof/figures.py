"""The figures of a funder report, computed from an audit alone, each with all that it rests on.

A figure is a sum over entries. It stands as well as the weakest of them: what a missing proof would
carry is shown apart, under the gap, and in no sum of what was paid or charged. A balance is over
all entries, or it would be none: it stands as a gap if a proof of one is missing. Source: ADR 0048.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from opkit.proof.audited import AuditView
from opkit.proof.audited_coop import AuditedCoop
from opkit.proof.clearing import agreements_of
from opkit.wire.audit import EvidenceRef, Figure, Gap, ProofKind, Standing
from opkit.wire.base import RecordId, Slug
from opkit.wire.ledger import TREASURY, Cause, Entry, EntryId, Posting, Unit

DUE = "due/"
"""How accounts begin by which coops owe each other."""

FIGURE_COLUMNS = (
    "coop",
    "figure",
    "label",
    "unit",
    "amount",
    "standing",
    "evidence",
    "missing",
)
"""The header of the report as CSV; `evidence` and `missing` are `kind:hash`, spaces between."""

_STRENGTH: tuple[Standing, ...] = ("verified", "attested", "gap", "refuted")
_CLAIMS = {"receipt": "work with a receipt", "agreement": "an agreement", "exchange": "an exchange"}


def figures_of(view: AuditView) -> tuple[Figure, ...]:
    """Return the figures of all coops, in the order of the audit."""
    return tuple(figure for coop in view.coops.values() for figure in _of_coop(coop, view))


def figures_csv(figures: Iterable[Figure]) -> bytes:
    """Return the figures as CSV in UTF-8 with a header (RFC 4180): one spelling, so one hash."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(FIGURE_COLUMNS)
    for each in figures:
        rests_on = " ".join(f"{ref.kind}:{ref.hash}" for ref in each.rests_on)
        lacks = " ".join(f"{gap.kind}:{gap.named}" for gap in each.lacks)
        texts = map(_harmless, (each.coop, each.name, each.label, each.unit))
        writer.writerow([*texts, each.amount, each.standing, rests_on, lacks])
    return text.getvalue().encode("utf-8")


def resolves(ref: EvidenceRef, view: AuditView) -> bool:
    """Return whether a piece of evidence that a figure names is among what was gathered."""
    coop = view.coops.get(ref.coop)
    return coop is not None and ref.hash in _pieces(coop, ref.kind)


def _pieces(coop: AuditedCoop, kind: str) -> Iterable[RecordId]:
    if kind == "ledger":
        return {entry.hash for entry in coop.evidence.entries}
    return {
        "journal": {ref.hash for ref in _tie(coop)},
        "decision": coop.decisions,
        "agreement": coop.agreements,
        "exchange": coop.exchanges,
        "receipt": coop.receipts,
    }[kind]


def _of_coop(coop: AuditedCoop, view: AuditView) -> Iterable[Figure]:
    entries = coop.evidence.entries
    yield _entries(coop)
    yield _decisions(coop)
    for unit in _units(entries):
        here = [entry for entry in entries if any(each.unit == unit for each in entry.postings)]
        proven = [entry for entry in here if entry.hash not in coop.gaps]
        decided = [entry for entry in proven if entry.kind == "decided"]
        if decided:
            paid = sum(_gained(entry, unit) for entry in decided)
            yield _figure(
                coop,
                "paid-by-decision",
                "Paid by decision",
                unit=unit,
                amount=paid,
                entries=decided,
            )
        yield from _treasury(coop, unit, here)
        yield from _between(coop, view, unit, proven)
        yield from _unproven(coop, unit, [entry for entry in here if entry.hash in coop.gaps])


def _entries(coop: AuditedCoop) -> Figure:
    """Return how many entries the ledger has, as the signed journal ties them."""
    return Figure(
        coop=coop.coop,
        name="entries",
        label="Entries in the books",
        unit="-",
        amount=len(coop.evidence.entries),
        standing=_ledger_standing(coop),
        rests_on=_tie(coop),
        lacks=_untied(coop),
    )


def _tie(coop: AuditedCoop) -> tuple[EvidenceRef, ...]:
    """Return the last entry as the evidence that ties a ledger to a journal, if it is tied."""
    last = coop.evidence.entries[-1:]
    return (
        () if coop.evidence.tie is None else (*(_ref(coop, "journal", each.hash) for each in last),)
    )


def _untied(coop: AuditedCoop) -> tuple[Gap, ...]:
    return () if coop.untied is None else (coop.untied,)


def _decisions(coop: AuditedCoop) -> Figure:
    """Return how many decisions were accepted, as their home attests."""
    accepted = [
        _ref(coop, "decision", hash_)
        for hash_, said in coop.decisions.items()
        if said.outcome == "accepted"
    ]
    lacks = tuple(gap for gap in coop.missing if gap.kind == "decision")
    failed = any(kind == "decision" for kind, _ in coop.failed)
    return Figure(
        coop=coop.coop,
        name="decisions-accepted",
        label="Decisions accepted",
        unit="-",
        amount=len(accepted),
        standing="refuted" if failed else "gap" if lacks else "attested",
        rests_on=(*accepted,),
        lacks=lacks,
    )


def _treasury(coop: AuditedCoop, unit: Unit, entries: Sequence[Entry]) -> Iterable[Figure]:
    """Return what each root of the treasury has: nothing but decisions takes from it."""
    for root in TREASURY:
        touching = [entry for entry in entries if _within(entry, unit, root)]
        if touching:
            has = sum(each.amount for entry in touching for each in _within(entry, unit, root))
            yield _figure(
                coop, f"has/{root}", f"In the {root}", unit=unit, amount=has, entries=touching
            )


def _between(
    coop: AuditedCoop, view: AuditView, unit: Unit, entries: Sequence[Entry]
) -> Iterable[Figure]:
    """Return what passed between this coop and each other one, each half held against the other."""
    for other in view.coops:
        account = f"{coop.coop}:{DUE}{other}"
        for name, label, sign in (
            ("charged-to", "Charged to", 1),
            ("charged-by", "Charged by", -1),
        ):
            some = [entry for entry in entries if sign * _moved(entry, account, unit) > 0]
            if not some:
                continue
            figure = _figure(
                coop,
                f"{name}/{other}",
                f"{label} {other}",
                unit=unit,
                amount=sum(sign * _moved(entry, account, unit) for entry in some),
                entries=some,
            )
            yield _mirrored(figure, coop, view.coops[other], some, unit)


def _mirrored(
    figure: Figure, coop: AuditedCoop, other: AuditedCoop, entries: Sequence[Entry], unit: Unit
) -> Figure:
    """Return a figure with the other side's halves, and a gap for each that is not there."""
    here, there = f"{coop.coop}:{DUE}{other.coop}", f"{other.coop}:{DUE}{coop.coop}"
    halves = {_shared(entry): entry for entry in other.evidence.entries}
    rests_on, lacks = list(figure.rests_on), list(figure.lacks)
    standings = [figure.standing]
    for entry in entries:
        half = halves.get(_shared(entry))
        if half is None:
            gap = Gap(
                coop=other.coop,
                kind="ledger",
                named=entry.entry_id,
                cited_by=entry.hash,
                why="not-mirrored",
            )
            lacks.append(gap)
            standings.append("gap")
            continue
        rests_on.append(_ref(other, "ledger", half.hash))
        same = _moved(half, there, unit) == -_moved(entry, here, unit)
        standings += ["verified" if same else "refuted", _standing_of(other, half)]
    changed = {"rests_on": tuple(rests_on), "lacks": tuple(lacks), "standing": _worst(standings)}
    return figure.model_copy(update=changed)


def _shared(entry: Entry) -> Cause | EntryId:
    """Return what both halves of what passed have in common: what they are for, or their id."""
    cause = entry.cause
    return cause if cause is not None and cause.kind in {"exchange", "ruling"} else entry.entry_id


def _unproven(coop: AuditedCoop, unit: Unit, entries: Sequence[Entry]) -> Iterable[Figure]:
    """Return what was posted for something that nobody shows: beside the other figures."""
    kinds = sorted({coop.gaps[entry.hash].kind for entry in entries})
    for kind in kinds:
        some = [entry for entry in entries if coop.gaps[entry.hash].kind == kind]
        claim = _CLAIMS.get(kind, f"a {kind}")
        amount = sum(_gained(entry, unit) for entry in some)
        label = f"Posted for {claim} that was not shown"
        yield _figure(coop, f"unproven/{kind}", label, unit=unit, amount=amount, entries=some)


def _figure(
    coop: AuditedCoop, name: str, label: str, *, unit: Unit, amount: int, entries: Sequence[Entry]
) -> Figure:
    refs: dict[EvidenceRef, None] = {}
    for entry in entries:
        refs[_ref(coop, "ledger", entry.hash)] = None
        refs |= dict.fromkeys(_cited(coop, entry))
    lacks = [coop.gaps[entry.hash] for entry in entries if entry.hash in coop.gaps]
    return Figure(
        coop=coop.coop,
        name=f"{name}/{unit}",
        label=label,
        unit=unit,
        amount=amount,
        standing=_worst(_standing_of(coop, entry) for entry in entries),
        rests_on=(*refs,),
        lacks=(*_untied(coop), *lacks),
    )


def _cited(coop: AuditedCoop, entry: Entry) -> list[EvidenceRef]:
    """Return the proofs that an entry rests on, as far as it needs some and they verified.

    What an exchange posts has its right from the agreements of the coop's legs.
    """
    cause = entry.cause
    if cause is None or cause.kind == "hold":
        return []
    kind: ProofKind = "exchange" if cause.kind == "ruling" else cause.kind
    refs = [_ref(coop, kind, cause.id)] if cause.id in _pieces(coop, kind) else []
    told = coop.exchanges.get(cause.id) if kind == "exchange" else None
    agreed = () if told is None else agreements_of(told.offer, coop.coop)
    return refs + [_ref(coop, "agreement", each) for each in agreed if each in coop.agreements]


def _standing_of(coop: AuditedCoop, entry: Entry) -> Standing:
    if entry.hash in coop.refuted:
        return "refuted"
    if entry.hash in coop.gaps:
        return "gap"
    by_votes = entry.cause is not None and entry.cause.kind == "decision"
    return _worst([_ledger_standing(coop), "attested" if by_votes else "verified"])


def _ledger_standing(coop: AuditedCoop) -> Standing:
    if not coop.whole:
        return "refuted"
    return "verified" if coop.untied is None else "gap"


def _worst(standings: Iterable[Standing]) -> Standing:
    return max(standings, key=_STRENGTH.index)


def _units(entries: Iterable[Entry]) -> list[Unit]:
    return sorted({each.unit for entry in entries for each in entry.postings})


def _gained(entry: Entry, unit: Unit) -> int:
    """Return what an entry moves in a unit: all that somebody gets."""
    return sum(max(each.amount, 0) for each in entry.postings if each.unit == unit)


def _moved(entry: Entry, account: str, unit: Unit) -> int:
    return sum(
        each.amount for each in entry.postings if (each.account, each.unit) == (account, unit)
    )


def _within(entry: Entry, unit: Unit, root: str) -> list[Posting]:
    """Return what an entry posts under a root of accounts."""
    prefix = f"{entry.coop}:{root}"
    return [
        each
        for each in entry.postings
        if each.unit == unit and (each.account == prefix or each.account.startswith(f"{prefix}/"))
    ]


def _harmless(text: str) -> str:
    """Return text that no spreadsheet takes for a formula."""
    return f"'{text}" if text[:1] in {"=", "+", "-", "@"} and text != "-" else text


def _ref(coop: AuditedCoop, kind: str, hash_: RecordId) -> EvidenceRef:
    return EvidenceRef.model_validate({"coop": coop.coop, "kind": kind, "hash": hash_})


def coops_of(figures: Iterable[Figure]) -> tuple[Slug, ...]:
    """Return whose figures these are, in their order."""
    return tuple(dict.fromkeys(figure.coop for figure in figures))
