"""One run: all join, there is load and bad weather, then time to settle, then the reckoning."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from devnet.sim.ending import missing
from devnet.sim.load import Load
from devnet.sim.result import Result
from devnet.sim.simulation import SEEDS, NodeOf, Simulation, honest_node
from devnet.sim.spec import Spec
from devnet.sim.violation import Violation
from devnet.sim.world import Peer

JOIN_MS_MIN = 2_000
JOIN_MS_PER_NODE = 20
CALM_MS = 8_000
"""What passes between the last node's start and the first load."""

DOWN_MS_MIN = 3_000
"""For how long who crashes is down at least."""

LAST_MS = 10_000
"""How long before the end the last lookups begin."""

LAST_LOOKUPS = 100

EVENTS_PER_NODE = 20
"""How many events pass at least, for each node, between two looks at all of them."""

REPORTS = 100
"""How often the progress is told."""

COVERAGE_MS = (*range(0, 1_000, 25), *range(1_000, 5_000, 100), *range(5_000, 60_001, 1_000))
"""After how long after its publication it is looked how far a record has come."""

COLLECTED_EVERY = 50_000
"""After how many values more than were given back garbage is looked for among the new ones."""

Progress = Callable[[float], None]
"""Is told which share of the virtual time is over."""


def run(
    spec: Spec, *, node_of: NodeOf = honest_node, progress: Progress = lambda _: None
) -> Result:
    """Run a spec to its end, or to the first rule that is broken.

    Args:
        spec: everything that the run depends on.
        node_of: makes the nodes; tests break rules with it.
        progress: is told how far it is.
    """
    began_s = time.process_time()
    with _seldom_collected():
        sim = Simulation(spec, node_of=node_of)
        load = Load(sim)
        until_ms = _plan(sim, load)
        violation: Violation | None = None
        try:
            _go(sim, until_ms, progress)
        except Violation as broken:
            violation = broken
            broken.seed, broken.step = spec.seed, sim.scheduler.steps
            broken.at_ms = sim.scheduler.now_ms
        lacking = () if violation is not None else missing(sim, load)
    return _result(
        sim, load, violation=violation, lacking=lacking, cpu_s=time.process_time() - began_s
    )


@contextmanager
def _seldom_collected() -> Iterator[None]:
    """Let garbage be looked for seldom, and not among what was there before.

    A run makes millions of values and hardly a cycle: looking for them took a third of its time,
    and four times as long as the run itself in a process that already held much. Where somebody
    has it passed over already, it stays so: that can be taken back for all of it only.
    """
    before, passed_over = gc.get_threshold(), gc.get_freeze_count()
    if not passed_over:
        gc.freeze()
    gc.set_threshold(COLLECTED_EVERY, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
        if not passed_over:
            gc.unfreeze()


def _plan(sim: Simulation, load: Load) -> int:
    """Plan starts, load, crashes and weather; return when the run ends."""
    spec, scheduler = sim.spec, sim.scheduler
    joining_ms = max(JOIN_MS_MIN, JOIN_MS_PER_NODE * spec.nodes)
    chance = sim.chance("joining")
    for peer in sim.world.peers:
        at_ms = peer.index * 10 if peer.index < SEEDS else chance.randrange(50, joining_ms)
        scheduler.at(at_ms, sim.start, peer)
    from_ms = joining_ms + CALM_MS
    good_ms = from_ms + spec.seconds * 1_000
    until_ms = good_ms + spec.settle_s * 1_000
    load.begin(from_ms=from_ms, until_ms=good_ms)
    _plan_churn(sim, from_ms=from_ms, until_ms=good_ms)
    if spec.partition is not None:
        some = sim.chance("partition").sample(
            range(len(sim.world.peers)), round(spec.partition.share * len(sim.world.peers))
        )
        scheduler.at(from_ms + spec.partition.from_s * 1_000, sim.world.cut, frozenset(some))
        scheduler.at(from_ms + spec.partition.until_s * 1_000, sim.world.cut, frozenset[int]())
    scheduler.at(good_ms, sim.weather.clear_up)
    last_ms = max(good_ms, until_ms - LAST_MS)
    load.finish(from_ms=last_ms, until_ms=(last_ms + until_ms) // 2, count=LAST_LOOKUPS)
    return until_ms


def _plan_churn(sim: Simulation, *, from_ms: int, until_ms: int) -> None:
    """Have a share of the nodes crash once, and come back before the weather is good again."""
    chance, scheduler = sim.chance("churn"), sim.scheduler
    able = [peer for peer in sim.honest if peer.index >= SEEDS]
    count = min(len(able), round(sim.spec.churn * sim.spec.nodes))
    span_ms = until_ms - from_ms
    for number, peer in enumerate(chance.sample(able, count)):
        at_ms = from_ms + chance.randrange(max(1, span_ms * 7 // 10))
        down_ms = DOWN_MS_MIN + chance.randrange(max(1, span_ms // 4))
        scheduler.at(at_ms, sim.crash, peer)
        scheduler.at(min(at_ms + down_ms, until_ms), _come_back, sim, peer, number % 2 == 0)


def _come_back(sim: Simulation, peer: Peer, with_state: bool) -> None:
    sim.start(peer, with_state=with_state)


def _go(sim: Simulation, until_ms: int, progress: Progress) -> None:
    """Let everything happen, and look at all nodes now and then."""
    scheduler = sim.scheduler
    every = max(sim.spec.checked_every, EVENTS_PER_NODE * sim.spec.nodes)
    for number in range(REPORTS):
        share = (number + 1) / REPORTS
        while scheduler.step(until_ms=int(until_ms * share)):
            if scheduler.steps % every == 0:
                sim.check_all()
        progress(share)
    sim.check_all()


def _result(
    sim: Simulation,
    load: Load,
    *,
    violation: Violation | None,
    lacking: tuple[str, ...],
    cpu_s: float,
) -> Result:
    notes = [each for each in sim.truth.published if each.key[0] == "note"]
    lives = {(peer.index, peer.epoch) for peer, _ in sim.living()}
    wanted = [(each, index) for each in notes for index, _ in each.up & lives]
    delays = sorted(
        each.reached_ms[index] - each.at_ms for each, index in wanted if index in each.reached_ms
    )
    counts = dict(sim.world.counts)
    verifier = sim.verifier
    return Result(
        spec=sim.spec,
        cpu_s=cpu_s,
        trace=sim.world.trace,
        steps=sim.scheduler.steps,
        messages=sim.world.messages,
        counts=counts,
        violation=violation,
        missing=lacking,
        lookups=tuple(load.lookups),
        coverage=_coverage(delays, len(wanted)),
        delays_ms=tuple(delays),
        repairs=sim.repairs(),
        kept_max=sim.watch.kept_max,
        verdicts=verifier.hits + verifier.misses,
        checked=verifier.misses,
    )


def _coverage(delays_ms: list[int], wanted: int) -> tuple[tuple[int, float], ...]:
    """Return after how long which share of all that were up had a record, on average."""
    if not wanted:
        return ()
    points: list[tuple[int, float]] = []
    reached = 0
    for at_ms in COVERAGE_MS:
        while reached < len(delays_ms) and delays_ms[reached] <= at_ms:
            reached += 1
        points.append((at_ms, reached / wanted))
    return tuple(points)
