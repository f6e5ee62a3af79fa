"""What is asked of the rules of membership, as it is granted unless a test says otherwise."""

from __future__ import annotations

from typing import Any

from nodeimpl.membership import rules
from nodeimpl.membership.rules import Judged, Limits, Standing
from opkit.proof.keys import Identity
from opkit.wire.endpoint import Scope
from opkit.wire.membership import Login, Member, MemberRecord, TokenClaims

NETWORK = "a" * 26
NODE, OTHER_NODE = Identity.generate().did, Identity.generate().did
ANA, BEN = Identity.generate().did, Identity.generate().did
SECRET = b"secret of the node"
NOW = 1_000_000
LIMITS = Limits(members_max=3, records_per_member_max=2, token_ttl_ms_max=60_000)


def member(**changed: Any) -> Member:
    fields: dict[str, Any] = {
        "member_id": "mill/ana",
        "coop": "mill",
        "name": "Ana",
        "title": "",
        "did": ANA,
        "roles": ("auditor",),
        "active": True,
        "sequence": 0,
    }
    return Member(**{**fields, **changed})


def challenge(*, did: str = ANA, at_ms: int = NOW, nonce: bytes = b"n" * 16, **other: Any) -> str:
    fields = {"secret": SECRET, "network": NETWORK, "node": NODE, **other}
    return rules.make_challenge(did=did, issued_at_ms=at_ms, nonce=nonce, **fields)


def login(**changed: Any) -> Login:
    fields: dict[str, Any] = {
        "network": NETWORK,
        "aud": NODE,
        "did": ANA,
        "challenge": challenge(),
        "scopes": (),
        "ttl_ms": 30_000,
    }
    return Login(**{**fields, **changed})


def judge_login(said: Login | None = None, **changed: Any) -> rules.Grant:
    fields: dict[str, Any] = {
        "signer": ANA,
        "secret": SECRET,
        "network": NETWORK,
        "node": NODE,
        "used": False,
        "standing": Standing(member=member(), local=True),
        "away": None,
        "now_ms": NOW,
        "limits": LIMITS,
    }
    return rules.judge_login(said or login(), **{**fields, **changed})


def judge_challenge(text: str, *, at_ms: int = NOW) -> str:
    return rules.judge_challenge(
        text,
        signer=ANA,
        secret=SECRET,
        network=NETWORK,
        node=NODE,
        now_ms=at_ms,
        limits=LIMITS,
    )


def claims(**changed: Any) -> TokenClaims:
    fields: dict[str, Any] = {
        "network": NETWORK,
        "aud": NODE,
        "member_id": "mill/ana",
        "did": ANA,
        "scopes": (Scope.NODE_READ,),
        "issued_at_ms": NOW,
        "expires_at_ms": NOW + 1_000,
        "token_id": "0" * 32,
    }
    return TokenClaims(**{**fields, **changed})


def judge_token(said: TokenClaims | None = None, **changed: Any) -> None:
    fields: dict[str, Any] = {
        "node": NODE,
        "revoked": False,
        "standing": Standing(member=member(), local=True),
        "away": None,
        "since_ms": 0,
        "now_ms": NOW,
        "limits": LIMITS,
    }
    rules.judge_token(said or claims(), **{**fields, **changed})


def record(**changed: Any) -> MemberRecord:
    fields: dict[str, Any] = {
        "network": NETWORK,
        "aud": "mill",
        "action": "add",
        "member_id": "mill/ana",
        "name": "Ana",
        "title": "",
        "did": ANA,
        "roles": ("member",),
        "sequence": 1,
        "issued_at_ms": NOW,
    }
    return MemberRecord(**{**fields, **changed})


def judge_change(said: MemberRecord | None = None, **changed: Any) -> Standing:
    fields: dict[str, Any] = {
        "decided": False,
        "standing": None,
        "holder": None,
        "members": 1,
        "records": 0,
        "limits": LIMITS,
    }
    verdict = changed.pop("verdict", None) or Judged(payload=said or record())
    return rules.judge_change(verdict, **{**fields, **changed})
