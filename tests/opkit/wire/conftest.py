"""Everything that is in the contract, found by loading all of it, and examples of each type."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator
from dataclasses import fields
from datetime import date
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import pytest
from annotated_types import Ge, Le, MaxLen, MinLen
from hypothesis import strategies as st
from pydantic import AfterValidator, PlainValidator, StringConstraints
from pydantic.fields import FieldInfo

import opkit.wire
from opkit.wire.base import PLAIN, Wire
from opkit.wire.errors import REFUSALS, Refusal
from opkit.wire.ledger.types import real_day

TEXT = st.text(alphabet=st.characters(exclude_categories=["Cs"]))
ITEMS_MAX = 3
"""The most items of a generated list: the bounds of the types are tested by themselves."""
REPEATS_MAX = 8
"""How often a part of a pattern is repeated at most beyond its fewest, for the same reason."""
PART = re.compile(
    r"\(\?:(?P<group>[^()]+)\)\?"
    r"|(?P<one>\[[^\]\\]+\]|\\\.|[A-Za-z0-9:/-])(?:\{(?P<fewest>\d+)(?:,(?P<most>\d+))?\})?"
    r"(?![*+?])"
)
"""One part of a simple pattern: what may be left out, or one of some characters, repeated."""
BY_VALIDATOR: dict[Any, st.SearchStrategy[str]] = {
    real_day: st.dates().map(date.isoformat),
}
"""Texts that pass what a pattern alone cannot say."""


def load_all() -> list[str]:
    """Import every module of the contract and return their names."""
    found = pkgutil.walk_packages(opkit.wire.__path__, "opkit.wire.")
    return [importlib.import_module(module.name).__name__ for module in found]


def subclasses(parent: type[Any]) -> Iterator[type[Any]]:
    """Yield every class below `parent` that the contract defines."""
    for child in parent.__subclasses__():
        if child.__module__.startswith("opkit.wire."):
            yield child
        yield from subclasses(child)


def strategy(annotation: Any, constraints: tuple[Any, ...] = ()) -> st.SearchStrategy[Any]:
    """Return values of a field's type that keep its bounds."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return strategy(arguments[0], (*flat(arguments[1:]), *constraints))
    if origin in (Union, UnionType):
        return st.one_of([strategy(argument, constraints) for argument in arguments])
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin is tuple:
        item = strategy(arguments[0])
        fewest = bound(constraints, MinLen, 0)
        most = min(fewest + ITEMS_MAX, bound(constraints, MaxLen, fewest + ITEMS_MAX))
        return st.lists(item, min_size=fewest, max_size=most).map(tuple)
    if origin is dict:
        return st.dictionaries(TEXT, st.integers(-(2**53) + 1, 2**53 - 1), max_size=ITEMS_MAX)
    return plain(annotation, constraints)


def plain(annotation: Any, constraints: tuple[Any, ...]) -> st.SearchStrategy[Any]:
    """Return values of a type without arguments."""
    if annotation is NoneType:
        return st.none()
    if annotation is bool:
        return st.booleans()
    if annotation is int:
        most = 2**53 - 1
        return st.integers(bound(constraints, Ge, -most), bound(constraints, Le, most))
    if annotation is str:
        return text(constraints)
    if annotation is bytes:
        assert any(isinstance(said, PlainValidator) for said in constraints), "bytes are B64"
        return st.binary(
            min_size=bound(constraints, MinLen, 0), max_size=min(bound(constraints, MaxLen, 40), 40)
        )
    if issubclass(annotation, Enum):
        return st.sampled_from(list(annotation))
    assert issubclass(annotation, Wire), annotation
    return values(annotation)


def text(constraints: tuple[Any, ...]) -> st.SearchStrategy[str]:
    """Return text that keeps its pattern, validator and length."""
    judged = [said.func for said in constraints if isinstance(said, AfterValidator)]
    if judged:
        assert len(judged) == 1, "one strategy cannot pass two validators"
        return BY_VALIDATOR[judged[0]]
    patterns = [said.pattern for said in constraints if getattr(said, "pattern", None)]
    if set(patterns) - {PLAIN}:
        return matching(patterns[0])
    fewest, most = bound(constraints, MinLen, 0), bound(constraints, MaxLen, 40)
    return st.text(
        alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\0"),
        min_size=fewest,
        max_size=min(most, 40),
    )


