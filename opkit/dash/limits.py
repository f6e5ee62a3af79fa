"""How much one console server takes on: kernels, viewers, messages, tries to log in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

FOLLOWERS_MAX: Final = 14
"""How many processes of one console may follow a node at once: every kernel does, in use or ready,
and the server itself. All of them read as the operator, who may have sixteen event streams open at
a node; two are left for notebooks and commands."""

PRESENTERS_MAX: Final = 8


def ready_max(*, pages: int) -> int:
    """Return how many kernels may be kept ready for each page: two places are left for people."""
    return (FOLLOWERS_MAX - 3) // pages


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a server allows. What is over a limit is refused with a page or a code that says so.

    Attributes:
        presenters_max: pages with a kernel of their own at once, those kept ready not counted.
        ready_per_page: kernels started ahead for each page.
        sessions_max: browsers that are logged in; who came first is logged out first.
        channels_per_kernel_max: connections to one kernel; a page has one, and may lose it.
        viewers_max: viewers' connections at once, over all pages.
        message_bytes_max: the longest message a browser may send.
        messages_per_s_max: how many messages one browser may send in the long run.
        messages_burst_max: how many at once.
        unsent_bytes_max: what may wait for a viewer that reads slowly; then it is cut off.
        login_tries_per_min_max: tokens and passwords that may be tried, over all callers.
        session_ms: after how long who has logged in must do so again.
        idle_ms: after how long without a word a kernel that no browser is connected to ends.
        idle_look_ms: how often idle kernels are looked for.
    """

    presenters_max: int = PRESENTERS_MAX
    ready_per_page: int = 1
    sessions_max: int = 1_000
    channels_per_kernel_max: int = 4
    viewers_max: int = 64
    message_bytes_max: int = 65_536
    messages_per_s_max: int = 40
    messages_burst_max: int = 200
    unsent_bytes_max: int = 4_194_304
    login_tries_per_min_max: int = 30
    session_ms: int = 43_200_000
    idle_ms: int = 60_000
    idle_look_ms: int = 5_000

    def __post_init__(self) -> None:
        """Each limit is a positive number; `ready_per_page` may be zero."""
        for name, value in vars(self).items():
            assert value > 0 or name == "ready_per_page", f"{name} must be positive"


def limits_for(*, ready: int, pages: int) -> Limits:
    """Return the limits of a console with `pages` pages that keeps `ready` kernels for each.

    The more are kept ready, the fewer presenters' pages may be open: all of them follow the nodes.

    Raises:
        ValueError: so many kernels cannot be kept ready.
    """
    most = ready_max(pages=pages)
    if ready > most:
        raise ValueError(f"at most {most} kernels can be kept ready for each page")
    left = FOLLOWERS_MAX - 1 - ready * pages
    return Limits(ready_per_page=ready, presenters_max=min(PRESENTERS_MAX, left))


class Budget:
    """Allows so many things a second in the long run, and a burst of them at once."""

    def __init__(self, *, per_s: float, burst: int) -> None:
        """Begin with the whole burst."""
        self._per_s = per_s
        self._burst = float(burst)
        self._left = float(burst)
        self._at_s: float | None = None

    def spend(self, *, now_s: float) -> bool:
        """Return whether one more is allowed at `now_s`, a monotonic time, and count it."""
        passed_s = 0.0 if self._at_s is None else max(0.0, now_s - self._at_s)
        self._at_s = now_s
        self._left = min(self._burst, self._left + passed_s * self._per_s)
        if self._left < 1:
            return False
        self._left -= 1
        return True
