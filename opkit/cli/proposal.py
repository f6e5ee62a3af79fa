"""`opkit proposal`: put something before one's coop, vote on it, and do what was decided."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from opkit.cli import exits, out
from opkit.cli.address import Address, addressed
from opkit.cli.assemblies import Coop, ProposalArgument, call, keep_vote
from opkit.cli.failing import Mistake, reason_of
from opkit.cli.listing import first

if TYPE_CHECKING:
    from opkit.client.governance import GovernanceCalls
    from opkit.wire.governance import ProposalLine, ProposalView, Vote
    from opkit.wire.votes import Effect, Tally

FILE_BYTES_MAX = 1_048_576
LISTED_MAX = 10_000
CHOICES = ("yes", "no", "abstain")

app = out.group(
    """What a coop decides: proposals, votes by name, delegations, and effects.

    Each is signed with the speaker's own key, and asked of the coop's home node.

    Examples:

      opkit proposal open paint --title "Paint the hall"

      opkit proposal vote paint yes

      opkit proposal show paint
    """
)


@app.command("open")
@addressed
def open_proposal(
    address: Address,
    proposal: Annotated[str, typer.Argument(help="Its id, used once: a-z, 0-9, -.")],
    *,
    title: Annotated[str, typer.Option(help="In a few words; without it a draft is opened.")] = "",
    text: Annotated[str, typer.Option(help="In some more.")] = "",
    from_: Annotated[str, typer.Option("--from", help="The treasury's account that pays.")] = "",
    to: Annotated[str, typer.Option(help="Who is paid: an account.")] = "",
    amount: Annotated[int, typer.Option(min=0, help="How much, in the smallest step.")] = 0,
    unit: Annotated[str, typer.Option(help="Of what.")] = "usd-cents",
    weights: Annotated[
        Path | None, typer.Option(help="CSV of account,weight: split the amount by weights.")
    ] = None,
    effect: Annotated[Path | None, typer.Option(help="Any effect, as JSON.")] = None,
    draft: Annotated[bool, typer.Option("--draft", help="Do not begin voting yet.")] = False,
    coop: Coop = "",
    as_json: out.Json = False,
) -> int:
    """Put a proposal before the coop and begin voting; text only, unless it pays or says more.

    Examples:
      opkit proposal open roof --title R --from reserve --to vendor/x --amount 5

      opkit proposal open later --title "Not yet" --draft

      opkit proposal open later
    """
    said = {"from": from_, "to": to, "amount": amount, "unit": unit}

    async def do(assembly: GovernanceCalls) -> ProposalView:
        if not title:
            return await assembly.open(proposal)
        wanted = _effect(assembly.coop, said, weights=weights, effect=effect)
        return await assembly.propose(proposal, wanted, title=title, text=text, open_now=not draft)

    return _show(call(address, coop, do, signs=bool(title)), as_json=as_json)


@app.command("list")
@addressed
def list_proposals(
    address: Address,
    state: Annotated[str, typer.Option(help="Only those that are open, accepted, …")] = "",
    listed_max: Annotated[int, typer.Option("--max", min=1, max=LISTED_MAX, help="How many.")] = 50,
    coop: Coop = "",
    as_json: out.Json = False,
) -> int:
    """List proposals, newest first.

    Example: opkit proposal list --state open
    """
    wanted = _state(state)

    async def read(assembly: GovernanceCalls) -> list[ProposalLine]:
        return await first(assembly.list(state=wanted), listed_max)

    lines = call(address, coop, read)
    rows = [
        (each.proposal_id, each.state, each.kind, each.title, _count(each.tally)) for each in lines
    ]
    headings = ("proposal", "state", "kind", "title", "yes no abstain of")
    out.show(
        {"proposals": [each.model_dump(mode="json") for each in lines]},
        as_json=as_json,
        human=lambda on: out.table(on, headings, rows, none="there are none"),
    )
    return exits.DONE


@app.command()
@addressed
def show(
    address: Address, proposal: ProposalArgument, coop: Coop = "", as_json: out.Json = False
) -> int:
    """Show a proposal: what it says, how the vote stands, and what came of it.

    Example: opkit proposal show paint
    """
    return _show(call(address, coop, lambda assembly: assembly.get(proposal)), as_json=as_json)


@app.command()
@addressed
def vote(
    address: Address,
    proposal: ProposalArgument,
    choice: Annotated[str, typer.Argument(help="yes, no or abstain.")],
    out_file: Annotated[
        Path | None, typer.Option("--out", help="Where the vote and its receipt are kept.")
    ] = None,
    coop: Coop = "",
    as_json: out.Json = False,
) -> int:
    """Vote, or change a vote; the receipt is kept, and proves it if the vote is left out.

    Examples:
      opkit proposal vote paint yes

      opkit proposal vote paint no --out my-vote.json
    """
    if choice not in CHOICES:
        raise Mistake(f"{choice!r} is no choice", hint="yes, no or abstain")

    async def do(assembly: GovernanceCalls) -> Any:
        return await assembly.vote(proposal, choice)  # type: ignore[arg-type]  # looked at above

    cast = call(address, coop, do, signs=True)
    kept = keep_vote(cast, out_file)
    said = {"proposal": cast.proposal, "choice": choice, "kept": str(kept)}
    out.show(said, as_json=as_json, human=lambda on: out.facts(on, said))
    return exits.DONE


@app.command()
@addressed
def votes(
    address: Address,
    proposal: ProposalArgument,
    listed_max: Annotated[int, typer.Option("--max", min=1, max=LISTED_MAX, help="How many.")] = 50,
    coop: Coop = "",
    as_json: out.Json = False,
) -> int:
    """List how members voted on a proposal, by name; the coop's own members see it, nobody else.

    Who voted through somebody else stands with whose ballot counted for them. With --json each vote
    has the ballot as it was signed.

    Examples:
      opkit proposal votes paint

      opkit proposal votes paint --json
    """

    async def read(assembly: GovernanceCalls) -> list[Vote]:
        return await first(assembly.votes(proposal), listed_max)

    cast = call(address, coop, read)
    rows = [
        (each.member_id, each.choice, each.through or "", out.moment(each.cast_ms)) for each in cast
    ]
    headings = ("member", "choice", "through", "cast")
    out.show(
        {"votes": [each.model_dump(mode="json") for each in cast]},
        as_json=as_json,
        human=lambda on: out.table(on, headings, rows, none="nobody has voted"),
    )
    return exits.DONE


@app.command()
@addressed
def delegate(
    address: Address,
    to: Annotated[str, typer.Argument(help="A member of the coop, or `nobody`.")],
    coop: Coop = "",
    as_json: out.Json = False,
) -> int:
    """Let another member vote where you do not, or nobody any more.

    Examples:
      opkit proposal delegate theo

      opkit proposal delegate nobody
    """

    async def do(assembly: GovernanceCalls) -> Any:
        member_id = to if "/" in to else f"{assembly.coop}/{to}"
        return await assembly.delegate(None if to == "nobody" else member_id)

    stands = call(address, coop, do, signs=True)
    facts = {"member": stands.member_id, "votes through": stands.to or "nobody"}
    said = stands.model_dump(mode="json")
    out.show(said, as_json=as_json, human=lambda on: out.facts(on, facts))
    return exits.DONE


@app.command()
@addressed
def close(
    address: Address, proposal: ProposalArgument, coop: Coop = "", as_json: out.Json = False
) -> int:
    """Have the votes counted, once the voting period is over.

    Example: opkit proposal close paint
    """
    return _show(call(address, coop, lambda assembly: assembly.close(proposal)), as_json=as_json)


@app.command()
@addressed
def cancel(
    address: Address, proposal: ProposalArgument, coop: Coop = "", as_json: out.Json = False
) -> int:
    """Take a proposal of your own back, before voting is over.

    Example: opkit proposal cancel paint
    """
    return _show(call(address, coop, lambda assembly: assembly.cancel(proposal)), as_json=as_json)


@app.command()
@addressed
def execute(
    address: Address, proposal: ProposalArgument, coop: Coop = "", as_json: out.Json = False
) -> int:
    """Do what was decided, once its challenge window is over: pay, settle, admit, configure.

    Example: opkit proposal execute roof
    """
    from opkit.wire.governance import EffectDone

    done = call(address, coop, lambda assembly: assembly.execute(proposal))
    said = done.model_dump(mode="json")
    entry = done.entry if isinstance(done, EffectDone) else done
    facts: dict[str, object] = {"proposal": proposal, "done": "yes"}
    if isinstance(done, EffectDone):
        facts |= {"kind": done.kind, "decision": done.decision}
        if done.member is not None:
            facts["member"] = done.member.member_id
    if entry is not None:
        facts |= {"entry": entry.hash, "postings": len(entry.postings)}
    out.show(said, as_json=as_json, human=lambda on: out.facts(on, facts))
    return exits.DONE


def _effect(
    coop: str, said: dict[str, Any], *, weights: Path | None, effect: Path | None
) -> Effect:
    """Return what is proposed, as the options say it."""
    from opkit.proof.checks import ProofError
    from opkit.proof.proposals import check_effect, make_distribution
    from opkit.wire.votes import SpendEffect, TextEffect

    pays = bool(said["from"] or said["to"] or said["amount"] or weights)
    if effect is not None:
        if pays:
            raise Mistake("--effect says all of it", hint="leave --from, --to, --amount out")
        return _read_effect(effect)
    if not pays:
        return TextEffect()
    if not said["from"] or not said["amount"] or (weights is None) == (not said["to"]):
        raise Mistake("a payment needs --from, --amount, and --to or --weights")
    try:
        source = _account(said["from"], coop)
        made: Effect
        if weights is None:
            made = SpendEffect(
                from_account=source,
                to_account=_account(said["to"], coop),
                unit=said["unit"],
                amount=said["amount"],
            )
        else:
            made = make_distribution(
                from_account=source,
                unit=said["unit"],
                surplus=said["amount"],
                weights={_account(each, coop): w for each, w in _weights(weights).items()},
            )
        check_effect(made, coop=coop)
    except (ProofError, ValueError) as bad:
        raise Mistake(f"that cannot be proposed: {reason_of(bad)}") from bad
    return made


def _read_effect(file: Path) -> Effect:
    from pydantic import TypeAdapter, ValidationError

    from opkit.wire.votes import Effect

    adapter: TypeAdapter[Effect] = TypeAdapter(Effect)
    try:
        return adapter.validate_json(_bytes(file))
    except ValidationError as bad:
        raise Mistake(f"{file} is no effect: {reason_of(bad)}") from bad


def _weights(file: Path) -> dict[str, int]:
    """Return weights by account as a CSV file has them, one a line."""
    weights: dict[str, int] = {}
    for number, row in enumerate(csv.reader(_bytes(file).decode("utf-8").splitlines()), 1):
        if len(row) != 2 or not row[1].strip().isdecimal():
            raise Mistake(f"line {number} of {file} is no account,weight")
        if row[0].strip() in weights:
            raise Mistake(f"line {number} of {file} has {row[0].strip()} again")
        weights[row[0].strip()] = int(row[1])
    return weights


def _bytes(file: Path) -> bytes:
    if file.stat().st_size > FILE_BYTES_MAX:
        raise Mistake(f"{file} has more than {FILE_BYTES_MAX} bytes")
    return file.read_bytes()


def _account(named: str, coop: str) -> str:
    """Return an account in full: a path alone is one of the coop's."""
    return named if ":" in named else f"{coop}:{named}"


