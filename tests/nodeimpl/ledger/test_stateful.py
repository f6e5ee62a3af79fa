"""Ledger and holds against a model of a few lines: any asks in any order, alone and in one group.

The machine opens a real store, asks it, and compares what it answers and what it has. Now and then
it is closed and opened again, so what is kept in memory is compared with what is on disk too.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from sqlalchemy import select

from nodeimpl.kernel.clock import VirtualClock
from nodeimpl.kernel.store import Store, sql
from nodeimpl.ledger.store import ledger_entries
from opkit.proof.audit import LedgerAudit
from opkit.wire.base import SAFE_INT_MAX
from opkit.wire.errors import Refusal
from opkit.wire.ledger import Entry
from tests.nodeimpl.ledger.desk import COOP, NETWORK, OPENING, START_MS, Desk

_BODIES = sql(select(ledger_entries.c.body).order_by(ledger_entries.c.sequence))

ACCOUNTS = (OPENING, "member/ada", "member/bo", "pot/a", "reserve")
UNITS = ("usd-cents", "commons-credits")
WHO = ("ada", "bo", "cleo")
IDS = tuple(f"x{number}" for number in range(12))
AMOUNTS = st.one_of(
    st.integers(1, 120), st.sampled_from([SAFE_INT_MAX, SAFE_INT_MAX - 1, SAFE_INT_MAX // 2])
)
TERM_MS = 1_000


@dataclass(frozen=True)
class Ask:
    """Something to ask: `post`, `hold`, `pay` or `void`, about an id."""

    what: str
    id: str
    who: str
    giver: str = ""
    getter: str = ""
    unit: str = "usd-cents"
    amount: int = 1


@dataclass
class Held:
    """A hold of the model's."""

    ask: Ask
    lapses_at_ms: int
    state: str = "held"
    posted: int = 0


