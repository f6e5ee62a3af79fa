"""`opkit member`: who belongs to a coop, or to a node.

A coop decides on its members: a change is proposed by one of them. Members of no coop, and those of
a coop that has not decided on any yet, are the operator's to change.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from opkit.cli import exits, out
from opkit.cli.address import Address, Target, addressed
from opkit.cli.failing import Mistake

if TYPE_CHECKING:
    from opkit.client.governance import GovernanceCalls
    from opkit.proof.keys import Identity
    from opkit.wire.governance import ProposalView
    from opkit.wire.membership import Member

app = out.group(
    """Members. Of a coop, a member proposes the change; of no coop, the operator makes it.

    Examples:

      opkit member list

      opkit member add river-city-tool-library/ada --key DID --name Ada

      opkit member add ada --key DID --name Ada --role guest

      opkit member revoke ada
    """
)

MEMBER_ID = re.compile(r"^[a-z0-9-]{1,64}/[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?$")
DID = re.compile(r"^did:key:z6Mk[1-9A-HJ-NP-Za-km-z]{44}$")

MemberArgument = Annotated[
    str, typer.Argument(help="coop/member, or just a name: a member of no coop.")
]
ProposalOption = Annotated[
    str, typer.Option("--proposal", help="The proposal's id; default: one is made up.")
]
OperatorOption = Annotated[
    str | None,
    typer.Option("--operator", help="Sign as the operator: an identity's name or file."),
]


@app.command("list")
@addressed
def list_members(address: Address, as_json: out.Json = False) -> int:
    """List the members that a node knows.

    Example: opkit member list --node harbor-homes-cooperative
    """
    members = asyncio.run(_list(address.resolve()))
    said = {"members": [member.model_dump(mode="json") for member in members]}
    rows = [
        (
            member.member_id,
            member.name,
            member.title,
            " ".join(member.roles),
            "active" if member.active else "revoked",
        )
        for member in members
    ]
    headings = ("member", "name", "title", "roles", "state")
    out.show(said, as_json=as_json, human=lambda on: out.table(on, headings, rows))
    return exits.DONE


@app.command()
@addressed
def add(
    address: Address,
    member_id: MemberArgument,
    *,
    key: Annotated[str, typer.Option("--key", help="The member's DID.")],
    name: Annotated[str, typer.Option(help="Their name, for people.")],
    title: Annotated[str, typer.Option(help="What they do.")] = "member",
    role: Annotated[
        list[str] | None,
        typer.Option("--role", help="member (the default), officer, guest …; repeat it."),
    ] = None,
    operator: OperatorOption = None,
    proposal: ProposalOption = "",
    as_json: out.Json = False,
) -> int:
    """Add a member, give one other roles, or take one back in: a coop's by a proposal.

    Examples:
      opkit member add river-city-tool-library/ada --key DID --name Ada

      opkit member add ada --key DID --name Ada --role guest
    """
    member_id = _member_id(member_id)
    _check_key(key)
    if _is_proposed(address, member_id, operator):
        admitted = {"name": name, "title": title, "did": key, "roles": tuple(role or ("member",))}
        return _propose(address, member_id, "admit", admitted, proposal, as_json=as_json)
    facts = {"name": name, "title": title, "did": key, "roles": tuple(role or ("member",))}
    return _change(address, member_id, "add", facts, operator=operator, as_json=as_json)


@app.command()
@addressed
def revoke(
    address: Address,
    member_id: MemberArgument,
    operator: OperatorOption = None,
    proposal: ProposalOption = "",
    as_json: out.Json = False,
) -> int:
    """End a membership: tokens, open streams and queued tasks end with it; a coop's by a proposal.

    Examples:
      opkit member revoke ada

      opkit member revoke river-city-tool-library/ada
    """
    member_id = _member_id(member_id)
    if _is_proposed(address, member_id, operator):
        return _propose(address, member_id, "remove", {}, proposal, as_json=as_json)
    return _change(address, member_id, "revoke", {}, operator=operator, as_json=as_json)


@app.command()
@addressed
def rekey(
    address: Address,
    member_id: MemberArgument,
    *,
    key: Annotated[str, typer.Option("--key", help="The member's new DID.")],
    operator: OperatorOption = None,
    proposal: ProposalOption = "",
    as_json: out.Json = False,
) -> int:
    """Give a member another key, with all else as it was; a coop's by a proposal.

    Example: opkit member rekey river-city-tool-library/theo --key DID
    """
    member_id = _member_id(member_id)
    _check_key(key)
    if _is_proposed(address, member_id, operator):
        return _propose(address, member_id, "rekey", {"did": key}, proposal, as_json=as_json)
    return _change(address, member_id, "rekey", {"did": key}, operator=operator, as_json=as_json)


def _is_proposed(address: Address, member_id: str, operator: str | None) -> bool:
    """Return whether a change is put before the coop: unless it is of none, or the operator's."""
    return not member_id.startswith("-/") and operator is None and address.speaker != "operator"