def _state(said: str) -> Any:
    from typing import get_args

    from opkit.wire.votes import ProposalState

    if said and said not in get_args(ProposalState):
        raise Mistake(f"{said!r} is no state", hint=", ".join(get_args(ProposalState)))
    return said or None


def _count(tally: Tally) -> str:
    return f"{tally.yes} {tally.no} {tally.abstain} of {tally.electorate}"


def _show(view: ProposalView, *, as_json: bool) -> int:
    """Show a proposal, and return that all went well."""
    from opkit.views.proposals import effect_text

    rule, tally = view.rule, view.tally
    facts: dict[str, object] = {
        "proposal": f"{view.proposal_id}, {view.proposal}",
        "title": view.title,
        "by": view.member_id,
        "state": view.state,
        "effect": effect_text(view.effect, {}),
        "rule": f"quorum {rule.quorum_percent} %, approval {rule.approval_percent} %",
        "votes": f"{tally.yes} yes, {tally.no} no, {tally.abstain} abstain, of {tally.electorate}",
        "delegated": tally.delegated,
    }
    if view.treasury_nonce is not None:
        facts["nonce"] = view.treasury_nonce
    times: tuple[tuple[str, int | None], ...] = (
        ("closes", view.closes_ms),
        ("challenge until", view.challenge_ends_ms),
        ("execute until", view.executable_until_ms),
        ("executed", view.executed_ms),
    )
    facts |= {name: out.moment(at_ms) for name, at_ms in times if at_ms is not None}
    facts |= {
        name: said
        for name, said in (("decision", view.decision), ("entry", view.entry))
        if said is not None
    }
    if view.voided_by is not None:
        facts["void"] = f"the vote of {view.voided_by.member_id} was left out"
    said = view.model_dump(mode="json")
    out.show(said, as_json=as_json, human=lambda on: out.facts(on, facts))
    return exits.DONE
