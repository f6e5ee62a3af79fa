"""What is missing and whom to ask for it, what others want, and peers that are slow."""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path
from typing import Any

from nodeimpl.overlay.gossip_state import MessageMissed
from opkit.wire.gossip import packed, unpacked

_SPEC = importlib.util.spec_from_file_location("swarm", Path(__file__).with_name("swarm.py"))
assert _SPEC is not None and _SPEC.loader is not None
swarm: Any = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(swarm)
LIMITS = swarm.LIMITS
TOPIC = swarm.TOPIC
Solo = swarm.Solo
ids_of = swarm.ids_of
message = swarm.message
pushed = swarm.pushed
wanted = swarm.wanted


def test_what_was_announced_is_asked_for_unless_it_comes_meanwhile() -> None:
    solo = Solo()
    solo.join("a", "b")
    solo.announce("a", message("pushed"), message("missed"))
    solo.give("b", message("pushed"))
    assert wanted(solo.run(LIMITS.patience_ms - 1)) == {}
    assert wanted(solo.run(1)) == {"a": unpacked(ids_of(message("missed")))}
    solo.give("a", message("missed"))
    assert solo.got == ["pushed", "missed"]
    assert (solo.counts.wanted, solo.counts.repaired) == (1, 1)
    solo.announce("b", message("missed"))
    assert wanted(solo.run(2_000)) == {}


def test_who_does_not_give_is_followed_by_the_next_and_at_last_it_is_missed() -> None:
    solo = Solo()
    solo.join("a", "b")
    solo.announce("a", message("m"))
    solo.announce("a", message("m"))
    solo.announce("b", message("m"))
    assert set(wanted(solo.run(200))) == {"a"}
    assert set(wanted(solo.run(LIMITS.want_ms))) == {"b"}
    assert wanted(solo.run(2 * LIMITS.want_ms)) == {}
    assert solo.counts.lost == 1
    missed = [note for note in solo.machine.notes() if isinstance(note, MessageMissed)]
    assert [note.id for note in missed] == unpacked(ids_of(message("m")))


def test_who_gives_something_bad_under_an_id_is_followed_by_the_next_at_once() -> None:
    solo = Solo()
    solo.join("a", "b")
    solo.announce("a", message("m"))
    solo.announce("b", message("m"))
    assert set(wanted(solo.run(200))) == {"a"}
    solo.give("a", message("m", word="forged"))
    assert set(wanted(solo.run(0))) | set(wanted(solo.told())) == {"b"}
    solo.give("b", message("m"))
    assert solo.got == ["m"]


def test_who_leaves_is_followed_by_the_next_at_once() -> None:
    solo = Solo()
    solo.join("a", "b", "c")
    for peer in ("a", "b"):
        solo.announce(peer, message("m"))
    solo.announce("c", message("other"))
    assert wanted(solo.run(200))["a"] == unpacked(ids_of(message("m")))
    solo.machine.left("a", solo.now_ms)
    assert set(wanted(solo.run(0))) == {"b"}
    solo.machine.left("a", solo.now_ms)
    assert solo.machine.held()["peers"] == 2


def test_who_breaks_its_promises_is_asked_last_then_not_heard_and_named() -> None:
    solo = Solo()
    solo.join("liar", "friend")
    for n in range(30):
        solo.announce("liar", message(f"never{n}"))
        solo.run(200)
    solo.run(3_000)
    assert solo.suspected
    for peer in ("liar", "friend"):
        solo.announce(peer, message("m"))
    assert set(wanted(solo.run(200))) == {"friend"}
    assert solo.counts.dropped["untrusted"] >= 1
    assert not solo.bans, "it may only be overloaded"


def test_one_lost_cast_is_not_as_many_broken_promises() -> None:
    solo = Solo()
    solo.join("unlucky")
    solo.announce("unlucky", *(message(f"lost{n}") for n in range(LIMITS.asked_max)))
    solo.run(3_000)
    assert solo.counts.lost == LIMITS.asked_max
    solo.announce("unlucky", message("m"))
    assert set(wanted(solo.run(200))) == {"unlucky"}
    assert not solo.suspected


def test_a_peer_is_asked_for_so_much_at_once_and_for_more_as_it_gives() -> None:
    solo = Solo(asked_max=4)
    solo.join("a")
    many = [message(f"m{n}") for n in range(100)]
    solo.announce("a", *many)
    first = wanted(solo.run(200))["a"]
    assert len(first) == 4
    by_id = {ids_of(each): each for each in many}
    for _ in range(200):
        asked = wanted(solo.run(50)).get("a", [])
        first += asked
        for each in first:
            solo.give("a", by_id[each])
        first = wanted(solo.told()).get("a", [])
    assert len(solo.got) == 100


def test_so_much_is_waited_for_and_what_is_more_makes_a_suspect() -> None:
    solo = Solo(missing_max=10)
    solo.join("a")
    solo.announce("a", *(message(f"m{n}") for n in range(12)))
    assert solo.counts.dropped["announcements"] == 2
    assert solo.suspected == ["a"]
    for n in range(200):
        solo.announce("a", message(f"x{n}"))
        solo.give("a", message(f"x{n}"), *(message(f"m{m}") for m in range(12)))
    assert solo.machine.held()["missing"] <= 5 * 10


