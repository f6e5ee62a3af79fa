"""What a node is told: copies, verdicts, paces, and too much of anything."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from nodeimpl.overlay import intake
from nodeimpl.overlay.gossip_state import PeerBanned
from nodeimpl.overlay.intake import message_id
from opkit.proof import jws
from opkit.wire.gossip import Envelope, Have
from opkit.wire.records import Carried

_SPEC = importlib.util.spec_from_file_location("swarm", Path(__file__).with_name("swarm.py"))
assert _SPEC is not None and _SPEC.loader is not None
swarm: Any = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(swarm)
LIMITS = swarm.LIMITS
START_MS = swarm.START_MS
TOPIC = swarm.TOPIC
Solo = swarm.Solo
ids_of = swarm.ids_of
message = swarm.message
pushed = swarm.pushed
wanted = swarm.wanted


def test_an_id_is_the_record_id_of_the_jws() -> None:
    token = message("m").jws
    found = message_id(token)
    assert found is not None
    assert found.hex() == jws.record_id(token)


@pytest.mark.parametrize(
    "token", ["", "a", "a.b", f"a.b.{'x' * 85}", f"a.b.{'x' * 87}", f"a.b.c.{'x' * 86}", "x" * 200]
)
def test_what_is_not_shaped_like_a_signed_object_has_no_id(token: str) -> None:
    assert message_id(token) is None


def test_what_is_not_ascii_has_no_id() -> None:
    assert message_id(f"ä.b.{'x' * 86}") is None


def test_a_copy_with_a_broken_signature_takes_nothing_from_the_true_one() -> None:
    solo = Solo()
    solo.join("liar", "friend")
    good, forged = message("m"), message("m", word="forged")
    assert ids_of(good) == ids_of(forged), "the id does not cover the signature"
    solo.give("liar", forged)
    solo.give("friend", good)
    assert solo.got == ["m"]


def test_that_test_notices_when_copies_are_known_by_id_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(intake, "_copy_id", lambda each, _: each)
    with pytest.raises(AssertionError):
        test_a_copy_with_a_broken_signature_takes_nothing_from_the_true_one()


def test_a_bad_copy_is_judged_once_and_blamed_each_time() -> None:
    solo = Solo()
    solo.join("liar")
    for _ in range(9):
        solo.give("liar", message("m", word="forged"))
    assert (solo.judged, solo.counts.rejected) == (1, 9)
    assert not solo.told().get("liar") or not solo.bans
    solo.give("liar", message("m", word="forged"), message("n"))
    solo.told()
    assert [ban.peer for ban in solo.bans] == ["liar"]
    assert solo.got == [], "nothing more of it is taken"
    solo.give("liar", message("later"))
    assert solo.got == []


def test_what_is_ignored_is_judged_once_and_not_asked_for_and_nobody_is_blamed() -> None:
    solo = Solo(judge=lambda *_: swarm.Verdict.IGNORE)
    solo.join("a", "b")
    for n in range(200):
        solo.give("a", message(f"m{n}"))
    solo.give("a", message("m0"))
    assert (solo.judged, solo.counts.ignored, solo.counts.duplicates) == (200, 200, 1)
    solo.announce("b", message("m0"))
    assert wanted(solo.run(1_000)) == {}
    assert not solo.bans
    assert all(peer.score >= 0 for peer in solo.machine.mesh()[TOPIC])


def test_who_hands_on_what_lapses_on_its_way_is_not_blamed() -> None:
    solo = Solo()
    solo.join("honest")
    solo.give("honest", message("in time", lapses_ms=START_MS + 1_000))
    solo.now_ms += 1_000
    late = [message(f"late{n}", lapses_ms=START_MS + 1_000) for n in range(50)]
    solo.give("honest", *late)
    solo.told()
    assert (solo.counts.stale, solo.bans) == (50, [])
    solo.give("honest", message("next"))
    assert solo.got[-1] == "next"
    assert all(carried not in solo.told().values() for carried in late)


def test_what_a_node_learns_in_another_way_is_neither_asked_for_nor_delivered() -> None:
    solo = Solo()
    solo.join("a")
    solo.announce("a", message("m"))
    solo.machine.saw(message("m").jws, solo.now_ms)
    solo.machine.saw(message("m").jws, solo.now_ms)
    solo.machine.saw("nothing signed", solo.now_ms)
    assert wanted(solo.run(1_000)) == {}
    solo.give("a", message("m"))
    assert (solo.got, solo.counts.duplicates) == ([], 1)


def test_what_is_published_while_it_is_judged_goes_out_once() -> None:
    """As happens when the judge keeps it, and whoever keeps something new publishes it."""
    judged: list[Any] = []

    def keep(topic: str, carried: Carried, now_ms: int) -> Any:
        assert not judged[0].machine.publish(topic, carried, now_ms)
        return swarm.Verdict.ACCEPT

    solo = Solo(judge=keep)
    judged.append(solo)
    solo.join("a", "b")
    solo.give("a", message("m"))
    assert pushed(solo.told()) == {"b"}


def test_messages_are_judged_at_a_pace_and_the_rest_waits_bounded() -> None:
    solo = Solo(judged_burst=100, judged_per_s=100, waiting_max=50, judged_at_once=1_000)
    solo.join("fast", "other")
    solo.give("fast", *(message(f"m{n}") for n in range(200)))
    assert (solo.judged, solo.machine.held()["waiting"]) == (100, 50)
    assert solo.counts.dropped["waiting"] == 50
    assert solo.suspected == ["fast"]
    solo.give("other", message("m120"), message("x"))
    assert solo.judged == 102, "who waits keeps nobody else waiting"
    solo.announce("other", message("m130"))
    assert wanted(solo.run(100)) == {}, "what waits here is not asked for"
    solo.run(1_000)
    assert len(solo.got) == 151
    assert solo.counts.duplicates == 1, "what came meanwhile is not judged"
    assert solo.machine.held()["waiting"] == 0


def test_all_peers_together_are_judged_at_a_pace_and_nobody_is_to_blame() -> None:
    solo = Solo(judged_all_burst=10, judged_all_per_s=10, waiting_max=5)
    solo.join("a", "b")
    solo.give("a", *(message(f"a{n}") for n in range(20)))
    solo.give("b", *(message(f"b{n}") for n in range(20)))
    assert solo.judged == 10
    solo.run(300)
    assert {text[0] for text in solo.got[10:]} == {"a", "b"}, "each in turn"
    assert all(peer.score >= 0 for peer in solo.machine.mesh()[TOPIC])
    solo.machine.left("b", solo.now_ms)
    solo.run(2_000)
    assert len(solo.got) == 10 + 5 + 1
    assert solo.machine.held()["waiting"] == 0


def test_one_call_judges_so_many_and_goes_on_at_once() -> None:
    solo = Solo()
    solo.join("a")
    solo.give("a", *(message(f"m{n}") for n in range(200)))
    assert solo.judged == LIMITS.judged_at_once
    assert solo.machine.due_ms() == solo.now_ms
    solo.run(0)
    assert len(solo.got) == 200


@pytest.mark.parametrize(
    ("limits", "cause"),
    [
        ({"frames_burst": 10, "frames_per_s": 1}, "frames"),
        ({"heard_bytes_burst": 5_000, "heard_bytes_per_s": 1}, "heard-bytes"),
        ({"ids_burst": 30, "ids_per_s": 1}, "ids"),
    ],
)
def test_who_sends_more_than_anybody_may_is_dropped_and_at_last_banned(
    limits: dict[str, int], cause: str
) -> None:
    solo = Solo(**limits)
    solo.join("fast")
    texts = [message(f"m{n}") for n in range(50)]
    for at in range(1_100):
        solo.hear(
            "fast",
            publish=(Envelope(topic=TOPIC, carried=texts[at % 50]),),
            have=(Have(topic=TOPIC, ids=ids_of(texts[at % 50])),),
        )
    solo.told()
    assert solo.counts.dropped[cause] >= 800, "repetitions make up for the rest"
    assert [ban.why for ban in solo.bans] == ["it sends more than anybody may"]
    assert any(isinstance(note, PeerBanned) for note in solo.machine.notes())


def test_who_sends_what_is_no_frame_or_half_an_id_is_banned_at_the_tenth() -> None:
    solo = Solo()
    solo.join("a", "b")
    for _ in range(10):
        solo.machine.undecodable("a", solo.now_ms)
        solo.hear("b", want=b"x")
    solo.machine.undecodable("a", solo.now_ms)
    solo.machine.undecodable("nobody", solo.now_ms)
    solo.told()
    assert [ban.peer for ban in solo.bans] == ["a", "b"]
    solo.machine.congested("a", 10**9, solo.now_ms)
    solo.machine.congested("nobody", 10**9, solo.now_ms)
    solo.hear("nobody", subscribe=(TOPIC,))
    assert solo.counts.dropped["nobody"] == 1


def test_there_are_so_many_peers_topics_and_notes() -> None:
    solo = Solo(peers_max=3, topics_max=2, notes_max=4)
    solo.join("a", "b", "c", "d")
    assert solo.counts.dropped["peers"] == 1
    solo.hear("a", subscribe=("x", "y", "z"))
    assert solo.counts.dropped["topics"] == 2
    for _ in range(3):
        solo.machine.left("a", solo.now_ms)
        solo.join("a")
    assert len(solo.machine.notes()) == 4
    solo.machine.subscribe("x")
    with pytest.raises(AssertionError, match="topics"):
        solo.machine.subscribe("y")
