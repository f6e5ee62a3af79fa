"""A ledger of a million entries: read as fast as a short one, and audited in the same memory.

The entries are posted through the service into the store, then a node serves it. One member is in
every entry. The audit is the command, as a process of its own, and its greatest memory is compared
with that of auditing a short ledger.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from bench.network import ROOT
from bench.node import AskedNode, asked_node
from bench.rows import Row, ms_of, percentile, quick, row
from bench.single import ORG
from nodeimpl.kernel.binding import Caller
from nodeimpl.kernel.clock import RealClock
from nodeimpl.kernel.store import Store, Tx
from nodeimpl.ledger.service import Ledger
from opkit.client.ledger import LedgerCalls
from opkit.wire.ledger import PostEntry, Posting
from opkit.wire.membership import ROLES

ENTRIES, QUICK_ENTRIES = 1_000_000, 20_000
SHORT = 2_000
PER_TRANSACTION = 500
LOOKS = 200
MEMBER = f"{ORG}/mara"
OPENING, PURSE = f"{ORG}:equity/opening", f"{ORG}:member/mara"


def ledger_long() -> list[Row]:
    """Position, history and audit of a long ledger, beside those of a short one."""
    count = QUICK_ENTRIES if quick() else ENTRIES
    with TemporaryDirectory(prefix="opkit-bench-") as folder, asked_node("SQLite") as node:
        node.end()
        asyncio.run(_fill(node, SHORT))
        asyncio.run(node.start())
        _, short_mb = _audit(node, Path(folder))
        node.end()
        took_s = asyncio.run(_fill(node, count))
        asyncio.run(node.start())
        looks = asyncio.run(_look(node))
        grown_mb = looks.pop("memory")[0]
        audited_s, long_mb = _audit(node, Path(folder))
        node.kill()
    name = f"with {count:,} entries in the ledger"
    more_mb = long_mb - short_mb
    return [
        row(f"entry posted to fill it, {name}", took_s / count * 1e6, "us", target="", of=[took_s]),
        *(
            row(f"{what}, {name}, P95", percentile(ms, 0.95), "ms", target=target, of=ms)
            for what, target, ms in (
                ("position of a member", "<= 10", looks["position"]),
                ("history page of 100, newest", "<= 20", looks["newest"]),
                ("history page of 100, in the middle", "<= 20", looks["middle"]),
                ("history page of 100, of one account", "<= 20", looks["account"]),
            )
        ),
        row(f"node's memory while asked, {name}", grown_mb, "MB", target="<= 64", of=[grown_mb]),
        row(f"whole audit, {name}", audited_s, "s", target="", of=[audited_s]),
        row(f"audit's memory growth, {name}", more_mb, "MB", target="<= 32", of=[more_mb]),
    ]


async def _fill(node: AskedNode, count: int) -> float:
    """Post entries until there are so many, past the door; return how many seconds it took."""
    began = time.perf_counter()
    store = await Store.open(url=node.store_url, clock=RealClock())
    ledger = Ledger(own=node.identity.did, genesis=node.world.view)
    caller = Caller(
        member_id=MEMBER,
        did=node.world.members[MEMBER].did,
        scopes=ROLES["officer"],
        address="",
        token_id="",
    )

    def post(tx: Tx, first: int) -> None:
        for number in range(first, min(first + PER_TRANSACTION, count)):
            ledger.post(tx, _entry(number), caller)

    try:
        purse = partial(ledger.account, coop=ORG, account=PURSE, unit="usd-cents")
        begun = await store.read(purse)
        for first in range(begun.sequence, count, PER_TRANSACTION):
            await store.write(partial(post, first=first))
    finally:
        await store.close()
    return time.perf_counter() - began


def _entry(number: int) -> PostEntry:
    return PostEntry(
        coop=ORG,
        entry_id=f"e{number}",
        postings=(
            Posting(account=OPENING, unit="usd-cents", amount=-1),
            Posting(account=PURSE, unit="usd-cents", amount=1),
        ),
    )


async def _look(node: AskedNode) -> dict[str, list[float]]:
    """Ask for positions and pages; return what each took, and by how much the node grew."""
    found: dict[str, list[float]] = {}
    async with node.client(MEMBER) as client:
        ledger = client.ledger(ORG)
        await ledger.position(MEMBER)
        before = psutil.Process(node.pid).memory_info().rss
        size = (await ledger.trial_balance()).sequence
        asks: dict[str, Callable[[], Awaitable[object]]] = {
            "position": lambda: ledger.position(MEMBER),
            "newest": lambda: _page(ledger, newest_first=True),
            "middle": lambda: _page(ledger, after=size // 2),
            "account": lambda: _page(ledger, account="member/mara", after=size // 3),
        }
        for name, ask in asks.items():
            found[name] = [await ms_of(ask) for _ in range(LOOKS)]
        grown = psutil.Process(node.pid).memory_info().rss - before
    return {**found, "memory": [grown / 2**20]}


async def _page(ledger: LedgerCalls, **asked: object) -> None:
    """Read one page of 100 entries, its hashes checked."""
    async for page in ledger.pages(page=100, **asked):  # type: ignore[arg-type]  # Named above.
        assert len(page.entries) == 100, len(page.entries)
        return


def _audit(node: AskedNode, folder: Path) -> tuple[float, float]:
    """Audit as a process of its own; return its seconds, and its greatest memory in MB."""
    token = folder / "token"
    token.write_text(asyncio.run(node.tokens(1))[0][1], "ascii")
    where = ["--url", node.url, "--did", node.identity.did, "--token", str(token)]
    genesis = ["--genesis", str(node.folder / "genesis.jws")]
    command = [sys.executable, "-m", "opkit.cli", "ledger", "audit", *where, *genesis, "--json"]
    began = time.perf_counter()
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status) != 0:
        raise RuntimeError(f"the audit ended with {os.waitstatus_to_exitcode(status)}")
    return time.perf_counter() - began, usage.ru_maxrss / 1024
