"""A lookup by itself: its paths, its pace, and when it ends."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from functools import cache

from hypothesis import given, settings
from hypothesis import strategies as st

from nodeimpl.overlay.lookup import Lookup, LookupLimits, Pace
from nodeimpl.overlay.port import node_id
from opkit.proof.keys import Identity
from opkit.wire.base import Did
from opkit.wire.dht import ContactText

PACE = Pace(slow_ms=10, late_ms=40)
LIMITS = LookupLimits()
TARGET = 0


@cache
def everybody(count: int = 120) -> tuple[ContactText, ...]:
    """Return contacts, the nearest to the target first."""
    keys = (Identity.from_seed(hashlib.sha256(b"lookup %d" % n).digest()) for n in range(count))
    return tuple(sorted((ContactText(did=key.did) for key in keys), key=place))


def place(contact: ContactText) -> int:
    return node_id(contact.did) ^ TARGET


def begin(
    seeds: list[ContactText],
    limits: LookupLimits = LIMITS,
    doubts: Callable[[ContactText], bool] = lambda _: False,
    gone: Callable[[ContactText], bool] = lambda _: False,
    prefixes: Callable[[ContactText], frozenset[str]] = lambda _: frozenset(),
) -> Lookup:
    own = Identity.from_seed(bytes(32)).did
    return Lookup(
        TARGET,
        own=own,
        seeds=seeds,
        doubts=doubts,
        gone=gone,
        prefixes=prefixes,
        limits=limits,
        now_ms=0,
    )


def drive(
    lookup: Lookup, answer: Callable[[Did], tuple[list[ContactText], list[str]] | None]
) -> int:
    """Let all answer at once, None never; return how many rounds it took."""
    rounds, now_ms = 0, 0
    while True:
        asked = lookup.wanted(now_ms, PACE)
        if lookup.ended():
            return rounds
        rounds += 1
        for contact in asked:
            said = answer(contact.did)
            if said is not None:
                lookup.answered(contact.did, *said)
        if not asked:
            now_ms = lookup.due_ms(now_ms)
            lookup.overdue(now_ms)


@cache
def table_of(did: Did) -> tuple[ContactText, ...]:
    """Return whom somebody knows: a few in each range, the nearest to the target first."""
    own = node_id(did)
    by_range: dict[int, list[ContactText]] = {}
    for one in reversed(everybody()):
        known = by_range.setdefault((node_id(one.did) ^ own).bit_length(), [])
        if one.did != did and len(known) < 5:
            known.append(one)
    return tuple(sorted((one for known in by_range.values() for one in known), key=place))


def honest(did: Did) -> tuple[list[ContactText], list[str]]:
    return list(table_of(did)[:20]), []


def test_the_nearest_are_found_from_far_away() -> None:
    lookup = begin(list(everybody()[-3:]))
    drive(lookup, honest)
    assert lookup.closest(5) == list(everybody()[:5])
    assert set(lookup.closest(20)) <= set(everybody()[:24])
    assert lookup.hops() > 1
    assert lookup.asked == len(lookup.answered_by)


def test_nobody_is_asked_twice_and_each_path_one_at_a_time() -> None:
    lookup = begin(list(everybody()[-20:]))
    asked: list[Did] = []
    while wanted := lookup.wanted(0, PACE):
        assert len(wanted) <= 3
        asked += [one.did for one in wanted]
        for one in wanted:
            lookup.answered(one.did, *honest(one.did))
    assert lookup.ended()
    assert len(asked) == len(set(asked))


def test_with_nobody_to_ask_it_has_ended() -> None:
    lookup = begin([])
    assert lookup.wanted(0, PACE) == []
    assert lookup.ended()
    assert (lookup.closest(20), lookup.hops()) == ([], 0)


def test_one_contact_alone_is_one_path_with_all_questions_at_once() -> None:
    lookup = begin([everybody()[9]])
    (first,) = lookup.wanted(0, PACE)
    lookup.answered(first.did, everybody()[:9])
    assert len(lookup.wanted(0, PACE)) == 3


def test_a_path_that_waits_too_long_asks_another_besides_and_then_goes_on() -> None:
    lookup = begin(list(everybody()[:30]), replace(LIMITS, slow_max=1))
    first = lookup.wanted(0, PACE)
    assert lookup.wanted(9, PACE) == []
    assert lookup.due_ms(9) == 10
    second = lookup.wanted(10, PACE)
    assert len(second) == 3
    assert lookup.wanted(25, PACE) == [], "so many may be slow and no more"
    assert lookup.due_ms(25) == 40
    lookup.overdue(40)
    assert lookup.silent == 3
    lookup.answered(first[0].did, [])
    assert lookup.closest(1) == [first[0]], "late is not lost"
    lookup.answered(first[0].did, [])
    assert len(lookup.answered_by) == 1


def test_it_ends_when_its_time_is_over() -> None:
    lookup = begin(list(everybody()))
    lookup.wanted(0, PACE)
    lookup.overdue(LIMITS.lookup_ms - 1)
    assert not lookup.stopped
    lookup.overdue(LIMITS.lookup_ms)
    assert lookup.ended()
    assert lookup.wanted(LIMITS.lookup_ms, PACE) == []


def test_a_path_asks_no_more_than_it_may() -> None:
    lookup = begin(list(everybody()), replace(LIMITS, asks_max=4))
    drive(lookup, lambda _: None)
    assert lookup.asked == 12


def test_liars_use_up_their_own_path_only() -> None:
    """They name each other, nearer and nearer, and hold what no other path may ask."""
    liars, good = everybody()[:60], everybody()[60:]

    def answer(did: Did) -> tuple[list[ContactText], list[str]]:
        if any(one.did == did for one in liars):
            return list(liars[:20]), []
        found = [one for one in good if one.did != did]
        return found[:20], ["there"] if did == good[0].did else []

    seeds = [liars[30], liars[31], good[-1]]
    lookup = begin(seeds)
    lookup.standing = "there"
    drive(lookup, answer)
    assert good[0].did in lookup.answered_by
    alone = begin(seeds, replace(LIMITS, paths=1, width=20))
    drive(alone, answer)
    assert good[0].did not in alone.answered_by, "over one path they hide it"


def test_a_path_that_brought_what_stands_is_content_and_the_others_go_on() -> None:
    lookup = begin(list(everybody()[:12]))
    first = lookup.wanted(0, PACE)
    lookup.standing = "new"
    lookup.answered(first[0].did, [], ["new"])
    lookup.answered(first[1].did, [], ["old"])
    lookup.answered(first[2].did, [], ["new"])
    assert len(lookup.wanted(0, PACE)) == 1
    assert not lookup.ended()
    lookup.standing = "newer"
    assert len(lookup.wanted(0, PACE)) == 2


def test_suspects_are_asked_only_if_nobody_else_answers() -> None:
    suspect = everybody()[0]
    lookup = begin(list(everybody()[:5]), doubts=lambda one: one == suspect)
    drive(lookup, lambda _: ([], []))
    assert suspect.did not in lookup.answered_by
    lookup = begin([suspect], doubts=lambda _: True)
    drive(lookup, lambda _: ([], []))
    assert suspect.did in lookup.answered_by


def test_a_widened_lookup_asks_whoever_was_passed_over_or_left_out_and_is_not_gone() -> None:
    first, passed, gone, left_out = everybody()[:4]
    lookup = begin(
        [first, passed, gone], doubts=lambda one: one != first, gone=lambda one: one == gone
    )
    drive(lookup, lambda _: ([], []))
    assert set(lookup.answered_by) == {first.did}
    lookup.widen([left_out, first, gone])
    assert lookup.wanted(0, PACE) == [left_out, passed]
    assert not lookup.ended()
    for one in (passed, left_out):
        lookup.answered(one.did, [])
    assert lookup.wanted(0, PACE) == []
    assert lookup.ended()
    assert not lookup.awaits()


def test_a_widened_lookup_asks_nobody_farther_away_than_it_would_have() -> None:
    near, far = list(everybody()[: LIMITS.width]), everybody()[LIMITS.width :]
    lookup = begin([*near, *far[:3]], replace(LIMITS, paths=1), doubts=lambda one: one in far)
    drive(lookup, lambda _: ([], []))
    lookup.widen(far)
    assert lookup.wanted(0, PACE) == []


def test_who_is_late_may_answer_yet_until_the_question_has_ended_or_nobody_waits() -> None:
    first, second, third = everybody()[:3]
    gone: set[Did] = set()
    lookup = begin([first, second, third], gone=lambda one: one.did in gone)
    lookup.wanted(0, PACE)
    lookup.overdue(PACE.late_ms)
    assert lookup.ended()
    assert lookup.awaits()
    assert lookup.silent == 3
    lookup.failed(first.did)
    lookup.answered(second.did, [])
    assert lookup.silent == 2, "late is not lost"
    assert lookup.awaits()
    gone.add(third.did)
    assert not lookup.awaits(), "it failed too often elsewhere"
    gone.clear()
    lookup.stop()
    assert not lookup.awaits()


def test_who_is_asked_at_two_addresses_is_awaited_at_both() -> None:
    first, second, wanted = everybody()[1], everybody()[2], everybody()[0]
    lookup = begin([first, second])
    lookup.wanted(0, PACE)
    lookup.answered(first.did, [at(wanted, "wrong")])
    assert lookup.wanted(0, PACE) == [at(wanted, "wrong")]
    lookup.overdue(PACE.late_ms)
    lookup.answered(second.did, [at(wanted, "right")])
    assert lookup.wanted(PACE.late_ms, PACE) == [at(wanted, "right")]
    lookup.overdue(2 * PACE.late_ms)
    lookup.failed(wanted.did)
    assert lookup.awaits()
    lookup.failed(wanted.did)
    assert not lookup.awaits()


def test_one_address_prefix_is_asked_a_few_times_by_each_path() -> None:
    lookup = begin(list(everybody()), prefixes=lambda _: frozenset({"6.6"}))
    drive(lookup, lambda _: ([], []))
    assert lookup.asked == LIMITS.paths * LIMITS.per_prefix_max


def at(contact: ContactText, address: str) -> ContactText:
    return ContactText(did=contact.did, addresses=(address,))


def test_who_was_named_at_a_wrong_address_is_asked_at_the_right_one_by_another_path() -> None:
    first, second, third, wanted = everybody()[1], everybody()[2], everybody()[3], everybody()[0]
    lookup = begin([first, second, third])
    lookup.wanted(0, PACE)
    lookup.answered(first.did, [at(wanted, "wrong")])
    assert lookup.wanted(0, PACE) == [at(wanted, "wrong")]
    lookup.answered(second.did, [at(wanted, "right")])
    lookup.answered(third.did, [at(wanted, "wrong")])
    assert lookup.wanted(0, PACE) == [], "it is being asked"
    lookup.failed(wanted.did)
    assert lookup.wanted(0, PACE) == [at(wanted, "right")]
    lookup.answered(wanted.did, [])
    assert lookup.closest(1) == [at(wanted, "right")]
    assert lookup.wanted(0, PACE) == []
    assert lookup.ended()


def test_where_somebody_is_can_be_asked_of_a_lookup() -> None:
    first, other = everybody()[1], everybody()[90]
    lookup = begin([first])
    lookup.wanted(0, PACE)
    lookup.answered(first.did, [other])
    assert lookup.contact_of(first.did) == first
    assert lookup.contact_of(other.did) == other
    assert lookup.contact_of(everybody()[5].did) is None


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(0, 119), min_size=1, max_size=20, unique=True),
    st.sets(st.integers(0, 119), max_size=60),
    st.sets(st.integers(0, 119), max_size=60),
    st.integers(1, 4),
)
def test_it_always_ends_within_its_bounds(
    seeds: list[int], dead: set[int], doubted: set[int], paths: int
) -> None:
    contacts = everybody()
    silent = {contacts[number].did for number in dead}
    suspects = {contacts[number].did for number in doubted}
    limits = replace(LIMITS, paths=paths)
    lookup = begin(
        [contacts[number] for number in seeds],
        limits,
        doubts=lambda one: one.did in suspects,
        gone=lambda one: one.did in suspects & silent,
    )

    def answer(did: Did) -> tuple[list[ContactText], list[str]] | None:
        return None if did in silent else honest(did)

    drive(lookup, answer)
    before = set(lookup.answered_by)
    lookup.widen(contacts[:20])
    drive(lookup, answer)
    assert before <= set(lookup.answered_by)
    assert lookup.asked <= paths * limits.asks_max
    assert not silent & lookup.answered_by.keys()
    assert lookup.held() <= paths * 121 + 120
