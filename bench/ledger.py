"""Transfers through the ledger's service in one process, beside the bare queue and writer.

A transfer is what an ask over HTTP has the writer do: the answer remembered by its idempotency key,
the entry judged, chained and journalled, each caller answered after the commit that has theirs. A
bare change is a row and nothing else, by the same queue, writer and commit. Both are measured in
turn, for the machine is not equally quick at all times.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from statistics import median
from typing import TypeVar

from bench.node import engines
from bench.rows import Engine, Row, quick, row
from devnet.cluster import running_cluster
from nodeimpl.__main__ import settle
from nodeimpl.kernel.binding import Caller
from nodeimpl.kernel.clock import RealClock
from nodeimpl.kernel.idempotency import remember
from nodeimpl.kernel.store import Store, Tx
from nodeimpl.ledger import store as tables
from nodeimpl.ledger.service import Ledger
from opkit.proof.genesis import GenesisView, read_genesis, sign_charter, sign_genesis
from opkit.proof.keys import Identity
from opkit.wire.endpoint import Scope
from opkit.wire.genesis import AccountFloor, Charter, Founder, Genesis, GenesisNode
from opkit.wire.ledger import LEDGER_POST, Entry, PostEntry, Posting
from opkit.wire.membership import ROLES

COOP = "yard"
UNIT = "usd-cents"
OPENING_CENTS = 1_000_000
ROUNDS, QUICK_ROUNDS = 5, 1
EACH, QUICK_EACH = 10_000, 500
TARGETS: dict[tuple[Engine, int], str] = {("SQLite", 64): ">= 6000", ("SQLite", 500): ">= 10000"}

T = TypeVar("T")


def transfers() -> list[Row]:
    """How many transfers a second are answered, with 64 and with 500 writers waiting."""
    return [found for engine in engines() for found in _of_engine(engine)]


def _of_engine(engine: Engine) -> list[Row]:
    rows: list[Row] = []
    for writers in (64, 500):
        with _store_url(engine) as url:
            bare, posted = asyncio.run(_measure(url, writers))
        name = f"{engine}, {writers} writers"
        target = TARGETS.get((engine, writers), "")
        ratios = [one / other for one, other in zip(posted, bare, strict=True)]
        rows += [
            row(f"transfers, {name}", median(posted), "/s", target=target, of=posted),
            row(f"bare changes, {name}", median(bare), "/s", target="", of=bare),
            row(f"transfers per bare change, {name}", median(ratios), "", target="", of=ratios),
        ]
    return rows


@contextlib.contextmanager
def _store_url(engine: Engine) -> Iterator[str]:
    """Have an empty database meanwhile; both sync their commits."""
    if engine == "PostgreSQL":
        with running_cluster() as cluster:
            yield cluster.create("bench")
    else:
        with tempfile.TemporaryDirectory(prefix="opkit-bench-") as folder:
            yield f"sqlite:///{folder}/node.db"


async def _measure(url: str, writers: int) -> tuple[list[float], list[float]]:
    """Return bare changes a second and transfers a second, of each round."""
    store = await Store.open(url=url, clock=RealClock())
    try:
        bank = Bank(store, writers)
        await bank.open()
        settle()
        bare, posted = [], []
        for turn in range(QUICK_ROUNDS if quick() else ROUNDS):
            bare.append(await _rate(lambda _, number: number, bank.bare, writers, turn))
            posted.append(await _rate(bank.ask, bank.transfer, writers, turn))
        return bare, posted
    finally:
        await store.close()


async def _rate(
    make: Callable[[int, int], T],
    change: Callable[[int, T], Awaitable[object]],
    writers: int,
    turn: int,
) -> float:
    """Return how many changes a second are made by writers who make one after another.

    Args:
        make: what a writer asks for the how-manieth time; all is made before the clock starts.
    """
    each = (QUICK_EACH if quick() else EACH) // writers + 1
    asks = [[make(who, turn * each + n) for n in range(each)] for who in range(writers)]

    async def write(writer: int) -> None:
        for ask in asks[writer]:
            await change(writer, ask)

    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for writer in range(writers):
            group.create_task(write(writer))
    return writers * each / (time.perf_counter() - began)


class Bank:
    """A ledger and members who pay one another."""

    def __init__(self, store: Store, writers: int) -> None:
        """Keep the parts; `open` gives each member something."""
        self._store = store
        self._writers = writers
        view = _genesis()
        self._ledger = Ledger(own=view.genesis.nodes[0].did, genesis=view)
        self._callers = [_caller(f"m{number}") for number in range(writers)]

    async def open(self) -> None:
        """Give each member something to pay with."""
        officer = _caller("officer")
        for first in range(0, self._writers, 500):
            members = range(first, min(first + 500, self._writers))
            given = tuple(
                Posting(account=f"{COOP}:member/m{member}", unit=UNIT, amount=OPENING_CENTS)
                for member in members
            )
            owed = Posting(
                account=f"{COOP}:equity/opening", unit=UNIT, amount=-OPENING_CENTS * len(members)
            )
            ask = PostEntry(coop=COOP, entry_id=f"open-{first}", postings=(owed, *given))
            await self._store.write(partial(self._ledger.post, ask=ask, caller=officer))

    async def bare(self, writer: int, number: int) -> object:
        """Have the writer keep a row."""
        row = {"coop": COOP, "cause": f"bare-{writer}-{number}", "sequence": number}
        return await self._store.write(lambda tx: tx.run(tables.ADD_CAUSE, **row))

    def ask(self, writer: int, number: int) -> PostEntry:
        """Return what the gateway would have read: the next member gets a cent."""
        other = (writer + 1) % self._writers
        return PostEntry(
            coop=COOP,
            entry_id=f"t-{writer}-{number}",
            postings=(
                Posting(account=f"{COOP}:member/m{writer}", unit=UNIT, amount=-1),
                Posting(account=f"{COOP}:member/m{other}", unit=UNIT, amount=1),
            ),
            memo="one cent",
        )

    async def transfer(self, writer: int, ask: PostEntry) -> object:
        """Do what an ask over HTTP does behind the gateway."""
        caller = self._callers[writer]

        def answer(tx: Tx) -> bytes:
            entry = self._ledger.post(tx, ask, caller)
            said: bytes = Entry.__pydantic_serializer__.to_json(entry)
            return said

        def work(tx: Tx) -> tuple[bytes, bool]:
            return remember(
                tx,
                principal=caller.member_id,
                endpoint=LEDGER_POST.name,
                key=ask.entry_id,
                ask_hash=ask.entry_id,
                make=lambda: answer(tx),
            )

        return await self._store.write(work)


def _caller(name: str) -> Caller:
    scopes = ROLES["officer"] if name == "officer" else ROLES["member"]
    assert Scope.LEDGER_WRITE_OWN in scopes, "members pay from their own accounts"
    return Caller(
        member_id=f"{COOP}/{name}", did="", scopes=scopes, address="bench", token_id="0" * 32
    )


def _genesis() -> GenesisView:
    home, officer, operator = (Identity.generate() for _ in range(3))
    member = f"{COOP}/officer"
    charter = Charter(
        network="a" * 26,
        coop=COOP,
        title="Yard",
        home_node=home.did,
        founders=(
            Founder(
                member_id=member, name="Officer", title="", did=officer.did, roles=("officer",)
            ),
        ),
        quorum_percent=60,
        approval_percent=67,
        voting_period_ms=1,
        challenge_window_ms=1,
        floors=(AccountFloor(account="equity/opening", unit=UNIT, floor=-(10**15)),),
    )
    genesis = Genesis(
        network="a" * 26,
        devnet=True,
        operator=operator.did,
        created_ms=1,
        nodes=(GenesisNode(org=COOP, title="Yard", did=home.did, coop=COOP),),
        charters=(sign_charter(charter, {member: officer}),),
    )
    return read_genesis(sign_genesis(genesis, operator))
