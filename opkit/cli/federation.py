"""`opkit federation`: which coops belong to it, who vouched for whom, and what they attest."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from opkit.cli import exits, out
from opkit.cli.address import Address, addressed
from opkit.cli.anchors import anchor
from opkit.cli.failing import Mistake

if TYPE_CHECKING:
    from opkit.client import NodeClient
    from opkit.client.federation import FederationCalls
    from opkit.wire.federation import (
        AttestationView,
        FederationMember,
        FederationMembers,
        ForksShown,
        LogLine,
        SharedObject,
        VouchTaken,
    )
    from opkit.wire.operations import Act

T = TypeVar("T")

DAY_MS = 86_400_000
SHOWN_MAX = 10_000

app = out.group(
    """The federation: coops that belong together, though none leads.

    What a coop says in it, its home node signs, and every node hears of it and keeps it. What nodes
    answer is verified here.

    Examples:

      opkit federation members

      opkit federation attest brightworks-cooperative insured "Insured until May."
    """
)

Subject = Annotated[str, typer.Argument(help="The coop that it is about.")]
Type = Annotated[str, typer.Argument(help="What sort of thing, such as `insured`: a-z, 0-9, -.")]


@app.command()
@addressed
def members(address: Address, as_json: out.Json = False) -> int:
    """List who belongs to the federation, who vouched for whom, and its state on this node.

    Examples:
      opkit federation members

      opkit federation members --node harbor-homes-cooperative --json
    """
    found = _call(address, lambda federation, _: federation.members())
    out.show(found.model_dump(mode="json"), as_json=as_json, human=lambda on: _show_all(on, found))
    return exits.DONE


@app.command()
@addressed
def register(
    address: Address,
    title: Annotated[str, typer.Option(help="As it is to be shown; else as the charter.")] = "",
    coop: Annotated[str, typer.Option(help="Its id, at a node of no coop.")] = "",
    proposal: Annotated[str, typer.Option(help="The accepted proposal that is cited.")] = "",
    as_json: out.Json = False,
) -> int:
    """Say to all that the node's coop belongs to the federation; the node signs it.

    Example: opkit federation register --title "River City Tool Library"
    """

    async def do(federation: FederationCalls, _: NodeClient) -> FederationMember:
        return await federation.register(coop=coop or None, title=title, proposal=proposal)

    said = _call(address, do)
    facts = {
        "coop": said.coop,
        "title": said.title,
        "node": said.did,
        "member": said.standing,
    }
    out.show(said.model_dump(mode="json"), as_json=as_json, human=lambda on: out.facts(on, facts))
    return exits.DONE


@app.command()
@addressed
def vouch(
    address: Address,
    node: Annotated[str, typer.Argument(help="Whose: a DID, or an organisation of the genesis.")],
    expel: Annotated[
        bool, typer.Option("--expel", help="Say that it is to be a member no more.")
    ] = False,
    as_json: out.Json = False,
) -> int:
    """Say that a node is to be a member; two members have to. Who was expelled never comes back.

    Examples:
      opkit federation vouch DID

      opkit federation vouch DID --as hugo

      opkit federation vouch DID --expel --as hugo
    """

    async def do(federation: FederationCalls, client: NodeClient) -> VouchTaken:
        return await federation.vouch(_node(client, node), expel=expel)

    said = _call(address, do)
    facts = {
        "node": said.did,
        "member": said.standing,
        "voices": f"{said.voices} of {said.voices_min}",
        "operation": said.operation,
    }
    out.show(said.model_dump(mode="json"), as_json=as_json, human=lambda on: out.facts(on, facts))
    return exits.DONE


@app.command()
@addressed
def attest(
    address: Address,
    subject: Subject,
    type_: Type,
    statement: Annotated[str, typer.Argument(help="What is attested, for people.")],
    days: Annotated[int, typer.Option(min=1, max=400, help="For how many days, from now on.")] = 90,
    evidence: Annotated[str, typer.Option(help="Hash of what it rests on.")] = "",
    as_json: out.Json = False,
) -> int:
    """Attest something of another coop; saying it again replaces it.

    Example: opkit federation attest brightworks-cooperative insured "Insured until May."
    """

    async def do(federation: FederationCalls, _: NodeClient) -> AttestationView:
        return await federation.attest(
            _slug(subject),
            _slug(type_),
            statement,
            valid_ms=days * DAY_MS,
            evidence=_hash(evidence),
        )

    return _show_one(_call(address, do), as_json=as_json)


@app.command()
@addressed
def revoke(address: Address, subject: Subject, type_: Type, as_json: out.Json = False) -> int:
    """Take back what the speaker's coop attested.

    Example: opkit federation revoke brightworks-cooperative insured
    """

    async def do(federation: FederationCalls, _: NodeClient) -> AttestationView:
        return await federation.revoke(_slug(subject), _slug(type_))

    return _show_one(_call(address, do), as_json=as_json)


@app.command()
@addressed
def attestations(
    address: Address,
    issuer: Annotated[str, typer.Option(help="Only by this coop.")] = "",
    subject: Annotated[str, typer.Option(help="Only about this coop.")] = "",
    type_: Annotated[str, typer.Option("--type", help="Only of this sort.")] = "",
    valid: Annotated[bool, typer.Option("--valid", help="Only what holds now.")] = False,
    as_json: out.Json = False,
) -> int:
    """List what coops attest each other.

    Examples:
      opkit federation attestations

      opkit federation attestations --subject brightworks-cooperative --valid
    """

    async def read(federation: FederationCalls, _: NodeClient) -> list[AttestationView]:
        found = federation.attestations(issuer=issuer, subject=subject, type_=type_, valid=valid)
        return [each async for each in found]

    found = _call(address, read)
    rows = [
        (
            each.issuer or out.shorten(each.issuer_did),
            each.subject,
            each.type,
            each.state,
            out.plain(each.statement),
            _until(each),
        )
        for each in found
    ]
    headings = ("by", "about", "what", "state", "statement", "until")
    out.show(
        {"attestations": [each.model_dump(mode="json") for each in found]},
        as_json=as_json,
        human=lambda on: out.table(on, headings, rows, none="nothing is attested"),
    )
    return exits.DONE


@app.command()
@addressed
def forks(address: Address, as_json: out.Json = False) -> int:
    """List who is proven to have signed two histories. Exit code 1 if anybody is.

    Example: opkit federation forks
    """
    found: ForksShown = _call(address, lambda federation, _: federation.forks())
    rows = [(each.object_id, each.coop or "", each.did) for each in found.forks]
    out.show(
        found.model_dump(mode="json"),
        as_json=as_json,
        human=lambda on: out.table(
            on, ("object", "coop", "node"), rows, none="nobody signed two histories, as heard here"
        ),
    )
    return exits.FAILED if found.forks else exits.DONE


@app.command()
@addressed
def log(
    address: Address,
    object_id: Annotated[str, typer.Option("--object", help="Which shared object.")] = "federation",
    shown_max: Annotated[int, typer.Option("--max", min=1, max=SHOWN_MAX, help="How many.")] = 200,
    as_json: out.Json = False,
) -> int:
    """List the signed operations on a shared object, in the order in which the node took them.

    Examples:
      opkit federation log

      opkit federation log --max 10 --json
    """

    async def read(federation: FederationCalls, _: NodeClient) -> list[LogLine]:
        found: list[LogLine] = []
        async for line in federation.log(object_id):
            found.append(line)
            if len(found) == shown_max:
                break
        return found

    lines = _call(address, read)
    rows = [
        (
            str(each.number),
            out.moment(each.time_ms),
            each.coop or out.shorten(each.did),
            _what(each.act),
            out.shorten(each.operation),
        )
        for each in lines
    ]
    headings = ("number", "signed", "by", "what", "operation")
    out.show(
        {"operations": [each.model_dump(mode="json") for each in lines]},
        as_json=as_json,
        human=lambda on: out.table(on, headings, rows, none="nothing was said yet"),
    )
    return exits.DONE


@app.command()
@addressed
def objects(address: Address, as_json: out.Json = False) -> int:
    """List the shared objects that the node keeps: equal states say equal replicas.

    Example: opkit federation objects --node brightworks-cooperative
    """

    async def read(federation: FederationCalls, _: NodeClient) -> list[SharedObject]:
        return [each async for each in federation.objects()]

    found = _call(address, read)
    rows = [
        (each.object_id, str(len(each.authors)), str(each.operations), str(each.forks), each.state)
        for each in found
    ]
    headings = ("object", "authors", "operations", "forks", "state")
    out.show(
        {"objects": [each.model_dump(mode="json") for each in found]},
        as_json=as_json,
        human=lambda on: out.table(on, headings, rows, none="nothing is shared here"),
    )
    return exits.DONE


def _call(address: Address, work: Callable[[FederationCalls, NodeClient], Awaitable[T]]) -> T:
    """Return what `work` makes of the federation, verified by the genesis that is kept here."""
    target = address.resolve()

    async def run() -> T:
        async with target.client() as client:
            client.genesis = anchor(address.genesis, network=target.network)
            return await work(client.federation, client)

    return asyncio.run(run())


def _node(client: NodeClient, said: str) -> str:
    """Return the DID that is meant. Raises `Mistake` if it is none."""
    from opkit.proof.checks import ProofError
    from opkit.proof.did import public_key_of

    named = None if client.genesis is None else client.genesis.node_of(said)
    if named is not None:
        return named.did
    try:
        public_key_of(said)
    except ProofError as bad:
        raise Mistake(
            f"{said!r} is no did:key, and no organisation of the genesis",
            hint="opkit federation members shows whose nodes there are",
        ) from bad
    return said


def _slug(said: str) -> str:
    """Return a coop's id or a type. Raises `Mistake` if it is none."""
    return _as(said, "Slug", "is no id: small letters, digits and hyphens")


