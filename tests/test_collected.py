"""What holds of the tests of one process together, once they are collected."""

from __future__ import annotations

import gc

import pytest


def test_no_test_is_stopped_to_look_for_garbage_among_all_the_others(
    request: pytest.FixtureRequest,
) -> None:
    """Such a look takes a second: longer than many a deadline that the tests of a node set it."""
    standing = {id(one) for one in request.session.items}
    assert id(request.node) in standing
    assert not any(id(one) in standing for one in gc.get_objects())