@dataclass
class Model:
    """The ledger as anybody would explain it: sums, what is held, and who may do what."""

    world_ms: int = START_MS
    balances: dict[tuple[str, str], int] = field(default_factory=dict)
    entries: dict[str, Ask] = field(default_factory=dict)
    holds: dict[str, Held] = field(default_factory=dict)
    count: int = 0

    def balance(self, path: str, unit: str) -> int:
        return self.balances.get((path, unit), 0)

    def held(self, path: str, unit: str) -> int:
        return sum(
            hold.ask.amount
            for hold in self.holds.values()
            if hold.state == "held" and (hold.ask.giver, hold.ask.unit) == (path, unit)
        )

    def lapse(self) -> None:
        for hold in self.holds.values():
            if hold.state == "held" and self.world_ms >= hold.lapses_at_ms:
                hold.state = "lapsed"

    def ask(self, ask: Ask) -> str:
        """Do what is asked, and return `done` or the code of the refusal."""
        self.lapse()
        doing: Callable[[Ask], str] = getattr(self, f"_{ask.what}")
        return doing(ask)

    def _post(self, ask: Ask) -> str:
        if ask.id in self.entries:
            return "done" if same(self.entries[ask.id], ask) else "entry-conflict"
        if ask.giver == ask.getter:
            return "entry-malformed"
        refusal = self._may_debit(ask) or self._can_give(ask) or self._can_get(ask)
        if refusal:
            return refusal
        self.entries[ask.id] = ask
        self._move(ask, ask.amount)
        return "done"

    def _hold(self, ask: Ask) -> str:
        if ask.id in self.holds:
            other = self.holds[ask.id].ask
            # The term is said anew each time, so only at the same moment is it the same ask.
            at_once = self.holds[ask.id].lapses_at_ms == self.world_ms + TERM_MS
            is_same = at_once and same(other, ask) and other.who == ask.who
            return "done" if is_same else "hold-conflict"
        if ask.giver == ask.getter:
            return "hold-malformed"
        refusal = self._may_debit(ask) or self._can_give(ask)
        if refusal:
            return refusal
        self.holds[ask.id] = Held(ask, lapses_at_ms=self.world_ms + TERM_MS)
        return "done"

    def _pay(self, ask: Ask) -> str:
        hold = self.holds.get(ask.id)
        if hold is None:
            return "hold-unknown"
        if not may_debit(hold.ask.giver, ask.who):
            return "hold-not-yours"
        if hold.state == "posted" and hold.posted == ask.amount:
            return "done"
        if hold.state != "held":
            return "hold-lapsed" if hold.state == "lapsed" else "hold-ended"
        if ask.amount > hold.ask.amount:
            return "hold-exceeded"
        refusal = self._can_get(hold.ask, ask.amount)
        if refusal:
            return refusal
        hold.state, hold.posted = "posted", ask.amount
        self._move(hold.ask, ask.amount)
        return "done"

    def _void(self, ask: Ask) -> str:
        hold = self.holds.get(ask.id)
        if hold is None:
            return "hold-unknown"
        if not (may_debit(hold.ask.giver, ask.who) or may_debit(hold.ask.getter, ask.who)):
            return "hold-not-yours"
        if hold.state == "held":
            hold.state = "voided"
        elif hold.state != "voided":
            return "hold-lapsed" if hold.state == "lapsed" else "hold-ended"
        return "done"

    def _may_debit(self, ask: Ask) -> str:
        if ask.giver == "reserve":
            return "decision-required"
        return "" if may_debit(ask.giver, ask.who) else "account-not-yours"

    def _can_give(self, ask: Ask) -> str:
        floor = -SAFE_INT_MAX if ask.giver == OPENING else 0
        left = self.balance(ask.giver, ask.unit) - self.held(ask.giver, ask.unit) - ask.amount
        return "overdrawn" if left < floor else ""

    def _can_get(self, ask: Ask, amount: int | None = None) -> str:
        after = dict(self.balances)
        moved = ask.amount if amount is None else amount
        for path, change in ((ask.giver, -moved), (ask.getter, moved)):
            after[path, ask.unit] = after.get((path, ask.unit), 0) + change
        of_unit = [balance for (_, unit), balance in after.items() if unit == ask.unit]
        positive = sum(balance for balance in of_unit if balance > 0)
        beyond = positive > SAFE_INT_MAX or any(abs(each) > SAFE_INT_MAX for each in of_unit)
        return "balance-out-of-bounds" if beyond else ""

    def _move(self, ask: Ask, amount: int) -> None:
        self.count += 1
        for path, change in ((ask.giver, -amount), (ask.getter, amount)):
            self.balances[path, ask.unit] = self.balance(path, ask.unit) + change


def may_debit(path: str, who: str) -> bool:
    """Return whether a member may debit an account without a decision."""
    if path == "reserve":
        return False
    return path == f"member/{who}" if path.startswith("member/") else who == "cleo"


def same(one: Ask, other: Ask) -> bool:
    """Return whether two asks say the same."""
    return (one.giver, one.getter, one.unit, one.amount) == (
        other.giver,
        other.getter,
        other.unit,
        other.amount,
    )


asks = st.builds(
    Ask,
    what=st.sampled_from(["post", "post", "hold", "pay", "void"]),
    id=st.sampled_from(IDS),
    who=st.sampled_from(WHO),
    giver=st.sampled_from(ACCOUNTS),
    getter=st.sampled_from(ACCOUNTS),
    unit=st.sampled_from(UNITS),
    amount=AMOUNTS,
)


