"""Where a name leads, which services fit a question, and in what order they are told."""

from __future__ import annotations

from typing import Any

import pytest

from nodeimpl.discovery.rules import (
    Heard,
    Match,
    Named,
    can,
    cursor_of,
    fits,
    follow,
    health,
    page,
    place_of,
)
from opkit.wire.base import SAFE_INT_MAX
from opkit.wire.names import ALIAS_DEPTH_MAX
from opkit.wire.services import FindServices, ServiceHealth

NOW_MS = 1_000


def named(label: str, leads_to: str | None = None, **said: Any) -> Named:
    """Return a service of the node of its own name, or an alias."""
    service = {"type": "booking", "node": f"node-{label}", "capabilities": ("turn", "mill")}
    fields = {"home": "home", "lapses_at_ms": NOW_MS + 1, "region": "west", **service}
    if leads_to is not None:
        fields = {"home": "home", "lapses_at_ms": NOW_MS + 1, "leads_to": leads_to}
    return Named(**{"name": label, **fields, **said})


def lead(*names: Named) -> Match | None:
    """Return where the first one leads, if these are all the names that there are."""
    known = {each.name: each for each in names}
    return follow(names[0], look_up=known.get, now_ms=NOW_MS)


def aliases(count: int) -> list[Named]:
    """Return so many aliases, each of the next, and the service behind the last one."""
    return [*(named(f"n{at}", f"n{at + 1}") for at in range(count)), named(f"n{count}")]


@pytest.mark.parametrize("count", range(ALIAS_DEPTH_MAX + 1))
def test_a_name_leads_over_as_many_aliases_as_anybody_follows(count: int) -> None:
    match = lead(*aliases(count))
    assert match == Match(way=tuple(aliases(count)))
    assert (match.name, match.service) == ("n0", named(f"n{count}"))


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(aliases(ALIAS_DEPTH_MAX + 1), id="too-far"),
        pytest.param([named("a", "a")], id="to-itself"),
        pytest.param([named("a", "b"), named("b", "a")], id="in-a-circle"),
        pytest.param([named("a", "b")], id="to-nothing"),
        pytest.param([named("a", lapses_at_ms=NOW_MS)], id="lapsed"),
        pytest.param([named("a", "b", lapses_at_ms=NOW_MS), named("b")], id="a-lapsed-alias"),
        pytest.param([named("a", "b"), named("b", lapses_at_ms=NOW_MS)], id="to-what-lapsed"),
    ],
)
def test_a_name_may_lead_nowhere(names: list[Named]) -> None:
    assert lead(*names) is None


def test_no_name_is_looked_up_that_nobody_follows_an_alias_to() -> None:
    looked_up: list[str] = []

    def look_up(name: str) -> Named:
        looked_up.append(name)
        return named(name, f"{name}x")

    assert follow(named("a", "ax"), look_up=look_up, now_ms=NOW_MS) is None
    assert len(looked_up) == ALIAS_DEPTH_MAX


def test_what_stands_for_another_name_is_no_service_itself() -> None:
    alias = named("a", "b")
    assert (alias.type, alias.node, alias.capabilities, alias.region) == ("", "", (), None)


@pytest.mark.parametrize(
    ("asked", "fitting", "able"),
    [
        ({}, True, True),
        ({"type": "booking"}, True, True),
        ({"type": "lending"}, False, True),
        ({"region": "west"}, True, True),
        ({"region": "east"}, False, True),
        ({"type": "booking", "region": "west"}, True, True),
        ({"type": "booking", "region": "east"}, False, True),
        ({"type": "lending", "region": "west"}, False, True),
        ({"capability": "turn"}, True, True),
        ({"capability": "mill"}, True, True),
        ({"capability": "weld"}, True, False),
        ({"type": "lending", "capability": "weld"}, False, False),
    ],
)
def test_a_service_is_what_is_asked_for_in_all_respects(
    asked: dict[str, str], fitting: bool, able: bool
) -> None:
    ask = FindServices(**asked)
    assert (fits(named("a"), ask), can(named("a"), ask)) == (fitting, able)


