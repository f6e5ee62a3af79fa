from __future__ import annotations

import asyncio
import os
from typing import Any

import pytest

from devnet.channels import fork_with_channel
from devnet.forks import ForkFailed
from devnet.reaper import Reaper


class Refusing:
    """A fork server that forks nothing."""

    async def fork(self, ask: dict[str, Any], *, files: Any) -> int:
        raise ForkFailed("no more processes")


def test_what_is_not_forked_leaves_nothing_open(tmp_path):
    async def story():
        before = os.listdir("/proc/self/fd")
        for _ in range(3):
            with pytest.raises(ForkFailed):
                await fork_with_channel(
                    {}, forks=Refusing(), reaper=Reaper(), log=tmp_path / "log", line_bytes_max=10
                )
        assert len(os.listdir("/proc/self/fd")) == len(before)

    asyncio.run(story())
