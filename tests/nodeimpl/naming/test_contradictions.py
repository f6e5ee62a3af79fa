"""Whatever an honest home is asked, and however its clock goes, it never proves itself a liar."""

from __future__ import annotations

from itertools import combinations
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from nodeimpl.naming.rules import CLOCK_BACK_MS
from opkit.proof.names import contradict, read_name
from opkit.proof.record import SKEW_MS
from opkit.wire.errors import Refusal
from opkit.wire.names import NAME_TERM_MS_MAX as TERM_MS

DAY_MS = 86_400_000

STEPS = st.lists(
    st.tuples(
        st.sampled_from("abcdef"),
        st.sampled_from(("hold", "hold", "withdraw")),
        st.integers(1, 40) | st.sampled_from((10 * DAY_MS, TERM_MS - 2, TERM_MS, 2 * TERM_MS)),
        st.integers(1, 60) | st.sampled_from((DAY_MS, 12 * DAY_MS, TERM_MS, -DAY_MS)),
    ),
    min_size=2,
    max_size=14,
)

PASSED_ON = [("b", "hold", TERM_MS, TERM_MS - 2), ("b", "hold", TERM_MS, SKEW_MS + 2)]
PASSED_ON += [("b", "hold", TERM_MS, 1)]
"""What may contradict a hold before it, once the end of that one is forgotten."""

TAKEN_AGAIN = [("b", "hold", 10 * DAY_MS, 1), ("b", "withdraw", 1, 1), ("a", "hold", 1, 1)]
TAKEN_AGAIN += [("b", "hold", 1, 1), ("a", "hold", 1, 1)]
"""What may contradict a hold that was given back, once its member took the name again."""


@settings(max_examples=60, deadline=None)
@given(STEPS, st.booleans())
@example([("a", "hold", TERM_MS, -DAY_MS), ("a", "withdraw", 1, 1), *PASSED_ON], True)
@example([("a", "hold", 1, 1), ("a", "hold", 1, -DAY_MS), ("b", "hold", TERM_MS, 1)], False)
@example([("a", "hold", 9, 9), ("a", "withdraw", 1, -DAY_MS), ("b", "hold", TERM_MS, 1)], True)
@example(TAKEN_AGAIN, False)
def test_no_two_records_of_an_honest_home_ever_contradict_each_other(
    make_home: Any, steps: Any, counting: bool
) -> None:
    """Whatever is asked of it, in whatever order, by whomever: each record verifies as well.

    Clocks go back by a day meanwhile, its own and theirs; sequences are times, or their own.
    """
    home, views = make_home(), []
    latest_ms = home.now_ms
    for number, (who, what, term_ms, wait_ms) in enumerate(steps, 1):
        target = {"target": None} if what == "withdraw" else {}
        sequence = {"sequence": number} if counting else {}
        try:
            standing = home.hand_in(home.claim(who, term_ms=term_ms, **target, **sequence))
        except Refusal:
            pass
        else:
            views.append(read_name(standing.record, home.genesis))
        home.now_ms = max(home.now_ms + wait_ms, latest_ms - CLOCK_BACK_MS)
        latest_ms = max(latest_ms, home.now_ms)
        home.lapse_if_due()
    for first, second in combinations(sorted(views, key=lambda it: it.sequence), 2):
        assert not contradict(second, first)
