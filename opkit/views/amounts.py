"""Quantities and moments as people read them: three figures, a unit, and the same everywhere."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

_BYTES: Final = ((10**12, "TB"), (10**9, "GB"), (10**6, "MB"), (10**3, "kB"))
_COUNTS: Final = ((10**12, "T"), (10**9, "G"), (10**6, "M"), (10**3, "k"))


DAY_MS: Final = 86_400_000
"""A moment is told with its date unless it was today: what tells one is another thing tomorrow."""

_LAST_MS: Final = 253_402_300_799_000
"""The last second that has a date here: a node may say any time that is a number."""


def size_text(size_bytes: int) -> str:
    """Return a number of bytes: `812 B`, `23 kB`, `3.1 MB`."""
    return _scaled(size_bytes, _BYTES, unit="B")


def rate_text(bytes_per_s: int) -> str:
    """Return bytes a second: `0 B/s`, `3.4 kB/s`."""
    return f"{size_text(bytes_per_s)}/s"


def count_text(count: int) -> str:
    """Return a whole number with separators: `1,284`."""
    return f"{count:,}"


def brief_text(count: int) -> str:
    """Return a number that may be huge, in three figures: `950`, `12 k`, `3.1 M`."""
    return _scaled(count, _COUNTS, unit="")


def of_text(part: int, whole: int, noun: str) -> str:
    """Return a part of a whole: `2 of 3 nodes`, `1 of 1 node`."""
    return f"{part} of {counted(whole, noun)}"


def counted(count: int, noun: str) -> str:
    """Return a number of things: `1 task`, `12 tasks`."""
    return f"{count:,} {many(count, noun)}"


def many(count: int, noun: str) -> str:
    """Return the word for so many things: `task` for one, `tasks` for any other number."""
    return noun if count == 1 else f"{noun}s"


def round_trip_text(round_trip_us: int | None) -> str:
    """Return a round trip in milliseconds: `0.42 ms`, `1.1 ms`, `120 ms`; `unknown` if it is.

    A transport that counts whole milliseconds calls less than one none at all: that is `≤ 1 ms`.
    """
    if round_trip_us is None:
        return "unknown"
    if round_trip_us == 0:
        return "≤ 1 ms"
    return f"{_three(round_trip_us / 1_000)} ms"


def lost_text(permille: int) -> str:
    """Return which share was lost: `0 %`, `0.4 %`, `12 %`."""
    percent = permille / 10
    return f"{percent:.0f} %" if percent == 0 or percent >= 10 else f"{percent:.1f} %"


def clock_text(at_ms: int) -> str:
    """Return the time of day, UTC: `14:32:07`."""
    return _utc(at_ms).strftime("%H:%M:%S")


def moment_text(at_ms: int, *, now_ms: int) -> str:
    """Return when something was: the time of day, with the date before it unless it was today."""
    at = _utc(at_ms)
    if at.date() == _utc(now_ms).date():
        return at.strftime("%H:%M:%S")
    return f"{at.day} {at.strftime('%b %H:%M')}"


def moment_html(at_ms: int, *, now_ms: int) -> str:
    """Return when something was, with the whole of it in its title. 0 is never."""
    if at_ms == 0:
        return '<span class="soft">never</span>'
    at = _utc(at_ms)
    whole = at.strftime("%Y-%m-%d %H:%M:%S.") + f"{at_ms % 1_000:03d}"
    return (
        f'<time datetime="{whole.replace(" ", "T")}Z" title="{whole} UTC">'
        f"{moment_text(at_ms, now_ms=now_ms)}</time>"
    )


def _scaled(count: int, scale: tuple[tuple[int, str], ...], *, unit: str) -> str:
    for size, name in scale:
        # A number that rounds up to a thousand of one unit is one of the next.
        if count >= 0.9995 * size:
            return f"{_three(count / size)} {name}"
    return f"{count} {unit}".rstrip()


def _three(value: float) -> str:
    """Return up to three figures, never more decimals than mean something on a screen."""
    # The bounds are those of what is shown: 9.96 rounds to ten, which has no decimals.
    if value >= 9.95:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 0.995 else f"{value:.2f}"


def _utc(at_ms: int) -> datetime:
    return datetime.fromtimestamp(min(at_ms, _LAST_MS) / 1_000, UTC)