def test_a_message_is_given_on_demand_so_often_and_no_more() -> None:
    solo = Solo()
    solo.join("a", "b")
    solo.give("b", message("m"))
    solo.told()
    unknown = packed([hashlib.sha256(b"?").digest()])
    for _ in range(LIMITS.answers_max + 2):
        solo.hear("a", want=ids_of(message("m")) + unknown)
    frames = solo.told()["a"]
    assert sum(len(frame.publish) for frame in frames) == LIMITS.answers_max
    assert solo.counts.dropped["wanted-again"] == 2
    assert solo.counts.dropped["wanted-unknown"] == LIMITS.answers_max + 2


def test_what_is_wanted_beyond_the_allowance_is_given_later_and_bounded() -> None:
    solo = Solo(sent_bytes_burst=65_536, sent_bytes_per_s=65_536, owed_max=150)
    solo.join("a", "b")
    many = [message(f"m{n}") for n in range(200)]
    solo.give("b", *many)
    solo.told()
    solo.machine.left("a", solo.now_ms)
    solo.join("a")
    solo.hear("a", want=ids_of(*many))
    assert solo.counts.dropped["wanted-too-many"] == 50
    first = sum(len(frame.publish) for frame in solo.told().get("a", []))
    told = solo.run(5_000)["a"]
    assert 0 < first < 150
    assert first + sum(len(frame.publish) for frame in told) == 150
    assert solo.machine.held()["queued"] == 0


def test_a_slow_peer_leaves_the_mesh_and_is_only_told_ids_until_it_has_caught_up() -> None:
    solo = Solo()
    solo.join("slow", "quick")
    solo.machine.congested("slow", LIMITS.slow_bytes, solo.now_ms)
    assert solo.mesh() == {"quick"}
    solo.machine.publish(TOPIC, message("m"), solo.now_ms)
    assert pushed(solo.told()) == {"quick"}
    told = solo.run(1_500)["slow"]
    assert any(frame.have for frame in told)
    solo.machine.congested("slow", LIMITS.stalled_bytes, solo.now_ms)
    solo.machine.publish(TOPIC, message("n"), solo.now_ms)
    assert "slow" not in solo.run(60_000)
    assert solo.counts.dropped["announcement-slow"] > 0
    solo.machine.congested("slow", LIMITS.quick_bytes + 1, solo.now_ms)
    solo.run(1_000)
    assert solo.mesh() == {"quick"}
    solo.machine.congested("slow", LIMITS.quick_bytes, solo.now_ms)
    told = solo.run(2_000)["slow"]
    ids = [each for f in told for have in f.have for each in unpacked(have.ids)]
    assert set(unpacked(ids_of(message("m"), message("n")))) <= set(ids)
    solo.run(12_000)
    assert solo.mesh() == {"slow", "quick"}
    assert solo.suspected == ["slow"]


def test_a_stalled_peer_is_not_reminded_and_one_with_other_topics_only_of_shared_ones() -> None:
    solo = Solo()
    solo.machine.subscribe("other")
    solo.join("a")
    solo.hear("a", subscribe=("third",))
    for n in range(3):
        solo.machine.publish(TOPIC, message(f"m{n}"), solo.now_ms)
    solo.told()
    solo.machine.congested("a", LIMITS.slow_bytes, solo.now_ms)
    solo.run(10_000)
    solo.machine.congested("a", 0, solo.now_ms)
    solo.machine.congested("a", LIMITS.stalled_bytes, solo.now_ms)
    assert "a" not in solo.run(3_000)
    solo.machine.congested("a", 0, solo.now_ms)
    told = solo.run(3_000)["a"]
    assert {have.topic for frame in told for have in frame.have} == {TOPIC}


def test_a_peer_that_reads_nothing_never_grows_the_senders_memory() -> None:
    net = swarm.Swarm()
    nodes = [net.add(name) for name in ("a", "b", "stuck")]
    net.link("a", "b")
    net.link("a", "stuck", bytes_per_s=100)
    net.run(1_000)
    for n in range(3_000):
        nodes[0].publish(message(f"m{n}", size=1_000))
        net.run(2)
    net.run(100)
    assert all(nodes[1].got[f"m{n}"] for n in range(3_000))
    assert net.links["a", "stuck"].unsent_max <= LIMITS.stalled_bytes + LIMITS.frame_bytes_max
    assert nodes[0].machine.held()["drafts"] == 0
    for link in (net.links["a", "stuck"], net.links["stuck", "a"]):
        link.bytes_per_s, link.free_ms, link.unsent = 10**7, net.now_ms, 0
    nodes[0].machine.congested("stuck", 0, net.now_ms)
    net.run(20_000)
    assert all(nodes[2].got[f"m{n}"] for n in range(3_000)), "what it missed it asked for"
    assert not nodes[2].bans
    assert not nodes[0].bans


def test_what_may_not_be_pushed_now_is_announced() -> None:
    solo = Solo(sent_bytes_burst=65_536, sent_bytes_per_s=10_000)
    solo.join("a")
    for n in range(100):
        solo.machine.publish(TOPIC, message(f"m{n}"), solo.now_ms)
    pushed_now = sum(len(frame.publish) for frame in solo.told()["a"])
    assert pushed_now < 100
    assert solo.counts.dropped["push-allowance"] == 100 - pushed_now
    told = solo.run(3_000)["a"]
    ids = {each for f in told for have in f.have for each in unpacked(have.ids)}
    assert len(ids) == 100
