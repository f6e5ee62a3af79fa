"""What the domains of a node are given of its configuration: limits and policies."""

from __future__ import annotations

from nodeimpl.compute import rules as compute_rules
from nodeimpl.config import NodeConfig
from nodeimpl.front import names_of
from nodeimpl.gateway.limits import GatewayLimits, Rate
from nodeimpl.history import rules as history_rules
from opkit.proof.genesis import GenesisView

DAY_MS = 86_400_000


def compute_limits(config: NodeConfig) -> compute_rules.Limits:
    """Return the domain's limits, lowered where the configuration says so."""
    return compute_rules.Limits(
        module_bytes_max=config.compute.module_bytes_max,
        jobs_per_submitter_max=config.compute.tasks_per_submitter,
        member_bytes_max=config.store.member_bytes_max,
    )


def keeping(config: NodeConfig) -> history_rules.Keeping:
    """Return how much of the journal stays."""
    return history_rules.Keeping(
        entries_min=config.history.keep_entries, age_ms_min=config.history.keep_days * DAY_MS
    )


def policy(config: NodeConfig, genesis: GenesisView) -> compute_rules.Policy:
    """Return whose tasks this node runs: those of every coop of the genesis unless it says."""
    every = frozenset(signed.charter.coop for signed in genesis.genesis.charters)
    return compute_rules.Policy(
        accept_coops=frozenset(config.compute.accept_coops) or every,
        accept_members=frozenset(config.compute.accept_members),
    )


def gateway_limits(config: NodeConfig) -> GatewayLimits:
    """Return the gateway's limits, lowered where the configuration says so."""
    per_second = config.gateway.asks_per_second
    return GatewayLimits(
        principal_rate=Rate(per_second=per_second, burst=4 * per_second),
        body_bytes_max=config.gateway.body_bytes_max,
        names=names_of(config.gateway),
    )
