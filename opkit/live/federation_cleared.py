"""Positions and exchanges as both of their sides tell of them, put beside each other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from opkit.live.federation_told import Places, Tells
from opkit.views.federation_figures import (
    AgreementFigure,
    Mirror,
    MovedFigure,
    PositionFigure,
)
from opkit.views.money import amount_text
from opkit.wire.clearing import ClearingPosition, Exchange

MOVED_MAX = 100
"""How many exchanges are shown: the newest."""

Apart = tuple[str, str, str, str]
"""A position by which it is known: its agreement, its unit, and its two coops, in order."""


def fold_positions(
    tells: Tells,
    places: Places,
    agreements: Iterable[AgreementFigure],
    *,
    late: Collection[Apart],
) -> tuple[tuple[PositionFigure, ...], list[str]]:
    """Return every position with both of its sides, and what cannot be if both are honest.

    Args:
        tells: what all nodes tell; each is heard about coops whose home it is.
        places: who is where.
        agreements: what positions are under.
        late: positions whose sides have told other than each other for longer than news takes.
    """
    titles = {each.agreement: each.terms.title for each in agreements}
    limits = {
        each.agreement: each.terms.clearing.imbalance_max
        for each in agreements
        if each.terms.clearing is not None
    }
    sides: defaultdict[Apart, dict[str, ClearingPosition]] = defaultdict(dict)
    for org, told in tells.items():
        for side in told.positions:
            if places.homes.get(side.coop) == org and side.coop != side.other:
                sides[_apart(side)][side.coop] = side
    found: list[PositionFigure] = []
    wrong: list[str] = []
    for key, both in sorted(sides.items()):
        figure = _position(key, both, titles, tells, places, is_late=key in late)
        found.append(figure)
        wrong += _wrong_position(figure, places, limits.get(figure.agreement, 0))
    return tuple(found), wrong


def key_of(figure: PositionFigure) -> Apart:
    """Return by what a position is known."""
    return figure.agreement, figure.unit, *figure.coops


def _apart(side: ClearingPosition) -> Apart:
    first, second = sorted((side.coop, side.other))
    return side.agreement, side.unit, first, second


def _position(
    key: Apart,
    both: Mapping[str, ClearingPosition],
    titles: Mapping[str, str],
    tells: Tells,
    places: Places,
    *,
    is_late: bool,
) -> PositionFigure:
    agreement, unit, first, second = key
    one, other = both.get(first), both.get(second)
    silent = [coop for coop in (first, second) if _is_silent(coop, tells, places)]
    return PositionFigure(
        agreement=agreement,
        title=titles.get(agreement, "an agreement that is not shown"),
        unit=unit,
        coops=(first, second),
        sides=(one, other),
        mirror="one" if silent else mirror_of(one, other, is_late=is_late),
    )


def _is_silent(coop: str, tells: Tells, places: Places) -> bool:
    told = tells.get(places.homes.get(coop, ""))
    return told is None or bool(told.trouble)


def mirror_of(
    one: ClearingPosition | None, other: ClearingPosition | None, *, is_late: bool
) -> Mirror:
    """Return how two sides stand to each other; a coop that tells of no position is even."""
    a, b = _span(one), _span(other)
    if a.balance == -b.balance:
        return "equal"
    if max(a.low, -b.high) <= min(a.high, -b.low):
        return "doubt"
    return "other" if is_late else "moment"


class _Span(NamedTuple):
    """What a side says it has, and between what it may be once nothing is in doubt any more."""

    balance: int
    low: int
    high: int


def _span(side: ClearingPosition | None) -> _Span:
    if side is None:
        return _Span(0, 0, 0)
    return _Span(side.balance, side.balance - side.doubt_out, side.balance + side.doubt_in)


def _wrong_position(figure: PositionFigure, places: Places, limit: int) -> Iterable[str]:
    one, other = (places.title(coop) for coop in figure.coops)
    if figure.mirror == "other":
        yield f"{one} and {other} tell other positions under “{figure.title}”"
    for side in figure.sides:
        if side is not None and limit and abs(side.balance) > limit:
            yield (
                f"{places.title(side.coop)} is {amount_text(abs(side.balance), figure.unit)} "
                f"apart from {places.title(side.other)}, and “{figure.title}” lets it be "
                f"{amount_text(limit, figure.unit)}"
            )


def fold_moved(tells: Tells, places: Places) -> tuple[tuple[MovedFigure, ...], bool, list[str]]:
    """Return what passed, newest first, whether there is more, and what cannot be."""
    sides: defaultdict[str, dict[str, Exchange]] = defaultdict(dict)
    for org, told in tells.items():
        for side in told.exchanges:
            if places.homes.get(side.coop) == org:
                sides[side.hash][side.coop] = side
    found = [
        MovedFigure(
            hash=name,
            sides=tuple(both[coop] for coop in sorted(both, key=lambda coop: _place(both, coop))),
            silent=tuple(coop for coop in _parties(both.values()) if coop not in both),
        )
        for name, both in sides.items()
    ]
    found.sort(key=lambda each: (-each.sides[0].offered_ms, each.hash))
    more = len(found) > MOVED_MAX or any(told.more_exchanges for told in tells.values())
    wrong = [each for figure in found for each in _wrong_ends(figure, places)]
    return tuple(found[:MOVED_MAX]), more, wrong


def _place(both: Mapping[str, Exchange], coop: str) -> tuple[bool, str]:
    return both[coop].role != "proposer", coop


def _parties(sides: Iterable[Exchange]) -> list[str]:
    return sorted({coop for one in sides for leg in one.legs for coop in (leg.payer, leg.payee)})


def _wrong_ends(figure: MovedFigure, places: Places) -> Iterable[str]:
    """Return that one side posted what another says came to nothing, if no ruling explains it."""
    ends = {one.state: one for one in figure.sides if one.state in ("committed", "aborted")}
    if len(ends) == 2 and not any(one.ruled for one in figure.sides):
        did, not_ = ends["committed"], ends["aborted"]
        yield (
            f"{places.title(did.coop)} posted exchange {did.exchange_id}, and "
            f"{places.title(not_.coop)} says that nothing came of it"
        )
