"""The fork server: one process imports the node once and forks every node from there.

Importing a node takes a second and more; a fork takes milliseconds and shares the memory. The
server forks twice, so that the child's parent is the supervisor, which reaps it. The server runs
no thread and no loop and holds no key: a fork copies nothing that could be half done.

Standard library only, for the supervisor starts it before it imports anything else.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from devnet.processes import die_with_parent, name_process, threads_of_this_process

PACKET_BYTES_MAX = 65_536
"""The greatest ask; it travels as one packet."""

FILES_MAX = 2
"""An ask carries the log that becomes standard output, and at most one channel of its own."""

IMPORT_DEADLINE_MS = 60_000
FORK_DEADLINE_MS = 20_000

Job = Callable[[], int]
"""What a forked child does; the result is its exit status."""


class ForkFailed(Exception):
    """The fork server ended, or could not import what it was to fork."""


@dataclass(frozen=True, kw_only=True)
class ForkServer:
    """The supervisor's end: asks for forks and learns their process ids."""

    pid: int
    _socket: socket.socket
    _turn: asyncio.Lock

    @classmethod
    def start(cls, *, modules: Sequence[str]) -> ForkServer | Job:
        """Fork the server. Returns twice: the server's handle here, and a job in each child.

        The caller must run a returned job at once and exit with its result.

        Args:
            modules: what the server imports before it serves.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        supervisor = os.getpid()
        pid = os.fork()
        if pid:
            theirs.close()
            ours.setblocking(False)
            return cls(pid=pid, _socket=ours, _turn=asyncio.Lock())
        ours.close()
        return lambda: _serve(theirs, supervisor=supervisor, modules=modules)

    async def wait_imported(self) -> int:
        """Return after how many milliseconds the server had imported everything.

        Raises:
            ForkFailed: it could not, and says why; or it took too long.
        """
        said = await self._receive(IMPORT_DEADLINE_MS)
        if "failed" in said:
            raise ForkFailed(said["failed"])
        return int(said["imported_ms"])

    async def fork(self, ask: dict[str, Any], *, files: Sequence[int]) -> int:
        """Return the process id of a new child of this process that does what `ask` says.

        Args:
            ask: a job of `devnet.jobs` and its arguments.
            files: descriptors to hand over: first the log, then the job's own channel if any.

        Raises:
            ForkFailed: the server is gone.
        """
        packet = json.dumps(ask).encode("utf-8")
        assert len(packet) <= PACKET_BYTES_MAX and len(files) <= FILES_MAX
        async with self._turn:
            try:
                socket.send_fds(self._socket, [packet], list(files))
            except OSError as gone:
                raise ForkFailed(f"the fork server is gone: {gone}") from gone
            return int((await self._receive(FORK_DEADLINE_MS))["pid"])

    async def _receive(self, deadline_ms: int) -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(deadline_ms / 1000):
                packet = await loop.sock_recv(self._socket, PACKET_BYTES_MAX)
        except TimeoutError as late:
            raise ForkFailed(f"the fork server did not answer in {deadline_ms} ms") from late
        except OSError as gone:
            raise ForkFailed(f"the fork server is gone: {gone}") from gone
        if not packet:
            raise ForkFailed("the fork server ended")
        said: dict[str, Any] = json.loads(packet)
        return said

    def close(self) -> None:
        """Let the server end by itself."""
        self._socket.close()


def _serve(channel: socket.socket, *, supervisor: int, modules: Sequence[str]) -> int:
    """Import, then fork on request until the supervisor closes its end."""
    die_with_parent(supervisor)
    name_process("opkit-forks")
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    began = time.monotonic()
    for module in modules:
        try:
            importlib.import_module(module)
        except (ImportError, SyntaxError) as bad:
            channel.send(json.dumps({"failed": f"{module}: {bad}"}).encode("utf-8"))
            raise
    gc.collect()
    gc.freeze()
    assert threads_of_this_process() == 1, "an imported module started a thread: unsafe to fork"
    imported_ms = round((time.monotonic() - began) * 1000)
    channel.send(json.dumps({"imported_ms": imported_ms}).encode("ascii"))
    while True:
        packet, files, _, _ = socket.recv_fds(channel, PACKET_BYTES_MAX, FILES_MAX)
        if not packet:
            return 0
        job = _fork_twice(json.loads(packet), files, channel, supervisor=supervisor)
        if job is not None:
            return job()
        for file in files:
            os.close(file)


def _fork_twice(
    ask: dict[str, Any], files: Sequence[int], channel: socket.socket, *, supervisor: int
) -> Job | None:
    """Return None in the server, and the job in the child that the supervisor is parent of.

    The child waits until the process between them is reaped: then its parent is the supervisor.
    """
    gate_read, gate_write = os.pipe()
    told_read, told_write = os.pipe()
    between = os.fork()
    if between == 0:
        child = os.fork()
        if child:
            os.write(told_write, child.to_bytes(8, "big"))
            os._exit(0)
        os.close(gate_write)
        os.close(told_read)
        os.close(told_write)
        channel.close()
        os.read(gate_read, 1)
        os.close(gate_read)
        die_with_parent(supervisor)
        return _child_job(ask, files)
    os.waitpid(between, 0)
    pid = int.from_bytes(os.read(told_read, 8), "big")
    os.close(gate_write)
    for end in (gate_read, told_read, told_write):
        os.close(end)
    channel.send(json.dumps({"pid": pid}).encode("ascii"))
    return None


def _child_job(ask: dict[str, Any], files: Sequence[int]) -> Job:
    """Return what the child shall do, its standard streams being the log already."""
    log, *own = files
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    os.close(nothing)
    os.close(log)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    name_process(ask["title"])
    sys.argv = [ask["title"]]
    module = importlib.import_module(ask["module"])
    return lambda: int(getattr(module, ask["call"])(*ask["arguments"], *own))
