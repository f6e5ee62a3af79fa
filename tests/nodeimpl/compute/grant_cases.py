"""A grant that a node keeps, and what may be amiss with one that a member gives."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from nodeimpl.compute.rules import GrantCase, KeptGrant, choose_grant
from opkit.proof.cid import cid_of
from opkit.proof.keys import Identity
from opkit.wire import grants as granted
from opkit.wire.errors import Refusal
from opkit.wire.membership import Member

ANN, BOB = "coop/ann", "coop/bob"
NODE, MEMBER = Identity.generate().did, Identity.generate().did
MODULE, ANOTHER = cid_of(b"module"), cid_of(b"another")
NOW_MS, TERM_MS = 100_000, 30 * 86_400_000
KEPT = KeptGrant(
    grant_id="0" * 64, member_id=ANN, token="a.b.c", tasks_used=0, lapses_at_ms=9, revoked_at_ms=1
)
STANDS = Member(
    member_id=ANN,
    coop="coop",
    name="Ann",
    title="",
    did=MEMBER,
    roles=("member",),
    active=True,
    sequence=0,
)

FAULTS: dict[type[Refusal], dict[str, Any]] = {
    granted.GrantRejected: {"grant": {"aud": MEMBER}},
    granted.GrantNotYours: {"case": {"sender": BOB}},
    granted.GrantTermTooLong: {"grant": {"lapses_at_ms": NOW_MS + TERM_MS + 1}},
    granted.GrantLapsed: {"case": {"now_ms": NOW_MS + TERM_MS + 1}},
    granted.GrantTakenBack: {"case": {"standing": KEPT}},
    granted.GrantsFull: {"case": {"kept": 64}},
}
"""For each refusal, what is amiss with the grant, or with what is known of it."""

SAID: dict[type[Refusal], dict[str, Any]] = {
    granted.GrantRejected: {"why": "it is for another node"},
    granted.GrantNotYours: {"signed_by": ANN, "sent_by": BOB},
    granted.GrantTermTooLong: {"term_ms": TERM_MS + 1, "limit_ms": TERM_MS},
    granted.GrantLapsed: {"lapses_at_ms": NOW_MS + TERM_MS, "now_ms": NOW_MS + TERM_MS + 1},
    granted.GrantTakenBack: {"grant_id": "0" * 64},
    granted.GrantsFull: {"limit": 64},
}
"""What each refusal says it is about."""


def grant(**changes: Any) -> granted.Grant:
    """Return a grant of Ann's for the longest time, from now on."""
    fields = {
        "network": "a" * 26,
        "aud": NODE,
        "member_id": ANN,
        "did": MEMBER,
        "fuel_max": 7,
        "tasks_max": 3,
        "issued_at_ms": NOW_MS,
        "lapses_at_ms": NOW_MS + TERM_MS,
    }
    return granted.Grant(**{**fields, **changes})


def grant_case(*faults: dict[str, Any]) -> GrantCase:
    """Return the last grant that a node has room for, but for what is amiss with it."""
    said: dict[str, Any] = {}
    case: dict[str, Any] = {
        "why": "",
        "grant_id": "0" * 64,
        "standing": None,
        "sender": ANN,
        "me": NODE,
        "kept": 63,
        "now_ms": NOW_MS,
    }
    for fault in faults:
        said |= fault.get("grant", {})
        case |= fault.get("case", {})
    return GrantCase(**{"grant": grant(**said), **case})


def chosen(*grants: granted.Grant, member: Member | None = STANDS, fuel: int | None = 7) -> int:
    """Return which of some grants is used for the module, by its place among them."""
    kept = [(replace(KEPT, tasks_used=at), grant) for at, grant in enumerate(grants)]
    found = choose_grant(kept, member=member, wasm_hash=MODULE, fuel=fuel)
    assert found == kept[found[0].tasks_used]
    return found[0].tasks_used
