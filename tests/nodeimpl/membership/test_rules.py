"""What membership decides: examples, boundaries, and the declared order of refusals.

Visitors too: members of other coops, who may do some things here if they are let in at all.
"""

from __future__ import annotations

import hashlib
import hmac
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodeimpl.membership import rules
from nodeimpl.membership.rules import Away, Judged, Limits, Standing
from opkit.proof.membership import OPERATOR_ID
from opkit.wire import membership as wire
from opkit.wire.base import b64encode
from opkit.wire.endpoint import Scope
from opkit.wire.errors import Refusal
from opkit.wire.gateway import StandingStale, TokenRejected
from opkit.wire.membership import ROLES, VISITORS, Login, Member
from tests.nodeimpl.membership.cases import (
    ANA,
    BEN,
    LIMITS,
    NETWORK,
    NODE,
    NOW,
    OTHER_NODE,
    SECRET,
    challenge,
    claims,
    judge_challenge,
    judge_change,
    judge_login,
    judge_token,
    login,
    member,
    record,
)


def test_a_login_without_scopes_gets_all_that_the_roles_grant() -> None:
    grant = judge_login()

    assert grant.scopes == tuple(sorted(ROLES["auditor"]))
    assert (grant.issued_at_ms, grant.expires_at_ms) == (NOW, NOW + 30_000)


def test_a_login_gets_no_more_than_it_asks_for() -> None:
    grant = judge_login(login(scopes=(Scope.NODE_READ, Scope.NODE_READ)))

    assert grant.scopes == (Scope.NODE_READ,)


def test_a_token_lives_no_longer_than_the_limit() -> None:
    assert judge_login(login(ttl_ms=3_600_000)).expires_at_ms == NOW + LIMITS.token_ttl_ms_max


@pytest.mark.parametrize(
    ("age_ms", "good"),
    [
        pytest.param(LIMITS.challenge_ttl_ms - 1, True, id="one-millisecond-before"),
        pytest.param(LIMITS.challenge_ttl_ms, False, id="exactly-at"),
        pytest.param(LIMITS.challenge_ttl_ms + 1, False, id="one-millisecond-after"),
    ],
)
def test_a_challenge_is_good_strictly_before_it_lapses(age_ms: int, good: bool) -> None:
    said = login(challenge=challenge(at_ms=NOW - age_ms))

    if good:
        assert judge_login(said).member == member()
    else:
        with pytest.raises(wire.ChallengeRejected, match="past its time"):
            judge_login(said)


@pytest.mark.parametrize(
    "text",
    [
        challenge(did=BEN),
        challenge(node=OTHER_NODE),
        challenge(network="b" * 26),
        challenge(secret=b"another"),
        challenge().replace("1000000", "1000001"),
        challenge()[:-2] + ("AA" if challenge()[-2:] != "AA" else "BA"),
        "no challenge",
        "",
        "..",
        "1.2.é",
    ],
)
def test_a_challenge_of_another_key_node_or_network_is_none(text: str) -> None:
    with pytest.raises(wire.ChallengeRejected):
        judge_login(login(challenge=text))


@given(at=st.integers(min_value=0, max_value=len(challenge()) - 1), to=st.characters())
def test_no_changed_character_of_a_challenge_goes_unseen(at: int, to: str) -> None:
    text = challenge()
    changed = text[:at] + to + text[at + 1 :]

    if changed != text:
        with pytest.raises(wire.ChallengeRejected):
            judge_login(login(challenge=changed))


def test_a_challenge_says_its_time_and_nonce_under_a_mac_over_all_that_it_is_for() -> None:
    said = f"{NOW}.{b64encode(b'n' * 16)}"
    fields = ("opkit challenge 1", NETWORK, NODE, ANA, said)
    mac = hmac.new(SECRET, "\0".join(fields).encode(), hashlib.sha256).digest()
    assert challenge() == f"{said}.{b64encode(mac)}"
    assert judge_challenge(challenge()) == b64encode(b"n" * 16)


