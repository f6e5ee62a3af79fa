"""A coop's ledger, by a client: post, settle, hold, read, and believe no hash unchecked.

Accounts are named by their path (`member/hugo`) or in full (`coop:member/hugo`). What is read comes
page by page, so that a ledger of any length is gone through in the same memory; rows are mappings
that `opkit.frame` makes a table of.
"""

from __future__ import annotations

import csv
import io
import secrets
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from opkit.proof.holds import hold_hash
from opkit.proof.ledger import entry_hash
from opkit.wire.base import SAFE_INT_MAX, Did, MemberId, RecordId, Slug, TimeMs
from opkit.wire.errors import Fault
from opkit.wire.holds import (
    CREATE_HOLD,
    GET_HOLD,
    LIST_HOLDS,
    POST_HOLD,
    VOID_HOLD,
    CreateHold,
    GetHold,
    Hold,
    HoldState,
    ListHolds,
    PostHold,
    VoidHold,
)
from opkit.wire.ledger import (
    LEDGER_ACCOUNTS,
    LEDGER_ENTRY,
    LEDGER_HISTORY,
    LEDGER_POSITION,
    LEDGER_POST,
    LEDGER_STATEMENT,
    LEDGER_TRIAL_BALANCE,
    STATEMENT_COLUMNS,
    STATEMENT_LINES_MAX,
    AccountId,
    AccountView,
    AskEntry,
    AskPosition,
    AskStatement,
    AskTrialBalance,
    Cause,
    Entry,
    EntryId,
    HistoryPage,
    ListAccounts,
    Position,
    PostEntry,
    Posting,
    ReadHistory,
    Settle,
    SettleLine,
    TrialBalance,
    Unit,
)

if TYPE_CHECKING:
    from opkit.client.node import NodeClient

PAGE = 500
"""How many entries, holds or accounts are asked for at once."""

HOLD_TERM_MS = 7 * 24 * 3_600_000
"""For how long money is set aside unless it is said."""

_WHOLE = frozenset({"sequence", "amount", "balance"})


@dataclass(frozen=True, kw_only=True)
class StatementLine:
    """One line of an account's statement; `balance` is the account's after it."""

    sequence: int
    recorded_at: str
    effective_on: str
    entry_id: str
    kind: str
    memo: str
    amount: int
    balance: int
    cause_kind: str
    cause_id: str
    hash: str


