"""What membership decides: pure judgements over asks, standing state and verdicts of proofs.

Time, randomness and the verdict of every signature are arguments. Source: ADR 0009.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from opkit.proof.membership import OPERATOR_ID, member_after
from opkit.wire.base import (
    Did,
    MemberId,
    NetworkId,
    Slug,
    TimeMs,
    b64decode,
    b64encode,
)
from opkit.wire.endpoint import Scope
from opkit.wire.gateway import StandingStale, TokenRejected
from opkit.wire.membership import (
    AUDITOR,
    CHALLENGE_TTL_MS,
    ROLES,
    TOKEN_TTL_MS_MAX,
    VISITORS,
    ChallengeRejected,
    DidTaken,
    HomeSilent,
    Login,
    LoginRejected,
    Member,
    MemberMissing,
    MemberRecord,
    MembersDecided,
    MembersFull,
    MemberUnknown,
    RecordRejected,
    RoleInsufficient,
    RoleUnknown,
    SequenceStale,
    TokenClaims,
)
from opkit.wire.standing import STANDING_MS_MAX

NONCE_BYTES = 16
CHALLENGE_CHARACTERS_MAX = 128
"""More than the time, the nonce and the MAC ever have."""

_DOMAIN = b"opkit challenge 1"

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What membership keeps at most. The configuration may only lower these.

    Attributes:
        members_max: members that this node knows, revoked ones included.
        records_per_member_max: links of one member's chain.
        challenge_ttl_ms: how long a challenge may be answered.
        token_ttl_ms_max: the longest life of a token.
        challenge_tries_max: signatures that are looked at for one challenge.
        tried_challenges_max: challenges whose tries are counted, in memory.
        used_challenges_max: challenges remembered as used; more in that time are turned away.
        verified_tokens_max: tokens whose verification is remembered in memory.
        visitors: whether members of other coops may log in, for what `VISITORS` says.
        auditors: coops whose auditors, as visitors, may read all that this node keeps.
    """

    members_max: int = 10_000
    records_per_member_max: int = 256
    challenge_ttl_ms: int = CHALLENGE_TTL_MS
    token_ttl_ms_max: int = TOKEN_TTL_MS_MAX
    challenge_tries_max: int = 3
    tried_challenges_max: int = 10_000
    used_challenges_max: int = 100_000
    verified_tokens_max: int = 4_096
    visitors: bool = False
    auditors: frozenset[Slug] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Judged(Generic[T]):
    """The verdict over a signed object: its payload, or why there is none."""

    payload: T | None
    why: str = ""


@dataclass(frozen=True, kw_only=True)
class Standing:
    """A member as the node holds them; `local` says whether they belong to this node.

    Members of other coops are known, for their manifests are checked here. They log in as visitors,
    if at all, unless a record adds them to this very node.
    """

    member: Member
    local: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Away:
    """A coop whose home is another node, and until when its members' tokens are taken here."""

    coop: Slug
    home: Did
    good_until_ms: TimeMs


@dataclass(frozen=True, kw_only=True)
class Grant:
    """What a token will say."""

    member: Member
    scopes: tuple[Scope, ...]
    issued_at_ms: TimeMs
    expires_at_ms: TimeMs
    nonce: str


def scopes_of(roles: Iterable[str]) -> frozenset[Scope]:
    """Return what these roles grant together; a role that is not in the table grants nothing."""
    granted: frozenset[Scope] = frozenset()
    for role in roles:
        granted |= ROLES.get(role, frozenset())
    return granted


def scopes_here(standing: Standing | None, *, limits: Limits) -> frozenset[Scope] | None:
    """Return what a member may do at this node; None if they may not log in.

    An auditor of a coop that those at home here agreed on reads what an auditor of theirs would,
    and changes no more than any visitor.

    Source: ADR 0038, ADR 0047.
    """
    if standing is None or not standing.member.active:
        return None
    member = standing.member
    granted = scopes_of(member.roles)
    if standing.local:
        return granted
    if not limits.visitors or member.coop is None:
        return None
    audits = AUDITOR in member.roles and member.coop in limits.auditors
    return granted & (VISITORS | ROLES[AUDITOR] if audits else VISITORS)


def is_missed(away: Away | None, *, now_ms: TimeMs) -> bool:
    """Return whether the home of a member's coop is elsewhere, and was not heard for too long."""
    return away is not None and now_ms >= away.good_until_ms


def judge_home(away: Away | None, *, now_ms: TimeMs) -> None:
    """Return if the home of a member's coop is this node, or was heard lately.

    Refuses, in this order:
        StandingStale: it was not, so that they may have been revoked meanwhile.
    """
    if is_missed(away, now_ms=now_ms):
        assert away is not None, "nobody is missed who is here"
        raise StandingStale(coop=away.coop, home=away.home, limit_ms=STANDING_MS_MAX)


