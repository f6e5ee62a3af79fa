"""`opkit journal`: check a node's whole journal, keep proofs of it, and see who witnesses it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from opkit.cli import anchors, exits, out
from opkit.cli.address import Address, Target, addressed
from opkit.cli.failing import Mistake

if TYPE_CHECKING:
    from opkit.client import NodeClient
    from opkit.proof.checks import Check, Verdict
    from opkit.proof.genesis import GenesisView
    from opkit.proof.history import Rebuilding
    from opkit.wire.base import Jws, Wire
    from opkit.wire.journal import (
        EntryProof,
        GenerationOpened,
        JournalCheckpointed,
        JournalHead,
        JournalOrigin,
    )
    from opkit.wire.witness import WitnessedNode

W = TypeVar("W", bound="Wire")

FILE_BYTES_MAX = 4 * 2**20
_CALLED = {"EntryProof": "the proof of an entry", "SignedJournalHead": "a signed head"}
"""What the files that are read hold, as people call it."""

app = out.group(
    """Check a node's journal, and keep proofs of it. A head proves what the node said of itself.

    Examples:

      opkit journal verify --keep head.json

      opkit journal verify --earlier head.json

      opkit journal prove 42 --out entry.json

      opkit journal verify entry.json --genesis network.jws

      opkit journal witnesses
    """
)


@app.command()
@addressed
def verify(
    address: Address,
    file: Annotated[
        Path | None, typer.Argument(help="A proof of `journal prove`: checked offline.")
    ] = None,
    earlier: Annotated[
        Path | None, typer.Option(help="A head that was kept: the journal must have grown from it.")
    ] = None,
    keep: Annotated[Path | None, typer.Option(help="Write the head that was verified.")] = None,
    verbose: anchors.Verbose = False,
    as_json: out.Json = False,
) -> int:
    """Read a node's whole journal, hash it anew, and compare with its signed head.

    With --earlier also against a head that an earlier --keep wrote. With FILE nothing is asked of
    any node. Exit code 4 if it is consistent but no genesis says whose it is.

    Example: opkit journal verify --earlier head.json --keep head.json
    """
    if file is not None:
        if earlier is not None or keep is not None:
            raise Mistake("--earlier and --keep go with a node, not with a file", hint="leave out")
        return _verify_file(file, address.genesis, verbose=verbose, as_json=as_json)
    kept = _read_head_file(earlier) if earlier is not None else None
    target = address.resolve(default_speaker="operator")
    view = anchors.anchor(address.genesis, network=target.network)
    verdict, head, about = asyncio.run(_verify_node(target, view, kept))
    code = anchors.answer(verdict, as_json=as_json, verbose=verbose, about=about)
    if keep is not None and code != exits.FAILED:
        from opkit.wire.journal import SignedJournalHead

        keep.write_text(SignedJournalHead(head=head).model_dump_json() + "\n", "ascii")
    return code


@app.command()
@addressed
def prove(
    address: Address,
    sequence: Annotated[int, typer.Argument(min=1, help="Which entry, as `events tail` counts.")],
    to: Annotated[Path, typer.Option("--out", help="Where to write the proof.")],
    as_json: out.Json = False,
) -> int:
    """Write one journal entry with the proof that it is in the node's journal.

    What is written is checked first, and `opkit journal verify FILE` checks it without the node.

    Example: opkit journal prove 42 --out entry.json
    """
    from opkit.proof.history import verify_entry

    target = address.resolve(default_speaker="operator")
    proof = asyncio.run(_prove(target, sequence))
    view = anchors.anchor(address.genesis, network=target.network)
    verdict = verify_entry(proof, genesis=view)
    if verdict.ok:
        to.write_text(proof.model_dump_json() + "\n", "utf-8")
    about = {"entry": proof.entry.type, "written to": str(to)} if verdict.ok else {}
    return anchors.answer(verdict, as_json=as_json, about=dict(about))


@app.command()
@addressed
def witnesses(
    address: Address,
    of: Annotated[str | None, typer.Argument(help="Whose journal: a DID; else all.")] = None,
    as_json: out.Json = False,
) -> int:
    """Show who has seen whose journal, as a node knows it; everything is verified here.

    A node that witnesses cannot show its other history to anybody unseen. Exit code 1 if a node
    is proven to have two histories, or if what is shown does not verify.

    Examples:
      opkit journal witnesses

      opkit journal witnesses --node harbor-homes-cooperative --json
    """
    target = address.resolve(default_speaker="operator")
    view = anchors.anchor(address.genesis, network=target.network)
    if view is None:
        raise Mistake("whose words count is not known", hint="--genesis FILE names the network")
    shown = asyncio.run(_witnesses(target, of))
    rows = [_witnessed(each, view) for each in shown]
    said = {"nodes": [row for row, _ in rows]}
    out.show(said, as_json=as_json, human=lambda on: _show_witnessed(on, rows))
    bad = any(not check.ok for _, checks in rows for check in checks)
    return exits.FAILED if bad else exits.DONE


async def _witnesses(target: Target, of: str | None) -> list[WitnessedNode]:
    """Ask a node for all that proves what it knows of one journal, or of each."""
    from opkit.wire.witness import WITNESSES, AskWitnesses

    async with target.client() as client:
        nodes = [of]
        if of is None:
            nodes = [each.node for each in (await client.call(WITNESSES, AskWitnesses())).nodes]
        asks = [AskWitnesses(node=node) for node in nodes]
        return [(await client.call(WITNESSES, ask)).nodes[0] for ask in asks]


def _witnessed(shown: WitnessedNode, view: GenesisView) -> tuple[dict[str, Any], list[Check]]:
    """Return what is known of a journal, and what of it does not hold."""
    from opkit.proof.witness import check_shown

    found, checks = check_shown(shown, genesis=view)
    node = view.node(shown.node)
    said = shown.model_dump(mode="json") | {
        "org": node.org if node else None,
        "witnesses": len(found),
        "seen_by_all": min((head.size for head in found.values()), default=0),
        "forks": sum(check.name == "one-history" for check in checks),
        "wrong": [check.actual for check in checks if not check.ok],
    }
    return said, checks


def _show_witnessed(on: Any, rows: list[tuple[dict[str, Any], list[Check]]]) -> None:
    headings = ("node", "org", "entries seen", "witnesses", "by all of them", "growth")
    table = [
        (
            said["node"],
            said["org"] or "",
            f"{said['size']:,}",
            str(said["witnesses"]),
            f"{said['seen_by_all']:,}",
            "forked" if said["forks"] else out.plain(said["unproven"] or "shown"),
        )
        for said, _ in rows
    ]
    out.table(on, headings, table)
    for said, checks in rows:
        for check in checks:
            if not check.ok:
                on.print(f"{said['org'] or said['node']}: {out.plain(check.actual)}", markup=False)


def _verify_file(file: Path, genesis: Path | None, *, verbose: bool, as_json: bool) -> int:
    from opkit.proof.history import verify_entry
    from opkit.wire.journal import EntryProof

    hint = "`opkit journal prove … --out FILE` writes one; a head goes with --earlier"
    proof = _read(file, EntryProof, hint)
    view = anchors.anchor(genesis, network=anchors.claimed_network(proof.head))
    verdict = verify_entry(proof, genesis=view)
    about: dict[str, object] = {}
    if verdict.ok:
        about = {"entry": out.plain(proof.entry.type), "at": out.moment(proof.entry.at_ms)}
    return anchors.answer(verdict, as_json=as_json, verbose=verbose, about=about)


def _read_head_file(file: Path) -> Jws:
    from opkit.wire.journal import SignedJournalHead

    return _read(file, SignedJournalHead, "`opkit journal verify --keep FILE` writes one").head


def _read(file: Path, of: type[W], hint: str) -> W:
    from pydantic import ValidationError

    if file.stat().st_size > FILE_BYTES_MAX:
        raise Mistake(f"{file} is too large for {_CALLED[of.__name__]}", hint=hint)
    try:
        return of.model_validate_json(file.read_bytes())
    except ValidationError as bad:
        why = bad.errors()[0]["msg"]
        raise Mistake(f"{file} is not {_CALLED[of.__name__]}: {why}", hint=hint) from bad


async def _verify_node(
    target: Target, view: GenesisView | None, kept: Jws | None
) -> tuple[Verdict, Jws, dict[str, object]]:
    """Return the verdict on a node's journal, the head that it is about, and what became of it."""
    from opkit.proof.checks import Verdict, equal
    from opkit.proof.history import check_rebuilt, examine_head
    from opkit.wire.journal import HEAD, ORIGIN, AskJournalHead, AskJournalOrigin

    subject, about = f"journal of {target.did}", dict[str, object]()
    async with target.client() as client:
        origin = await client.call(ORIGIN, AskJournalOrigin())
        token = (await client.call(HEAD, AskJournalHead())).head
        head, checks = examine_head("head", token, genesis=view)
        if head is not None:
            checks.append(equal("node-asked", expected=target.did, actual=head.node))
            rebuilt, read = await _rebuild(client, head, origin)
            checks += [*read, *check_rebuilt(head, rebuilt)]
            if origin.cut is not None:
                checks += await _check_cut(client, view, origin.cut, head)
                about = {"removed": f"entries 1 to {origin.cut.size:,}, behind a checkpoint"}
            if kept is not None:
                checks += await _check_earlier(client, view, kept, head, rebuilt.openings)
            about |= {f"generation {each.generation}": _opened(each) for each in rebuilt.openings}
            subject = f"{subject}, generation {head.generation}, {head.size:,} entries"
    verdict = Verdict(subject=subject, checks=tuple(checks), anchored=view is not None)
    return verdict, token, about


