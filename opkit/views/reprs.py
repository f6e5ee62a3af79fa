"""What nodes, proofs and stories say, as a notebook draws it: cards and tables without scripts.

Everything is one string of markup with its own small style, so that an output can be cleared,
saved or exported alone. A name is shortened by the style and selected whole by a click.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from typing import Any, Final

from opkit.client import TaskHandle, TaskResult
from opkit.proof.checks import Verdict
from opkit.proof.genesis import GenesisView
from opkit.story.flow import Flow
from opkit.story.report import MarkerRecord, Report
from opkit.views import reprcompute as compute
from opkit.views import reprnetwork as network
from opkit.views import reproverlay as overlay
from opkit.views import reprstory as story
from opkit.views.reprdesk import NOW_TITLES, NodeNow, now_row
from opkit.views.reprstyle import markup, rows_table
from opkit.views.sentences import Names
from opkit.wire.compute import Manifest, ModuleInfo, ModulePage, Receipt, ReceiptBundle, TaskView
from opkit.wire.dht import ContactText
from opkit.wire.events import Event, JournalEntry, JournalPage
from opkit.wire.membership import Member, MemberPage
from opkit.wire.network import NodeInfo, PeerLink, Peers
from opkit.wire.overlay import FoundRecords, MeshLink, Overlay, Route
from opkit.wire.records import Carried

ROWS_MAX: Final = 100
"""How many rows of a table are drawn; the rest is counted below it."""

_CARDS: Final[dict[type, Callable[[Any], str]]] = {
    NodeInfo: network.node,
    Peers: network.peers,
    PeerLink: network.peer,
    Member: network.member,
    GenesisView: network.genesis,
    JournalEntry: network.entry,
    Event: network.event,
    Route: overlay.route,
    FoundRecords: overlay.found_records,
    Overlay: overlay.overlay,
    ModuleInfo: compute.module,
    TaskHandle: compute.handle,
    TaskView: compute.task,
    TaskResult: compute.result,
    Manifest: compute.manifest,
    Receipt: compute.receipt,
    ReceiptBundle: compute.bundle,
    Verdict: story.verdict,
    MarkerRecord: story.marker,
    Report: story.report,
    Flow: story.flow,
}

_ROWS: Final[dict[type, tuple[Sequence[str], Callable[[Any], Sequence[str]]]]] = {
    NodeInfo: (network.NODE_TITLES, network.node_row),
    PeerLink: (network.PEER_TITLES, network.peer_row),
    Member: (network.MEMBER_TITLES, network.member_row),
    JournalEntry: (network.ENTRY_TITLES, network.entry_row),
    ContactText: (overlay.CONTACT_TITLES, overlay.contact_row),
    Carried: (overlay.RECORD_TITLES, overlay.record_row),
    MeshLink: (overlay.MESH_TITLES, overlay.mesh_row),
    overlay.Reached: (overlay.REACHED_TITLES, overlay.reached_row),
    ModuleInfo: (compute.MODULE_TITLES, compute.module_row),
    TaskView: (compute.TASK_TITLES, compute.task_row),
    ReceiptBundle: (compute.RECEIPT_TITLES, compute.bundle_row),
    Receipt: (compute.RECEIPT_TITLES, compute.receipt_row),
    NodeNow: (NOW_TITLES, now_row),
}

_LISTS: Final[dict[type, str]] = {
    ModulePage: "modules",
    MemberPage: "members",
    JournalPage: "entries",
}
"""Answers that are a list, and the field that holds it."""


def html_of(value: Any) -> str | None:
    """Return a value's picture as markup that stands by itself, or None if it has none.

    A list of one kind of thing is a table; anything else is a card.
    """
    drawn = drawn_of(value)
    return None if drawn is None else markup(drawn)


def drawn_of(value: Any) -> str | None:
    """Return a value's picture without its style, to be put into another; None if it has none."""
    if isinstance(value, tuple | list):
        return _table(value)
    if type(value) in _LISTS:
        return _table(getattr(value, _LISTS[type(value)]))
    card = _of_type(_CARDS, value)
    return None if card is None else card(value)


def shelf_html(rows: Sequence[tuple[str, str]], *, noun: str) -> str:
    """Return what is there by name: what to type, and what it is, both plain text."""
    cells = [(f"<code>{escape(typed)}</code>", escape(about)) for typed, about in rows]
    return markup(f'<section class="card">{rows_table((noun, ""), cells)}</section>')


def comparison_html(one: str, other: str, rows: Sequence[tuple[str, bool, str, str]]) -> str:
    """Return two nodes side by side; see `reprstory.comparison`."""
    return markup(story.comparison(one, other, rows))


def journal_html(entries: Sequence[JournalEntry], *, org: str, names: Names) -> str:
    """Return a node's journal as sentences; see `reprnetwork.entry_row`."""
    rows = [network.entry_row(entry, org, names) for entry in entries[:ROWS_MAX]]
    drawn = rows_table(network.ENTRY_TITLES, rows, left_out=max(0, len(entries) - ROWS_MAX))
    return markup(f'<section class="card">{drawn}</section>')


def _table(values: Sequence[Any]) -> str | None:
    """Return a list as a table if all of it is of one kind that has rows."""
    if not values:
        return None
    found = _of_type(_ROWS, values[0])
    if found is None or any(type(value) is not type(values[0]) for value in values):
        return None
    titles, row = found
    rows = [row(value) for value in values[:ROWS_MAX]]
    drawn = rows_table(titles, rows, left_out=max(0, len(values) - ROWS_MAX))
    return f'<section class="card">{drawn}</section>'


def _of_type(table: dict[type, Any], value: Any) -> Any:
    """Return what stands for a value's type, or for the nearest type above it."""
    return next((table[kind] for kind in type(value).__mro__ if kind in table), None)