@cache
def matching(pattern: str) -> st.SearchStrategy[str]:
    """Return short texts that match a pattern: each repeat of a part is bounded closer."""

    def closer(repeat: re.Match[str]) -> str:
        fewest, most = int(repeat[1]), int(repeat[2])
        return f"{{{fewest},{min(most, fewest + REPEATS_MAX)}}}"

    close = re.sub(r"\{(\d+),(\d+)\}", closer, pattern)
    simple = spelled(close.removeprefix("^").removesuffix("$"))
    return st.from_regex(close, fullmatch=True) if simple is None else simple


def spelled(pattern: str) -> st.SearchStrategy[str] | None:
    """Return texts that match a pattern of nothing but characters in a row; None for any other.

    What draws a text at once is ten times as quick as what draws each of its characters.
    """
    parts: list[st.SearchStrategy[str]] = []
    at = 0
    for part in PART.finditer(pattern):
        if part.start() != at:
            return None
        at = part.end()
        if part["group"] is not None:
            inner = spelled(part["group"])
            if inner is None:
                return None
            parts.append(st.just("") | inner)
        else:
            fewest = int(part["fewest"] or 1)
            most = int(part["most"] or fewest)
            letters = [c for c in map(chr, range(128)) if re.fullmatch(part["one"], c)]
            one = "".join(letters)
            same = len(letters) == 1 and fewest == most
            parts.append(
                st.just(one * most) if same else st.text(one, min_size=fewest, max_size=most)
            )
    return st.tuples(*parts).map("".join) if at == len(pattern) else None


def flat(constraints: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return constraints with those inside a `Field` or `StringConstraints` beside the others."""
    found: list[Any] = []
    for said in constraints:
        if isinstance(said, FieldInfo):
            found += said.metadata
        elif isinstance(said, StringConstraints):
            found += [said, *list(said)]
        else:
            found.append(said)
    return tuple(found)


def bound(constraints: tuple[Any, ...], kind: type[Any], default: int) -> int:
    """Return the value of the bound of this kind."""
    name = {Ge: "ge", Le: "le", MinLen: "min_length", MaxLen: "max_length"}[kind]
    for said in constraints:
        if isinstance(said, kind):
            value: int = getattr(said, name)
            return value
    return default


@cache
def values(wire: type[Wire]) -> st.SearchStrategy[Wire]:
    """Return values of a wire type."""
    hints = get_type_hints(wire, include_extras=True)
    return st.builds(wire, **{name: strategy(hints[name]) for name in wire.model_fields})


EXAMPLES: dict[Any, Any] = {str: "why", int: 7, bool: True, list[str]: ["a", "b"]}
"""A value of each type that a refusal's field may have."""


def example(leaf: type[Refusal]) -> Refusal:
    """Return a refusal of this leaf with every field filled."""
    hints = get_type_hints(leaf)
    return leaf(**{field.name: EXAMPLES[hints[field.name]] for field in fields(leaf)})


load_all()
WIRE_TYPES = sorted(set(subclasses(Wire)), key=lambda wire: wire.__qualname__)
LEAVES = sorted(set(REFUSALS.values()), key=lambda leaf: leaf.code)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that asks for `wire` or `leaf` once for each that there is."""
    if "wire" in metafunc.fixturenames:
        metafunc.parametrize("wire", WIRE_TYPES, ids=lambda wire: wire.__name__)
    if "leaf" in metafunc.fixturenames:
        metafunc.parametrize("leaf", LEAVES, ids=lambda leaf: leaf.code)


@pytest.fixture(scope="session")
def values_of() -> Any:
    """The maker of values of a wire type."""
    return values


@pytest.fixture(scope="session")
def example_of() -> Any:
    """The maker of an example of a refusal."""
    return example
