"""A whole ledger audited over the network, page by page, in the same memory however long it is.

The entries come from the ledger, and what was announced of them from the journal, which the home
node signs: both are read side by side and compared; holds are folded from the journal. At the end
the last entry's announcement is proven to be in the signed journal, and with it, by the chain of
hashes, all entries before it; and what the node shows of accounts and holds is compared with what
was made of them, but for what changed after that journal's end.
Source: ADR 0040.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from opkit.proof.audit import AuditedTotal, Floors, LedgerAudit
from opkit.proof.audit_holds import HoldEnding, HoldsAudit
from opkit.proof.checks import Check, ProofError, Verdict, attempt, equal
from opkit.proof.history import check_included, examine_head
from opkit.wire.base import RecordId, Slug
from opkit.wire.events import Cursor, JournalEntry
from opkit.wire.holds import (
    GET_HOLD,
    HOLDS_PER_PAGE_MAX,
    LIST_HOLDS,
    GetHold,
    Hold,
    HoldCreated,
    HoldExpired,
    HoldId,
    HoldPosted,
    HoldUnknown,
    HoldVoided,
    ListHolds,
)
from opkit.wire.journal import (
    HEAD,
    INCLUSION,
    ORIGIN,
    AskInclusion,
    AskJournalHead,
    AskJournalOrigin,
    JournalHead,
    ProvenEntry,
)
from opkit.wire.ledger import (
    AccountConfigured,
    AccountView,
    Entry,
    EntryPosted,
    EntryUnknown,
    TrialBalance,
    Unit,
)

if TYPE_CHECKING:
    from opkit.client.ledger import LedgerCalls
    from opkit.client.node import NodeClient
    from opkit.proof.genesis import GenesisView

Decided = Callable[[Entry | AccountConfigured], Awaitable[None]]
"""Raises `ProofError` unless the decision that is cited verifies and says exactly this."""

Told = Callable[[int], None]
"""Is told now and then how many entries were looked at."""

TELL_EVERY = 10_000

_HOLD_ENDS: dict[str, type[HoldEnding]] = {
    each.type: each for each in (HoldPosted, HoldVoided, HoldExpired)
}
_OF_HOLDS: dict[str, type[HoldCreated | HoldEnding]] = {HoldCreated.type: HoldCreated, **_HOLD_ENDS}
_OF_LEDGERS = {EntryPosted.type, AccountConfigured.type, *_OF_HOLDS}
"""The events of which a ledger's story is made."""


@dataclass(frozen=True, kw_only=True)
class Audited:
    """What an audit came to.

    Attributes:
        sequence: how many entries it covers.
        hash: the last one's: what a later audit must find again.
        journal_sequence: the journal's entry that announces the last one; 0 if there is none.
    """

    verdict: Verdict
    coop: Slug
    sequence: int
    hash: RecordId
    totals: dict[Unit, AuditedTotal]
    journal_sequence: int


async def audit_ledger(
    client: NodeClient,
    coop: Slug,
    *,
    genesis: GenesisView | None = None,
    decided: Decided | None = None,
    told: Told | None = None,
    page: int = 500,
) -> Audited:
    """Read a coop's ledger from its first entry to its last, and check all of it.

    Args:
        client: of the coop's home node; it needs to read ledger and journal.
        genesis: the network's, as whoever audits keeps it; without it the signer is unknown.
        decided: says whether a cited decision gives the right; by default the decision is asked of
            the node and verified here.
        told: how far it is.
        page: how many entries are asked for at once.

    Raises:
        Refusal, Unreachable, Fault: the node does not answer what is asked; nothing was found out.
    """
    auditing = _Auditing(client, coop, genesis, page=page)
    if decided is not None:
        auditing.decided = decided
    if told is not None:
        auditing.told = told
    return await auditing.run()


