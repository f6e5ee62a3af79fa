"""`opkit.frame`: tidy pandas tables from what nodes, proofs and stories say.

One row is one thing, one column one kind of value with its unit in its name: `fuel_used`,
`round_trip_us`, `size_bytes`. Moments are UTC times and lose the `_ms` of their name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opkit.lab.rows import Row, columns_of, rows_of

if TYPE_CHECKING:
    from pandas import DataFrame, Series

ROWS_MAX = 200_000
"""More rows than this are refused: a notebook's table is for looking at."""

_YEAR_2000_MS = 946_684_800_000


def frame(things: Any) -> DataFrame:
    """Return a table with a row for each of these things.

    Of one thing that is a list by nature it has that list's rows: links of `Peers`, entries of a
    `JournalPage`, checks of a `Verdict`, markers of a `Report`, steps of a `Flow`, nodes of a
    `GenesisView`. Nested values become columns of their own (`limits_fuel`); of a task or a receipt
    bundle the columns are what the receipt claims. Columns stand in the order of the fields.

    Args:
        things: a value from a node, a proof or a story; a list of such; or a mapping of labels to
            either, where the label becomes the first column, `of`.

    Raises:
        TypeError: a part of it is none of these.
        ValueError: more than `ROWS_MAX` rows.
        ModuleNotFoundError: pandas is not installed.
    """
    rows = rows_of(things)
    if len(rows) > ROWS_MAX:
        raise ValueError(f"{len(rows)} rows are more than {ROWS_MAX}: ask for fewer")
    try:
        from pandas import DataFrame
    except ModuleNotFoundError as missing:
        missing.add_note("hint: pip install 'opkit[lab]'")
        raise
    names = _names(rows) or columns_of(getattr(things, "kind", object))
    table = DataFrame({name: _column(rows, name) for name in names})
    return table.rename(columns={n: n.removesuffix("_ms") for n in table if _is_time(table[n])})


def _names(rows: list[Row]) -> list[str]:
    """Return the columns' names: those of the first row, and what later rows add."""
    return list(dict.fromkeys(name for row in rows for name in row))


def _column(rows: list[Row], name: str) -> Series[Any]:
    """Return a column of whole numbers, moments, or whatever else stands there."""
    from pandas import Series, to_datetime

    values = [row.get(name) for row in rows]
    known = [value for value in values if value is not None]
    dated = name == "at_ms" or name.endswith("_at_ms")
    if not all(type(value) is int for value in known) or (not known and not dated):
        return Series(values, dtype=None if known else "object")
    if dated or _are_moments(name, known):
        # 0 stands for "never" in figures.
        moments = Series([value or None for value in values], dtype="Int64")
        return to_datetime(moments, unit="ms", utc=True)
    return Series(values, dtype="int64" if len(known) == len(values) else "Int64")


def _are_moments(name: str, values: list[int]) -> bool:
    """Return whether these are times of day, not durations: none lasts thirty years."""
    return name.endswith("_ms") and max(values) > _YEAR_2000_MS


def _is_time(column: Series[Any]) -> bool:
    return bool(column.dtype.kind == "M")
