"""History, positions, accounts, sums and statements, on both engines."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from typing import Any

import pytest

from nodeimpl.kernel.binding import Caller
from nodeimpl.kernel.store import Tx
from nodeimpl.ledger import reading as module
from nodeimpl.ledger.reading import Reading
from opkit.wire import ledger as wire
from opkit.wire.endpoint import Scope
from opkit.wire.membership import Member, MemberMissing
from tests.nodeimpl.ledger.desk import COOP, MEMBERS, OPENING, Desk, at_desk, caller, key_of

DAY_MS = 86_400_000
ADA = caller("ada")
OLD_KEY = key_of("ada, before").did


class Known:
    """The members of the coop, one of whom had another key."""

    def member(self, tx: Tx, member_id: str) -> Member | None:
        coop, _, name = member_id.partition("/")
        if name not in MEMBERS:
            return None
        return Member(
            member_id=member_id,
            coop=coop,
            name=name,
            title="",
            did=key_of(name).did,
            roles=("member",),
            active=True,
            sequence=0,
        )

    def member_of_key(self, tx: Tx, coop: str, did: str) -> Member | None:
        keys = {key_of(name).did: name for name in MEMBERS} | {OLD_KEY: "ada"}
        return self.member(tx, f"{coop}/{keys.get(did, '')}")


class Reader:
    """Asks as somebody."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._reading = Reading(desk.ledger, members=Known())

    async def _ask(self, how: str, ask: Any, by: Caller) -> Any:
        answer = getattr(self._reading, how)
        return await self._desk.store.read(lambda tx: answer(tx, ask, by, None))

    async def history(self, by: Caller = ADA, **asked: Any) -> wire.HistoryPage:
        page: wire.HistoryPage = await self._ask(
            "history", wire.ReadHistory(coop=COOP, **asked), by
        )
        return page

    async def ids(self, **asked: Any) -> list[str]:
        """Return the ids of all entries that fit, page by page."""
        found: list[str] = []
        after = 0
        while True:
            page = await self.history(**asked, after=after)
            found += [entry.entry_id for entry in page.entries]
            after = page.next_after
            if not after:
                return found

    async def ask(self, how: str, kind: type, by: Caller = ADA, **asked: Any) -> Any:
        return await self._ask(how, kind(coop=COOP, **asked), by)


async def filled(desk: Desk) -> Reader:
    """Return a reader of a ledger with six entries, one a day of world time."""
    moves: list[tuple[dict[str, int], str, dict[str, Any]]] = [
        ({OPENING: -100, "member/ada": 100}, "usd-cents", {}),
        ({OPENING: -50, "member/bo": 50}, "commons-credits", {}),
        ({"member/ada": -10, "member/bo": 10}, "usd-cents", {"cause": "tools"}),
        ({"member/ada": -5, "member/ada/savings": 5}, "usd-cents", {}),
        ({"member/bo": -1, "vendor/mill": 1}, "usd-cents", {"cause": "tools"}),
        ({"member/bo": -7, "member/dan": 7}, "commons-credits", {"memo": "=1+1"}),
    ]
    for number, (amounts, unit, more) in enumerate(moves, start=1):
        payer = next(path for path, amount in amounts.items() if amount < 0)
        by = payer.split("/")[1] if payer.startswith("member/") else "cleo"
        ask = wire.PostEntry(
            coop=COOP,
            entry_id=f"e{number}",
            postings=tuple(
                wire.Posting(account=f"{COOP}:{path}", unit=unit, amount=amount)
                for path, amount in amounts.items()
            ),
            memo=more.get("memo", ""),
            cause=wire.Cause(kind="agreement", id=more["cause"]) if "cause" in more else None,
        )
        await desk.store.write(lambda tx, ask=ask, by=by: desk.ledger.post(tx, ask, caller(by)))
        desk.clock.advance(DAY_MS)  # type: ignore[attr-defined]  # it is a virtual one
    return Reader(desk)


