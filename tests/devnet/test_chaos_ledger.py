"""What lasts, until when, and what it comes to on a link."""

from __future__ import annotations

import pytest

from devnet.chaos_lane import NONE, Hindrance
from devnet.chaos_ledger import ACTIVE_MAX, FOR_MS_DEFAULT, FOR_MS_MAX, Ledger
from devnet.state import DevnetError

AB, BC = frozenset(("a", "b")), frozenset(("b", "c"))


class Clock:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


def test_each_has_an_end_and_is_due_then() -> None:
    clock = Clock()
    ledger = Ledger(now=clock)
    assert ledger.next_end() is None
    late = ledger.begin("loss", for_ms=9_000, told={})
    soon = ledger.begin("cut", for_ms=2_000, told={})
    assert ledger.next_end() == 1_002.0
    assert ledger.due() == ()
    clock.now_s = 1_002.0
    assert ledger.due() == (soon,)
    ledger.end(soon.id)
    ledger.end(soon.id)
    assert ledger.all() == (late,)


@pytest.mark.parametrize("for_ms", [0, 99, FOR_MS_MAX + 1])
def test_too_short_or_too_long_is_refused(for_ms: int) -> None:
    with pytest.raises(DevnetError, match="100 ms to 24 h"):
        Ledger().check(for_ms)


def test_only_so_many_last_at_once() -> None:
    ledger = Ledger()
    for _ in range(ACTIVE_MAX):
        ledger.check(FOR_MS_DEFAULT)
        ledger.begin("loss", for_ms=FOR_MS_DEFAULT, told={})
    with pytest.raises(DevnetError, match="last already") as refused:
        ledger.check(FOR_MS_DEFAULT)
    assert "heal" in refused.value.hint


def test_ids_go_on_from_those_of_an_earlier_supervisor() -> None:
    ledger = Ledger(first=7)
    assert [ledger.begin("cut", for_ms=100, told={}).id for _ in range(2)] == [7, 8]
    assert ledger.get(8).kind == "cut"
    with pytest.raises(DevnetError, match="no disturbance 3") as refused:
        ledger.get(3)
    assert refused.value.hint == "there are: 7, 8"


def test_what_hinders_a_link_is_the_worst_of_each_kind_and_the_newest_seed() -> None:
    ledger = Ledger()
    ledger.begin("loss", for_ms=100, told={}, pairs=(AB, BC), seed=1, hindrance=losing(300))
    ledger.begin("loss", for_ms=100, told={}, pairs=(AB,), seed=2, hindrance=losing(100))
    assert ledger.on(AB) == (losing(300), 2)
    assert ledger.on(BC) == (losing(300), 1)
    assert ledger.on(frozenset(("a", "c"))) == (NONE, 0)


def losing(permille: int) -> Hindrance:
    """Return a loss."""
    return Hindrance(loss_permille=permille)


def test_nodes_are_parted_by_a_cut_by_a_pause_and_by_heavy_loss() -> None:
    ledger = Ledger()
    ledger.begin("loss", for_ms=100, told={}, pairs=(AB,), hindrance=losing(499))
    assert not ledger.parts(AB)
    ledger.begin("loss", for_ms=100, told={}, pairs=(AB,), hindrance=losing(500))
    assert ledger.parts(AB)
    assert not ledger.parts(BC)
    ledger.begin("pause", for_ms=100, told={}, org="c")
    assert ledger.parts(BC)
    assert [one.kind for one in ledger.of("c", "kill", "pause")] == ["pause"]


def test_what_lasts_is_listed_with_the_time_it_has_left() -> None:
    clock = Clock()
    ledger = Ledger(now=clock)
    ledger.begin("loss", for_ms=5_000, told={"share_permille": 200}, pairs=(AB,))
    clock.now_s += 2
    (listed,) = ledger.listed()
    assert listed["left_ms"] == 3_000
    assert (listed["id"], listed["what"], listed["share_permille"]) == (1, "loss", 200)
    assert listed["links"] == [["a", "b"]]
    clock.now_s += 60
    assert ledger.listed()[0]["left_ms"] == 0
