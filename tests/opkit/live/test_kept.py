"""What is kept is made once of the same things, and anew of others."""

from __future__ import annotations

import pytest

from opkit.live.kept import Kept


def test_what_is_made_of_the_same_is_made_once() -> None:
    kept, made = Kept(), []

    def make() -> str:
        made.append(1)
        return f"number {len(made)}"

    assert kept.made("card", (1, "a"), make) == "number 1"
    assert kept.made("card", (1, "a"), make) == "number 1"
    assert kept.made("card", (2, "a"), make) == "number 2"
    assert kept.made("other card", (2, "a"), make) == "number 3"
    assert kept.made("card", (2, "a"), make) == "number 2"


def test_what_could_not_be_made_is_tried_again() -> None:
    kept = Kept()
    with pytest.raises(ZeroDivisionError):
        kept.made("card", 1, lambda: 1 / 0)
    assert kept.made("card", 1, lambda: "made") == "made"


def test_what_was_not_asked_for_longest_goes_when_too_much_is_kept() -> None:
    kept = Kept(kept_max=2)
    for key in ("a", "b", "a", "c"):
        kept.made(key, 1, lambda: "first")
    assert kept.made("a", 1, lambda: "again") == "first"
    assert kept.made("b", 1, lambda: "again") == "again"
