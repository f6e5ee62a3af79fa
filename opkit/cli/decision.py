"""`opkit decision`: take a decision with you, and count it again without any node."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from opkit.cli import anchors, exits, out
from opkit.cli.address import Address, addressed
from opkit.cli.assemblies import Coop, ProposalArgument, call, read_vote
from opkit.cli.failing import Mistake

if TYPE_CHECKING:
    from opkit.proof.decision import DecisionView
    from opkit.wire.votes import AttestedDecision, AttestedFile, DecisionFile

app = out.group(
    """What a coop decided, with every vote: fetched once, counted again by anybody.

    Examples:

      opkit decision fetch paint --out paint.json

      opkit decision verify paint.json

      opkit decision omission paint.json --vote my-vote.json
    """
)

FileArgument = Annotated[Path, typer.Argument(help="A decision, as `fetch` wrote it.")]


@app.command()
@addressed
def fetch(
    address: Address,
    proposal: ProposalArgument,
    to: Annotated[Path, typer.Option("--out", help="Where the file is written.")],
    attested: Annotated[
        bool, typer.Option("--attested", help="Without votes: what may leave the coop.")
    ] = False,
    coop: Coop = "",
    as_json: out.Json = False,
) -> int:
    """Write a decision with every vote to a file; for members of the coop, who may show it on.

    Examples:
      opkit decision fetch paint --out paint.json

      opkit decision fetch paint --attested --out attested.json
    """
    form: Literal["full", "attested"] = "attested" if attested else "full"
    data = call(address, coop, lambda assembly: assembly.fetch(proposal, form=form))
    to.write_bytes(data)
    said = {"file": str(to), "form": form, "bytes": len(data)}
    out.show(said, as_json=as_json, human=lambda on: out.facts(on, said))
    return exits.DONE


@app.command()
def verify(
    file: FileArgument,
    genesis: anchors.GenesisOption = None,
    verbose: anchors.Verbose = False,
    as_json: out.Json = False,
) -> int:
    """Check a decision offline and count it again: chains, signatures, votes, tally, rule, times.

    A file without votes is attested, not recounted, and the answer says so. Exit code 4 if it is
    consistent but no genesis says whose it is.

    Examples:
      opkit decision verify paint.json

      opkit decision verify paint.json --genesis network.jws
    """
    from opkit.proof.decision import examine_attested, examine_decision
    from opkit.wire.votes import DecisionFile

    read = _read(file)
    about: dict[str, object] = {}
    if isinstance(read, DecisionFile):
        view = anchors.anchor(genesis, network=anchors.claimed_network(read.decision))
        verdict, decided = examine_decision(read, genesis=view)
        about = _about(decided) if verdict.ok and decided else {}
    else:
        view = anchors.anchor(genesis, network=anchors.claimed_network(read.attested))
        verdict, attested = examine_attested(read, genesis=view)
        about = _about_attested(attested) if verdict.ok and attested else {}
    return anchors.answer(verdict, as_json=as_json, verbose=verbose, about=about)


@app.command()
def omission(
    file: FileArgument,
    vote: Annotated[Path, typer.Option(help="A vote and its receipt, as they were kept.")],
    genesis: anchors.GenesisOption = None,
    verbose: anchors.Verbose = False,
    as_json: out.Json = False,
) -> int:
    """Show offline that a decision leaves out a vote that was given in time.

    Exit code 0 if that is proven, 1 if it is not: the vote was counted, or replaced.

    Example: opkit decision omission paint.json --vote my-vote.json
    """
    from opkit.proof.omission import verify_omission, verify_omission_attested
    from opkit.wire.votes import DecisionFile

    read = _read(file)
    ballot, receipt = read_vote(vote)
    view = anchors.anchor(genesis, network=anchors.claimed_network(ballot))
    if view is None:
        raise Mistake("whose word it is says a genesis alone", hint="--genesis FILE")
    if isinstance(read, DecisionFile):
        verdict = verify_omission(read, ballot=ballot, receipt=receipt, genesis=view)
    else:
        verdict = verify_omission_attested(read, ballot=ballot, receipt=receipt, genesis=view)
    return anchors.answer(verdict, as_json=as_json, verbose=verbose)


def _read(file: Path) -> DecisionFile | AttestedFile:
    from opkit.proof.checks import ProofError
    from opkit.proof.decision import read_file
    from opkit.wire.votes import DECISION_FILE_BYTES_MAX

    if file.stat().st_size > DECISION_FILE_BYTES_MAX:
        raise Mistake(f"{file} is too large to be a decision")
    try:
        return read_file(file.read_bytes())
    except ProofError as bad:
        raise Mistake(
            f"{file}: {bad.why}", hint="`opkit decision fetch … --out FILE` writes one"
        ) from bad


def _about(view: DecisionView) -> dict[str, object]:
    """Return what was decided, and how it was counted here."""
    tally = view.counted.tally
    return {
        "title": view.proposal.title,
        "outcome": view.decision.outcome,
        "effect": view.proposal.effect.kind,
        "counted": f"{tally.yes} yes, {tally.no} no, {tally.abstain} abstained",
        "took part": f"{tally.cast} of {tally.electorate}, {tally.delegated} delegated",
        "decision": view.hash,
    }


def _about_attested(said: AttestedDecision) -> dict[str, object]:
    """Return what the home node says was decided."""
    tally = said.tally
    return {
        "title": said.title,
        "outcome": said.outcome,
        "effect": said.effect.kind,
        "attested": f"{tally.yes} yes, {tally.no} no, {tally.abstain} abstained",
        "took part": f"{tally.cast} of {tally.electorate}, {tally.delegated} delegated",
        "decision": said.decision,
    }
