"""Which links and groups are meant, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from devnet import chaos_picks as picks
from devnet.chaos_lane import Hindrance
from devnet.genesis import make_world
from devnet.spec import DevnetSpec
from devnet.state import DevnetError, DevnetState, write_world

RIVER, BRIGHT, HARBOR = (
    "river-city-tool-library",
    "brightworks-cooperative",
    "harbor-homes-cooperative",
)


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> DevnetState:
    folder: Path = tmp_path_factory.mktemp("devnet")
    made = make_world("three", now_ms=1_767_225_600_000)
    spec = DevnetSpec(name="t", profile="three")
    return write_world(folder, spec=spec, made=made, socket=folder / "s")


def test_none_is_all_links_one_its_own_and_several_those_among_them(state: DevnetState) -> None:
    river_bright = frozenset((RIVER, BRIGHT))
    assert len(picks.links_among(state, ())) == 3
    assert len(picks.links_among(state, (RIVER,))) == 2
    assert picks.links_among(state, (BRIGHT, RIVER)) == (river_bright,)
    assert set(picks.links_among(state, (BRIGHT, RIVER, HARBOR))) == set(
        picks.links_among(state, ())
    )


def test_a_node_that_there_is_not_or_that_is_named_twice_is_refused(state: DevnetState) -> None:
    with pytest.raises(DevnetError, match="no node of 'nobody'"):
        picks.links_among(state, ("nobody",))
    with pytest.raises(DevnetError, match=f"{RIVER} is named twice"):
        picks.links_among(state, (RIVER, RIVER))


def test_whoever_is_in_no_group_of_a_partition_is_in_one_more(state: DevnetState) -> None:
    assert picks.whole_groups(state, [[RIVER]]) == ((RIVER,), (BRIGHT, HARBOR))
    assert picks.whole_groups(state, [[RIVER], [HARBOR]]) == ((RIVER,), (HARBOR,), (BRIGHT,))
    assert len(picks.links_between(picks.whole_groups(state, [[RIVER]]))) == 2
    assert len(picks.links_between(picks.whole_groups(state, [[RIVER], [HARBOR]]))) == 3


@pytest.mark.parametrize(
    ("groups", "why"),
    [
        ([[RIVER, BRIGHT], [RIVER]], "named twice"),
        ([[RIVER, BRIGHT, HARBOR]], "two sides"),
        ([], "two sides"),
        ([[RIVER], []], "empty"),
        ([["nobody"]], "no node of 'nobody'"),
    ],
)
def test_nonsense_is_no_partition(state: DevnetState, groups: list[list[str]], why: str) -> None:
    with pytest.raises(DevnetError, match=why):
        picks.whole_groups(state, groups)


def test_what_hinders_has_bounds() -> None:
    assert picks.losing(1_000) == Hindrance(loss_permille=1_000)
    assert picks.delaying(5, 5) == Hindrance(delay_ms=5, jitter_ms=5)
    assert picks.narrowing(8) == Hindrance(rate_kbit_s=8)
    for nonsense, why in (
        (lambda: picks.losing(0), "above 0 and at most 1"),
        (lambda: picks.losing(1_001), "above 0 and at most 1"),
        (lambda: picks.delaying(0, 0), "1 to 10000 ms"),
        (lambda: picks.delaying(10_001, 0), "1 to 10000 ms"),
        (lambda: picks.delaying(5, 6), "at most the delay"),
        (lambda: picks.narrowing(7), "8 to 10000000 kbit/s"),
    ):
        with pytest.raises(DevnetError, match=why):
            nonsense()