def _propose(
    address: Address,
    member_id: str,
    action: Literal["admit", "remove", "rekey"],
    facts: dict[str, Any],
    proposal: str,
    *,
    as_json: bool,
) -> int:
    """Propose a change to the member's coop, and show the proposal."""
    from pydantic import ValidationError

    from opkit.cli.assemblies import call
    from opkit.proof.checks import ProofError
    from opkit.proof.proposals import check_effect
    from opkit.wire.votes import MembershipEffect

    coop, _, name = member_id.partition("/")
    try:
        effect = MembershipEffect(action=action, member_id=member_id, **facts)
        check_effect(effect, coop=coop)
    except ValidationError as bad:
        raise Mistake(f"that cannot be proposed: {bad.errors()[0]['msg']}") from bad
    except ProofError as bad:
        raise Mistake(f"that cannot be proposed: {bad.why}") from bad
    proposal_id = proposal or f"{action}-{name[:40]}-{time.time_ns() // 1_000_000}"
    title = f"{action.capitalize()} {facts.get('name') or name}"

    async def do(assembly: GovernanceCalls) -> ProposalView:
        return await assembly.propose(proposal_id, effect, title=title)

    view = call(address, coop, do, signs=True)
    said = {
        "proposal": view.proposal_id,
        "title": view.title,
        "state": view.state,
        "vote": f"opkit proposal vote {view.proposal_id} yes",
        "until": out.moment(view.closes_ms) if view.closes_ms is not None else "not open",
    }
    shown = view.model_dump(mode="json")
    out.show(shown, as_json=as_json, human=lambda on: out.facts(on, said))
    return exits.DONE


def _check_key(key: str) -> None:
    if not DID.match(key):
        raise Mistake(f"{key!r} is no did:key of an Ed25519 key", hint="opkit identity show NAME")


def _member_id(said: str) -> str:
    """Return the member id that is meant: a name without a coop is a member of none."""
    member_id = said if "/" in said else f"-/{said}"
    if not MEMBER_ID.match(member_id):
        raise Mistake(f"{said!r} is no member id", hint="coop/member, or a name: a-z, 0-9, -")
    return member_id


def _change(
    address: Address,
    member_id: str,
    action: Literal["add", "revoke", "rekey"],
    facts: dict[str, Any],
    *,
    operator: str | None,
    as_json: bool,
) -> int:
    from opkit.cli.identities import identity_file, open_identity

    target = address.resolve(default_speaker="operator")
    signer = target.operator if operator is None else open_identity(identity_file(operator))
    if signer is None:
        raise Mistake("only the network's operator changes members", hint="--operator NAME")
    member = asyncio.run(_post(target, signer, member_id, action, facts))
    said = member.model_dump(mode="json")
    out.show(said, as_json=as_json, human=lambda on: out.facts(on, said))
    return exits.DONE


async def _list(target: Target) -> list[Member]:
    from opkit.wire.membership import LIST_MEMBERS, ListMembers

    members: list[Member] = []
    after = ""
    async with target.client() as client:
        while True:
            page = await client.call(LIST_MEMBERS, ListMembers(after=after))
            members += page.members
            if not page.next_after:
                return members
            after = page.next_after


async def _post(
    target: Target,
    signer: Identity,
    member_id: str,
    action: Literal["add", "revoke", "rekey"],
    facts: dict[str, Any],
) -> Member:
    """Sign the next record of the member's chain and have the node take it."""
    from opkit.proof import jws
    from opkit.proof.membership import audience_of
    from opkit.wire.membership import (
        CHANGE_MEMBER,
        MEMBER_TYP,
        ChangeMember,
        MemberMissing,
        MemberRecord,
    )

    standing = {member.member_id: member for member in await _list(target)}.get(member_id)
    if action != "add":
        if standing is None:
            raise MemberMissing(member_id=member_id)
        facts = standing.model_dump(include={"name", "title", "did", "roles"}) | facts
    record = MemberRecord(
        network=target.network,
        aud=audience_of(member_id),
        action="revoke" if action == "revoke" else "add",
        member_id=member_id,
        sequence=(standing.sequence if standing else 0) + 1,
        issued_at_ms=time.time_ns() // 1_000_000,
        **facts,
    )
    signed = jws.sign(record, typ=MEMBER_TYP, identity=signer)
    async with target.client() as client:
        return await client.call(
            CHANGE_MEMBER, ChangeMember(record=signed), idempotency_key=secrets.token_hex(16)
        )
