"""Why an agreement or an exchange is believed, verified here from this machine's genesis.

What it rests on is fetched anew each time: an agreement's file from every node that shall have it,
an exchange's signed words from a side, and the entry of each side from its own ledger.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Final

from opkit.live.asking import SILENT
from opkit.live.examined import COMPLETE, Examined, belongs, examine
from opkit.live.federation_told import Places
from opkit.live.live import Live
from opkit.live.ports import PageRefused
from opkit.proof.agreement import read_agreement_file
from opkit.proof.checks import Check, attempt, equal
from opkit.proof.clearing import verify_exchange
from opkit.story.report import CheckRecord
from opkit.views.federation_figures import AgreementFigure, MovedFigure
from opkit.views.figures import ChainLink
from opkit.views.ledger_figures import ProofFigure
from opkit.views.telling import all_of
from opkit.wire.agreements import READ_AGREEMENT_FILE, AgreementFile, ReadAgreementFile
from opkit.wire.base import RecordId
from opkit.wire.clearing import READ_EXCHANGE, AskClearing, Exchange, ExchangeAnswer
from opkit.wire.ledger import LEDGER_ENTRY, AskEntry, Entry

ENDED: Final = "ended"
"""The check that fails as long as an exchange is in doubt: then it is no worse, it goes on."""


async def prove_agreement(live: Live, places: Places, figure: AgreementFigure) -> ProofFigure:
    """Return an agreement's file link by link, and whether all copies of it are the same.

    Raises:
        PageRefused: no node hands it over.
    """
    orgs = [each.org for each in figure.copies if each.copy != "none"]
    answers = await asyncio.gather(*(_file(live, org, figure.agreement) for org in orgs))
    files = {org: data for org, data in zip(orgs, answers, strict=True) if data is not None}
    if not files:
        raise PageRefused("No node hands this agreement over now.")
    genesis = live.source.genesis
    examined = await asyncio.to_thread(
        lambda: {org: examine(data, genesis=genesis) for org, data in files.items()}
    )
    chosen = max(files, key=lambda org: (examined[org].ok, len(examined[org].signed)))
    file = examined[chosen]
    lacking = [org for org in orgs if org not in files]
    chain = (*_links(file, places), _copies(files, chosen, places))
    return ProofFigure(
        subject=figure.agreement,
        ok=all(link.ok for link in chain),
        verified_ms=live.now_ms(),
        chain=chain,
        proof=files[chosen].decode("utf-8", "replace"),
        file=f"agreement-{figure.agreement[:12]}.json",
        trouble=_trouble(file, lacking, places),
    )


async def _file(live: Live, org: str, agreement: str) -> bytes | None:
    try:
        ask = ReadAgreementFile(agreement=agreement)
        return (await live.call(org, READ_AGREEMENT_FILE, ask)).file
    except SILENT:
        return None


def _links(file: Examined, places: Places) -> Iterable[ChainLink]:
    """Return the file's checks: of the terms, then of each signature and what it cites."""
    if file.terms is None:
        unread = Check(name="file", ok=False, expected="an agreement's file", actual=file.why)
        yield _link("file", "the file", "", [unread])
        return
    own = [
        [one for one in file.checks if belongs(one, coop=each.coop, action=each.action)]
        for each in file.signed
    ]
    named = {one.name for found in own for one in found} | {COMPLETE}
    terms = [one for one in file.checks if one.name not in named]
    says = "Their hash is the agreement’s name; who is named in them is in the genesis."
    yield _link("terms", "the terms", says, terms)
    for each, found in zip(file.signed, own, strict=True):
        verb = "signed" if each.action == "adopt" else "gave notice"
        title = f"{places.title(each.coop)} {verb}"
        says = f"Its home node did, as its own decision {each.decision} says."
        yield _link(f"{each.coop}-{each.action}", title, says, found)


def _copies(files: dict[str, bytes], chosen: str, places: Places) -> ChainLink:
    hashes = {org: hashlib.sha256(data).hexdigest() for org, data in files.items()}
    checks = [
        equal(f"copy of {places.title(org)}", expected=hashes[chosen], actual=one)
        for org, one in hashes.items()
    ]
    same = len(set(hashes.values())) == 1
    says = "Every node that answers handed over the same bytes." if same else "Bytes differ."
    return _link("copies", "the copies", says, checks)


