"""What lasts follows from the supervisor's journal alone, from wherever one begins to listen."""

from __future__ import annotations

import asyncio
from typing import Any

from opkit.live.book import Book
from opkit.live.disturbed import Disturbed
from opkit.live.ports import ControlRefused

AB, AC = frozenset(("a", "b")), frozenset(("a", "c"))
LOSS = {"what": "loss", "id": 1, "ends_ms": 99, "orgs": [], "share_permille": 200, "at_ms": 5}
CUT = {"what": "cut", "id": 2, "ends_ms": 99, "a": "a", "b": "b", "links": [["a", "b"]], "at_ms": 6}
PARTS = {
    "what": "partition",
    "id": 3,
    "ends_ms": 99,
    "at_ms": 7,
    "groups": [["a"], ["b", "c"]],
    "links": [["a", "b"], ["a", "c"]],
}


class Supervisor:
    """Answers from a script: a status, then lines, and refuses when there are no more."""

    def __init__(self, status: dict[str, Any], *batches: list[dict[str, Any]]) -> None:
        self.status = status
        self.batches = list(batches)
        self.number = 0

    async def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        if do == "status":
            return self.status
        if not arguments["wait_ms"]:
            return {"lines": [], "next": self.number}
        if not self.batches:
            raise ControlRefused("the script is over")
        lines = []
        for line in self.batches.pop(0):
            self.number += 1
            lines.append({**line, "number": self.number})
        return {"lines": lines, "next": self.number}


def heard(status: dict[str, Any], *batches: list[dict[str, Any]]) -> Disturbed:
    """Return what is known once the script is over."""

    async def listen() -> Disturbed:
        over = asyncio.Event()
        supervisor: Any = Supervisor(status, *batches)
        disturbed = Disturbed(supervisor, on_change=lambda: over.set() if disturbed.why else None)
        task = asyncio.create_task(disturbed.run(Book(orgs={}), {"a": "Ana's", "b": "Ben's"}))
        async with asyncio.timeout(30):
            await over.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return disturbed

    return asyncio.run(listen())


def test_what_was_begun_before_is_told_by_the_status() -> None:
    found = heard({"links": [{"a": "a", "b": "b", "cut": True}], "chaos": [LOSS, CUT]})
    assert list(found.lasting) == [1, 2]
    assert found.cut == {AB: 6}
    loss, cut = found.figures({"a": "Ana's", "b": "Ben's"})
    assert (loss.number, loss.ends_ms, loss.links) == (1, 99, ())
    assert loss.sentence == "All links lose 20 % of what passes"
    assert (cut.number, cut.links) == (2, (AB,))


def test_what_begins_and_ends_is_heard() -> None:
    ended = {"what": "heal", "of": "cut", "a": "a", "b": "b", "ended": [2]}
    assert heard({}, [LOSS, CUT]).cut == {AB: 6}
    found = heard({}, [LOSS, CUT], [PARTS], [ended])
    assert list(found.lasting) == [1, 3]
    assert found.cut == {AB: 7, AC: 7}, "a partition parts them still"
    assert heard({}, [PARTS], [{"what": "restart", "org": "a", "ended": [3]}]).cut == {}


def test_a_link_that_is_healed_is_whole_whatever_parted_it() -> None:
    healed = {"what": "heal", "a": "a", "b": "b", "ended": [2]}
    found = heard({}, [CUT, PARTS], [healed])
    assert list(found.lasting) == [3]
    assert found.cut == {AC: 7}


def test_loss_that_ends_on_a_link_mends_no_cut_of_it() -> None:
    ended = {"what": "heal", "of": "loss", "a": "a", "b": "b", "ended": [1]}
    assert heard({}, [CUT], [ended]).cut == {AB: 6}


def test_cuts_without_a_number_are_known_too() -> None:
    plain = {"what": "cut", "a": "a", "b": "b", "at_ms": 4}
    assert heard({}, [plain]).cut == {AB: 4}
    assert heard({}, [plain], [{"what": "heal", "a": "b", "b": "a"}]).cut == {}
