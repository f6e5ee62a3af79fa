"""A ledger by a client: typed, page by page, checked by its hashes; and audited as a whole."""

from __future__ import annotations

import asyncio
import itertools
import json
import sqlite3
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from devnet.inprocess import InProcessWorld, inprocess_world
from opkit import frame
from opkit.client import NodeClient
from opkit.client.auditing import Audited, audit_ledger
from opkit.client.ledger import LedgerCalls, entry_rows
from opkit.proof.checks import ProofError
from opkit.wire.base import SAFE_INT_MAX
from opkit.wire.errors import Fault
from opkit.wire.gateway import Malformed
from opkit.wire.holds import HoldEnded, HoldUnknown
from opkit.wire.ledger import (
    AccountUnknown,
    Cause,
    Entry,
    EntryConflict,
    EntryUnknown,
    LedgerElsewhere,
    Overdrawn,
    Posting,
)

RIVER = "river-city-tool-library"
BRIGHT = "brightworks-cooperative"
OPENING = "equity/opening"

Story = Callable[[InProcessWorld, LedgerCalls], Awaitable[None]]


def told(story: Story) -> None:
    """Tell a story in a network whose ledgers are empty; the officer is Mara."""

    async def main() -> None:
        async with asyncio.timeout(120), inprocess_world(seeded=False) as world:
            await story(world, world.client(RIVER, f"{RIVER}/mara").ledger(RIVER))

    asyncio.run(main())


async def every(found: Any) -> list[Any]:
    return [each async for each in found]


def test_money_is_posted_read_and_held_by_the_paths_of_accounts() -> None:
    async def story(world: InProcessWorld, ledger: LedgerCalls) -> None:
        fee = await ledger.transfer(900, from_account=OPENING, to_account="member/theo")
        assert fee.postings[0] == Posting(
            account=f"{RIVER}:{OPENING}", unit="usd-cents", amount=-900
        )
        again = await ledger.post({OPENING: -900, "member/theo": 900}, entry_id=fee.entry_id)
        assert again == fee
        with pytest.raises(EntryConflict):
            await ledger.post({OPENING: -1, "member/theo": 1}, entry_id=fee.entry_id)
        assert await ledger.entry(fee.hash) == await ledger.entry(fee.entry_id) == fee
        with pytest.raises(EntryUnknown):
            await ledger.entry("0" * 64)

        theo = world.client(RIVER, f"{RIVER}/theo").ledger(RIVER)
        held = await theo.hold(400, from_account="member/theo", to_account="income", hold_id="h")
        with pytest.raises(Overdrawn):
            await theo.transfer(501, from_account="member/theo", to_account="income")
        assert await theo.get_hold("h") == held
        paid = await theo.post_hold("h", 100)
        assert paid.posted == 100 and (await theo.entry(paid.entry or "")).cause == Cause(
            kind="hold", id="h"
        )
        with pytest.raises(HoldEnded):
            await theo.void_hold("h")
        with pytest.raises(HoldUnknown):
            await theo.void_hold("none")
        spare = await theo.hold(1, from_account="member/theo", to_account="income")
        assert (await theo.void_hold(spare.hold_id)).state == "voided"
        assert [hold.hold_id for hold in await every(theo.holds())] == [spare.hold_id, "h"]
        assert await every(theo.holds(state="held")) == []

        position = await ledger.position(f"{RIVER}/theo")
        (account,) = position.accounts
        assert (account.balance, account.held, account.available) == (800, 0, 800)
        assert await ledger.position(position.did) == position
        names = [each.account.partition(":")[2] for each in await every(ledger.accounts())]
        assert names == [OPENING, "income", "member/theo"]
        (unit,) = (await ledger.trial_balance()).units
        assert (unit.sum, unit.positive, unit.accounts) == (0, 900, 3)
        with pytest.raises(LedgerElsewhere) as elsewhere:
            await world.operator(BRIGHT).ledger(RIVER).trial_balance()
        assert elsewhere.value.home == world.node(RIVER).did

    told(story)


def test_history_and_statements_come_page_by_page_and_as_tables() -> None:
    async def story(world: InProcessWorld, ledger: LedgerCalls) -> None:
        for number in range(7):
            await ledger.post({OPENING: -10, "member/ines": 10}, entry_id=f"e{number}", memo="a,b")
        pages = await every(ledger.pages(page=3))
        entries = [entry for page in pages for entry in page.entries]
        assert len(pages) >= 3 and [each.entry_id for each in entries] == [
            f"e{number}" for number in range(7)
        ]
        newest = await every(ledger.history(newest_first=True, page=2))
        assert newest == entries[::-1]
        assert await every(ledger.history(account="member/ines")) == entries
        assert await every(ledger.history(member=f"{RIVER}/theo")) == []
        table = frame(entry_rows(entries))
        assert list(table["amount"]) == [-10, 10] * 7
        assert table["account"].nunique() == 2 and "recorded_at" in table
        lines = await ledger.statement("member/ines")
        assert [line.balance for line in lines] == list(range(10, 80, 10))
        assert {line.memo for line in lines} == {"a,b"}
        assert list(frame(lines)["amount"]) == [10] * 7
        with pytest.raises(AccountUnknown):
            await ledger.statement("member/nobody")

    told(story)


