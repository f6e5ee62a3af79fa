"""What is answered of a ledger: each answer is read from one snapshot, by an index.

No answer's cost grows with the ledger: pages are bounded by entries, by postings, and by how much
is looked through for them.
"""

from __future__ import annotations

import csv
import heapq
import io
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from nodeimpl.kernel.binding import Caller
from nodeimpl.kernel.statements import Statement
from nodeimpl.kernel.tx import Tx
from nodeimpl.ledger import rules
from nodeimpl.ledger import store as tables
from nodeimpl.ledger.ports import Members
from nodeimpl.ledger.rules import Account
from nodeimpl.ledger.service import Ledger, entry_by_hash, view_of
from nodeimpl.ledger.store import accounts_under, page_under
from opkit.wire import ledger as wire
from opkit.wire.base import SAFE_INT_MAX, MemberId, Slug
from opkit.wire.endpoint import Scope
from opkit.wire.membership import Member, MemberMissing

LOOKED_THROUGH_MAX = 2_000
"""How many entries are looked through for one page."""

ROWS_MAX = 100
"""How many are read at once."""

_Row = tuple[int, str, bytes]
"""An entry's place, its units, and its body."""

_HARMLESS = str.maketrans({"\t": " ", "\r": " ", "\n": " "})


class Reading:
    """Answers about the ledgers that this node keeps."""

    def __init__(self, ledger: Ledger, *, members: Members) -> None:
        """Keep the parts."""
        self._ledger = ledger
        self._members = members

    def entry(self, tx: Tx, ask: wire.AskEntry, caller: Caller | None, _: None) -> wire.Entry:
        """Return one entry, by its hash or by its caller's id.

        Refuses, in this order:
            LedgerElsewhere, LedgerNotYours, LedgerOwnOnly, EntryUnknown.
        """
        self._ledger.book(ask.coop)
        found = _entry(tx, ask.coop, ask.entry)
        own = caller is not None and found is not None and _concerns(found, caller.member_id)
        self._judge(caller, ask.coop, asks_own=own)
        if found is None:
            raise wire.EntryUnknown(entry=ask.entry)
        return found

    def history(
        self, tx: Tx, ask: wire.ReadHistory, caller: Caller | None, _: None
    ) -> wire.HistoryPage:
        """Return a page of entries in order, those that all filters fit.

        Refuses, in this order:
            LedgerElsewhere, LedgerNotYours, LedgerOwnOnly.
        """
        self._ledger.book(ask.coop)
        self._judge(
            caller, ask.coop, asks_own=caller is not None and ask.member == caller.member_id
        )
        end = _last(tx, ask.coop)
        entries, next_after = _page(tx, ask)
        return wire.HistoryPage(
            coop=ask.coop,
            entries=tuple(entries),
            next_after=next_after,
            sequence=end.sequence if end else 0,
            hash=end.hash if end else wire.FIRST_PREVIOUS,
        )

    def position(
        self, tx: Tx, ask: wire.AskPosition, caller: Caller | None, _: None
    ) -> wire.Position:
        """Return how a member stands, by their id, their key, or a key that was theirs.

        Refuses, in this order:
            LedgerElsewhere, LedgerNotYours, LedgerOwnOnly, MemberMissing.
        """
        self._ledger.book(ask.coop)
        member = self._member(tx, ask.coop, ask.did)
        own = caller is not None and member is not None and member.member_id == caller.member_id
        self._judge(caller, ask.coop, asks_own=own)
        if member is None or member.coop != ask.coop:
            raise MemberMissing(member_id=ask.did)
        found = accounts_under(
            tx,
            ask.coop,
            rules.member_path(member.member_id),
            rows_max=self._ledger.limits.accounts_per_member_max,
        )
        end = _last(tx, ask.coop)
        return wire.Position(
            coop=ask.coop,
            member_id=member.member_id,
            did=member.did,
            accounts=tuple(view_of(ask.coop, each) for each in found),
            sequence=end.sequence if end else 0,
            hash=end.hash if end else wire.FIRST_PREVIOUS,
        )

    def accounts(
        self, tx: Tx, ask: wire.ListAccounts, caller: Caller | None, _: None
    ) -> wire.AccountPage:
        """Return accounts in order.

        Refuses, in this order:
            LedgerElsewhere, LedgerNotYours.
        """
        self._ledger.book(ask.coop)
        self._judge(caller, ask.coop, asks_own=False)
        path, unit = _split(ask.after, " ")
        found: list[Account] = []
        if ask.prefix.isascii() and path.isascii():
            most = ask.accounts_max + 1
            found = page_under(tx, ask.coop, ask.prefix, after=(path, unit), rows_max=most)
        shown = found[: ask.accounts_max]
        more = len(found) > len(shown)
        return wire.AccountPage(
            coop=ask.coop,
            accounts=tuple(view_of(ask.coop, each) for each in shown),
            next_after=f"{shown[-1].path} {shown[-1].unit}" if more else "",
        )

    def trial_balance(
        self, tx: Tx, ask: wire.AskTrialBalance, caller: Caller | None, _: None
    ) -> wire.TrialBalance:
        """Return the sums of a whole ledger, added up from its accounts now.

        Refuses, in this order:
            LedgerElsewhere, LedgerNotYours.
        """
        self._ledger.book(ask.coop)
        self._judge(caller, ask.coop, asks_own=False)
        end, checked = _last(tx, ask.coop), tx.one(tables.GET_CHECK, coop=ask.coop)
        return wire.TrialBalance(
            coop=ask.coop,
            units=tuple(
                wire.UnitTotal(
                    unit=unit,
                    accounts=count,
                    positive=int(positive),
                    negative=int(negative),
                    sum=int(positive) + int(negative),
                    held=int(held),
                )
                for unit, count, positive, negative, held in tx.all(tables.TOTALS, coop=ask.coop)
            ),
            groups=tuple(
                wire.GroupTotal(group=root, unit=unit, accounts=count, balance=int(balance))
                for root, unit, count, balance in tx.all(tables.GROUPS, coop=ask.coop)
            ),
            sequence=end.sequence if end else 0,
            hash=end.hash if end else wire.FIRST_PREVIOUS,
            checked_sequence=checked[0] if checked else 0,
        )

    def statement(
        self, tx: Tx, ask: wire.AskStatement, caller: Caller | None, _: None
    ) -> wire.Statement:
        """Return an account's postings in one unit as CSV, each with the balance after it.

        Refuses, in this order:
            LedgerElsewhere, LedgerNotYours, LedgerOwnOnly, AccountUnknown.
        """
        self._ledger.book(ask.coop)
        coop, path = _split(ask.account, ":")
        own = caller is not None and rules.is_under(path, rules.member_path(caller.member_id))
        self._judge(caller, ask.coop, asks_own=own)
        row = None
        if coop == ask.coop and path.isascii():
            path_bytes = path.encode("ascii")
            row = tx.one(tables.GET_ACCOUNT, coop=coop, path=path_bytes, unit=ask.unit)
        if row is None:
            raise wire.AccountUnknown(account=ask.account, unit=ask.unit)
        after, before = _within(tx, ask.coop, ask.from_ms, ask.to_ms)
        lines = tx.all(
            tables.LINES,
            coop=coop,
            account=row[0],
            after=max(after, ask.after),
            before=before,
            rows_max=ask.lines_max,
        )
        return wire.Statement(csv=_csv(lines))

    def _judge(self, caller: Caller | None, coop: Slug, *, asks_own: bool) -> None:
        assert caller is not None, "a ledger is read with a token"
        rules.judge_reader(
            coop,
            caller.member_id,
            whole=Scope.LEDGER_READ in caller.scopes,
            asks_own=asks_own,
            auditors=self._ledger.auditors,
        )

    def _member(self, tx: Tx, coop: Slug, who: str) -> Member | None:
        """Return the member of an id or of a key, or None."""
        if who.startswith("did:"):
            return self._members.member_of_key(tx, coop, who)
        return self._members.member(tx, who)


