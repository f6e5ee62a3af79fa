"""Virtual time: in order, and nothing else."""

from __future__ import annotations

from devnet.sim.scheduler import Scheduler


def test_what_is_planned_happens_in_the_order_of_time_and_then_of_planning() -> None:
    scheduler, said = Scheduler(), []
    for at_ms, word in ((20, "c"), (10, "a"), (10, "b"), (30, "d")):
        scheduler.at(at_ms, lambda word: said.append((scheduler.now_ms, word)), word)
    while scheduler.step(until_ms=30):
        pass
    assert said == [(10, "a"), (10, "b"), (20, "c")]
    assert (scheduler.now_ms, scheduler.steps) == (30, 3)


def test_what_is_planned_for_the_past_happens_now() -> None:
    scheduler, said = Scheduler(), []
    scheduler.at(50, lambda: scheduler.at(10, lambda: said.append(scheduler.now_ms)))
    while scheduler.step(until_ms=100):
        pass
    assert said == [50]


def test_what_is_planned_after_a_while_is_counted_from_now() -> None:
    scheduler, said = Scheduler(), []
    scheduler.at(50, lambda: scheduler.after(7, lambda: said.append(scheduler.now_ms)))
    while scheduler.step(until_ms=100):
        pass
    assert said == [57]
