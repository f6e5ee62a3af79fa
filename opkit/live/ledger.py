"""The page of ledgers: whose one viewer looks at, and which entry's reasons are open."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from opkit.live.homes import default_coop, home_of
from opkit.live.ledger_proof import prove_entry
from opkit.live.ledgers import Ledgers, View
from opkit.live.live import Live
from opkit.live.ports import Draw, PageRefused
from opkit.views import ledger
from opkit.views.ledger_figures import ProofFigure
from opkit.wire.ledger import Entry


class LedgerPage:
    """The page of ledgers of one viewer. Satisfies `Page`."""

    name = "ledger"
    title = "Ledger"

    def __init__(self, live: Live) -> None:
        """Begin with the first coop's ledger, and no entry open."""
        self._live = live
        self._ledgers = live.shared(Ledgers, Ledgers)
        self._view = View("")
        self._opened: Entry | None = None
        self._proof: ProofFigure | None = None

    def frame(self) -> str:
        """Return the markup around the cards."""
        return ledger.frame()

    def cards(self) -> Mapping[str, Draw]:
        """Return what draws each card; all of one drawing show one moment.

        What a card shows has often not changed, or was drawn for another viewer before.
        """
        now, view = self._live.network_figures(), self._shown()
        told, homes = self._ledgers.want(view), self._ledgers.homes()
        draws = ledger.cards(
            lambda: now,
            homes=homes,
            coop=view.coop,
            told=told,
            opened=self._opened,
            proof=self._proof,
        )
        made_of = ledger.made_of(now, homes, told, self._opened, self._proof)
        return {name: partial(self._drawn, name, made_of[name], draws[name]) for name in draws}

    def _shown(self) -> View:
        if not self._view.coop:
            self._view = View(default_coop(self._live))
        return self._view

    def _drawn(self, name: str, made_of: object, draw: Draw) -> str:
        opened = self._opened.hash if self._opened else ""
        return self._live.kept.made((self.name, name, self._view, opened), made_of, draw)

    async def act(self, act: str, arguments: Mapping[str, str]) -> None:
        """Choose a ledger or an account, open and close the reasons of an entry, or verify them.

        Raises:
            PageRefused: there is no such act, coop, account or entry, or its home does not answer.
        """
        match act:
            case "coop":
                await self._choose(arguments.get("of", ""))
            case "account":
                await self._filter(arguments.get("of", ""))
            case "open":
                await self._open(arguments.get("entry", ""))
            case "close":
                self._opened = None
            case "verify":
                await self._verify()
            case _:
                raise PageRefused(f"This page knows no {act!r}.")

    async def _choose(self, coop: str) -> None:
        if home_of(self._live, coop) is None:
            raise PageRefused("There is no such coop in this network.")
        self._view, self._opened = View(coop), None
        await self._ledgers.ask(self._view)

    async def _filter(self, account: str) -> None:
        told = self._ledgers.want(self._shown())
        known = {each.account for each in told.accounts} if told else set()
        if account and account not in known:
            raise PageRefused("There is no such account in this ledger.")
        self._view = self._view._replace(account=account)
        await self._ledgers.ask(self._view)

    async def _open(self, entry: str) -> None:
        told = self._ledgers.want(self._shown())
        found = [each for each in told.entries if each.hash == entry] if told else []
        if not found:
            raise PageRefused("This entry is not shown any more: opkit ledger history has it.")
        self._opened = found[0]
        self._live.touch()
        await self._verify()

    async def _verify(self) -> None:
        if self._opened is None:
            raise PageRefused("No entry is open.")
        entry = self._opened
        proof = await prove_entry(self._live, entry, account=self._view.account)
        if self._opened is entry:  # Another one may have been opened meanwhile.
            self._proof = proof
            self._live.touch()
