"""JSON that says a thing twice is found, however deep; any other JSON passes."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodeimpl.kernel.once import SaidTwice, refuse_twice

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda within: st.lists(within) | st.dictionaries(st.text(), within),
)


@given(VALUES)
def test_what_says_each_thing_once_passes(value: object) -> None:
    refuse_twice(json.dumps(value).encode())
    refuse_twice(json.dumps(value, ensure_ascii=True).encode())


@given(VALUES, st.text(), VALUES, VALUES)
def test_what_says_a_thing_twice_is_refused_by_its_name(
    beside: object, name: str, first: object, second: object
) -> None:
    spelled = [json.dumps(name), "".join(f"\\u{ord(c):04x}" for c in name if ord(c) < 2**16)]
    same = f'"{spelled[1]}"' if all(ord(c) < 2**16 for c in name) else spelled[0]
    twice = f"{{{spelled[0]}:{json.dumps(first)},{same}:{json.dumps(second)}}}"
    for text in (twice, f"[{json.dumps(beside)},{twice}]", f'{{"a":{{"b":{twice}}}}}'):
        with pytest.raises(SaidTwice) as refused:
            refuse_twice(text.encode("utf-8", "surrogatepass"))
        assert refused.value.name == name


def test_numbers_are_not_looked_at() -> None:
    refuse_twice(b'{"a":' + b"9" * 100_000 + b',"b":1e999,"c":NaN}')