def test_the_nonce_of_a_challenge_is_what_its_use_is_remembered_by() -> None:
    assert judge_challenge(challenge()) == judge_login().nonce
    assert judge_challenge(challenge(nonce=b"o" * 16)) != judge_login().nonce


@pytest.mark.parametrize("text", ["", "x" * 100_000, challenge(did=BEN), "\ud800", "1.2.\ud800"])
def test_what_is_no_challenge_of_this_node_costs_no_more_than_a_mac(text: str) -> None:
    with pytest.raises(wire.ChallengeRejected):
        judge_challenge(text)


@pytest.mark.parametrize("text", ["\ud800.AAAA", "é.AAAA", "1" * 124 + ".AAAA"])
def test_what_cannot_be_a_challenge_is_not_even_hashed(text: str) -> None:
    with pytest.raises(wire.ChallengeRejected, match="it is no challenge"):
        judge_challenge(text)


def test_the_longest_text_that_is_hashed_has_128_characters() -> None:
    with pytest.raises(wire.ChallengeRejected, match="did not make it"):
        judge_challenge("1" * 123 + ".AAAA")


def test_a_mac_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []
    monkeypatch.setattr(
        rules.hmac, "compare_digest", lambda a, b: compared.append((a, b)) or a == b
    )
    judge_challenge(challenge())
    assert [len(each) for pair in compared for each in pair] == [32, 32]


STANDINGS = {
    "unknown": None,
    "elsewhere": Standing(member=member(), local=False),
    "revoked": Standing(member=member(active=False), local=True),
}


@pytest.mark.parametrize("standing", STANDINGS.values(), ids=STANDINGS)
def test_only_an_active_member_of_this_node_logs_in(standing: Standing | None) -> None:
    with pytest.raises(wire.MemberUnknown):
        judge_login(standing=standing)


@pytest.mark.parametrize(
    "said", [login(aud=OTHER_NODE), login(did=BEN)], ids=["another-node", "another-key"]
)
def test_a_login_for_another_node_or_key_is_refused(said: Login) -> None:
    with pytest.raises(wire.LoginRejected):
        judge_login(said)


LOGIN_FAULTS: dict[type[Refusal], tuple[dict[str, Any], dict[str, Any]]] = {
    wire.ChallengeRejected: ({}, {"used": True}),
    wire.LoginRejected: ({"aud": OTHER_NODE}, {}),
    wire.MemberUnknown: ({}, {"standing": None}),
    wire.HomeSilent: ({}, {"away": Away(coop="mill", home=OTHER_NODE, good_until_ms=NOW)}),
    wire.RoleInsufficient: ({"scopes": (Scope.MEMBERS_WRITE,)}, {}),
}
"""For each refusal, what is wrong with the login, and what beside it."""


def judge_with(*faults: type[Refusal]) -> None:
    said: dict[str, Any] = {}
    beside: dict[str, Any] = {}
    for leaf in faults:
        said |= LOGIN_FAULTS[leaf][0]
        beside |= LOGIN_FAULTS[leaf][1]
    judge_login(login(**said), **beside)


@pytest.mark.parametrize(("first", "second"), list(combinations(wire.TOKEN.refuses, 2)))
def test_login_refusals_come_in_the_declared_order(
    first: type[Refusal], second: type[Refusal]
) -> None:
    with pytest.raises(first):
        judge_with(second, first)


LOGIN_SAID: dict[type[Refusal], dict[str, Any]] = {
    wire.ChallengeRejected: {"why": "it was already used"},
    wire.LoginRejected: {"why": "it is for another node"},
    wire.MemberUnknown: {"did": ANA},
    wire.HomeSilent: {"coop": "mill", "home": OTHER_NODE, "limit_ms": 300_000},
    wire.RoleInsufficient: {"scope": Scope.MEMBERS_WRITE},
}


@pytest.mark.parametrize("leaf", wire.TOKEN.refuses)
def test_each_login_refusal_can_be_met_and_says_what_it_is_about(leaf: type[Refusal]) -> None:
    with pytest.raises(leaf) as no:
        judge_with(leaf)
    assert no.value.details() == LOGIN_SAID[leaf]