def _split(text: str, at: str) -> tuple[str, str]:
    first, _, rest = text.partition(at)
    return first, rest


def _last(tx: Tx, coop: Slug) -> wire.Entry | None:
    row = tx.one(tables.LAST_ENTRY, coop=coop)
    return None if row is None else wire.Entry.model_validate_json(row[0])


def _entry(tx: Tx, coop: Slug, name: str) -> wire.Entry | None:
    """Return an entry by its hash, or else by its caller's id."""
    if len(name) == 64 and not set(name) - set("0123456789abcdef"):
        found = entry_by_hash(tx, coop, name)
        if found is not None:
            return found
    row = tx.one(tables.BY_ENTRY_ID, coop=coop, entry_id=name)
    return None if row is None else wire.Entry.model_validate_json(row[0])


def _concerns(entry: wire.Entry, member_id: MemberId) -> bool:
    """Return whether an entry touches an account of a member."""
    coop, _, name = member_id.partition("/")
    root = f"{wire.MEMBER_ROOT}/{name}"
    return coop == entry.coop and any(
        rules.is_under(rules.path_of(each.account), root) for each in entry.postings
    )


def _page(tx: Tx, ask: wire.ReadHistory) -> tuple[list[wire.Entry], int]:
    """Return the entries of a page, and where the next one begins; 0 if there is none."""
    after, before = _within(tx, ask.coop, ask.from_ms, ask.to_ms)
    if ask.newest_first:
        before = min(before, ask.after or before)
    else:
        after = max(after, ask.after)
    entries: list[wire.Entry] = []
    postings = place = 0
    rows = _rows(tx, ask, after=after, before=before)
    for looked_at, (sequence, units, body) in enumerate(rows):
        if looked_at >= LOOKED_THROUGH_MAX or len(entries) >= ask.entries_max:
            return entries, place
        entry = _fitting(ask, units, body)
        if entry is not None:
            if entries and postings + len(entry.postings) > wire.POSTINGS_PER_PAGE_MAX:
                return entries, place
            postings += len(entry.postings)
            entries.append(entry)
        place = sequence
    return entries, 0


