"""Every wire type: it survives the wire, refuses what it does not know, and cannot change."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from opkit.proof.canonical import canonical, parse_canonical
from opkit.wire.base import Wire
from opkit.wire.kept import Kept

pytestmark = pytest.mark.usefixtures("unmeasured")
"""What these reach others reach with one value, not with thousands."""


@settings(max_examples=12)
@given(st.data())
def test_a_value_survives_the_wire(wire: type[Wire], values_of: Any, draw: st.DataObject) -> None:
    value = draw.draw(values_of(wire))
    assert wire.model_validate_json(value.model_dump_json()) == value
    if not issubclass(wire, Kept):  # Nodes are strict with each other; files are read as they are.
        assert wire.model_validate_json(value.model_dump_json(), strict=True) == value


@settings(max_examples=6)
@given(st.data())
def test_a_value_survives_its_canonical_spelling(
    wire: type[Wire], values_of: Any, draw: st.DataObject
) -> None:
    value = draw.draw(values_of(wire))
    spelled = canonical(value.model_dump(mode="json"))
    assert wire.model_validate(parse_canonical(spelled)) == value


@settings(max_examples=2)
@given(st.data())
def test_an_unknown_field_is_refused(wire: type[Wire], values_of: Any, draw: st.DataObject) -> None:
    sent = json.loads(draw.draw(values_of(wire)).model_dump_json())
    with pytest.raises(ValidationError, match="extra"):
        wire.model_validate(sent | {"zz_unknown": 1})


@settings(max_examples=2)
@given(st.data())
def test_a_value_never_changes(wire: type[Wire], values_of: Any, draw: st.DataObject) -> None:
    value = draw.draw(values_of(wire))
    for name in wire.model_fields:
        with pytest.raises(ValidationError, match="frozen"):
            setattr(value, name, None)


def test_every_type_says_what_it_is(wire: type[Wire]) -> None:
    assert wire.__doc__
    assert wire.model_json_schema()


def test_no_type_holds_a_float(wire: type[Wire]) -> None:
    """What is signed is integers and text: a float has no one spelling that all agree on."""
    assert '"type": "number"' not in json.dumps(wire.model_json_schema())