def test_of_several_scopes_that_are_not_granted_the_first_by_name_is_named() -> None:
    wanted = (Scope.MEMBERS_WRITE, Scope.CLOCK_WRITE)
    with pytest.raises(wire.RoleInsufficient) as no:
        judge_login(login(scopes=wanted))
    assert no.value.scope == min(wanted)


def test_a_token_may_live_exactly_as_long_as_the_limit() -> None:
    judge_token(claims(expires_at_ms=NOW + LIMITS.token_ttl_ms_max))


def test_a_token_is_good_strictly_before_it_expires() -> None:
    judge_token(now_ms=NOW + 999)

    with pytest.raises(TokenRejected, match="expired"):
        judge_token(now_ms=NOW + 1_000)


def test_a_token_is_of_the_generation_that_it_was_issued_in() -> None:
    """A database that was put back does not know what was revoked meanwhile."""
    judge_token(since_ms=NOW)

    with pytest.raises(TokenRejected, match="before the node was restored"):
        judge_token(since_ms=NOW + 1, revoked=True)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"said": claims(aud=OTHER_NODE)}, "another node"),
        ({"said": claims(expires_at_ms=NOW + LIMITS.token_ttl_ms_max + 1)}, "longer"),
        ({"revoked": True}, "revoked"),
        ({"standing": None}, "may not log in"),
        ({"standing": STANDINGS["elsewhere"]}, "may not log in"),
        ({"standing": STANDINGS["revoked"]}, "may not log in"),
        ({"standing": Standing(member=member(did=BEN), local=True)}, "another key"),
        ({"said": claims(scopes=(Scope.CLOCK_WRITE,))}, "grant less"),
    ],
)
def test_a_token_falls_with_what_it_was_granted_on(changed: dict[str, Any], why: str) -> None:
    with pytest.raises(TokenRejected, match=why):
        judge_token(**changed)


@pytest.mark.parametrize(("until_ms", "good"), [(NOW + 1, True), (NOW, False), (NOW - 1, False)])
def test_a_member_of_another_coop_is_believed_strictly_before_their_home_is_missed(
    until_ms: int, good: bool
) -> None:
    away = Away(coop="mill", home=OTHER_NODE, good_until_ms=until_ms)
    for judge, why in ((judge_login, wire.HomeSilent), (judge_token, StandingStale)):
        if good:
            judge(away=away)
        else:
            with pytest.raises(why) as no:
                judge(away=away)
            said = {"coop": "mill", "home": OTHER_NODE, "limit_ms": 300_000}
            assert no.value.details() == said


def test_a_token_that_fell_is_rejected_before_anybody_is_missed() -> None:
    away = Away(coop="mill", home=OTHER_NODE, good_until_ms=NOW)
    with pytest.raises(TokenRejected):
        judge_token(revoked=True, away=away)


def test_a_new_member_stands_as_the_record_says() -> None:
    assert judge_change() == Standing(member=member(roles=("member",), sequence=1), local=True)


def test_a_member_of_no_coop_has_none() -> None:
    assert judge_change(record(member_id="-/lee", aud="-")).member.coop is None


def test_a_record_makes_a_founder_of_another_coop_local() -> None:
    assert judge_change(standing=Standing(member=member(), local=False)).local


def test_a_standing_member_gets_the_key_and_roles_of_the_record() -> None:
    standing = Standing(member=member(), local=True)
    after = judge_change(record(did=BEN), standing=standing, members=LIMITS.members_max)

    assert (after.member.did, after.member.roles) == (BEN, ("member",))


@pytest.mark.parametrize("local", [True, False])
def test_revoking_changes_nothing_but_activity_and_sequence(local: bool) -> None:
    standing = Standing(member=member(), local=local)
    after = judge_change(record(action="revoke"), standing=standing, holder="mill/ana")

    assert after == Standing(member=member(active=False, sequence=1), local=local)


