"""`python -m bench.nursery`: a process that has imported the node once, and forks nodes from there.

Importing takes a second, a fork takes milliseconds, and a dozen nodes are wanted. Nodes end with
their nursery, and the nursery with whoever started it.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path

from bench.network import ROOT
from devnet.processes import die_with_parent, threads_of_this_process

PATH_BYTES_MAX = 4_096
NUMBER_BYTES = 8
START_S_MAX = 60
END_S_MAX = 20


class Born:
    """A forked process, which is nobody else's even if its number is given to another one."""

    def __init__(self, pid: int) -> None:
        """Hold it by its descriptor."""
        self.pid = pid
        self._held = os.pidfd_open(pid)

    def lives(self) -> bool:
        """Return whether it has not ended."""
        return not select.select([self._held], [], [], 0)[0]

    def end(self, how: signal.Signals = signal.SIGKILL) -> None:
        """End it, as a power switch would unless told otherwise; it is held no more once it did."""
        if self.lives():
            signal.pidfd_send_signal(self._held, how)
        select.select([self._held], [], [], END_S_MAX)
        os.close(self._held)


class Nursery:
    """A nursery that runs."""

    def __init__(self) -> None:
        """Start it; it takes the first order when it has imported everything."""
        self._ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._ours.settimeout(START_S_MAX)
        command = [sys.executable, "-m", "bench.nursery", str(theirs.fileno())]
        self._process = subprocess.Popen(command, cwd=ROOT, pass_fds=[theirs.fileno()])
        theirs.close()

    def fork(self, config: Path, channel: socket.socket) -> Born:
        """Start the node of a configuration, which is told what to do over a channel.

        Raises:
            TimeoutError: the nursery does not answer.
        """
        socket.send_fds(self._ours, [str(config).encode()], [channel.fileno()])
        return Born(int.from_bytes(self._ours.recv(NUMBER_BYTES), "big"))

    def close(self) -> None:
        """End it, and whoever of its nodes still runs."""
        self._ours.close()
        self._process.wait(END_S_MAX)


def serve(channel: socket.socket) -> None:
    """Fork a node for each order, until nobody orders any more."""
    die_with_parent(os.getppid())
    # Imported for all of them; a nursery that is not asked for anything imports it in vain.
    from bench.swarm_job import run

    gc.collect()
    gc.freeze()
    assert threads_of_this_process() == 1, "an imported module started a thread: unsafe to fork"
    # The system reaps them: whoever ordered them holds them by descriptors.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    nursery = os.getpid()
    while True:
        order, files, _, _ = socket.recv_fds(channel, PATH_BYTES_MAX, 1)
        if not order:
            return
        born = os.fork()
        if born == 0:
            channel.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            die_with_parent(nursery)
            run(order.decode(), socket.socket(fileno=files[0]))
            return
        os.close(files[0])
        channel.send(born.to_bytes(NUMBER_BYTES, "big"))


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
