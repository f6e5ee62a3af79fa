"""How many transfers a node takes at its front door, each signed-in and durable once answered.

Sixty-four connections of members, each kept and each with its own token, pay each other one cent
and pay again as soon as they were answered. At the end every answer must be an entry, and the
ledger must add up.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from bench.asking import MARK, post
from bench.asks import Asked, in_rounds
from bench.node import AskedNode, asked_node, engines
from bench.rows import Engine, Row, row
from bench.single import ORG
from opkit.client.auditing import audit_ledger
from opkit.wire.base import MemberId
from opkit.wire.ledger import LEDGER_POST

CONNECTIONS = 64
PURSE = 1_000_000
OFFICER = f"{ORG}/mara"


def transfers_http() -> list[Row]:
    """Transfers at 64 connections, on each database."""
    with TemporaryDirectory(prefix="opkit-bench-") as folder:
        return [each for engine in engines() for each in _on(engine, Path(folder) / engine)]


def _on(engine: Engine, folder: Path) -> list[Row]:
    folder.mkdir()
    with asked_node(engine, folder=folder) as node:
        asyncio.run(_fill(node))
        tokens = asyncio.run(node.tokens(CONNECTIONS))
        plan = [
            [
                transfer(
                    n, payer=member, payee=node.members[(n + 1) % len(node.members)], token=token
                )
            ]
            for n, (member, token) in enumerate(tokens)
        ]
        asked = in_rounds(node, plan)
        asyncio.run(_check(node))
    return _rows(f"transfer over HTTP, {engine}", asked)


def transfer(connection: int, *, payer: MemberId, payee: MemberId, token: str) -> bytes:
    """Return a connection's transfer: each time it is sent, another entry under another key."""
    mark = MARK.decode()
    body = {
        "entry_id": f"t-{connection}-{mark}",
        "postings": [
            {"account": _purse(payer), "unit": "usd-cents", "amount": -1},
            {"account": _purse(payee), "unit": "usd-cents", "amount": 1},
        ],
        "memo": "",
    }
    path = LEDGER_POST.path.replace("{coop}", ORG)
    key = b"transfer-%d-%b" % (connection, MARK)
    return post(path, json.dumps(body).encode(), token=token, key=key, kind="application/json")


def _purse(member: MemberId) -> str:
    return f"{ORG}:member/{member.partition('/')[2]}"


async def _fill(node: AskedNode) -> None:
    """Give every member something to pay with."""
    purses = {_purse(member): PURSE for member in node.members}
    async with node.client(OFFICER) as client:
        total = -PURSE * len(purses)
        await client.ledger(ORG).post({"equity/opening": total, **purses}, entry_id="purses")


async def _check(node: AskedNode) -> None:
    """Raise unless the whole ledger is in order, journal included."""
    async with node.operator() as operator:
        audited = await audit_ledger(operator, ORG, genesis=node.world.view)
    if not audited.verdict.ok:
        raise RuntimeError(f"the ledger: {audited.verdict.failures[0]}")


def _rows(name: str, asked: Asked) -> list[Row]:
    rates, p95s, cost = asked.per_s, asked.p95_ms, asked.processor_us
    return [
        row(f"{name}, 64 connections", median(rates), "/s", target=">= 1200", of=rates),
        row(f"{name}, P95", median(p95s), "ms", target="<= 120", of=p95s),
        row(f"{name}, node's processor", cost, "us", target="", of=[cost]),
    ]
