"""What a worker process gives up before it sees a byte of anybody's module.

Source: Linux, `prctl(2)`, `getrlimit(2)`.
"""

from __future__ import annotations

import ctypes
import gc
import os
import resource
import signal
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38
_FILES_MAX = 16
_CPU_SPARE_S = 2


def die_with(parent: int) -> None:
    """End this process when its parent ends, however that happens.

    Args:
        parent: the parent's process id, read before the fork: if it is gone already, so are we.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:
        os._exit(0)


def drop_all_but(*kept: int) -> None:
    """Close every inherited file but `kept`; standard streams lead nowhere.

    Who holds a terminal's or a pipe's other end is not kept waiting, and no socket, database or
    key file of the node stays open here.
    """
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nowhere, standard)
    low = 3
    for fd in sorted(kept):
        os.closerange(low, fd)
        low = fd + 1
    os.closerange(low, resource.getrlimit(resource.RLIMIT_NOFILE)[0])


def quieten_signals() -> None:
    """Let signals do their default, but for Ctrl-C, which is the parent's business."""
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def settle() -> None:
    """Keep what was loaded before the fork shared between parent and child."""
    gc.collect()
    gc.freeze()


def limit(*, memory_bytes: int, cpu_s: int | None) -> None:
    """Give up privileges, core dumps, files; bound memory and, if given, CPU time for good.

    Args:
        memory_bytes: how much more private memory than now this process may get.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_NO_NEW_PRIVS)")
    os.chdir("/")
    _set(resource.RLIMIT_CORE, 0)
    _set(resource.RLIMIT_FSIZE, 0)
    _set(resource.RLIMIT_NOFILE, _FILES_MAX)
    _set(resource.RLIMIT_DATA, _data_bytes() + memory_bytes)
    if cpu_s is not None:
        # First SIGXCPU, then SIGKILL: so who used too much is told from who was killed by others.
        _, hard = resource.getrlimit(resource.RLIMIT_CPU)
        end = cpu_s + _CPU_SPARE_S
        resource.setrlimit(
            resource.RLIMIT_CPU, (cpu_s, end if hard == resource.RLIM_INFINITY else min(end, hard))
        )


def allow_cpu(seconds: int) -> None:
    """Let this process use so much more CPU time before the kernel ends it: a backstop."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    soft = int(used.ru_utime + used.ru_stime) + seconds + _CPU_SPARE_S
    resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))


def _set(which: int, value: int) -> None:
    _, hard = resource.getrlimit(which)
    bound = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(which, (bound, bound))


def _data_bytes() -> int:
    figures = Path("/proc/self/statm").read_text(encoding="ascii")
    return int(figures.split()[5]) * resource.getpagesize()
