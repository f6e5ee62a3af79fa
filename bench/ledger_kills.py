"""A ledger whose node is killed while it commits, again and again: nothing is lost, nothing halved.

Officers post and hold without a pause, so that the writer is always within a group, and the
process is ended as by a power switch at a moment that nobody chose. What was acknowledged must
stand with its hash; what was under way stands whole or not at all; the sums are zero.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from bench.at_work import at_work
from bench.node import AskedNode, asked_node, engines
from bench.rows import Row, percentile, quick, row
from bench.single import ORG
from opkit.client.auditing import audit_ledger
from opkit.client.ledger import LedgerCalls
from opkit.wire.base import MemberId, RecordId

KILLS, QUICK_KILLS = 50, 3
POSTERS, HOLDERS = 12, 4
DONE_PER_ROUND = 120
KILL_WITHIN_S = 0.03
"""After so many were done, the kill comes within this time: a group takes 20 ms and its sync."""

ROUND_S_MAX, CHECK_S_MAX = 600, 600
POTS = 8
OFFICERS = (f"{ORG}/mara", f"{ORG}/theo")
OPENING = "equity/opening"


class Lost(AssertionError):
    """Something that was acknowledged is not there as it was, or is there in part or twice."""


@dataclass(eq=False)
class Told:
    """What the node has said yes to, and what it was asked and has not answered.

    Attributes:
        entries: the hash of each entry by its id.
        holds: the state of each hold by its id, as it was answered last.
        under_way: ids that were asked for when the node was killed.
        survived: of those, how many entries stand all the same: their commit was done.
    """

    entries: dict[str, RecordId] = field(default_factory=dict)
    holds: dict[str, str] = field(default_factory=dict)
    under_way: set[str] = field(default_factory=set)
    survived: int = 0

    def __len__(self) -> int:
        """Return how much was acknowledged."""
        return len(self.entries) + len(self.holds)


def kills() -> list[Row]:
    """Fifty kills within group commits, on each database."""
    times = QUICK_KILLS if quick() else KILLS
    rows: list[Row] = []
    for engine in engines():
        with asked_node(engine) as node:
            taken, told = asyncio.run(killed(node, times=times))
        name = f"ledger killed while it commits to ready, {engine}"
        rows += [
            row(f"{name}, P95", percentile(taken, 0.95), "s", target="<= 2", of=taken),
            _count(f"entries acknowledged before kills, {engine}", len(told.entries)),
            _count(f"entries in doubt at kills that stand, {engine}", told.survived),
        ]
    return rows


def _count(name: str, number: int) -> Row:
    return row(name, number, "", target="", of=[number])


async def killed(node: AskedNode, *, times: int, seed: int = 7) -> tuple[list[float], Told]:
    """Kill a running node under load so often; return the seconds of each start after it.

    Args:
        node: serving; at the end it does not run any more.
        seed: what decides how long after the load each kill comes.

    Raises:
        Lost: what was acknowledged is not there, or something is there in part or twice.
    """
    chance, told, taken = random.Random(seed), Told(), []
    for number in range(times):
        async with asyncio.timeout(ROUND_S_MAX):
            works = _works(node, told, number=number)
            async with at_work(works, acknowledged=lambda: len(told)) as until:
                await until(DONE_PER_ROUND)
                await asyncio.sleep(chance.uniform(0, KILL_WITHIN_S))
                node.kill()
            taken.append(await node.started_after_s())
            await _check_round(node, told)
    async with asyncio.timeout(CHECK_S_MAX):
        await _check_all(node, told)
    node.kill()
    return taken, told


def _works(node: AskedNode, told: Told, *, number: int) -> list[Coroutine[Any, Any, None]]:
    """Return what officers do in one round: post and hold, without a pause."""
    works = [_post] * POSTERS + [_hold] * HOLDERS
    return [
        _working(node, OFFICERS[n % 2], work, told, f"r{number}-{n}")
        for n, work in enumerate(works)
    ]


Work = Callable[[LedgerCalls, Told, str], Awaitable[None]]


async def _working(node: AskedNode, who: MemberId, work: Work, told: Told, name: str) -> None:
    async with node.client(who) as client:
        ledger, step = client.ledger(ORG), 0
        while True:
            await work(ledger, told, f"{name}-{step}")
            step += 1


async def _post(ledger: LedgerCalls, told: Told, name: str) -> None:
    """Post an entry of three lines, and note what was answered."""
    pot = sum(map(ord, name)) % POTS
    told.under_way.add(name)
    amounts = {OPENING: -3, f"pot/{pot}": 1, f"pot/{(pot + 1) % POTS}": 2}
    entry = await ledger.post(amounts, entry_id=name)
    told.under_way.discard(name)
    told.entries[name] = entry.hash


async def _hold(ledger: LedgerCalls, told: Told, name: str) -> None:
    """Hold, then pay, release, or leave it; note what was answered."""
    hold = await ledger.hold(10, from_account=OPENING, to_account="pot/0", hold_id=name)
    told.holds[name] = hold.state
    ending = sum(map(ord, name)) % 3
    if ending == 2:
        return
    told.holds[name] = "in doubt"
    told.under_way.add(f"hold:{name}")
    ended = await (ledger.post_hold(name, 4) if ending else ledger.void_hold(name))
    told.under_way.discard(f"hold:{name}")
    told.holds[name] = ended.state
    if ended.entry is not None:
        told.entries[f"hold:{name}"] = ended.entry


async def _check_round(node: AskedNode, told: Told) -> None:
    """Raise `Lost` unless the sums hold after a kill."""
    async with node.client(OFFICERS[0]) as client:
        ledger = client.ledger(ORG)
        balance = await ledger.trial_balance()
        if any(unit.sum for unit in balance.units):
            raise Lost(f"the ledger sums to {balance.units}")
        if balance.sequence < len(told.entries):
            raise Lost(f"{balance.sequence} entries stand, {len(told.entries)} were acknowledged")


async def _check_all(node: AskedNode, told: Told) -> None:
    """Raise `Lost` unless everything acknowledged stands, once and whole."""
    async with node.operator() as operator:
        audited = await audit_ledger(operator, ORG, genesis=node.world.view)
        if not audited.verdict.ok:
            raise Lost(f"the audit: {audited.verdict.failures[0]}")
        ledger = operator.ledger(ORG)
        standing: dict[str, RecordId] = {}
        async for entry in ledger.history():
            if entry.entry_id in standing:
                raise Lost(f"entry {entry.entry_id} stands twice")
            standing[entry.entry_id] = entry.hash
        holds = {hold.hold_id: hold async for hold in ledger.holds()}
        held = sum(unit.held for unit in (await ledger.trial_balance()).units)
    for name, digest in told.entries.items():
        if standing.get(name) != digest:
            raise Lost(f"entry {name} was acknowledged and is not there as it was")
    for name, state in told.holds.items():
        if name not in holds or state not in {"in doubt", holds[name].state}:
            raise Lost(f"hold {name} was {state} and is not")
    if held != sum(hold.amount for hold in holds.values() if hold.state == "held"):
        raise Lost(f"{held} are held, and the holds say something else")
    strangers = set(standing) - set(told.entries) - told.under_way
    if strangers:
        raise Lost(f"entries stand that nobody asked for: {sorted(strangers)[:3]}")
    told.survived = len(set(standing) & told.under_way)