class _Auditing:
    """One audit on its way."""

    def __init__(
        self,
        client: NodeClient,
        coop: Slug,
        genesis: GenesisView | None,
        *,
        page: int,
    ) -> None:
        self.decided: Decided = partial(_ask_decision, client, genesis)
        self.told: Told = lambda _: None
        self._client = client
        self._genesis = genesis
        self._ledger: LedgerCalls = client.ledger(coop)
        self._coop = coop
        self._page = page
        self._audit = LedgerAudit(network=client.network, coop=coop)
        self._holds = HoldsAudit(whole=True)
        self._checks: list[Check] = []
        self._last: JournalEntry | None = None

    async def run(self) -> Audited:
        """Audit, and return what it came to."""
        # Before the head, so that the head covers every entry of which these are the sums.
        balance = await self._ledger.trial_balance()
        token = (await self._client.call(HEAD, AskJournalHead())).head
        head, checks = examine_head("journal-head", token, genesis=self._genesis)
        self._checks += checks
        if head is not None:
            self._check_home(head)
            cut = (await self._client.call(ORIGIN, AskJournalOrigin())).cut
            self._audit.floors |= await self._floors(told_of=cut is None)
            self._holds = HoldsAudit(whole=cut is None)
            async with aclosing(self._entries()) as entries:
                after = None if cut is None else _place(head, sequence=cut.size, hash_=cut.hash)
                await self._go_through(head, after, entries, balance)
            await self._tie(head)
            await self._compare_shown(head)
        subject = f"ledger of {self._coop}, {self._audit.sequence:,} entries"
        return Audited(
            verdict=Verdict(
                subject=subject,
                checks=(*self._audit.checks(), *self._holds.checks(), *self._checks),
                anchored=self._genesis is not None,
            ),
            coop=self._coop,
            sequence=self._audit.sequence,
            hash=self._audit.hash,
            totals=self._audit.totals(),
            journal_sequence=self._last.sequence if self._last else 0,
        )

    def _check_home(self, head: JournalHead) -> None:
        self._checks.append(equal("node-asked", expected=self._client.node, actual=head.node))
        if self._genesis is not None:
            charter = self._genesis.charter(self._coop)
            home = "none" if charter is None else charter.home_node
            self._checks.append(equal("home-signed", expected=home, actual=head.node))

    async def _entries(self) -> AsyncGenerator[Entry, None]:
        """Return the ledger's entries as the node shows them: what is wrong the audit shall say."""
        from opkit.wire.ledger import LEDGER_HISTORY, ReadHistory

        after = 0
        while True:
            ask = ReadHistory(coop=self._coop, after=after, entries_max=self._page)
            found = await self._client.call(LEDGER_HISTORY, ask)
            for entry in found.entries:
                yield entry
            if not found.next_after:
                return
            after = found.next_after

    async def _floors(self, *, told_of: bool) -> Floors:
        """Return the floors that the charter set.

        Without a genesis they are what the node says, and so are those that a decision set whose
        event the journal has no more.

        Args:
            told_of: whether the journal still tells of every decision.
        """
        floors = {} if self._genesis is None else _chartered(self._genesis, self._coop)
        if self._genesis is not None and told_of:
            return floors
        async for account in self._ledger.accounts():
            if self._genesis is None or account.decision is not None:
                floors[account.account, account.unit] = account.floor
        return floors

    async def _go_through(
        self,
        head: JournalHead,
        after: Cursor | None,
        entries: AsyncGenerator[Entry, None],
        balance: TrialBalance,
    ) -> None:
        """Go through ledger and journal side by side, from a place up to where a head is."""
        async for event in self._journal(head, after):
            if event.type == AccountConfigured.type:
                await self._configure(AccountConfigured.heard(event.body))
                continue
            if event.type == HoldCreated.type:
                self._holds.created(HoldCreated.heard(event.body))
                continue
            if event.type in _HOLD_ENDS:
                self._holds.ended(_HOLD_ENDS[event.type].heard(event.body))
                continue
            said = EntryPosted.heard(event.body)
            while self._audit.sequence < said.sequence:
                entry = await anext(entries, None)
                if entry is None:
                    self._audit.missing(said.sequence)
                    return
                await self._look_at(entry, balance)
                if entry.sequence == said.sequence:
                    self._audit.announced(said, entry)
                    self._holds.entry(entry)
                elif self._last is not None:
                    self._audit.unannounced(entry.sequence)
            self._last = event
        if self._audit.sequence < balance.sequence:
            self._audit.unannounced(self._audit.sequence + 1)
        if not balance.sequence:
            self._compare(balance)

    async def _journal(
        self, head: JournalHead, after: Cursor | None
    ) -> AsyncGenerator[JournalEntry, None]:
        """Return what the journal says of this ledger, from a place up to a head."""
        async with aclosing(self._client.journal(after)) as pages:
            async for page in pages:
                for event in page.entries:
                    mine = event.type in _OF_LEDGERS
                    if mine and event.sequence <= head.size and event.body["coop"] == self._coop:
                        yield event
                if page.cursor.sequence >= head.size:
                    return

    async def _compare_shown(self, head: JournalHead) -> None:
        """Compare what the node shows of accounts and holds with what the audit made of them.

        What disagrees is told only once it is known that nothing happened to it since.
        """
        unseen, hidden = set(self._audit.balances), self._holds.open_ids()
        odd_accounts: list[AccountView] = []
        async for view in self._ledger.accounts():
            unseen.discard((view.account, view.unit))
            self._audit.shown(view)
            if self._holds.agrees(view):
                self._holds.account(view)
            else:
                odd_accounts.append(view)
        odd_holds: list[Hold] = []
        async for hold in self._open_holds():
            hidden.discard(hold.hold_id)
            if self._holds.knows(hold):
                self._holds.shown(hold)
            else:
                odd_holds.append(hold)
        why_hidden = {hold_id: await self._why_hidden(hold_id) for hold_id in sorted(hidden)}
        balance = await self._ledger.trial_balance()
        await self._hear_later(head)
        for account, unit in sorted(unseen):
            self._audit.not_shown(account, unit)
        for view in odd_accounts:
            self._holds.account(view)
        for hold in odd_holds:
            self._holds.shown(hold)
        for hold_id, why in why_hidden.items():
            self._holds.not_shown(hold_id, why)
        for total in balance.units:
            self._holds.total(total.unit, held=total.held)

    async def _open_holds(self) -> AsyncGenerator[Hold, None]:
        """Return the holds that the node shows as open, whatever is wrong with them."""
        asked = ListHolds(coop=self._coop, state="held", holds_max=HOLDS_PER_PAGE_MAX)
        while True:
            found = await self._client.call(LIST_HOLDS, asked)
            for hold in found.holds:
                yield hold
            if not found.next_before:
                return
            asked = asked.model_copy(update={"before": found.next_before})

    async def _why_hidden(self, hold_id: HoldId) -> str:
        """Return what is wrong with a hold that is not shown as open; nothing if its time is over.

        One whose time is over is shown as lapsed before the node has journalled that it is.
        """
        try:
            hold = await self._client.call(GET_HOLD, GetHold(coop=self._coop, hold_id=hold_id))
        except HoldUnknown:
            return "the node knows no such hold"
        over = hold.state == "lapsed" and hold.lapses_at_ms <= await self._ledger.world_ms()
        return "" if over else f"the node says it is {hold.state}"

    async def _hear_later(self, head: JournalHead) -> None:
        """Hear which holds changed after a head, up to the journal's present end."""
        after = _place(head, sequence=head.size, hash_=head.hash) if head.size else None
        async with aclosing(self._client.journal(after)) as pages:
            async for page in pages:
                for event in page.entries:
                    if event.type not in _OF_HOLDS or event.body["coop"] != self._coop:
                        continue
                    self._holds.later(_OF_HOLDS[event.type].heard(event.body))

    async def _look_at(self, entry: Entry, balance: TrialBalance) -> None:
        self._audit.add(entry)
        if entry.cause is not None and entry.cause.kind == "decision":
            self._audit.decided(entry.sequence, why_not=await self._why_not(entry))
        if entry.corrects is not None:
            self._audit.corrected(entry, await self._corrected(entry.corrects))
        if entry.sequence == balance.sequence:
            self._compare(balance)
        if entry.sequence % TELL_EVERY == 0:
            self.told(entry.sequence)

    async def _configure(self, said: AccountConfigured) -> None:
        """Take a floor that a decision set, or a closing, if there is such a decision."""
        why_not = await self._why_not(said)
        self._audit.decided(self._audit.sequence, why_not=why_not)
        if not why_not:
            self._audit.configured(said)

    async def _why_not(self, said: Entry | AccountConfigured) -> str:
        try:
            await self.decided(said)
        except ProofError as bad:
            return bad.why
        return ""

    async def _corrected(self, named: RecordId) -> Entry | None:
        try:
            return await self._ledger.entry(named)
        except EntryUnknown:
            return None

    def _compare(self, balance: TrialBalance) -> None:
        """Compare the node's own sums with those of its entries."""
        totals = self._audit.totals()
        said = {
            each.unit: (each.accounts, each.positive, each.negative)
            for each in balance.units
            if each.accounts
        }
        made = {
            unit: (each.accounts, each.positive, each.negative) for unit, each in totals.items()
        }
        self._checks.append(equal("trial-balance", expected=made, actual=said))
        self._checks.append(equal("last-hash", expected=self._audit.hash, actual=balance.hash))

    async def _tie(self, head: JournalHead) -> None:
        """Prove that the last entry's announcement is in the journal that the node signed."""
        if self._last is None:
            if self._audit.sequence:
                self._checks.append(_not_tied("the journal has no entry of this ledger any more"))
            return
        asked = AskInclusion(sequence=self._last.sequence, size=head.size)
        shown = await self._client.call(INCLUSION, asked)
        fields = self._last.model_dump(include=set(ProvenEntry.model_fields))
        proven = ProvenEntry(**fields)
        _, included = attempt("tied-to-journal", lambda: check_included(proven, head, shown.path))
        self._checks.append(included)


def _place(head: JournalHead, *, sequence: int, hash_: RecordId) -> Cursor:
    """Return a place in the journal of which this is a head."""
    return Cursor(generation=head.generation, sequence=sequence, hash=hash_)


def _not_tied(why: str) -> Check:
    expected = "the last entry's announcement in the signed journal"
    return Check(name="tied-to-journal", ok=False, expected=expected, actual=why)


def _chartered(genesis: GenesisView, coop: Slug) -> Floors:
    """Return the floors that a coop's charter set."""
    charter = genesis.charter(coop)
    if charter is None:
        return {}
    return {
        (f"{coop}:{floor.account.removeprefix(f'{coop}:')}", floor.unit): floor.floor
        for floor in charter.floors
    }


async def _ask_decision(
    client: NodeClient, genesis: GenesisView | None, said: Entry | AccountConfigured
) -> None:
    """Ask the node for the decision that is cited, and verify that it says exactly this.

    Raises:
        ProofError: there is no such decision, it does not verify, or it decided something else.
    """
    from opkit.client.governance import check_decided

    await check_decided(client, said, genesis=genesis)
