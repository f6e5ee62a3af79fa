"""What is concluded from an answer, from others' heads, and when something is said."""

from __future__ import annotations

from typing import Any

import pytest

from nodeimpl.witness import rules
from nodeimpl.witness.rules import Judged, Known, Limits
from opkit.proof.forks import Seen, place_of
from opkit.wire.journal import GenerationOpened, HistoryPlace, JournalHead
from opkit.wire.witness import SEEN_MAX, ForkValue, Grown, Growth

LIMITS = Limits()
HOUR_MS, DAY_MS = 3_600_000, 86_400_000
NODE = "did:key:z6MkjM8TgC9YaNRVCnpJHozHmwzQgHiVXRHhs7PPCtSshX9D"
ZERO = "0" * 64


def head(size: int, *, generation: int = 1, root: str | None = None) -> JournalHead:
    return JournalHead(
        network="a" * 26,
        aud="journal",
        node=NODE,
        generation=generation,
        size=size,
        root=root or f"{size:064x}",
        hash=ZERO,
        issued_at_ms=7,
    )


def seen(size: int, **changes: Any) -> Seen:
    said = head(size, **changes)
    return Seen(token=f"{said.generation}.{said.size}.{said.root}", head=said)


def opening(generation: int, after: JournalHead, lost: JournalHead | None = None) -> Any:
    return GenerationOpened(
        generation=generation,
        after=place_of(after),
        lost=None if lost is None else place_of(lost),
    )


def stands(size: int, generation: int = 1) -> HistoryPlace:
    return place_of(head(size, generation=generation))


def own_fault(one: JournalHead, *, size: int, generation: int = 1, **changes: Any) -> str | None:
    fields = {"root_there": f"{one.size:064x}" if one.size <= size else None, "openings": ()}
    return rules.find_own_fault(one, stands=stands(size, generation), **{**fields, **changes})


def test_a_head_that_is_in_the_journal_is_no_fault() -> None:
    assert own_fault(head(3), size=3) is None
    assert own_fault(head(3), size=9) is None


@pytest.mark.parametrize(
    ("one", "changes", "said"),
    [
        (
            head(1_004),
            {},
            (
                "this node has signed for 1,004 journal entries, and its database "
                "has 1,003 of generation 1: it is an old one"
            ),
        ),
        (
            head(1_003),
            {"root_there": "1" * 64},
            (
                "this node has signed for other first 1,003 journal entries than its "
                "database has: it is of another history, or this key is used twice"
            ),
        ),
        (
            head(3, generation=5),
            {},
            "this node has signed for generation 5, of which its database knows nothing",
        ),
        (
            head(9, generation=2),
            {
                "generation": 3,
                "openings": (opening(2, head(20)), opening(3, head(8, generation=2))),
            },
            (
                "this node has signed for 9 journal entries, and its database "
                "has 8 of generation 2: it is an old one"
            ),
        ),
    ],
)
def test_a_head_beyond_the_journal_or_of_another_one_is(
    one: JournalHead, changes: dict[str, Any], said: str
) -> None:
    assert own_fault(one, size=1_003, **changes) == said


def test_a_head_of_an_ended_generation_counts_as_far_as_that_had_come() -> None:
    openings = (opening(2, head(5)),)
    assert own_fault(head(5), size=9, generation=2, openings=openings) is None
    later = (*openings, opening(3, head(9, generation=2)))
    assert own_fault(head(5), size=12, generation=3, openings=later) is None
    assert own_fault(head(9, generation=2), size=12, generation=3, openings=later) is None
    assert "it is an old one" in str(own_fault(head(6), size=9, generation=2, openings=openings))
    admitted = (opening(2, head(5)), opening(3, head(9, generation=2), lost=head(6)))
    assert own_fault(head(6), size=12, generation=3, openings=admitted) is None
    assert own_fault(head(7), size=12, generation=3, openings=admitted) is not None


def test_an_answer_is_judged_for_each_head_and_the_first_reason_is_told() -> None:
    late, other = seen(9), seen(9, root="1" * 64)
    shown = Grown(head="a.b.c", growths=(Growth(size=9, root=late.head.root, path=()),))
    assert rules.judge_answer([late], late, shown) == Judged(
        forks=(), unproven=None, checked=(late,)
    )
    assert rules.judge_answer([seen(3), seen(4), other, late], late, shown) == Judged(
        forks=(ForkValue(first=late.token, second=other.token),),
        unproven="it shows no growth from its first 3 entries",
        checked=(late,),
    )