def _fitting(ask: wire.ReadHistory, units: str, body: bytes) -> wire.Entry | None:
    """Return an entry if all filters fit it."""
    if ask.unit and ask.unit not in units.split(" "):
        return None
    entry = wire.Entry.model_validate_json(body)
    if ask.cause and (entry.cause is None or entry.cause.id != ask.cause):
        return None
    if ask.member and not _concerns(entry, ask.member):
        return None
    if ask.account and not any(
        each.account == ask.account and ask.unit in ("", each.unit) for each in entry.postings
    ):
        return None
    return entry


def _within(tx: Tx, coop: Slug, from_ms: int, to_ms: int) -> tuple[int, int]:
    """Return between which places entries of a time are: world time is in order along a ledger."""
    after, before = 0, SAFE_INT_MAX
    if from_ms > 0:
        row = tx.one(tables.FIRST_SINCE, coop=coop, at_ms=from_ms)
        after = SAFE_INT_MAX if row is None else row[0] - 1
    if to_ms < SAFE_INT_MAX:
        row = tx.one(tables.FIRST_SINCE, coop=coop, at_ms=to_ms)
        before = SAFE_INT_MAX if row is None else row[0]
    return after, before


def _rows(tx: Tx, ask: wire.ReadHistory, *, after: int, before: int) -> Iterator[_Row]:
    """Yield what may fit, in order, each once, by the index that leaves the least."""
    back = int(ask.newest_first)
    if ask.account or ask.member:
        numbers = _numbers(tx, ask)
        sources = [
            _read(tx, ask, tables.OF_ACCOUNT[back], after, before, account=number)
            for number in numbers
        ]
        merged = heapq.merge(*sources, key=lambda row: row[0], reverse=ask.newest_first)
        return _once(merged)
    if ask.cause:
        return _read(tx, ask, tables.OF_CAUSE[back], after, before, cause=ask.cause)
    return _read(tx, ask, tables.ENTRIES[back], after, before)


def _numbers(tx: Tx, ask: wire.ReadHistory) -> list[int]:
    """Return the accounts of which one has to be touched."""
    found: list[Account] = []
    if ask.account:
        coop, path = _split(ask.account, ":")
        if coop == ask.coop and path.isascii():
            rows = tx.all(tables.AT_PATH, coop=coop, path=path.encode("ascii"))
            found = [tables.account_of(row) for row in rows]
    elif rules.coop_of(ask.member) == ask.coop and ask.member.isascii():
        root = rules.member_path(ask.member)
        found = accounts_under(tx, ask.coop, root, rows_max=wire.ACCOUNTS_PER_PAGE_MAX)
    return [each.number for each in found if ask.unit in ("", each.unit)]


def _read(
    tx: Tx, ask: wire.ReadHistory, statement: Statement, after: int, before: int, **more: Any
) -> Iterator[_Row]:
    """Yield rows in order, some at a time."""
    most = min(ROWS_MAX, ask.entries_max + 1)
    while True:
        rows = tx.all(statement, coop=ask.coop, after=after, before=before, rows_max=most, **more)
        yield from rows
        if len(rows) < most:
            return
        most = ROWS_MAX
        if ask.newest_first:
            before = rows[-1][0]
        else:
            after = rows[-1][0]


def _once(rows: Iterable[_Row]) -> Iterator[_Row]:
    """Yield rows in order without those that come again."""
    last = -1
    for row in rows:
        if row[0] != last:
            yield row
        last = row[0]


def _csv(lines: Iterable[tuple[int, int, int, bytes]]) -> bytes:
    """Return postings as CSV.

    What people wrote is not let begin like a formula, for spreadsheets run those.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(wire.STATEMENT_COLUMNS)
    for sequence, amount, balance, body in islice(lines, wire.STATEMENT_LINES_MAX):
        entry = wire.Entry.model_validate_json(body)
        memo = entry.memo.translate(_HARMLESS)
        writer.writerow(
            (
                sequence,
                datetime.fromtimestamp(entry.world_ms / 1000, UTC).isoformat(
                    timespec="milliseconds"
                ),
                entry.effective_on or "",
                entry.entry_id,
                entry.kind,
                f"'{memo}" if memo[:1] in ("=", "+", "-", "@") and memo else memo,
                amount,
                balance,
                entry.cause.kind if entry.cause else "",
                entry.cause.id if entry.cause else "",
                entry.hash,
            )
        )
    return text.getvalue().encode()
