"""What can be shown of a journal: up to its end, and in the order of precedence."""

from __future__ import annotations

import pytest

from nodeimpl.history.rules import Keeping, find_cut, find_fault, judge_place
from opkit.wire.journal import GenerationOpened, HistoryPlace, JournalShort, ProofMisplaced


@pytest.mark.parametrize(("shown", "tree", "size"), [(1, 1, 1), (1, 7, 7), (7, 7, 9), (2, 3, 9)])
def test_what_lies_in_the_journal_can_be_shown(shown: int, tree: int, size: int) -> None:
    judge_place(shown=shown, tree=tree, size=size)


@pytest.mark.parametrize(("tree", "size"), [(8, 7), (1, 0), (2**53 - 1, 7)])
def test_a_tree_larger_than_the_journal_is_refused(tree: int, size: int) -> None:
    with pytest.raises(JournalShort) as no:
        judge_place(shown=1, tree=tree, size=size)
    assert no.value.details() == {"asked": tree, "size": size}


@pytest.mark.parametrize("size", [9, 2])
def test_what_lies_behind_its_tree_is_refused_first(size: int) -> None:
    with pytest.raises(ProofMisplaced) as no:
        judge_place(shown=5, tree=4, size=size)
    assert no.value.details() == {"asked": 5, "size": 4}


def place(generation: int, size: int, mark: str = "a") -> HistoryPlace:
    return HistoryPlace(generation=generation, size=size, root="0" * 64, hash=mark * 64)


@pytest.mark.parametrize(
    ("mark", "stands", "there", "lost", "fault"),
    [
        pytest.param(place(1, 7), place(1, 7), "a", None, None, id="where-it-stands"),
        pytest.param(place(1, 7), place(1, 9), "a", None, None, id="the-mark-lags"),
        pytest.param(place(1, 0), place(1, 9), "a", None, None, id="marked-when-it-was-empty"),
        pytest.param(place(1, 8), place(1, 7), None, None, "an old one", id="one-entry-short"),
        pytest.param(place(1, 7), place(1, 7), "b", None, "another history", id="other-entry"),
        pytest.param(place(1, 7), place(1, 9), "b", None, "another history", id="other-branch"),
        pytest.param(place(5, 7), place(1, 7), "a", None, "generation 1", id="older-generation"),
        pytest.param(place(1, 7), place(5, 9), "a", None, None, id="opened-and-not-yet-marked"),
        pytest.param(place(1, 7), place(5, 9), "b", place(1, 7), None, id="opened-knowing-it"),
        pytest.param(place(1, 9), place(5, 7), None, place(1, 9), None, id="opened-far-behind"),
        pytest.param(
            place(1, 7), place(5, 9), "b", place(1, 6), "another history", id="opened-not-knowing"
        ),
        pytest.param(
            place(1, 9), place(5, 7), None, place(1, 8), "an old one", id="opened-before-the-mark"
        ),
        pytest.param(
            place(5, 9), place(5, 7), None, place(5, 9), "an old one", id="opened-by-the-marked-one"
        ),
    ],
)
def test_a_database_is_the_marked_history_or_goes_on_from_it(
    mark: HistoryPlace,
    stands: HistoryPlace,
    there: str | None,
    lost: HistoryPlace | None,
    fault: str | None,
) -> None:
    opening = None
    if stands.generation > 1:
        after = place(1, 1)
        opening = GenerationOpened(generation=stands.generation, after=after, lost=lost)
    found = find_fault(
        mark, stands=stands, hash_there=there and there * 64, begins=0, opening=opening
    )
    assert (found is None) if fault is None else (found is not None and fault in found)


@pytest.mark.parametrize(
    ("mark", "stands", "begins", "said"),
    [
        (
            place(5, 7),
            place(1, 7),
            0,
            "the database is of generation 1, and this node has been in generation 5",
        ),
        (
            place(1, 1_008),
            place(1, 1_007),
            0,
            (
                "the database has 1,007 journal entries, "
                "and this node has committed 1,008: it is an old one"
            ),
        ),
        (
            place(1, 1_007),
            place(1, 1_009),
            1_008,
            (
                "the mark is of entry 1,007, and the database begins after 1,008: "
                "it is an old mark, or of another history"
            ),
        ),
        (
            place(1, 1_007),
            place(1, 1_009),
            0,
            (
                "the database has another journal entry 1,007 "
                "than this node has committed: it is of another history"
            ),
        ),
    ],
)
def test_what_is_wrong_with_a_database_is_one_sentence(
    mark: HistoryPlace, stands: HistoryPlace, begins: int, said: str
) -> None:
    found = find_fault(mark, stands=stands, hash_there="b" * 64, begins=begins, opening=None)
    assert found == said


