"""Which links are meant: those among the named nodes, or between groups of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations

from devnet.chaos_lane import Hindrance
from devnet.chaos_ledger import Pair
from devnet.state import DevnetError, DevnetState

DELAY_MS_MAX = 10_000
RATE_KBIT_S_MIN = 8
RATE_KBIT_S_MAX = 10_000_000


def links_among(state: DevnetState, orgs: Sequence[str]) -> tuple[Pair, ...]:
    """Return the links that are meant: none named: all; one: its own; several: those among them.

    Raises:
        DevnetError: a node is unknown, or named twice.
    """
    _check(state, orgs)
    every = [frozenset(two) for two in combinations((node.org for node in state.nodes), 2)]
    if not orgs:
        return tuple(every)
    if len(orgs) == 1:
        return tuple(pair for pair in every if orgs[0] in pair)
    return tuple(pair for pair in every if pair <= set(orgs))


def whole_groups(
    state: DevnetState, groups: Iterable[Sequence[str]]
) -> tuple[tuple[str, ...], ...]:
    """Return the groups of a partition; nodes that no group names are one more.

    Raises:
        DevnetError: a node is unknown or named twice, a group is empty, or there is only one.
    """
    named = tuple(tuple(group) for group in groups)
    if not all(named):
        raise DevnetError("a group of a partition is empty", hint="name at least one node in each")
    _check(state, [org for group in named for org in group])
    rest = tuple(node.org for node in state.nodes if all(node.org not in group for group in named))
    whole = (*named, rest) if rest else named
    if len(whole) < 2:
        raise DevnetError("a partition has two sides", hint="leave a node out, or name two groups")
    return whole


def links_between(groups: Sequence[Sequence[str]]) -> tuple[Pair, ...]:
    """Return the links from each group to the others."""
    return tuple(
        frozenset((a, b)) for one, other in combinations(groups, 2) for a in one for b in other
    )


def _check(state: DevnetState, orgs: Sequence[str]) -> None:
    for org in orgs:
        state.node(org)
    twice = sorted({org for org in orgs if orgs.count(org) > 1})
    if twice:
        raise DevnetError(f"{', '.join(twice)} is named twice", hint="name each node once")


def losing(share_permille: int) -> Hindrance:
    """Return the loss of so many of 1,000 datagrams.

    Raises:
        DevnetError: none, or more than all.
    """
    if not 1 <= share_permille <= 1_000:
        raise DevnetError("a share that is lost is above 0 and at most 1", hint="0.2 is 20 %")
    return Hindrance(loss_permille=share_permille)


def delaying(delay_ms: int, jitter_ms: int) -> Hindrance:
    """Return a delay, more or less by the jitter.

    Raises:
        DevnetError: none or too long, or a jitter that is longer.
    """
    if not 1 <= delay_ms <= DELAY_MS_MAX:
        raise DevnetError(f"a delay is 1 to {DELAY_MS_MAX} ms", hint="pause stops a node whole")
    if jitter_ms > delay_ms:
        raise DevnetError("a jitter is at most the delay", hint="nothing arrives before it is sent")
    return Hindrance(delay_ms=delay_ms, jitter_ms=jitter_ms)


def narrowing(rate_kbit_s: int) -> Hindrance:
    """Return a line that carries so much and no more.

    Raises:
        DevnetError: too little for a link to live on, or more than a machine carries.
    """
    if not RATE_KBIT_S_MIN <= rate_kbit_s <= RATE_KBIT_S_MAX:
        raise DevnetError(
            f"a rate is {RATE_KBIT_S_MIN} to {RATE_KBIT_S_MAX} kbit/s", hint="cut lets nothing pass"
        )
    return Hindrance(rate_kbit_s=rate_kbit_s)
