"""Patronage: a surplus split by weights so that not one unit is lost or made by rounding.

Whoever holds the figures splits them again and gets the same lines: the members' node, each member,
and an auditor. Source: ADR 0042; Hamilton's method (largest remainder).
"""

from __future__ import annotations

from collections.abc import Mapping

from opkit.proof.checks import ProofError
from opkit.wire.base import SAFE_INT_MAX

WEIGHTS_MAX = 10_000
"""Among how many one surplus is split at most: as many as a node knows members."""


def allocate(surplus: int, weights: Mapping[str, int]) -> dict[str, int]:
    """Return each one's part of a surplus, in the order of their names; the parts sum to it.

    Each gets the whole part of `surplus * weight / sum of weights`. What is left, fewer units than
    there are names, goes one each to the largest remainders; of equal remainders to the name that
    comes first by its code points. So the result depends on no order in which figures came.

    Args:
        surplus: in the unit's smallest step, from 0 on.
        weights: what each one's part is measured by (hours, purchases), from 0 on; who has none
            gets nothing.

    Raises:
        ProofError: nobody has a weight, there are too many names, or a figure is negative or beyond
            what canonical JSON carries.
    """
    if not 0 <= surplus <= SAFE_INT_MAX:
        raise ProofError(f"a surplus is from 0 to {SAFE_INT_MAX}, not {surplus}")
    if len(weights) > WEIGHTS_MAX:
        raise ProofError(f"a surplus is split among {WEIGHTS_MAX} at most, not {len(weights)}")
    for name, weight in weights.items():
        if not 0 <= weight <= SAFE_INT_MAX:
            raise ProofError(f"the weight of {name} is from 0 to {SAFE_INT_MAX}, not {weight}")
    whole = sum(weights.values())
    if not whole:
        raise ProofError("a surplus is split among those who have a weight, and nobody has")
    names = sorted(weights)
    parts = {name: surplus * weights[name] // whole for name in names}
    left = surplus - sum(parts.values())
    by_remainder = sorted(names, key=lambda name: (-(surplus * weights[name] % whole), name))
    for name in by_remainder[:left]:
        parts[name] += 1
    return parts
