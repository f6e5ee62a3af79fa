"""Entries on a real store, both engines: posted once, chained, journalled, conserved."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import pairwise
from typing import Any

import pytest

from nodeimpl.ledger import store as tables
from nodeimpl.ledger.book import Book
from nodeimpl.ledger.rules import Limits
from nodeimpl.ledger.service import Ledger
from opkit.proof.ledger import check_entry
from opkit.wire import ledger as wire
from opkit.wire.base import SAFE_INT_MAX
from opkit.wire.errors import Refusal
from opkit.wire.events import EVENTS
from tests.nodeimpl.ledger.desk import (
    COOP,
    GENESIS,
    NETWORK,
    OPENING,
    Desk,
    at_desk,
    caller,
    key_of,
)

Story = Callable[[Desk], Awaitable[None]]
DECISION = "d" * 64


def rows(*pairs: tuple[str, int], unit: str = "usd-cents") -> tuple[wire.Posting, ...]:
    return tuple(
        wire.Posting(account=f"{COOP}:{path}", unit=unit, amount=amount) for path, amount in pairs
    )


def ask_for(entry_id: str, *pairs: tuple[str, int], **more: Any) -> wire.PostEntry:
    return wire.PostEntry(coop=COOP, entry_id=entry_id, postings=rows(*pairs), **more)


async def post(desk: Desk, ask: wire.PostEntry, by: str = "cleo") -> wire.Entry:
    return await desk.store.write(lambda tx: desk.ledger.post(tx, ask, caller(by)))


async def decide(desk: Desk, *pairs: tuple[str, int], entry_id: str = "decision:1") -> wire.Entry:
    asked: dict[str, Any] = {"coop": COOP, "memo": "", "decision": DECISION}
    return await desk.store.write(
        lambda tx: desk.ledger.post_decided(
            tx, entry_id=entry_id, postings=rows(*pairs), by="yard/ada", **asked
        )
    )


async def entries(desk: Desk) -> list[wire.Entry]:

    found = await desk.store.read(
        lambda tx: tx.all(
            tables.ENTRIES[0], coop=COOP, after=0, before=SAFE_INT_MAX, rows_max=1_000
        )
    )
    return [wire.Entry.model_validate_json(body) for _, _, body in found]


async def events(desk: Desk, kind: str) -> list[Any]:
    found = await desk.store.read_journal(after=None, entries_max=1_000)
    return [EVENTS[kind].model_validate_json(each.body) for each in found if each.type == kind]


def test_entries_are_chained_journalled_and_conserved(store_url: str) -> None:
    async def story(desk: Desk) -> None:
        for number in range(1, 6):
            await post(desk, ask_for(f"e{number}", (OPENING, -number), ("reserve", number)))
        found = await entries(desk)
        assert [each.sequence for each in found] == [1, 2, 3, 4, 5]
        for before, after in pairwise([None, *found]):
            assert after is not None
            check_entry(after, network=NETWORK, coop=COOP, after=before)
        told = await events(desk, "ledger.entry-posted")
        assert [(each.sequence, each.hash, each.postings) for each in told] == [
            (each.sequence, each.hash, each.postings) for each in found
        ]
        assert (await desk.account("reserve")).balance == 15
        assert (await desk.account(OPENING)).balance == -15

    at_desk(store_url, story)


def test_the_same_id_and_content_is_answered_by_the_entry_that_stands(store_url: str) -> None:
    async def story(desk: Desk) -> None:
        ask = ask_for("e1", (OPENING, -5), ("reserve", 5), memo="opening")
        first = await post(desk, ask)
        assert await post(desk, ask) == first
        # Also within one commit, before anything is written.
        fresh = ask_for("e2", (OPENING, -5), ("reserve", 5))
        one, other = await asyncio.gather(post(desk, fresh), post(desk, fresh))
        assert one == other
        for other_content in (
            {"memo": "else"},
            {"effective_on": "2026-01-15"},
            {"cause": wire.Cause(kind="agreement", id="tools")},
            {"corrects": first.hash},
            {"postings": rows((OPENING, -6), ("reserve", 6))},
        ):
            with pytest.raises(wire.EntryConflict) as no:
                await post(desk, ask.model_copy(update=other_content))
            assert no.value.standing == first.hash
        assert len(await entries(desk)) == 2

    at_desk(store_url, story)


def test_refusals_that_need_the_ledger_come_in_their_order(store_url: str) -> None:
    """Each pair of neighbours: an entry to which both apply gets the first."""
    wrong: dict[type[Refusal], tuple[tuple[str, int], ...]] = {
        wire.AccountNotYours: (("member/bo", -1), ("income/a", 1)),
        wire.AccountClosed: (("expense/shut", 1), (OPENING, -1)),
        wire.Overdrawn: (("expense/empty", -1), ("income/b", 1)),
        wire.BalanceOutOfBounds: (("vendor/full", 1), ("equity/other", -1)),
    }

    async def story(desk: Desk) -> None:
        await desk.store.write(lambda tx: configure(tx, desk, "expense/shut", closed=True))
        await desk.store.write(lambda tx: configure(tx, desk, "equity/other", floor=-SAFE_INT_MAX))
        await post(desk, ask_for("full", (OPENING, -SAFE_INT_MAX), ("vendor/full", SAFE_INT_MAX)))
        leaves = list(wrong)
        for at, leaf in enumerate(leaves):
            for later in leaves[at:]:
                sums: dict[str, int] = {}
                for path, amount in (*wrong[later], *wrong[leaf]):
                    sums[path] = sums.get(path, 0) + amount
                pairs = tuple((path, amount) for path, amount in sums.items() if amount)
                with pytest.raises(leaf):
                    await post(desk, ask_for(f"{at}", *pairs))
        missing = ask_for("c", *wrong[wire.AccountNotYours], corrects="0" * 64)
        with pytest.raises(wire.CorrectionUnknown):
            await post(desk, missing)
        with pytest.raises(wire.EntryConflict):
            await post(desk, missing.model_copy(update={"entry_id": "full"}))
        elsewhere = missing.model_copy(update={"coop": "mill"})
        with pytest.raises(wire.LedgerElsewhere):
            await post(desk, elsewhere)
        assert len(await entries(desk)) == 1

    at_desk(store_url, story)


def configure(tx: Any, desk: Desk, path: str, **what: Any) -> None:
    asked = {"coop": COOP, "account": f"{COOP}:{path}", "unit": "usd-cents"}
    desk.ledger.configure(tx, decision=DECISION, **asked, **what)


def test_a_treasury_is_spent_by_a_decision_once(store_url: str) -> None:
    async def story(desk: Desk) -> None:
        await post(desk, ask_for("e1", (OPENING, -100), ("reserve", 100)))
        with pytest.raises(wire.DecisionRequired):
            await post(desk, ask_for("e2", ("reserve", -60), ("vendor/roofer", 60)))
        spend = (("reserve", -60), ("vendor/roofer", 60))
        entry = await decide(desk, *spend)
        assert (entry.kind, entry.cause) == (
            "decided",
            wire.Cause(kind="decision", id=DECISION),
        )
        assert await decide(desk, *spend) == entry
        with pytest.raises(wire.EntryConflict):
            await decide(desk, ("reserve", -61), ("vendor/roofer", 61))
        with pytest.raises(wire.Overdrawn):
            await decide(desk, *spend, entry_id="decision:2")
        assert (await desk.account("reserve")).balance == 40
        told = (await events(desk, "ledger.entry-posted"))[-1]
        assert (told.hash, told.cause) == (entry.hash, entry.cause)
        treasury = await desk.store.read(lambda tx: desk.ledger.treasury(tx, COOP))
        assert [(each.account, each.balance) for each in treasury] == [("yard:reserve", 40)]

    at_desk(store_url, story)


def test_a_decision_closes_an_account_and_sets_its_floor(store_url: str) -> None:
    async def story(desk: Desk) -> None:
        await desk.give("ada", 10)
        with pytest.raises(wire.Overdrawn):
            await desk.post("e1", by="ada", member__ada=-15, member__bo=15)
        await desk.store.write(lambda tx: configure(tx, desk, "member/ada", floor=-5))
        await desk.post("e1", by="ada", member__ada=-15, member__bo=15)
        await desk.store.write(lambda tx: configure(tx, desk, "member/ada", closed=True))
        for amounts in ({"member__ada": -1, "member__bo": 1}, {"member__bo": -1, "member__ada": 1}):
            by = "ada" if amounts["member__ada"] < 0 else "bo"
            with pytest.raises(wire.AccountClosed):
                await desk.post("e2", by=by, **amounts)
        view = await desk.account("member/ada")
        assert (view.closed, view.floor, view.decision, view.balance) == (True, -5, DECISION, -5)
        await desk.store.write(lambda tx: configure(tx, desk, "member/ada", closed=False))
        await desk.post("e3", by="bo", member__bo=-1, member__ada=1)
        told = await events(desk, "ledger.account-configured")
        assert [(each.floor, each.closed) for each in told] == [
            (-5, False),
            (-5, True),
            (-5, False),
        ]

    at_desk(store_url, story)


def test_a_correction_cites_what_it_puts_right(store_url: str) -> None:
    async def story(desk: Desk) -> None:
        wrong = await post(desk, ask_for("e1", (OPENING, -70), ("vendor/a", 70)))
        right = await post(
            desk, ask_for("e2", ("vendor/a", -70), ("vendor/b", 70), corrects=wrong.hash)
        )
        assert (right.kind, right.corrects) == ("correction", wrong.hash)
        assert (await entries(desk))[0] == wrong

        # An entry of this very commit can be corrected too.
        def both(tx: Any) -> wire.Entry:
            first = desk.ledger.post(
                tx, ask_for("e3", (OPENING, -1), ("vendor/a", 1)), caller("cleo")
            )
            ask = ask_for("e4", ("vendor/a", -1), (OPENING, 1), corrects=first.hash)
            return desk.ledger.post(tx, ask, caller("cleo"))

        assert (await desk.store.write(both)).sequence == 4

    at_desk(store_url, story)


def test_totals_stay_within_what_every_reader_keeps(store_url: str) -> None:
    """No single balance is too great, and their sum would be."""

    async def story(desk: Desk) -> None:
        await desk.store.write(lambda tx: configure(tx, desk, "equity/other", floor=-SAFE_INT_MAX))
        half = (SAFE_INT_MAX + 1) // 2
        await post(desk, ask_for("e1", (OPENING, -half), ("vendor/a", half)))
        with pytest.raises(wire.BalanceOutOfBounds):
            await post(desk, ask_for("e2", ("equity/other", -half), ("vendor/b", half)))
        await post(desk, ask_for("e3", ("equity/other", 1 - half), ("vendor/b", half - 1)))
        # What only changes hands is taken.
        await post(desk, ask_for("e4", ("vendor/a", -half), ("vendor/b", half)))
        assert (await desk.account("vendor/b")).balance == SAFE_INT_MAX

    at_desk(store_url, story)


def test_time_never_runs_back_along_a_ledger(store_url: str) -> None:
    async def story(desk: Desk) -> None:
        first = await desk.give("ada", 1)
        now_ms = desk.clock.now_ms
        desk.clock.now_ms = lambda: now_ms() - 5_000  # type: ignore[method-assign]  # set back
        second = await desk.give("bo", 1)
        assert (second.recorded_ms, second.world_ms) == (first.recorded_ms, first.world_ms)

    at_desk(store_url, story)


def test_a_new_process_goes_on_where_the_last_one_stopped(store_url: str) -> None:
    async def story(desk: Desk) -> None:
        first = await desk.give("ada", 10)
        again = Ledger(own=key_of("home").did, genesis=GENESIS)
        ask = ask_for("e2", ("member/ada", -4), ("member/dan", 4))
        second = await desk.store.write(lambda tx: again.post(tx, ask, caller("ada")))
        assert (second.sequence, second.previous) == (2, first.hash)
        assert await desk.store.write(lambda tx: again.post(tx, ask, caller("ada"))) == second
        view = await desk.account("member/dan")
        assert (view.balance, view.sequence) == (4, 2)

    at_desk(store_url, story)


def test_members_have_so_many_accounts_and_no_more(store_url: str) -> None:
    async def story(desk: Desk) -> None:
        limits = Limits(accounts_max=7, accounts_per_member_max=3)
        desk.ledger = Ledger(own=key_of("home").did, genesis=GENESIS, limits=limits)
        await desk.give("ada", 10)
        await desk.post("e1", by="ada", member__ada=-2, member__ada__a=1, member__ada__b=1)
        for path in ("member/ada/c", "member/ada/a/d"):
            with pytest.raises(wire.AccountsFull):
                await desk.move("e2", {"member/ada": -1, path: 1}, by="ada")
        await desk.move(
            "e3", {"member/ada": -3, "vendor/a": 1, "vendor/b": 1, "vendor/c": 1}, by="ada"
        )
        with pytest.raises(wire.AccountsFull) as no:
            await desk.move("e4", {"member/ada": -1, "vendor/d": 1}, by="ada")
        assert no.value.limit == 7
        await desk.move("e5", {"member/ada": -1, "vendor/a": 1}, by="ada")

    at_desk(store_url, story)


def test_what_does_not_sum_to_zero_is_not_committed_and_stops_the_store(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sabotage of conservation: the book forgets one posting's change."""

    async def story(desk: Desk) -> None:
        await desk.give("ada", 10)
        real = Book._change

        def half(self: Book, touched: Any, entry: Any, pairs: Any, positive: Any) -> None:
            real(self, touched, entry, pairs[:1], positive)

        monkeypatch.setattr(Book, "_change", half)
        with pytest.raises(Refusal) as no:
            await desk.give("bo", 10)
        assert no.value.code == "store-busy"
        assert desk.store.has_failed
        assert "sums to" in str(await desk.store.failed())
        assert (await desk.account("member/bo")).balance == 0

    at_desk(store_url, story)
