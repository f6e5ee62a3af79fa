"""`bench sim`: the simulator's speed, and how the overlay does in bad weather.

500 nodes with 10 % loss and 20 % churn, one core. Without the memo every verdict on a signature
would be one check more: what that costs is measured by itself.
"""

from __future__ import annotations

import time
from dataclasses import replace

from bench.rows import Row, quick, row
from devnet.sim.keys import identity_of, network_of
from devnet.sim.run import run
from devnet.sim.spec import Spec
from opkit.proof.record import read_record, sign_record
from opkit.wire.records import RecordBody

NODES = 500
SIZES = (10, 100)
CHECKS = 200
LOOKUPS_PER_S = 50.0
"""So many that one that fails is not a percent of them."""


def sim() -> list[Row]:
    """Messages a second, lookups that succeed, who gossip reaches, and how hops grow."""
    nodes = 40 if quick() else NODES
    spec = Spec(
        nodes=nodes, seconds=10, settle_s=15, loss=0.1, churn=0.2, lookups_per_s=LOOKUPS_PER_S
    )
    result = run(spec)
    assert result.ok, result.as_json()
    smaller = [run(replace(spec, nodes=min(size, nodes))).hops for size in SIZES]
    check_s = _check_s()
    without = result.messages / (result.cpu_s + (result.verdicts - result.checked) * check_s)
    name = f"simulation, {nodes} nodes"
    return [
        row(f"{name}, messages", result.messages_per_s, "1/s", target=">= 15000", of=[nodes]),
        row(f"{name}, messages without memo", without, "1/s", target="", of=[nodes]),
        row(f"{name}, verdicts remembered", result.hit_rate, "%", target="", of=[nodes]),
        row(f"{name}, lookups found", result.found, "%", target=">= 99.5", of=[nodes]),
        row(f"{name}, reached by gossip", result.covered, "%", target=">= 100", of=[nodes]),
        row(f"{name}, hops of a lookup", result.hops, "", target="", of=[*smaller, result.hops]),
    ]


def _check_s() -> float:
    """Return how long reading one signed record takes, in seconds."""
    owner = identity_of(1, "node", 0)
    network = network_of(1, [owner]).network
    body = RecordBody(
        network=network,
        aud="note",
        name=f"{owner.did}/a",
        owner=owner.did,
        sequence=1,
        issued_at_ms=1,
        lapses_at_ms=2,
        value={"text": "x"},
    )
    token = sign_record(body, owner)
    began_s = time.process_time()
    for _ in range(CHECKS):
        read_record(token, network=network)
    return (time.process_time() - began_s) / CHECKS
