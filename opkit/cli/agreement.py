"""`opkit agreement`: have one's coop make an agreement with others, read it, verify it, end it."""

from __future__ import annotations

import asyncio
import json
import tomllib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from opkit.cli import anchors, exits, out
from opkit.cli.address import Address, addressed
from opkit.cli.assemblies import ProposalArgument
from opkit.cli.failing import Mistake, reason_of
from opkit.cli.ledgers import day_ms

if TYPE_CHECKING:
    from opkit.client import NodeClient
    from opkit.proof.agreement import AgreementFacts
    from opkit.wire.agreements import AgreementFile, AgreementView
    from opkit.wire.governance import ProposalView
    from opkit.wire.terms import Terms

T = TypeVar("T")

LISTED_MAX = 10_000
TERMS_BYTES_MAX = 65_536

app = out.group(
    """Agreements between coops: proposed, signed, shown, verified and ended.

    A coop makes an agreement by a vote, and its home node signs it when that is executed. It is in
    force once every party has signed, on the nodes of all, byte for byte the same.

    Examples:

      opkit agreement propose terms.toml

      opkit agreement sign adopt-1f0c6b2d3e4f5a6b

      opkit agreement show 1f0c6b --out agreement.json

      opkit agreement verify agreement.json
    """
)

AgreementArgument = Annotated[
    str, typer.Argument(help="The agreement's id, or how it begins (6 digits or more).")
]
ProposalId = Annotated[
    str, typer.Option("--id", help="The proposal's id; made of the agreement's unless said.")
]


@app.command()
@addressed
def propose(
    address: Address,
    file: Annotated[
        Path | None, typer.Argument(help="The terms, as TOML or JSON: see the runbook.")
    ] = None,
    *,
    adopt: Annotated[
        str, typer.Option(help="An agreement that the node keeps: adopt its terms.")
    ] = "",
    proposal: ProposalId = "",
    as_json: out.Json = False,
) -> int:
    """Have one's coop vote on making an agreement, on new terms or on those of another party.

    Every party votes on exactly the same terms: the first one on a file, the others on its id.

    Examples:
      opkit agreement propose terms.toml

      opkit agreement propose --adopt 1f0c6b --as hugo
    """
    if (file is None) == (not adopt):
        raise Mistake("either a file of terms, or --adopt ID", code=exits.USAGE)

    async def work(client: NodeClient) -> ProposalView:
        if file is None:
            terms = (await _find(client, adopt)).terms
        else:
            terms = read_terms_file(file, network=client.network)
        return await client.agreements.propose(await _coop(client), terms, proposal_id=proposal)

    return _proposed(_call(address, work, signs=True), as_json=as_json)


@app.command()
@addressed
def sign(address: Address, proposal: ProposalArgument, as_json: out.Json = False) -> int:
    """Have the home node sign what the coop decided, once the challenge window is over.

    Example: opkit agreement sign adopt-1f0c6b2d3e4f5a6b
    """

    async def work(client: NodeClient) -> AgreementView:
        return await client.agreements.sign(await _coop(client), proposal)

    return _show(_call(address, work), as_json=as_json)


@app.command()
@addressed
def show(
    address: Address,
    agreement: AgreementArgument,
    to: Annotated[
        Path | None, typer.Option("--out", help="Where its file is written, to be verified.")
    ] = None,
    as_json: out.Json = False,
) -> int:
    """Show an agreement: what was agreed, who has signed, and how it stands now.

    Examples:
      opkit agreement show 1f0c6b

      opkit agreement show 1f0c6b --out agreement.json
    """

    async def work(client: NodeClient) -> AgreementView:
        view = await _find(client, agreement)
        if to is not None:
            to.write_bytes(await client.agreements.fetch(view.agreement))
        return view

    return _show(_call(address, work), as_json=as_json)


@app.command("list")
@addressed
def list_agreements(
    address: Address,
    state: Annotated[str, typer.Option(help="Only those that are proposed, active, …")] = "",
    party: Annotated[str, typer.Option(help="Only those that this coop makes.")] = "",
    listed_max: Annotated[int, typer.Option("--max", min=1, max=LISTED_MAX, help="How many.")] = 50,
    as_json: out.Json = False,
) -> int:
    """List the agreements that a node keeps, newest first.

    Example: opkit agreement list --state active
    """
    wanted = _state(state)

    async def work(client: NodeClient) -> list[AgreementView]:
        found: list[AgreementView] = []
        async for each in client.agreements.list(state=wanted, party=party):
            found.append(each)
            if len(found) == listed_max:
                break
        return found

    views = _call(address, work)
    rows = [
        (each.agreement[:16], each.state, ", ".join(each.terms.parties), each.terms.title)
        for each in views
    ]
    headings = ("agreement", "state", "parties", "title")
    out.show(
        {"agreements": [each.model_dump(mode="json") for each in views]},
        as_json=as_json,
        human=lambda on: out.table(on, headings, rows, none="there are none"),
    )
    return exits.DONE


