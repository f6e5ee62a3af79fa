"""A ledger as the writer has it in memory: its end, its totals, the accounts that were used.

Only the writer's thread comes here. What a function changed is put back if it is undone, alone or
with its group, so what stands here is what the database has with this group's rows; those are
written together at its end. Before each commit the balances of what it touched are added up anew
(ADR 0040).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

from nodeimpl.kernel.engine import Row
from nodeimpl.kernel.group import Group
from nodeimpl.kernel.tx import Tx
from nodeimpl.ledger import rules
from nodeimpl.ledger import store as tables
from nodeimpl.ledger.memory import (
    AsIs,
    End,
    Name,
    Numbers,
    Pair,
    Sealed,
    Totals,
    Touched,
    number_in,
)
from nodeimpl.ledger.rules import Account, Draft, Limits, Right
from opkit.proof import ledger as proof
from opkit.wire import ledger as wire
from opkit.wire.base import NetworkId, RecordId, Slug


class LedgerBroken(Exception):
    """The ledger does not sum to zero: a defect, which must not be committed."""


class Book:
    """One coop's ledger, for the writer."""

    def __init__(
        self,
        coop: Slug,
        *,
        network: NetworkId,
        floors: dict[Name, int],
        numbers: Numbers,
        limits: Limits,
    ) -> None:
        """Know nothing yet; what is needed is read when it is.

        Args:
            floors: those of the charter, by path and unit.
            numbers: numbers new accounts; one for all ledgers of a store.
        """
        self.coop = coop
        self.limits = limits
        blank: dict[str, Any] = {
            **dict.fromkeys(wire.Entry.model_fields),
            "network": network,
            "coop": coop,
        }
        self._blank = wire.Entry.model_construct(**blank)
        self._floors = floors
        self._end: End | None = None
        self._checked = 0
        self._accounts: dict[Name, Account] = {}
        self._totals: dict[wire.Unit, Totals] = {}
        self._count = 0
        self._numbers = numbers
        self._group: Group | None = None
        self._now = Touched()

    def account(self, tx: Tx, path: str, unit: wire.Unit) -> Account | None:
        """Return an account as it stands with what this group did; None if there is none yet.

        It belongs to the book: only the book changes it.
        """
        self._open(tx)
        found = self._accounts.get((path, unit))
        if found is None:
            row = tx.one_behind(
                tables.GET_ACCOUNT, coop=self.coop, path=path.encode("ascii"), unit=unit
            )
            if row is None:
                return None
            found = self._accounts[path, unit] = tables.account_of(row)
        return found

    def floor(self, path: str, unit: wire.Unit) -> int:
        """Return the charter's floor of an account that nobody decided about."""
        return self._floors.get((path, unit), 0)

    def end(self, tx: Tx) -> End:
        """Return where the ledger ends, with what this group did."""
        return self._open(tx)

    def find(self, tx: Tx, entry_id: wire.EntryId) -> wire.Entry | None:
        """Return the entry of a caller's id."""
        posted = self._touched(tx).posted.get(entry_id)
        if posted is not None:
            return posted
        row = tx.one_behind(tables.BY_ENTRY_ID, coop=self.coop, entry_id=entry_id)
        return None if row is None else wire.Entry.model_validate_json(row[0])

    def post(self, tx: Tx, draft: Draft, right: Right) -> wire.Entry:
        """Post a judged draft: judge what the accounts can bear, write it and journal it.

        Refuses, in this order:
            AccountClosed, Overdrawn, BalanceOutOfBounds, AccountsFull.
        """
        end = self._open(tx)
        pairs = self._accounts_of(tx, draft)
        for _, account in pairs:
            rules.judge_open(account, coop=self.coop)
        for each, account in pairs:
            rules.judge_funds(account, each.amount, coop=self.coop)
        positive = self._judge_sums(pairs)
        fresh = [account for _, account in pairs if not account.number]
        self._judge_room(tx, fresh)
        entry, postings, body = self._entry(tx, draft, right, end)
        touched = self._touched(tx)
        tx.if_undone(partial(self._put_back, touched, entry, self._as_is(end, pairs, fresh)))
        self._number(tx, touched, fresh)
        self._change(touched, entry, pairs, positive)
        touched.posted[entry.entry_id] = entry
        self._write(tx, entry, pairs, body)
        tx.announce_spelled(wire.EntryPosted, proof.spell_posted(entry, postings))
        return entry

    def set_aside(
        self, tx: Tx, path: str, unit: wire.Unit, change: int, *, again: bool = False
    ) -> None:
        """Add to what holds set aside in an account, or take from it; who may was judged before.

        Args:
            again: it was set aside until just now: also if the account could not bear it anew.

        Refuses:
            Overdrawn: the account has not so much that is free.
        """
        account = self._use(tx, path, unit)
        if change > 0 and not again:
            rules.judge_funds(account, -change, coop=self.coop)
        assert account.held + change >= 0, "no more is let go of than was set aside"
        self._judge_room(tx, [account] if not account.number else [])
        self._touch(tx, account)
        tx.if_undone(partial(setattr, account, "held", account.held))
        account.held += change

    def configure(
        self,
        tx: Tx,
        *,
        path: str,
        unit: wire.Unit,
        floor: int | None,
        closed: bool | None,
        decision: RecordId,
    ) -> Account:
        """Set the floor of an account, close it or open it; what is None stays.

        Refuses:
            AccountsFull: there is no such account yet, and no room for it.
        """
        account = self._use(tx, path, unit)
        self._judge_room(tx, [account] if not account.number else [])
        self._touch(tx, account)
        self._touched(tx).whole.add((path, unit))
        before = (account.floor, account.closed, account.decision)
        tx.if_undone(partial(_configure, account, *before))
        _configure(
            account,
            account.floor if floor is None else floor,
            account.closed if closed is None else closed,
            decision,
        )
        return account

    def write_accounts(self, tx: Tx) -> None:
        """Have the rows of changed accounts written, so that a statement in this group finds them.

        They are written again at the end of the group if more becomes of them.
        """
        touched = self._touched(tx)
        moved: list[Row] = []
        whole: list[Row] = []
        for name in touched.before:
            account = self._accounts.get(name)
            if account is None:
                continue
            if name in touched.whole:
                whole.append(tables.account_row(self.coop, account))
            else:
                moved.append(tables.moved_row(account))
        # Always in this order: what is known of an account as a whole is never the older.
        tx.many(tables.MOVE_ACCOUNT, moved)
        tx.many(tables.PUT_ACCOUNT, whole)

    def _open(self, tx: Tx) -> End:
        """Read what has to be known of the ledger as a whole."""
        if self._end is not None:
            return self._end
        row = tx.one(tables.LAST_ENTRY, coop=self.coop)
        self._totals = {
            unit: Totals(positive=int(positive), sum=int(positive) + int(negative))
            for unit, _, positive, negative, _ in tx.all(tables.TOTALS, coop=self.coop)
        }
        self._count = number_in(tx.one(tables.COUNT_ACCOUNTS, coop=self.coop))
        checked = tx.one(tables.GET_CHECK, coop=self.coop)
        self._checked = 0 if checked is None else checked[0]
        self._end = End() if row is None else _end_of(wire.Entry.model_validate_json(row[0]))
        return self._end

    def _accounts_of(self, tx: Tx, draft: Draft) -> list[Pair]:
        """Return each posting with its account; one that is new has the number 0 so far."""
        skip = len(self.coop) + 1
        accounts = self._accounts
        return [
            (each, accounts.get((each.account[skip:], each.unit)) or self._find(tx, each, skip))
            for each in draft.postings
        ]

    def _find(self, tx: Tx, posting: wire.Posting, skip: int) -> Account:
        path = posting.account[skip:]
        return self.account(tx, path, posting.unit) or self.fresh(path, posting.unit)

    def _use(self, tx: Tx, path: str, unit: wire.Unit) -> Account:
        return self.account(tx, path, unit) or self.fresh(path, unit)

    def fresh(self, path: str, unit: wire.Unit) -> Account:
        """Return an account that nobody used yet: it has nothing, and no number."""
        return Account(
            number=0,
            path=path,
            unit=unit,
            balance=0,
            held=0,
            floor=self.floor(path, unit),
            closed=False,
            decision=None,
            sequence=0,
        )

    def _judge_sums(self, pairs: list[Pair]) -> dict[wire.Unit, int]:
        """Return what all balances above zero will sum to, in each unit that is posted in."""
        positive: dict[wire.Unit, int] = {}
        for each, account in pairs:
            rules.judge_bounds(account, each.amount, coop=self.coop)
            unit, before = each.unit, account.balance
            after = before + each.amount
            known = positive[unit] if unit in positive else self._totals_of(unit).positive
            positive[unit] = known + max(0, after) - max(0, before)
        for unit, total in positive.items():
            rules.judge_total(total, coop=self.coop, unit=unit)
        return positive

    def _judge_room(self, tx: Tx, fresh: list[Account]) -> None:
        """Refuses: AccountsFull."""
        if not fresh:
            return
        new_of: dict[str, int] = {}
        for at, account in enumerate(fresh):
            owner = _owner(account.path)
            of_member = 0
            if owner:
                of_member = self._count_of(tx, owner) + new_of.get(owner, 0)
                new_of[owner] = new_of.get(owner, 0) + 1
            rules.judge_room(accounts=self._count + at, of_member=of_member, limits=self.limits)

    def _count_of(self, tx: Tx, owner: str) -> int:
        """Return how many accounts a member has."""
        self.write_accounts(tx)
        most = self.limits.accounts_per_member_max
        return len(tables.accounts_under(tx, self.coop, owner, rows_max=most))

    def _number(self, tx: Tx, touched: Touched, fresh: Iterable[Account]) -> None:
        for account in fresh:
            self._count += 1
            account.number = self._numbers.take(tx)
            self._accounts[account.path, account.unit] = account
            touched.whole.add((account.path, account.unit))

    def _entry(self, tx: Tx, draft: Draft, right: Right, end: End) -> Sealed:
        """Return the entry at its place, its postings and the whole of it as they are spelled.

        Time never runs back along a ledger, whatever the machine's clock does.
        """
        said: dict[str, Any] = {
            "entry_id": draft.entry_id,
            "kind": draft.kind,
            "postings": draft.postings,
            "memo": draft.memo,
            "cause": draft.cause,
            "corrects": draft.corrects,
            "effective_on": draft.effective_on,
            "sequence": end.sequence + 1,
            "recorded_ms": max(tx.now_ms, end.recorded_ms),
            "world_ms": max(tx.world_ms, end.world_ms),
            "by": right.by,
            "previous": end.hash,
        }
        postings = proof.spell_postings(draft.postings)
        # Every part was validated where it came in, and nobody has seen the entry yet. A copy that
        # is changed costs half of what constructing one does.
        entry = self._blank.model_copy(update=said)
        entry.__dict__["hash"], body = proof.seal(entry, postings)
        return entry, postings, body

    def _change(
        self,
        touched: Touched,
        entry: wire.Entry,
        pairs: list[Pair],
        positive: dict[wire.Unit, int],
    ) -> None:
        sequence = entry.sequence
        for each, account in pairs:
            unit, amount = each.unit, each.amount
            touched.before.setdefault((account.path, unit), account.balance)
            account.balance += amount
            account.sequence = sequence
            self._totals[unit].sum += amount
        for unit, total in positive.items():
            self._totals[unit].positive = total
        self._end = _end_of(entry)

    def _write(
        self,
        tx: Tx,
        entry: wire.Entry,
        pairs: list[Pair],
        body: bytes,
    ) -> None:
        sequence, digest = entry.sequence, entry.hash
        units = " ".join(dict.fromkeys([each.unit for each in entry.postings]))
        short = tables.short_of(digest)
        row = (self.coop, sequence, entry.entry_id, short, entry.world_ms, units, body)
        tx.many(tables.ADD_ENTRY, (row,))
        rows = [(each.number, sequence, posting.amount, each.balance) for posting, each in pairs]
        tx.many(tables.ADD_POSTING, rows)
        if entry.cause is not None:
            tx.many(tables.ADD_CAUSE, ((self.coop, entry.cause.id, sequence),))

    def _touched(self, tx: Tx) -> Touched:
        """Return what this group changed here; the first that asks has it closed at the end."""
        group = tx.group
        if group is not self._group:
            tx.before_commit(self._close)
            self._group, self._now = group, Touched()
        return self._now

    def _touch(self, tx: Tx, account: Account) -> None:
        """Have an account written with this group; number it if it is new."""
        touched = self._touched(tx)
        if not account.number:
            as_is = self._as_is(self._open(tx), [], [account])
            tx.if_undone(partial(self._put_back, touched, None, as_is))
            self._number(tx, touched, [account])
        touched.before.setdefault((account.path, account.unit), account.balance)

    def _close(self, tx: Tx) -> None:
        """At the end of a group: add up what changed, and have it written.

        Raises:
            LedgerBroken: it does not sum to zero.
        """
        touched = self._touched(tx)
        changes: dict[wire.Unit, int] = {}
        for name, before in touched.before.items():
            account = self._accounts.get(name)
            if account is not None:
                changes[account.unit] = changes.get(account.unit, 0) + account.balance - before
        sums = {unit: totals.sum for unit, totals in self._totals.items()}
        for wrong in (changes, sums):
            for unit, total in wrong.items():
                if total:
                    raise LedgerBroken(f"the ledger of {self.coop} sums to {total} {unit}")
        self.write_accounts(tx)
        if self._end is not None and self._end.sequence >= self._checked + self.limits.check_every:
            self._checkpoint(tx, self._end)
        if len(self._accounts) > self.limits.accounts_cached_max:
            self._accounts.clear()

    def _checkpoint(self, tx: Tx, end: End) -> None:
        row = {"coop": self.coop, "sequence": end.sequence, "hash": end.hash}
        tx.run(tables.PUT_CHECK, **row)
        tx.if_undone(partial(setattr, self, "_checked", self._checked))
        self._checked = end.sequence

    def _totals_of(self, unit: wire.Unit) -> Totals:
        found = self._totals.get(unit)
        if found is None:
            found = self._totals[unit] = Totals(positive=0, sum=0)
        return found

    def _as_is(self, end: End, pairs: list[Pair], fresh: list[Account]) -> AsIs:
        """Return what a change may change, as it is before; `fresh` are the accounts it makes."""
        totals = {each.unit: self._totals_of(each.unit) for each, _ in pairs}
        return (
            end,
            self._count,
            [(account, account.balance, account.sequence) for _, account in pairs],
            [(total, total.positive, total.sum) for total in totals.values()],
            fresh,
        )

    def _put_back(self, touched: Touched, entry: wire.Entry | None, as_is: AsIs) -> None:
        """Undo one change: accounts that it made are gone, all else is as it was."""
        self._end, self._count, accounts, totals, fresh = as_is
        if entry is not None:
            touched.posted.pop(entry.entry_id, None)
        for account, balance, sequence in accounts:
            account.balance, account.sequence = balance, sequence
        for total, positive, of_all in totals:
            total.positive, total.sum = positive, of_all
        for account in fresh:
            self._accounts.pop((account.path, account.unit), None)


def _configure(account: Account, floor: int, closed: bool, decision: RecordId | None) -> None:
    account.floor, account.closed, account.decision = floor, closed, decision


def _owner(path: str) -> str:
    """Return the root of the member's accounts to which this one belongs; empty if to none."""
    root, _, rest = path.partition("/")
    name = rest.partition("/")[0]
    return f"{root}/{name}" if root == wire.MEMBER_ROOT and name else ""


def _end_of(entry: wire.Entry) -> End:
    return End(entry.sequence, entry.hash, entry.recorded_ms, entry.world_ms)