@pytest.mark.parametrize("amount", [2**53, 2**63, 2**64, -(2**53), 10**30])
def test_amounts_beyond_what_every_reader_keeps_are_refused_and_not_rounded(amount: int) -> None:
    async def story(world: InProcessWorld, ledger: LedgerCalls) -> None:
        said = Posting.model_construct(account=f"{RIVER}:income", unit="usd-cents", amount=amount)
        other = said.model_copy(update={"account": f"{RIVER}:{OPENING}", "amount": -amount})
        from opkit.wire.ledger import LEDGER_POST, PostEntry

        ask = PostEntry.model_construct(coop=RIVER, entry_id="x", postings=(said, other))
        client = world.client(RIVER, f"{RIVER}/mara")
        with pytest.raises(Malformed):
            await client.call(LEDGER_POST, ask)
        most = SAFE_INT_MAX
        await ledger.post({"income": 10**12, OPENING: -(10**12)}, entry_id="most")
        with pytest.raises(Overdrawn):
            await ledger.post({"income": most, OPENING: -most}, entry_id="beyond")

    told(story)


def forging(monkeypatch: pytest.MonkeyPatch, **changes: Any) -> None:
    """Have whatever a node answers say something else."""
    honest = NodeClient.call

    async def call(self: NodeClient, endpoint: Any, ask: Any, **how: Any) -> Any:
        said = await honest(self, endpoint, ask, **how)
        return said.model_copy(update=changes) if isinstance(said, Entry) else said

    monkeypatch.setattr(NodeClient, "call", call)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"memo": "another"}, "hash covers"),
        ({"coop": BRIGHT}, "another ledger"),
        ({"network": "b" * 26}, "another ledger"),
    ],
)
def test_an_entry_that_is_not_what_its_hash_covers_is_a_fault(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], why: str
) -> None:
    async def story(world: InProcessWorld, ledger: LedgerCalls) -> None:
        await ledger.post({OPENING: -1, "income": 1}, entry_id="e")
        forging(monkeypatch, **changes)
        with pytest.raises(Fault, match=why):
            await ledger.entry("e")

    told(story)


async def audited(world: InProcessWorld, **how: Any) -> Audited:
    return await audit_ledger(world.operator(RIVER), RIVER, genesis=world.genesis, **how)


async def some_entries(world: InProcessWorld, ledger: LedgerCalls) -> list[Entry]:
    """Return entries of several kinds, in order."""
    for number in range(5):
        await ledger.post({OPENING: -10, "member/ines": 10}, entry_id=f"e{number}")
    await ledger.hold(4, from_account=OPENING, to_account="income", hold_id="h")
    await ledger.post_hold("h", 3)
    entries = await every(ledger.history())
    right = {"income": -3, OPENING: 3}
    await ledger.post(right, entry_id="sorry", corrects=entries[-1].hash)
    return await every(ledger.history())


def test_a_whole_ledger_is_audited_and_tied_to_the_signed_journal() -> None:
    async def story(world: InProcessWorld, ledger: LedgerCalls) -> None:
        nothing = await audited(world)
        assert nothing.verdict.ok and nothing.sequence == 0
        entries = await some_entries(world, ledger)
        found = await audited(world, page=2)
        assert found.verdict.failures == () and found.verdict.anchored
        assert (found.sequence, found.hash) == (7, entries[-1].hash)
        assert found.journal_sequence > 0
        names = [check.name for check in found.verdict.checks]
        assert {"tied-to-journal", "corrections", "trial-balance", "journal"} <= set(names)
        alone = await audit_ledger(world.operator(RIVER), RIVER)
        assert alone.verdict.ok and not alone.verdict.anchored

    told(story)


def alter(world: InProcessWorld, statement: str, *values: Any) -> None:
    path = world.node(RIVER).config.store_url().removeprefix("sqlite:///")
    with sqlite3.connect(path, timeout=20) as database:
        assert database.execute(statement, values).rowcount == 1
    database.close()


def test_what_a_ledger_s_keeper_altered_afterwards_is_found() -> None:
    """Straight in the database, as only who runs the node could."""

    async def story(world: InProcessWorld, ledger: LedgerCalls) -> None:
        entries = await some_entries(world, ledger)
        body = entries[2].model_dump(mode="json")
        put = "UPDATE ledger_entries SET body = ? WHERE sequence = 3"
        alter(world, put, json.dumps({**body, "memo": "later"}).encode())
        found = {check.name for check in (await audited(world)).verdict.failures}
        assert found == {"chain"}
        alter(world, put, json.dumps(body).encode())
        assert (await audited(world)).verdict.ok
        cut = "UPDATE ledger_accounts SET balance = balance + 1 WHERE path = ?"
        alter(world, cut, b"income")
        found = {check.name for check in (await audited(world)).verdict.failures}
        assert found == {"trial-balance", "accounts"}
        cut = "UPDATE ledger_accounts SET balance = balance - 1 WHERE path = ?"
        alter(world, cut, b"income")
        for path, change in ((b"income", 1), (b"member/ines", -1)):
            moved = "UPDATE ledger_accounts SET balance = balance + ? WHERE path = ?"
            alter(world, moved, change, path)
        found = {check.name for check in (await audited(world)).verdict.failures}
        assert found == {"accounts"}, "sums are the same if one has what was another's"

    told(story)


