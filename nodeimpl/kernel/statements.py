"""SQLAlchemy Core, compiled once at import to SQL text for both engines.

Building and compiling a statement costs a hundred times what running it costs (ADR 0004), so it is
done once; what runs is text and a dictionary, straight through the driver.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Table, bindparam, select, true
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.sql.dml import Insert
from sqlalchemy.sql.elements import BindParameter, ClauseElement
from sqlalchemy.sql.selectable import Exists
from sqlalchemy.sql.visitors import iterate, replacement_traverse

EngineName = Literal["sqlite", "postgresql"]

DIALECTS: dict[EngineName, Dialect] = {
    "sqlite": SQLiteDialect_pysqlite(paramstyle="named"),
    "postgresql": PGDialect_psycopg(),  # type: ignore[no-untyped-call]  # untyped upstream
}
"""The two dialects; neither imports its driver."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Statement:
    """SQL text for each engine, the names it must be given, and values fixed in the statement.

    Each is a value of its own, made once: two of the same text are two statements.

    Attributes:
        tables: the tables that it reads or changes, wherever in it they are named.
    """

    sqlite: str
    postgresql: str
    names: frozenset[str]
    fixed: dict[str, Any]
    tables: frozenset[str]


def sql(core: ClauseElement) -> Statement:
    """Return `core` as a statement that a transaction runs by `run`, `one` and `all`.

    Values known now (`.limit(10)`, `state.in_([…])`) become part of it; values given later are
    `bindparam("name")`. In an `update`, name those of the `where` unlike any column.
    """
    if isinstance(core, Insert):
        core = core.inline()
    sqlite, names, fixed = _compiled(core, DIALECTS["sqlite"])
    postgresql, names_there, fixed_there = _compiled(core, DIALECTS["postgresql"])
    assert names == names_there, "both engines take the same parameters"
    return Statement(
        sqlite=sqlite,
        postgresql=postgresql,
        names=frozenset(names),
        fixed={**fixed, **fixed_there},
        tables=frozenset(each.name for each in iterate(core) if isinstance(each, Table)),
    )


def upsert(table: Table) -> Statement:
    """Return the statement that inserts a whole row, or replaces the one with its primary key."""
    keys = [column.name for column in table.primary_key]
    others = [column.name for column in table.columns if column.name not in keys]
    assert keys and others, f"{table.name} has nothing to replace"
    changes = ", ".join(f"{name} = excluded.{name}" for name in others)
    return _on_conflict(sql(table.insert()), f"({', '.join(keys)}) DO UPDATE SET {changes}")


def insert_new(table: Table) -> Statement:
    """Return the statement that inserts a whole row, or touches 0 rows if one like it exists."""
    return _on_conflict(sql(table.insert()), "DO NOTHING")


def tally(table: Table, *, unless: Exists | None = None) -> Statement:
    """Return the statement that adds to one number by its key, from 0 on, and returns the sum.

    Args:
        unless: where this holds, nothing is added and nothing returned.
    """
    keys = [column.name for column in table.primary_key]
    (number,) = [column.name for column in table.columns if column.name not in keys]
    change = f"{number} = {table.name}.{number} + excluded.{number} RETURNING {number}"
    row = [bindparam(column.name, type_=column.type) for column in table.columns]
    names = [column.name for column in table.columns]
    # SQLite wants a condition here, to tell this from the ON of a join.
    wanted = select(*row).where(true() if unless is None else ~unless)
    plain = sql(table.insert().from_select(names, wanted))
    return _on_conflict(plain, f"({', '.join(keys)}) DO UPDATE SET {change}")


def _on_conflict(plain: Statement, what: str) -> Statement:
    return Statement(
        sqlite=f"{plain.sqlite} ON CONFLICT {what}",
        postgresql=f"{plain.postgresql} ON CONFLICT {what}",
        names=plain.names,
        fixed=plain.fixed,
        tables=plain.tables,
    )


def _compiled(core: ClauseElement, dialect: Dialect) -> tuple[str, set[str], dict[str, Any]]:
    compiled: Any = core.compile(dialect=dialect)
    names = {bind.key for bind in compiled.binds.values() if bind.required}
    later = [bind.key for bind in compiled.binds.values() if bind.required and bind.expanding]
    assert not later, f"a list must be known when the statement is made: {later}"
    text = str(compiled)
    if "POSTCOMPILE" in text:
        # Lists are spelled out now. That step wants a value for everything, so what is given later
        # stands in as optional.
        loosened: Any = replacement_traverse(core, {}, _optional)
        compiled = loosened.compile(dialect=dialect, compile_kwargs={"render_postcompile": True})
        text = str(compiled)
    fixed = {name: value for name, value in compiled.params.items() if name not in names}
    return text, names, {name: fixed[name] for name in fixed if _used(name, text)}


def _used(name: str, text: str) -> bool:
    return f":{name}" in text or f"%({name})s" in text


def _optional(element: Any, **_: Any) -> Any:
    if isinstance(element, BindParameter) and element.required:
        return bindparam(element.key, value=None, type_=element.type, required=False)
    return None
