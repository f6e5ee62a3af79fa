"""Visitors: members of other coops, who may do some things here if they are let in at all."""

from __future__ import annotations

from typing import Any

import pytest

from nodeimpl.membership import rules
from nodeimpl.membership.rules import Limits, Standing
from opkit.proof.keys import Identity
from opkit.wire.endpoint import Scope
from opkit.wire.gateway import TokenRejected
from opkit.wire.membership import ROLES, VISITORS, Member

ANA = Identity.generate().did
OPEN = Limits(visitors=True)
AUDITED = Limits(visitors=True, auditors=frozenset({"mill"}))


def standing(*, local: bool = False, **changed: Any) -> Standing:
    fields: dict[str, Any] = {
        "member_id": "mill/ana",
        "coop": "mill",
        "name": "Ana",
        "title": "",
        "did": ANA,
        "roles": ("member",),
        "active": True,
        "sequence": 0,
    }
    return Standing(member=Member(**{**fields, **changed}), local=local)


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