def make_challenge(
    *, secret: bytes, network: NetworkId, node: Did, did: Did, issued_at_ms: TimeMs, nonce: bytes
) -> str:
    """Return a challenge that this node recognises later without having remembered it.

    Args:
        secret: the node's own key for challenges.
        nonce: `NONCE_BYTES` random bytes: what makes the challenge single.
    """
    assert len(nonce) == NONCE_BYTES, "a nonce has a fixed length"
    said = f"{issued_at_ms}.{b64encode(nonce)}"
    return f"{said}.{b64encode(_mac(secret, network=network, node=node, did=did, said=said))}"


def judge_challenge(
    challenge: str,
    *,
    signer: Did,
    secret: bytes,
    network: NetworkId,
    node: Did,
    now_ms: TimeMs,
    limits: Limits,
) -> str:
    """Return the nonce of a challenge that this node made for this key and that has not lapsed.

    It is what a login costs least to judge by, so it is judged first: a MAC, before a signature.
    A challenge is good from its making until strictly before it lapses.

    Refuses, in this order:
        ChallengeRejected: the challenge is not this node's, not for this key, or past its time.
    """
    issued_at_ms, nonce = _open(challenge, secret, network=network, node=node, did=signer)
    if now_ms >= issued_at_ms + limits.challenge_ttl_ms:
        raise ChallengeRejected(why="it is past its time")
    return nonce


def judge_login(
    login: Login,
    *,
    signer: Did,
    secret: bytes,
    network: NetworkId,
    node: Did,
    used: bool,
    standing: Standing | None,
    away: Away | None,
    now_ms: TimeMs,
    limits: Limits,
) -> Grant:
    """Grant a token to a login whose signature verified, or refuse it.

    A challenge is good once. A token that asks for more time than the limit gets less: the answer
    says until when.

    Args:
        login: what was signed.
        signer: the key that the signature verified against.
        used: whether this node remembers the challenge as used.
        standing: the member who holds the signer's key, if any does.
        away: the home of their coop, if it is another node.

    Refuses, in this order:
        ChallengeRejected: as `judge_challenge`, or it was used.
        LoginRejected: it is not for this node and this key.
        MemberUnknown: no active member who may log in here holds the key.
        HomeSilent: the home of their coop was not heard for too long.
        RoleInsufficient: a scope is asked for that the member's roles do not grant.

    Source: ADR 0009, ADR 0023.
    """
    nonce = judge_challenge(
        login.challenge,
        signer=signer,
        secret=secret,
        network=network,
        node=node,
        now_ms=now_ms,
        limits=limits,
    )
    if used:
        raise ChallengeRejected(why="it was already used")
    if login.aud != node:
        raise LoginRejected(why="it is for another node")
    if login.did != signer:
        raise LoginRejected(why="it names another key than the one that signed it")
    granted = scopes_here(standing, limits=limits)
    if granted is None:
        raise MemberUnknown(did=signer)
    assert standing is not None, "who is unknown may do nothing here"
    if is_missed(away, now_ms=now_ms):
        assert away is not None, "nobody is missed who is here"
        raise HomeSilent(coop=away.coop, home=away.home, limit_ms=STANDING_MS_MAX)
    wanted = frozenset(login.scopes) or granted
    if wanted - granted:
        raise RoleInsufficient(scope=min(wanted - granted))
    return Grant(
        member=standing.member,
        scopes=tuple(sorted(wanted)),
        issued_at_ms=now_ms,
        expires_at_ms=now_ms + min(login.ttl_ms, limits.token_ttl_ms_max),
        nonce=nonce,
    )


def judge_token(
    claims: TokenClaims,
    *,
    node: Did,
    revoked: bool,
    standing: Standing | None,
    away: Away | None,
    since_ms: TimeMs,
    now_ms: TimeMs,
    limits: Limits,
) -> None:
    """Accept a token whose signature verified as this node's own, or refuse it.

    A token is good strictly before `expires_at_ms`. It falls with what it was granted on: the
    member, the member's key, and the roles that grant its scopes.

    Args:
        since_ms: when the node's generation was opened. A database that was put back forgot what
            was revoked after it was copied, so tokens from before are good no more (ADR 0021).

    Refuses, in this order:
        TokenRejected: for another node, past its time, from before this generation, longer than
            allowed, revoked, or the member may no longer do what it says.
        StandingStale: as `judge_home`.
    """
    if claims.aud != node:
        raise TokenRejected(why="it is for another node")
    if now_ms >= claims.expires_at_ms:
        raise TokenRejected(why="it has expired")
    if claims.issued_at_ms < since_ms:
        raise TokenRejected(why="it is from before the node was restored")
    if claims.expires_at_ms - claims.issued_at_ms > limits.token_ttl_ms_max:
        raise TokenRejected(why="it lives longer than a token may")
    judge_bearer(
        did=claims.did,
        scopes=frozenset(claims.scopes),
        revoked=revoked,
        standing=standing,
        away=away,
        now_ms=now_ms,
        limits=limits,
    )


