"""How agreements stand: by their signatures and world time alone, each moment exactly."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opkit.proof.agreement_states import Course, Given, Successor, course_of, first_of
from opkit.wire.base import SAFE_INT_MAX
from opkit.wire.terms import Action
from tests.opkit.proof.pacts import DAY_MS, START_MS, TERM_MS, terms_of

END_MS = START_MS + TERM_MS
NOTICE_MS = 30 * DAY_MS


def by(coop: str, at_ms: int, action: Action = "adopt") -> Given:
    return Given(coop=coop, action=action, at_ms=at_ms)


def both(at_ms: int = START_MS) -> list[Given]:
    return [by("mill", START_MS - 5), by("yard", at_ms)]


def course(*signed: Given, successors: Any = (), barred_by: Any = None, **changes: Any) -> Course:
    return course_of(terms_of(**changes), signed, successors=successors, barred_by=barred_by)


def states(it: Course, *times: int) -> list[str]:
    return [it.state(time) for time in times]


def test_it_is_in_force_from_the_last_signature_on_and_not_before_its_start() -> None:
    late = course(*both(START_MS + 7))
    assert late.since_ms == START_MS + 7
    assert states(late, START_MS + 6, START_MS + 7) == ["proposed", "active"]
    early = course(*both(START_MS - 3))
    times = (START_MS - 4, START_MS - 3, START_MS - 1, START_MS)
    assert states(early, *times) == ["proposed", "signed", "signed", "active"]


def test_one_signature_is_a_proposal_whoever_gave_it() -> None:
    for coop in ("mill", "yard"):
        alone = course(by(coop, START_MS))
        assert alone.state(START_MS + DAY_MS) == "proposed"
        assert not alone.holds and len(alone.unsigned) == 1


def test_a_proposal_for_one_term_lapses_with_it_and_any_other_waits() -> None:
    alone = course(by("mill", START_MS), renewable=False)
    assert states(alone, END_MS - 1, END_MS) == ["proposed", "lapsed"]
    too_late = course(*both(END_MS), renewable=False)
    assert too_late.state(END_MS) == "lapsed" and not too_late.holds
    assert course(by("mill", START_MS)).state(END_MS) == "proposed"
    assert course(*both(END_MS)).state(END_MS) == "active"


def test_what_is_not_renewable_lapses_and_what_is_goes_on() -> None:
    assert states(course(*both(), renewable=False), END_MS - 1, END_MS) == ["active", "lapsed"]
    assert course(*both()).state(END_MS + 100 * TERM_MS) == "active"


def test_notice_ends_it_when_its_days_are_over() -> None:
    ending = course(*both(), by("yard", START_MS + 9, "end"))
    at_ms = START_MS + 9
    assert states(ending, at_ms - 1, at_ms) == ["active", "ending"]
    over_ms = at_ms + NOTICE_MS
    assert states(ending, over_ms - 1, over_ms) == ["ending", "ended"]
    assert ending.turns_ms(START_MS) == at_ms
    assert ending.turns_ms(at_ms) == over_ms
    assert ending.turns_ms(over_ms) is None


def test_the_first_notice_counts() -> None:
    twice = course(
        *both(), by("yard", START_MS + 9, "end"), by("mill", START_MS + 8, "end"), notice_days=1
    )
    assert twice.end_ms == START_MS + 8 + DAY_MS


@pytest.mark.parametrize(("after_ms", "end_ms"), [(-1, -1), (0, NOTICE_MS), (1, 1 + NOTICE_MS)])
def test_who_gives_notice_as_the_last_one_signs_waits_like_anybody(
    after_ms: int, end_ms: int
) -> None:
    """Before that moment the notice takes the signature back, and ends it at once."""
    it = course(*both(START_MS + 7), by("mill", START_MS + 7 + after_ms, "end"))
    assert (it.end_ms, it.end) == (START_MS + 7 + end_ms, "ended")


@pytest.mark.parametrize(
    ("noticed_ms", "end_ms"),
    [
        (SAFE_INT_MAX - NOTICE_MS - 1, SAFE_INT_MAX - 1),
        (SAFE_INT_MAX - NOTICE_MS, SAFE_INT_MAX),
        (SAFE_INT_MAX - NOTICE_MS + 1, SAFE_INT_MAX),
        (SAFE_INT_MAX, SAFE_INT_MAX),
    ],
)
def test_no_notice_ends_it_after_all_times(noticed_ms: int, end_ms: int) -> None:
    """There is no such time to tell anybody; who gives notice dates it as it likes."""
    it = course(*both(), by("yard", noticed_ms, "end"))
    assert (it.end_ms, it.end) == (end_ms, "ended")


def test_notice_before_all_have_signed_takes_the_signature_back_for_good() -> None:
    back = course(by("mill", START_MS), by("mill", START_MS + 1, "end"))
    assert states(back, START_MS, START_MS + 1) == ["proposed", "ended"]
    after = course(by("mill", START_MS), by("mill", START_MS + 1, "end"), by("yard", START_MS + 2))
    assert states(after, START_MS, START_MS + 1, START_MS + 2) == ["proposed", "ended", "ended"]
    assert not after.holds


def test_what_amends_it_takes_its_place_and_of_two_the_first() -> None:
    first, second = (
        Successor(agreement=name * 64, since_ms=START_MS + at) for name, at in (("b", 5), ("a", 6))
    )
    amended = course(*both(), successors=[second, first])
    assert amended.superseded_by == "b" * 64
    assert states(amended, START_MS + 4, START_MS + 5) == ["active", "superseded"]
    same = [Successor(agreement=name * 64, since_ms=START_MS + 5) for name in "ba"]
    assert course(*both(), successors=same).superseded_by == "a" * 64
    assert first_of([]) is None
    assert first_of([second, first]) == first


def test_what_came_too_late_to_amend_is_never_in_force() -> None:
    winner = Successor(agreement="b" * 64, since_ms=START_MS)
    barred = course(*both(START_MS + 1), barred_by=winner)
    assert barred.state(START_MS + 1) == "superseded" and not barred.holds


def test_what_has_ended_is_not_superseded_afterwards() -> None:
    late = Successor(agreement="b" * 64, since_ms=START_MS + 50 * DAY_MS)
    ended = course(*both(), by("yard", START_MS, "end"), successors=[late])
    assert ended.state(late.since_ms) == "ended" and ended.superseded_by is None


def ends_at(*ends: str, at_ms: int = END_MS) -> Course:
    """Return the course of an agreement that ends in these ways, all at one moment."""
    noticed = [by("mill", at_ms - NOTICE_MS, "end")] if "ended" in ends else []
    amended = [Successor(agreement="b" * 64, since_ms=at_ms)] if "superseded" in ends else []
    return course(*both(), *noticed, successors=amended, renewable="lapsed" not in ends)


@pytest.mark.parametrize(
    "ends",
    [
        ("superseded",),
        ("ended",),
        ("lapsed",),
        ("superseded", "ended"),
        ("superseded", "lapsed"),
        ("ended", "lapsed"),
        ("superseded", "ended", "lapsed"),
    ],
)
def test_of_several_ends_at_one_moment_the_one_that_says_most_is_told(
    ends: tuple[str, ...],
) -> None:
    it = ends_at(*ends)
    assert (it.end_ms, it.end) == (END_MS, ends[0])
    assert it.superseded_by == ("b" * 64 if ends[0] == "superseded" else None)


def test_who_barred_it_takes_its_place_like_a_successor() -> None:
    """Of one that amends it and one that bars it, that which begins first."""
    low, high = (Successor(agreement=name * 64, since_ms=START_MS + 5) for name in "ab")
    later = Successor(agreement="a" * 64, since_ms=START_MS + 6)
    for successor, barring, winner in (
        (low, high, low),
        (high, low, low),
        (later, high, high),
        (high, later, high),
    ):
        it = course(*both(), successors=[successor], barred_by=barring)
        assert (it.superseded_by, it.end_ms) == (winner.agreement, winner.since_ms)


def test_whether_it_ever_was_in_force_is_known() -> None:
    """It was if it began before it ended: what begins as it ends never was."""
    assert course(*both()).holds
    assert not course(by("mill", START_MS)).holds
    for since_ms, holds in ((START_MS + 1, True), (START_MS, False)):
        winner = Successor(agreement="b" * 64, since_ms=since_ms)
        assert course(*both(), successors=[winner]).holds is holds


def test_a_course_says_all_that_its_signatures_say() -> None:
    winner = Successor(agreement="b" * 64, since_ms=START_MS + 50 * DAY_MS)
    given = (*both(START_MS - 2), by("yard", START_MS + 40 * DAY_MS, "end"))
    assert course(*given, successors=[winner]) == Course(
        unsigned=(),
        signed_ms=START_MS - 2,
        since_ms=START_MS,
        notice_ms=START_MS + 40 * DAY_MS,
        end_ms=START_MS + 50 * DAY_MS,
        end="superseded",
        superseded_by="b" * 64,
    )
    assert course(by("yard", START_MS)) == Course(
        unsigned=("mill",),
        signed_ms=None,
        since_ms=None,
        notice_ms=None,
        end_ms=None,
        end=None,
        superseded_by=None,
    )


TIMES = st.integers(START_MS - DAY_MS, END_MS + DAY_MS)
SIGNED = st.lists(
    st.builds(by, st.sampled_from(["mill", "yard"]), TIMES, st.sampled_from(["adopt", "end"])),
    max_size=6,
    unique_by=lambda each: (each.coop, each.action),
)


@given(SIGNED, st.booleans(), st.permutations(range(6)), TIMES)
def test_no_order_matters_and_what_is_over_stays_over(
    signed: list[Given], renewable: bool, order: list[int], now_ms: int
) -> None:
    one = course(*signed, renewable=renewable)
    shuffled = [signed[index] for index in order if index < len(signed)]
    assert course(*shuffled, renewable=renewable) == one
    state = one.state(now_ms)
    turn_ms = one.turns_ms(now_ms)
    if turn_ms is None:
        assert one.state(now_ms + 1_000 * TERM_MS) == state
    else:
        assert one.state(turn_ms - 1) == state != one.state(turn_ms)
    turned_ms = one.turned_ms(now_ms)
    assert turned_ms <= now_ms and one.state(turned_ms) == state
    assert turned_ms == 0 or one.state(turned_ms - 1) != state
    if state in ("ended", "lapsed", "superseded"):
        assert turn_ms is None
    if state in ("active", "ending"):
        assert one.holds and not one.unsigned


SIGNED_MS, BEGAN_MS, NOTICED_MS = START_MS - 5, START_MS, START_MS + 9
OVER_MS = NOTICED_MS + NOTICE_MS


@pytest.mark.parametrize(
    ("now_ms", "state", "turned_ms", "turns_ms"),
    [
        (0, "proposed", 0, SIGNED_MS),
        (SIGNED_MS - 1, "proposed", 0, SIGNED_MS),
        (SIGNED_MS, "signed", SIGNED_MS, BEGAN_MS),
        (BEGAN_MS - 1, "signed", SIGNED_MS, BEGAN_MS),
        (BEGAN_MS, "active", BEGAN_MS, NOTICED_MS),
        (NOTICED_MS - 1, "active", BEGAN_MS, NOTICED_MS),
        (NOTICED_MS, "ending", NOTICED_MS, OVER_MS),
        (OVER_MS - 1, "ending", NOTICED_MS, OVER_MS),
        (OVER_MS, "ended", OVER_MS, None),
        (OVER_MS + TERM_MS, "ended", OVER_MS, None),
    ],
)
def test_it_says_since_when_it_stands_so_and_until_when(
    now_ms: int, state: str, turned_ms: int, turns_ms: int | None
) -> None:
    it = course(*both(SIGNED_MS), by("yard", NOTICED_MS, "end"))
    assert it.state(now_ms) == state
    assert (it.turned_ms(now_ms), it.turns_ms(now_ms)) == (turned_ms, turns_ms)


NOTICED_SOON = by("mill", START_MS - 4, "end")
"""A notice one millisecond after all have signed, and three before it begins."""


@pytest.mark.parametrize(
    ("it", "turns"),
    [
        (
            course(*both(START_MS - 5), NOTICED_SOON),
            [(START_MS - 5, "signed"), (START_MS, "ending"), (START_MS - 4 + NOTICE_MS, "ended")],
        ),
        (
            course(*both(START_MS - 5), NOTICED_SOON, notice_days=0),
            [(START_MS - 5, "signed"), (START_MS - 4, "ended")],
        ),
        (
            course(by("mill", START_MS), by("mill", START_MS + 1, "end"), by("yard", START_MS + 2)),
            [(START_MS + 1, "ended")],
        ),
        (course(*both(END_MS), renewable=False), [(END_MS, "lapsed")]),
        (
            course(*both(), by("mill", END_MS - 1, "end"), renewable=False),
            [(START_MS, "active"), (END_MS - 1, "ending"), (END_MS, "lapsed")],
        ),
    ],
)
def test_a_moment_at_which_nothing_changes_is_no_turn(
    it: Course, turns: list[tuple[int, str]]
) -> None:
    """A notice before it began, a beginning or a signature after it ended."""
    now_ms, found = 0, []
    while (turn_ms := it.turns_ms(now_ms)) is not None:
        found.append((turn_ms, it.state(turn_ms)))
        now_ms = turn_ms
    assert found == turns
    assert [it.turned_ms(each) for each, _ in turns] == [each for each, _ in turns]
    assert it.turned_ms(turns[-1][0] + TERM_MS) == turns[-1][0]
