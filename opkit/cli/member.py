"""`opkit member`: who belongs to a node's network. Changes are signed by the operator."""

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
    from opkit.proof.keys import Identity
    from opkit.wire.membership import Member

app = out.group(
    """Members of a node. Until decisions do it, the network's operator adds and revokes.

    Examples:

      opkit member list

      opkit member add ada --key DID --name Ada --role guest

      opkit member revoke ada
    """
)

MEMBER_ID = re.compile(r"^[a-z0-9-]{1,64}/[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?$")
DID = re.compile(r"^did:key:z6Mk[1-9A-HJ-NP-Za-km-z]{44}$")

MemberArgument = Annotated[
    str, typer.Argument(help="coop/member, or just a name: a member of no coop.")
]
OperatorOption = Annotated[
    str | None,
    typer.Option("--operator", help="Another node: the operator's identity, a name or a file."),
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
        typer.Option("--role", help="member (the default), guest or operator; repeat it."),
    ] = None,
    operator: OperatorOption = None,
    as_json: out.Json = False,
) -> int:
    """Add a member, give one a new key or other roles, or take one back in.

    Example: opkit member add ada --key DID --name Ada --role guest
    """
    member_id = _member_id(member_id)
    if not DID.match(key):
        raise Mistake(f"{key!r} is no did:key of an Ed25519 key", hint="opkit identity show NAME")
    facts = {"name": name, "title": title, "did": key, "roles": tuple(role or ("member",))}
    return _change(address, member_id, "add", facts, operator=operator, as_json=as_json)


@app.command()
@addressed
def revoke(
    address: Address,
    member_id: MemberArgument,
    operator: OperatorOption = None,
    as_json: out.Json = False,
) -> int:
    """End a membership on a node: tokens, open streams and queued tasks end with it.

    Example: opkit member revoke ada
    """
    member_id = _member_id(member_id)
    return _change(address, member_id, "revoke", {}, operator=operator, as_json=as_json)


def _member_id(said: str) -> str:
    """Return the member id that is meant: a name without a coop is a member of none."""
    member_id = said if "/" in said else f"-/{said}"
    if not MEMBER_ID.match(member_id):
        raise Mistake(f"{said!r} is no member id", hint="coop/member, or a name: a-z, 0-9, -")
    return member_id


def _change(
    address: Address,
    member_id: str,
    action: Literal["add", "revoke"],
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
    action: Literal["add", "revoke"],
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
    if action == "revoke":
        if standing is None:
            raise MemberMissing(member_id=member_id)
        facts = standing.model_dump(include={"name", "title", "did", "roles"})
    record = MemberRecord(
        network=target.network,
        aud=audience_of(member_id),
        action=action,
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
