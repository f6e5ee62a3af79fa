"""One machine of gossip, told by hand, and whatever anybody may tell it."""

from __future__ import annotations

import importlib.util
from collections import Counter
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from nodeimpl.overlay.gossip_state import MeshJoined
from opkit.wire.gossip import Envelope, Gossip, Have, Prune

_SPEC = importlib.util.spec_from_file_location("swarm", Path(__file__).with_name("swarm.py"))
assert _SPEC is not None and _SPEC.loader is not None
swarm: Any = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(swarm)
LIMITS = swarm.LIMITS
TOPIC = swarm.TOPIC
Solo = swarm.Solo
ids_of = swarm.ids_of
message = swarm.message
wanted = swarm.wanted


def test_own_messages_that_nobody_hears_are_bounded_and_counted() -> None:
    solo = Solo(unsent_max=3)
    for n in range(5):
        solo.machine.publish(TOPIC, message(f"m{n}"), solo.now_ms)
    assert solo.counts.dropped["unsent"] == 2
    assert solo.machine.due_ms() is None
    solo.machine.joined("a", solo.now_ms)
    solo.hear("a", subscribe=(TOPIC,))
    (frame,) = solo.told()["a"]
    assert [swarm.text_of(each.carried) for each in frame.publish] == ["m2", "m3", "m4"]
    assert (frame.subscribe, frame.graft) == ((TOPIC,), (TOPIC,))


def test_what_is_told_many_peers_alike_is_one_frame() -> None:
    solo = Solo()
    solo.join("a", "b", "c")
    for n in range(5):
        solo.machine.publish(TOPIC, message(f"m{n}"), solo.now_ms)
    frames = solo.told()
    assert len({id(frame) for each in frames.values() for frame in each}) == 1
    assert all(len(frame.publish) == 5 for each in frames.values() for frame in each)


def test_ids_ride_along_on_what_is_sent_anyway() -> None:
    solo = Solo(mesh_want=1, mesh_min=1, mesh_max=1)
    solo.join("mesh", "rest")
    solo.machine.publish(TOPIC, message("m"), solo.now_ms)
    assert set(solo.told()) == {"mesh"}
    solo.hear("rest", graft=(TOPIC,))
    (frame,) = solo.told()["rest"]
    assert frame.prune
    assert frame.have[0].ids == ids_of(message("m"))


def test_a_peer_that_comes_again_is_a_new_link_of_the_same_standing() -> None:
    solo = Solo()
    solo.join("a")
    for n in range(5):
        solo.give("a", message(f"m{n}", word="forged"))
    before = solo.machine.mesh()[TOPIC][0].score
    solo.join("a")
    solo.machine.left("a", solo.now_ms)
    solo.now_ms += 60_000
    solo.join("a")
    after = solo.machine.mesh()[TOPIC][0].score
    assert before < after < 0
    joined = [note for note in solo.machine.notes() if isinstance(note, MeshJoined)]
    assert len(joined) == 1


def test_a_clock_that_goes_back_stops_nothing() -> None:
    solo = Solo()
    solo.join("a", "b")
    solo.now_ms -= 3_600_000
    solo.announce("a", message("m"))
    assert set(wanted(solo.run(200))) == {"a"}
    due = solo.machine.due_ms()
    assert due is not None
    assert due <= solo.now_ms + LIMITS.want_ms


