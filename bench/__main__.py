"""`python -m bench [NAME…]`: measure, print a table, write `bench/latest.json`.

Names: help, devnet, demo, notebook, flow-b, flows-money, demo-all, tasks, idle, a2a, blobs,
reconcile, crdt, those of networks of real nodes (gossip, burst, lookups, twelve, first-byte,
emptied, flood, fresh-keys, cards, names, names-lossy, names-bulk, names-emptied), those of ledgers
(transfers, transfers-http, ledger-long, ledger-kills), votes, agreement, and those of the console,
which need Chromium: opening, screen, plots, viewers, memory. Without a name, all. The exit code is
1 only if something could not be measured: a missed target is a figure, not a failure.
"""

from __future__ import annotations

import argparse
import os
import sys
from importlib import import_module
from pathlib import Path

from bench.rows import QUICK, Row, markdown, table, write

LATEST = Path(__file__).parent / "latest.json"
MEASUREMENTS = {
    "help": ("bench.commands", "help_text"),
    "devnet": ("bench.commands", "devnet_up"),
    "demo": ("bench.commands", "demo"),
    "notebook": ("bench.commands", "notebook"),
    "flow-b": ("bench.commands", "flow_b"),
    "flows-money": ("bench.commands", "flows_money"),
    "flows-federation": ("bench.commands", "flows_federation"),
    "demo-all": ("bench.commands", "demo_all"),
    "tasks": ("bench.tasks", "tasks"),
    "idle": ("bench.idle", "idle"),
    "a2a": ("bench.a2a", "a2a"),
    "blobs": ("bench.blobs", "blobs"),
    "asks": ("bench.asks", "asks"),
    "kills": ("bench.kills", "kills"),
    "fanout": ("bench.fanout", "fanout"),
    "transfers": ("bench.ledger", "transfers"),
    "receipts": ("bench.receipts", "receipts"),
    "flight": ("bench.crowd", "in_flight"),
    "offered": ("bench.crowd", "offered"),
    "executor": ("bench.executor", "executor"),
    "interruption": ("bench.interruption", "interruption"),
    "sim": ("bench.sim", "sim"),
    "reconcile": ("bench.reconcile", "reconcile"),
    "crdt": ("bench.crdt", "crdt"),
    "partition": ("bench.partition", "partition"),
    "exchange": ("bench.exchange", "exchange"),
    "gossip": ("bench.gossip", "gossip"),
    "burst": ("bench.gossip", "burst"),
    "lookups": ("bench.lookups", "lookups"),
    "twelve": ("bench.lookups", "lookups_of_twelve"),
    "first-byte": ("bench.first_byte", "first_byte"),
    "emptied": ("bench.emptied", "emptied"),
    "names": ("bench.names", "names"),
    "names-lossy": ("bench.names", "names_lossy"),
    "names-bulk": ("bench.names", "names_bulk"),
    "names-emptied": ("bench.names", "names_emptied"),
    "cards": ("bench.cards", "cards"),
    "votes": ("bench.votes", "votes"),
    "agreement": ("bench.agreement", "agreement"),
    "transfers-http": ("bench.ledger_http", "transfers_http"),
    "ledger-long": ("bench.ledger_long", "ledger_long"),
    "ledger-kills": ("bench.ledger_kills", "kills"),
    "flood": ("bench.hostile", "flood"),
    "fresh-keys": ("bench.hostile", "fresh_keys"),
    "opening": ("bench.dashboards", "opening"),
    "screen": ("bench.dashboards", "screen"),
    "plots": ("bench.dashboards", "plots"),
    "viewers": ("bench.dashboards", "viewers"),
    "memory": ("bench.dashboards", "memory"),
}
"""Each measurement by name: the module that holds it, and the function."""


def main(arguments: list[str] | None = None) -> int:
    """Run the measurements that are named; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(MEASUREMENTS))
    soon = "take a fraction of the time, and keep no figures: to see that everything is measured"
    parser.add_argument("--quick", action="store_true", help=soon)
    asked = parser.parse_args(arguments)
    if asked.quick:
        os.environ[QUICK] = "1"
    unknown = set(asked.names) - set(MEASUREMENTS)
    if unknown:
        parser.error(f"no measurement is called {', '.join(sorted(unknown))}")
    rows: list[Row] = []
    for name in asked.names or MEASUREMENTS:
        module, function = MEASUREMENTS[name]
        print(f"bench: {name} …", file=sys.stderr, flush=True)
        rows += getattr(import_module(module), function)()
        if not asked.quick:
            write(LATEST, rows)
    print(table(rows))
    print(f"\nas docs/performance.md has them:\n{markdown(rows)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
