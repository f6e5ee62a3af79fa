"""Members, roles, and the way from a key to a token.

A member is an id in a coop's membership chain that is bound to a current key. The chain starts
with the charter's founders; each change is a record that the network's operator signed, or, from a
coop's first decision about its members on, one that its home node signed and that cites the
decision. A token is got by signing a node's challenge. Source: ADR 0042.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from opkit.wire.base import (
    Count,
    Did,
    Jws,
    MemberId,
    MemberIdText,
    NetworkId,
    RecordId,
    Slug,
    Text,
    TimeMs,
    Wire,
)
from opkit.wire.endpoint import Endpoint, Scope
from opkit.wire.errors import Conflict, Denied, Exhausted, Invalid, Missing, Unauthenticated
from opkit.wire.events import Event

MEMBER_TYP = "opkit-member+jws"
DECIDED_MEMBER_TYP = "opkit-decided-member+jws"
LOGIN_TYP = "opkit-login+jws"
TOKEN_TYP = "opkit-token+jws"

CHALLENGE_TTL_MS = 300_000
TOKEN_TTL_MS_MAX = 3_600_000
TOKEN_TTL_MS_MIN = 1_000
LOGIN_BODY_BYTES_MAX = 8_192
"""The greatest body of a login: anybody may send one, so no more is read than logins need."""

NO_COOP = "-"
"""The coop part of the id of a member of no coop."""

_READ = frozenset(
    {
        Scope.NODE_READ,
        Scope.MEMBERS_READ,
        Scope.WASM_READ,
        Scope.COMPUTE_READ,
        Scope.EVENTS_READ,
        Scope.CARDS_READ,
        Scope.NAMES_READ,
        Scope.FEDERATION_READ,
    }
)

_COOP_READ = frozenset(
    {
        Scope.LEDGER_READ_OWN,
        Scope.LEDGER_READ,
        Scope.GOVERNANCE_READ,
        Scope.AGREEMENTS_READ,
        Scope.CLEARING_READ,
    }
)
"""Reading what a coop keeps about itself: its own members may, and who audits it."""

_MEMBER = (
    _READ
    | _COOP_READ
    | {
        Scope.WASM_WRITE,
        Scope.COMPUTE_SUBMIT,
        Scope.RECORDS_WRITE,
        Scope.CARDS_WRITE,
        Scope.NAMES_WRITE,
        Scope.LEDGER_WRITE_OWN,
        Scope.GOVERNANCE_WRITE,
        Scope.GOVERNANCE_VOTE,
    }
)

ROLES: dict[str, frozenset[Scope]] = {
    "operator": frozenset(Scope),
    "member": _MEMBER,
    "officer": _MEMBER
    | {
        Scope.LEDGER_WRITE,
        Scope.FEDERATION_WRITE,
        Scope.AGREEMENTS_WRITE,
        Scope.CLEARING_WRITE,
    },
    "auditor": _READ | _COOP_READ,
    "guest": frozenset({Scope.NODE_READ, Scope.WASM_READ, Scope.CARDS_READ}),
}
"""Which scopes a role grants: the only such table (`docs/api.md` is made from it)."""


VISITORS: frozenset[Scope] = frozenset(
    {
        Scope.NODE_READ,
        Scope.WASM_READ,
        Scope.COMPUTE_READ,
        Scope.COMPUTE_SUBMIT,
        Scope.EVENTS_READ,
        Scope.CARDS_READ,
        Scope.CARDS_WRITE,
        Scope.NAMES_READ,
        Scope.NAMES_WRITE,
        Scope.FEDERATION_READ,
    }
)
"""What a member may do at most at a node that is neither their coop's home nor was told of them."""


AUDITOR = "auditor"
"""The role that also reads what other coops keep about themselves, where their charters say so."""


class Member(Wire):
    """A member as a node knows them now."""

    member_id: MemberId
    coop: Slug | None
    name: Text
    title: Text
    did: Did
    roles: tuple[Slug, ...]
    active: bool
    sequence: Count


