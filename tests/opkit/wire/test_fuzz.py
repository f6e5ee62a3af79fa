"""Every wire type against whatever comes: a value that survives the wire, or a typed refusal.

The types are found by reading the source, so that a new one is fuzzed from its first day.
"""

from __future__ import annotations

import ast
import importlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

import opkit.wire
from opkit.wire.base import Wire
from opkit.wire.errors import REFUSALS, Refusal, refusal_from

pytestmark = pytest.mark.usefixtures("unmeasured")
"""What these reach others reach with one value, not with thousands."""

ROOT = Path(opkit.wire.__file__).parents[2]


def written() -> Iterator[tuple[str, str]]:
    """Yield module and name of every wire type that stands in the source, by its bases."""
    classes: dict[str, tuple[str, list[str]]] = {}
    for path in sorted((ROOT / "opkit" / "wire").rglob("*.py")):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ClassDef):
                bases = [base.id for base in node.bases if isinstance(base, ast.Name)]
                classes[node.name] = (module, bases)

    def is_wire(name: str) -> bool:
        return name == "Wire" or any(is_wire(base) for base in classes.get(name, ("", []))[1])

    for name, (module, _) in classes.items():
        if name != "Wire" and is_wire(name):
            yield module.removesuffix(".__init__"), name


EVERY = [getattr(importlib.import_module(module), name) for module, name in written()]
every = pytest.mark.parametrize("each", EVERY, ids=lambda each: each.__name__)

ODD_NUMBERS = st.sampled_from([2**53, -(2**53), 2**63, 2**64, 10**400, -1, 1e308, -0.0, 0.5])
ODD_TEXTS = st.sampled_from(
    ["", "\0", "\ud800", "\udfff", "\ufeff", "\u202e", "é", "é", "a" * 9999]
)
LEAVES_ = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(st.characters()),
    ODD_NUMBERS,
    ODD_TEXTS,
)
JSON_VALUES = st.recursive(
    LEAVES_,
    lambda within: st.lists(within, max_size=4) | st.dictionaries(st.text(), within),
    max_leaves=6,
)


def taken(wire: type[Wire], text: bytes) -> Wire | None:
    """Return what the type makes of a text, or None if it refuses it; nothing else may happen."""
    try:
        value = wire.model_validate_json(text)
    except ValidationError:
        return None
    said = value.model_dump_json()
    assert wire.model_validate_json(said).model_dump_json() == said, "it survives the wire"
    return value


def spelled(value: Any) -> bytes:
    """Return the JSON of a value, half surrogates and numbers that are none included."""
    return json.dumps(value).encode()


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path to everything in a JSON value."""
    found = [at]
    if isinstance(value, dict):
        found += [path for name, each in value.items() for path in places(each, (*at, name))]
    elif isinstance(value, list):
        found += [path for n, each in enumerate(value) for path in places(each, (*at, n))]
    return found


def replaced(value: Any, at: tuple[Any, ...], by: Any) -> Any:
    """Return a JSON value with another thing at one place."""
    if not at:
        return by
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[at[0]] = replaced(value[at[0]], at[1:], by)
    return copy


@every
@settings(max_examples=6)
@given(JSON_VALUES)
def test_any_json_is_a_value_or_refused(each: type[Wire], value: Any) -> None:
    taken(each, spelled(value))
    try:
        each.model_validate(value)
    except ValidationError:
        return


@every
@settings(max_examples=6)
@given(st.binary(max_size=200))
def test_any_bytes_are_a_value_or_refused(each: type[Wire], data: bytes) -> None:
    taken(each, data)


@every
@settings(max_examples=12)
@given(st.data())
def test_a_value_with_one_thing_changed_is_a_value_or_refused(
    each: type[Wire], values_of: Any, draw: st.DataObject
) -> None:
    good = json.loads(draw.draw(values_of(each)).model_dump_json())
    at = draw.draw(st.sampled_from(places(good)))
    taken(each, spelled(replaced(good, at, draw.draw(JSON_VALUES))))


@every
@settings(max_examples=6)
@given(st.data())
def test_a_value_that_lost_bytes_or_has_others_is_a_value_or_refused(
    each: type[Wire], values_of: Any, draw: st.DataObject
) -> None:
    text = bytearray(draw.draw(values_of(each)).model_dump_json().encode())
    at = draw.draw(st.integers(0, len(text) - 1))
    taken(each, bytes(text[:at]))
    text[at] = draw.draw(st.integers(0, 255))
    taken(each, bytes(text))


@settings(max_examples=8)
@given(st.data())
def test_any_problem_is_a_refusal_of_its_leaf_or_none(
    leaf: type[Refusal], example_of: Any, draw: st.DataObject
) -> None:
    good = example_of(leaf).problem()
    at = draw.draw(st.sampled_from(places(good)))
    said = refusal_from(replaced(good, at, draw.draw(JSON_VALUES)))
    assert said is None or type(said) is REFUSALS[said.code]
    assert said is None or refusal_from(json.loads(spelled(said.problem()))) is not None


def test_no_type_of_the_contract_is_forgotten() -> None:
    """Those that the other tests of the contract find by loading it are among these."""
    assert len(EVERY) == len(set(EVERY)) >= 70
    below = [Wire]
    while below:
        below = [child for parent in below for child in parent.__subclasses__()]
        assert {child for child in below if child.__module__.startswith("opkit.wire.")} <= set(
            EVERY
        )