@app.command()
@addressed
def end(
    address: Address,
    agreement: AgreementArgument,
    proposal: ProposalId = "",
    as_json: out.Json = False,
) -> int:
    """Have one's coop vote on giving notice; once signed, the agreement ends after its days.

    Example: opkit agreement end 1f0c6b
    """

    async def work(client: NodeClient) -> ProposalView:
        found = await _find(client, agreement)
        return await client.agreements.propose_end(
            await _coop(client), found.agreement, proposal_id=proposal
        )

    return _proposed(_call(address, work, signs=True), as_json=as_json)


@app.command()
@addressed
def bring(
    address: Address,
    file: Annotated[Path, typer.Argument(help="An agreement, as `show --out` wrote it.")],
    as_json: out.Json = False,
) -> int:
    """Hand a node an agreement that it keeps, with signatures that have not reached it.

    Example: opkit agreement bring agreement.json --node fingerlakes-cdn
    """
    data = _bytes(file)

    async def work(client: NodeClient) -> AgreementView:
        return await client.agreements.bring(data)

    return _show(_call(address, work), as_json=as_json)


@app.command()
def verify(
    file: Annotated[Path, typer.Argument(help="An agreement, as `show --out` wrote it.")],
    genesis: anchors.GenesisOption = None,
    verbose: anchors.Verbose = False,
    as_json: out.Json = False,
) -> int:
    """Check an agreement offline: the terms' hash, and each party's signature with its decision.

    It fails unless every party has signed. That it was not amended or ended since, by something
    that is not in the file, only nodes can say. Exit code 4 if no genesis says whose it is.

    Examples:
      opkit agreement verify agreement.json

      opkit agreement verify agreement.json --genesis network.jws
    """
    from opkit.proof.agreement import examine_agreement

    read = _read(file)
    view = anchors.anchor(genesis, network=read.terms.network)
    verdict, facts = examine_agreement(read, genesis=view)
    about = _about(facts) if verdict.ok and facts is not None else {}
    return anchors.answer(
        verdict,
        as_json=as_json,
        verbose=verbose,
        about=about,
        group_of=lambda check: check.name.partition(":")[0] if ":" in check.name else "terms",
    )


def read_terms_file(file: Path, *, network: str) -> Terms:
    """Return the terms that somebody wrote down: TOML, or JSON if it is called so.

    What may be left out: `network`, which is the node's; `starts_ms`, if `starts_on` names a day.
    Parties are put in order.

    Raises:
        Mistake: they are none, or could not be kept.
    """
    from opkit.proof.checks import ProofError
    from opkit.proof.terms import check_terms
    from opkit.wire.terms import Terms

    data = _bytes(file, most=TERMS_BYTES_MAX)
    try:
        text = data.decode()
        said: Any = json.loads(text) if file.suffix == ".json" else tomllib.loads(text)
    except ValueError as bad:  # Of either notation, and of UTF-8.
        raise Mistake(f"{file}: {bad}") from bad
    if not isinstance(said, dict):
        raise Mistake(f"{file}: these are no terms")
    filled = {"network": network, "facilitator": None, **said}
    if "starts_on" in filled:
        filled["starts_ms"] = day_ms(str(filled.pop("starts_on")))
    if isinstance(filled.get("parties"), list):
        filled["parties"] = sorted(map(str, filled["parties"]))
    try:
        terms = Terms.model_validate_json(json.dumps(filled))
        check_terms(terms)
    except ProofError as bad:
        raise Mistake(f"{file}: {bad.why}") from bad
    except (ValueError, TypeError) as bad:
        raise Mistake(f"{file}: {reason_of(bad)}", hint="the runbook shows terms") from bad
    return terms


def _call(
    address: Address,
    work: Callable[[NodeClient], Awaitable[T]],
    *,
    signs: bool = False,
) -> T:
    """Return what `work` makes of a node.

    Args:
        signs: whether the speaker signs something, for which a token is not enough.
    """
    target = address.resolve()
    if signs and target.identity is None:
        raise Mistake("what is signed needs the member's key", hint="--as NAME, not a token")

    async def run() -> T:
        async with target.client() as client:
            client.genesis = anchors.anchor(address.genesis, network=target.network)
            return await work(client)

    return asyncio.run(run())


async def _coop(client: NodeClient) -> str:
    """Return the speaker's own coop."""
    coop = (await client.member_id()).partition("/")[0]
    if coop == "-":
        raise Mistake("who speaks is of no coop", hint="--as NAME of a coop's member")
    return coop


