"""What names accounts, entries and days: the longest there may be, and what is none."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from opkit.wire.ledger import AccountId, AccountPath, AccountText, Day, EntryId

TYPES: dict[str, TypeAdapter[str]] = {
    "path": TypeAdapter(AccountPath),
    "id": TypeAdapter(AccountId),
    "text": TypeAdapter(AccountText),
    "entry": TypeAdapter(EntryId),
    "day": TypeAdapter(Day),
}
LONGEST_PATH = "/".join(["a" * 63] * 4)
LONGEST_ID = f"{'c' * 64}:{LONGEST_PATH}"
GOOD = {
    "path": ["a", "reserve/2026-q1", "member/hugo", "0/1/2/3", "a._-", LONGEST_PATH],
    "id": ["c:a", "river-city:equity/opening", LONGEST_ID],
    "text": ["", "no account", LONGEST_ID],
    "entry": ["e", "Hours:2026-01/ana.7", "e" * 128],
    "day": ["2026-01-15", "2024-02-29", "0001-01-01", "9999-12-31"],
}
BAD = {
    "path": ["", "/a", "a/", "a//b", ".a", "A", "a b", "é", "a\n", f"{LONGEST_PATH}a", "a/b/c/d/e"],
    "id": ["a", ":a", "c:", "c:a:b", "-c:a", "C:a", f"c{LONGEST_ID}", f"{LONGEST_ID}a"],
    "text": ["\0", "a" * 331],
    "entry": ["", "-e", "e f", "é", "e" * 129],
    "day": ["", "2026-02-29", "2026-13-01", "2026-1-15", "20260115", "2026-W03-4", "0000-01-01"],
}


@pytest.mark.parametrize(("kind", "said"), [(kind, said) for kind in GOOD for said in GOOD[kind]])
def test_what_is_one_is_taken_as_it_is(kind: str, said: str) -> None:
    assert TYPES[kind].validate_python(said) == said


@pytest.mark.parametrize(("kind", "said"), [(kind, said) for kind in BAD for said in BAD[kind]])
def test_what_is_none_is_refused(kind: str, said: str) -> None:
    with pytest.raises(ValidationError):
        TYPES[kind].validate_python(said)