def _hash(said: str) -> str | None:
    return _as(said, "RecordId", "is no hash") if said else None


def _as(said: str, kind: str, why: str) -> str:
    from pydantic import TypeAdapter, ValidationError

    from opkit.wire import base

    reads: TypeAdapter[str] = TypeAdapter(getattr(base, kind))
    try:
        return reads.validate_python(said)
    except ValidationError as bad:
        raise Mistake(f"{said!r} {why}") from bad


def _show_one(said: AttestationView, *, as_json: bool) -> int:
    facts = {
        "by": said.issuer,
        "about": said.subject,
        "what": said.type,
        "state": said.state,
        "statement": out.plain(said.statement),
        "until": _until(said),
        "operation": said.operation,
    }
    out.show(said.model_dump(mode="json"), as_json=as_json, human=lambda on: out.facts(on, facts))
    return exits.DONE


def _until(said: AttestationView) -> str:
    return "" if said.valid_until_ms is None else out.moment(said.valid_until_ms)


def _show_all(on: Any, found: FederationMembers) -> None:
    names = {each.did: each.coop or out.shorten(each.did) for each in found.members}
    rows = [
        (
            each.coop or "",
            out.plain(each.title),
            _standing(each, found.vouches_min),
            ", ".join(names.get(did, out.shorten(did)) for did in each.vouched_by),
            "" if each.registered_at_ms is None else out.moment(each.registered_at_ms),
            each.did,
        )
        for each in found.members
    ]
    headings = ("coop", "title", "stands", "vouched for by", "registered", "node")
    out.table(on, headings, rows, none="the network has no coops")
    on.print(f"{found.operations} operations · state {found.state}", markup=False)
    if found.expelled:
        on.print(f"expelled: {', '.join(found.expelled)}", markup=False)


def _standing(member: FederationMember, voices_min: int) -> str:
    if member.founder:
        return "founder" if member.standing else "founder, no more"
    if member.standing:
        return "member"
    return f"{len(member.vouched_by)} of {voices_min} vouches"


def _what(act: Act) -> str:
    from opkit.wire.operations import AddAct, AdmitAct, ExpelAct, SetAct

    if isinstance(act, AdmitAct):
        return f"vouches for {out.shorten(act.did)}"
    if isinstance(act, ExpelAct):
        return f"expels {out.shorten(act.did)}"
    if isinstance(act, SetAct):
        where = "/".join(out.shorten(part) for part in act.key.split("/"))
        return f"{'takes back' if act.value is None else 'says'} {out.plain(where)}"
    if isinstance(act, AddAct):
        return f"adds {len(act.element)} characters"
    return act.kind
