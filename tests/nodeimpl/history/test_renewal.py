"""Another generation is opened where there is a history to go on from, and nowhere else."""

from __future__ import annotations

import asyncio

import pytest

from nodeimpl.history.mark import NAME
from nodeimpl.history.renewal import open_generation
from nodeimpl.kernel.clock import VirtualClock
from nodeimpl.kernel.errors import HistoryEmpty


def test_a_node_that_has_never_run_gets_no_other_generation(tmp_path) -> None:
    url = f"sqlite:///{tmp_path}/node.db"
    with pytest.raises(HistoryEmpty, match="nothing was lost"):
        asyncio.run(open_generation(url=url, folder=tmp_path, clock=VirtualClock(5_000_000)))
    assert not (tmp_path / NAME).exists()
