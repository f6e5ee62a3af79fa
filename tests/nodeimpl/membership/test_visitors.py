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


def judge(scope: Scope, whose: Standing, *, visitors: bool = True) -> None:
    rules.judge_bearer(
        did=ANA,
        scopes=frozenset({scope}),
        revoked=False,
        standing=whose,
        away=None,
        now_ms=0,
        limits=Limits(visitors=visitors),
    )


@pytest.mark.parametrize("role", ["member", "guest", "auditor", "operator"])
def test_a_visitor_gets_what_their_roles_and_the_house_allow(role: str) -> None:
    elsewhere, here = standing(roles=(role,)), standing(roles=(role,), local=True)
    assert rules.scopes_here(elsewhere, visitors=True) == VISITORS & ROLES[role]
    assert rules.scopes_here(here, visitors=True) == ROLES[role]
    judge(Scope.NODE_READ, elsewhere)
    with pytest.raises(TokenRejected, match="grant less"):
        judge(Scope.CLOCK_WRITE, elsewhere)


@pytest.mark.parametrize(
    "whose",
    [standing(active=False), standing(member_id="-/ana", coop=None)],
    ids=["revoked", "of-no-coop"],
)
def test_who_was_revoked_or_has_no_coop_visits_nobody(whose: Standing) -> None:
    assert rules.scopes_here(whose, visitors=True) is None
    with pytest.raises(TokenRejected, match="may not log in"):
        judge(Scope.NODE_READ, whose)


def test_a_node_that_wants_no_visitors_has_none() -> None:
    assert rules.scopes_here(standing(), visitors=False) is None
    with pytest.raises(TokenRejected, match="may not log in"):
        judge(Scope.NODE_READ, standing(), visitors=False)
    judge(Scope.NODE_READ, standing(local=True), visitors=False)


def test_no_visitor_changes_who_is_a_member_or_what_is_kept_here() -> None:
    keeping = {Scope.MEMBERS_READ, Scope.MEMBERS_WRITE, Scope.WASM_WRITE, Scope.CLOCK_WRITE}
    assert not VISITORS & keeping
