"""What a reader believes of a stream: pages that follow on each other, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from opkit.client.sockets import SocketClosed, SocketRefused
from opkit.client.stream import Place, _failure
from opkit.wire.errors import Fault, Unreachable
from opkit.wire.events import Cursor, JournalDiverged, JournalEntry, JournalPage
from opkit.wire.gateway import RateExceeded, TokenRejected


def digest(sequence: int) -> str:
    return f"{sequence:064x}"


def cursor(sequence: int, *, generation: int = 1) -> Cursor:
    return Cursor(generation=generation, sequence=sequence, hash=digest(sequence))


def entry(sequence: int, **changed: Any) -> JournalEntry:
    fields: dict[str, Any] = {
        "sequence": sequence,
        "type": "node.started",
        "at_ms": 1,
        "body": {},
        "previous": digest(sequence - 1),
        "hash": digest(sequence),
    }
    return JournalEntry(**{**fields, **changed})


def page(*entries: JournalEntry, passed: int = 0, at: int | None = None, **named: Any) -> str:
    last = entries[-1].sequence if at is None else at
    said = JournalPage(entries=entries, passed_through=passed, cursor=cursor(last, **named))
    return said.model_dump_json()


def reader(after: int | None = None) -> Place:
    return Place(cursor=None if after is None else cursor(after), where="here")


def test_pages_that_follow_are_taken() -> None:
    place = reader()

    assert place.take(page(entry(1), entry(2))) is not None
    assert place.take(page(passed=3, at=5)) is not None
    assert place.cursor == cursor(5)


def test_what_was_seen_before_is_dropped() -> None:
    place = reader(after=2)

    assert place.take(page(entry(1), entry(2))) is None
    fresh = place.take(page(entry(2), entry(3)))
    assert fresh is not None and [each.sequence for each in fresh.entries] == [3]
    assert fresh.passed_through == 0


BROKEN = {
    "a gap": page(entry(4), passed=0),
    "a wrong count": page(entry(3), passed=1),
    "more than there can be": page(entry(3), entry(4), at=3),
    "another history": page(entry(3), generation=2),
    "a broken link": page(entry(3, previous=digest(9))),
    "out of order": page(entry(4), entry(3), at=4),
    "no page": "{}",
    "no json": "x",
    "another problem": '{"code": "token-missing", "details": {}}',
}


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN)
def test_what_does_not_follow_is_a_fault(text: str) -> None:
    with pytest.raises(Fault):
        reader(after=2).take(text)


def test_a_diverged_journal_is_raised_as_what_it_is() -> None:
    import json

    said = JournalDiverged(cursor="a", head="b")

    with pytest.raises(JournalDiverged):
        reader().take(json.dumps(said.problem()))


def test_the_end_of_a_connection_means_what_its_code_says() -> None:
    import json

    body = json.dumps(RateExceeded(retry_after_ms=1).problem()).encode()
    undeclared = json.dumps(JournalDiverged(cursor="", head="").problem()).encode()

    assert isinstance(_failure(SocketClosed(code=4401, reason="x"), "here"), TokenRejected)
    assert isinstance(_failure(SocketClosed(code=1006, reason=""), "here"), Unreachable)
    assert isinstance(_failure(SocketRefused(status=429, body=body), "here"), RateExceeded)
    assert isinstance(_failure(SocketRefused(status=409, body=undeclared), "here"), JournalDiverged)
    assert isinstance(_failure(SocketRefused(status=500, body=b"x"), "here"), Fault)
    assert isinstance(_failure(SocketRefused(status=500, body=b'{"incident":"a"}'), "here"), Fault)
