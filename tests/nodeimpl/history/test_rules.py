"""What can be shown of a journal: up to its end, and in the order of precedence."""

from __future__ import annotations

import pytest

from nodeimpl.history.rules import judge_place
from opkit.wire.journal import JournalShort, ProofMisplaced


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
