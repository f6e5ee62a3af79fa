"""What is wrong with something that was read: one line, and nothing of what was sent."""

from __future__ import annotations

import pytest
from pydantic import BaseModel, ValidationError, field_validator

from opkit.wire.flaws import Flaw, first_flaw


class Line(BaseModel):
    amount: int

    @field_validator("amount")
    @classmethod
    def _is_not_nothing(cls, amount: int) -> int:
        if amount == 0:
            raise ValueError("is nothing")
        return amount


class Bill(BaseModel):
    lines: list[Line]


@pytest.mark.parametrize(
    ("said", "flaw", "told"),
    [
        (
            '{"lines": [{"amount": 1}, {"amount": "secret"}, {}]}',
            Flaw(
                where="lines.1.amount",
                why="Input should be a valid integer, unable to parse string as an integer",
            ),
            "lines.1.amount: Input should be a valid integer, unable to parse string as an integer",
        ),
        (
            '{"lines": [{"amount": 0}]}',
            Flaw(where="lines.0.amount", why="Value error, is nothing"),
            "lines.0.amount: Value error, is nothing",
        ),
        ("[]", Flaw(where="", why="Input should be an object"), "Input should be an object"),
    ],
)
def test_the_first_flaw_is_told_where_it_is_without_what_was_sent(
    said: str, flaw: Flaw, told: str
) -> None:
    with pytest.raises(ValidationError) as bad:
        Bill.model_validate_json(said)
    assert first_flaw(bad.value) == flaw
    assert str(first_flaw(bad.value)) == told
