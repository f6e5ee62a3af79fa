"""Who takes part: keys and a network, all from the seed.

Keys that come from a seed protect nothing, and nothing of a simulation is a secret. Every
signature is real; that each is checked once only is the business of `devnet.sim.verdicts`.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence

from devnet.sim.world import EPOCH_MS
from nodeimpl.overlay.port import node_id
from opkit.proof.genesis import GenesisView, read_genesis, sign_charter, sign_genesis
from opkit.proof.keys import Identity
from opkit.wire.genesis import Charter, Founder, Genesis, GenesisNode, SignedCharter

COOPS = 5
"""How many coops the nodes of a simulated network belong to, one after the other."""

GROUND_PER_SYBIL = 24
"""How many keys are made for each that is to be near a place; the nearest are taken."""


def identity_of(seed: int, role: str, number: int) -> Identity:
    """Return the key pair of whoever has this role and number in runs of this seed."""
    return Identity.from_seed(hashlib.sha256(f"simulated {seed} {role} {number}".encode()).digest())


def identities_near(seed: int, place: int, count: int) -> list[Identity]:
    """Return keys whose places are near one place: what somebody makes who wants to surround it."""
    made = [identity_of(seed, "sybil", number) for number in range(count * GROUND_PER_SYBIL)]
    return sorted(made, key=lambda one: node_id(one.did) ^ place)[:count]


def network_of(seed: int, nodes: Sequence[Identity]) -> GenesisView:
    """Return the genesis of a network that these nodes belong to."""
    digest = hashlib.sha256(f"simulated network {seed}".encode()).digest()
    network = base64.b32encode(digest[:16]).decode().rstrip("=").lower()
    operator = identity_of(seed, "operator", 0)
    coops = [f"coop-{number}" for number in range(min(COOPS, len(nodes)))]
    genesis = Genesis(
        network=network,
        devnet=True,
        operator=operator.did,
        created_ms=EPOCH_MS,
        nodes=tuple(
            GenesisNode(
                org=f"node-{index}",
                title=f"Node {index}",
                did=node.did,
                coop=coops[index % len(coops)],
            )
            for index, node in enumerate(nodes)
        ),
        charters=tuple(
            _charter(seed, network, coop, number, home=nodes[number])
            for number, coop in enumerate(coops)
        ),
    )
    return read_genesis(sign_genesis(genesis, operator))


def _charter(seed: int, network: str, coop: str, number: int, *, home: Identity) -> SignedCharter:
    founder = identity_of(seed, "founder", number)
    member_id = f"{coop}/founder"
    charter = Charter(
        network=network,
        coop=coop,
        title=coop,
        home_node=home.did,
        founders=(
            Founder(
                member_id=member_id, name="Founder", title="founder", did=founder.did, roles=()
            ),
        ),
        quorum_percent=50,
        approval_percent=50,
        voting_period_ms=86_400_000,
        challenge_window_ms=86_400_000,
    )
    return sign_charter(charter, {member_id: founder})
