"""What has to have come about by the end of a run, once the weather was good for a while."""

from __future__ import annotations

from devnet.sim.load import Load
from devnet.sim.simulation import Simulation
from devnet.sim.truth import Published
from nodeimpl.overlay.node import OverlayNode

LAST_FOUND = 1.0
"""The share of the last lookups that find what they look for."""

LAST_FOUND_AMONG_LIARS = 0.95
"""The same where somebody lies: who surrounds a name can hide what is under it."""

TOLD_MAX = 5
"""How many of what is missing are told."""


def missing(sim: Simulation, load: Load) -> tuple[str, ...]:
    """Return in words what should have come about and did not; empty if all is well."""
    return (*_not_everywhere(sim), *_not_found(sim, load))


def _not_everywhere(sim: Simulation) -> list[str]:
    """Return which notes did not reach whom: all that an honest node has, all of them have."""
    nodes = [(peer.index, node) for peer, node in sim.living()]
    told: list[str] = []
    for published in sim.truth.latest("note"):
        kept = {index: _sequence(sim, node, published) for index, node in nodes}
        best = max(kept.values(), default=0)
        if published.owner_lives():
            best = max(best, published.sequence)
        lacking = [index for index, sequence in kept.items() if sequence < best]
        if lacking:
            shown = ", ".join(map(str, lacking[:TOLD_MAX]))
            told.append(
                f"the note of node {published.owner[0].index} of {published.at_ms / 1_000:g} s "
                f"did not reach {len(lacking)} of {len(nodes)} nodes: {shown}"
            )
    more = [f"and {len(told) - TOLD_MAX} more notes"] if len(told) > TOLD_MAX else []
    return told[:TOLD_MAX] + more


def _sequence(sim: Simulation, node: OverlayNode, published: Published) -> int:
    """Return the sequence that a node keeps of a record's owner and name; 0 if nothing."""
    namespace, name, owner = published.key
    carried = node.shelf.standing(namespace, name, owner)
    known = None if carried is None else sim.truth.of(carried.jws)
    return 0 if known is None else known.sequence


def _not_found(sim: Simulation, load: Load) -> list[str]:
    """Return how many of the last lookups found nothing, if they are too many."""
    found = sum(each.ok for each in load.last)
    liars = any(peer.lies for peer in sim.world.peers)
    least = LAST_FOUND_AMONG_LIARS if liars else LAST_FOUND
    if found >= least * len(load.last):
        return []
    return [f"{len(load.last) - found} of the last {len(load.last)} lookups found nothing"]
