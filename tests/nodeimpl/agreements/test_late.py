"""What a party that lies dates at the end of all times: it is kept, and can be shown to anybody."""

from __future__ import annotations

from typing import Any

from opkit.wire.base import SAFE_INT_MAX
from opkit.wire.terms import Terms
from opkit.wire.votes import EXECUTE_WITHIN_MS
from tests.nodeimpl.agreements.conftest import Keeper, Made
from tests.opkit.proof.pacts import DAY_MS

CLOSED_MS = SAFE_INT_MAX - EXECUTE_WITHIN_MS - DAY_MS
LATE: dict[str, Any] = {
    "at_ms": SAFE_INT_MAX - 1,
    "decision": {
        "opened_ms": CLOSED_MS - 7 * DAY_MS,
        "closes_ms": CLOSED_MS,
        "closed_ms": CLOSED_MS,
        "challenge_ends_ms": CLOSED_MS + DAY_MS,
        "executable_until_ms": SAFE_INT_MAX,
    },
}
"""A signature at the last moment when its decision, the last that there can be, is executed."""


def test_a_notice_at_the_end_of_all_times_ends_an_agreement_with_them(
    made: Made, terms: Terms
) -> None:
    """Its days would be over after that: there is no such time to tell anybody."""

    async def story(mill: Keeper) -> None:
        agreement = await mill.decided(terms)
        assert await mill.heard(terms, "yard") == ""
        assert await mill.heard(terms, "yard", action="end", **LATE) == ""
        view = await mill.show(agreement)
        assert (view.state, view.until_ms) == ("active", SAFE_INT_MAX)

    made.run(story)


def test_a_signature_at_the_end_of_all_times_is_one_that_is_yet_to_come(
    made: Made, terms: Terms
) -> None:
    async def story(mill: Keeper) -> None:
        agreement = await mill.decided(terms)
        assert await mill.heard(terms, "yard", **LATE) == ""
        view = await mill.show(agreement)
        assert (view.state, view.since_ms, view.until_ms) == ("proposed", SAFE_INT_MAX - 1, None)

    made.run(story)
