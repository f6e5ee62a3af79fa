"""What an assembly may be made to decide by: periods that end, and can be changed again."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from opkit.wire.base import PERIOD_MS_MAX
from opkit.wire.genesis import Charter
from opkit.wire.votes import Rule, RuleChange

DID = f"did:key:z6Mk{'1' * 44}"
RULE: dict[str, Any] = {
    "quorum_percent": 60,
    "approval_percent": 67,
    "voting_period_ms": 0,
    "challenge_window_ms": 0,
    "votes_final": False,
    "decision": None,
}
CHARTER: dict[str, Any] = {
    "network": "a" * 26,
    "coop": "yard",
    "title": "Yard",
    "home_node": DID,
    "founders": [
        {"member_id": "yard/ada", "name": "Ada", "title": "", "did": DID, "roles": ["officer"]}
    ],
    "quorum_percent": 60,
    "approval_percent": 67,
    "voting_period_ms": 0,
    "challenge_window_ms": 0,
}


@pytest.mark.parametrize("field", ["voting_period_ms", "challenge_window_ms"])
def test_a_vote_and_its_window_take_a_year_at_most(field: str) -> None:
    """Longer ones end after all times, and no decision could be taken that makes them shorter."""
    for of, said in ((Rule, RULE), (RuleChange, {}), (Charter, CHARTER)):
        of.model_validate({**said, field: PERIOD_MS_MAX})
        with pytest.raises(ValidationError, match=field):
            of.model_validate({**said, field: PERIOD_MS_MAX + 1})


def test_no_decision_makes_a_period_in_which_nobody_can_vote() -> None:
    assert RuleChange(voting_period_ms=1, challenge_window_ms=0).challenge_window_ms == 0
    with pytest.raises(ValidationError, match="voting_period_ms"):
        RuleChange(voting_period_ms=0)