def test_a_mark_from_before_the_beginning_is_none_of_this_database() -> None:
    asked = {"stands": place(1, 900), "opening": None}
    assert find_fault(place(1, 512), hash_there="a" * 64, begins=512, **asked) is None
    found = find_fault(place(1, 511), hash_there=None, begins=512, **asked)
    assert found is not None
    assert "begins after 512" in found


def cut_of(
    *, begins: int = 0, size: int = 1_000, heard: int | None = None, **keeping: int
) -> int | None:
    """Ask on a journal whose entry n came at millisecond n, a thousand entries ago at most."""
    return find_cut(
        Keeping(**{"step_min": 1, **keeping}),
        begins=begins,
        size=size,
        heard=size if heard is None else heard,
        now_ms=size,
        at_ms=lambda sequence: sequence,
        block=256,
    )


@pytest.mark.parametrize(
    ("asked", "cut"),
    [
        pytest.param({}, None, id="off"),
        pytest.param({"entries_min": 1_000}, None, id="all-are-kept"),
        pytest.param({"entries_min": 745}, None, id="one-short-of-a-block"),
        pytest.param({"entries_min": 744}, 256, id="one-block"),
        pytest.param({"entries_min": 1}, 768, id="whole-blocks-only"),
        pytest.param({"entries_min": 1, "size": 768}, 512, id="one-entry-stays"),
        pytest.param({"entries_min": 1, "begins": 512}, 768, id="goes-on"),
        pytest.param({"entries_min": 1, "begins": 768}, None, id="went-already"),
        pytest.param({"entries_min": 1, "heard": 600}, 512, id="a-listener-lags"),
        pytest.param({"entries_min": 1, "heard": 0}, None, id="a-listener-read-nothing"),
        pytest.param({"entries_min": 1, "step_min": 769}, None, id="not-worth-it"),
        pytest.param({"entries_min": 1, "step_min": 768}, 768, id="worth-it"),
        pytest.param({"age_ms_min": 744}, None, id="exactly-as-old-stays"),
        pytest.param({"age_ms_min": 743}, 256, id="older-goes"),
        pytest.param({"age_ms_min": 1}, 768, id="age-alone"),
        pytest.param({"age_ms_min": 1, "entries_min": 600}, 256, id="both-must-allow"),
        pytest.param({"age_ms_min": 743, "entries_min": 1}, 256, id="both-must-allow-either-way"),
        pytest.param({"age_ms_min": 743, "begins": 256}, None, id="nothing-old-left"),
        pytest.param({"age_ms_min": 1, "heard": 100, "begins": 256}, None, id="heard-before"),
    ],
)
def test_what_is_old_enough_and_more_than_is_kept_may_go(
    asked: dict[str, int], cut: int | None
) -> None:
    assert cut_of(**asked) == cut


def test_a_journal_whose_every_entry_is_old_keeps_its_last_block() -> None:
    """The chain goes on from its last entry, so the last one never goes."""
    old = find_cut(
        Keeping(age_ms_min=1, step_min=1),
        begins=0,
        size=512,
        heard=512,
        now_ms=10_000,
        at_ms=lambda sequence: sequence,
        block=256,
    )
    assert old == 256


def test_only_one_entry_has_to_stay() -> None:
    cut = find_cut(
        Keeping(age_ms_min=1, step_min=1),
        begins=0,
        size=257,
        heard=257,
        now_ms=10_000,
        at_ms=lambda sequence: sequence,
        block=256,
    )
    assert cut == 256


def test_time_does_not_count_where_no_age_is_asked_for() -> None:
    """A clock that stepped back leaves entries of the future."""
    cut = find_cut(
        Keeping(entries_min=1, step_min=1),
        begins=0,
        size=1_000,
        heard=1_000,
        now_ms=0,
        at_ms=lambda sequence: sequence,
        block=256,
    )
    assert cut == 768
