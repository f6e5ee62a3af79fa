"""What share of the records is where is counted from what real shelves tell, and never guessed."""

from __future__ import annotations

import asyncio
import random

import pytest

from nodeimpl.overlay.coverage import kept_below
from nodeimpl.overlay.fingerprints import Fingerprints
from opkit.live import coverage as walking
from opkit.live.coverage import coverage
from opkit.views.figures import Coverage
from opkit.wire.errors import Unreachable
from opkit.wire.overlay import BELOW_IDS_MAX, AskBelow, KeptBelow, KeptSet


class Shelf:
    """Ids without records: what is compared of a shelf."""

    def __init__(self, ids: set[bytes]) -> None:
        self._tree = Fingerprints()
        for item in ids:
            self._tree.add(item)

    def ids(self, namespace: str) -> Fingerprints:
        """Return them, whatever the namespace."""
        return self._tree


class Told:
    """Nodes that tell of their ids, and how often they were asked."""

    def __init__(self, **ids: set[bytes]) -> None:
        self.shelves = {org: Shelf(kept) for org, kept in ids.items()}
        self.asks = 0

    def sets(self) -> dict[str, KeptSet]:
        """Return what each tells at first."""
        return {
            org: KeptSet(
                namespace="note",
                records=len(shelf.ids("note")),
                fingerprint=shelf.ids("note").fingerprint(),
            )
            for org, shelf in self.shelves.items()
        }

    async def ask(self, org: str, ask: AskBelow) -> KeptBelow:
        """Answer as a node does."""
        self.asks += 1
        return kept_below(self.shelves[org], ask.namespace, ask.prefix)

    def counted(self) -> Coverage:
        """Return the coverage that the walk finds."""
        return asyncio.run(asyncio.wait_for(coverage("note", self.sets(), self.ask), 30))


def ids(count: int, seed: int = 7) -> set[bytes]:
    chance = random.Random(seed)
    return {chance.randbytes(32) for _ in range(count)}


def test_nodes_that_keep_the_same_are_asked_nothing_more() -> None:
    told = Told(a=ids(3_000), b=ids(3_000), c=ids(3_000))

    found = told.counted()

    assert found == Coverage(
        namespace="note", total=3_000, held=(("a", 3_000), ("b", 3_000), ("c", 3_000))
    )
    assert told.asks == 0


def test_few_records_are_compared_by_their_ids() -> None:
    all_ids = sorted(ids(10))
    told = Told(a=set(all_ids[:7]), b=set(all_ids[3:]), c=set())

    assert told.counted() == Coverage(
        namespace="note", total=10, held=(("a", 7), ("b", 7), ("c", 0))
    )
    assert told.asks == 3


def test_what_lacks_among_many_is_found_exactly_and_with_few_questions() -> None:
    everything = ids(5_000)
    lacking = set(sorted(everything)[::1_000])
    told = Told(a=everything, b=everything - lacking, c=everything)

    assert told.counted() == Coverage(
        namespace="note",
        total=5_000,
        held=(("a", 5_000), ("b", 5_000 - len(lacking)), ("c", 5_000)),
    )
    assert told.asks <= 3 * (1 + len(lacking))


def test_a_node_with_few_among_nodes_with_many_is_counted_too() -> None:
    everything = ids(4_000)
    few = set(sorted(everything)[:40]) | ids(5, seed=8)
    found = Told(a=everything, b=few).counted()

    assert found.is_exact
    assert (found.total, found.held) == (4_005, (("a", 4_000), ("b", 45)))


def test_where_nodes_differ_in_everything_the_picture_says_that_it_is_not_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(walking, "ASKS_MAX", 8)
    told = Told(a=ids(20_000), b=ids(20_000, seed=8))

    found = told.counted()

    assert not found.is_exact
    assert found.total >= 20_000
    assert dict(found.held) == {"a": 20_000, "b": 20_000}
    assert told.asks <= 8


def test_nobody_and_nothing_are_covered() -> None:
    assert Told().counted() == Coverage(namespace="note", total=0, held=())
    assert Told(a=set(), b=set()).counted().total == 0


def test_a_node_that_falls_silent_ends_the_walk() -> None:
    async def silent(org: str, ask: AskBelow) -> KeptBelow:
        raise Unreachable(where=org, why="gone")

    told = Told(a=ids(3), b=ids(4))
    with pytest.raises(Unreachable):
        asyncio.run(asyncio.wait_for(coverage("note", told.sets(), silent), 30))


def test_an_answer_lists_no_more_ids_than_it_may() -> None:
    shelf = Shelf(ids(BELOW_IDS_MAX + 1))
    assert kept_below(shelf, "note", "").ids is None
    assert len(kept_below(shelf, "note", "").branches) == 16
    few = kept_below(shelf, "note", "0")
    assert len(few.ids or b"") == 16 * few.records
