"""A coop's ledger with its holds and timers, on a real store and without a node around it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from nodeimpl.kernel.binding import Caller
from nodeimpl.kernel.clock import Clock, VirtualClock
from nodeimpl.kernel.store import Store, StoreLimits, Tx
from nodeimpl.kernel.timers import Timers
from nodeimpl.ledger.holds_service import Holds
from nodeimpl.ledger.service import Ledger
from opkit.proof.genesis import GenesisView, read_genesis, sign_charter, sign_genesis
from opkit.proof.keys import Identity
from opkit.wire import holds as holding
from opkit.wire.base import SAFE_INT_MAX
from opkit.wire.endpoint import Scope
from opkit.wire.genesis import AccountFloor, Charter, Founder, Genesis, GenesisNode
from opkit.wire.ledger import UNITS, AccountView, Entry, PostEntry, Posting, TrialBalance
from opkit.wire.membership import ROLES

NETWORK = "a" * 26
COOP = "yard"
MEMBERS = ("ada", "bo", "cleo", "dan")
OFFICERS = ("cleo",)
OPENING = "equity/opening"
START_MS = 1_800_000_000_000
DAY_MS = 86_400_000


def key_of(who: str) -> Identity:
    """Return the key of a member, of the home node, or of the operator."""
    return Identity.from_seed(who.encode().ljust(32, b"."))


def make_genesis() -> GenesisView:
    """Return a network with one coop, whose account for opening figures may owe anything."""
    charter = Charter(
        network=NETWORK,
        coop=COOP,
        title="Yard",
        home_node=key_of("home").did,
        founders=tuple(
            Founder(
                member_id=f"{COOP}/{name}",
                name=name,
                title="member",
                did=key_of(name).did,
                roles=("member", "officer") if name in OFFICERS else ("member",),
            )
            for name in MEMBERS
        ),
        quorum_percent=60,
        approval_percent=67,
        voting_period_ms=1,
        challenge_window_ms=1,
        floors=tuple(
            AccountFloor(account=OPENING, unit=unit, floor=-SAFE_INT_MAX) for unit in UNITS
        ),
    )
    genesis = Genesis(
        network=NETWORK,
        devnet=True,
        operator=key_of("operator").did,
        created_ms=1,
        nodes=(GenesisNode(org=COOP, title="Yard", did=key_of("home").did, coop=COOP),),
        charters=(sign_charter(charter, {f"{COOP}/{name}": key_of(name) for name in MEMBERS}),),
    )
    return read_genesis(sign_genesis(genesis, key_of("operator")))


GENESIS = make_genesis()


def caller(who: str) -> Caller:
    """Return a member who asks, with what their roles grant."""
    roles = ("member", "officer") if who in OFFICERS else ("member",)
    return Caller(
        member_id=f"{COOP}/{who}",
        did=key_of(who).did,
        scopes=frozenset(scope for role in roles for scope in ROLES[role]),
        address="test",
        token_id="0" * 32,
    )


CLEO = caller("cleo")
READER = frozenset({Scope.LEDGER_READ, Scope.LEDGER_READ_OWN})


class Desk:
    """A ledger, its holds, and what asks them to do something."""

    def __init__(self, store: Store, clock: Clock) -> None:
        """Join the parts as a node does."""
        self.store = store
        self.clock = clock
        self.timers = Timers(store=store, clock=clock)
        self.ledger = Ledger(own=key_of("home").did, genesis=GENESIS)
        self.holds = Holds(network=NETWORK, ledger=self.ledger, timers=self.timers)

    async def post(self, entry_id: str, *, by: str = "cleo", **amounts: int) -> Entry:
        """Post an entry in cents; of accounts `/` is written `__`."""
        return await self.move(
            entry_id, {path.replace("__", "/"): amount for path, amount in amounts.items()}, by=by
        )

    async def move(
        self, entry_id: str, amounts: dict[str, int], *, by: str = "cleo", unit: str = "usd-cents"
    ) -> Entry:
        """Post an entry by the paths of its accounts."""
        ask = PostEntry(
            coop=COOP,
            entry_id=entry_id,
            postings=tuple(
                Posting(account=f"{COOP}:{path}", unit=unit, amount=amount)
                for path, amount in amounts.items()
            ),
        )
        return await self.store.write(lambda tx: self.ledger.post(tx, ask, caller(by)))

    async def give(self, who: str, amount: int) -> Entry:
        """Give a member something to begin with."""
        return await self.move(
            f"opening-{who}-{amount}", {OPENING: -amount, f"member/{who}": amount}
        )

    async def hold(
        self,
        hold_id: str,
        amount: int,
        *,
        by: str = "ada",
        payer: str = "member/ada",
        payee: str = "member/bo",
        term_ms: int = DAY_MS,
        unit: str = "usd-cents",
    ) -> holding.Hold:
        """Set something aside."""
        ask = holding.CreateHold(
            coop=COOP,
            hold_id=hold_id,
            from_account=f"{COOP}:{payer}",
            to_account=f"{COOP}:{payee}",
            unit=unit,
            amount=amount,
            lapses_at_ms=self.clock.world_ms() + term_ms,
        )
        return await self.store.write(lambda tx: self.holds.create(tx, ask, caller(by)))

    async def post_hold(
        self, hold_id: str, amount: int | None = None, *, by: str = "ada"
    ) -> holding.Hold:
        """Pay what is held."""
        ask = holding.PostHold(coop=COOP, hold_id=hold_id, amount=amount)
        return await self.store.write(lambda tx: self.holds.post(tx, ask, caller(by)))

    async def void_hold(self, hold_id: str, *, by: str = "ada") -> holding.Hold:
        """Release what is held."""
        ask = holding.VoidHold(coop=COOP, hold_id=hold_id)
        return await self.store.write(lambda tx: self.holds.void(tx, ask, caller(by)))

    async def get_hold(self, hold_id: str, *, by: str = "ada") -> holding.Hold:
        """Look at a hold."""
        ask = holding.GetHold(coop=COOP, hold_id=hold_id)
        return await self.store.read(lambda tx: self.holds.get(tx, ask, caller(by)))

    async def list_holds(self, *, by: str = "ada", **asked: Any) -> holding.HoldPage:
        """List holds."""
        ask = holding.ListHolds(coop=COOP, **asked)
        return await self.store.read(lambda tx: self.holds.list(tx, ask, caller(by)))

    async def account(self, path: str, unit: str = "usd-cents") -> AccountView:
        """Return an account as the database has it."""
        asked = {"coop": COOP, "account": f"{COOP}:{path}", "unit": unit}
        return await self.store.read(lambda tx: self.ledger.account(tx, **asked))

    async def catch_up(self) -> None:
        """Do what is due."""

        def work(tx: Tx) -> None:
            self.timers.catch_up(tx)

        await self.store.write(work)


@asynccontextmanager
async def open_desk(
    url: str, *, clock: Clock | None = None, limits: StoreLimits | None = None
) -> AsyncIterator[Desk]:
    """Have a desk meanwhile."""
    clock = clock or VirtualClock(START_MS)
    store = await Store.open(url=url, clock=clock, limits=limits)
    try:
        yield Desk(store, clock)
    finally:
        await store.close()


def at_desk(
    url: str, story: Callable[[Desk], Awaitable[None]], *, limits: StoreLimits | None = None
) -> None:
    """Tell a story at a desk."""

    async def main() -> None:
        async with asyncio.timeout(200), open_desk(url, limits=limits) as desk:
            await story(desk)

    asyncio.run(main())


def zero(balance: TrialBalance) -> bool:
    """Return whether a trial balance reads zero."""
    return not any(unit.sum for unit in balance.units)
