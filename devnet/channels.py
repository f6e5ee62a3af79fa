"""Processes that the supervisor forks and speaks to: a channel to each, and a log behind it."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path
from typing import Any

from devnet.forks import ForkServer
from devnet.reaper import Child, Reaper
from nodeimpl.kernel.rotation import shift_if_full


async def fork_with_channel(
    ask: dict[str, Any],
    *,
    forks: ForkServer,
    reaper: Reaper,
    log: Path,
    line_bytes_max: int,
) -> tuple[Child, asyncio.StreamReader, asyncio.StreamWriter]:
    """Return a forked process and the supervisor's end of the channel to it.

    Args:
        ask: what to run, as `ForkServer.fork` takes it.
        forks: forks it.
        reaper: knows when it ends.
        log: the file that it logs to, for the owner alone.
        line_bytes_max: the longest line that is read from it.

    Raises:
        ForkFailed: it was not forked.
    """
    shift_if_full(log)
    ours, theirs = socket.socketpair()
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        child = reaper.know(await forks.fork(ask, files=(descriptor, theirs.fileno())))
    except BaseException:
        ours.close()
        raise
    finally:
        os.close(descriptor)
        theirs.close()
    reader, writer = await asyncio.open_unix_connection(sock=ours, limit=line_bytes_max)
    return child, reader, writer
