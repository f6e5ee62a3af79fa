"""Casts as values, and ids that travel packed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from opkit.wire import casts
from opkit.wire.base import Wire
from opkit.wire.casts import CASTS, PeerCast
from opkit.wire.gossip import GOSSIP, ID_BYTES, IDS_MAX, TOPICS_MAX, Gossip, packed, unpacked
from opkit.wire.peer import METHODS

IDS = st.lists(st.binary(min_size=ID_BYTES, max_size=ID_BYTES), max_size=20)


def test_two_casts_cannot_share_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(casts, "CASTS", {})
    PeerCast(name="test-once", message=Wire)
    with pytest.raises(AssertionError, match="share the name"):
        PeerCast(name="test-once", message=Wire)


def test_casts_are_known_by_names_that_no_method_has() -> None:
    assert CASTS["gossip"] is GOSSIP
    assert not CASTS.keys() & METHODS.keys()


@given(IDS)
def test_ids_survive_being_packed(ids: list[bytes]) -> None:
    frame = Gossip.model_validate_json(Gossip(want=packed(ids)).model_dump_json())
    assert unpacked(frame.want) == ids


@pytest.mark.parametrize("length", [1, ID_BYTES - 1, ID_BYTES + 1, 3 * ID_BYTES - 1])
def test_an_id_that_is_cut_off_is_no_id(length: int) -> None:
    with pytest.raises(ValueError, match="cut off"):
        unpacked(bytes(length))


def test_what_is_no_id_is_not_packed() -> None:
    with pytest.raises(AssertionError):
        packed([b"short"])


def test_a_frame_holds_so_many_ids_and_topics_and_no_more() -> None:
    assert Gossip(want=bytes(ID_BYTES * IDS_MAX), subscribe=("t",) * TOPICS_MAX)
    with pytest.raises(ValidationError):
        Gossip(want=bytes(ID_BYTES * IDS_MAX + 1))
    with pytest.raises(ValidationError):
        Gossip(subscribe=("t",) * (TOPICS_MAX + 1))
