"""Questions and one-way messages between machines that do nothing but remember."""

from __future__ import annotations

from random import Random

import pytest

from devnet.sim.keys import identity_of
from devnet.sim.scheduler import Scheduler
from devnet.sim.spec import Latency, Spec
from devnet.sim.violation import Violation
from devnet.sim.weather import Weather
from devnet.sim.world import EPOCH_MS, LINKS_MAX, NOTICED_MS, SILENCE, Peer, Silent, World
from nodeimpl.overlay.port import Ban, Cast, Contact, Outbox
from opkit.wire.errors import Unreachable
from opkit.wire.peer import AskLoad, BlobOffer, HaveBlob, MethodUnknown

QUESTION = HaveBlob(cid="a")


class Memory:
    """Answers every question, and remembers what it is told."""

    def __init__(self, peer):
        self.peer, self.said, self.due = peer, [], None
        self.answers = lambda: BlobOffer(size_bytes=7)

    def joined(self, peer, now_ms, *, dialled):
        self.said.append(("joined", peer))

    def left(self, peer, now_ms):
        self.said.append(("left", peer))

    def answer(self, peer, question, now_ms):
        self.said.append(("asked", peer))
        return self.answers()

    def answered(self, token, answer, now_ms):
        self.said.append(("answered", token, answer, now_ms - EPOCH_MS))

    def failed(self, token, why, now_ms):
        self.said.append(("failed", token, why, now_ms - EPOCH_MS))

    def heard(self, peer, cast, now_ms):
        self.said.append(("heard", cast.cid))

    def tick(self, now_ms):
        self.said.append(("tick", now_ms - EPOCH_MS))
        self.due = None

    def due_ms(self):
        return self.due

    def flush(self):
        return


def world_of(count=2, *, skew_ms=0, **faults):
    """Return a world of so many machines, one way 10 ms apart, and its clock."""
    spec = Spec(latency=Latency(kind="constant", typical_ms=10), **faults)
    world = World(Scheduler(), Weather(spec, chance=Random(1)), chance=Random(2))
    for index in range(count):
        identity = identity_of(1, "node", index)
        contact = Contact(did=identity.did, addresses=())
        peer = Peer(
            index=index,
            identity=identity,
            contact=contact,
            outbox=Outbox(),
            chance=Random(index),
            skew_ms=skew_ms,
        )
        world.add(peer)
        world.start(peer, Memory(peer))
    return world


def run(world, until_ms=60_000):
    while world.scheduler.step(until_ms=until_ms):
        pass


def ask(world, a, b, timeout_ms=1_000):
    token = a.outbox.ask(b.contact, QUESTION, timeout_ms=timeout_ms)
    world.settle(a)
    return token


def cast(world, a, b, *cids):
    for cid in cids:
        a.outbox.put(Cast(to=b.did, message=HaveBlob(cid=cid)))
    world.settle(a)


def linked(**faults):
    world = world_of(**faults)
    world.link(*world.peers)
    for peer in world.peers:
        peer.machine.said.clear()
    return world, *world.peers


def test_a_question_dials_and_is_answered_once() -> None:
    world = world_of()
    a, b = world.peers
    token = ask(world, a, b)
    run(world)
    answer = BlobOffer(size_bytes=7)
    assert a.machine.said == [("joined", b.did), ("answered", token, answer, 40)]
    assert b.machine.said == [("joined", a.did), ("asked", a.did)]
    token = ask(world, a, b)
    run(world, 120_000)
    assert a.machine.said[2:] == [("answered", token, answer, 60_020)]
    assert world.messages == 4


def test_a_question_to_nobody_to_one_who_is_down_and_a_lost_one_fail_when_their_time_is_over():
    world = world_of(3)
    a, b, _ = world.peers
    world.crash(b)
    tokens = [ask(world, a, b)]
    stranger = Contact(did=identity_of(1, "stranger", 0).did, addresses=())
    tokens.append(a.outbox.ask(stranger, QUESTION, timeout_ms=700))
    world.settle(a)
    run(world)
    assert a.machine.said == [
        ("failed", tokens[1], SILENCE, 700),
        ("failed", tokens[0], SILENCE, 1_000),
    ]


def test_a_refusal_comes_back_by_its_code_and_a_silent_liar_says_nothing() -> None:
    world, a, b = linked()

    def refuse():
        raise MethodUnknown(method="x")

    def keep_silent():
        raise Silent

    b.machine.answers = refuse
    first = ask(world, a, b)
    run(world, 500)
    b.machine.answers = keep_silent
    second = ask(world, a, b)
    run(world)
    assert a.machine.said == [
        ("failed", first, "method-unknown", 20),
        ("failed", second, SILENCE, 1_500),
    ]


@pytest.mark.parametrize("bad", [ValueError("x"), Unreachable(where="a", why="b")])
def test_a_machine_that_raises_anything_but_a_refusal_breaks_a_rule(bad) -> None:
    world, a, b = linked()

    def fail():
        raise bad

    b.machine.answers = fail
    ask(world, a, b)
    with pytest.raises(Violation, match="no machine raises: node 1"):
        run(world)