@pytest.mark.parametrize(
    "stands", [member(active=False), member(did=BEN)], ids=["revoked-before", "another-key"]
)
def test_only_who_stands_with_that_key_is_revoked(stands: Member) -> None:
    with pytest.raises(wire.RecordRejected):
        judge_change(record(action="revoke"), standing=Standing(member=stands, local=True))


def test_a_repeated_revocation_is_stale() -> None:
    stands = Standing(member=member(active=False, sequence=1), local=True)

    with pytest.raises(wire.SequenceStale):
        judge_change(record(action="revoke"), standing=stands)


def test_no_record_changes_the_operator() -> None:
    with pytest.raises(wire.RecordRejected, match="genesis"):
        judge_change(record(member_id=OPERATOR_ID, aud="-"))


@pytest.mark.parametrize("sequence", [1, 2, 4])
def test_only_the_next_sequence_number_is_taken(sequence: int) -> None:
    standing = Standing(member=member(sequence=2), local=True)

    with pytest.raises(wire.SequenceStale) as no:
        judge_change(record(sequence=sequence), standing=standing)
    assert no.value.details() == {"member_id": "mill/ana", "standing": 2}


def test_one_member_has_a_bounded_chain() -> None:
    with pytest.raises(wire.MembersFull) as no:
        judge_change(records=LIMITS.records_per_member_max)
    assert no.value.limit == LIMITS.records_per_member_max


CHANGE_FAULTS: dict[type[Refusal], dict[str, Any]] = {
    wire.RecordRejected: {"verdict": Judged(payload=None, why="forged")},
    wire.MembersDecided: {"decided": True},
    wire.RoleUnknown: {"roles": ("queen",)},
    wire.MemberMissing: {"action": "revoke"},
    wire.SequenceStale: {"sequence": 7},
    wire.DidTaken: {"holder": "mill/ben"},
    wire.MembersFull: {"members": LIMITS.members_max},
}


def judge_faults(faults: dict[str, Any]) -> Standing:
    said = {name: faults[name] for name in ("roles", "action", "sequence") if name in faults}
    rest = {name: value for name, value in faults.items() if name not in said}
    return judge_change(record(**said), **rest)


@pytest.mark.parametrize(("first", "second"), list(combinations(wire.CHANGE_MEMBER.refuses, 2)))
def test_change_refusals_come_in_the_declared_order(
    first: type[Refusal], second: type[Refusal]
) -> None:
    with pytest.raises(first):
        judge_faults({**CHANGE_FAULTS[second], **CHANGE_FAULTS[first]})


CHANGE_SAID: dict[type[Refusal], dict[str, Any]] = {
    wire.RecordRejected: {"why": "forged"},
    wire.MembersDecided: {"coop": "mill"},
    wire.RoleUnknown: {"role": "queen"},
    wire.MemberMissing: {"member_id": "mill/ana"},
    wire.SequenceStale: {"member_id": "mill/ana", "standing": 0},
    wire.DidTaken: {"did": ANA},
    wire.MembersFull: {"limit": LIMITS.members_max},
}


@pytest.mark.parametrize("leaf", wire.CHANGE_MEMBER.refuses)
def test_each_change_refusal_can_be_met_and_says_what_it_is_about(leaf: type[Refusal]) -> None:
    with pytest.raises(leaf) as no:
        judge_faults(CHANGE_FAULTS[leaf])
    assert no.value.details() == CHANGE_SAID[leaf]


def test_of_several_unknown_roles_the_first_is_named() -> None:
    with pytest.raises(wire.RoleUnknown) as no:
        judge_change(record(roles=("member", "queen", "king")))
    assert no.value.role == "queen"


def test_an_unknown_role_grants_nothing() -> None:
    assert rules.scopes_of(["queen"]) == frozenset()
    assert rules.scopes_of(["queen", "guest"]) == ROLES["guest"]


OPEN = Limits(visitors=True)
AUDITED = Limits(visitors=True, auditors=frozenset({"mill"}))


def standing(*, local: bool = False, **changed: Any) -> Standing:
    """Return a member of another coop, or of one that is at home here."""
    return Standing(member=member(**{"roles": ("member",), **changed}), local=local)