def _trouble(file: Examined, lacking: Sequence[str], places: Places) -> str:
    said = []
    if file.terms is not None and file.unsigned:
        names = all_of([places.title(coop) for coop in file.unsigned])
        said.append(f"{names} did not sign: it is no agreement yet.")
    if lacking:
        names = all_of([places.title(org) for org in lacking])
        said.append(f"{names} did not hand a copy over.")
    return " ".join(said)


async def prove_exchange(live: Live, places: Places, figure: MovedFigure) -> ProofFigure:
    """Return what was signed of an exchange, and each side's entry, as they verify here.

    Raises:
        PageRefused: no side hands it over.
    """
    answers = await asyncio.gather(*(_evidence(live, places, one) for one in figure.sides))
    told = [each for each in answers if each is not None]
    if not told:
        raise PageRefused("No side of this exchange hands it over now.")
    words = [each.evidence for each in told]
    best = max(words, key=lambda each: (each.ruling is not None, each.outcome is not None))
    # What they say now: since the figure was told, another side may have posted.
    said_now = {each.exchange.coop: each.exchange for each in told}
    sides = [said_now.get(one.coop, one) for one in figure.sides]
    entries = await asyncio.gather(*(_entry(live, places, one) for one in sides))
    found = {one.coop: entry for one, entry in zip(sides, entries, strict=True) if entry}
    files = await _agreements(live, places, sides)
    verdict = await asyncio.to_thread(
        lambda: verify_exchange(
            best, genesis=live.source.genesis, agreements=files, entries=found.values()
        )
    )
    doubt = [each for each in verdict.failures if each.name == ENDED]
    checks = [each for each in verdict.checks if each not in doubt]
    chain = tuple(_exchange_links(checks, found, places))
    lacking = [places.title(one.coop) for one in sides if one.entry and one.coop not in found]
    said = ["It is in doubt: nobody has said how it ends."] if doubt else []
    said += [f"{all_of(lacking)} did not hand its entry over."] if lacking else []
    proof = {
        "evidence": best.model_dump(mode="json"),
        "agreements": [file.model_dump(mode="json") for file in files],
        "entries": [entry.model_dump(mode="json") for entry in found.values()],
    }
    return ProofFigure(
        subject=figure.hash,
        ok=all(link.ok for link in chain),
        verified_ms=live.now_ms(),
        chain=chain,
        proof=json.dumps(proof, indent=2),
        file=f"exchange-{figure.hash[:12]}.json",
        trouble=" ".join(said),
    )


async def _evidence(live: Live, places: Places, side: Exchange) -> ExchangeAnswer | None:
    try:
        ask = AskClearing(exchange=side.hash, coop=side.coop)
        return await live.call(places.homes[side.coop], READ_EXCHANGE, ask)
    except SILENT:
        return None


async def _agreements(
    live: Live, places: Places, sides: Sequence[Exchange]
) -> tuple[AgreementFile, ...]:
    """Return the agreements of an exchange's legs, each from the first side that hands it over."""
    found: dict[RecordId, AgreementFile] = {}
    for side in sides:
        for agreement in {leg.agreement for leg in side.legs} - found.keys():
            data = await _file(live, places.homes[side.coop], agreement)
            file = None if data is None else attempt("", partial(read_agreement_file, data))[0]
            if file is not None:
                found[agreement] = file
    return tuple(found.values())


async def _entry(live: Live, places: Places, side: Exchange) -> Entry | None:
    if side.entry is None:
        return None
    try:
        ask = AskEntry(coop=side.coop, entry=side.entry)
        return await live.call(places.homes[side.coop], LEDGER_ENTRY, ask)
    except SILENT:
        return None


def _exchange_links(
    checks: Sequence[Check], entries: dict[str, Entry], places: Places
) -> Iterable[ChainLink]:
    own = {
        coop: [each for each in checks if each.name.startswith(f"{coop} entry ")]
        for coop in entries
    }
    named = {each.name for found in own.values() for each in found}
    signed = [each for each in checks if each.name not in named]
    says = (
        "Home nodes signed offer, acceptance and end; each names what it follows, and the "
        "agreement of each two provides for it."
    )
    yield _link("signed", "what was signed", says, signed)
    for coop, entry in entries.items():
        title = f"{places.title(coop)} posted its half"
        says = f"Entry {entry.sequence:,} moves what the offer says, as its home answered it now."
        yield _link(coop, title, says, own[coop])


def _link(name: str, title: str, says: str, checks: Iterable[Check]) -> ChainLink:
    records = tuple(CheckRecord(**vars(check)) for check in checks)
    return ChainLink(name=name, title=title, says=says, checks=records)
