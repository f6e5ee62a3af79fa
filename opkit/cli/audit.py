"""`opkit audit`: gather what coops show to their auditor, verify it offline, report on it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from opkit.cli import anchors, out
from opkit.cli.address import Address, addressed
from opkit.cli.failing import Mistake

if TYPE_CHECKING:
    from pydantic import BaseModel

    from opkit.proof.audited import AuditView
    from opkit.proof.genesis import GenesisView
    from opkit.wire.audit import AuditFile, CoopEvidence
    from opkit.wire.compute import ReceiptBundle

T = TypeVar("T", bound="BaseModel")

app = out.group(
    """What coops show to their auditor: gathered, verified link by link, and reported on.

    Gathering only reads. What is not shown stays a gap, with the reason; nothing is filled in.

    Examples:

      opkit audit gather --as zuri --out audit.json

      opkit audit verify audit.json

      opkit audit report audit.json --out funders
    """
)

FileArgument = Annotated[Path, typer.Argument(help="An audit, as `gather` or a run wrote it.")]

RECEIPT_BYTES_MAX = 4 * 2**20
GAPS_TOLD_MAX = 20
"""The most gaps that are told by name; all are counted."""


@app.command()
@addressed
def gather(
    address: Address,
    *,
    to: Annotated[Path, typer.Option("--out", help="Where the audit is written.")] = Path(
        "audit.json"
    ),
    coop: Annotated[
        list[str] | None, typer.Option(help="Of this coop, again for more; default: all.")
    ] = None,
    receipt: Annotated[
        list[Path] | None,
        typer.Option(help="A receipt that a coop handed over, for an entry that cites it."),
    ] = None,
    add: Annotated[
        Path | None, typer.Option(help="An audit of before: what it has of other coops stays.")
    ] = None,
    verbose: anchors.Verbose = False,
    as_json: out.Json = False,
) -> int:
    """Read what coops' home nodes show to an auditor, with a token that can only read.

    On a devnet of all its coops. Of other nodes one after another, each into what --add names.
    What a node refuses, or does not answer, is noted as a gap. Then all of it is verified here, as
    `opkit audit verify` does.

    Examples:
      opkit audit gather --as zuri --out audit.json

      opkit audit gather --as zuri --receipt receipt.json
    """
    genesis = anchors.anchor(address.genesis, network=address.resolve().network)
    if genesis is None:
        raise Mistake("nothing says which coops there are", hint="--genesis FILE")
    before = None if add is None else _read(add)
    if before is not None and before.network != genesis.network:
        raise Mistake(f"{add} is of another network", hint="leave --add out")
    coops = _coops(address, coop or (), genesis)
    auditor, found = asyncio.run(_gathered(address, coops, genesis))
    file = _filed(auditor, found, genesis=genesis, before=before)
    file = _with_receipts(file, [_receipt(each) for each in receipt or ()])
    to.write_text(file.model_dump_json(), encoding="utf-8")
    return _answer(file, genesis, as_json=as_json, verbose=verbose)


@app.command()
def verify(
    file: FileArgument,
    genesis: anchors.GenesisOption = None,
    verbose: anchors.Verbose = False,
    as_json: out.Json = False,
) -> int:
    """Check an audit offline: every entry, decision, agreement, exchange, and the journals.

    A gap fails nothing, for nothing that was shown is wrong; it is named. Exit code 4 if all holds
    but no genesis says whose books they are.

    Examples:
      opkit audit verify audit.json

      opkit audit verify audit.json --genesis network.jws
    """
    read = _read(file)
    view = anchors.anchor(genesis, network=read.network)
    return _answer(read, view, as_json=as_json, verbose=verbose)


@app.command()
def report(
    file: FileArgument,
    to: Annotated[Path, typer.Option("--out", help="The folder; made if there is none.")] = Path(
        "funders"
    ),
    genesis: anchors.GenesisOption = None,
    verbose: anchors.Verbose = False,
    as_json: out.Json = False,
) -> int:
    """Write the report for those who fund coops: a page, its figures as CSV, and the evidence.

    Each figure links to all that it rests on. Whoever has the same audit and the same genesis gets
    the same bytes. What does not verify is reported as such; the exit code is that of `verify`.

    Example: opkit audit report audit.json --out funders
    """
    from opkit.proof.audited import examine_audit
    from opkit.proof.figures import figures_csv, figures_of
    from opkit.views.audit import audit_html

    read = _read(file)
    anchor = anchors.anchor(genesis, network=read.network)
    view = examine_audit(read, genesis=anchor)
    to.mkdir(parents=True, exist_ok=True)
    page = audit_html(view, genesis=anchor, file="audit.json")
    (to / "report.html").write_text(page, encoding="utf-8")
    (to / "figures.csv").write_bytes(figures_csv(figures_of(view)))
    (to / "audit.json").write_text(read.model_dump_json(), encoding="utf-8")
    about: dict[str, object] = {"report": str(to / "report.html")}
    return _tell(view, as_json=as_json, verbose=verbose, about=about)


def _coops(address: Address, named: Sequence[str], genesis: GenesisView) -> tuple[str, ...]:
    """Return whose books are read: those that are named, or all whose nodes are known here."""
    known = [each.coop for each in genesis.genesis.nodes if each.coop is not None]
    for each in named:
        if each not in known:
            raise Mistake(f"no coop is called {each}", hint=", ".join(known))
    if address.url is None:
        return tuple(dict.fromkeys(named or known))
    node = genesis.node(address.did or "")
    at_home = "" if node is None or node.coop is None else node.coop
    if not at_home or any(each != at_home for each in named):
        raise Mistake("that node is not the home of such a coop", hint="--coop, --url and --did")
    return (at_home,)


async def _gathered(
    address: Address, coops: Sequence[str], genesis: GenesisView
) -> tuple[str, list[CoopEvidence]]:
    """Return who asked, and what the home of each coop showed."""
    from opkit.wire.audit import AUDIT_SCOPES

    auditor = ""
    found = []
    for coop in coops:
        at = address if address.url is not None else replace(address, org=coop)
        async with at.resolve().client(scopes=AUDIT_SCOPES) as client:
            client.genesis = genesis
            found.append(await client.gather(coop))
            auditor = auditor or at.resolve().speaker or await client.member_id()
    return auditor, found


def _filed(
    auditor: str,
    found: Sequence[CoopEvidence],
    *,
    genesis: GenesisView,
    before: AuditFile | None,
) -> AuditFile:
    """Return an audit of what was found, beside what one of before has of other coops."""
    import time

    from opkit.wire.audit import AuditFile

    coops = {each.coop: each for each in before.coops} if before is not None else {}
    coops |= {each.coop: each for each in found}
    return AuditFile(
        network=genesis.network,
        auditor=auditor,
        gathered_ms=time.time_ns() // 1_000_000,
        coops=tuple(coops.values()),
    )


def _with_receipts(file: AuditFile, receipts: Sequence[ReceiptBundle]) -> AuditFile:
    """Return an audit with receipts beside the entries that cite them."""
    from opkit.proof import jws

    coops = list(file.coops)
    for bundle in receipts:
        named = jws.record_id(bundle.receipt)
        citing = [place for place, each in enumerate(coops) if _cites(each, named)]
        if not citing:
            raise Mistake(f"no entry cites receipt {named[:16]}", hint="leave that --receipt out")
        for place in citing:
            handed = (*coops[place].receipts, bundle)
            coops[place] = coops[place].model_copy(update={"receipts": handed})
    return file.model_copy(update={"coops": tuple(coops)})


def _cites(coop: CoopEvidence, receipt: str) -> bool:
    return any(each.cause is not None and each.cause.id == receipt for each in coop.entries)


def _answer(file: AuditFile, genesis: GenesisView | None, *, as_json: bool, verbose: bool) -> int:
    from opkit.proof.audited import examine_audit

    return _tell(examine_audit(file, genesis=genesis), as_json=as_json, verbose=verbose, about={})


def _tell(view: AuditView, *, as_json: bool, verbose: bool, about: Mapping[str, object]) -> int:
    """Say what was found, how the figures stand, and what is missing."""
    from opkit.proof.figures import figures_of

    figures = figures_of(view)
    stand = {
        f"figures {standing}": sum(each.standing == standing for each in figures) or None
        for standing in ("verified", "attested", "gap", "refuted")
    }
    gaps = {
        f"gap {place}": out.plain(f"{gap.coop}: {gap.kind} {gap.named[:16]} ({gap.why})")
        for place, gap in enumerate(view.gaps[:GAPS_TOLD_MAX], 1)
    }
    coops = tuple(view.coops)
    return anchors.answer(
        view.verdict,
        as_json=as_json,
        verbose=verbose,
        about={**about, **stand, "proofs not shown": len(view.gaps) or None, **gaps},
        group_of=lambda check: next(
            (coop for coop in coops if check.name.startswith(f"{coop}, ")), "the whole"
        ),
    )


def _read(file: Path) -> AuditFile:
    from opkit.wire.audit import AUDIT_FILE_BYTES_MAX, AuditFile

    hint = "`opkit audit gather` writes one"
    return _parsed(file, AuditFile, most=AUDIT_FILE_BYTES_MAX, what="an audit", hint=hint)


def _receipt(file: Path) -> ReceiptBundle:
    from opkit.wire.compute import ReceiptBundle

    hint = "`opkit compute submit … --receipt FILE` writes one"
    return _parsed(file, ReceiptBundle, most=RECEIPT_BYTES_MAX, what="a receipt", hint=hint)


def _parsed(file: Path, of: type[T], *, most: int, what: str, hint: str) -> T:
    """Return the value in a file. Raises `Mistake`: it is too large to be one, or is none."""
    from pydantic import ValidationError

    from opkit.wire.kept import why_unread

    if file.stat().st_size > most:
        raise Mistake(f"{file} is too large to be {what}")
    try:
        return of.model_validate_json(file.read_bytes())
    except ValidationError as bad:
        raise Mistake(f"{file} is not {what}: {why_unread(bad)}", hint=hint) from bad
