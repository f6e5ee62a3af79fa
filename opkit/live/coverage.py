"""Which share of the records that nodes compare is on each of them, by what the nodes tell.

Nodes whose fingerprints are equal keep the same, and nothing more is asked. Where they differ, the
walk goes down as that of two nodes does, asks each node for the ids that it has there, and counts:
nothing is guessed. Source: ADR 0029.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from opkit.views.figures import Coverage
from opkit.wire.overlay import BELOW_IDS_MAX, AskBelow, KeptBelow, KeptSet
from opkit.wire.reconcile import ID_BYTES, ReconciledNamespace

ASKS_MAX: Final = 96
"""How many questions are asked for one picture of one namespace; what is beyond them is said to be
at least what the fullest node has there."""

Ask = Callable[[str, AskBelow], Awaitable[KeptBelow]]
"""Asks the node of an organisation. Raises CoopError, ControlRefused, OSError."""

_DIGITS = "0123456789abcdef"


@dataclass(slots=True)
class _Sum:
    """What was counted until now, over all nodes together and on each."""

    total: int = 0
    held: dict[str, int] = field(default_factory=dict)
    asks: int = 0
    is_exact: bool = True

    def add(self, total: int, held: Mapping[str, int]) -> None:
        """Count what is below one prefix."""
        self.total += total
        for org, count in held.items():
            self.held[org] = self.held.get(org, 0) + count


async def coverage(
    namespace: ReconciledNamespace, sets: Mapping[str, KeptSet], ask: Ask
) -> Coverage:
    """Return which share of a namespace's records each node has.

    Args:
        namespace: which one.
        sets: what each organisation's node told of it, a moment ago.
        ask: asks one of these nodes for more.

    Raises:
        Whatever `ask` raises: without one of the answers there is no picture.
    """
    counted = _Sum(held=dict.fromkeys(sets, 0))
    if len({one.fingerprint for one in sets.values()}) <= 1:
        held = {org: one.records for org, one in sets.items()}
        counted.add(max(held.values(), default=0), held)
    else:
        await _walk("", namespace, tuple(sets), ask, counted)
    return Coverage(
        namespace=namespace,
        total=counted.total,
        held=tuple(sorted(counted.held.items())),
        is_exact=counted.is_exact,
    )


async def _walk(
    prefix: str, namespace: ReconciledNamespace, orgs: tuple[str, ...], ask: Ask, counted: _Sum
) -> None:
    """Count what is below a prefix where nodes differ."""
    counted.asks += len(orgs)
    said = {org: await ask(org, AskBelow(namespace=namespace, prefix=prefix)) for org in orgs}
    told = {org: _ids(one) for org, one in said.items() if one.ids is not None}
    if len(told) == len(orgs):
        counted.add(len(frozenset().union(*told.values())), {o: len(i) for o, i in told.items()})
        return
    for place, digit in enumerate(_DIGITS):
        counts = {
            org: _under(told[org], prefix + digit) if org in told else one.branches[place].records
            for org, one in said.items()
        }
        prints = {one.branches[place].fingerprint for org, one in said.items() if org not in told}
        if not told and len(prints) == 1:
            counted.add(max(counts.values()), counts)
        elif counted.asks + len(orgs) > ASKS_MAX:
            counted.is_exact = False
            counted.add(max(counts.values()), counts)
        else:
            await _walk(prefix + digit, namespace, orgs, ask, counted)


def _ids(said: KeptBelow) -> frozenset[bytes]:
    ids = said.ids or b""
    cut = ids[: BELOW_IDS_MAX * ID_BYTES]
    return frozenset(cut[at : at + ID_BYTES] for at in range(0, len(cut), ID_BYTES))


def _under(ids: frozenset[bytes], prefix: str) -> int:
    return sum(item.hex().startswith(prefix) for item in ids)