async def _check_cut(
    client: NodeClient, view: GenesisView | None, cut: JournalCheckpointed, head: JournalHead
) -> list[Check]:
    """Return the checks that what stands for removed entries is of the journal that is there."""
    from opkit.proof.history import check_growth, examine_cut

    at_cut, checks = examine_cut(cut, head, genesis=view)
    if at_cut is None or not all(check.ok for check in checks):
        return checks
    path = await _path(client, first=at_cut.size, second=head.size)
    return [*checks, check_growth(at_cut, head, path, name="grew-from-checkpoint")]


async def _path(client: NodeClient, *, first: int, second: int) -> tuple[str, ...]:
    """Return a node's proof that its first entries begin its later ones; none for no entry."""
    from opkit.wire.journal import CONSISTENCY, AskConsistency

    if first == 0:
        return ()
    return (await client.call(CONSISTENCY, AskConsistency(first=first, second=second))).path


def _opened(opened: GenerationOpened) -> str:
    """Return how a generation came to be, for people."""
    said = f"opened by the operator after {opened.after.size:,} entries"
    if opened.lost is not None:
        said = f"{said}; the node knew of {opened.lost.size:,} in generation "
        said = f"{said}{opened.lost.generation}"
    return f"{said}: {out.plain(opened.reason)}" if opened.reason else said


