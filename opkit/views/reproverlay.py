"""Searches, records and the overlay as a node knows it, as a notebook draws them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from opkit.proof import jws
from opkit.story.states import State
from opkit.views.amounts import counted, size_text
from opkit.views.cards import said_state
from opkit.views.reprstyle import card, facts, json_html, moment, name_html, rows_table
from opkit.wire.dht import ContactText
from opkit.wire.overlay import FoundRecords, MeshLink, Overlay, Route
from opkit.wire.records import Carried

CONTACT_TITLES: Final = ("nearest first", "where it says it is dialled")
RECORD_TITLES: Final = ("owner", "number#", "issued", "lapses", "what it says")
MESH_TITLES: Final = ("peer", "announcements", "score#", "takes what it is sent")
REACHED_TITLES: Final = ("node", "had it after#")


@dataclass(frozen=True, kw_only=True)
class Reached:
    """How far a record came: a node, and after how long it was seen to have it; None: not yet."""

    org: str
    title: str
    after_us: int | None


def route(found: Route) -> str:
    """Return who is nearest to a name, and what it took to find them."""
    return card(
        f"{counted(len(found.contacts), 'node')} nearest to the name",
        _effort(found) + rows_table(CONTACT_TITLES, [contact_row(one) for one in found.contacts]),
    )


def contact_row(one: ContactText) -> Sequence[str]:
    """Return a node that serves, in one row."""
    return name_html(one.did), escape(" ".join(one.addresses)) or '<span class="soft">–</span>'


def found_records(found: FoundRecords) -> str:
    """Return what stands under a name, as its owners say it."""
    if not found.records:
        return card("Nothing stands under this name", _effort(found))
    rows = [record_row(each) for each in found.records]
    return card(
        f"{counted(len(found.records), 'record')} under this name",
        _effort(found) + rows_table(RECORD_TITLES, rows),
        below="What the owners say; a reader checks each signature: Verifier(net.genesis).",
    )


def record_row(carried: Carried) -> Sequence[str]:
    """Return what a record claims, in one row; its signature is not looked at here."""
    said = jws.peek(carried.jws).payload
    value = said.get("value")
    return (
        name_html(str(said.get("owner", ""))),
        f"{said.get('sequence', '')}",
        moment(int(said.get("issued_at_ms", 0)))[:19],
        moment(int(said.get("lapses_at_ms", 0)))[:19],
        json_html(value) if value is not None else '<span class="soft">taken back</span>',
    )


def overlay(told: Overlay) -> str:
    """Return what a node knows of the network around it."""
    rooms = [
        f"{escape(one.sponsor or 'nobody vouches')}: {counted(one.records, 'record')}, "
        f"{size_text(one.bytes)}"
        for one in told.rooms
        if one.records
    ]
    named = {
        "in its table": counted(told.contacts, "node"),
        "records": escape(", ".join(f"{one.count:,} {one.name}" for one in told.records)),
        "room by sponsor": "<br>".join(rooms),
        "last mended": moment(told.repaired_ms) if told.repaired_ms else "never",
        "banned": "<br>".join(name_html(did) for did in told.banned),
    }
    mesh = rows_table(MESH_TITLES, [mesh_row(one) for one in told.mesh])
    return card("What it knows of the network", facts(named) + mesh)


def mesh_row(link: MeshLink) -> Sequence[str]:
    """Return a peer in gossip, in one row."""
    slow = said_state(State.RUNNING, "slowly") if link.slow else said_state(State.DONE, "at once")
    return (
        name_html(link.did),
        "pushed to it" if link.in_mesh else "told by name",
        f"{link.score_milli / 1_000:.2f}",
        slow,
    )


def reached_row(one: Reached) -> Sequence[str]:
    """Return how far a record came, in one row."""
    if one.after_us is None:
        return escape(one.title), '<span class="soft">not yet</span>'
    return escape(one.title), f"{one.after_us / 1_000:.1f} ms"


def _effort(found: Route | FoundRecords) -> str:
    """Return what a search took."""
    return facts(
        {
            "asked": counted(found.asked, "node"),
            "silent": counted(found.silent, "node") if found.silent else "none",
            "hops": f"{found.hops:,}",
            "took": f"{found.took_ms:,} ms",
        }
    )
