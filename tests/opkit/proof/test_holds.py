"""A hold's hash: of what was agreed, spelled as anybody can spell it, and of nothing else."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from opkit.proof.holds import hold_hash
from opkit.wire.holds import Hold, HoldBody

AGREED: dict[str, Any] = {
    "amount": 10,
    "by": "yard/ada",
    "coop": "yard",
    "from_account": "yard:member/ada",
    "hold_id": "deposit:7",
    "lapses_at_ms": 9,
    "made_world_ms": 1,
    "memo": "for the kiln",
    "network": "a" * 26,
    "to_account": "yard:income",
    "unit": "usd-cents",
}
"""By name, as canonical JSON has it."""


def test_the_hash_covers_the_kind_and_the_canonical_json_of_what_was_agreed() -> None:
    spelled = json.dumps(AGREED, separators=(",", ":"))
    expected = hashlib.sha256(f"opkit hold 1\n{spelled}".encode()).hexdigest()
    assert hold_hash(HoldBody(**AGREED)) == expected
    assert AGREED.keys() == HoldBody.model_fields.keys(), "all of it"


@pytest.mark.parametrize(
    "became",
    [
        {"state": "held"},
        {"state": "posted", "posted": 4, "entry": "7" * 64, "ended_by": "yard/bo"},
        {"state": "lapsed", "ended_world_ms": 9, "sequence": 2, "made_ms": 5, "hash": "6" * 64},
    ],
)
def test_what_became_of_a_hold_is_no_part_of_its_hash(became: dict[str, Any]) -> None:
    kept = {"hash": "5" * 64, "sequence": 1, "made_ms": 1, **became}
    assert hold_hash(Hold(**AGREED, **kept)) == hold_hash(HoldBody(**AGREED))


@pytest.mark.parametrize("name", AGREED)
def test_whatever_was_agreed_otherwise_has_another_hash(name: str) -> None:
    other = {
        "amount": 11,
        "coop": "shed",
        "from_account": "yard:member/bo",
        "lapses_at_ms": 10,
        "made_world_ms": 2,
        "network": "b" * 26,
        "to_account": "yard:reserve",
        "unit": "commons-credits",
    }
    changed = HoldBody(**{**AGREED, name: other.get(name, f"{AGREED[name]}-2")})
    assert hold_hash(changed) != hold_hash(HoldBody(**AGREED))
