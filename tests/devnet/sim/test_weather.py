"""Delays of the promised distributions, faults of the promised shares."""

from __future__ import annotations

from random import Random
from statistics import median

from devnet.sim.spec import Latency, Spec
from devnet.sim.weather import Weather, delays


def drawn(kind, typical_ms=40):
    return sorted(delays(Latency(kind=kind, typical_ms=typical_ms), Random(1)))


def test_delays_have_the_distribution_that_was_asked_for() -> None:
    assert set(drawn("constant")) == {40}
    assert set(drawn("constant", 0)) == {1}
    uniform = drawn("uniform")
    assert uniform[0] >= 1 and uniform[-1] <= 80 and 36 <= median(uniform) <= 44
    lognormal = drawn("lognormal")
    assert 36 <= median(lognormal) <= 44
    assert 90 <= lognormal[len(lognormal) * 95 // 100] <= 125


def test_faults_have_the_shares_that_were_asked_for_and_end() -> None:
    weather = Weather(Spec(loss=0.1, reorder=0.2, duplicate=0.3), chance=Random(1))
    shares = [
        sum(fault() for _ in range(10_000)) / 10_000
        for fault in (weather.loses, weather.reorders, weather.duplicates)
    ]
    assert [round(share, 1) for share in shares] == [0.1, 0.2, 0.3]
    weather.cut(frozenset({1, 2}))
    assert weather.cuts(1, 3) and weather.cuts(3, 2)
    assert not weather.cuts(1, 2) and not weather.cuts(3, 4)
    weather.clear_up()
    assert not weather.cuts(1, 3)
    assert not any(weather.loses() or weather.reorders() for _ in range(1_000))
