"""What shared objects cost: adding to a large set, merging a delta, and healing a partition.

All in this process, in processor time: signatures are made and verified, nothing travels. The
partition's two sides pull from each other as nodes do, over frames' values.
"""

from __future__ import annotations

import gc
import hashlib
import time
from collections.abc import Callable, Sequence
from functools import partial
from statistics import median

from bench.rows import Row, quick, row
from nodeimpl.kernel.crdt.fold import ObjectSpec
from nodeimpl.kernel.crdt.hlc import Hlc
from nodeimpl.kernel.crdt.pull import Pull, answer
from nodeimpl.kernel.crdt.replica import Replica
from nodeimpl.kernel.crdt.states import OrSet, Said, delta_of
from opkit.proof.keys import Identity
from opkit.proof.operations import beginning
from opkit.wire.base import Jws
from opkit.wire.operations import AddAct, ObjectKind

MEMBERS, QUICK_MEMBERS = 100_000, 5_000
ADDED = 1_000
APART, QUICK_APART = 2_000, 200
TIMES = 5
NOW_MS = 1_767_225_600_000
SPEC = ObjectSpec(network="a" * 26, aud="bench", kind=ObjectKind.OR_SET)
KEYS = [Identity.from_seed(bytes([number]) * 32) for number in range(1, 4)]


def crdt() -> list[Row]:
    """Processor time of an OR-Set with many members, unsigned and signed, and after a partition."""
    members = QUICK_MEMBERS if quick() else MEMBERS
    return [*_unsigned(members), *_signed(members), *_partition()]


def _id(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def _of(numbers: Sequence[int]) -> OrSet:
    made = OrSet()
    for number in numbers:
        act = AddAct(element=f"member {number}")
        made.apply(Said(_id(number), KEYS[0].did, Hlc(NOW_MS)), act)
    return made


def _cpu(work: Callable[[], object]) -> float:
    """Return the processor time that something takes, in seconds."""
    gc.collect()
    started = time.process_time()
    work()
    return time.process_time() - started


def _unsigned(members: int) -> list[Row]:
    whole = _of(range(members))
    adds: list[float] = []
    merges: list[float] = []
    share = members // 100
    for number in range(TIMES):
        start = members * (number + 2)
        said = [
            (Said(_id(start + each), KEYS[0].did, Hlc(NOW_MS)), AddAct(element=f"new {each}"))
            for each in range(ADDED)
        ]
        grown = whole.copy()

        def add(grown: OrSet = grown, said: list[tuple[Said, AddAct]] = said) -> None:
            for each, act in said:
                delta = delta_of(ObjectKind.OR_SET, each, act)
                assert isinstance(delta, OrSet)
                grown.absorb(delta)

        adds.append(_cpu(add) / ADDED * 1e6)
        more = _of(range(start, start + share))
        merges.append(_cpu(partial(_merged, whole, more)) * 1e3)
    told = f"OR-Set of {members:,}"
    return [
        row(f"{told}, add", median(adds), "us", target="<= 20", of=adds),
        row(f"{told}, 1 % delta merged", median(merges), "ms", target="<= 20", of=merges),
    ]


def _merged(one: OrSet, other: OrSet) -> OrSet:
    made = one.copy()
    made.absorb(other)
    return made


def _replica() -> Replica:
    return Replica(SPEC, beginning(key.did for key in KEYS))


def _filled(members: int) -> tuple[Replica, list[Jws]]:
    """Return a replica to which one author has added so many, and the signed operations."""
    replica = _replica()
    told = [
        replica.issue(KEYS[0], AddAct(element=f"member {number}"), NOW_MS + number)
        for number in range(members)
    ]
    return replica, told


def _signed(members: int) -> list[Row]:
    """Time what an author does to add, and what a reader does with a delta of one in a hundred."""
    there, _ = _filled(members)
    here = _replica()
    _pulled(here, there, NOW_MS + members)
    adds: list[float] = []
    merges: list[float] = []
    share = members // 100
    now = NOW_MS + members
    for _ in range(TIMES):
        told: list[Jws] = []

        def add(told: list[Jws] = told, now: int = now) -> None:
            told += [
                there.issue(KEYS[0], AddAct(element=f"new {now + each}"), now + each)
                for each in range(share)
            ]

        adds.append(_cpu(add) / share * 1e6)
        now += share
        merges.append(_cpu(partial(_pulled, here, there, now)) * 1e3)
        assert len(here) == len(there)
    assert here.snapshot() == there.snapshot()
    verified = [each * 1e3 / share for each in merges]
    name = f"OR-Set of {members:,}"
    return [
        row(f"{name}, add, signed", median(adds), "us", target="<= 150", of=adds),
        row(f"{name}, add, verified", median(verified), "us", target="<= 150", of=verified),
        row(f"{name}, 1 % delta, verified", median(merges), "ms", target="<= 300", of=merges),
    ]


def _pulled(here: Replica, there: Replica, now_ms: int) -> int:
    pull = Pull(here)
    while (question := pull.question()) is not None:
        pull.answered(answer(there, question), now_ms)
    assert not pull.lied
    return pull.taken


def _partition() -> list[Row]:
    """Two sides that wrote apart for a minute heal: both pull, and a third one from each."""
    apart = QUICK_APART if quick() else APART
    taken: list[float] = []
    for _ in range(3):
        sides = [_replica(), _replica()]
        third = _replica()
        for number in range(apart):
            for key, side in zip(KEYS, sides, strict=False):
                act = AddAct(element=f"{key.did} {number}")
                side.issue(key, act, NOW_MS + number * 60_000 // apart)
        now = NOW_MS + 60_000

        def heal(sides: list[Replica] = sides, third: Replica = third, now: int = now) -> None:
            one, other = sides
            for here, there in ((one, other), (other, one), (third, one)):
                _pulled(here, there, now)

        taken.append(_cpu(heal))
        assert len({each.snapshot() for each in (*sides, third)}) == 1
        assert len(third) == 2 * apart
    name = f"{apart:,} operations on each side, three replicas, CPU"
    return [row(name, median(taken), "s", target="<= 5", of=taken)]
