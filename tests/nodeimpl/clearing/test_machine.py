"""Every state that sides of an exchange can reach together, whatever is lost, repeated or late.

Whatever a side journalled it may say at any time, as often as it likes, or never: that is a network
that loses, repeats and reorders, and sides that crash between any two steps. All that can be
reached so is looked at, not a sample.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

import pytest

from nodeimpl.clearing import machine
from nodeimpl.clearing.machine import Side
from opkit.wire.clearing import Ending

PROPOSER = "p"
ENDINGS: tuple[Ending, ...] = ("committed", "aborted")


@dataclass(frozen=True, slots=True)
class World:
    """All sides, and what the arbiter ruled.

    Attributes:
        lies: ends that the proposer signed beside the one that it decided.
        prompt: whether ledgers do at once what they have to, or at any later time.
    """

    proposer: Side
    responders: tuple[Side | None, ...]
    rulings: tuple[tuple[Ending, str], ...] = ()
    lies: tuple[Ending, ...] = ()
    prompt: bool = False

    def sides(self) -> list[Side]:
        return [self.proposer, *(each for each in self.responders if each is not None)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bad:
    """Who is not honest."""

    proposer_lies: bool = False
    rulings_max: int = 1
    prompt: bool = False


def name(at: int) -> str:
    return f"r{at}"


def others_of(at: int, count: int) -> frozenset[str]:
    return frozenset({PROPOSER, *(name(each) for each in range(count) if each != at)})


def begin(count: int, bad: Bad) -> World:
    proposer = machine.offered(frozenset(name(at) for at in range(count)))
    return World(proposer, (None,) * count, prompt=bad.prompt)


def put(world: World, at: int, side: Side) -> World:
    if world.prompt and machine.act_of(side):
        side = machine.did_act(side)
    # No step looks at whether a ruling was contradicted: worlds that differ in it alone are one.
    side = replace(side, rival_ruling=False)
    if at < 0:
        return replace(world, proposer=side)
    return replace(
        world, responders=tuple(side if i == at else old for i, old in enumerate(world.responders))
    )


def told_ends(world: World) -> set[Ending]:
    """Return which ends the proposer has signed."""
    ends = set(world.lies)
    if world.proposer.outcome is not None:
        ends.add(world.proposer.outcome)
    return ends


def proposing(world: World) -> Iterator[World]:
    proposer = world.proposer
    for at, side in enumerate(world.responders):
        if side is not None and side.accepted and proposer.ending is None:
            heard = machine.hear_acceptance(proposer, name(at))
            yield replace(world, proposer=heard)
            if machine.may_commit(heard):
                decided = machine.decide(heard, "committed")
                yield replace(world, proposer=machine.did_act(decided))
    if machine.may_abort(proposer):
        yield replace(world, proposer=machine.decide(proposer, "aborted"))


def responding(world: World) -> Iterator[World]:
    """What did not accept keeps nothing of what it hears, and may accept afterwards."""
    count = len(world.responders)
    for at, side in enumerate(world.responders):
        if side is None:
            yield put(world, at, machine.accepted(others_of(at, count)))
            continue
        for ending in told_ends(world):
            yield put(world, at, machine.hear_outcome(side, ending, proposer=PROPOSER))


def ruling(world: World, bad: Bad) -> Iterator[World]:
    """The arbiter is asked by somebody in doubt, and may believe anybody to be silent."""
    asked = any(side is not None and side.accepted for side in world.responders)
    if not asked or len(world.rulings) == bad.rulings_max:
        return
    ends = {"aborted"} | {end for end in told_ends(world) if end == "committed"}
    for ending in ENDINGS:
        if ending in ends:
            taken = (ending, f"{9 - len(world.rulings)}")
            yield replace(world, rulings=(*world.rulings, taken))


def hearing_rulings(world: World) -> Iterator[World]:
    for ending, ruling_id in world.rulings:
        yield put(world, -1, machine.hear_ruling(world.proposer, ending, ruling_id))
        for at, side in enumerate(world.responders):
            if side is not None:
                yield put(world, at, machine.hear_ruling(side, ending, ruling_id))


def posting(world: World) -> Iterator[World]:
    for at, side in enumerate([world.proposer, *world.responders], -1):
        if side is not None and machine.act_of(side):
            yield put(world, at, machine.did_act(side))


def hear_words(side: Side, of: Side) -> Side:
    """Return a side after hearing what another one has of the proposer."""
    if of.outcome is not None:
        for ending in ENDINGS:
            if of.rival or ending == of.outcome:
                side = machine.hear_outcome(side, ending, proposer=PROPOSER)
    return side


def hear_answer(side: Side, there: Side, to: str) -> Side:
    """Return a side after another one, that was told, answered how it stands."""
    if there.ending != side.ending or there.ruling is not None:
        side = hear_words(side, there)
        if there.ruling is not None:
            side = machine.hear_ruling(side, *there.ruling, by=to)
    even = side.rival and side.ruling is None
    return machine.hear_told(side, to) if there.ending == side.ending or even else side


def telling(world: World, *, silent: bool = False) -> Iterator[World]:
    """A side that has ended tells another, and hears how that stands; but no silent proposer."""
    every = [world.proposer, *world.responders]
    for at, side in enumerate(every, -1):
        if side is None or side.ending is None or (silent and at < 0):
            continue
        for to in sorted(side.untold):
            to_at = -1 if to == PROPOSER else int(to[1:])
            there = every[to_at + 1]
            if there is None:
                yield put(world, at, machine.hear_told(side, to))
                continue
            me = PROPOSER if at < 0 else name(at)
            if side.ruling is not None:
                there = machine.hear_ruling(there, *side.ruling, by=me)
            elif to_at >= 0:
                there = hear_words(there, side)
            told = put(world, to_at, there)
            yield put(told, at, hear_answer(side, there, to))
            yield told  # The answer is lost.


def lying(world: World, bad: Bad) -> Iterator[World]:
    """A proposer that everybody accepted can sign both ends."""
    accepted = [side is not None and side.accepted for side in world.responders]
    if bad.proposer_lies and all(accepted) and not world.lies:
        for ending in ENDINGS:
            yield replace(world, lies=(ending,))


def steps(world: World, bad: Bad) -> Iterator[World]:
    yield from proposing(world)
    yield from responding(world)
    yield from ruling(world, bad)
    yield from hearing_rulings(world)
    yield from posting(world)
    yield from telling(world)
    yield from lying(world, bad)


def explore(count: int, bad: Bad, look: Callable[[World], None]) -> int:
    """Look at every world that can be reached; return how many there are."""
    first = begin(count, bad)
    seen, waiting = {first}, [first]
    while waiting:
        world = waiting.pop()
        look(world)
        for after in steps(world, bad):
            if after not in seen:
                seen.add(after)
                waiting.append(after)
    return len(seen)


def settle(world: World, *, silent: bool = False) -> World:
    """Return the world once all could talk for as long as they wished.

    The proposer's patience ends; who accepted hears it, or the arbiter.

    Args:
        silent: whether the proposer, after all that it said, says nothing more.
    """
    if machine.may_abort(world.proposer) and not silent:
        world = replace(world, proposer=machine.decide(world.proposer, "aborted"))
    after = closer(world, silent)
    while after != world:
        world, after = after, closer(after, silent)
    return world


@lru_cache(maxsize=100_000)
def closer(world: World, silent: bool) -> World:
    """Return the world once all were told again, and one of them did what it has to."""
    for at, side in enumerate(world.responders):
        if side is not None and world.proposer.outcome is not None and not silent:
            heard = machine.hear_outcome(side, world.proposer.outcome, proposer=PROPOSER)
            world = put(world, at, heard)
    for ending, ruling_id in world.rulings:
        world = put(world, -1, machine.hear_ruling(world.proposer, ending, ruling_id))
        for at, side in enumerate(world.responders):
            if side is not None:
                world = put(world, at, machine.hear_ruling(side, ending, ruling_id))
    for afters in (posting(world), telling(world, silent=silent), pleading(world)):
        changed = next((after for after in afters if after != world), None)
        if changed is not None:
            return changed
    return world


def pleading(world: World) -> Iterator[World]:
    """Once nobody has anything else to say the arbiter rules, if it is asked, by what all have."""
    there = [side for side in world.responders if side is not None]
    if not world.rulings and any(side.is_pleading for side in there):
        seen = any(side.outcome == "committed" or side.rival for side in there)
        yield replace(world, rulings=(("committed" if seen else "aborted", "9"),))


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """Keep none of a hundred thousand worlds for the tests that come after in this process."""
    yield
    closer.cache_clear()


@pytest.mark.parametrize("responders", [1, 2])
def test_without_an_arbiter_nobody_posts_what_another_does_not(responders: int) -> None:
    def look(world: World) -> None:
        proposer = world.proposer
        if proposer.outcome == "committed":
            assert all(side is not None and side.accepted for side in world.responders)
        for side in world.sides():
            assert side.rival is False
            if side.posted:
                assert proposer.outcome == "committed"
            if side.ending is not None:
                assert side.ending == proposer.outcome

    count = explore(responders, Bad(rulings_max=0), look)
    assert count > (10 if responders == 1 else 100)


@pytest.mark.parametrize(
    ("responders", "bad"),
    [
        (1, Bad()),
        (2, Bad()),
        (1, Bad(rulings_max=2)),
        (2, Bad(rulings_max=2, prompt=True)),
    ],
)
@pytest.mark.usefixtures("unmeasured")
def test_once_all_can_talk_all_stand_the_same(responders: int, bad: Bad) -> None:
    def look(world: World) -> None:
        end = settle(world)
        assert len({side.ending for side in end.sides()}) == 1, (world, end)
        for side in end.sides():
            assert side.ending is not None
            assert side.posted == (side.ending == "committed"), (world, end)
            assert not side.in_doubt and not side.untold, (world, end)

    assert explore(responders, bad, look) > 50


@pytest.mark.usefixtures("unmeasured")
def test_a_proposer_that_signs_both_ends_is_seen_and_the_ruling_stands() -> None:
    def look(world: World) -> None:
        # What it told one and another they tell each other, though it says nothing more.
        alone = [side for side in settle(world, silent=True).responders if side is not None]
        assert len({(side.ending, side.posted) for side in alone}) <= 1, (world, alone)
        for side in alone:
            assert side.posted == (side.ending == "committed"), (world, alone)
            assert not (side.in_doubt or side.untold or side.is_pleading), (world, alone)
        if not world.rulings:
            return
        end = settle(world)
        (ruled,) = {ending for ending, _ in world.rulings}
        assert {side.ending for side in end.sides()} == {ruled}
        assert {side.posted for side in end.sides()} == {ruled == "committed"}
        for side in world.sides():
            if side.rival:
                assert len(told_ends(world)) == 2

    assert explore(2, Bad(proposer_lies=True, prompt=True), look) > 500


def test_that_an_arbiter_contradicts_itself_is_remembered_in_whatever_order_it_is_heard() -> None:
    start = machine.accepted(frozenset({PROPOSER}))
    rulings: tuple[tuple[Ending, str], ...] = (("committed", "1"), ("aborted", "2"))
    for first, second in (rulings, rulings[::-1]):
        side = machine.hear_ruling(start, *first)
        assert machine.hear_ruling(side, *first) == side and not side.rival_ruling
        both = machine.hear_ruling(side, *second)
        assert both.rival_ruling and both.ruling == rulings[0]
        for again in rulings:
            assert machine.hear_ruling(both, *again) == both


def test_what_is_heard_again_changes_nothing() -> None:
    def look(world: World) -> None:
        for side in world.sides():
            if side.outcome is not None:
                again = machine.hear_outcome(side, side.outcome, proposer=PROPOSER)
                assert again == side
            if side.ruling is not None:
                assert machine.hear_ruling(side, *side.ruling) == side
            for other in side.others:
                told = machine.hear_told(side, other)
                assert machine.hear_told(told, other) == told

    explore(2, Bad(rulings_max=2, prompt=True), look)


def test_an_end_that_was_decided_is_never_taken_back_but_by_a_ruling() -> None:
    def look(world: World) -> None:
        for after in steps(world, Bad(rulings_max=2, prompt=True)):
            pairs = zip(world.sides(), after.sides(), strict=False)
            for old, new in pairs:
                if old.role != new.role or old.others != new.others:
                    continue
                if old.ending is not None and old.ending != new.ending:
                    assert new.ruling is not None and new.ruling != old.ruling
                assert new.entries in (old.entries, old.entries + 1)

    explore(2, Bad(rulings_max=2, prompt=True), look)


def test_deciding_twice_is_a_defect() -> None:
    proposer = machine.decide(machine.offered(frozenset({"r0"})), "aborted")
    for ending in ENDINGS:
        with pytest.raises(AssertionError):
            machine.decide(proposer, ending)
    with pytest.raises(AssertionError):
        machine.decide(machine.offered(frozenset({"r0"})), "committed")
