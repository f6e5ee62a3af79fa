"""Files say a version: a newer one is refused by its number, before anything else is judged."""

from __future__ import annotations

from typing import Annotated

import pytest
from pydantic import Field, ValidationError

from opkit.wire.kept import Kept, is_newer, why_unread


class Note(Kept):
    """Something in a file."""

    text: str


class LaterNote(Kept):
    """The same in its second form."""

    version: Annotated[int, Field(strict=True, ge=1, le=2)] = 2
    text: str


def why(kind: type[Kept], said: object) -> ValidationError:
    with pytest.raises(ValidationError) as refused:
        kind.model_validate(said)
    return refused.value


def test_a_file_of_this_version_or_of_none_is_read() -> None:
    assert Note.model_validate({"text": "a"}).version == 1
    assert Note.model_validate_json('{"version": 1, "text": "a"}').text == "a"
    assert LaterNote.model_validate({"version": 1, "text": "a"}).text == "a"
    assert Note(text="a").model_dump() == {"version": 1, "text": "a"}


def test_a_newer_one_is_refused_by_its_number_and_for_nothing_else() -> None:
    for said in ({"version": 2, "text": "a"}, {"version": 2, "words": ["a"]}):
        refused = why(Note, said)
        assert is_newer(refused)
        assert why_unread(refused) == (
            "it is of version 2, and this opkit knows up to 1 "
            "(run the version of opkit that wrote it, or a newer one)"
        )
    assert is_newer(why(LaterNote, {"version": 3}))


@pytest.mark.parametrize("version", [0, -1, "1", 1.5, True, None, [2]])
def test_what_is_no_version_is_refused_as_that(version: object) -> None:
    refused = why(Note, {"version": version, "text": "a"})
    assert not is_newer(refused)
    assert why_unread(refused).startswith("version: ")


@pytest.mark.parametrize("said", [[], "text", None, 2])
def test_what_is_no_object_is_refused_without_a_version(said: object) -> None:
    refused = why(Note, said)
    assert not is_newer(refused)
    assert why_unread(refused)