async def _find(client: NodeClient, agreement: str) -> AgreementView:
    """Return an agreement by its id, or by how that begins if nothing else begins so."""
    if len(agreement) == 64:
        return await client.agreements.get(agreement)
    if len(agreement) < 6:
        raise Mistake(f"{agreement!r} is too short", hint="6 digits of the id, or more")
    found = [
        each async for each in client.agreements.list() if each.agreement.startswith(agreement)
    ]
    if len(found) == 1:
        return found[0]
    if not found:
        return await client.agreements.get(agreement)
    raise Mistake(f"{len(found)} agreements begin with {agreement}", hint="say more of the id")


def _state(said: str) -> Any:
    from typing import get_args

    from opkit.wire.agreements import AgreementState

    if said and said not in get_args(AgreementState):
        raise Mistake(f"{said!r} is no state", hint=", ".join(get_args(AgreementState)))
    return said or None


def _bytes(file: Path, *, most: int = 0) -> bytes:
    from opkit.wire.agreements import AGREEMENT_FILE_BYTES_MAX

    limit = most or AGREEMENT_FILE_BYTES_MAX
    if file.stat().st_size > limit:
        raise Mistake(f"{file} has more than {limit} bytes")
    return file.read_bytes()


def _read(file: Path) -> AgreementFile:
    from opkit.proof.agreement import read_agreement_file
    from opkit.proof.checks import ProofError

    try:
        return read_agreement_file(_bytes(file))
    except ProofError as bad:
        raise Mistake(
            f"{file}: {bad.why}", hint="`opkit agreement show ID --out FILE` writes one"
        ) from bad


def _proposed(view: ProposalView, *, as_json: bool) -> int:
    """Show what a coop is to vote on, and what comes after that."""
    from opkit.wire.terms import AgreementEffect

    effect = view.effect
    assert isinstance(effect, AgreementEffect), "it was asked for"
    facts: dict[str, object] = {
        "agreement": effect.agreement,
        "action": effect.action,
        "proposal": view.proposal_id,
        "state": view.state,
        "next": f"opkit proposal vote {view.proposal_id} yes",
    }
    said = {**view.model_dump(mode="json"), "agreement": effect.agreement}
    out.show(said, as_json=as_json, human=lambda on: out.facts(on, facts))
    return exits.DONE


def _show(view: AgreementView, *, as_json: bool) -> int:
    """Show an agreement, and return that all went well."""
    terms = view.terms
    facts: dict[str, object] = {
        "agreement": view.agreement,
        "title": terms.title,
        "state": view.state,
        "parties": ", ".join(terms.parties),
        "facilitator": terms.facilitator or "none",
        "arbiter": terms.arbiter,
        **_of_terms(terms),
    }
    words = {"adopt": "signed by", "end": "notice by"}
    for each in view.signatures:
        when = out.moment(each.signed_at_ms)
        facts[f"{words[each.action]} {each.coop}"] = f"{when}, decision {each.decision}"
    if view.unsigned:
        facts["not signed by"] = ", ".join(view.unsigned)
    times = (("since", view.since_ms), ("until", view.until_ms))
    facts |= {name: out.moment(at_ms) for name, at_ms in times if at_ms is not None}
    if terms.amends is not None:
        facts["amends"] = terms.amends
    if view.superseded_by is not None:
        facts["superseded by"] = view.superseded_by
    facts["file"] = view.file_hash
    said = view.model_dump(mode="json")
    out.show(said, as_json=as_json, human=lambda on: out.facts(on, facts))
    return exits.DONE


def _of_terms(terms: Terms) -> dict[str, object]:
    """Return what was agreed, a line each."""
    renewal = "renewed of itself" if terms.renewable else "once"
    facts: dict[str, object] = {
        f"provision {number}": f"{each.by} → {each.to}: {_amount(each)}{each.what}"
        + (f" per {each.per}" if each.per else "")
        for number, each in enumerate(terms.provisions, 1)
    }
    facts["term"] = f"{terms.term_days} days, {renewal}; notice {terms.notice_days} days"
    if terms.clearing is not None:
        clearing = terms.clearing
        facts["clearing"] = (
            f"{clearing.unit}, at most {clearing.imbalance_max} owed, settled {clearing.settled}"
        )
    return facts


def _amount(provision: Any) -> str:
    return "" if provision.quantity is None else f"{provision.quantity} "


def _about(facts: AgreementFacts) -> dict[str, object]:
    """Return what a file says, for people."""
    signed = {
        f"{each.aud} {each.action}": f"{out.moment(each.signed_at_ms)}, decision {each.decision}"
        for each in facts.signatures
    }
    return {
        "title": facts.terms.title,
        "agreement": facts.agreement,
        "parties": ", ".join(facts.terms.parties),
        **signed,
    }