@pytest.mark.parametrize(
    ("heard", "said"),
    [
        (Heard(), ("unknown", None, None)),
        (Heard(here=True), ("here", NOW_MS, None)),
        (Heard(here=True, round_trip_us=7, lost_ms=5), ("here", NOW_MS, None)),
        (Heard(round_trip_us=7), ("live", NOW_MS, 7)),
        (Heard(round_trip_us=0, lost_ms=5, signed_ms=6), ("live", NOW_MS, 0)),
        (Heard(lost_ms=5), ("silent", 5, None)),
        (Heard(lost_ms=0), ("silent", 0, None)),
        (Heard(lost_ms=5, signed_ms=6), ("silent", 6, None)),
        (Heard(lost_ms=6, signed_ms=5), ("silent", 6, None)),
        (Heard(signed_ms=5), ("unknown", 5, None)),
        (Heard(signed_ms=NOW_MS + 1), ("unknown", NOW_MS, None)),
        (Heard(lost_ms=NOW_MS + 1, signed_ms=5), ("silent", NOW_MS, None)),
    ],
)
def test_a_node_does_as_it_was_heard_of_last_and_never_later_than_now(
    heard: Heard, said: tuple[str, int | None, int | None]
) -> None:
    told = health(heard, now_ms=NOW_MS)
    assert (told.state, told.heard_ms, told.round_trip_us) == said


def told(state: Any, heard_ms: int | None = None) -> ServiceHealth:
    return ServiceHealth(state=state, heard_ms=heard_ms)


@pytest.mark.parametrize(
    ("health", "place"),
    [
        (told("here", NOW_MS), (-SAFE_INT_MAX, "a")),
        (told("live", NOW_MS), (-SAFE_INT_MAX, "a")),
        (told("silent", 900), (-900, "a")),
        (told("unknown", 900), (-900, "a")),
        (told("unknown"), (0, "a")),
    ],
)
def test_a_place_is_when_one_was_heard_of_and_all_who_are_connected_stand_together(
    health: ServiceHealth, place: tuple[int, str]
) -> None:
    assert place_of(Match(way=(named("a"),)), health) == place
    assert cursor_of(place) == f"{-place[0]}.a"


HEALTHS = {
    "node-a": told("silent", 5),
    "node-b": told("live", NOW_MS),
    "node-c": told("unknown"),
    "node-d": told("silent", 7),
    "node-e": told("here", NOW_MS),
    "node-f": told("unknown", 7),
    "node-g": told("unknown"),
}
ORDER = ["b", "e", "d", "f", "a", "c", "g"]
MATCHES = [Match(way=(named(label),)) for label in "gacefbd"]


def told_of(after: str, services_max: int) -> tuple[list[str], str]:
    matches, rest = page(
        iter(MATCHES), healths=HEALTHS.__getitem__, after=after, services_max=services_max
    )
    return [match.name for match in matches], rest


def test_who_was_heard_of_last_comes_first_then_by_name() -> None:
    assert told_of("", 100) == (ORDER, "")
    assert told_of("", 2) == (["b", "e"], f"{SAFE_INT_MAX}.e")
    assert told_of(f"{SAFE_INT_MAX}.e", 2) == (["d", "f"], "7.f")
    assert told_of("7.e", 1) == (["f"], "7.f")
    assert told_of("0.c", 9) == (["g"], "")
    assert told_of("0.g", 9) == ([], "")


@pytest.mark.parametrize("services_max", range(1, 9))
def test_pages_follow_each_other_until_nothing_is_left(services_max: int) -> None:
    names, after, pages = [], "", 0
    while pages == 0 or after:
        told, after = told_of(after, services_max)
        names += told
        pages += 1
        assert len(told) == services_max or not after
    assert names == ORDER
    assert pages == -(-len(ORDER) // services_max)


def test_a_dot_in_a_name_is_no_end_of_a_cursor() -> None:
    matches = [Match(way=(named(name),)) for name in ("a.x", "a.y")]
    told, rest = page(matches, healths=lambda _: HEALTHS["node-a"], after="", services_max=1)
    assert rest == "5.a.x"
    told, rest = page(matches, healths=lambda _: HEALTHS["node-a"], after=rest, services_max=1)
    assert ([match.name for match in told], rest) == (["a.y"], "")


def test_a_service_stands_where_its_own_node_does_by_whatever_name_it_is_found() -> None:
    matches = [Match(way=(named("z"),)), Match(way=(named("y", "x"), named("x", node="node-b")))]
    healths = {"node-z": HEALTHS["node-a"], "node-b": HEALTHS["node-b"]}
    told, _ = page(matches, healths=healths.__getitem__, after="", services_max=5)
    assert told == (matches[1], matches[0])


def test_two_that_stand_in_one_place_are_told_as_they_come() -> None:
    first, second = (Match(way=(named("a", node=node),)) for node in ("node-a", "node-b"))
    told, _ = page((first, second), healths=lambda _: HEALTHS["node-c"], after="", services_max=5)
    assert told == (first, second)
