"""What waits to be read: so much of each reader and of all, and one alone always."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from nodeimpl.gateway.unread import Unread
from opkit.wire.gateway import RateExceeded


def test_each_reader_and_all_together_have_a_bound() -> None:
    unread = Unread(bytes_max=100, bytes_per_reader_max=60)
    with ExitStack() as held:
        held.enter_context(unread.held("ana", 40))
        with pytest.raises(RateExceeded), unread.held("ana", 30):
            pass
        held.enter_context(unread.held("ana", 20))
        with pytest.raises(RateExceeded), unread.held("ben", 50):
            pass
        held.enter_context(unread.held("ben", 40))
        with pytest.raises(RateExceeded), unread.held("cat", 1):
            pass
    with unread.held("cat", 60):
        pass


def test_one_answer_alone_is_never_too_large() -> None:
    unread = Unread(bytes_max=10, bytes_per_reader_max=10)
    with unread.held("ana", 1_000), pytest.raises(RateExceeded), unread.held("ben", 1):
        pass
    with unread.held("ben", 1_000):
        pass
