"""Messages made once are the same bytes that the protocol's own part would make for each reader."""

from __future__ import annotations

import pytest
from websockets.frames import Frame, Opcode

from nodeimpl.gateway.frames import text_frame


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65_535, 65_536, 200_000])
def test_a_frame_is_what_the_library_makes_of_the_same_text(size: int) -> None:
    payload = b"x" * size
    assert text_frame(payload) == Frame(Opcode.TEXT, payload).serialize(mask=False)
