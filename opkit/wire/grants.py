"""Grants: a member lets one node submit tasks in their name, within bounds that everybody checks.

Who calls a node by a protocol that knows no member's key has the node sign the manifest. It may do
so only under a grant that the member signed, and the manifest carries that grant in itself: whoever
is offered it, and whoever checks its receipt at any later time, needs no more. Source: ADR 0037.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints

from opkit.wire.base import (
    Cid,
    CidText,
    Count,
    Did,
    Jws,
    MemberId,
    NetworkId,
    RecordId,
    TimeMs,
    Wire,
)
from opkit.wire.compute import Manifest
from opkit.wire.endpoint import Endpoint, Scope
from opkit.wire.errors import Conflict, Denied, Exhausted, Invalid, Lapsed, Missing
from opkit.wire.events import Event

GRANT_TYP = "opkit-grant+jws"

GRANTED_TASK_TYP = "opkit-granted-task+jws"

GRANT_TERM_MS_MAX = 30 * 86_400_000
"""The longest time that a grant may be good for: thirty days."""

TASKS_PER_GRANT_MAX = 1_000_000

FUEL_PER_TASK_MAX = 100_000_000_000
"""As much as a task's limits can say."""


class Grant(Wire):
    """What a member lets a node do in their name (the payload of a JWS of type `opkit-grant+jws`).

    What it may cost is bounded by `fuel_max` times `tasks_max`, whatever the node does.

    Attributes:
        aud: the node that may use it, and no other.
        did: the member's key, which signed it.
        module: the only module that may be run; None allows any.
        fuel_max: the most fuel that one task may be given.
        tasks_max: how many tasks may be submitted under it.
    """

    network: NetworkId
    aud: Did
    member_id: MemberId
    did: Did
    module: Cid | None = None
    fuel_max: Annotated[int, Field(ge=1, le=FUEL_PER_TASK_MAX)]
    tasks_max: Annotated[int, Field(ge=1, le=TASKS_PER_GRANT_MAX)]
    issued_at_ms: TimeMs
    lapses_at_ms: TimeMs


class GrantedManifest(Manifest):
    """A task that a node signed under a grant (a JWS of type `opkit-granted-task+jws`).

    `place` counts the tasks of the grant from 1, and its task id is made of grant and place: so an
    executor runs each place once, and no place beyond `tasks_max` is any good.
    """

    place: Annotated[int, Field(ge=1, le=TASKS_PER_GRANT_MAX)]
    grant: Jws


class GrantState(StrEnum):
    """Whether a node may still use a grant. Only `STANDING` can change."""

    STANDING = "standing"
    USED_UP = "used-up"
    LAPSED = "lapsed"
    REVOKED = "revoked"


class GrantHeld(Wire):
    """A grant as the node that may use it keeps it.

    Attributes:
        grant_id: the record id of the grant.
        tasks_used: how many of its places were given out.
        revoked_at_ms: when its member took it back, or their membership ended; None if neither.
    """

    grant_id: RecordId
    member_id: MemberId
    module: Cid | None
    fuel_max: Count
    tasks_max: Count
    tasks_used: Count
    issued_at_ms: TimeMs
    lapses_at_ms: TimeMs
    revoked_at_ms: TimeMs | None
    state: GrantState
    grant: Jws


GrantIdText = Annotated[str, StringConstraints(pattern=r"^(?:[0-9a-f]{64})?$")]
"""A record id, or empty for the beginning."""


class GiveGrant(Wire):
    """Ask the node to keep a grant for itself. The same grant once more is the one that stands."""

    grant: Jws


class ListGrants(Wire):
    """Ask for one's own grants, oldest first; `after` is the last id of the page before."""

    after: GrantIdText = ""
    grants_max: Annotated[int, Field(ge=1, le=200)] = 100


class GrantPage(Wire):
    """Grants, oldest first; `next_after` is empty on the last page."""

    grants: tuple[GrantHeld, ...]
    next_after: GrantIdText


class RevokeGrant(Wire):
    """Ask the node to use a grant no more, and to end what runs under it; twice is once."""

    grant_id: RecordId


class GrantGiven(Event):
    """A member let the node submit tasks in their name."""

    type = "grants.given"
    scope = Scope.COMPUTE_READ
    grant_id: RecordId
    member_id: MemberId
    lapses_at_ms: TimeMs


class GrantRevoked(Event):
    """A grant was taken back; what ran under it ends."""

    type = "grants.revoked"
    scope = Scope.COMPUTE_READ
    grant_id: RecordId
    member_id: MemberId


@dataclass(eq=False, kw_only=True)
class GrantRejected(Invalid):
    """The grant does not verify: signature, type, network, node, member or shape."""

    code = "grant-rejected"
    hint = "the member signs it with their current key, for this node (`opkit grant give`)"
    why: str


@dataclass(eq=False, kw_only=True)
class GrantNotYours(Denied):
    """The grant was signed by another member than the one who sends it."""

    code = "grant-not-yours"
    hint = "each member gives their own grants"
    signed_by: str
    sent_by: str


@dataclass(eq=False, kw_only=True)
class GrantTermTooLong(Invalid):
    """The grant is to be good for longer than a grant may be."""

    code = "grant-term-too-long"
    hint = "give it for less time, and give another one later"
    term_ms: int
    limit_ms: int


@dataclass(eq=False, kw_only=True)
class GrantLapsed(Lapsed):
    """The grant is past its time, or issued too far in the future."""

    code = "grant-lapsed"
    hint = "sign a new one; compare clocks"
    lapses_at_ms: int
    now_ms: int


@dataclass(eq=False, kw_only=True)
class GrantTakenBack(Conflict):
    """This very grant was revoked before, and comes back no more."""

    code = "grant-taken-back"
    hint = "sign a new one"
    grant_id: str


@dataclass(eq=False, kw_only=True)
class GrantsFull(Exhausted):
    """The node keeps as many grants of this member as it keeps of one."""

    code = "grants-full"
    hint = "revoke some, or wait until they lapse (`opkit grant list`)"
    limit: int


@dataclass(eq=False, kw_only=True)
class GrantUnknown(Missing):
    """The node keeps no such grant, or it is not yours."""

    code = "grant-unknown"
    hint = "`opkit grant list` shows yours"
    grant_id: str


@dataclass(eq=False, kw_only=True)
class GrantNeeded(Denied):
    """No grant of this member lets the node submit this task now."""

    code = "grant-needed"
    hint = "give the node one that covers module and fuel (`opkit grant give`)"
    wasm_hash: CidText
    fuel: int


GIVE_GRANT = Endpoint(
    name="grants.give",
    method="POST",
    path="/v1/grants",
    ask=GiveGrant,
    answer=GrantHeld,
    scope=Scope.COMPUTE_SUBMIT,
    changes=True,
    refuses=(
        GrantRejected,
        GrantNotYours,
        GrantTermTooLong,
        GrantLapsed,
        GrantTakenBack,
        GrantsFull,
    ),
)

LIST_GRANTS = Endpoint(
    name="grants.list",
    method="GET",
    path="/v1/grants",
    ask=ListGrants,
    answer=GrantPage,
    scope=Scope.COMPUTE_READ,
)

REVOKE_GRANT = Endpoint(
    name="grants.revoke",
    method="DELETE",
    path="/v1/grants/{grant_id}",
    ask=RevokeGrant,
    answer=GrantHeld,
    scope=Scope.COMPUTE_SUBMIT,
    refuses=(GrantUnknown,),
)
