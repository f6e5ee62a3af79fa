"""Which coops there are, and whose node keeps the ledger and the assembly of each."""

from __future__ import annotations

from typing import NamedTuple

from opkit.live.live import Live


class Home(NamedTuple):
    """A coop, its title, and the organisation whose node is its home."""

    coop: str
    title: str
    org: str


def homes_of(live: Live) -> tuple[Home, ...]:
    """Return the coops of genesis whose home nodes are followed, in the order of the nodes."""
    genesis = live.source.genesis
    found = []
    for signed in genesis.genesis.charters:
        charter = signed.charter
        node = genesis.node(charter.home_node)
        if node is not None and node.org in live.followed:
            found.append(Home(charter.coop, charter.title, node.org))
    places = {org: place for place, org in enumerate(live.followed)}
    return tuple(sorted(found, key=lambda home: places[home.org]))


def home_of(live: Live, coop: str) -> Home | None:
    """Return a coop's home; None if there is no such coop, or its home is not followed."""
    return next((home for home in homes_of(live) if home.coop == coop), None)


def default_coop(live: Live) -> str:
    """Return the coop that is shown to who has not chosen one; empty if there is none."""
    return next((home.coop for home in homes_of(live)), "")
