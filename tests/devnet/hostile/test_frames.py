"""Frames that come twice or in another order: everything arrives, once, and nobody is blamed."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from devnet.hostile_frames import UnrulyStream, UnrulyTransport, split
from devnet.hostile_messages import Scribe
from nodeimpl.kernel.clock import RealClock
from nodeimpl.overlay.seen import Seen
from nodeimpl.p2p.iroh_transport import IrohTransport
from nodeimpl.p2p.memory import MemoryNetwork
from opkit.proof.keys import Identity
from opkit.wire.records import Carried

NOTES = 60
CLOCK = RealClock()


async def story(net: Any, kind: str, **options: Any) -> None:
    """Publish at the nodes in turns, over ends that double and shuffle half of all frames."""
    unruly: list[UnrulyTransport] = []
    memory = MemoryNetwork()

    def make(who: Identity, number: int) -> UnrulyTransport:
        end = memory.transport(who) if kind == "memory" else iroh(who)
        chance = random.Random(number)
        unruly.append(UnrulyTransport(end, chance=chance, doubled=0.5, overtaken=0.3))
        return unruly[-1]

    async with net(3, make=make, **options) as network:
        nodes, notes = network.nodes, set()
        for number in range(NOTES):
            node = nodes[number % len(nodes)]
            scribe = Scribe(node.identity, network=network.genesis.network, clock=CLOCK)
            note = Carried(jws=scribe.note(name=f"{node.did}/n{number}"))
            notes.add(note.jws)
            node.overlay.shelf.offer(note, CLOCK.now_ms())
            node.driver.touch()
            await asyncio.sleep(0)
        await network.eventually(lambda: all(set(node.delivered) >= notes for node in nodes))
        await network.works()
        for node in nodes:
            assert set(node.delivered.values()) == {1}, "kept once"
            assert not node.peers.banned()
            judged = node.overlay.gossip.counts.judged
            others = len(node.delivered) - NOTES // len(nodes)
            assert judged <= others, "what comes again is not judged again"
        assert sum(end.counts["doubled"] for end in unruly) > 0


def iroh(who: Identity) -> IrohTransport:
    return IrohTransport(identity=who, fixed_paths=True)


@pytest.mark.parametrize("kind", ["iroh", "memory"])
def test_what_comes_twice_or_out_of_order_is_kept_once_and_harms_nobody(
    net: Any, kind: str
) -> None:
    asyncio.run(story(net, kind))


def test_without_a_memory_of_what_was_seen_it_is_noticed(
    net: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Seen, "__contains__", lambda *_: False)
    with pytest.raises((AssertionError, TimeoutError)):
        asyncio.run(story(net, "memory", patience_s=3.0))


def test_casts_are_doubled_and_overtaken_and_none_is_left_out_but_those_kept_back() -> None:
    memory = MemoryNetwork()
    end = UnrulyTransport(
        memory.transport(Identity.generate()), chance=random.Random(1), doubled=0.3, overtaken=0.3
    )
    stream: Any = UnrulyStream(None, None, end)  # type: ignore[arg-type]  # nothing is sent
    frames = [b"%d" % number for number in range(200)]
    sent = [each for frame in frames for each in stream._shuffled([frame])]
    assert set(frames) - set(sent) == set(stream._held)
    assert len(sent) == len(set(sent)) + end.counts["doubled"]
    assert end.counts["overtaken"] > 20 and end.counts["doubled"] > 20
    assert sorted(set(sent), key=sent.index) != sorted(set(sent), key=int), "out of order"


def test_frames_are_told_apart_by_their_lengths() -> None:
    frames = [b"\0\0\0\1a", b"\0\0\0\0", b"\0\0\0\2bc"]
    assert split(b"".join(frames)) == frames
    assert split(b"") == []
    with pytest.raises(AssertionError):
        split(b"\0\0\0\2b")