@pytest.mark.parametrize("entries_max", [1, 2, 100])
@pytest.mark.parametrize("newest_first", [False, True])
def test_filters_leave_what_fits_all_of_them_in_order(
    store_url: str, entries_max: int, newest_first: bool
) -> None:
    expected: list[tuple[dict[str, Any], str]] = [
        ({}, "123456"),
        ({"member": "yard/ada"}, "134"),
        ({"member": "yard/bo"}, "2356"),
        ({"member": "yard/bo", "unit": "usd-cents"}, "35"),
        ({"member": "mill/ada"}, ""),
        ({"member": "nobody"}, ""),
        ({"account": "yard:member/ada"}, "134"),
        ({"account": "yard:member/ada/savings"}, "4"),
        ({"account": "yard:member/bo", "unit": "commons-credits"}, "26"),
        ({"account": "mill:member/ada"}, ""),
        ({"account": "é"}, ""),
        ({"account": "yard:member/bo", "member": "yard/ada"}, "3"),
        ({"unit": "commons-credits"}, "26"),
        ({"unit": "shells"}, ""),
        ({"cause": "tools"}, "35"),
        ({"cause": "tools", "member": "yard/ada"}, "3"),
        ({"cause": "tools", "unit": "commons-credits"}, ""),
        ({"cause": "none"}, ""),
    ]

    async def story(desk: Desk) -> None:
        reader = await filled(desk)
        how = {"entries_max": entries_max, "newest_first": newest_first}
        for asked, numbers in expected:
            wanted = [f"e{number}" for number in numbers]
            if newest_first:
                wanted.reverse()
            assert await reader.ids(**asked, **how) == wanted, asked

    at_desk(store_url, story)


def test_a_time_is_a_place_in_the_ledger(store_url: str) -> None:
    async def story(desk: Desk) -> None:
        reader = await filled(desk)
        times = [entry.world_ms for entry in (await reader.history()).entries]
        assert await reader.ids(from_ms=times[2]) == ["e3", "e4", "e5", "e6"]
        assert await reader.ids(to_ms=times[2]) == ["e1", "e2"]
        assert await reader.ids(from_ms=times[1], to_ms=times[3], member="yard/bo") == ["e2", "e3"]
        assert await reader.ids(from_ms=times[5] + 1) == []
        assert await reader.ids(to_ms=times[0]) == []

    at_desk(store_url, story)