class MemberRecord(Wire):
    """One link of a membership chain: the payload of a JWS by the network's operator.

    `sequence` counts the changes of this member from 1; a founder starts at 0 by the charter.
    """

    network: NetworkId
    aud: Annotated[str, StringConstraints(max_length=64)]
    action: Literal["add", "revoke"]
    member_id: MemberId
    name: Text
    title: Text
    did: Did
    roles: tuple[Slug, ...]
    sequence: Annotated[int, Field(ge=1)]
    issued_at_ms: TimeMs


class DecidedMember(MemberRecord):
    """A link that an assembly decided (`opkit-decided-member+jws`, by the home node of the coop).

    The home node's word is enough to act on; who wants more fetches the decision and counts it.

    Attributes:
        node: the home node.
        proposal: the hash of the proposal that was accepted.
        decision: the decision's hash.
    """

    node: Did
    proposal: RecordId
    decision: RecordId


class ChangeMember(Wire):
    """Ask to add or revoke a member by the operator's signed record."""

    record: Jws


class ListMembers(Wire):
    """Ask for the members this node knows, by id; `after` is the last id of the page before."""

    after: MemberIdText = ""
    members_max: Annotated[int, Field(ge=1, le=200)] = 100


class MemberPage(Wire):
    """Members by id; `next_after` is empty on the last page."""

    members: tuple[Member, ...]
    next_after: str


class AskChallenge(Wire):
    """Ask for a challenge to sign. Costs the node no memory: a challenge is stateless."""

    did: Did


class Challenge(Wire):
    """What to sign. A client signs it only if `node` is the DID that it dialled."""

    challenge: Annotated[str, StringConstraints(max_length=512)]
    node: Did
    network: NetworkId
    expires_at_ms: TimeMs


class Login(Wire):
    """The payload of the JWS by which a key answers a challenge. `aud` is the node's DID."""

    network: NetworkId
    aud: Did
    did: Did
    challenge: Annotated[str, StringConstraints(max_length=512)]
    scopes: tuple[Scope, ...]
    ttl_ms: Annotated[int, Field(ge=TOKEN_TTL_MS_MIN, le=TOKEN_TTL_MS_MAX)] = TOKEN_TTL_MS_MAX


class AskToken(Wire):
    """Ask for a token by a signed `Login`. No scopes means: all that the member's roles grant."""

    login: Jws


class TokenClaims(Wire):
    """The payload of a token, a JWS by the node that will accept it (`aud` is its own DID)."""

    network: NetworkId
    aud: Did
    member_id: MemberId
    did: Did
    scopes: tuple[Scope, ...]
    issued_at_ms: TimeMs
    expires_at_ms: TimeMs
    token_id: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]


class Token(Wire):
    """A token and what it is good for."""

    token: Jws
    member_id: MemberId
    scopes: tuple[Scope, ...]
    expires_at_ms: TimeMs


class RevokeToken(Wire):
    """Ask to end the token that this very ask carries."""


class Done(Wire):
    """It is done, and will still be after a crash."""


class MemberAdded(Event):
    """A member was added, or is another one now: by the operator's record, or by decision."""

    type = "membership.member-added"
    scope = Scope.MEMBERS_READ
    member_id: MemberId
    did: Did
    roles: tuple[Slug, ...]


class MemberRevoked(Event):
    """A member was revoked; their tokens, streams and queued tasks ended with it."""

    type = "membership.member-revoked"
    scope = Scope.MEMBERS_READ
    member_id: MemberId
    did: Did


class TokenIssued(Event):
    """A member signed the challenge and got a token. The token itself is nowhere stored."""

    type = "membership.token-issued"
    scope = Scope.MEMBERS_READ
    member_id: MemberId
    scopes: tuple[Scope, ...]
    expires_at_ms: TimeMs


@dataclass(eq=False, kw_only=True)
class ChallengeRejected(Unauthenticated):
    """The challenge is not this node's, not for this key, past its time, or already used."""

    code = "challenge-rejected"
    hint = "ask this node for a fresh challenge and sign it once"
    why: str


