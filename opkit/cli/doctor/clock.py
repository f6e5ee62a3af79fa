"""Checks of time: whether the clock is corrected, whether it jumped, whether nodes agree with it.

Tokens, manifests and records are judged by the wall clock, so a wrong one refuses what is good.
"""

from __future__ import annotations

import ctypes
import os
import time
from pathlib import Path

from opkit.cli.doctor.cases import MachineCase, NodeCase
from opkit.cli.doctor.found import Finding, note, well, wrong

SKEW_MS_MAX = 1_000
"""By how much a node's clock may differ from this machine's, beyond the time its answer took."""

JUMP_MS_MAX = 2_000
"""How far the wall clock may have been set ahead since a node started."""

STARTS_MS_MAX = 90_000
"""How long a node may take between its process's start and its saying that it serves."""

WATCHED_S = 0.05
WATCHED_MS_MAX = 25
EARLIEST_S = 1_735_689_600
"""The beginning of 2025: an earlier clock was never set."""

_TIME_ERROR = 5
_STA_UNSYNC = 0x40
_NTP = "have it corrected: systemd-timesyncd, chrony or ntpd, on the host if this is a container"


class _Timex(ctypes.Structure):
    """The beginning of `struct timex`. Source: adjtimex(2)."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror_us", ctypes.c_long),
        ("esterror_us", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * 256),
    )


def corrected(_machine: MachineCase) -> Finding:
    """Look whether the kernel says that somebody corrects the clock; reading needs no right."""
    now = _Timex()
    state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(now))
    if state < 0:
        why = os.strerror(ctypes.get_errno())
        return note(f"whether it is corrected cannot be known here: {why}", _NTP)
    if state == _TIME_ERROR or now.status & _STA_UNSYNC:
        return note("the kernel says that nobody corrects it", _NTP)
    return well(f"corrected, at most {now.maxerror_us / 1000:,.0f} ms off")


def steady(_machine: MachineCase) -> Finding:
    """Watch the wall clock beside the one that never jumps, for a moment."""
    wall, steadily = time.time_ns(), time.monotonic_ns()
    if wall // 10**9 < EARLIEST_S:
        return wrong(f"it says {time.strftime('%Y-%m-%d', time.gmtime())}", f"set it; {_NTP}")
    time.sleep(WATCHED_S)
    jumped_ms = (time.time_ns() - wall - (time.monotonic_ns() - steadily)) / 1e6
    return judge_steady(jumped_ms)


def judge_steady(jumped_ms: float) -> Finding:
    """Say whether a clock that jumped so far while it was watched will do."""
    if abs(jumped_ms) > WATCHED_MS_MAX:
        return wrong(
            f"it jumped by {jumped_ms:+,.0f} ms while it was watched",
            "let one program alone set it, and slew instead of step",
        )
    return well("it goes on evenly")


def stepped(node: NodeCase) -> Finding | None:
    """Look whether the wall clock was set since the node started, by two ages of its process."""
    pid = node.pid
    if pid is None:
        return None
    ready_at = node.config.node.folder / "ready.json"
    by_wall_ms = time.time() * 1000 - ready_at.stat().st_mtime * 1000
    by_boot_ms = time.clock_gettime(time.CLOCK_BOOTTIME) * 1000 - started_at_ms(pid)
    return judge_step(by_wall_ms - by_boot_ms)


def started_at_ms(pid: int) -> float:
    """Return when a process started, in milliseconds since boot. Source: proc_pid_stat(5)."""
    figures = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    return int(figures[19]) * 1000 / os.sysconf("SC_CLK_TCK")


def judge_step(ahead_ms: float) -> Finding:
    """Say what it means that a node is older by the wall clock than by the steady one.

    A node that said it serves some seconds after its start looks younger by that much.
    """
    if -STARTS_MS_MAX <= ahead_ms <= JUMP_MS_MAX:
        return well("it was not set since the node started")
    return wrong(
        f"it was set by about {ahead_ms / 1000:+,.0f} s since the node started",
        "tokens and tasks of before may be refused as expired or not yet good: log in anew; "
        f"then keep the clock from jumping: {_NTP}",
    )


def agrees(node: NodeCase) -> Finding | None:
    """Compare the node's clock with this machine's, as far as the time of its answer allows."""
    if node.said is None:
        return None
    now_ms = node.said.node.get("now_ms")
    if not isinstance(now_ms, int):
        return note("it does not say what time it has")
    return judge_skew(now_ms, before_ms=node.said.before_ms, after_ms=node.said.after_ms)


def judge_skew(now_ms: int, *, before_ms: int, after_ms: int) -> Finding:
    """Say whether a clock agrees that was read between two times of this machine's."""
    off_ms = now_ms - after_ms if now_ms > after_ms else min(0, now_ms - before_ms)
    if abs(off_ms) > SKEW_MS_MAX:
        return wrong(
            f"it is {off_ms / 1000:+,.1f} s away from this machine's",
            f"set both; what one signs, the other refuses: {_NTP}",
        )
    return well("it agrees with this machine's")
