"""Joins what finds services: the shelf's names, agent cards, and the figures of links."""

from __future__ import annotations

from nodeimpl.discovery.service import Cards, Discovery, Links
from nodeimpl.kernel.clock import Clock
from nodeimpl.outside import Outside
from opkit.proof import jws


def join_discovery(outside: Outside, cards: Cards, links: Links, clock: Clock) -> Discovery:
    """Return what finds services, which knows all names that are kept here, and will know new ones.

    Args:
        outside: the node's part in the overlay, with the records that are kept here.
        cards: resolves agent cards.
        links: says how links do.
    """
    shelf = outside.overlay.shelf
    discovery = Discovery(own=outside.own, shelf=shelf, cards=cards, links=links, clock=clock)
    for item in shelf.ids("name").ids():
        carried = shelf.by_item(item)
        if carried is not None:
            said = jws.peek(carried.jws).payload
            discovery.index.changed("name", said["name"], said["owner"])
    shelf.on_changed.append(discovery.index.changed)
    return discovery