@dataclass(eq=False, kw_only=True)
class LoginRejected(Unauthenticated):
    """The signed answer does not verify against the key it names, or is not for this node."""

    code = "login-rejected"
    hint = "sign with the member's own key, for this node's DID and network"
    why: str


@dataclass(eq=False, kw_only=True)
class MemberUnknown(Denied):
    """No active member of this node has this key."""

    code = "member-unknown"
    hint = "the operator can register a member (`opkit member add`)"
    did: str


@dataclass(eq=False, kw_only=True)
class HomeSilent(Denied):
    """The home of the member's coop was not heard here for too long: they may have been revoked."""

    code = "home-silent"
    hint = "log in at the home node of your coop, or here once this node hears it"
    coop: str
    home: str
    limit_ms: int


@dataclass(eq=False, kw_only=True)
class RoleInsufficient(Denied):
    """The member's roles do not grant a scope that was asked for."""

    code = "role-insufficient"
    hint = "ask for fewer scopes"
    scope: str


@dataclass(eq=False, kw_only=True)
class RecordRejected(Invalid):
    """The membership record does not verify: wrong signer, type, network or shape."""

    code = "record-rejected"
    hint = "a membership record is signed by the network's operator"
    why: str


@dataclass(eq=False, kw_only=True)
class RoleUnknown(Invalid):
    """There is no such role."""

    code = "role-unknown"
    hint = "roles are listed in docs/api.md"
    role: str


@dataclass(eq=False, kw_only=True)
class MemberMissing(Missing):
    """No such member."""

    code = "member-missing"
    hint = "`opkit member list` shows who is known"
    member_id: str


@dataclass(eq=False, kw_only=True)
class SequenceStale(Conflict):
    """A change with this or a higher sequence number already stands."""

    code = "sequence-stale"
    hint = "read the member and use the next sequence number"
    member_id: str
    standing: int


@dataclass(eq=False, kw_only=True)
class DidTaken(Conflict):
    """Another member holds this key."""

    code = "did-taken"
    hint = "each member has a key of their own"
    did: str


@dataclass(eq=False, kw_only=True)
class MembersFull(Exhausted):
    """The node knows as many members as it may."""

    code = "members-full"
    hint = "revoke members, or raise nothing: the limit is the node's"
    limit: int


@dataclass(eq=False, kw_only=True)
class MembersDecided(Conflict):
    """The coop decides on its members itself: the operator's record no longer makes one."""

    code = "members-decided"
    hint = "a member of the coop proposes it (`opkit member add`, `revoke` and `rekey` do)"
    coop: str


CHALLENGE = Endpoint(
    name="membership.challenge",
    method="POST",
    path="/v1/auth/challenge",
    ask=AskChallenge,
    answer=Challenge,
    scope=None,
    body_bytes_max=LOGIN_BODY_BYTES_MAX,
)

TOKEN = Endpoint(
    name="membership.token",
    method="POST",
    path="/v1/auth/token",
    ask=AskToken,
    answer=Token,
    scope=None,
    refuses=(ChallengeRejected, LoginRejected, MemberUnknown, HomeSilent, RoleInsufficient),
    body_bytes_max=LOGIN_BODY_BYTES_MAX,
)

REVOKE_TOKEN = Endpoint(
    name="membership.revoke-token",
    method="DELETE",
    path="/v1/auth/token",
    ask=RevokeToken,
    answer=Done,
    scope=Scope.NODE_READ,
)

CHANGE_MEMBER = Endpoint(
    name="membership.change",
    method="POST",
    path="/v1/members",
    ask=ChangeMember,
    answer=Member,
    scope=Scope.MEMBERS_WRITE,
    changes=True,
    refuses=(
        RecordRejected,
        MembersDecided,
        RoleUnknown,
        MemberMissing,
        SequenceStale,
        DidTaken,
        MembersFull,
    ),
)

LIST_MEMBERS = Endpoint(
    name="membership.list",
    method="GET",
    path="/v1/members",
    ask=ListMembers,
    answer=MemberPage,
    scope=Scope.MEMBERS_READ,
)
