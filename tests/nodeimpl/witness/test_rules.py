"""What is concluded from an answer, from others' heads, and when something is said."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from nodeimpl.witness import rules
from nodeimpl.witness.rules import HOUR_MS, Known, Limits
from opkit.proof.forks import Seen, place_of
from opkit.wire.journal import GenerationOpened, HistoryPlace, JournalHead
from opkit.wire.witness import ForkValue, Grown, Growth

LIMITS = Limits()
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


def test_a_head_beyond_the_journal_or_of_another_one_is() -> None:
    assert "it is an old one" in str(own_fault(head(4), size=3))
    assert "another history" in str(own_fault(head(3), size=9, root_there="1" * 64))
    assert "knows nothing" in str(own_fault(head(3, generation=5), size=9))


def test_a_head_of_an_ended_generation_counts_as_far_as_that_had_come() -> None:
    openings = (opening(2, head(5)),)
    assert own_fault(head(5), size=9, generation=2, openings=openings) is None
    assert "it is an old one" in str(own_fault(head(6), size=9, generation=2, openings=openings))
    admitted = (opening(2, head(5)), opening(3, head(9, generation=2), lost=head(6)))
    assert own_fault(head(6), size=12, generation=3, openings=admitted) is None
    assert own_fault(head(7), size=12, generation=3, openings=admitted) is not None


def test_an_answer_is_judged_for_each_head_and_the_first_reason_is_told() -> None:
    late = seen(9)
    shown = Grown(head="a.b.c", growths=(Growth(size=9, root=late.head.root, path=()),))
    sound = rules.judge_answer([late], late, shown)
    assert sound.sound
    assert sound.checked == (late,)
    judged = rules.judge_answer([seen(3), seen(4), seen(9, root="1" * 64), late], late, shown)
    assert judged.unproven == "it shows no growth from its first 3 entries"
    assert [type(each) for each in judged.forks] == [ForkValue]
    assert judged.checked == (late,)
    assert not judged.sound
    assert not replace(judged, unproven=None).sound


def test_a_question_names_the_last_head_and_some_of_what_others_saw() -> None:
    last, others = seen(50), [seen(size) for size in (90, 10, 30, 70, 20)]
    assert rules.choose_seen(None, []) == ()
    assert rules.choose_seen(last, [last]) == (last,)
    assert [each.head.size for each in rules.choose_seen(last, others)] == [50, 90, 10, 30]
    assert [each.head.size for each in rules.choose_seen(None, others[:2])] == [10, 90]
    assert len(rules.choose_seen(None, others)) == 3


def test_two_heads_of_one_place_that_differ_are_found_once() -> None:
    one, other, third = seen(3), seen(3, root="1" * 64), seen(3, root="2" * 64)
    assert rules.find_forks([one, seen(3), seen(4), seen(3, generation=2)]) == []
    assert rules.find_forks([one, seen(4), other, third]) == [(one, other)]


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
        (head(9), LIMITS.renew_ms - 1, 3, False),
        (head(9), LIMITS.renew_ms, 3, True),
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
