"""The spawner: a small process that was forked before any key was loaded, and forks workers.

It loads the engine once; workers share its memory. It listens on one socket to the node: `fork`
comes with the worker's end of a channel, `kill` names a worker; it tells the node when a worker
ended, and how. It ends with the node, and every worker ends with it.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import sys
from typing import TYPE_CHECKING, Any

from nodeimpl.sandbox import confine, worker

if TYPE_CHECKING:
    from nodeimpl.sandbox.machine import Machine

MESSAGE_BYTES_MAX = 1_024

COMPILE_THREADS_MAX = 4
"""How many threads compile one module: their stacks count against the memory of a compile."""


def main(control: socket.socket, *, parent: int) -> None:
    """Serve the node behind `control` until it goes; then end every worker."""
    confine.die_with(parent)
    confine.drop_all_but(control.fileno())
    confine.quieten_signals()
    # Read by the engine's thread pool (`rayon`), which each compile starts anew after its fork.
    os.environ["RAYON_NUM_THREADS"] = str(min(COMPILE_THREADS_MAX, len(os.sched_getaffinity(0))))
    from nodeimpl.sandbox.machine import Machine

    spawner = _Spawner(control, Machine())
    confine.settle()
    spawner.serve()


class _Spawner:
    """Workers by number, each with its process id and the file that tells of its end."""

    def __init__(self, control: socket.socket, machine: Machine) -> None:
        self._control = control
        self._machine = machine
        self._pids: dict[int, int] = {}
        self._ends: dict[int, int] = {}
        self._poll = select.poll()
        self._poll.register(control, select.POLLIN)

    def serve(self) -> None:
        """Answer until the node closes its end."""
        going = True
        while going:
            for fd, _ in self._poll.poll():
                if fd == self._control.fileno():
                    going = self._answer()
                elif fd in self._ends:
                    self._reap(fd)
        for pid in self._pids.values():
            os.kill(pid, signal.SIGKILL)

    def _answer(self) -> bool:
        data, fds, _, _ = socket.recv_fds(self._control, MESSAGE_BYTES_MAX, 1)
        if not data:
            return False
        ask: dict[str, Any] = json.loads(data)
        if ask["op"] == "fork":
            self._fork(ask["id"], fds[0], compiles=ask["compiles"])
        elif ask["id"] in self._pids:
            # Not reaped yet, so the number cannot belong to another process.
            os.kill(self._pids[ask["id"]], signal.SIGKILL)
        return True

    def _fork(self, number: int, fd: int, *, compiles: bool) -> None:
        me = os.getpid()
        pid = os.fork()
        if pid == 0:
            self._be_worker(fd, parent=me, compiles=compiles)
        os.close(fd)
        self._pids[number] = pid
        end = os.pidfd_open(pid)
        self._ends[end] = number
        self._poll.register(end, select.POLLIN)
        self._tell({"op": "forked", "id": number, "pid": pid})

    def _be_worker(self, fd: int, *, parent: int, compiles: bool) -> None:
        """Become a worker: this never returns, whatever happens in it."""
        status = 1
        try:
            confine.die_with(parent)
            confine.drop_all_but(fd)
            serve = worker.serve_compile if compiles else worker.serve_runs
            serve(socket.socket(fileno=fd), self._machine)
            status = 0
        finally:
            os._exit(status)

    def _reap(self, end: int) -> None:
        number = self._ends.pop(end)
        self._poll.unregister(end)
        os.close(end)
        _, status = os.waitpid(self._pids.pop(number), 0)
        self._tell({"op": "ended", "id": number, "status": os.waitstatus_to_exitcode(status)})

    def _tell(self, message: dict[str, Any]) -> None:
        try:
            self._control.send(json.dumps(message).encode("ascii"))
        except (BrokenPipeError, ConnectionResetError):
            # The node is gone: the next poll says so, and everything ends.
            return


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])), parent=int(sys.argv[2]))
