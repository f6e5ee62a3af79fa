"""Meshes: who is taken in, left out, and asked again."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from nodeimpl.overlay.gossip_state import MeshLeft
from opkit.wire.gossip import Prune

_SPEC = importlib.util.spec_from_file_location("swarm", Path(__file__).with_name("swarm.py"))
assert _SPEC is not None and _SPEC.loader is not None
swarm: Any = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(swarm)
LIMITS = swarm.LIMITS
TOPIC = swarm.TOPIC
Solo = swarm.Solo
message = swarm.message
pushed = swarm.pushed
wanted = swarm.wanted


def test_a_mesh_is_filled_at_once_and_bounded() -> None:
    solo = Solo()
    names = [f"p{n}" for n in range(20)]
    solo.join(*names)
    assert len(solo.mesh()) == LIMITS.mesh_want
    for name in names:
        solo.hear(name, graft=(TOPIC,))
    told = solo.told()
    assert len(solo.mesh()) == LIMITS.mesh_max
    refused = set(names) - solo.mesh()
    away = (Prune(topic=TOPIC, back_off_ms=LIMITS.back_off_ms),)
    assert all(told[name][-1].prune == away for name in refused)


def test_who_comes_back_into_a_mesh_too_early_is_refused_and_at_last_banned() -> None:
    solo = Solo(mesh_max=1, mesh_want=1, mesh_min=1)
    solo.join("a", "b")
    for _ in range(14):
        solo.hear("b", graft=(TOPIC,))
    solo.told()
    assert solo.mesh() == {"a"}
    assert [ban.peer for ban in solo.bans] == ["b"]


def test_who_leaves_a_topic_is_told_nothing_more() -> None:
    solo = Solo()
    solo.join("a", "b")
    solo.hear("a", unsubscribe=(TOPIC,))
    solo.machine.publish(TOPIC, message("m"), solo.now_ms)
    assert pushed(solo.told()) == {"b"}
    notes = [note for note in solo.machine.notes() if isinstance(note, MeshLeft)]
    assert [(note.peer, note.why) for note in notes] == [("a", "it left the topic")]
    solo.hear("a", unsubscribe=(TOPIC, "other"))
    assert not solo.machine.notes()


def test_a_node_that_leaves_a_topic_says_so_and_takes_nothing_more_of_it() -> None:
    solo = Solo()
    solo.join("a")
    solo.machine.unsubscribe(TOPIC)
    solo.machine.unsubscribe(TOPIC)
    ((frame,),) = solo.told().values()
    assert frame.unsubscribe == (TOPIC,)
    solo.give("a", message("m"))
    solo.announce("a", message("n"))
    solo.hear("a", graft=(TOPIC,), prune=(Prune(topic=TOPIC, back_off_ms=1),))
    assert (solo.judged, wanted(solo.run(5_000))) == (0, {})
    assert solo.counts.dropped["not-subscribed"] == 1


def test_who_subscribes_later_fills_its_mesh_with_who_is_there() -> None:
    solo = Solo(subscribe=False)
    solo.join(*(f"p{n}" for n in range(9)))
    solo.machine.subscribe(TOPIC)
    solo.machine.subscribe(TOPIC)
    told = solo.told()
    assert len(solo.mesh()) == LIMITS.mesh_want
    assert all(frames[0].subscribe == (TOPIC,) for frames in told.values())
    assert {name for name, (frame,) in told.items() if frame.graft} == solo.mesh()


def test_who_publishes_without_subscribing_pushes_to_some_subscribers() -> None:
    solo = Solo(subscribe=False)
    solo.join(*(f"p{n}" for n in range(9)))
    solo.machine.publish(TOPIC, message("m"), solo.now_ms)
    assert len(pushed(solo.told())) == LIMITS.mesh_want


def test_who_prunes_is_left_alone_until_its_back_off_is_over_and_then_asked_again() -> None:
    solo = Solo()
    solo.join("a")
    solo.hear("a", prune=(Prune(topic=TOPIC, back_off_ms=30_000),))
    solo.hear("a", prune=(Prune(topic=TOPIC, back_off_ms=10),))
    assert solo.mesh() == set()
    assert not any(frame.graft for f in solo.run(29_000).values() for frame in f)
    assert any(frame.graft for f in solo.run(3_000).values() for frame in f)
    assert solo.mesh() == {"a"}


def test_who_is_worth_nothing_loses_its_place() -> None:
    solo = Solo()
    solo.join("a", "b")
    for n in range(3):
        solo.give("a", message(f"m{n}", word="forged"))
    told = solo.run(2_000)
    assert solo.mesh() == {"b"}
    assert any(frame.prune for frame in told["a"])
    solo.hear("a", graft=(TOPIC,))
    assert solo.mesh() == {"b"}


def test_a_mesh_that_gives_nothing_is_offered_better_ones() -> None:
    solo = Solo(opportunity_beats=2, mesh_min=1, mesh_want=2, mesh_max=6)
    solo.join("a", "b", "c", "d")
    assert solo.mesh() == {"a", "b"}
    for n in range(20):
        solo.give("c", message(f"m{n}"))
    solo.run(3_000)
    assert solo.mesh() == {"a", "b", "c"}


def test_what_holds_is_said_again_now_and_then() -> None:
    solo = Solo()
    solo.join("a")
    told = solo.run(LIMITS.refresh_beats * LIMITS.beat_ms + 1_000)
    assert [(frame.subscribe, frame.graft) for frame in told["a"]] == [((TOPIC,), (TOPIC,))]


def test_a_graft_of_a_member_or_of_who_did_not_subscribe_changes_nothing() -> None:
    solo = Solo()
    solo.join("a")
    solo.join("b", subscribe=False)
    solo.hear("a", graft=(TOPIC, "other"))
    solo.hear("b", graft=(TOPIC,))
    assert solo.mesh() == {"a"}
    assert solo.told() == {}


def test_who_only_comes_from_outside_cannot_fill_the_mesh() -> None:
    solo = Solo()
    crowd = [f"p{n}" for n in range(20)]
    solo.join(*crowd)
    for name in crowd:
        solo.hear(name, graft=(TOPIC,))
    assert len(solo.mesh()) == LIMITS.mesh_max and solo.mesh() <= set(crowd)
    solo.join("a", "b", "c", dialled=True)
    told = solo.run(LIMITS.beat_ms)
    mine = solo.mesh() & {"a", "b", "c"}
    assert len(mine) == LIMITS.mesh_out
    assert all(any(frame.graft for frame in told[name]) for name in mine)
    solo.run(3 * LIMITS.beat_ms)
    assert mine <= solo.mesh() and len(solo.mesh()) == LIMITS.mesh_want


def test_a_full_mesh_takes_whom_this_node_dialled_until_there_are_enough() -> None:
    solo = Solo(mesh_want=2, mesh_max=2, mesh_min=1, mesh_out=1)
    solo.join("a", "b")
    solo.join("c", "d", dialled=True)
    solo.hear("c", graft=(TOPIC,))
    solo.hear("d", graft=(TOPIC,))
    assert solo.mesh() == {"a", "b", "c"}
