"""Authors who have rooms of their own: what one of them fills is nobody else's."""

from __future__ import annotations

from itertools import permutations

import pytest

from nodeimpl.kernel.crdt.fold import ObjectSpec
from nodeimpl.kernel.crdt.replica import Replica, ReplicaLimits
from opkit.proof import jws
from opkit.proof.operations import beginning, read_fork, read_operation
from opkit.wire.base import Jws
from opkit.wire.operations import HEADS_MAX, AddAct, LogFull, ObjectKind
from tests.nodeimpl.kernel.crdt.conftest import NETWORK, Party, key_of, settled

ROOM = 4
NAMES = ("ada", "ben", "eve")


def keepers(*names: str, limits: ReplicaLimits | None = None) -> list[Party]:
    """Return authors, each with a replica of one object in which each has their room."""
    spec = ObjectSpec(network=NETWORK, aud="pool/tools", kind=ObjectKind.OR_SET, of_author_max=ROOM)
    base = beginning(key_of(name).did for name in NAMES)
    return [Party(name, Replica(spec, base, limits=limits)) for name in names or NAMES]


def say(author: Party, what: str, count: int = ROOM) -> list[Jws]:
    return [author.say(AddAct(element=f"{what} {number}")) for number in range(count)]


def value(party: Party) -> set[str]:
    return set(party.replica.state.value)


def offer(party: Party, *tokens: Jws) -> int:
    """Offer operations one by one; return for how many there was no room."""
    full = 0
    for token in tokens:
        try:
            party.hear(token)
        except LogFull:
            full += 1
    return full


def test_each_has_room_for_so_many_and_takes_nobodys() -> None:
    ada, ben, eve = keepers()
    ada.hear(*say(eve, "eve"))
    with pytest.raises(LogFull) as full:
        eve.say(AddAct(element="one more"))
    assert full.value.limit == ROOM
    say(ada, "ada")
    ada.hear(*say(ben, "ben"))
    settled([ada, ben, eve])
    assert len({each.replica.snapshot() for each in (ada, ben, eve)}) == 1
    assert len(value(ada)) == 3 * ROOM


def test_what_all_have_room_for_together_is_still_bounded() -> None:
    ada, ben, _ = keepers(limits=ReplicaLimits(operations_max=ROOM + 1))
    say(ada, "ada")
    ada.hear(*say(ben, "ben", 1))
    assert offer(ada, ben.say(AddAct(element="one more"))) == 1


def test_nobody_cites_another_and_so_nobody_waits_for_what_another_said() -> None:
    ada, ben, eve = keepers()
    ada.hear(*say(eve, "eve", 2), *say(ben, "ben", 1))
    first, second = say(ada, "ada", 2)
    cited = [
        read_operation(each, network=NETWORK, aud="pool/tools").operation
        for each in (first, second)
    ]
    assert [(each.previous, each.parents) for each in cited] == [
        (None, ()),
        (jws.record_id(first), ()),
    ]
    ben.hear(first, second)
    assert {"ada 0", "ada 1"} <= value(ben)


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_who_fills_each_replica_with_another_history_is_proven_and_alone_is_parted(
    order: tuple[int, ...],
) -> None:
    ada, ben, eve = keepers()
    (twin,) = keepers("eve")
    ada.hear(*say(eve, "told ada"))
    ben.hear(*say(twin, "told ben"))
    say(ada, "ada")
    say(ben, "ben")
    (cy,) = keepers("ada")
    mixed = [(ada, ben), (ben, ada), (cy, ben)]
    for number in order:
        mixed[number][0].pull(mixed[number][1])
    settled([ada, ben, cy])
    honest = {f"{name} {number}" for name in ("ada", "ben") for number in range(ROOM)}
    for each in (ada, ben, cy):
        assert honest <= value(each)
        (proof,) = each.replica.forks.values()
        fork = read_fork(*proof, network=NETWORK, aud="pool/tools")
        assert (fork.did, fork.sequence) == (eve.did, 1)
        assert len(each.replica) <= 3 * ROOM + 1, "the proof finds room, and nothing beyond it"


def test_one_number_signed_again_and_again_fills_ones_own_room_alone() -> None:
    ada, ben, _ = keepers()
    forks = []
    for number in range(5 * ROOM):
        (twin,) = keepers("eve")
        forks += say(twin, f"history {number}", 1)
    assert offer(ada, *forks) == 4 * ROOM
    assert offer(ben, *reversed(forks)) == 4 * ROOM
    say(ada, "ada")
    say(ben, "ben")
    settled([ada, ben])
    for each in (ada, ben):
        assert len(each.replica) == 3 * ROOM
        assert {"ada 3", "ben 3"} <= value(each)
        assert len(each.replica.frontier().heads) < HEADS_MAX


def test_of_each_no_more_wait_than_there_is_room_for() -> None:
    ada, _, eve = keepers()
    firsts = []
    for number in range(3 * ROOM):
        (twin,) = keepers("eve")
        first, second = say(twin, f"history {number}", 2)
        firsts.append(first)
        assert offer(ada, second) == 0
    wanted = [jws.record_id(each) for each in firsts[-ROOM:]]
    assert ada.replica.missing() == tuple(sorted(wanted))
    assert len(ada.replica) == 0
    assert offer(ada, *firsts) == 2 * ROOM
    assert len(ada.replica) == ROOM and eve.did in ada.replica.forks
