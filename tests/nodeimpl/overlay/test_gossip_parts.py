"""The small parts of gossip: frames, pace, what was seen, what is kept, what a peer is worth."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodeimpl.overlay.drafts import Draft
from nodeimpl.overlay.gossip_limits import GossipLimits
from nodeimpl.overlay.mesh import Mesh
from nodeimpl.overlay.messages import Message, Messages, weight
from nodeimpl.overlay.pace import Allowance, Steady
from nodeimpl.overlay.scores import BANNED_MAX, TRUSTED_MIN, Remembered, Standing
from nodeimpl.overlay.seen import Seen
from opkit.wire.gossip import IDS_MAX, TOPICS_MAX, Envelope, unpacked
from opkit.wire.records import Carried


def nobody(_bits: int) -> tuple[str, ...]:
    return ()


def made(n: int, *, topic: str = "t", size: int = 100, at_ms: int = 0) -> Message:
    envelope = Envelope(topic=topic, carried=Carried(jws="x" * size, proof=("p", "qq")))
    return Message(
        id=n.to_bytes(32, "big"),
        envelope=envelope,
        bytes=weight(envelope),
        serial=n,
        at_ms=at_ms,
    )


def test_a_message_weighs_its_tokens_and_what_is_around_them() -> None:
    assert made(1, size=100).bytes == 100 + 3 + 64


# Drafts.


def sizes(draft: Draft, bytes_max: int) -> list[int]:
    return [len(frame.publish) for frame in draft.frames(bytes_max=bytes_max, endings=nobody)]


def test_messages_are_split_over_frames_by_size_and_count() -> None:
    draft = Draft(publish=[made(n, size=1_000) for n in range(10)])
    assert sizes(draft, 3_300) == [3, 3, 3, 1]
    draft = Draft(publish=[made(n) for n in range(300)])
    assert sizes(draft, 10**9) == [256, 44]
    draft = Draft(publish=[made(1, size=5_000), made(2)])
    assert sizes(draft, 1_000) == [1, 1]


def test_what_fits_goes_in_one_frame_and_what_does_not_in_the_fewest() -> None:
    ids = [n.to_bytes(32, "big") for n in range(IDS_MAX + 1)]
    draft = Draft(subscriptions={"a": True, "b": False}, links={"c": None, "d": 7})
    draft.want = ids
    draft.have = {f"t{n}": ids[:1] for n in range(TOPICS_MAX)} | {"z": ids}
    draft.publish = [made(1)]
    assert draft.held() == 2 + 2 + 1 + TOPICS_MAX + 2 * len(ids)
    first, *others = draft.frames(bytes_max=10**9, endings=nobody)
    assert (first.subscribe, first.unsubscribe, first.graft) == (("a",), ("b",), ("c",))
    assert [(prune.topic, prune.back_off_ms) for prune in first.prune] == [("d", 7)]
    frames = [first, *others]
    assert [each for frame in frames for each in unpacked(frame.want)] == ids
    haves = [have for frame in frames for have in frame.have]
    assert sum(len(unpacked(have.ids)) for have in haves) == TOPICS_MAX + len(ids)
    assert sum(len(frame.publish) for frame in frames) == 1
    draft = Draft(want=ids[:1], publish=[made(1)])
    (only,) = draft.frames(bytes_max=10**9, endings=nobody)
    assert (len(only.publish), len(only.want)) == (1, 32)


# Pace.


def test_an_allowance_is_a_burst_and_then_so_much_a_second() -> None:
    some = Allowance(per_s=10, burst=5)
    assert all(some.spend(1, 0) for _ in range(5))
    assert not some.spend(1, 0)
    assert some.ready_ms(1) == 100
    assert not some.spend(1, 99)
    assert some.spend(1, 100)
    assert not some.spend(6, 10**9), "more than a burst is never allowed"
    assert some.spend(5, 10**9)
    assert some.ready_ms(0) == 10**9
    assert not some.spend(1, 0), "time that goes back gives nothing"


@given(st.lists(st.integers(0, 10_000), max_size=30))
def test_steady_time_never_goes_back_and_tells_real_times(jumps: list[int]) -> None:
    steady, last = Steady(), 0
    for now_ms in jumps:
        at_ms = steady.see(now_ms)
        assert at_ms >= last
        assert steady.real(at_ms + 5) == now_ms + 5
        last = at_ms


# What was seen.


def test_what_was_seen_is_known_for_a_span_and_forgotten_after_two() -> None:
    seen = Seen(span_ms=10, ids_max=100)
    seen.add(b"a", 0)
    seen.age(9)
    seen.add(b"b", 12)
    assert b"a" in seen
    assert b"b" in seen
    seen.age(25)
    assert b"a" not in seen
    assert b"b" in seen
    seen.age(100)
    assert len(seen) == 0


def test_what_was_seen_is_bounded_whatever_comes() -> None:
    seen = Seen(span_ms=10**9, ids_max=10)
    for n in range(1_000):
        seen.add(b"%d" % n, 0)
        assert len(seen) <= 20
        assert b"%d" % n in seen


# What is kept.


def test_messages_are_bounded_by_count_bytes_and_time() -> None:
    kept = Messages(span_ms=10, count_max=3, bytes_max=8_100)
    assert [kept.add(made(n, at_ms=n)) for n in range(3)] == [[], [], []]
    (gone,) = kept.add(made(3, at_ms=3))
    assert gone.serial == 0
    assert len(kept.add(made(4, size=8_000, at_ms=4))) == 3
    assert (len(kept), kept.bytes) == (1, made(4, size=8_000).bytes)
    assert kept.age(13) == []
    assert [each.serial for each in kept.age(14)] == [4]
    assert (len(kept), kept.bytes) == (0, 0)


def test_messages_are_found_by_time_serial_and_topic() -> None:
    kept = Messages(span_ms=10**9, count_max=10, bytes_max=10**9)
    for n in range(4):
        kept.add(made(n, topic="even" if n % 2 == 0 else "odd", at_ms=n))
    assert [each.serial for each in kept.since(1)] == [3, 2]
    assert [each.serial for each in kept.since(-1)] == [3, 2, 1, 0]
    assert [each.serial for each in kept.after(2)] == [3]
    assert [each.serial for each in kept.take("even")] == [0, 2]
    assert [each.serial for each in kept] == [1, 3]
    with pytest.raises(AssertionError):
        kept.add(made(3))


def test_a_bit_that_another_peer_gets_says_nothing_of_it() -> None:
    kept = Messages(span_ms=10**9, count_max=10, bytes_max=10**9)
    message = made(1)
    kept.add(message)
    kept.add(made(2))
    message.known_by = message.sent_to = 0b11
    assert [message.give(0b1), message.give(0b1), message.give(0b10)] == [1, 2, 1]
    kept.forget(0b1)
    assert (message.known_by, message.sent_to, message.given) == (0b10, 0b10, {0b10: 1})


def test_a_bit_of_a_peer_that_was_given_nothing_is_forgotten_too() -> None:
    kept = Messages(span_ms=10**9, count_max=10, bytes_max=10**9)
    kept.add(made(1))
    kept.add(made(2))
    assert kept.get(made(1).id) is not None
    kept.forget(0b1)
    assert [each.given for each in kept] == [None, None]


# What a peer is worth.


@pytest.mark.parametrize(
    ("fault", "times"),
    [("invalid", 10), ("stale", 200), ("useless", 1_500), ("excess", 1_000), ("rude", 13)],
)
def test_so_many_faults_end_a_link_and_fewer_do_not(fault: str, times: int) -> None:
    standing = Standing(**{fault: times - 1})
    assert standing.score(0) > BANNED_MAX
    setattr(standing, fault, times)
    assert standing.score(0) <= BANNED_MAX


def test_broken_promises_make_a_peer_distrusted_and_never_banned() -> None:
    assert Standing(broken=25).score(0) < TRUSTED_MIN
    assert Standing(broken=10**6).score(0) > BANNED_MAX
    assert Standing(broken=40, kept=40).score(0) == 0
    assert Standing(broken=5).score(0) == 0


def test_duplicates_cost_nothing_among_enough_that_is_new() -> None:
    assert Standing(useless=30_500).score(fresh=10_000) == 0
    assert Standing(useless=30_501).score(fresh=10_000) < 0


def test_first_deliveries_are_worth_something_and_no_licence() -> None:
    assert Standing(first=4).score(0) == 1
    assert Standing(first=10**9).score(0) == 10
    assert Standing(first=10**9, invalid=11).score(0) <= BANNED_MAX


def test_greed_costs_a_place_and_decays() -> None:
    standing = Standing(greedy=100)
    assert standing.score(0) == -5
    standing.decay(0.5)
    assert standing.score(0) == -2.5


def test_who_left_is_remembered_decayed_and_bounded() -> None:
    remembered = Remembered(peers_max=2)
    for n, did in enumerate("abc"):
        remembered.keep(did, Standing(invalid=8, bans=n), at_ms=0)
    assert len(remembered) == 2
    assert remembered.take("a", 0).invalid == 0
    back = remembered.take("c", 60_000)
    assert (back.invalid, back.bans) == (4, 2)
    assert remembered.take("c", 60_000).bans == 0


# A mesh by itself.


def test_of_too_many_some_stay_that_this_node_dialled_however_good_the_others_are() -> None:
    for seed in range(20):
        limits = GossipLimits(mesh_want=4, mesh_max=6, mesh_best=2)
        mesh = Mesh(limits=limits, chance=random.Random(seed))
        mesh.members = dict.fromkeys("abcdefgh")
        changes = mesh.tend(
            [],
            score=lambda peer: 5.0 * (peer in "abcde"),
            dialled=lambda peer: peer in "gh",
            at_ms=0,
        )
        assert len(changes.prunes) == 4 and not set("gh") & set(changes.prunes)


def test_a_mesh_of_whoever_came_takes_in_some_that_this_node_dialled() -> None:
    for seed in range(20):
        mesh = Mesh(limits=GossipLimits(), chance=random.Random(seed))
        mesh.members = dict.fromkeys("abcdef")
        mesh.leave("v", until_ms=9)
        changes = mesh.tend(
            list("uvwxyz"),
            score=lambda peer: -1.0 * (peer == "w"),
            dialled=lambda peer: peer in "vwxyz",
            at_ms=0,
        )
        assert len(changes.grafts) == 2 and set(changes.grafts) <= set("xyz")
        # One that is too small is filled up as well.
        mesh.members = dict.fromkeys("ab")
        changes = mesh.tend(
            list("rstuvwz"),
            score=lambda peer: -1.0 * (peer == "w"),
            dialled=lambda peer: peer in "vz",
            at_ms=0,
        )
        assert len(changes.grafts) == 4 and "z" in changes.grafts


def test_of_too_many_the_best_stay_and_of_the_others_whom_chance_picks() -> None:
    limits = GossipLimits(mesh_want=4, mesh_max=6, mesh_best=2)
    mesh = Mesh(limits=limits, chance=random.Random(1))
    mesh.members = dict.fromkeys("abcdefgh")
    worth = {"c": 5.0, "f": 4.0, "h": -1.0}
    changes = mesh.tend(
        [], score=lambda peer: worth.get(peer, 0.0), dialled=lambda _: False, at_ms=0
    )
    assert changes.grafts == ()
    stay = set("abcdefgh") - set(changes.prunes)
    assert len(stay) == 4
    assert {"c", "f"} <= stay
    assert "h" not in stay


def test_back_offs_are_forgotten_when_they_are_over_and_bounded_before() -> None:
    mesh = Mesh(limits=GossipLimits(remembered_max=2), chance=random.Random(1))
    for n, did in enumerate("abcd"):
        mesh.leave(did, until_ms=10 + n)
    mesh.age(10)
    assert mesh.held() == 2
    assert not mesh.stays_away("b", 10)
    assert mesh.stays_away("d", 12)
    assert not mesh.stays_away("d", 13)


def test_a_mesh_that_gives_enough_or_is_empty_or_full_is_not_offered_others() -> None:
    mesh = Mesh(limits=GossipLimits(mesh_max=2), chance=random.Random(1))
    assert mesh.better(["x"], score=lambda _: 5.0, at_ms=0) == ()
    mesh.members = dict.fromkeys("a")
    assert mesh.better(["x"], score=lambda _: 5.0, at_ms=0) == ()
    assert mesh.better(["x"], score=lambda peer: 5.0 * (peer == "x"), at_ms=0) == ("x",)
    mesh.leave("x", until_ms=10)
    assert mesh.better(["x"], score=lambda peer: 5.0 * (peer == "x"), at_ms=0) == ()
    mesh.members = dict.fromkeys("ab")
    assert mesh.better(["y"], score=lambda peer: 5.0 * (peer == "y"), at_ms=0) == ()