PARTS = st.fixed_dictionaries(
    {},
    optional={
        "subscribe": st.lists(st.sampled_from([TOPIC, "x", "y", "z"]), max_size=3),
        "unsubscribe": st.lists(st.sampled_from([TOPIC, "x"]), max_size=2),
        "graft": st.lists(st.sampled_from([TOPIC, "x"]), max_size=2),
        "prune": st.lists(st.integers(0, 60_000), max_size=2).map(
            lambda ms: tuple(Prune(topic=TOPIC, back_off_ms=each) for each in ms)
        ),
        "publish": st.lists(
            st.tuples(st.integers(0, 40), st.sampled_from(["honest", "forged"])), max_size=6
        ).map(
            lambda made: tuple(
                Envelope(topic=TOPIC, carried=message(f"m{n}", word=word)) for n, word in made
            )
        ),
        "have": st.lists(st.integers(0, 60), max_size=9).map(
            lambda made: (Have(topic=TOPIC, ids=ids_of(*(message(f"m{n}") for n in made))),)
        ),
        "want": st.lists(st.integers(0, 60), max_size=9).map(
            lambda made: ids_of(*(message(f"m{n}") for n in made))
        ),
    },
)
TOLD = st.tuples(
    st.sampled_from(["frame", "frame", "frame", "join", "left", "slow", "bad", "wait", "publish"]),
    st.sampled_from(["a", "b", "c", "d", "e"]),
    st.integers(0, 3_000),
    PARTS,
)
SMALL = {
    "peers_max": 4,
    "topics_max": 2,
    "mesh_min": 1,
    "mesh_want": 2,
    "mesh_max": 3,
    "cached_max": 10,
    "unsent_max": 5,
    "seen_max": 16,
    "missing_max": 12,
    "waiting_max": 4,
    "owed_max": 4,
    "judged_at_once": 3,
    "judged_burst": 5,
    "judged_per_s": 5,
    "notes_max": 7,
    "remembered_max": 2,
}


@settings(max_examples=150, deadline=None)
@given(st.lists(TOLD, max_size=40))
def test_whatever_is_told_nothing_breaks_or_grows_and_nothing_unverified_is_believed(
    told: list[Any],
) -> None:
    solo = Solo(**SMALL)
    for kind, peer, number, parts in told:
        tell(solo, kind, peer, number, parts)
        held = solo.machine.held()
        assert held.items() >= counted(solo.machine).items()
        assert held["peers"] <= 4 and held["topics"] <= 4 * 2 + 1
        assert held["messages"] <= 10 and held["unsent"] <= 5 and held["notes"] <= 7
        assert held["missing"] <= 5 * 12 and held["waiting"] <= 4 * 4
        assert held["queued"] <= 4 * (10 + 4) * 2 and held["seen"] <= 2 * 16 + 4 + 3 * 2 * 4
        assert held["remembered"] <= 2 and held["mesh"] <= 3 + 2 + 5
        assert held["drafts"] == 0
        assert len(solo.mesh()) <= 4
    assert all(count == 1 for count in Counter(solo.got).values()) or len(set(solo.got)) > 16
    assert solo.counts.delivered == len(solo.got)


def counted(machine: Any) -> dict[str, int]:
    """Count one by one what a machine keeps account of."""
    peers = machine._state.peers.values()
    return {
        "topics": sum(len(peer.topics) for peer in peers) + len(machine._state.meshes),
        "waiting": sum(len(peer.waiting) for peer in peers),
        "waiting_bytes": sum(peer.waiting_bytes for peer in peers),
        "queued": sum(len(peer.backlog) + len(peer.owed) for peer in peers),
        "drafts": sum(peer.draft.held() for peer in peers if peer.draft is not None),
    }


def tell(solo: Any, kind: str, peer: str, number: int, parts: dict[str, Any]) -> None:
    """Tell a machine something, and take what it wants."""
    if kind == "frame":
        solo.hear(peer, **parts)
    elif kind == "join":
        solo.machine.joined(peer, solo.now_ms)
    elif kind == "left":
        solo.machine.left(peer, solo.now_ms)
    elif kind == "slow":
        solo.machine.congested(peer, number * 1_000, solo.now_ms)
    elif kind == "bad":
        solo.machine.undecodable(peer, solo.now_ms)
    elif kind == "publish":
        solo.machine.publish(TOPIC, message(f"own{number}"), solo.now_ms)
    else:
        for told in solo.run(number).values():
            assert all(frame != Gossip() for frame in told), "nothing is said in vain"
    for told in solo.told().values():
        for frame in told:
            for envelope in frame.publish:
                verdict = swarm.judge(TOPIC, envelope.carried, solo.now_ms)
                assert verdict is swarm.Verdict.ACCEPT