def judge(
    scope: Scope, whose: Standing, *, visitors: bool = True, limits: Limits | None = None
) -> None:
    rules.judge_bearer(
        did=ANA,
        scopes=frozenset({scope}),
        revoked=False,
        standing=whose,
        away=None,
        now_ms=0,
        limits=limits or Limits(visitors=visitors),
    )


@pytest.mark.parametrize("role", ["member", "guest", "auditor", "operator"])
def test_a_visitor_gets_what_their_roles_and_the_house_allow(role: str) -> None:
    elsewhere, here = standing(roles=(role,)), standing(roles=(role,), local=True)
    assert rules.scopes_here(elsewhere, limits=OPEN) == VISITORS & ROLES[role]
    assert rules.scopes_here(here, limits=OPEN) == ROLES[role]
    judge(Scope.NODE_READ, elsewhere)
    with pytest.raises(TokenRejected, match="grant less"):
        judge(Scope.CLOCK_WRITE, elsewhere)


@pytest.mark.parametrize(
    "whose",
    [standing(active=False), standing(member_id="-/ana", coop=None)],
    ids=["revoked", "of-no-coop"],
)
def test_who_was_revoked_or_has_no_coop_visits_nobody(whose: Standing) -> None:
    assert rules.scopes_here(whose, limits=OPEN) is None
    with pytest.raises(TokenRejected, match="may not log in"):
        judge(Scope.NODE_READ, whose)


def test_a_node_that_wants_no_visitors_has_none() -> None:
    assert rules.scopes_here(standing(), limits=Limits()) is None
    with pytest.raises(TokenRejected, match="may not log in"):
        judge(Scope.NODE_READ, standing(), visitors=False)
    judge(Scope.NODE_READ, standing(local=True), visitors=False)


def test_no_visitor_changes_who_is_a_member_or_what_is_kept_here() -> None:
    keeping = {Scope.MEMBERS_READ, Scope.MEMBERS_WRITE, Scope.WASM_WRITE, Scope.CLOCK_WRITE}
    assert not VISITORS & keeping


def test_an_auditor_of_a_coop_that_was_agreed_on_reads_all_and_changes_nothing_more() -> None:
    auditor = standing(roles=("member", "auditor"))
    here = rules.scopes_here(auditor, limits=AUDITED)
    assert here == (VISITORS & ROLES["member"]) | ROLES["auditor"]
    for scope in (Scope.LEDGER_READ, Scope.GOVERNANCE_READ, Scope.MEMBERS_READ):
        judge(scope, auditor, limits=AUDITED)
    for scope in ROLES["member"] - ROLES["auditor"] - VISITORS:
        with pytest.raises(TokenRejected, match="grant less"):
            judge(scope, auditor, limits=AUDITED)


@pytest.mark.parametrize(
    ("whose", "limits"),
    [
        (standing(roles=("member",)), AUDITED),
        (standing(roles=("member", "officer")), AUDITED),
        (standing(member_id="dairy/ana", coop="dairy", roles=("auditor",)), AUDITED),
        (standing(roles=("member", "auditor")), OPEN),
    ],
    ids=["no-auditor", "an-officer", "of-another-coop", "nobody-agreed"],
)
def test_nobody_else_reads_what_another_coop_keeps(whose: Standing, limits: Limits) -> None:
    for scope in (Scope.LEDGER_READ, Scope.LEDGER_READ_OWN, Scope.GOVERNANCE_READ):
        with pytest.raises(TokenRejected, match="grant less"):
            judge(scope, whose, limits=limits)


def test_a_node_that_wants_no_visitors_has_no_auditors_of_others_either() -> None:
    closed = Limits(auditors=frozenset({"mill"}))
    assert rules.scopes_here(standing(roles=("auditor",)), limits=closed) is None


def test_an_auditor_who_was_revoked_reads_nothing() -> None:
    revoked = standing(roles=("auditor",), active=False)
    assert rules.scopes_here(revoked, limits=AUDITED) is None
