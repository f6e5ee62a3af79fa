"""Who gossips in bad faith is cut off, and everything that is published arrives all the same.

Each network is honest nodes that know each other, and the liar linked to every one of them.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from devnet.liars import Flooder, GossipLiar, Pruner, Replayer, Withholder
from nodeimpl.overlay.port import Outbox
from opkit.wire.records import Carried

_SPEC = importlib.util.spec_from_file_location(
    "swarm", Path(__file__).parents[1] / "nodeimpl" / "overlay" / "swarm.py"
)
assert _SPEC is not None and _SPEC.loader is not None
swarm: Any = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(swarm)
TOPIC, message = swarm.TOPIC, swarm.message


class Evil:
    """A liar among the nodes of a swarm."""

    name = "liar"

    def __init__(self, liar: GossipLiar, outbox: Outbox) -> None:
        self.machine, self.outbox = liar, outbox


def network(make: Any, *, honest: int = 8, early: int = 0) -> tuple[Any, list[Any], Any]:
    """Return a swarm whose meshes stand, its honest nodes, and the liar that then joined all."""
    net = swarm.Swarm(seed=5)
    nodes = swarm.ring(net, honest, extra=3)
    net.run(3_000)
    for n in range(early):
        nodes[0].publish(message(f"early{n}"))
    outbox = Outbox()
    evil = net.put(Evil(make(outbox), outbox))
    for node in nodes:
        net.link(node.name, evil.name)
    return net, nodes, evil


def honest_gossip(net: Any, nodes: list[Any], *, count: int = 50) -> None:
    """Publish messages, and expect each of them everywhere, once and nothing else, soon."""
    texts = {f"m{n}" for n in range(count)}
    for text in sorted(texts):
        net.chance.choice(nodes).publish(message(text))
        net.run(100)
    net.run(4_000)
    for node in nodes:
        assert {text for text in node.got if not text.startswith("early")} == texts
        assert set(node.got.values()) == {1}
        assert not any(ban.peer != "liar" for ban in node.bans)


def cut_off_ms(net: Any, nodes: list[Any], began_ms: int, *, limit_ms: int = 10_000) -> int:
    """Return after how long the last node had cut the liar off."""
    while any((node.name, "liar") in net.links for node in nodes):
        assert net.now_ms - began_ms < limit_ms, "it is still there"
        net.run(50)
    return int(net.now_ms - began_ms)


def forged(n: int) -> Carried:
    return message(f"evil{n}", size=1_000, word="forged")


def unsigned(n: int) -> Carried:
    return Carried(jws=message(f"evil{n}").jws.rpartition(".")[0] + ".")


def shapeless(n: int) -> Carried:
    return Carried(jws=f"evil{n}")


def stale(n: int) -> Carried:
    return message(f"evil{n}", lapses_ms=1_000)


def oversized(n: int) -> Carried:
    """The type's own bounds end larger ones at the frame; these stand behind them."""
    return Carried.model_construct(jws=message(f"evil{n}").jws, proof=("x" * 70_000,))


@pytest.mark.parametrize("make", [forged, unsigned, shapeless, stale, oversized])
def test_a_flood_of_bad_messages_is_cut_off_within_two_seconds_and_costs_little(make: Any) -> None:
    net, nodes, _ = network(
        lambda outbox: Flooder(outbox=outbox, topic=TOPIC, make=make, per_second=2_000)
    )
    began = net.now_ms
    judged = sum(node.judged for node in nodes)
    assert cut_off_ms(net, nodes, began) <= 2_000
    each = (sum(node.judged for node in nodes) - judged) / len(nodes)
    assert each <= {forged: 10, stale: 200}.get(make, 0), "bad ones are judged until it is cut off"
    assert all(not node.machine.counts.delivered for node in nodes), "received by nobody"
    assert all(not node.machine.counts.forwarded for node in nodes), "forwarded by nobody"
    honest_gossip(net, nodes)


def test_who_announces_and_never_gives_delays_nothing_and_is_asked_no_more() -> None:
    net, nodes, _ = network(lambda outbox: Withholder(outbox=outbox, topic=TOPIC))
    net.run(10_000)
    assert all(node.machine.counts.wanted for node in nodes), "it was believed at first"
    net.run(5_000)
    asked = sum(node.machine.counts.wanted for node in nodes)
    net.run(10_000)
    more = sum(node.machine.counts.wanted for node in nodes) - asked
    assert more == 0, "nobody asks it any more"
    honest_gossip(net, nodes)
    for node in nodes:
        assert node.machine.held()["missing"] <= 2 * node.machine.limits.missing_max
        seen = {peer.did: peer for peer in node.machine.mesh()[TOPIC]}
        assert "liar" not in seen or not seen["liar"].in_mesh


def test_who_joins_and_leaves_meshes_all_the_time_is_cut_off_and_keeps_nobody_from_anything() -> (
    None
):
    net, nodes, _ = network(lambda outbox: Pruner(outbox=outbox, topic=TOPIC))
    began = net.now_ms
    honest_gossip(net, nodes)
    assert cut_off_ms(net, nodes, began, limit_ms=60_000) <= 20_000


def test_who_repeats_all_that_it_hears_is_cut_off_and_nothing_is_delivered_twice() -> None:
    net, nodes, evil = network(lambda outbox: Replayer(outbox=outbox, topic=TOPIC), early=200)
    net.run(1_000)
    assert evil.machine.heard_of, "it was given something to repeat"
    began = net.now_ms
    honest_gossip(net, nodes, count=30)
    assert cut_off_ms(net, nodes, began) <= 10_000


def test_a_ban_lasts_and_the_next_one_is_twice_as_long() -> None:
    net, nodes, _ = network(
        lambda outbox: Flooder(outbox=outbox, topic=TOPIC, make=forged, per_second=2_000)
    )
    cut_off_ms(net, nodes, net.now_ms)
    node = nodes[0]
    (first,) = node.bans
    net.run(1_000)
    net.link(node.name, "liar")
    early = node.bans[-1]
    assert "before its ban was over" in early.why
    assert first.ban_ms - 3_000 <= early.ban_ms < first.ban_ms
    net.run(first.ban_ms)
    net.link(node.name, "liar")
    assert len(node.bans) == 2, "it may try again"
    net.run(1_000)
    assert node.bans[-1].ban_ms == 2 * first.ban_ms
