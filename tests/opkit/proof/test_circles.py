"""Debts that go around: which circle is found, what is taken out of it, and that looking ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opkit.proof.circles import circle_of
from opkit.proof.clearing import check_offer, net_of
from opkit.wire.clearing import ClearingPosition, Leg
from opkit.wire.terms import PARTIES_MAX
from tests.opkit.proof.exchanges import AGREED, leg, offer_of, position
from tests.simulation.town import UNIT

OTHER = "8" * 64
"""An agreement that is named later than the other one, by its id."""

assert AGREED < OTHER


def owed(*debts: tuple[str, str, int], **changes: Any) -> list[ClearingPosition]:
    """Return positions of debtors: who owes, to whom, and how much."""
    return [position(debtor, creditor, -amount, **changes) for debtor, creditor, amount in debts]


def mirrored(known: Sequence[ClearingPosition]) -> list[ClearingPosition]:
    """Return the same positions as the other sides have them."""
    return [
        each.model_copy(update={"coop": each.other, "other": each.coop, "balance": -each.balance})
        for each in known
    ]


def lowered(*around: str, by: int) -> tuple[Leg, ...]:
    """Return the legs that lower what each owes the next, and the last one the first."""
    after = (*around[1:], around[0])
    return tuple(leg(then, one, by) for one, then in zip(around, after, strict=True))


RING = owed(("apple", "birch", 30), ("birch", "cedar", 20), ("cedar", "apple", 25))


@pytest.mark.parametrize("known", [RING, mirrored(RING), RING + mirrored(RING), RING[::-1]])
def test_debts_that_go_around_are_lowered_by_the_least_whoever_tells_of_them(
    known: list[ClearingPosition],
) -> None:
    assert circle_of(known, UNIT) == lowered("apple", "birch", "cedar", by=20)


@pytest.mark.parametrize(
    "changes",
    [{"doubt_in": 1}, {"doubt_out": 1}, {"balance": 0}, {"unit": "usd-cents"}],
)
def test_what_is_in_doubt_or_zero_or_in_another_unit_is_no_debt_to_net(
    changes: dict[str, Any],
) -> None:
    for ring in (RING, mirrored(RING)):
        for at in range(len(ring)):
            known = list(ring)
            known[at] = ring[at].model_copy(update=changes)
            assert circle_of(known, UNIT) == ()
            assert circle_of([known[at], *RING], UNIT) == lowered("apple", "birch", "cedar", by=20)


def test_the_smallest_debt_is_one() -> None:
    known = [each.model_copy(update={"balance": -1}) for each in RING]
    assert circle_of(known, UNIT) == lowered("apple", "birch", "cedar", by=1)


def test_of_debts_under_several_agreements_the_greatest_is_lowered() -> None:
    """Of equal ones that of the lower id, in whatever order they are told."""
    for amount, agreement in ((29, AGREED), (30, AGREED), (31, OTHER)):
        also = owed(("apple", "birch", amount), agreement=OTHER)
        for known in (RING + also, also + RING):
            found = circle_of(known, UNIT)
            assert [each.agreement for each in found] == [agreement, AGREED, AGREED]


def test_to_and_fro_between_two_is_no_circle_and_hides_none() -> None:
    back = owed(("birch", "apple", 9), agreement=OTHER)
    assert circle_of(RING[:1] + back, UNIT) == ()
    assert circle_of(RING[:2] + back, UNIT) == ()
    assert circle_of(RING + back, UNIT) == lowered("apple", "birch", "cedar", by=20)
    assert circle_of(back + owed(("apple", "cedar", 5), ("cedar", "birch", 5)), UNIT) == (
        leg("cedar", "apple", 5),
        leg("birch", "cedar", 5),
        leg("apple", "birch", 5, agreement=OTHER),
    )


def test_the_shortest_circle_of_the_first_debt_is_found() -> None:
    longer = owed(("apple", "birch", 9), ("birch", "dogwood", 9), ("dogwood", "cedar", 9))
    assert circle_of(longer, UNIT) == ()
    closed = longer + owed(("cedar", "apple", 9))
    assert circle_of(closed, UNIT) == lowered("apple", "birch", "dogwood", "cedar", by=9)
    shorter = closed + owed(("birch", "cedar", 7))
    assert circle_of(shorter, UNIT) == lowered("apple", "birch", "cedar", by=7)
    # Of two that are as short, the one by the coop of the lower name.
    both = owed(("apple", "birch", 5), ("birch", "dogwood", 5), ("birch", "cedar", 5)) + owed(
        ("dogwood", "apple", 5), ("cedar", "apple", 5)
    )
    assert circle_of(both, UNIT) == lowered("apple", "birch", "cedar", by=5)
    firsts = owed(("apple", "cedar", 5), ("apple", "birch", 5), ("cedar", "dogwood", 5)) + owed(
        ("birch", "dogwood", 5), ("dogwood", "apple", 5)
    )
    assert circle_of(firsts, UNIT) == lowered("apple", "birch", "dogwood", by=5)


def test_a_circle_beside_the_first_coop_is_found() -> None:
    """Apple owes birch, and is owed nothing: whoever follows its debt comes back to birch."""
    beside = owed(("birch", "cedar", 5), ("cedar", "dogwood", 5), ("dogwood", "birch", 5))
    known = owed(("apple", "birch", 9)) + beside
    assert circle_of(known, UNIT) == lowered("birch", "cedar", "dogwood", by=5)


def test_who_proposes_a_netting_is_of_its_circle() -> None:
    """An offer by a coop that is of none of its legs is none."""
    others = owed(("dogwood", "elm", 5), ("elm", "fir", 5), ("fir", "dogwood", 5))
    known = RING + others
    assert circle_of(known, UNIT, through="elm") == lowered("elm", "fir", "dogwood", by=5)
    assert circle_of(known, UNIT, through="cedar") == lowered("cedar", "apple", "birch", by=20)
    assert circle_of(known, UNIT, through="grape") == ()
    assert circle_of(known + owed(("grape", "elm", 5)), UNIT, through="grape") == ()


def ring_of(count: int) -> list[ClearingPosition]:
    names = [f"coop-{number:02}" for number in range(count)]
    after = [*names[1:], names[0]]
    return owed(*((one, then, 5) for one, then in zip(names, after, strict=True)))


def test_a_circle_has_as_many_as_an_exchange_may_have_parties() -> None:
    assert len(circle_of(ring_of(PARTIES_MAX), UNIT)) == PARTIES_MAX
    assert circle_of(ring_of(PARTIES_MAX + 1), UNIT) == ()


def test_whether_debts_of_many_go_around_is_known_at_once() -> None:
    """Each owes all that come after it: there are more ways than could ever be followed."""
    names = [f"coop-{number:02}" for number in range(40)]
    known = owed(
        *((one, then, 5) for at, one in enumerate(names) for then in names[at + 1 :]),
    )
    assert circle_of(known, UNIT) == ()
    closed = known + owed((names[2], names[0], 5), agreement=OTHER)
    assert {each.payee for each in circle_of(closed, UNIT)} == set(names[:3])


DEBTS = st.lists(
    st.tuples(
        st.sampled_from("abcde"), st.sampled_from("abcde"), st.integers(min_value=1, max_value=9)
    ).filter(lambda debt: debt[0] != debt[1]),
    max_size=12,
    unique_by=lambda debt: frozenset(debt[:2]),
)


@given(DEBTS)
def test_what_is_found_is_a_netting_that_gives_nobody_anything_and_frees_one_of_a_debt(
    debts: list[tuple[str, str, int]],
) -> None:
    legs = circle_of(owed(*debts), UNIT)
    assert (not legs) == (not goes_around(debts))
    if legs:
        assert set(net_of(legs).values()) == {0}
        check_offer(offer_of(*legs, kind="netting", coop=legs[0].payee))
        left = {(debtor, creditor): amount for debtor, creditor, amount in debts}
        for each in legs:
            left[each.payee, each.payer] -= each.amount
        assert min(left[each.payee, each.payer] for each in legs) == 0


def goes_around(debts: list[tuple[str, str, int]]) -> bool:
    """Return whether some of the debts remain when who owes nothing is left out, again and again.

    Of each two only one owes the other, so what remains goes around among three or more.
    """
    pairs = {debt[:2] for debt in debts}
    while pairs:
        owing = {debtor for debtor, _ in pairs}
        kept = {pair for pair in pairs if pair[1] in owing}
        if kept == pairs:
            return True
        pairs = kept
    return False
