"""From what nodes say to rows: one thing, one row, one value a column.

A column is a moment if its name ends in `at_ms`, and one that ends in `_ms` is a duration unless
`opkit.lab.frames` finds moments in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any, Final

from pydantic import BaseModel

from opkit.client import TaskResult
from opkit.proof import jws
from opkit.proof.checks import Verdict
from opkit.proof.genesis import GenesisView
from opkit.proof.receipt import claimed_receipt
from opkit.story.flow import Flow
from opkit.story.record import RunRecord
from opkit.story.report import Report
from opkit.wire.compute import ModulePage, Receipt, ReceiptBundle, TaskView
from opkit.wire.dht import ContactText
from opkit.wire.events import JournalEntry, JournalPage
from opkit.wire.membership import MemberPage
from opkit.wire.network import Peers
from opkit.wire.overlay import FoundRecords, Overlay, Route
from opkit.wire.records import Carried

Row = dict[str, Any]


def rows_of(things: Any) -> list[Row]:
    """Return rows: one for each thing, or for each part of a thing that is a list by nature.

    Args:
        things: a value from a node, a proof or a story; a list of such; or a mapping of labels to
            either, where the label becomes the first column, `of`.

    Raises:
        TypeError: a part of it is none of these.
    """
    if isinstance(things, Mapping):
        return [{"of": label, **row} for label, part in things.items() for row in rows_of(part)]
    parts = _PARTS.get(type(things)) or _parts_of_base(things)
    if parts is not None:
        return parts(things)
    if isinstance(things, Iterable) and not isinstance(things, str | bytes | BaseModel):
        return [row for thing in things for row in _of_one(thing)]
    return [_row(things)]


def columns_of(kind: type) -> list[str]:
    """Return the columns that rows of such values have, for a table without any."""
    if issubclass(kind, JournalEntry):
        return ["sequence", "type", "at_ms", "hash"]
    if issubclass(kind, TaskView):
        return list(dict.fromkeys([*_TASK_COLUMNS, *columns_of(Receipt)]))
    if issubclass(kind, ReceiptBundle):
        return columns_of(Receipt)
    if not issubclass(kind, BaseModel):
        return []
    columns: list[str] = []
    for name, field in kind.model_fields.items():
        inner = field.annotation
        nested = columns_of(inner) if isinstance(inner, type) else []
        columns += [f"{name}_{each}" for each in nested] or [name]
    return columns


def _of_one(thing: Any) -> list[Row]:
    """Return the rows of an element of a list; a mapping is a row there."""
    return [_flat(thing)] if isinstance(thing, Mapping) else rows_of(thing)


def _row(thing: Any) -> Row:
    if isinstance(thing, JournalEntry):
        return _entry(thing)
    if isinstance(thing, TaskView):
        return _task(thing)
    if isinstance(thing, TaskResult):
        return _task(thing.view)
    if isinstance(thing, ReceiptBundle):
        return _claims(thing.receipt)
    named = _fields(thing)
    if named is None:
        raise TypeError(f"no row can be made from a {type(thing).__name__}")
    return _flat(named)


def _fields(thing: Any) -> Row | None:
    """Return the fields of a value, or None if it is no value with fields."""
    if isinstance(thing, BaseModel):
        return {name: getattr(thing, name) for name in type(thing).model_fields}
    if is_dataclass(thing) and not isinstance(thing, type):
        return {field.name: getattr(thing, field.name) for field in fields(thing)}
    return None


def _flat(named: Mapping[str, Any], before: str = "") -> Row:
    row: Row = {}
    for name, value in named.items():
        inner = value if isinstance(value, Mapping) else _fields(value)
        if inner is not None:
            row |= _flat(inner, f"{before}{name}_")
        else:
            row[f"{before}{name}"] = _cell(value)
    return row


def _cell(value: Any) -> Any:
    """Return a value that fits a cell; of a list of values with fields, only their number."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, tuple | list | set | frozenset):
        if any(_fields(part) is not None or isinstance(part, Mapping) for part in value):
            return len(value)
        return tuple(_cell(part) for part in value)
    return value


def _entry(entry: JournalEntry) -> Row:
    head = {"sequence": entry.sequence, "type": entry.type, "at_ms": entry.at_ms}
    # A field of the body never hides one of the entry.
    body = {f"body_{name}" if name in head else name: v for name, v in _flat(entry.body).items()}
    return {**head, **body, "hash": entry.hash}


def _task(view: TaskView) -> Row:
    """Return a task with what its receipt claims; signatures are judged by `verify_receipt`."""
    row = {
        "task_id": view.task_id,
        "state": view.state.value,
        "member_id": view.member_id,
        "executor": view.executor,
        "accepted_at_ms": view.accepted_at_ms,
        "fetched_from": view.fetched.peer if view.fetched else None,
        "fetched_bytes": view.fetched.size_bytes if view.fetched else None,
        "problem": view.problem.get("code") if view.problem else None,
    }
    claimed = _claims(view.receipt) if view.receipt else {}
    return row | {name: value for name, value in claimed.items() if name not in row}


def _claims(receipt: str) -> Row:
    return _flat(_fields(claimed_receipt(receipt)) or {})


def _markers(report: Report) -> list[Row]:
    return [
        {
            "flow": report.name,
            "marker": marker.name,
            "state": marker.state.value,
            "sentence": marker.sentence,
            "checks": len(marker.checks),
            "proofs": len(marker.proofs),
            "at_ms": marker.at_ms,
            "took_ms": marker.took_ms,
            "problem": marker.problem,
        }
        for marker in report.markers
    ]


def _steps(flow: Flow[Any]) -> list[Row]:
    return [
        {"flow": flow.name, "marker": step.marker, "kind": step.kind, "sentence": step.sentence}
        for step in flow.steps
    ]


def _placed(contacts: Iterable[ContactText]) -> list[Row]:
    """Return contacts with their place, from the nearest on."""
    return [{"place": place, **_row(each)} for place, each in enumerate(contacts, start=1)]


def _record(carried: Carried) -> Row:
    """Return what a record claims; its signature is judged by whoever reads it."""
    return _flat(jws.peek(carried.jws).payload)


_TASK_COLUMNS: Final = (
    "task_id", "state", "member_id", "executor", "accepted_at_ms", "fetched_from", "fetched_bytes",
    "problem",
)  # fmt: skip

_PARTS: Final[dict[type, Callable[[Any], list[Row]]]] = {
    Peers: lambda peers: rows_of(peers.links),
    Route: lambda route: _placed(route.contacts),
    FoundRecords: lambda found: [_record(each) for each in found.records],
    Carried: lambda carried: [_record(carried)],
    Overlay: lambda overlay: rows_of(overlay.mesh),
    ModulePage: lambda page: rows_of(page.modules),
    MemberPage: lambda page: rows_of(page.members),
    JournalPage: lambda page: rows_of(page.entries),
    Verdict: lambda verdict: rows_of(verdict.checks),
    GenesisView: lambda view: rows_of(view.genesis.nodes),
    RunRecord: lambda run: [row for flow in run.flows for row in _markers(flow)],
    Report: _markers,
    Flow: _steps,
}
"""Things that are a list by nature, and the rows of each."""


def _parts_of_base(thing: Any) -> Callable[[Any], list[Row]] | None:
    return next((of for kind, of in _PARTS.items() if isinstance(thing, kind)), None)
