"""Posting: read, judge, record, announce. What other domains have a ledger do is here too."""

from __future__ import annotations

from collections.abc import Callable

from nodeimpl.kernel.binding import Caller
from nodeimpl.kernel.tx import Tx
from nodeimpl.ledger import rules
from nodeimpl.ledger import store as tables
from nodeimpl.ledger.book import Book
from nodeimpl.ledger.memory import Numbers
from nodeimpl.ledger.rules import Account, Draft, Limits, Right
from opkit.proof.genesis import GenesisView
from opkit.wire import ledger as wire
from opkit.wire.base import SAFE_INT_MAX, Did, MemberId, RecordId, Slug
from opkit.wire.endpoint import Scope

NODE = "-"
"""Who posts what nobody asked for now."""


class Ledger:
    """The ledgers of the coops whose home this node is.

    What takes a transaction runs in it; all that posts or changes runs on the writer.

    Attributes:
        auditors: coops whose auditors may read these ledgers.
        first: done before an entry is judged: what is due in world time, such as a hold that lapses
            and whose money is free from then on.
    """

    def __init__(self, *, own: Did, genesis: GenesisView, limits: Limits | None = None) -> None:
        """Keep no ledger in memory yet; `own` is this node's key."""
        self.limits = limits or Limits()
        self.coops = tuple(
            signed.charter.coop
            for signed in genesis.genesis.charters
            if signed.charter.home_node == own
        )
        self.auditors = genesis.auditors_at(own)
        self.first: Callable[[Tx], None] = lambda _: None
        self._genesis = genesis
        numbers = Numbers()
        self._books = {coop: self._book(coop, numbers) for coop in self.coops}

    def post(
        self, tx: Tx, ask: wire.PostEntry, caller: Caller | None, _: None = None
    ) -> wire.Entry:
        """Post what a member asks for, or return the entry that stands with this id and content.

        Refuses, in this order:
            LedgerElsewhere, LedgerNotYours, EntryConflict, UnitUnknown, AccountForeign,
            Unbalanced, EntryMalformed, CorrectionUnknown, DecisionRequired, AccountNotYours,
            AccountClosed, Overdrawn, BalanceOutOfBounds, AccountsFull.
        """
        assert caller is not None, "posting needs a token"
        book = self.book(ask.coop)
        rules.judge_poster(ask.coop, caller.member_id)
        draft = Draft(
            coop=ask.coop,
            entry_id=ask.entry_id,
            kind="correction" if ask.corrects else "ordinary",
            postings=ask.postings,
            memo=ask.memo,
            cause=ask.cause,
            corrects=ask.corrects,
            effective_on=ask.effective_on,
        )
        for_coop = Scope.LEDGER_WRITE in caller.scopes
        right = Right(by=caller.member_id, kind="coop" if for_coop else "own")
        return self._post(tx, book, draft, right)

    def post_decided(
        self,
        tx: Tx,
        *,
        coop: Slug,
        entry_id: wire.EntryId,
        postings: tuple[wire.Posting, ...],
        memo: str,
        decision: RecordId,
        effective_on: str | None = None,
        by: MemberId | None = None,
    ) -> wire.Entry:
        """Post what an assembly decided, also from its treasury; once, by its id.

        Args:
            entry_id: begins with `decision:`, so that nobody can take it before.
            by: who asked for it to be executed.

        Refuses:
            LedgerElsewhere; then as `SETTLE_REFUSALS`.
        """
        draft = Draft(
            coop=coop,
            entry_id=entry_id,
            kind="decided",
            postings=postings,
            memo=memo,
            cause=wire.Cause(kind="decision", id=decision),
            corrects=None,
            effective_on=effective_on,
        )
        return self._post(tx, self.book(coop), draft, Right(by=by or NODE, kind="decision"))

    def post_bound(
        self,
        tx: Tx,
        *,
        coop: Slug,
        entry_id: wire.EntryId,
        postings: tuple[wire.Posting, ...],
        memo: str,
        hold: wire.CauseId,
        by: MemberId | None = None,
    ) -> wire.Entry:
        """Post what a hold had set aside, after it was let go of (`set_aside`); once, by its id.

        Args:
            entry_id: begins with `hold:`, so that nobody can take it before.

        Refuses:
            LedgerElsewhere; then as `SETTLE_REFUSALS`.
        """
        draft = Draft(
            coop=coop,
            entry_id=entry_id,
            kind="bound",
            postings=postings,
            memo=memo,
            cause=wire.Cause(kind="hold", id=hold),
            corrects=None,
            effective_on=None,
        )
        return self._post(tx, self.book(coop), draft, Right(by=by or NODE, kind="hold"))

    def post_exchanged(
        self,
        tx: Tx,
        *,
        coop: Slug,
        entry_id: wire.EntryId,
        postings: tuple[wire.Posting, ...],
        memo: str,
        cause: wire.Cause,
        corrects: RecordId | None = None,
        by: MemberId | None = None,
    ) -> wire.Entry:
        """Post this coop's half of an exchange, after what was set aside for it was let go of.

        Args:
            entry_id: begins with `exchange:`, so that nobody can take it before.
            cause: the exchange, or the ruling for whose sake an earlier half is put right.
            corrects: the hash of that half.

        Refuses:
            LedgerElsewhere; then as `SETTLE_REFUSALS`.
        """
        draft = Draft(
            coop=coop,
            entry_id=entry_id,
            kind="correction" if corrects else "bound",
            postings=postings,
            memo=memo,
            cause=cause,
            corrects=corrects,
            effective_on=None,
        )
        return self._post(tx, self.book(coop), draft, Right(by=by or NODE, kind="exchange"))

    def set_aside(
        self,
        tx: Tx,
        *,
        coop: Slug,
        account: wire.AccountId,
        unit: wire.Unit,
        change: int,
        again: bool = False,
    ) -> None:
        """Add to what holds set aside in an account, or let go of it (a change below zero).

        Args:
            again: the same transaction let go of it, and funds are not judged: a floor that was
                raised since it was set aside does not free it.

        Refuses, in this order:
            LedgerElsewhere, Overdrawn, AccountsFull.
        """
        self.book(coop).set_aside(tx, rules.path_of(account), unit, change, again=again)

    def configure(
        self,
        tx: Tx,
        *,
        coop: Slug,
        account: wire.AccountId,
        unit: wire.Unit,
        decision: RecordId,
        floor: int | None = None,
        closed: bool | None = None,
    ) -> None:
        """Set the floor of an account, close it, or open it again; what is None stays.

        A floor may be above the balance: then nothing is debited until there is more.

        Refuses, in this order:
            LedgerElsewhere, UnitUnknown, AccountForeign, AccountsFull.
        """
        book = self.book(coop)
        if unit not in wire.UNITS:
            raise wire.UnitUnknown(unit=unit)
        if not account.startswith(f"{coop}:"):
            raise wire.AccountForeign(account=account)
        found = book.configure(
            tx,
            path=rules.path_of(account),
            unit=unit,
            floor=floor,
            closed=closed,
            decision=decision,
        )
        tx.announce(
            wire.AccountConfigured(
                coop=coop,
                account=account,
                unit=unit,
                floor=found.floor,
                closed=found.closed,
                decision=decision,
            )
        )

    def account(
        self, tx: Tx, *, coop: Slug, account: wire.AccountId, unit: wire.Unit
    ) -> wire.AccountView:
        """Return an account as it stands, with what this transaction did; an unused one has none.

        Refuses:
            LedgerElsewhere: this node does not keep that ledger.
        """
        book, path = self.book(coop), rules.path_of(account)
        if tx.writes:
            found = book.account(tx, path, unit)
        else:
            row = tx.one(tables.GET_ACCOUNT, coop=coop, path=path.encode("ascii"), unit=unit)
            found = None if row is None else tables.account_of(row)
        return view_of(coop, found or book.fresh(path, unit))

    def balance(self, tx: Tx, coop: Slug, account: wire.AccountId, unit: wire.Unit) -> int:
        """Return what an account has. Refuses: LedgerElsewhere."""
        return self.account(tx, coop=coop, account=account, unit=unit).balance

    def treasury(self, tx: Tx, coop: Slug) -> tuple[wire.AccountView, ...]:
        """Return the accounts that nothing but a decision debits, at most 1,000.

        Refuses:
            LedgerElsewhere: this node does not keep that ledger.
        """
        book = self.book(coop)
        if tx.writes:
            book.write_accounts(tx)
        most = wire.ACCOUNTS_PER_PAGE_MAX
        found: list[Account] = []
        for root in wire.TREASURY:
            under = tables.page_under(tx, coop, root, after=("", ""), rows_max=most)
            found += [each for each in under if rules.is_under(each.path, root)]
        return tuple(view_of(coop, each) for each in found[:most])

    def book(self, coop: Slug) -> Book:
        """Return a ledger that is kept here.

        Refuses:
            LedgerElsewhere: another node keeps it, or none does.
        """
        book = self._books.get(coop)
        if book is None:
            charter = self._genesis.charter(coop)
            raise wire.LedgerElsewhere(coop=coop, home=charter.home_node if charter else "")
        return book

    def _post(self, tx: Tx, book: Book, draft: Draft, right: Right) -> wire.Entry:
        rules.check_judged_so_far(draft, right)
        self.first(tx)
        standing = book.find(tx, draft.entry_id)
        if standing is not None:
            if not draft.says(standing):
                raise wire.EntryConflict(entry_id=draft.entry_id, standing=standing.hash)
            return standing
        rules.judge_form(draft, right)
        if draft.corrects is not None and entry_by_hash(tx, draft.coop, draft.corrects) is None:
            raise wire.CorrectionUnknown(corrects=draft.corrects)
        rules.judge_right(draft.coop, draft.postings, right)
        return book.post(tx, draft, right)

    def _book(self, coop: Slug, numbers: Numbers) -> Book:
        charter = self._genesis.charter(coop)
        assert charter is not None, "a coop whose home this is has a charter"
        return Book(
            coop,
            network=self._genesis.network,
            floors={(each.account, each.unit): each.floor for each in charter.floors},
            numbers=numbers,
            limits=self.limits,
        )


def entry_by_hash(tx: Tx, coop: Slug, digest: RecordId) -> wire.Entry | None:
    """Return the entry with a hash."""
    for (body,) in tx.all(tables.BY_SHORT, coop=coop, short=tables.short_of(digest)):
        entry = wire.Entry.model_validate_json(body)
        if entry.hash == digest:
            return entry
    return None


def view_of(coop: Slug, account: Account) -> wire.AccountView:
    """Return an account as it is answered."""
    return wire.AccountView(
        account=f"{coop}:{account.path}",
        unit=account.unit,
        balance=account.balance,
        held=account.held,
        available=min(SAFE_INT_MAX, max(0, account.balance - account.held - account.floor)),
        floor=account.floor,
        closed=account.closed,
        decision=account.decision,
        sequence=account.sequence,
    )