async def _rebuild(
    client: NodeClient, head: JournalHead, origin: JournalOrigin
) -> tuple[Rebuilding, list[Check]]:
    """Read the entries up to a head; return what they hash to, and whether all could be read."""
    from opkit.proof.checks import Check, ProofError, equal
    from opkit.proof.history import Rebuilding
    from opkit.wire.events import Cursor

    rebuilt, hidden, after = Rebuilding(), 0, None
    try:
        if origin.cut is not None:
            cut, generation = origin.cut, origin.generation
            rebuilt = Rebuilding(cut=cut, openings=origin.openings)
            after = Cursor(generation=generation, sequence=cut.size, hash=cut.hash)
        async with aclosing(client.journal(after)) as pages:
            async for page in pages:
                hidden = page.passed_through
                if hidden:
                    break
                for entry in page.entries:
                    if rebuilt.tree.size < head.size:
                        rebuilt.add(entry)
                if rebuilt.tree.size >= head.size:
                    break
    except ProofError as bad:
        broken = Check(name="entries", ok=False, expected="linked by hash", actual=bad.why)
        return rebuilt, [broken]
    return rebuilt, [equal("entries", expected="all readable", actual=_readable(hidden))]


def _readable(hidden: int) -> str:
    return f"{hidden} hidden from these scopes" if hidden else "all readable"


async def _check_earlier(
    client: NodeClient,
    view: GenesisView | None,
    kept: Jws,
    head: JournalHead,
    openings: Sequence[GenerationOpened],
) -> list[Check]:
    """Return the checks that a journal grew from a head that was kept."""
    from opkit.proof.history import check_growth, check_same_journal, examine_head

    early, checks = examine_head("earlier-head", kept, genesis=view)
    if early is None:
        return checks
    checks += check_same_journal(early, head, openings=openings)
    if not all(check.ok for check in checks):
        return checks
    path = await _path(client, first=early.size, second=head.size)
    return [*checks, check_growth(early, head, path)]


async def _prove(target: Target, sequence: int) -> EntryProof:
    """Ask for a head, the entry and the path between them."""
    from opkit.proof.history import read_head
    from opkit.wire.journal import (
        HEAD,
        INCLUSION,
        ORIGIN,
        AskInclusion,
        AskJournalHead,
        AskJournalOrigin,
        EntryProof,
        ProvenEntry,
    )

    async with target.client() as client:
        cut = (await client.call(ORIGIN, AskJournalOrigin())).cut
        if cut is not None and sequence <= cut.size:
            raise Mistake(
                f"the node has removed its entries up to {cut.size:,}",
                hint="who kept the entry can still ask for its path: GET /v1/journal/inclusion",
                code=exits.FAILED,
            )
        token = (await client.call(HEAD, AskJournalHead())).head
        size = read_head(token, genesis=None).size
        shown = await client.call(INCLUSION, AskInclusion(sequence=sequence, size=size))
        async with aclosing(client.journal()) as pages:
            async for page in pages:
                for entry in page.entries:
                    if entry.sequence == sequence:
                        fields = entry.model_dump(include=set(ProvenEntry.model_fields))
                        return EntryProof(head=token, entry=ProvenEntry(**fields), path=shown.path)
                if page.cursor.sequence >= sequence:
                    break
    raise Mistake(
        f"entry {sequence} is hidden from these scopes",
        hint="speak as somebody who may read it: --as operator",
    )
