"""Runs that differ in everything: one small network in weather of its own for each seed."""

from __future__ import annotations

from random import Random

from devnet.sim.spec import LIES, Latency, Partition, Spec


def varied(seed: int, *, nodes_max: int = 10) -> Spec:
    """Return the run of a seed: its size, its weather and its liars are drawn from the seed."""
    chance = Random(f"simulated weather {seed}")
    nodes = chance.randrange(4, nodes_max + 1)
    seconds = chance.randrange(3, 8)
    apart = chance.random() < 0.3
    lies = chance.sample(sorted(LIES), 2) if chance.random() < 0.4 else []
    return Spec(
        nodes=nodes,
        seed=seed,
        seconds=seconds,
        settle_s=60 if apart else 30,
        latency=Latency(
            kind=chance.choice(("constant", "uniform", "lognormal")),
            typical_ms=chance.choice((1, 10, 40, 120)),
        ),
        loss=_maybe(chance, 0.2),
        reorder=_maybe(chance, 0.3),
        duplicate=_maybe(chance, 0.2),
        churn=_maybe(chance, 0.4),
        partition=Partition(share=0.4, from_s=1, until_s=seconds - 1) if apart else None,
        liars=tuple(sorted((lie, 0.1) for lie in lies)),
        sybils=chance.choice((0, 0, 0, 4)),
        skew_ms=chance.choice((0, 0, 500, 30_000)),
        publish_per_s=4.0,
        lookups_per_s=4.0,
        checked_every=200,
    )


def _maybe(chance: Random, most: float) -> float:
    """Return nought every second time, otherwise a share of up to `most`."""
    return round(chance.random() * most, 2) if chance.random() < 0.5 else 0.0