class LedgerMachine(RuleBasedStateMachine):
    """A ledger that is asked, and the model that says what it should answer."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.mkdtemp(prefix="opkit-ledger-")
        self.loop = asyncio.new_event_loop()
        self.clock = VirtualClock(START_MS)
        self.model = Model()
        self.desk = self._open()

    def _open(self) -> Desk:
        url = f"sqlite:///{Path(self.folder)}/node.db"

        async def opened() -> Desk:
            return Desk(await Store.open(url=url, clock=self.clock), self.clock)

        return self._run(opened())

    def _run(self, work: Any) -> Any:
        return self.loop.run_until_complete(asyncio.wait_for(work, 60))

    async def _ask(self, ask: Ask) -> str:
        """Return `done`, or the code of the refusal."""
        amounts = {ask.giver: -ask.amount, ask.getter: ask.amount}
        doing: dict[str, Callable[[], Awaitable[Any]]] = {
            "post": lambda: self.desk.move(ask.id, amounts, by=ask.who, unit=ask.unit),
            "hold": lambda: self.desk.hold(
                ask.id,
                ask.amount,
                by=ask.who,
                payer=ask.giver,
                payee=ask.getter,
                unit=ask.unit,
                term_ms=TERM_MS,
            ),
            "pay": lambda: self.desk.post_hold(ask.id, ask.amount, by=ask.who),
            "void": lambda: self.desk.void_hold(ask.id, by=ask.who),
        }
        try:
            await doing[ask.what]()
        except Refusal as no:
            return no.code
        return "done"

    @rule(ask=asks.filter(lambda ask: ask.what != "post" or ask.giver != ask.getter))
    def one_asks(self, ask: Ask) -> None:
        assert self._run(self._ask(ask)) == self.model.ask(ask)

    @rule(
        several=st.lists(
            asks.filter(lambda ask: ask.what != "post" or ask.giver != ask.getter),
            min_size=2,
            max_size=8,
        )
    )
    def several_ask_at_once(self, several: list[Ask]) -> None:
        """They wait together, so they share commits, in which some are undone and others not."""

        async def together() -> list[str]:
            return await asyncio.gather(*(self._ask(ask) for ask in several))

        assert self._run(together()) == [self.model.ask(ask) for ask in several]

    @rule(amount=st.integers(1, 300), who=st.sampled_from(["ada", "bo"]), number=st.integers(0, 99))
    def somebody_gets_something(self, amount: int, who: str, number: int) -> None:
        given = Ask("post", f"gift-{number}", "cleo", OPENING, f"member/{who}", amount=amount)
        assert self._run(self._ask(given)) == self.model.ask(given)

    @rule(ms=st.integers(1, 2 * TERM_MS))
    def world_time_passes(self, ms: int) -> None:
        self.clock.move_world(self.clock.offset_ms + ms)
        self.model.world_ms += ms

    @rule()
    def what_is_due_is_done(self) -> None:
        self._run(self.desk.catch_up())
        self.model.lapse()

    @precondition(lambda self: self.model.count)
    @rule()
    def the_store_is_opened_again(self) -> None:
        self._run(self.desk.store.close())
        self.desk = self._open()

    @invariant()
    def balances_are_the_model_s(self) -> None:
        self._run(self.desk.catch_up())
        self.model.lapse()
        for path in ACCOUNTS:
            for unit in UNITS:
                view = self._run(self.desk.account(path, unit))
                balance, held = self.model.balance(path, unit), self.model.held(path, unit)
                assert (view.balance, view.held) == (balance, held)

    def teardown(self) -> None:
        """Audit the whole ledger, then close it."""
        try:
            audit = LedgerAudit(network=NETWORK, coop=COOP)
            audit.floors |= {(f"{COOP}:{OPENING}", unit): -SAFE_INT_MAX for unit in UNITS}
            for entry in self._run(entries_of(self.desk)):
                audit.add(entry)
            assert [check for check in audit.checks() if not check.ok] == []
            assert audit.sequence == self.model.count
        finally:
            self._run(self.desk.store.close())
            self.loop.close()
            shutil.rmtree(self.folder)


async def entries_of(desk: Desk) -> list[Entry]:
    """Return all entries of the ledger, as they stand in the database."""
    rows = await desk.store.read(lambda tx: tx.all(_BODIES))
    return [Entry.model_validate_json(body) for (body,) in rows]


TestLedger = LedgerMachine.TestCase
TestLedger.settings = settings(max_examples=60, stateful_step_count=40)