def test_a_rule_that_is_broken_while_a_question_is_answered_is_told_as_what_it_is() -> None:
    world, a, b = linked()

    def break_another():
        raise Violation("some other rule", 1, "for it was looked at")

    b.machine.answers = break_another
    ask(world, a, b)
    with pytest.raises(Violation, match="some other rule: node 1"):
        run(world)


def test_one_way_messages_arrive_in_order_unless_they_are_reordered() -> None:
    cids = [f"c{number}" for number in range(200)]
    for share, in_order in ((0.0, True), (0.5, False)):
        world, a, b = linked(reorder=share)
        world.weather._delays = [1 + number * 37 % 50 for number in range(4_096)]
        cast(world, a, b, *cids)
        run(world)
        heard = [said[1] for said in b.machine.said]
        assert sorted(heard) == sorted(cids)
        assert (heard == cids) is in_order


def test_loss_delays_messages_and_sometimes_takes_their_link_and_what_is_under_way() -> None:
    world, a, b = linked(loss=0.5)
    cids = list(map(str, range(400)))
    for at, cid in enumerate(cids):
        world.scheduler.at(at * 10, cast, world, a, b, cid)
    run(world)
    heard = [said[1] for said in b.machine.said if said[0] == "heard"]
    assert heard == sorted(heard, key=int) and 0 < len(heard) < 400
    assert ("left", b.did) in a.machine.said and ("left", a.did) in b.machine.said
    assert world.counts["messages lost"] > 50
    assert world.counts["casts without a link"] > 0


def test_duplicates_are_heard_and_asked_twice_but_answered_once() -> None:
    world, a, b = linked(duplicate=0.9)
    for _ in range(20):
        ask(world, a, b)
        cast(world, a, b, "x")
    run(world)
    said = [each[0] for each in b.machine.said]
    assert said.count("heard") > 30 and said.count("asked") > 30
    assert [each[0] for each in a.machine.said] == ["answered"] * 20


def test_who_crashes_is_noticed_and_hears_nothing_of_its_earlier_life() -> None:
    world, a, b = linked()
    cast(world, a, b, "before")
    token = ask(world, b, a)
    world.crash(b)
    world.start(b, Memory(b))
    run(world)
    assert b.machine.said == []
    assert ("left", b.did) in a.machine.said
    assert token not in [each[1] for each in b.machine.said]
    ask(world, a, b)
    run(world, 120_000)
    assert b.machine.said == [("joined", a.did), ("asked", a.did)]


def test_who_comes_back_before_it_is_missed_is_linked_anew() -> None:
    world, a, b = linked()
    world.crash(b)
    world.start(b, Memory(b))
    ask(world, a, b)
    run(world)
    assert [each[0] for each in a.machine.said] == ["left", "joined", "answered"]


def test_a_partition_cuts_questions_messages_and_links_until_it_heals() -> None:
    world, a, b = linked()
    world.cut(frozenset({0}))
    token = ask(world, a, b)
    cast(world, a, b, "x")
    run(world)
    assert a.machine.said == [("failed", token, SILENCE, 1_000), ("left", b.did)]
    assert b.machine.said == [("left", a.did)]
    world.weather.clear_up()
    ask(world, a, b)
    run(world, 120_000)
    assert a.machine.said[2:][0] == ("joined", b.did)


def test_a_partition_that_heals_before_anybody_notices_takes_no_link() -> None:
    world, a, _ = linked()
    world.cut(frozenset({0}))
    world.scheduler.at(NOTICED_MS - 1, world.weather.clear_up)
    run(world)
    assert a.machine.said == []


def test_a_ban_ends_the_link_and_lets_no_question_through_for_its_time() -> None:
    world, a, b = linked()
    a.outbox.put(Ban(peer=b.did, why="x", ban_ms=5_000))
    world.settle(a)
    run(world, 10)
    token = ask(world, b, a)
    run(world, 6_000)
    assert ("failed", token, SILENCE, 1_010) in b.machine.said
    ask(world, b, a)
    run(world)
    assert b.machine.said[-1][0] == "answered"


def test_the_link_that_was_used_least_recently_gives_way() -> None:
    world = world_of(LINKS_MAX + 2)
    a, *others = world.peers
    for number, other in enumerate(others):
        world.scheduler.at(number * 10, world.link, a, other)
    run(world)
    assert len(a.links) == LINKS_MAX
    assert ("left", a.did) in others[0].machine.said
    assert others[0].did not in a.links


def test_a_machine_is_ticked_when_it_is_due_by_its_own_clock() -> None:
    world = world_of(1, skew_ms=700)
    (a,) = world.peers
    a.machine.due = EPOCH_MS + 1_000
    world.settle(a)
    a.machine.due = EPOCH_MS + 900
    world.settle(a)
    run(world)
    assert a.machine.said == [("tick", 900)]
    assert world.scheduler.now_ms == 60_000


def test_equal_seeds_give_equal_traces_and_others_do_not() -> None:
    def trace(cids):
        world, a, b = linked(loss=0.3)
        cast(world, a, b, *cids)
        a.outbox.ask(b.contact, AskLoad(member_id="m"), timeout_ms=100)
        world.settle(a)
        run(world)
        return world.trace

    assert trace("abc") == trace("abc") != trace("ab")