def test_a_page_is_short_rather_than_long_looked_for(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(desk: Desk) -> None:
        reader = await filled(desk)
        monkeypatch.setattr(module, "LOOKED_THROUGH_MAX", 2)
        page = await reader.history(unit="commons-credits")
        assert [entry.entry_id for entry in page.entries] == ["e2"]
        assert page.next_after == 2
        assert await reader.ids(unit="commons-credits") == ["e2", "e6"]
        monkeypatch.setattr(wire, "POSTINGS_PER_PAGE_MAX", 4)
        assert len((await reader.history()).entries) == 2

    at_desk(store_url, story)


def test_a_position_is_a_members_whoever_names_them_and_by_whatever_key(store_url: str) -> None:
    async def story(desk: Desk) -> None:
        reader = await filled(desk)
        for name in ("yard/ada", key_of("ada").did, OLD_KEY):
            found = await reader.ask("position", wire.AskPosition, did=name)
            assert (found.member_id, found.did) == ("yard/ada", key_of("ada").did)
            assert [(each.account, each.balance) for each in found.accounts] == [
                ("yard:member/ada", 85),
                ("yard:member/ada/savings", 5),
            ]
            assert found.sequence == 6
        for nobody in ("yard/eve", "mill/ada", "did:key:zNobody", ""):
            with pytest.raises(MemberMissing):
                await reader.ask("position", wire.AskPosition, did=nobody)

    at_desk(store_url, story)


def test_who_reads_only_their_own_sees_that_and_no_more(store_url: str) -> None:
    async def story(desk: Desk) -> None:
        reader = await filled(desk)
        ada = replace(caller("ada"), scopes=frozenset({Scope.LEDGER_READ_OWN}))
        assert (await reader.ask("position", wire.AskPosition, ada, did="yard/ada")).accounts
        assert (await reader.history(ada, member="yard/ada")).entries
        assert await reader.ask("entry", wire.AskEntry, ada, entry="e3")
        own = {"account": "yard:member/ada", "unit": "usd-cents"}
        assert await reader.ask("statement", wire.AskStatement, ada, **own)
        for refused in (
            reader.ask("position", wire.AskPosition, ada, did="yard/bo"),
            reader.ask("position", wire.AskPosition, ada, did="yard/eve"),
            reader.history(ada),
            reader.history(ada, member="yard/bo"),
            reader.ask("entry", wire.AskEntry, ada, entry="e2"),
            reader.ask("entry", wire.AskEntry, ada, entry="none"),
            reader.ask("statement", wire.AskStatement, ada, **{**own, "account": "yard:member/bo"}),
        ):
            with pytest.raises(wire.LedgerOwnOnly):
                await refused
        other = replace(caller("ada"), member_id="mill/ada")
        with pytest.raises(wire.LedgerNotYours):
            await reader.history(other, member="mill/ada")

    at_desk(store_url, story)


def test_an_entry_is_found_by_its_hash_and_by_its_id(store_url: str) -> None:
    async def story(desk: Desk) -> None:
        reader = await filled(desk)
        third = (await reader.history()).entries[2]
        for name in ("e3", third.hash):
            assert await reader.ask("entry", wire.AskEntry, entry=name) == third
        for name in ("e7", "0" * 64, third.hash[:16] + "0" * 48, ""):
            with pytest.raises(wire.EntryUnknown):
                await reader.ask("entry", wire.AskEntry, entry=name)

    at_desk(store_url, story)


def test_accounts_are_listed_in_order_page_by_page(store_url: str) -> None:
    async def story(desk: Desk) -> None:
        reader = await filled(desk)
        found: list[tuple[str, str]] = []
        after = ""
        while True:
            page = await reader.ask("accounts", wire.ListAccounts, accounts_max=2, after=after)
            found += [(each.account, each.unit) for each in page.accounts]
            after = page.next_after
            if not after:
                break
        assert found == sorted(found)
        assert len(found) == 8
        under = await reader.ask("accounts", wire.ListAccounts, prefix="member/ada")
        assert [each.account for each in under.accounts] == [
            "yard:member/ada",
            "yard:member/ada/savings",
        ]

    at_desk(store_url, story)


def test_the_trial_balance_reads_zero_and_says_of_what(store_url: str) -> None:
    async def story(desk: Desk) -> None:
        reader = await filled(desk)
        found = await reader.ask("trial_balance", wire.AskTrialBalance)
        assert [(each.unit, each.positive, each.negative, each.sum) for each in found.units] == [
            ("commons-credits", 50, -50, 0),
            ("usd-cents", 100, -100, 0),
        ]
        assert {(each.group, each.unit): each.balance for each in found.groups} == {
            ("equity", "commons-credits"): -50,
            ("equity", "usd-cents"): -100,
            ("member", "commons-credits"): 50,
            ("member", "usd-cents"): 99,
            ("vendor", "usd-cents"): 1,
        }
        assert found.sequence == 6
        await desk.store.write(
            lambda tx: desk.ledger.configure(
                tx,
                coop="yard",
                account="yard:project/hall",
                unit="usd-cents",
                floor=-5,
                decision="5" * 64,
            )
        )
        after = await reader.ask("trial_balance", wire.AskTrialBalance)
        assert after.units == found.units, "what was decided about and never used has no unit yet"
        hall = [(each.group, each.accounts) for each in after.groups if each.group == "project"]
        assert hall == [("project", 0)]

    at_desk(store_url, story)


def test_a_statement_is_csv_with_the_balance_after_each_line(store_url: str) -> None:
    async def story(desk: Desk) -> None:
        reader = await filled(desk)
        asked = {"account": "yard:member/bo", "unit": "commons-credits"}
        said = await reader.ask("statement", wire.AskStatement, **asked)
        head, *lines = csv.reader(io.StringIO(said.csv.decode(), newline=""))
        assert tuple(head) == wire.STATEMENT_COLUMNS
        rows = [dict(zip(head, line, strict=True)) for line in lines]
        assert [(row["sequence"], row["amount"], row["balance"]) for row in rows] == [
            ("2", "50", "50"),
            ("6", "-7", "43"),
        ]
        # Spreadsheets run what begins like a formula.
        assert rows[1]["memo"] == "'=1+1"
        later = await reader.ask("statement", wire.AskStatement, **asked, after=2)
        assert later.csv.count(b"\r\n") == 2
        for unknown in ({**asked, "unit": "usd"}, {**asked, "account": "yard:member/eve"}):
            with pytest.raises(wire.AccountUnknown):
                await reader.ask("statement", wire.AskStatement, **unknown)

    at_desk(store_url, story)
