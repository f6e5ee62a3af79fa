"""What Linux offers to keep processes together: parents that reap, children that die with them.

Standard library only: the fork server loads this before anything else. Source: prctl(2).
"""

from __future__ import annotations

import ctypes
import os
import signal
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15
_PR_SET_CHILD_SUBREAPER = 36

_libc = ctypes.CDLL(None, use_errno=True)


def _prctl(option: int, argument: int | bytes) -> None:
    if _libc.prctl(option, argument, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def become_reaper() -> None:
    """Make this process the parent of every orphan below it, so that it can reap them all."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when its parent ends, even by SIGKILL.

    The parent may have ended before the kernel was told, hence the look at its id afterwards.

    Args:
        parent: the process id that the parent had when this process was meant to be its child.

    Raises:
        SystemExit: that parent is gone already.
    """
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        raise SystemExit(1)


def name_process(name: str) -> None:
    """Show this process as `name` in `ps` and `top`: by name (15 bytes) and as its command line."""
    _prctl(_PR_SET_NAME, name.encode("utf-8")[:15])
    start, end = _place_of_arguments()
    if end - start > 1:
        title = name.encode("utf-8")[: end - start - 1]
        # The arguments' own memory: what Python needs of them it has copied long ago.
        ctypes.memset(start, 0, end - start)
        ctypes.memmove(start, title, len(title))


def _place_of_arguments() -> tuple[int, int]:
    """Return where this process's arguments begin and end; zeros if the kernel does not say.

    Source: proc_pid_stat(5), fields 48 and 49.
    """
    fields = Path("/proc/self/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    return (int(fields[45]), int(fields[46])) if len(fields) > 46 else (0, 0)


def threads_of_this_process() -> int:
    """Return how many threads the kernel counts here, those of libraries included."""
    return sum(1 for _ in Path("/proc/self/task").iterdir())


def children_of(pid: int) -> tuple[int, ...]:
    """Return the living and unreaped children of a process; none if it is gone."""
    children: list[int] = []
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            children += [int(child) for child in (task / "children").read_text("ascii").split()]
    except (FileNotFoundError, ProcessLookupError):
        return tuple(children)
    return tuple(children)


def descendants_of(pid: int) -> tuple[int, ...]:
    """Return every process below `pid`, nearest first."""
    found: list[int] = []
    wave = [pid]
    while wave:
        wave = [child for parent in wave for child in children_of(parent)]
        found += wave
    return tuple(found)
