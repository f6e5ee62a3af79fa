"""How much a node may hold: what `OverlayNode.held` counts, and the limits that bound it.

The limits of simulated nodes are far below those of real ones, so that runs meet them.
"""

from __future__ import annotations

from nodeimpl.overlay.budgets import Limits as ShelfLimits
from nodeimpl.overlay.copies import CopiesLimits
from nodeimpl.overlay.dht import DhtLimits
from nodeimpl.overlay.gossip import GossipLimits
from nodeimpl.overlay.namespaces import PROVIDERS_MAX
from nodeimpl.overlay.node import OverlayLimits
from nodeimpl.overlay.reconcile import ReconcilerLimits
from nodeimpl.overlay.shelf import (
    EQUIVOCATIONS_MAX,
    NOTES_MAX,
    SPARE,
    STRANGERS_EQUIVOCATIONS_MAX,
)
from nodeimpl.overlay.suspects import SuspectsLimits
from nodeimpl.overlay.table import PLACE_BITS, TableLimits
from opkit.wire.records import NAMESPACES

SMALL = OverlayLimits(
    shelf=ShelfLimits(unsponsored_records_max=64, unsponsored_bytes_max=2**18),
    dht=DhtLimits(
        table=TableLimits(suspects=SuspectsLimits(count_max=256)),
        copies=CopiesLimits(names_max=64),
    ),
    gossip=GossipLimits(
        cached_max=512, seen_max=2_048, missing_max=512, remembered_max=256, notes_max=64
    ),
    reconcile=ReconcilerLimits(peers_max=128, liars_max=64, declined_max=512, notes_max=64),
)
"""The limits of every simulated node."""


def bounds_of(limits: OverlayLimits) -> dict[str, int]:
    """Return the most that may be held of each, by the names that `OverlayNode.held` has."""
    return {
        **{f"shelf: {what}": most for what, most in _of_shelf(limits.shelf).items()},
        **{f"dht: {what}": most for what, most in _of_dht(limits.dht).items()},
        **{f"gossip: {what}": most for what, most in _of_gossip(limits.gossip).items()},
        **{f"reconcile: {what}": most for what, most in _of_reconcile(limits.reconcile).items()},
    }


def _of_shelf(limits: ShelfLimits) -> dict[str, int]:
    sponsored = len(NAMESPACES) * limits.namespace_records_max
    records = sponsored + limits.unsponsored_records_max
    return {
        "records": records,
        "sponsored": sponsored,
        "sponsored_bytes": len(NAMESPACES) * limits.namespace_bytes_max,
        "unsponsored": limits.unsponsored_records_max,
        "unsponsored_bytes": limits.unsponsored_bytes_max,
        "equivocations": EQUIVOCATIONS_MAX + STRANGERS_EQUIVOCATIONS_MAX,
        "times": 2 * records + SPARE + 1,
        "notes": NOTES_MAX,
    }


def _of_dht(limits: DhtLimits) -> dict[str, int]:
    searches, lookup = limits.searches, limits.searches.lookup
    named = lookup.paths * (lookup.asks_max + 1) * limits.table.bucket_max * 2
    return {
        "contacts": PLACE_BITS * limits.table.bucket_max,
        "spares": PLACE_BITS * limits.table.spare_max,
        "suspects": limits.table.suspects.count_max,
        "questions": limits.asking.pending_max,
        "copies": limits.copies.names_max * PROVIDERS_MAX,
        "own": limits.upkeep.own_max,
        "to put again": limits.upkeep.held_max,
        "pings": limits.presence.pings_max,
        "missed": limits.presence.missed_max,
        "searches": searches.active_max,
        "searches waiting": searches.waiting_max,
        "candidates": searches.active_max * named,
    }


def _of_gossip(limits: GossipLimits) -> dict[str, int]:
    peers = limits.peers_max
    mesh = limits.mesh_max + limits.mesh_out
    judged = peers + 6 * (limits.seen_max // 4)
    return {
        "peers": peers,
        "remembered": limits.remembered_max,
        "topics": (peers + 1) * limits.topics_max,
        "mesh": limits.topics_max * (mesh + limits.remembered_max + 2 * peers),
        "messages": limits.cached_max,
        "message_bytes": limits.cached_bytes_max,
        "unsent": limits.unsent_max,
        "unsent_bytes": limits.unsent_bytes_max,
        "seen": 2 * limits.seen_max + judged,
        "missing": 6 * limits.missing_max,
        "waiting": peers * limits.waiting_max,
        "waiting_bytes": peers * limits.waiting_bytes_max,
        "queued": peers * (limits.cached_max + limits.owed_max),
        "drafts": 0,
        "notes": limits.notes_max,
    }


def _of_reconcile(limits: ReconcilerLimits) -> dict[str, int]:
    bounds = limits.bounds
    return {
        "peers": limits.peers_max,
        "sessions": limits.sessions_max,
        "waiting": limits.sessions_max * (bounds.prefixes_max + 3 * bounds.records_max),
        "questions": limits.peers_max * limits.tries_max,
        "liars": limits.liars_max,
        "declined": limits.declined_max,
        "notes": limits.notes_max,
    }