class LedgerCalls:
    """One coop's ledger, by a node: its home, for no other keeps it."""

    def __init__(self, client: NodeClient, coop: Slug) -> None:
        """Call by this client about this coop."""
        self.coop = coop
        self._client = client

    def account(self, named: str) -> AccountId:
        """Return an account's id, given that or its path."""
        return named if ":" in named else f"{self.coop}:{named}"

    async def member_id(self) -> MemberId:
        """Return the member as whom this client speaks."""
        return await self._client.member_id()

    # Changes.

    async def post(
        self,
        postings: Iterable[Posting] | Mapping[str, int],
        *,
        entry_id: EntryId | None = None,
        unit: Unit = "usd-cents",
        memo: str = "",
        cause: Cause | None = None,
        corrects: RecordId | None = None,
        effective_on: str | None = None,
    ) -> Entry:
        """Post an entry, once for its id: the same again is answered with the one that stands.

        Args:
            postings: what each account gets or gives; a mapping of accounts to amounts is in
                `unit`.
            entry_id: its permanent id; a random one unless said. Say one to be able to ask again
                after a crash of your own.
            corrects: the hash of the entry that it puts right.
            effective_on: the day to which it belongs, if not the one on which it is recorded.

        Raises:
            Refusal: see `ledger.post`.
            Unreachable: the node did not answer: whether it stands is unknown; ask again.
            Fault: what it answers is not what its hash covers, or another entry.
        """
        if isinstance(postings, Mapping):
            postings = [
                Posting(account=self.account(named), unit=unit, amount=amount)
                for named, amount in postings.items()
            ]
        ask = PostEntry(
            coop=self.coop,
            entry_id=entry_id or secrets.token_hex(16),
            postings=tuple(postings),
            memo=memo,
            cause=cause,
            corrects=corrects,
            effective_on=effective_on,
        )
        entry = self._checked(await self._client.call(LEDGER_POST, ask))
        if (entry.entry_id, entry.postings) != (ask.entry_id, ask.postings):
            raise self._fault("it answers with another entry than was posted")
        return entry

    async def transfer(
        self,
        amount: int,
        *,
        from_account: str,
        to_account: str,
        unit: Unit = "usd-cents",
        memo: str = "",
        entry_id: EntryId | None = None,
    ) -> Entry:
        """Move an amount from one account to another; raises as `post`."""
        moved = {from_account: -amount, to_account: amount}
        return await self.post(moved, entry_id=entry_id, unit=unit, memo=memo)

    async def settle(
        self,
        proposal: RecordId,
        *,
        from_account: str,
        lines: Sequence[SettleLine] | Mapping[str, int],
        unit: Unit,
    ) -> Entry:
        """Execute a decided distribution, exactly as it was decided.

        Args:
            proposal: the hash of the proposal that was accepted.
            lines: what each account gets; none of nothing.

        Raises:
            Refusal: see `ledger.settle`.
            Unreachable, Fault: as `post`.
        """
        # Deferred: the endpoint is governance's, and most who read a ledger settle nothing.
        from opkit.wire.governance import LEDGER_SETTLE

        if isinstance(lines, Mapping):
            lines = [SettleLine(account=self.account(a), amount=n) for a, n in lines.items()]
        ask = Settle(
            coop=self.coop,
            proposal=proposal,
            from_account=self.account(from_account),
            unit=unit,
            lines=tuple(lines),
        )
        return self._checked(await self._client.call(LEDGER_SETTLE, ask))

    # Reading.

    async def entry(self, named: str) -> Entry:
        """Return one entry by its hash or its caller's id.

        Raises:
            EntryUnknown: there is none.
            Fault: it is not what its hash covers.
        """
        ask = AskEntry(coop=self.coop, entry=named)
        return self._checked(await self._client.call(LEDGER_ENTRY, ask))

    async def pages(
        self,
        *,
        member: MemberId = "",
        account: str = "",
        cause: str = "",
        unit: Unit = "",
        from_ms: TimeMs = 0,
        to_ms: TimeMs = SAFE_INT_MAX,
        newest_first: bool = False,
        after: int = 0,
        page: int = PAGE,
    ) -> AsyncGenerator[HistoryPage, None]:
        """Return the pages of what the ledger has, each entry checked against its hash.

        Args:
            member, account, cause, unit: only entries that touch these; all that are said must fit.
            from_ms: only entries of this world time or later; `to_ms`: of before.
            after: where to begin, as `next_after` of an earlier page says.
            page: how many entries are asked for at once.

        Raises:
            Refusal, Unreachable, Fault: as `NodeClient.call`.
        """
        asked = ReadHistory(
            coop=self.coop,
            after=after,
            entries_max=page,
            newest_first=newest_first,
            member=member,
            account=self.account(account) if account else "",
            cause=cause,
            unit=unit,
            from_ms=from_ms,
            to_ms=to_ms,
        )
        while True:
            found = await self._client.call(LEDGER_HISTORY, asked)
            for entry in found.entries:
                self._checked(entry)
            yield found
            if not found.next_after:
                return
            asked = asked.model_copy(update={"after": found.next_after})

    async def history(self, **asked: Any) -> AsyncGenerator[Entry, None]:
        """Return the ledger's entries one after another; takes and raises what `pages` does."""
        async for page in self.pages(**asked):
            for entry in page.entries:
                yield entry

    async def position(self, who: MemberId | Did) -> Position:
        """Return how a member stands: by their id, their key, or a key that was theirs before."""
        return await self._client.call(LEDGER_POSITION, AskPosition(coop=self.coop, did=who))

    async def accounts(self, *, prefix: str = "") -> AsyncGenerator[AccountView, None]:
        """Return the ledger's accounts by id and unit; `prefix` is how their paths begin."""
        after = ""
        while True:
            ask = ListAccounts(coop=self.coop, prefix=prefix, after=after, accounts_max=PAGE)
            found = await self._client.call(LEDGER_ACCOUNTS, ask)
            for account in found.accounts:
                yield account
            if not found.next_after:
                return
            after = found.next_after

    async def trial_balance(self) -> TrialBalance:
        """Return the sums of the whole ledger; `sum` of each unit must read zero."""
        return await self._client.call(LEDGER_TRIAL_BALANCE, AskTrialBalance(coop=self.coop))

    async def statement_pages(
        self,
        account: str,
        *,
        unit: Unit = "usd-cents",
        from_ms: TimeMs = 0,
        to_ms: TimeMs = SAFE_INT_MAX,
    ) -> AsyncGenerator[bytes, None]:
        """Return an account's statement as CSV, page by page; only the first has the header.

        Raises:
            AccountUnknown: nothing was ever posted to it in that unit.
            Fault: what the node answers is no statement.
        """
        after = 0
        while True:
            ask = AskStatement(
                coop=self.coop,
                account=self.account(account),
                unit=unit,
                after=after,
                from_ms=from_ms,
                to_ms=to_ms,
            )
            said = (await self._client.call(LEDGER_STATEMENT, ask)).csv
            lines = self._lines(said)
            yield said if not after else said.partition(b"\n")[2]
            if len(lines) < STATEMENT_LINES_MAX:
                return
            after = lines[-1].sequence

    async def statement_csv(self, account: str, **asked: Any) -> bytes:
        """Return an account's whole statement as CSV; takes and raises as `statement_pages`."""
        return b"".join([page async for page in self.statement_pages(account, **asked)])

    async def statement(self, account: str, **asked: Any) -> list[StatementLine]:
        """Return an account's whole statement, a line an entry: `opkit.frame` makes a table of it.

        Takes and raises as `statement_pages`.
        """
        return self._lines(await self.statement_csv(account, **asked))

    # Holds.

    async def hold(
        self,
        amount: int,
        *,
        from_account: str,
        to_account: str,
        lapses_at_ms: TimeMs | None = None,
        unit: Unit = "usd-cents",
        memo: str = "",
        hold_id: str | None = None,
    ) -> Hold:
        """Set an amount aside in its account, until it is posted, voided, or lapses.

        Args:
            lapses_at_ms: at which world time it lapses; a week from now on unless said.
            hold_id: its permanent id; a random one unless said.

        Raises:
            Refusal: see `ledger.hold-create`.
            Unreachable, Fault: as `post`.
        """
        if lapses_at_ms is None:
            lapses_at_ms = await self.world_ms() + HOLD_TERM_MS
        ask = CreateHold(
            coop=self.coop,
            hold_id=hold_id or secrets.token_hex(16),
            from_account=self.account(from_account),
            to_account=self.account(to_account),
            unit=unit,
            amount=amount,
            lapses_at_ms=lapses_at_ms,
            memo=memo,
        )
        return self._checked_hold(await self._client.call(CREATE_HOLD, ask))

    async def post_hold(self, hold_id: str, amount: int | None = None) -> Hold:
        """Pay what is held, or a part of it; the rest is free again. See `ledger.hold-post`."""
        ask = PostHold(coop=self.coop, hold_id=hold_id, amount=amount)
        return self._checked_hold(await self._client.call(POST_HOLD, ask))

    async def void_hold(self, hold_id: str) -> Hold:
        """Release what is held. See `ledger.hold-void`."""
        ask = VoidHold(coop=self.coop, hold_id=hold_id)
        return self._checked_hold(await self._client.call(VOID_HOLD, ask))

    async def get_hold(self, hold_id: str) -> Hold:
        """Return one hold. Raises `HoldUnknown` if there is none."""
        ask = GetHold(coop=self.coop, hold_id=hold_id)
        return self._checked_hold(await self._client.call(GET_HOLD, ask))

    async def holds(
        self, *, state: HoldState | None = None, account: str = ""
    ) -> AsyncGenerator[Hold, None]:
        """Return the ledger's holds, newest first: all, of a state, or from or to an account."""
        asked = ListHolds(
            coop=self.coop,
            state=state or "",
            account=self.account(account) if account else "",
            holds_max=PAGE,
        )
        while True:
            found = await self._client.call(LIST_HOLDS, asked)
            for hold in found.holds:
                yield self._checked_hold(hold)
            if not found.next_before:
                return
            asked = asked.model_copy(update={"before": found.next_before})

    async def world_ms(self) -> TimeMs:
        """Return what time it is by the node's world clock."""
        from opkit.wire.network import NODE, AskNode

        return (await self._client.call(NODE, AskNode())).world_ms

    def _checked(self, entry: Entry) -> Entry:
        if entry.coop != self.coop or entry.network != self._client.network:
            raise self._fault(f"entry {entry.sequence} is of another ledger")
        if entry_hash(entry) != entry.hash:
            raise self._fault(f"entry {entry.sequence} is not what its hash covers")
        return entry

    def _checked_hold(self, hold: Hold) -> Hold:
        if hold_hash(hold) != hold.hash:
            raise self._fault(f"hold {hold.hold_id} is not what its hash covers")
        return hold

    def _lines(self, said: bytes) -> list[StatementLine]:
        try:
            header, *rows = list(csv.reader(io.StringIO(said.decode("utf-8"), newline="")))
            lines = [_line(row) for row in rows]
        except (ValueError, csv.Error) as bad:
            raise self._fault(f"its statement cannot be read: {bad}") from bad
        if tuple(header) != STATEMENT_COLUMNS:
            raise self._fault(f"its statement has other columns: {header}")
        return lines

    def _fault(self, why: str) -> Fault:
        return Fault(where=self._client.node, incident="", why=why)


def entry_rows(entries: Iterable[Entry]) -> list[dict[str, Any]]:
    """Return a row for each posting, as `opkit.frame` makes a table of them."""
    return [
        {
            "sequence": entry.sequence,
            "recorded_at_ms": entry.recorded_ms,
            "world_at_ms": entry.world_ms,
            "entry_id": entry.entry_id,
            "kind": entry.kind,
            "account": posting.account,
            "unit": posting.unit,
            "amount": posting.amount,
            "memo": entry.memo,
            "cause_kind": entry.cause.kind if entry.cause else "",
            "cause_id": entry.cause.id if entry.cause else "",
            "by": entry.by,
            "hash": entry.hash,
        }
        for entry in entries
        for posting in entry.postings
    ]


def _line(row: list[str]) -> StatementLine:
    """Return a line of a statement; raises `ValueError` if it is none."""
    named: dict[str, Any] = dict(zip(STATEMENT_COLUMNS, row, strict=True))
    return StatementLine(**(named | {name: int(named[name]) for name in _WHOLE}))
