"""The node's end of the spawner and of each worker.

Nothing here trusts what comes back: lengths are bounded, every wait has a deadline, and a worker
that is silent or says nonsense is killed and replaced.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from nodeimpl.sandbox import framing, spawner

_ENDED_WAIT_S = 10.0

FORK_WAIT_S = 30.0
"""How long the spawner may take to fork: at first it starts an interpreter and loads the engine."""


class WorkerDied(Exception):
    """The worker ended before it answered. `signal` is what ended it, if known; 0 if it exited."""

    def __init__(self, *, signal: int | None) -> None:
        """Keep the signal."""
        super().__init__(f"signal {signal}")
        self.signal = signal


class WorkerSilent(Exception):
    """The worker did not answer by its deadline, and was killed."""


class SpawnerGone(Exception):
    """The spawner ended, or does not answer: it makes no more workers."""


class Worker:
    """One worker process, as its channel."""

    def __init__(
        self,
        *,
        number: int,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        ended: asyncio.Future[int],
        spawner_: Spawner,
    ) -> None:
        """Take over the channel to worker `number`; `ended` gets how it ended, once it has."""
        self.number = number
        self.holds: list[str] = []
        self.tasks_done = 0
        self._reader = reader
        self._writer = writer
        self._ended = ended
        self._spawner = spawner_

    async def ask(
        self, frame: bytes, *, deadline_s: float, bytes_max: int = framing.BYTES_MAX
    ) -> tuple[dict[str, Any], bytes]:
        """Send one question and return its answer.

        Args:
            bytes_max: how many bytes an honest answer has at most beside its head.

        Raises:
            WorkerSilent: no answer in time; the worker was killed.
            WorkerDied: it ended, or sent something that is no answer and was killed.
        """
        try:
            async with asyncio.timeout(deadline_s):
                self._writer.write(frame)
                await self._writer.drain()
                return await framing.receive(self._reader, bytes_max=bytes_max)
        except TimeoutError:
            self.kill()
            raise WorkerSilent from None
        except (framing.FrameBroken, ConnectionError):
            self.kill()
            raise WorkerDied(signal=await self._spawner.how_it_ended(self._ended)) from None
        except asyncio.CancelledError:
            self.kill()
            raise

    def kill(self) -> None:
        """End the worker at once, in the middle of whatever it does."""
        self._spawner.kill(self.number)
        self.release()

    def release(self) -> None:
        """Close the channel: an idle worker ends by itself."""
        self._writer.close()


class Spawner:
    """The spawner process, as its control socket."""

    def __init__(self, control: socket.socket, *, process: subprocess.Popen[bytes] | int) -> None:
        """Take over the socket to a spawner that was just started."""
        self._control = control
        self._process = process
        self._loop: asyncio.AbstractEventLoop | None = None
        self._numbers = 0
        self._ended: dict[int, asyncio.Future[int]] = {}
        self._forked: dict[int, asyncio.Future[None]] = {}
        self._gone = False
        self.pids: dict[int, int] = {}

    @classmethod
    def launch(cls, *, fresh: bool = False) -> Spawner:
        """Fork the spawner; where threads run already, start a fresh interpreter instead.

        Forking beside threads can copy a lock that is held, so it is done only while there is
        one thread: in a node's first moments.

        Args:
            fresh: start an interpreter in any case: a fork would hold what this process holds.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        parent = os.getpid()
        process: subprocess.Popen[bytes] | int
        if not fresh and len(list(Path("/proc/self/task").iterdir())) == 1:
            process = os.fork()
            if process == 0:
                _be_spawner(theirs, parent=parent)
        else:
            command = [sys.executable, "-m", spawner.__name__, str(theirs.fileno()), str(parent)]
            process = subprocess.Popen(  # noqa: S603  # our own module, our own numbers
                command,
                pass_fds=(theirs.fileno(),),
                env={"PATH": os.defpath, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )
        theirs.close()
        ours.setblocking(False)
        return cls(ours, process=process)

    @property
    def pid(self) -> int:
        """Return the spawner's process id."""
        return self._process if isinstance(self._process, int) else self._process.pid

    def attach(self) -> None:
        """Listen on the running loop for what ended."""
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._control.fileno(), self._hear)

    def detach(self) -> None:
        """Stop listening; workers of this loop are forgotten (their channels were closed)."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.remove_reader(self._control.fileno())
        self._loop = None
        self._ended.clear()
        self.pids.clear()

    async def fork(self, *, compiles: bool = False, wait_s: float = FORK_WAIT_S) -> Worker:
        """Return a new worker, once it exists: what it is asked then has its whole time.

        Raises:
            SpawnerGone: it ended, or did not fork in time.
            OSError: no more files can be opened.
        """
        assert self._loop is not None, "attach() comes first"
        self._numbers += 1
        number = self._numbers
        ours, theirs = socket.socketpair()
        with theirs:
            message = json.dumps({"op": "fork", "id": number, "compiles": compiles})
            try:
                socket.send_fds(self._control, [message.encode("ascii")], [theirs.fileno()])
            except (BrokenPipeError, ConnectionResetError, BlockingIOError) as gone:
                ours.close()
                raise SpawnerGone("the spawner of workers has ended or reads nothing") from gone
        ended = self._ended[number] = self._loop.create_future()
        try:
            await self._wait_forked(number, wait_s)
        except BaseException:
            # A worker that is forked all the same finds its channel closed and ends.
            ours.close()
            raise
        reader, writer = await asyncio.open_unix_connection(sock=ours)
        return Worker(number=number, reader=reader, writer=writer, ended=ended, spawner_=self)

    async def _wait_forked(self, number: int, wait_s: float) -> None:
        assert self._loop is not None, "attach() comes first"
        waiting = self._forked[number] = self._loop.create_future()
        try:
            if self._gone:
                raise SpawnerGone("the spawner of workers has ended")
            async with asyncio.timeout(wait_s):
                await waiting
        except TimeoutError:
            raise SpawnerGone(f"the spawner of workers says nothing for {wait_s:g} s") from None
        finally:
            del self._forked[number]

    def kill(self, number: int) -> None:
        """Have a worker killed, if it still runs."""
        if self._gone:
            return
        message = json.dumps({"op": "kill", "id": number}).encode("ascii")
        try:
            self._control.send(message)
        except (BrokenPipeError, ConnectionResetError, BlockingIOError):
            # The spawner is gone, and its workers with it; or it reads nothing, which the next
            # fork finds: then it is replaced, and its workers end with it.
            return

    async def how_it_ended(self, ended: asyncio.Future[int]) -> int | None:
        """Return the signal that ended a worker, 0 if it exited.

        None if nobody said in time, or if the spawner ended with all its workers: that says
        nothing about any one of them.
        """
        try:
            async with asyncio.timeout(_ENDED_WAIT_S):
                status = await asyncio.shield(ended)
        except TimeoutError:
            return None
        return None if self._gone else max(0, -status)

    def _hear(self) -> None:
        try:
            data = self._control.recv(spawner.MESSAGE_BYTES_MAX)
        except BlockingIOError:
            return
        except ConnectionResetError:
            # It ended before it read all that it was asked.
            data = b""
        if not data:
            self._lose_spawner()
            return
        message = json.loads(data)
        number = message["id"]
        if message["op"] == "forked":
            self.pids[number] = message["pid"]
            waiting = self._forked.get(number)
            if waiting is not None and not waiting.done():
                waiting.set_result(None)
            return
        self.pids.pop(number, None)
        future = self._ended.pop(number, None)
        if future is not None and not future.done():
            future.set_result(message["status"])

    def _lose_spawner(self) -> None:
        assert self._loop is not None
        self._loop.remove_reader(self._control.fileno())
        self._end_waiting()

    def _end_waiting(self) -> None:
        """Tell whoever waits for a worker, or for a worker's end, that there is no spawner."""
        self._gone = True
        for ended in self._ended.values():
            if not ended.done():
                ended.set_result(0)
        self._ended.clear()
        for forked in self._forked.values():
            if not forked.done():
                forked.set_exception(SpawnerGone("the spawner of workers has ended"))

    def close(self, *, by_force: bool = False) -> None:
        """End the spawner, and with it every worker, and wait until it is gone.

        Args:
            by_force: do not wait for it to see that its node has gone.
        """
        if self._loop is not None and not self._loop.is_closed():
            self._end_waiting()
        self.detach()
        self._gone = True
        self._control.close()
        if by_force:
            # It is waited for below and nowhere else, so the number is still its own.
            os.kill(self.pid, signal.SIGKILL)
        if isinstance(self._process, int):
            os.waitpid(self._process, 0)
        else:
            self._process.wait()


def _be_spawner(control: socket.socket, *, parent: int) -> None:
    """Become the spawner in a forked child: this never returns, whatever happens in it."""
    status = 1
    try:
        spawner.main(control, parent=parent)
        status = 0
    finally:
        os._exit(status)
