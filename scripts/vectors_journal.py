"""The first node's journal in the vectors, its heads, and another history that proves a fork."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import vectors_people as people

from opkit.proof import jws
from opkit.proof.canonical import canonical
from opkit.proof.journal import JOURNAL_START, entry_hash, stored_bytes
from opkit.proof.merkle import (
    consistency_path,
    frontier_of,
    inclusion_path,
    leaf_hash,
    node_hash,
)
from opkit.wire.base import Jws
from opkit.wire.journal import (
    JOURNAL_HEAD_TYP,
    GenerationOpened,
    HistoryPlace,
    JournalHead,
    ProvenEntry,
)
from opkit.wire.witness import AskGrowth, ForkValue, Grown, Growth, HeadValue, OpeningShown

SIZE = 33
OPENED = 6
"""The sequence of the entry that opens the second generation."""


@cache
def entries(text: str = "ü") -> tuple[bytes, ...]:
    """Return a journal as it is stored: its sixth entry opens the second generation."""
    made: list[bytes] = []
    for number in range(SIZE):
        sequence = number + 1
        kind, body = "node.started", canonical({"number": number, "text": text})
        if sequence == OPENED:
            kind, body = GenerationOpened.type, canonical(_opened(made))
        made.append(
            stored_bytes(sequence=sequence, type_name=kind, at_ms=people.CLOCK_MS, body=body)
        )
    return tuple(made)


def _opened(before: list[bytes]) -> dict[str, Any]:
    place = HistoryPlace(
        generation=1,
        size=len(before),
        root=root(before, len(before)),
        hash=last_hash(before),
    )
    opened = GenerationOpened(generation=2, after=place, reason="restored from a backup")
    return opened.model_dump(mode="json")


def last_hash(stored: list[bytes] | tuple[bytes, ...]) -> str:
    """Return the hash of the last of some first entries."""
    made = JOURNAL_START
    for one in stored:
        made = entry_hash(previous=made, stored=one)
    return made


def subtree(stored: list[bytes] | tuple[bytes, ...]) -> Callable[[int, int], bytes]:
    """Return what gives the roots of complete subtrees, as `opkit.proof.merkle` asks for them."""

    def at(level: int, position: int) -> bytes:
        if level == 0:
            return leaf_hash(stored[position])
        return node_hash(at(level - 1, 2 * position), at(level - 1, 2 * position + 1))

    return at


def root(stored: list[bytes] | tuple[bytes, ...], size: int) -> str:
    """Return the root over the first entries, in hex."""
    return frontier_of(size, subtree(stored)).root().hex()


def inclusion(index: int, size: int) -> tuple[str, ...]:
    """Return the path from an entry to the root of the first `size`."""
    path = inclusion_path(index=index, size=size, subtree=subtree(entries()))
    return tuple(each.hex() for each in path)


def consistency(first: int, second: int) -> tuple[str, ...]:
    """Return the path that shows that the first entries begin more of them."""
    path = consistency_path(first=first, second=second, subtree=subtree(entries()))
    return tuple(each.hex() for each in path)


@cache
def head_token(size: int, *, text: str = "ü") -> Jws:
    """Return where the first node's journal stands after so many entries, as it signs it."""
    stored = entries(text)[:size]
    head = JournalHead(
        network=people.NETWORK,
        aud="journal",
        node=people.did("node-1"),
        generation=1 if size < OPENED else 2,
        size=size,
        root=root(stored, size),
        hash=last_hash(stored),
        issued_at_ms=people.CLOCK_MS - 60_000,
    )
    return jws.sign(head, typ=JOURNAL_HEAD_TYP, identity=people.identity("node-1"))


def growth() -> tuple[AskGrowth, Grown]:
    """Return the question for growth from heads of both generations, and its answer."""
    seen = (head_token(3), head_token(7))
    growths = tuple(
        Growth(size=size, root=root(entries(), size), path=consistency(size, 9)) for size in (3, 7)
    )
    opening = OpeningShown(
        entry=ProvenEntry(
            sequence=OPENED,
            type=GenerationOpened.type,
            at_ms=people.CLOCK_MS,
            body=_opened(list(entries()[: OPENED - 1])),
        ),
        path=inclusion(OPENED - 1, 9),
    )
    return AskGrowth(seen=seen), Grown(head=head_token(9), growths=growths, openings=(opening,))


def first_asked() -> tuple[AskGrowth, Grown]:
    """Return the question of who has seen no head yet, and its answer."""
    return AskGrowth(), Grown(head=head_token(9))


def head_value() -> HeadValue:
    """Return what a witness says of the journal."""
    return HeadValue(head=head_token(9))


def forks() -> tuple[ForkValue, ForkValue]:
    """Return the proofs of two forks: of heads of one size, and of two sizes."""
    here, there = sorted((head_token(4), head_token(4, text="other")))
    alike = ForkValue(first=here, second=there)
    return alike, ForkValue(
        first=head_token(7, text="other"),
        second=head_token(9),
        root=root(entries(), 7),
        path=consistency(7, 9),
    )
