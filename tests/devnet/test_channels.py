from __future__ import annotations

import asyncio
import socket
from typing import Any

import psutil
import pytest

from devnet.channels import fork_with_channel
from devnet.forks import ForkFailed
from devnet.reaper import Reaper


class Refusing:
    """A fork server that forks nothing."""

    async def fork(self, ask: dict[str, Any], *, files: Any) -> int:
        raise ForkFailed("no more processes")


def test_what_is_not_forked_leaves_nothing_open(tmp_path):
    log, ends, pair = tmp_path / "log", [], socket.socketpair

    def noted():
        ends.extend(pair())
        return ends[-2:]

    async def story():
        # What else this process has open is not counted: threads of others open and close files.
        with pytest.MonkeyPatch.context() as noting:
            noting.setattr(socket, "socketpair", noted)
            with pytest.raises(ForkFailed):
                await fork_with_channel(
                    {}, forks=Refusing(), reaper=Reaper(), log=log, line_bytes_max=10
                )

    asyncio.run(story())
    assert [end.fileno() for end in ends] == [-1, -1]
    assert str(log) not in {file.path for file in psutil.Process().open_files()}
