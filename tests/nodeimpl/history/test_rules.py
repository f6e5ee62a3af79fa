"""What can be shown of a journal: up to its end, and in the order of precedence."""

from __future__ import annotations

import pytest

from nodeimpl.history.rules import find_fault, judge_place
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
    found = find_fault(mark, stands=stands, hash_there=there and there * 64, opening=opening)
    assert (found is None) if fault is None else (found is not None and fault in found)
