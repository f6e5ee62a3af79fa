"""What journals say together is the same in whatever order they are read, and stays bounded."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest

from opkit.live import book as books
from opkit.live.book import Book
from opkit.story.states import State
from opkit.views.figures import Happening
from opkit.wire.compute import ModuleInfo, TaskState
from opkit.wire.events import JournalEntry

HOME, OTHER = "brightworks", "harbor"
HOME_DID, OTHER_DID = "did:key:home", "did:key:other"
CID = "bafkrei" + "a" * 52
TASK, MANIFEST, RECEIPT = "a" * 32, "b" * 64, "c" * 64


def entry(kind: str, at_ms: int = 1, **body: Any) -> JournalEntry:
    return JournalEntry.model_construct(
        sequence=at_ms, type=f"compute.{kind}", at_ms=at_ms, body=body, previous="", hash=""
    )


def of_task(kind: str, at_ms: int, **body: Any) -> JournalEntry:
    return entry(kind, at_ms, task_id=TASK, manifest_hash=MANIFEST, **body)


def told() -> list[tuple[str, JournalEntry]]:
    """Return all that two nodes journal about one task, in the order of their doing it."""
    return [
        (OTHER, entry("module-deployed", 1, wasm_hash=CID, owner="o/x", size_bytes=9)),
        (HOME, of_task("task-accepted", 2, member_id="m/y", wasm_hash=CID)),
        (HOME, of_task("task-placed", 3, executor=OTHER_DID)),
        (
            OTHER,
            entry(
                "module-fetched",
                4,
                wasm_hash=CID,
                peer=HOME_DID,
                manifest_hash=MANIFEST,
                size_bytes=9,
            ),
        ),
        (OTHER, of_task("task-started", 5)),
        (OTHER, of_task("task-finished", 6, outcome="ok", receipt_hash=RECEIPT, fuel_used=7)),
        (HOME, of_task("task-ended", 7, state="done")),
    ]


@pytest.fixture
def book() -> Book:
    return Book(orgs={HOME_DID: HOME, OTHER_DID: OTHER})


def facts(book: Book) -> tuple[Any, ...]:
    task, module = book.tasks[TASK], book.modules[CID]
    return (
        task.home, task.executor, task.member_id, task.wasm_hash, task.state, task.accepted_ms,
        task.ended_ms, task.outcome, task.fuel_used, task.receipt_hash, book.fetched_from(task),
        module.home, module.owner, module.size_bytes, set(module.holders), book.tasks_total,
        book.tasks_failed,
    )  # fmt: skip


def test_every_order_of_reading_gives_the_same_task_and_module() -> None:
    seen = set()
    for order in permutations(told()):
        book = Book(orgs={HOME_DID: HOME, OTHER_DID: OTHER})
        for org, one in order:
            book.take(org, [one])
        seen.add(repr(facts(book)))
    assert len(seen) == 1, seen


def test_a_task_goes_forward_only(book: Book) -> None:
    states = []
    for org, one in told():
        book.take(org, [one])
        if TASK in book.tasks:
            states.append(book.tasks[TASK].state)
    assert states[0] is TaskState.ACCEPTED
    assert TaskState.RUNNING in states
    assert states[-1] is TaskState.DONE
    book.take(OTHER, [of_task("task-started", 9)])
    assert book.tasks[TASK].state is TaskState.DONE


def test_a_task_that_runs_keeps_its_node_busy(book: Book) -> None:
    for org, one in told()[:5]:
        book.take(org, [one])
    assert book.running(OTHER) == 1
    assert book.running(HOME) == 0


@pytest.mark.parametrize(("code", "failed"), [("", 0), ("executor-lost", 1)])
def test_a_task_that_a_limit_ended_did_not_fail(book: Book, code: str, failed: int) -> None:
    book.take(HOME, [of_task("task-ended", 1, state="failed", code=code)])
    assert book.tasks_failed == failed


def test_a_journal_that_is_read_again_counts_its_tasks_once(book: Book) -> None:
    journal = [
        of_task("task-accepted", 1, member_id="m/y", wasm_hash=CID),
        of_task("task-ended", 2, state="failed", code="no-such-module"),
    ]
    for _ in range(2):
        book.take(HOME, journal)
        book.forget(HOME)
    assert (book.tasks_total, book.tasks_failed) == (1, 1)


def test_a_module_without_a_name_is_asked_for_until_it_has_one(book: Book) -> None:
    book.take(HOME, [entry("module-deployed", 1, wasm_hash=CID, owner="o/x", size_bytes=9)])
    assert book.unnamed == {(HOME, CID)}
    info = ModuleInfo.model_construct(
        wasm_hash=CID, owner="o/x", name="echo", size_bytes=9, deployed_at_ms=1
    )
    book.name(HOME, info)
    assert book.unnamed == set()
    assert book.modules[CID].name == "echo"


def happened(number: int, *, org: str = HOME) -> Happening:
    return Happening(
        key=f"{org}/{number}", at_ms=number, org=org, kind="k", sentence="s", tone=State.DONE
    )


def test_happenings_are_kept_by_time_newest_first_and_once(book: Book) -> None:
    for number in (3, 1, 2, 3):
        book.add(happened(number))
    assert [one.at_ms for one in book.happenings] == [3, 2, 1]


def test_an_older_happening_makes_no_newer_one_go(book: Book, monkeypatch: Any) -> None:
    monkeypatch.setattr(books, "HAPPENINGS_MAX", 2)
    for number in (2, 3, 1):
        book.add(happened(number))
    assert [one.at_ms for one in book.happenings] == [3, 2]


def test_a_journal_that_began_anew_takes_its_happenings_along(book: Book) -> None:
    book.add(happened(1))
    book.add(happened(2, org=OTHER))
    book.forget(HOME)
    assert [one.org for one in book.happenings] == [OTHER]
    book.add(happened(1))
    assert len(book.happenings) == 2


def test_what_is_told_again_keeps_its_place(book: Book) -> None:
    book.add(happened(1))
    book.add(happened(2))
    book.retell(lambda one: None if one.at_ms == 1 else one)
    assert [one.at_ms for one in book.happenings] == [2, 1]


def test_everything_kept_has_a_limit(book: Book, monkeypatch: Any) -> None:
    for name in ("HAPPENINGS_MAX", "TASKS_MAX", "MODULES_MAX", "MOVED_MAX"):
        monkeypatch.setattr(books, name, 3)
    for number in range(1, 20):
        cid, task, manifest = f"cid{number}", f"task{number}", f"manifest{number}"
        book.add(happened(number))
        book.take(
            HOME,
            [
                entry("module-deployed", number, wasm_hash=cid, owner="o/x", size_bytes=1),
                entry(
                    "module-fetched",
                    number,
                    wasm_hash=cid,
                    peer=OTHER_DID,
                    manifest_hash=manifest,
                    size_bytes=1,
                ),
                entry(
                    "task-accepted",
                    number,
                    task_id=task,
                    manifest_hash=manifest,
                    member_id="m/y",
                    wasm_hash=cid,
                ),
            ],
        )
    assert len(book.happenings) == len(book.tasks) == len(book.modules) == 3
    assert len(book._moved) == 3
    assert len(book.unnamed) <= 3
    assert set(book.tasks) == {"task17", "task18", "task19"}, "the newest are kept"
    assert book.tasks_total == 19


def test_an_event_of_another_kind_changes_nothing(book: Book) -> None:
    book.take(HOME, [entry("not-known-here")])
    assert not book.tasks and not book.modules


def posted(number: int) -> JournalEntry:
    made = {"sequence": number, "type": "ledger.entry-posted", "body": {"hash": f"h{number}"}}
    return JournalEntry.model_construct(at_ms=number, previous="", hash="", **made)


def vote(number: int, *, proposal: str, member: str) -> JournalEntry:
    body = {"proposal": proposal, "member_id": member, "commitment": f"b{number}"}
    return JournalEntry.model_construct(
        sequence=number, type="governance.vote-cast", at_ms=number, body=body, previous="", hash=""
    )


def test_where_an_entry_of_a_ledger_is_journalled_is_known_by_whose_node_it_is(book, monkeypatch):
    monkeypatch.setattr(books, "POSTED_MAX", 2)
    before = book.changes
    book.take(HOME, [posted(1), posted(2)])
    book.take(OTHER, [posted(2)])

    assert set(book.posted) == {(HOME, "h2"), (OTHER, "h2")}
    assert book.heard["ledger"] == 3
    assert book.changes == before, "of tasks and modules nothing was said"


def test_the_last_vote_of_a_member_counts_with_how_often_they_voted(book, monkeypatch):
    monkeypatch.setattr(books, "VOTED_MAX", 2)
    last = vote(3, proposal="p", member="m/x")
    for each in (vote(1, proposal="p", member="m/x"), vote(2, proposal="p", member="m/y"), last):
        book.take(HOME, [each])
    book.take(HOME, [last])

    votes = book.votes[HOME, "p"]
    assert votes["m/x"] == (last, ("b1", "b3")), "the same again is not another"
    assert votes["m/y"].ballots == ("b2",)
    book.take(OTHER, [vote(4, proposal="q", member="m/x")])
    book.take(OTHER, [vote(5, proposal="r", member="m/x")])
    assert set(book.votes) == {(OTHER, "q"), (OTHER, "r")}
