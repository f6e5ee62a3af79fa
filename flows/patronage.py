"""Patronage by largest remainder, computed here in Python: what the module's output must equal."""

from __future__ import annotations

from collections.abc import Mapping


def allocate(*, surplus: int, hours: Mapping[str, int]) -> dict[str, int]:
    """Split a surplus among members by their hours so that nothing is lost to rounding.

    Each gets the whole part of their share; what is left goes, one each, to the largest
    remainders, ties to who comes first.

    Args:
        surplus: in the smallest unit.
        hours: per member, in order.

    Raises:
        ValueError: a negative figure, or nobody worked.
    """
    total = sum(hours.values())
    if surplus < 0 or total <= 0 or min(hours.values()) < 0:
        raise ValueError("a surplus is split among people who worked")
    shares = {name: surplus * worked // total for name, worked in hours.items()}
    order = sorted(hours, key=lambda name: -(surplus * hours[name] % total))
    for name in order[: surplus - sum(shares.values())]:
        shares[name] += 1
    return shares


def as_input(*, surplus: int, hours: Mapping[str, int]) -> bytes:
    """Return the figures as the module reads them: `surplus N`, then `name hours` lines."""
    lines = [f"surplus {surplus}", *(f"{name} {worked}" for name, worked in hours.items())]
    return ("\n".join(lines) + "\n").encode("utf-8")


def as_output(shares: Mapping[str, int]) -> bytes:
    """Return shares as the module writes them: `name credits` lines."""
    return "".join(f"{name} {share}\n" for name, share in shares.items()).encode("utf-8")
