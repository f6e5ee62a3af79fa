"""Refusals: one family each, a stable code, and the same class and fields after the wire."""

from __future__ import annotations

import json
import pickle
from dataclasses import dataclass, fields
from typing import Any, get_type_hints

import pytest

from opkit.wire import errors
from opkit.wire.errors import (
    FAMILIES,
    PROBLEM_TYPE,
    REFUSALS,
    CoopError,
    Denied,
    Fault,
    Invalid,
    Refusal,
    Unreachable,
    refusal_from,
)

STATUS = {
    "Invalid": 422,
    "Unauthenticated": 401,
    "Denied": 403,
    "Missing": 404,
    "Conflict": 409,
    "Lapsed": 410,
    "Oversize": 413,
    "Exhausted": 429,
    "Busy": 503,
}


def test_the_families_are_nine_with_their_statuses() -> None:
    assert {family.__name__: family.status for family in FAMILIES} == STATUS


def test_a_leaf_descends_from_exactly_one_family(leaf: type[Refusal]) -> None:
    families = [family for family in FAMILIES if issubclass(leaf, family)]
    assert len(families) == 1
    assert leaf.status == families[0].status


def test_a_leaf_has_a_stable_code_a_hint_and_a_sentence(leaf: type[Refusal]) -> None:
    assert REFUSALS[leaf.code] is leaf
    assert leaf.code == leaf.code.lower().strip("-")
    assert leaf.code.replace("-", "").isalnum()
    assert leaf.hint
    assert leaf.__doc__
    # What is more particular is a leaf itself: who knows only this one treats it alike.
    assert all(REFUSALS[child.code] is child for child in leaf.__subclasses__())


def test_a_refusal_survives_the_wire(leaf: type[Refusal], example_of: Any) -> None:
    no = example_of(leaf)
    problem = json.loads(json.dumps(no.problem()))
    again = refusal_from(problem)
    assert type(again) is leaf
    assert again.details() == no.details()
    assert problem["type"] == PROBLEM_TYPE + leaf.code
    assert (problem["status"], problem["hint"]) == (leaf.status, leaf.hint)
    assert problem["title"] in (leaf.__doc__ or "")


def test_a_refusal_survives_pickling(leaf: type[Refusal], example_of: Any) -> None:
    no = example_of(leaf)
    again = pickle.loads(pickle.dumps(no))
    assert type(again) is leaf
    assert again.details() == no.details()


def test_a_refusal_reads_as_a_line(leaf: type[Refusal], example_of: Any) -> None:
    no = example_of(leaf)
    said = str(no)
    assert said.startswith(leaf.code)
    assert said.endswith(f"(hint: {leaf.hint})")
    assert all(f"{name}={value!r}" in said for name, value in no.details().items())
    assert "\n" not in said


@pytest.mark.parametrize(
    "problem",
    [
        None,
        [],
        "no",
        {},
        {"code": "unheard-of", "details": {}},
        {"code": ["token-missing"], "details": {}},
        {"code": "token-missing"},
        {"code": "token-missing", "details": []},
        {"code": "token-rejected", "details": {}},
        {"code": "token-rejected", "details": {"whence": "x"}},
        {"code": "token-rejected", "details": {"why": 1}},
        {"code": "rate-exceeded", "details": {"retry_after_ms": "soon"}},
        {"code": "rate-exceeded", "details": {"retry_after_ms": True}},
        {"code": "rate-exceeded", "details": {"retry_after_ms": 1.5}},
        {"code": "scope-missing", "details": {"needs": "a", "has": "b"}},
        {"code": "scope-missing", "details": {"needs": "a", "has": ["b", 1]}},
    ],
)
def test_a_problem_that_is_no_known_refusal_is_none(problem: object) -> None:
    assert refusal_from(problem) is None


def test_what_a_newer_node_adds_to_a_refusal_is_left_out(
    leaf: type[Refusal], example_of: Any
) -> None:
    refusal = example_of(leaf)
    problem = json.loads(json.dumps(refusal.problem()))
    problem["details"]["zz_newer"] = {"any": ["thing"]}
    read = refusal_from(problem | {"zz_newer": 1})
    assert type(read) is leaf
    assert read.details() == refusal.details()


def test_a_leafs_fields_are_texts_whole_numbers_and_lists_of_texts(leaf: type[Refusal]) -> None:
    """`refusal_from` knows how to check these, and JSON carries them as they are."""
    hints = get_type_hints(leaf)
    assert all(hints[field.name] in (str, int, list[str]) for field in fields(leaf))


def test_two_leaves_cannot_share_a_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(errors, "REFUSALS", {})
    made = {"code": "test-only", "hint": "", "__doc__": "Only in this test."}
    dataclass(eq=False, kw_only=True)(type("Once", (Invalid,), dict(made)))
    with pytest.raises(AssertionError, match="share the code"):
        type("Twice", (Denied,), dict(made))


def test_a_refusal_without_fields_or_hint_reads_as_its_code(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(errors, "REFUSALS", {})
    bare = type("Bare", (Invalid,), {"code": "bare", "__doc__": None})
    no = bare()
    assert str(no) == "bare"
    assert no.problem()["title"] == ""


def test_silence_and_breakage_are_no_refusals() -> None:
    silent = Unreachable(where="http://127.0.0.1:1", why="timed out")
    broken = Fault(where="http://127.0.0.1:1", incident="", why="answered nonsense")
    assert str(silent) == "no answer from http://127.0.0.1:1: timed out"
    assert str(broken).endswith("incident unknown answered nonsense")
    assert str(Fault(where="a", incident="7f")) == "a is broken, incident 7f"
    for other in (silent, broken):
        assert isinstance(other, CoopError)
        assert not isinstance(other, Refusal)
