"""Nodes, links, members, genesis and journal entries, as a notebook draws them."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

from opkit.proof.genesis import GenesisView
from opkit.story.states import State
from opkit.views.amounts import counted, round_trip_text, size_text
from opkit.views.cards import pill, said_state
from opkit.views.reprstyle import (
    card,
    facts,
    json_html,
    moment,
    name_html,
    opened,
    rows_table,
)
from opkit.views.sentences import Names, event_told
from opkit.wire.events import Event, JournalEntry
from opkit.wire.membership import Member
from opkit.wire.network import NodeInfo, PeerLink, Peers

NODE_TITLES: Final = ("node", "version", "engine", "history#", "started", "key")
PEER_TITLES: Final = ("peer", "round trip#", "sent#", "received#", "since", "key")
MEMBER_TITLES: Final = ("member", "name", "role", "active", "key")
ENTRY_TITLES: Final = ("#", "when", "what happened", "hash")

THIS_NODE: Final = Names(titles={"": "This node"})
"""What ids mean where nothing is known of the network; the node itself has no name then."""


def node(info: NodeInfo) -> str:
    """Return who a node is."""
    ahead_ms = info.world_ms - info.now_ms
    return card(
        info.org or "a node without an organisation",
        facts(
            {
                "key and address": name_html(info.did),
                "network": name_html(info.network),
                "version": escape(info.version),
                "engine": f"{_engine(info)}<br><small>{escape(info.engine.settings)}</small>",
                "started": moment(info.started_ms),
                "its clock": moment(info.now_ms),
                "world time runs ahead by": f"{ahead_ms / 86_400_000:.4g} days" if ahead_ms else "",
                "history": f"generation {info.generation}",
            }
        ),
        beside=pill(State.DONE, "answers"),
    )


def node_row(info: NodeInfo) -> Sequence[str]:
    """Return who a node is, in one row."""
    return (
        escape(info.org or "none"),
        escape(info.version),
        _engine(info),
        str(info.generation),
        moment(info.started_ms),
        name_html(info.did),
    )


def peers(said: Peers) -> str:
    """Return whom a node is connected to, and what it keeps."""
    links = rows_table(PEER_TITLES, [peer_row(link) for link in said.links])
    alone = "<p>No peer is connected: is this the only node that runs?</p>"
    head = said.journal
    kept = {
        "keeps": f"{counted(said.blobs, 'blob')}, {size_text(said.blob_bytes)}",
        "journal": f"{head.sequence:,} entries, generation {head.generation}",
        "its last hash": name_html(head.hash),
    }
    count = counted(len(said.links), "peer")
    return card(f"Connected to {count}", (links if said.links else alone) + facts(kept))


def peer(link: PeerLink) -> str:
    """Return one link in the figures that the transport reports."""
    return card(
        f"Link to {link.org or 'a peer of no organisation'}",
        rows_table(PEER_TITLES, [peer_row(link)]),
    )


def peer_row(link: PeerLink) -> Sequence[str]:
    """Return one link in one row."""
    return (
        escape(link.org or "none"),
        round_trip_text(link.round_trip_us),
        size_text(link.sent_bytes),
        size_text(link.received_bytes),
        moment(link.since_ms),
        name_html(link.did),
    )


def member(who: Member) -> str:
    """Return a member as a node knows them."""
    standing = pill(State.DONE, "active") if who.active else pill(State.WAITING, "revoked")
    named = {
        "member": f"<code>{escape(who.member_id)}</code>",
        "roles": escape(", ".join(who.roles)),
        "key": name_html(who.did),
        "changes": str(who.sequence) if who.sequence else "none, by the charter",
    }
    headline = f"{who.name}, {who.title}" if who.title else who.name
    return card(headline, facts(named), beside=standing)


def member_row(who: Member) -> Sequence[str]:
    """Return a member in one row."""
    return (
        f"<code>{escape(who.member_id)}</code>",
        escape(who.name),
        escape(who.title),
        "yes" if who.active else "no",
        name_html(who.did),
    )


def genesis(view: GenesisView) -> str:
    """Return where trust in a network starts."""
    said = view.genesis
    nodes = rows_table(
        ("node", "organisation", "key"),
        [(escape(each.title), escape(each.org), name_html(each.did)) for each in said.nodes],
    )
    founders = rows_table(
        ("founder", "name", "role", "key"),
        [
            (
                f"<code>{escape(who.member_id)}</code>",
                escape(who.name),
                escape(who.title),
                name_html(who.did),
            )
            for _, who in view.founders()
        ],
    )
    named = {
        "network": name_html(said.network),
        "operator": name_html(view.operator),
        "made": moment(said.created_ms),
        "its record": name_html(view.record_id),
        "a devnet": "yes: its time may be moved" if view.devnet else "no",
    }
    return card(
        "Where trust in this network starts",
        facts(named)
        + opened(counted(len(said.nodes), "node"), nodes)
        + opened(f"{counted(len(view.founders()), 'founder')}, each signed a charter", founders),
        beside=pill(State.DONE, "signatures verified"),
    )


def entry(said: JournalEntry) -> str:
    """Return an entry of a journal with all that it says."""
    named = {
        "when": moment(said.at_ms),
        "hash": name_html(said.hash),
        "cites": name_html(said.previous),
    }
    return card(
        said.type,
        facts(named) + opened("What it says", json_html(said.body), wide=True),
        below=f"entry {said.sequence:,} of this node's journal",
    )


def entry_row(said: JournalEntry, org: str = "", names: Names = THIS_NODE) -> Sequence[str]:
    """Return an entry of a journal as a sentence that opens to what it says.

    Args:
        said: the entry.
        org: whose node journalled it.
        names: what ids mean.
    """
    told = event_told(said.type, said.body, org=org, names=names)
    return (
        f"{said.sequence:,}",
        f'<span class="when">{moment(said.at_ms)[11:23]}</span>',
        said_state(told.tone, told.sentence) + opened(said.type, json_html(said.body)),
        name_html(said.hash),
    )


def event(said: Event) -> str:
    """Return an event as its node will journal it."""
    return card(type(said).type, json_html(said.model_dump(mode="json")))


def _engine(info: NodeInfo) -> str:
    return escape(f"{info.engine.name} {info.engine.version}")
