"""What a frame says of who was sent its messages too: fewer copies, and no harm if it is a lie."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from nodeimpl.overlay.drafts import Draft
from nodeimpl.overlay.intake import Intake
from nodeimpl.overlay.scores import MISLED_FREE, Standing
from opkit.wire.gossip import ENDING_CHARACTERS, ENDINGS_MAX, Gossip

_SPEC = importlib.util.spec_from_file_location("swarm", Path(__file__).with_name("swarm.py"))
assert _SPEC is not None and _SPEC.loader is not None
swarm: Any = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(swarm)
LIMITS, Solo, TOPIC = swarm.LIMITS, swarm.Solo, swarm.TOPIC
ids_of, message, pushed, ring, wanted = (
    swarm.ids_of,
    swarm.message,
    swarm.pushed,
    swarm.ring,
    swarm.wanted,
)
A, B, C, D = (f"did:key:{name * ENDING_CHARACTERS}" for name in "ABCD")
"""Peers, told apart by the ends of their names."""


def ends(*peers: str) -> tuple[str, ...]:
    return tuple(peer[-ENDING_CHARACTERS:] for peer in peers)


def told_also(solo: Any, peer: str, text: str, *others: str) -> None:
    """Have a peer give a message, and say that it has sent it to others."""
    envelope = swarm.Envelope(topic=TOPIC, carried=message(text))
    solo.hear(peer, publish=(envelope,), also=ends(*others))


def joined(**limits: Any) -> Any:
    solo = Solo(**limits)
    solo.join(A, B, C, D)
    assert solo.mesh() == {A, B, C, D}
    return solo


def test_a_message_crosses_each_of_three_nodes_links_once() -> None:
    net = swarm.Swarm(seed=1)
    nodes = ring(net, 3, extra=2)
    net.run(3_000)
    for n in range(50):
        nodes[n % 3].publish(message(f"m{n}"))
        net.run(20)
    assert sum(node.machine.counts.duplicates for node in nodes) == 0
    assert sum(node.machine.counts.forwarded for node in nodes) == 2 * 50
    assert all(len(node.got) == 50 for node in nodes)


def test_that_test_notices_when_hints_are_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Intake, "_believe", lambda *_: None)
    with pytest.raises(AssertionError):
        test_a_message_crosses_each_of_three_nodes_links_once()


def test_a_frame_says_who_is_sent_its_messages_too() -> None:
    solo = joined()
    solo.machine.publish(TOPIC, message("m"), solo.now_ms)
    told = solo.told()
    assert set(told) == {A, B, C, D}
    assert all(set(frame.also) == set(ends(A, B, C, D)) for (frame,) in told.values())


def test_a_frame_for_one_names_nobody() -> None:
    solo = Solo()
    solo.join(A)
    solo.machine.publish(TOPIC, message("m"), solo.now_ms)
    ((frame,),) = solo.told().values()
    assert frame.also == ()


def test_of_several_messages_it_names_who_has_each_of_them() -> None:
    solo = joined()
    solo.give(A, message("one"))
    solo.give(B, message("two"))
    frames = solo.told()
    assert set(frames) == {A, B, C, D}
    assert set(frames[C][0].also) == set(ends(A, B, C, D)), "who brought one of them has it"
    assert [len(frames[peer][0].publish) for peer in (A, C)] == [1, 2]


def test_who_was_sent_it_is_not_pushed_it_but_told_at_the_next_beat() -> None:
    solo = joined()
    told_also(solo, A, "m", B, C, A)
    told = solo.told()
    assert pushed(told) == {D}
    assert set(told[D][0].also) == set(ends(A, D)), "what only a peer says is not handed on"
    announced = solo.run(LIMITS.beat_ms)
    told_of_it = {peer for peer, frames in announced.items() if any(f.have for f in frames)}
    assert {B, C, D} <= told_of_it


def test_who_asks_is_given_it_whatever_was_said_of_them() -> None:
    solo = joined()
    told_also(solo, A, "m", B, C, D)
    assert pushed(solo.told()) == set()
    solo.hear(B, want=ids_of(message("m")))
    assert pushed(solo.told()) == {B}


def test_a_liar_is_not_believed_for_long_and_pushes_go_on_as_without_it() -> None:
    solo = joined()
    for text in ("one", "two"):
        told_also(solo, A, text, B, C, D)
        assert pushed(solo.told()) == set()
        for peer in (B, C, D):
            solo.hear(peer, want=ids_of(message(text)))
        assert pushed(solo.told()) == {B, C, D}
    told_also(solo, A, "after", B, C, D)
    assert pushed(solo.told()) == {B, C, D}
    told_also(solo, B, "of another", A, C, D)
    assert pushed(solo.told()) == set(), "somebody else is believed"


def test_some_pushes_that_are_lost_make_nobody_a_liar() -> None:
    honest = Standing(hinted=1_000, misled=MISLED_FREE + 100)
    assert honest.believed()
    honest.misled += 1
    assert not honest.believed()
    honest.decay(0.01)
    assert honest.believed(), "it is forgotten, as all that peers do"


def test_what_is_said_of_nobody_here_or_of_oneself_is_nothing() -> None:
    solo = joined()
    envelope = swarm.Envelope(topic=TOPIC, carried=message("m"))
    solo.hear(A, publish=(envelope,), also=("1" * ENDING_CHARACTERS,))
    assert pushed(solo.told()) == {B, C, D}


def test_who_left_is_named_no_more_and_a_hint_of_a_gone_peer_blames_nobody() -> None:
    solo = joined()
    told_also(solo, A, "m", B)
    solo.told()
    solo.machine.left(A, solo.now_ms)
    solo.hear(B, want=ids_of(message("m")))
    (frame,) = solo.told()[B]
    assert set(frame.also) == set(ends(B, C, D)), "who is gone is not named"


def test_of_two_peers_whose_names_end_alike_one_may_wait_for_the_beat() -> None:
    twin = "did:key:other" + A[-ENDING_CHARACTERS:]
    solo = Solo()
    solo.join(A, twin, B)
    told_also(solo, B, "m", A)
    assert len(pushed(solo.told())) == 1
    solo.machine.left(twin, solo.now_ms)
    solo.machine.left(A, solo.now_ms)
    solo.join(A)
    told_also(solo, B, "n", A)
    assert pushed(solo.told()) == set()


def test_no_more_peers_are_named_than_a_frame_may_name() -> None:
    peers = [f"did:key:{letter * ENDING_CHARACTERS}" for letter in "ABCDEFGHJKLMNPQRSTUVWXYZ"]
    solo = Solo(mesh_want=len(peers), mesh_max=len(peers))
    solo.join(*peers)
    solo.machine.publish(TOPIC, message("m"), solo.now_ms)
    frames = [frame for each in solo.told().values() for frame in each]
    assert all(len(frame.also) == ENDINGS_MAX for frame in frames)
    assert all(Gossip.model_validate_json(frame.model_dump_json()) == frame for frame in frames)


def test_a_hint_waits_with_its_message() -> None:
    solo = joined(judged_burst=1, judged_per_s=10)
    told_also(solo, A, "one", B, C, D)
    told_also(solo, A, "two", B, C, D)
    assert solo.judged == 1
    solo.run(200)
    assert solo.judged == 2
    assert solo.counts.forwarded == 0


def test_a_draft_without_messages_names_nobody() -> None:
    draft = Draft(subscriptions={TOPIC: True})
    (frame,) = draft.frames(bytes_max=1_000, endings=lambda _: ("x",))
    assert frame.also == ()
