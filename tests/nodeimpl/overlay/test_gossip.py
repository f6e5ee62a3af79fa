"""Gossip of whole swarms: whatever is published reaches everybody, whatever the links do."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

_SPEC = importlib.util.spec_from_file_location("swarm", Path(__file__).with_name("swarm.py"))
assert _SPEC is not None and _SPEC.loader is not None
swarm: Any = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(swarm)

message, ring = swarm.message, swarm.ring
SETTLE_MS = 3_000
"""After this time meshes stand."""


def publish(net: Any, nodes: list[Any], count: int, *, each_ms: int, size: int = 0) -> list[str]:
    """Publish messages from nodes by chance, and return their texts."""
    texts = [f"m{n}" for n in range(count)]
    for text in texts:
        net.chance.choice(nodes).publish(message(text, size=size))
        net.run(each_ms)
    return texts


def everybody_got(nodes: list[Any], texts: list[str]) -> None:
    missed = {node.name: [text for text in texts if not node.got[text]] for node in nodes}
    assert not any(missed.values()), missed
    assert all(count == 1 for node in nodes for count in node.got.values()), "each once"


@pytest.mark.parametrize(
    ("count", "messages"), [(3, 40), (20, 40), pytest.param(200, 10, marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("loss", [0.0, 0.1])
def test_every_message_reaches_every_node(count: int, messages: int, loss: float) -> None:
    net = swarm.Swarm(seed=count)
    nodes = ring(net, count, extra=8, loss=loss)
    net.run(SETTLE_MS)
    texts = publish(net, nodes, messages, each_ms=20)
    net.run(20_000)
    everybody_got(nodes, texts)
    assert not any(node.bans for node in nodes)
    duplicates = sum(node.machine.counts.duplicates for node in nodes)
    assert duplicates <= 9 * messages * count, "no more than a mesh has other members"


def test_a_burst_of_a_thousand_messages_arrives_whole() -> None:
    net = swarm.Swarm()
    nodes = ring(net, 3, extra=2)
    net.run(SETTLE_MS)
    texts = publish(net, nodes, 1_000, each_ms=2, size=1_000)
    net.run(2_000)
    everybody_got(nodes, texts)
    late = [
        max(node.got_at[text] for node in nodes) - min(node.got_at[text] for node in nodes)
        for text in texts
    ]
    assert max(late) <= 10, "each was pushed, none had to be asked for"


def test_what_was_published_on_both_sides_of_a_cut_arrives_when_it_heals() -> None:
    net = swarm.Swarm(seed=3)
    nodes = ring(net, 12, extra=3)
    net.run(SETTLE_MS)
    left, right = nodes[:6], nodes[6:]
    between = [(a.name, b.name) for a in left for b in right if (a.name, b.name) in net.links]
    for a, b in between:
        net.cut(a, b)
    texts = []
    for n in range(30):
        for side, name in ((left, "left"), (right, "right")):
            net.chance.choice(side).publish(message(f"{name}{n}"))
            texts.append(f"{name}{n}")
        net.run(1_000)
    assert not any(node.got["right0"] for node in left)
    for a, b in between:
        net.link(a, b)
    net.run(5_000)
    everybody_got(nodes, texts)
    assert sum(node.machine.counts.repaired for node in nodes) > 0


def test_what_is_published_without_any_link_is_sent_to_the_first_who_subscribes() -> None:
    net = swarm.Swarm()
    alone, deaf, hearer = net.add("alone"), net.add("deaf", subscribe=False), net.add("hearer")
    assert alone.publish(message("early"))
    net.link("alone", "deaf")
    net.run(SETTLE_MS)
    assert alone.machine.held()["unsent"] == 1
    net.link("alone", "hearer")
    net.run(100)
    assert hearer.got["early"] == 1
    assert not deaf.got
    assert alone.machine.held()["unsent"] == 0


def test_a_message_is_published_once_and_not_again_when_it_comes_back() -> None:
    net = swarm.Swarm()
    one, other = ring(net, 2, extra=1)
    net.run(SETTLE_MS)
    assert one.publish(message("m"))
    assert not one.publish(message("m"))
    net.run(100)
    assert not other.publish(message("m")) or other.got["m"] == 1
    assert one.machine.counts.delivered == 0


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_in_any_order_with_any_loss_and_any_copies_each_is_delivered_once(
    draw: st.DataObject,
) -> None:
    net = swarm.Swarm(seed=draw.draw(st.integers(0, 2**32)))
    nodes = ring(
        net, draw.draw(st.integers(3, 8)), extra=2, loss=draw.draw(st.sampled_from([0, 0.1]))
    )
    net.run(SETTLE_MS)
    texts = [f"m{n}" for n in range(draw.draw(st.integers(1, 8)))]
    for text in texts:
        for _ in range(draw.draw(st.integers(1, 2))):
            node = draw.draw(st.sampled_from(nodes))
            if not node.got[text]:
                node.publish(message(text))
        net.run(draw.draw(st.integers(0, 300)))
    net.run(40_000)
    everybody_got(nodes, texts)
