"""Circles: debts that go around among three coops or more, and can be taken out of all at once.

What is found is an offer of a netting in the making; whether it may be made, `check_offer` says.
Source: ADR 0046.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import TypeAlias

from opkit.wire.base import RecordId, Slug
from opkit.wire.clearing import ClearingPosition, Leg
from opkit.wire.terms import PARTIES_MAX

_Debts: TypeAlias = Mapping[Slug, Mapping[Slug, tuple[int, RecordId]]]
"""What each coop owes each other one at most, and under which agreement."""


def circle_of(
    positions: Iterable[ClearingPosition], unit: str, *, through: Slug | None = None
) -> tuple[Leg, ...]:
    """Return legs that take as much as can be out of the debts of three or more coops.

    Debts are followed from whoever owes to whom it is owed; the shortest way back to the first of
    them closes a circle, which is lowered by its smallest debt. What is in doubt is left alone.
    Nothing is returned if debts do not go around.

    Args:
        positions: those of all coops that take part, as their homes answered; of two that mirror
            each other one is enough.
        unit: in which they are netted.
        through: a coop that must be of the circle, as who proposes a netting is; None for any.
    """
    owes: dict[Slug, dict[Slug, tuple[int, RecordId]]] = {}
    for each in sorted(positions, key=lambda one: one.agreement):
        if each.unit != unit or each.doubt_in or each.doubt_out:
            continue
        for debtor, creditor, debt in (
            (each.coop, each.other, -each.balance),
            (each.other, each.coop, each.balance),
        ):
            known = owes.setdefault(debtor, {})
            if debt > known.get(creditor, (0, each.agreement))[0]:
                known[creditor] = (debt, each.agreement)
    for start in sorted(owes) if through is None else [through]:
        for first in sorted(owes.get(start, ())):
            if path := _around(owes, start, first):
                return _lowered(owes, path)
    return ()


def _lowered(owes: _Debts, path: list[Slug]) -> tuple[Leg, ...]:
    """Return the legs that lower debts, each coop's to the next and the last one's to the first."""
    pairs = list(pairwise([*path, path[0]]))
    least = min(owes[debtor][creditor][0] for debtor, creditor in pairs)
    return tuple(
        Leg(agreement=owes[debtor][creditor][1], payer=creditor, payee=debtor, amount=least)
        for debtor, creditor in pairs
    )


def _around(owes: _Debts, start: Slug, first: Slug) -> list[Slug] | None:
    """Return the shortest circle of three or more that begins with one debt; None for none.

    Ways grow together, and only the first to reach a coop goes on from it: whether debts go around
    is known after one look at each, however many coops owe each other.
    """
    seen, paths = {start, first}, [[start, first]]
    for _ in range(PARTIES_MAX - 1):
        longer = []
        for path in paths:
            for creditor in sorted(owes[path[-1]]):
                if creditor == start and len(path) > 2:
                    return path
                if creditor not in seen:
                    seen.add(creditor)
                    longer.append([*path, creditor])
        paths = longer
    return None
