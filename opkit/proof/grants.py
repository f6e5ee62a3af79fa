"""Grants, and tasks under them: whose word a manifest is that a node signed in a member's name.

A granted manifest carries its grant, so this needs nothing beside it but the member's chain. The
same checks are made by the node itself, by each executor, and by whoever verifies a receipt.
Source: ADR 0037.
"""

from __future__ import annotations

from dataclasses import dataclass

from opkit.proof import jws
from opkit.proof.canonical import sha256_hex
from opkit.proof.checks import Check, ProofError, equal
from opkit.wire.base import Did, Jws, NetworkId, RecordId
from opkit.wire.compute import TASK_TYP, Manifest, TaskId
from opkit.wire.grants import GRANT_TYP, GRANTED_TASK_TYP, Grant, GrantedManifest
from opkit.wire.membership import Member

_TASK_ID_DIGITS = 32


@dataclass(frozen=True, kw_only=True)
class ReadManifest:
    """A manifest whose signatures hold, and the grant under which it stands, if under any.

    `key` is the member's: what signed the manifest itself, or else the grant.
    """

    manifest: Manifest
    key: Did
    grant: Grant | None = None


def task_id_of(grant_id: RecordId, place: int) -> TaskId:
    """Return the id that the task at this place under this grant has, and no other.

    So two manifests for one place are two for one task, and an executor takes the first alone.
    """
    return sha256_hex(f"opkit-granted-task\0{grant_id}\0{place}".encode())[:_TASK_ID_DIGITS]


def read_grant(token: Jws, *, network: NetworkId, key: Did | None = None) -> Grant:
    """Return a grant that the key it names has signed.

    Args:
        network: which it must belong to.
        key: whose it must be; None takes the key that it names, and whose that is, is for the
            caller to find out.

    Raises:
        ProofError: signature, type, network or shape; it lapses before it was issued.
    """
    issuer = str(jws.peek(token).payload.get("did")) if key is None else key
    grant = jws.verify(token, typ=GRANT_TYP, issuer=issuer, network=network, of=Grant)
    if grant.did != issuer:
        raise ProofError("the grant names another key than the one that signed it")
    if grant.lapses_at_ms <= grant.issued_at_ms:
        raise ProofError("the grant lapses before it was issued")
    return grant


def verify_grant(token: Jws, *, network: NetworkId, member: Member) -> Grant:
    """Return a grant that this member gave with their current key.

    Raises:
        ProofError: the member is not active; it is no grant of theirs by that key (`read_grant`).
    """
    if not member.active:
        raise ProofError(f"{member.member_id} is no active member")
    grant = read_grant(token, network=network, key=member.did)
    if grant.member_id != member.member_id:
        raise ProofError(f"{member.member_id} signed a grant of {grant.member_id}")
    return grant


def read_manifest(token: Jws, *, network: NetworkId, key: Did | None = None) -> ReadManifest:
    """Return a manifest whose signatures hold, a member's own or one under their grant.

    Whether the grant covers the task is said by `grant_checks`.

    Args:
        network: which it must belong to.
        key: the member's; None takes the key that it names, and whose that is, is for the caller
            to find out.

    Raises:
        ProofError: signature, type, network or shape of the manifest, or of its grant.
    """
    claimed = jws.peek(token)
    if claimed.typ != GRANTED_TASK_TYP:
        issuer = claimed.kid if key is None else key
        manifest = jws.verify(token, typ=TASK_TYP, issuer=issuer, network=network, of=Manifest)
        return ReadManifest(manifest=manifest, key=issuer)
    grant = read_grant(str(claimed.payload.get("grant")), network=network, key=key)
    granted = jws.verify(
        token, typ=GRANTED_TASK_TYP, issuer=grant.aud, network=network, of=GrantedManifest
    )
    return ReadManifest(manifest=granted, key=grant.did, grant=grant)


def claimed_manifest(token: Jws) -> Manifest:
    """Return what a manifest claims, UNVERIFIED, or verified when it was taken.

    Raises:
        ProofError: it is no token.
        pydantic.ValidationError: what it holds is not of a manifest's shape.
    """
    claimed = jws.peek(token)
    of = GrantedManifest if claimed.typ == GRANTED_TASK_TYP else Manifest
    return of.model_validate(claimed.payload)


def grant_checks(read: ReadManifest) -> list[Check]:
    """Return the checks that a grant covers the task that stands under it; none without a grant."""
    manifest, grant = read.manifest, read.grant
    if grant is None:
        return []
    assert isinstance(manifest, GrantedManifest), "what was read with a grant carries one"
    identity = task_id_of(jws.record_id(manifest.grant), manifest.place)
    return [
        equal("grant-member", expected=grant.member_id, actual=manifest.member_id),
        equal("grant-module", expected=grant.module or "any", actual=_module(grant, manifest)),
        _at_most("grant-fuel", asked=manifest.limits.fuel, limit=grant.fuel_max),
        _at_most("grant-tasks", asked=manifest.place, limit=grant.tasks_max),
        equal("grant-task-id", expected=identity, actual=manifest.task_id),
        _at_most("grant-begun", asked=grant.issued_at_ms, limit=manifest.issued_at_ms),
        _at_most("grant-term", asked=manifest.expires_at_ms, limit=grant.lapses_at_ms),
    ]


def _module(grant: Grant, manifest: Manifest) -> str:
    return "any" if grant.module is None else manifest.wasm_hash


def _at_most(name: str, *, asked: int, limit: int) -> Check:
    return Check(name=name, ok=asked <= limit, expected=f"at most {limit}", actual=str(asked))
