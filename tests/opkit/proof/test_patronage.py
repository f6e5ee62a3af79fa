"""Splitting a surplus: nothing is lost, nothing is made, and everybody gets the same lines."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opkit.proof.checks import ProofError
from opkit.proof.patronage import WEIGHTS_MAX, allocate
from opkit.wire.base import SAFE_INT_MAX

names = st.text("abcdefghijé", min_size=1, max_size=4)
amounts = st.one_of(st.integers(0, 100), st.integers(0, SAFE_INT_MAX))
weights = st.dictionaries(names, amounts, min_size=1, max_size=40).filter(
    lambda each: any(each.values())
)


def test_the_figures_of_a_small_cooperative() -> None:
    hours = {"hugo": 120, "leila": 115, "bram": 104}
    assert allocate(3_840, hours) == {"bram": 1178, "hugo": 1359, "leila": 1303}


@given(surplus=amounts, weights=weights)
def test_the_parts_sum_to_the_surplus_whatever_the_weights(
    surplus: int, weights: dict[str, int]
) -> None:
    parts = allocate(surplus, weights)
    assert sum(parts.values()) == surplus
    assert list(parts) == sorted(weights)


@given(surplus=amounts, weights=weights)
def test_each_part_is_the_exact_one_rounded_down_or_up(
    surplus: int, weights: dict[str, int]
) -> None:
    whole = sum(weights.values())
    for name, part in allocate(surplus, weights).items():
        exact = surplus * weights[name]
        assert exact // whole <= part <= -(-exact // whole)


@given(surplus=amounts, weights=weights)
def test_who_has_more_weight_gets_no_less(surplus: int, weights: dict[str, int]) -> None:
    parts = allocate(surplus, weights)
    ordered = sorted(weights, key=lambda name: (weights[name], parts[name]))
    assert [parts[name] for name in ordered] == sorted(parts.values())


@given(surplus=amounts, weights=weights, seed=st.integers())
def test_the_order_in_which_figures_came_changes_nothing(
    surplus: int, weights: dict[str, int], seed: int
) -> None:
    shuffled = list(weights.items())
    random.Random(seed).shuffle(shuffled)
    assert list(allocate(surplus, dict(shuffled)).items()) == list(
        allocate(surplus, weights).items()
    )


@pytest.mark.parametrize(
    ("surplus", "parts"),
    [
        (0, [0, 0, 0]),
        (1, [1, 0, 0]),
        (2, [1, 1, 0]),
        (3, [1, 1, 1]),
        (4, [2, 1, 1]),
    ],
)
def test_of_equal_remainders_the_first_name_gets_one_more(surplus: int, parts: list[int]) -> None:
    assert list(allocate(surplus, {"c": 7, "a": 7, "b": 7}).values()) == parts


def test_the_largest_remainder_comes_before_the_first_name() -> None:
    # 10 * 3 / 7 = 4.28…, 10 * 4 / 7 = 5.71…
    assert allocate(10, {"a": 3, "b": 4}) == {"a": 4, "b": 6}


def test_who_has_no_weight_gets_nothing() -> None:
    assert allocate(5, {"a": 0, "b": 2, "c": 1}) == {"a": 0, "b": 3, "c": 2}
    assert allocate(SAFE_INT_MAX, {"a": 0, "b": SAFE_INT_MAX}) == {"a": 0, "b": SAFE_INT_MAX}


@pytest.mark.parametrize(
    ("surplus", "weights"),
    [
        (-1, {"a": 1}),
        (SAFE_INT_MAX + 1, {"a": 1}),
        (1, {"a": -1, "b": 3}),
        (1, {"a": SAFE_INT_MAX + 1}),
        (1, {"a": 0}),
        (1, {}),
        (1, {str(number): 1 for number in range(WEIGHTS_MAX + 1)}),
    ],
)
def test_figures_that_cannot_be_split_are_refused(surplus: int, weights: dict[str, int]) -> None:
    with pytest.raises(ProofError):
        allocate(surplus, weights)


def test_as_many_as_there_may_be_are_split_among() -> None:
    weights = {f"{number:05}": 1 for number in range(WEIGHTS_MAX)}
    assert sum(allocate(WEIGHTS_MAX + 1, weights).values()) == WEIGHTS_MAX + 1