SABOTAGED_HOLDS = {
    "more is set aside": (
        "UPDATE ledger_accounts SET held = held + 1 WHERE path = CAST('equity/opening' AS BLOB)",
        {"held"},
    ),
    "an open hold is said to have ended": (
        "UPDATE ledger_holds SET state = 'voided' WHERE hold_id = 'open'",
        {"holds-shown"},
    ),
    "an open hold is said to have lapsed": (
        "UPDATE ledger_holds SET state = 'lapsed' WHERE hold_id = 'open'",
        {"holds-shown"},
    ),
    "an ended hold is said to be open": (
        "UPDATE ledger_holds SET state = 'held' WHERE hold_id = 'h'",
        {"holds-shown"},
    ),
    "an open hold is for more": (
        "UPDATE ledger_holds SET amount = amount + 1 WHERE hold_id = 'open'",
        {"holds-shown"},
    ),
    "an open hold is gone": (
        "DELETE FROM ledger_holds WHERE hold_id = 'open'",
        {"holds-shown"},
    ),
}


@pytest.mark.parametrize("sabotage", SABOTAGED_HOLDS)
def test_what_a_ledger_s_keeper_altered_in_holds_is_found(sabotage: str) -> None:
    async def story(world: InProcessWorld, ledger: LedgerCalls) -> None:
        await some_entries(world, ledger)
        for name in ("gone", "open"):
            await ledger.hold(7, from_account=OPENING, to_account="income", hold_id=name)
        await ledger.void_hold("gone")
        found = await audited(world)
        assert found.verdict.ok, found.verdict.failures
        names = {check.name for check in found.verdict.checks}
        assert {"holds", "holds-paid", "holds-shown", "held", "accounts"} <= names
        statement, wanted = SABOTAGED_HOLDS[sabotage]
        alter(world, statement)
        found = await audited(world)
        assert {check.name for check in found.verdict.failures} == wanted, found.verdict.failures

    told(story)


def test_a_ledger_at_work_is_audited_and_nothing_is_amiss() -> None:
    async def story(world: InProcessWorld, ledger: LedgerCalls) -> None:
        entries = await some_entries(world, ledger)
        done = 0

        async def work(name: str) -> None:
            nonlocal done
            for number in itertools.count():
                hold = await ledger.hold(
                    3, from_account=OPENING, to_account=f"pot/{name}", hold_id=f"{name}{number}"
                )
                if number % 2:
                    await ledger.void_hold(hold.hold_id)
                elif number % 3:
                    await ledger.post_hold(hold.hold_id, 2)
                done += 1

        working = [asyncio.ensure_future(work(name)) for name in "abc"]
        for wanted in (5, 10, 15, 20):
            while done < wanted:
                await asyncio.sleep(0.001)
            found = await audited(world, page=20)
            assert found.verdict.ok, found.verdict.failures
        for one in working:
            one.cancel()
        await asyncio.gather(*working, return_exceptions=True)
        found = await audited(world)
        assert found.verdict.ok and found.sequence > len(entries)

    told(story)


def test_an_entry_that_the_journal_never_told_of_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(world: InProcessWorld, ledger: LedgerCalls) -> None:
        await some_entries(world, ledger)
        whole = await every(world.operator(RIVER).journal())
        honest = NodeClient.journal

        async def without_last(self: NodeClient, after: Any = None) -> Any:
            async for page in honest(self, after):
                kept = [each for each in page.entries if each.body.get("entry_id") != "sorry"]
                yield page.model_copy(update={"entries": tuple(kept)})

        assert whole
        monkeypatch.setattr(NodeClient, "journal", without_last)
        found = {check.name for check in (await audited(world)).verdict.failures}
        assert "journal" in found

    told(story)


def test_a_cited_decision_that_does_not_hold_is_found() -> None:
    """That decisions of a real assembly hold is shown with governance; here the caller says so."""

    async def story(world: InProcessWorld, ledger: LedgerCalls) -> None:
        await some_entries(world, ledger)
        asked: list[str] = []

        async def decided(said: Any) -> None:
            asked.append(said.entry_id)
            raise ProofError("it was rejected")

        receipt = Cause(kind="receipt", id="5" * 64)
        await ledger.post({OPENING: -1, "income": 1}, entry_id="paid", cause=receipt)
        assert (await audited(world, decided=decided)).verdict.ok and not asked

    told(story)
