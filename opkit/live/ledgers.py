"""The ledgers of all coops as their home nodes tell of them, asked while somebody looks.

Nothing of it is believed: what does not add up here is shown as wrong, whatever the node says.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import Final, NamedTuple

from opkit.live.asking import SILENT, Asking
from opkit.live.homes import Home, home_of, homes_of
from opkit.live.ledger_checks import wrong_entries, wrong_sums
from opkit.live.live import Live
from opkit.views.ledger_figures import HomeFigure, LedgerFigures
from opkit.wire.holds import LIST_HOLDS, ListHolds
from opkit.wire.ledger import (
    LEDGER_ACCOUNTS,
    LEDGER_HISTORY,
    LEDGER_TRIAL_BALANCE,
    AskTrialBalance,
    Entry,
    HistoryPage,
    ListAccounts,
    ReadHistory,
    TrialBalance,
)

ENTRIES_MAX: Final = 50
"""How many entries of a ledger are shown: the newest."""

ACCOUNTS_MAX: Final = 500
HOLDS_MAX: Final = 50

PAGES_MAX: Final = 8
"""After so many pages of entries that did not fit the chosen account no more are asked for."""

VIEWS_MAX: Final = 16
"""How many views of all viewers together are kept up to date."""


class View(NamedTuple):
    """What one viewer looks at: whose ledger, and the entries of which account (empty: of all)."""

    coop: str
    account: str = ""


class Ledgers(Asking):
    """All ledgers. Satisfies `Runs`: one for all pages of a `Live`."""

    domain = "ledger"

    def __init__(self, live: Live) -> None:
        """Know nothing yet."""
        super().__init__(live)
        self._figures: dict[View, LedgerFigures] = {}
        self._asked_at: dict[View, float] = {}
        self._totals: dict[str, TrialBalance | str] = {}

    def homes(self) -> tuple[HomeFigure, ...]:
        """Return the coops there are, each with whether its books add up."""
        return tuple(self._home(home) for home in homes_of(self._live))

    def want(self, view: View) -> LedgerFigures | None:
        """Return what is known of a ledger, and have it kept up to date for a while."""
        self._want()
        self._asked_at[view] = time.monotonic()
        while len(self._asked_at) > VIEWS_MAX:
            oldest = min(self._asked_at, key=lambda each: self._asked_at[each])
            del self._asked_at[oldest]
            self._figures.pop(oldest, None)
        return self._figures.get(view)

    async def look(self) -> None:
        """Ask every home for its sums, and for all of the ledgers that somebody looks at."""
        homes = homes_of(self._live)
        before = dict(self._totals)
        await asyncio.gather(*(self._ask_total(home) for home in homes))
        views = [view for view, at in self._asked_at.items() if self._is_wanted(at)]
        changed = [await self._ask(view) for view in views]
        if any(changed) or self._totals != before:
            self._live.touch_soon()

    async def ask(self, view: View) -> None:
        """Ask for one ledger at once."""
        self.want(view)
        home = home_of(self._live, view.coop)
        if home is not None:
            await self._ask_total(home)
            await self._ask(view)
            self._live.touch()

    def _home(self, home: Home) -> HomeFigure:
        figure = HomeFigure(coop=home.coop, title=home.title, org=home.org)
        total = self._totals.get(home.coop)
        if total is None:
            return figure
        if isinstance(total, str):
            return replace(figure, state="silent", words="does not answer")
        found = any(told.wrong for view, told in self._figures.items() if view.coop == home.coop)
        if found or any(each.sum for each in total.units):
            return replace(figure, state="wrong", words="does not add up")
        many = "entry" if total.sequence == 1 else "entries"
        return replace(figure, state="sound", words=f"{total.sequence:,} {many}")

    async def _ask_total(self, home: Home) -> None:
        try:
            ask = AskTrialBalance(coop=home.coop)
            self._totals[home.coop] = await self._live.call(home.org, LEDGER_TRIAL_BALANCE, ask)
        except SILENT as no:
            self._totals[home.coop] = f"{home.title} does not answer: {no}"

    async def _ask(self, view: View) -> bool:
        """Ask for one ledger; return whether it is another one than before."""
        before = self._figures.get(view, LedgerFigures(coop=view.coop, account=view.account))
        home, total = home_of(self._live, view.coop), self._totals.get(view.coop)
        if home is None or total is None:
            return False
        if isinstance(total, str):
            return self._keep(view, replace(before, trouble=total))
        try:
            told = await self._told(home, view, total)
        except SILENT as no:
            return self._keep(view, replace(before, trouble=f"{home.title} does not answer: {no}"))
        return self._keep(view, told)

    def _keep(self, view: View, told: LedgerFigures) -> bool:
        before = self._figures.get(view)
        # When a node answered last is told only of one that does not answer any more.
        if told.trouble and before is not None and not before.trouble:
            told = replace(told, since_ms=self._live.now_ms())
        if told == before or view not in self._asked_at:
            return False
        self._figures[view] = told
        return True

    async def _told(self, home: Home, view: View, total: TrialBalance) -> LedgerFigures:
        call, coop = self._live.call, view.coop
        listing = ListAccounts(coop=coop, accounts_max=ACCOUNTS_MAX)
        accounts = await call(home.org, LEDGER_ACCOUNTS, listing)
        holding = ListHolds(coop=coop, state="held", holds_max=HOLDS_MAX)
        holds = await call(home.org, LIST_HOLDS, holding)
        entries, last = await self._entries(home, view)
        # What is told of sums and accounts is of one moment only if nothing was posted meanwhile.
        same = last.sequence == total.sequence and last.hash == total.hash
        wrong = wrong_sums(
            total, accounts.accounts, is_whole=same and not accounts.next_after
        ) + await asyncio.to_thread(
            wrong_entries,
            entries,
            network=self._live.source.network,
            coop=coop,
            is_chain=not view.account,
        )
        return LedgerFigures(
            coop=coop,
            total=total,
            accounts=accounts.accounts,
            more_accounts=bool(accounts.next_after),
            account=view.account,
            entries=entries,
            more_entries=bool(last.next_after),
            holds=holds.holds,
            more_holds=bool(holds.next_before),
            wrong=tuple(wrong),
        )

    async def _entries(self, home: Home, view: View) -> tuple[tuple[Entry, ...], HistoryPage]:
        """Return the newest entries, and the last page that they came on."""
        found: list[Entry] = []
        after = 0
        for _ in range(PAGES_MAX):
            ask = ReadHistory(
                coop=view.coop,
                after=after,
                entries_max=ENTRIES_MAX,
                newest_first=True,
                account=view.account,
            )
            page = await self._live.call(home.org, LEDGER_HISTORY, ask)
            found += page.entries
            after = page.next_after
            if not after or len(found) >= ENTRIES_MAX:
                break
        return tuple(found[:ENTRIES_MAX]), page
