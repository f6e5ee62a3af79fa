"""A network on an operator's desk, as a notebook draws it: what is there, and what to type."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from opkit.story.states import State
from opkit.views.amounts import counted, round_trip_text
from opkit.views.cards import said_state
from opkit.views.reprstyle import (
    amount,
    card,
    facts,
    hint,
    markup,
    moment,
    name_html,
    opened,
    rows_table,
)

NOW_TITLES: Final = (
    "node", "how it is", "peers#", "slowest round trip#", "blobs#", "journal#", "world time",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class NodeNow:
    """How a node is now. `round_trip_us` is that of its slowest link."""

    org: str
    title: str
    url: str
    up: bool
    why: str
    peers: int = 0
    round_trip_us: int | None = None
    blobs: int = 0
    journal: int = 0
    version: str = ""
    world_ms: int = 0

    def _repr_html_(self) -> str:
        return markup(f'<section class="card">{rows_table(NOW_TITLES, [now_row(self)])}</section>')


def now_row(now: NodeNow) -> Sequence[str]:
    """Return how a node is, in one row."""
    how = said_state(State.DONE, "up") if now.up else said_state(State.FAILED, "silent")
    return (
        escape(now.title),
        how if now.up else f"{how}<br><small>{escape(now.why)}</small>",
        amount(now.peers) if now.up else "",
        round_trip_text(now.round_trip_us) if now.peers else "",
        amount(now.blobs) if now.up else "",
        amount(now.journal) if now.up else "",
        moment(now.world_ms)[:19] if now.up else "",
    )


def desk_html(
    *,
    network: str,
    nodes: Sequence[tuple[str, str]],
    members: Sequence[tuple[str, str, str]],
    flows: Sequence[tuple[str, str]],
) -> str:
    """Return what is on a desk.

    Args:
        network: the network's id.
        nodes: what to type, and the node's name for people.
        members: what to type, who it is, and their coop.
        flows: what to type, and the flow's headline.
    """
    parts = [
        rows_table(("node", "type"), [(escape(title), _code(typed)) for typed, title in nodes]),
        opened(
            counted(len(members), "member"),
            rows_table(
                ("member", "of", "type"),
                [(escape(who), escape(coop), _code(typed)) for typed, who, coop in members],
            ),
        ),
    ]
    if flows:
        told = [(escape(title), _code(typed)) for typed, title in flows]
        parts.append(opened(counted(len(flows), "flow"), rows_table(("flow", "type"), told)))
    parts.append(facts({"network": name_html(network)}))
    return markup(card(f"A network of {counted(len(nodes), 'node')}", "".join(parts)))


def nothing_html(nothing: str, what_to_do: str) -> str:
    """Return an empty list: that there is nothing, and how to change it."""
    return markup(
        f'<section class="card"><p><b>{escape(nothing)}</b></p>{hint(what_to_do)}</section>'
    )


def node_html(*, title: str, org: str, did: str, url: str) -> str:
    """Return a node by what is known without asking it."""
    named = {
        "organisation": _code(org),
        "key and address": name_html(did),
        "listens at": _code(url) if url else "not known yet",
        "ask it": _code("await node.info()  await node.peers()  await node.events()"),
    }
    return markup(card(title, facts(named)))


def member_html(*, name: str, title: str, member_id: str, did: str) -> str:
    """Return a member by what the charter says of them."""
    named = {
        "member": _code(member_id),
        "key": name_html(did),
        "act for them": _code("await member.run(module, b'…')  member.client()"),
    }
    return markup(card(f"{name}, {title}", facts(named)))


def _code(text: str) -> str:
    return f"<code>{escape(text)}</code>"
