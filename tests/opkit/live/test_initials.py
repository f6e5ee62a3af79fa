"""Initials tell every node from every other, and stay what they are."""

from __future__ import annotations

import pytest

from opkit.live.initials import initials_among, initials_of


@pytest.mark.parametrize(
    ("title", "initials"),
    [
        ("River City Tool Library", "RC"),
        ("BrightWorks Cooperative", "BW"),
        ("Harbor Homes Cooperative", "HH"),
        ("Amber", "AM"),
        ("FingerLakes", "FL"),
        ("the small coop", "TS"),
        ("", ""),
    ],
)
def test_initials_are_two_letters_of_a_title(title: str, initials: str) -> None:
    assert initials_of(title) == initials


def test_titles_that_begin_alike_have_other_letters_of_theirs() -> None:
    titles = ("River City Tools", "River Crafts Union", "Rural Credit", "Round Table", "Amber")
    assert initials_among(titles) == ("RC", "RU", "RR", "RT", "AM")


def test_what_a_title_begins_with_is_not_taken_by_another() -> None:
    assert initials_among(("Amber", "Amber", "Abel")) == ("AM", "AE", "AB")


@pytest.mark.parametrize("title", ["Cooperative", "A", "", "– –", "É É"])
def test_a_hundred_nodes_of_one_title_are_told_apart(title: str) -> None:
    found = initials_among([title] * 100)
    assert len(set(found)) == 100
    assert max(map(len, found)) <= 3
    assert found == initials_among([title] * 100)
