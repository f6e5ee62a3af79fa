"""Which services answer a question, where an alias leads, and in which order they are told: pure.

Of two services the one whose node was heard of last comes first, so that what is told first is
what most likely answers.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from opkit.wire.base import SAFE_INT_MAX, Did, Slug, TimeMs
from opkit.wire.names import ALIAS_DEPTH_MAX, NameText
from opkit.wire.services import FindServices, HealthState, ServiceCursor, ServiceHealth


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Bounds of the domain.

    Attributes:
        cards_asked_max: of how many nodes cards are looked for to answer one question.
        cards_at_once: how many of them at one time.
        cards_ms: how long in all; what is not found by then is left out of the answer.
        cardless_ms: for how long a node of whom no card was found is not asked for again.
        cardless_max: of how many nodes that is remembered.
    """

    cards_asked_max: int = 64
    cards_at_once: int = 8
    cards_ms: int = 1_500
    cardless_ms: int = 15_000
    cardless_max: int = 1_024


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """What a name stands for, as far as services are looked for: a service, or another name.

    Attributes:
        home: whose countersignature it is.
        leads_to: the next name of an alias; None of a service, to which all that follows belongs.
    """

    name: NameText
    home: Did
    lapses_at_ms: TimeMs
    leads_to: NameText | None = None
    type: Slug = ""
    node: Did = ""
    capabilities: tuple[Slug, ...] = ()
    region: Slug | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """A service under the name by which it was found; `way` is that name's, then one an alias."""

    way: tuple[Named, ...]

    @property
    def name(self) -> NameText:
        """The name by which it was found."""
        return self.way[0].name

    @property
    def service(self) -> Named:
        """The name that stands for the service itself."""
        return self.way[-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What is known of a node's health: connected with `round_trip_us`, or heard of at a time."""

    here: bool = False
    round_trip_us: int | None = None
    lost_ms: TimeMs | None = None
    signed_ms: TimeMs | None = None


def follow(
    begin: Named, *, look_up: Callable[[NameText], Named | None], now_ms: int
) -> Match | None:
    """Return the service to which a name leads, over at most `ALIAS_DEPTH_MAX` aliases.

    Args:
        begin: the name; one that stands for a service leads to itself.
        look_up: what another name stands for; None if it stands for no service and no name.
        now_ms: names that have lapsed lead nowhere.

    Returns:
        None if it leads nowhere, to itself, or too far.
    """
    way: list[Named] = []
    here: Named | None = begin
    while here is not None and here.lapses_at_ms > now_ms:
        way.append(here)
        if here.leads_to is None:
            return Match(way=tuple(way))
        if len(way) > ALIAS_DEPTH_MAX:
            return None
        here = look_up(here.leads_to)
    return None


def fits(service: Named, ask: FindServices) -> bool:
    """Return whether a service is of the type and the region that are asked for."""
    return ask.type in ("", service.type) and ask.region in ("", service.region)


def can(service: Named, ask: FindServices) -> bool:
    """Return whether a service can what is asked for, by its name's own record."""
    return not ask.capability or ask.capability in service.capabilities


def health(heard: Heard, *, now_ms: TimeMs) -> ServiceHealth:
    """Return how a node does: a connected one is heard of now."""
    if heard.here:
        return ServiceHealth(state="here", heard_ms=now_ms)
    if heard.round_trip_us is not None:
        return ServiceHealth(state="live", heard_ms=now_ms, round_trip_us=heard.round_trip_us)
    times = [told for told in (heard.lost_ms, heard.signed_ms) if told is not None]
    state: HealthState = "unknown" if heard.lost_ms is None else "silent"
    return ServiceHealth(state=state, heard_ms=min(now_ms, max(times)) if times else None)


def place_of(match: Match, told: ServiceHealth) -> tuple[int, NameText]:
    """Return where a service stands among those that are told: who was heard of last, then by name.

    It does not change from page to page while nodes stay as they are: all who are connected stand
    together, whatever time it is.
    """
    heard = SAFE_INT_MAX if told.state in ("here", "live") else told.heard_ms or 0
    return -heard, match.name


def cursor_of(place: tuple[int, NameText]) -> ServiceCursor:
    """Return the cursor behind a place."""
    return f"{-place[0]}.{place[1]}"


def page(
    matches: Iterable[Match],
    *,
    healths: Callable[[Did], ServiceHealth],
    after: ServiceCursor,
    services_max: int,
) -> tuple[tuple[Match, ...], ServiceCursor]:
    """Return the services behind a cursor, and the cursor behind them; empty if none are left.

    Args:
        healths: how a node does.
        after: where the page before ended.
        services_max: how many there may be.
    """
    placed = ((place_of(match, healths(match.service.node)), match) for match in matches)
    begin = _read_cursor(after)
    behind = (each for each in placed if begin is None or each[0] > begin)
    taken = heapq.nsmallest(services_max + 1, behind, key=lambda each: each[0])
    rest = ""
    if len(taken) > services_max:
        taken.pop()  # It is the next page's first one.
        rest = cursor_of(taken[-1][0])
    return tuple(match for _, match in taken), rest


def _read_cursor(after: ServiceCursor) -> tuple[int, NameText] | None:
    if not after:
        return None
    heard, _, name = after.partition(".")
    return -int(heard), name