def judge_bearer(
    *,
    did: Did,
    scopes: frozenset[Scope],
    revoked: bool,
    standing: Standing | None,
    away: Away | None,
    now_ms: TimeMs,
    limits: Limits,
) -> None:
    """Accept who bears a verified token, or refuse what it was granted on no longer holding.

    Refuses, in this order:
        TokenRejected: revoked, or the member, their key or their roles are not what they were.
        StandingStale: as `judge_home`.
    """
    if revoked:
        raise TokenRejected(why="it was revoked")
    granted = scopes_here(standing, limits=limits)
    if granted is None:
        raise TokenRejected(why="its member may not log in here now")
    assert standing is not None, "who is unknown may do nothing here"
    if standing.member.did != did:
        raise TokenRejected(why="its member has another key now")
    if scopes - granted:
        raise TokenRejected(why="its member's roles grant less now")
    judge_home(away, now_ms=now_ms)


def judge_change(
    record: Judged[MemberRecord],
    *,
    decided: bool,
    standing: Standing | None,
    holder: MemberId | None,
    members: int,
    records: int,
    limits: Limits,
) -> Standing:
    """Return the member as the operator's record leaves them, or refuse the record.

    Adding somebody who already is a member changes what the record says of them: name, key, roles.
    Revoking leaves all but `active` and the sequence number as it was.

    Args:
        record: the verdict over the operator's signature.
        decided: whether the member's coop has decided on members of its own.
        holder: who holds the record's key now, if anybody does.
        members: how many members the node knows.
        records: how many records of this member it keeps.

    Refuses, in this order:
        RecordRejected: it does not verify, is about the operator, who stands in genesis, or is the
            next of its chain and revokes a member who does not stand with that key.
        MembersDecided: their coop decides on its members itself.
        RoleUnknown: a role is not in the table.
        MemberMissing: somebody is to be revoked who was never added.
        SequenceStale: the sequence number is not the next one of this member.
        DidTaken: another member holds the key.
        MembersFull: the node knows as many members, or records of this one, as it may.
    """
    if record.payload is None:
        raise RecordRejected(why=record.why)
    said = record.payload
    if said.member_id == OPERATOR_ID:
        raise RecordRejected(why="the operator stands in genesis, no record changes that")
    last = standing.member.sequence if standing else 0
    follows = said.sequence == last + 1
    if said.action == "revoke" and standing and follows and not _stands(standing.member, said.did):
        raise RecordRejected(why="it revokes a member who does not stand with that key")
    if decided:
        raise MembersDecided(coop=said.aud)
    unknown = [role for role in said.roles if role not in ROLES]
    if unknown:
        raise RoleUnknown(role=unknown[0])
    if said.action == "revoke" and standing is None:
        raise MemberMissing(member_id=said.member_id)
    if not follows:
        raise SequenceStale(member_id=said.member_id, standing=last)
    judge_room(
        said, standing=standing, holder=holder, members=members, records=records, limits=limits
    )
    member = member_after(said, standing=standing.member if standing else None)
    if said.action == "revoke":
        assert standing is not None, "a missing member was refused above"
        return Standing(member=member, local=standing.local)
    return Standing(member=member, local=True)


def judge_room(
    said: MemberRecord,
    *,
    standing: Standing | None,
    holder: MemberId | None,
    members: int,
    records: int,
    limits: Limits,
) -> None:
    """Return if a link finds its key free, and room.

    Refuses, in this order:
        DidTaken: another member holds the key.
        MembersFull: the node knows as many members, or records of this one, as it may.
    """
    if holder is not None and holder != said.member_id:
        raise DidTaken(did=said.did)
    if standing is None and members >= limits.members_max:
        raise MembersFull(limit=limits.members_max)
    if records >= limits.records_per_member_max:
        raise MembersFull(limit=limits.records_per_member_max)


def _stands(member: Member, did: Did) -> bool:
    return member.active and member.did == did


def _open(
    challenge: str, secret: bytes, *, network: NetworkId, node: Did, did: Did
) -> tuple[TimeMs, str]:
    """Return when this node made the challenge for this key, and its nonce."""
    said, _, mac = challenge.rpartition(".")
    if len(challenge) > CHALLENGE_CHARACTERS_MAX or not challenge.isascii():
        raise ChallengeRejected(why="it is no challenge")
    try:
        claimed = b64decode(mac)
    except ValueError as bad:
        raise ChallengeRejected(why="it is no challenge") from bad
    expected = _mac(secret, network=network, node=node, did=did, said=said)
    if not hmac.compare_digest(claimed, expected):
        raise ChallengeRejected(why="this node did not make it for this key")
    issued_at_ms, nonce = said.split(".")
    return int(issued_at_ms), nonce


def _mac(secret: bytes, *, network: NetworkId, node: Did, did: Did, said: str) -> bytes:
    fields = (network, node, did, said)
    text = b"\0".join([_DOMAIN, *(field.encode() for field in fields)])
    return hmac.new(secret, text, hashlib.sha256).digest()