@pytest.mark.parametrize(
    ("forks", "unproven", "sound"),
    [((), None, True), (("fork",), None, False), ((), "why", False), (("fork",), "why", False)],
)
def test_a_journal_is_sound_that_grew_from_all_that_was_asked_about(
    forks: Any, unproven: str | None, sound: bool
) -> None:
    assert Judged(forks=forks, unproven=unproven, checked=()).sound is sound


@pytest.mark.parametrize(
    ("last", "heard", "asked"),
    [
        (None, [], []),
        (50, [50], [50]),
        (None, [90, 10], [10, 90]),
        (50, [90, 50, 10, 30], [50, 10, 30, 90]),
        (None, [90, 10, 30], [10, 30, 90]),
        (50, [90, 10, 30, 20], [50, 90, 10, 30]),
        (50, [90, 10, 30, 70, 20], [50, 90, 10, 30]),
        (None, [90, 10, 30, 70, 20, 90], [90, 10, 30]),
    ],
)
def test_a_question_names_the_last_head_and_some_of_what_others_saw(
    last: int | None, heard: list[int], asked: list[int]
) -> None:
    """All of it if there is room; or else the longest, the shortest and one between."""
    chosen = rules.choose_seen(None if last is None else seen(last), [seen(at) for at in heard])
    assert [each.head.size for each in chosen] == asked
    assert isinstance(chosen, tuple)
    assert len(chosen) <= SEEN_MAX


def test_heads_of_a_later_generation_are_the_longer_ones() -> None:
    heads = [seen(1, generation=2), seen(9), seen(9, root="f" * 64)]
    assert rules.choose_seen(None, heads) == (heads[1], heads[2], heads[0])


def test_two_heads_of_one_place_that_differ_are_found_once() -> None:
    one, other, third = seen(3), seen(3, root="1" * 64), seen(3, root="2" * 64)
    assert rules.find_forks([one, seen(3), seen(4), seen(3, generation=2)]) == []
    assert rules.find_forks([one, seen(4), other, third]) == [(one, other)]
    longer = (seen(4), seen(4, root="1" * 64))
    assert rules.find_forks([one, longer[0], other, longer[1]]) == [(one, other), longer]


def test_of_whom_nothing_is_known_nothing_was_ever_asked_or_said() -> None:
    known = Known(node=NODE)
    assert (known.seen, known.unproven) == (None, None)
    assert (known.asked_at_ms, known.announced_at_ms, known.told_at_ms) == (0, 0, 0)


def test_what_was_witnessed_is_told_once_a_generation_and_once_an_hour() -> None:
    known = Known(node=NODE)
    assert rules.wants_announcing(known, head(3), now_ms=5, limits=LIMITS)
    known = Known(node=NODE, seen=seen(3), announced_at_ms=5)
    assert not rules.wants_announcing(known, head(9), now_ms=4 + HOUR_MS, limits=LIMITS)
    assert rules.wants_announcing(known, head(9), now_ms=5 + HOUR_MS, limits=LIMITS)
    assert rules.wants_announcing(known, head(9, generation=2), now_ms=6, limits=LIMITS)


def test_what_was_not_shown_is_told_once_an_hour() -> None:
    assert rules.wants_telling(Known(node=NODE), now_ms=5, limits=LIMITS)
    told = Known(node=NODE, told_at_ms=5)
    assert not rules.wants_telling(told, now_ms=4 + HOUR_MS, limits=LIMITS)
    assert rules.wants_telling(told, now_ms=5 + HOUR_MS, limits=LIMITS)


@pytest.mark.parametrize(
    ("standing", "age_ms", "nodes", "wanted"),
    [
        (None, 0, 3, True),
        (head(3), 59_999, 3, False),
        (head(3), 60_000, 3, True),
        (head(3), 60_000, 11, False),
        (head(3), 66_000, 11, True),
        (head(9), 60_000, 3, False),
        (head(9), 3 * DAY_MS - 1, 3, False),
        (head(9), 3 * DAY_MS, 3, True),
    ],
)
def test_a_head_is_countersigned_when_it_grew_at_most_so_often_and_again_before_it_lapses(
    standing: JournalHead | None, age_ms: int, nodes: int, wanted: bool
) -> None:
    said = rules.wants_publishing(
        head(9),
        standing=standing,
        published_at_ms=1_000,
        now_ms=1_000 + age_ms,
        nodes=nodes,
        limits=LIMITS,
    )
    assert said == wanted
