"""A town whose homes have agreements and names as well, as nodes have them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from nodeimpl.kernel.store import Store
from opkit.wire.base import Slug
from tests.simulation.names import Names
from tests.simulation.pacts import Pacts
from tests.simulation.town import Home, Town, key_of

ROUND_MS = 130_000
"""After so long each home has told each other all heads once more."""


@dataclass(eq=False)
class FullTown(Town):
    """The homes with all that they share.

    Attributes:
        pacts, names: of the homes that run.
    """

    pacts: dict[Slug, Pacts] = field(default_factory=dict)
    names: dict[Slug, Names] = field(default_factory=dict)

    def agreements_of(self, coop: Slug, store: Store) -> Any:
        """Return a home's own agreements."""
        return Pacts(self, coop, store)

    async def furnish(self, home: Home) -> None:
        """Give a home its names; what it countersigned before is on its shelf then."""
        home.names = Names(self, home.coop, home.store)
        await home.names.registry.restore()
        home.handlers.update(home.desk.agreements.handlers)
        home.handlers.update(home.names.handlers)

    def started(self, home: Home) -> None:
        """Have a home and the others find each other."""
        self.pacts[home.coop] = home.desk.agreements
        self.names[home.coop] = home.names
        for other in self.coops:
            if other != home.coop and other in self.homes:
                self.found(home.coop, other)

    async def stop(self, coop: Slug) -> None:
        """Stop a home; the others do not reach it any more."""
        self.pacts.pop(coop, None)
        self.names.pop(coop, None)
        await super().stop(coop)
        for other in self.pacts:
            self.pacts[other].talk.left(key_of(coop).did)

    def part(self, one: Slug, other: Slug) -> None:
        """Cut two homes off from each other."""
        self.cut.add(frozenset((one, other)))
        for here, there in ((one, other), (other, one)):
            if here in self.pacts:
                self.pacts[here].talk.left(key_of(there).did)

    def mend(self, one: Slug, other: Slug) -> None:
        """Let two homes reach each other again."""
        self.cut.discard(frozenset((one, other)))
        self.found(one, other)

    def found(self, one: Slug, other: Slug) -> None:
        """Have two homes tell each other all they have, if they reach each other."""
        for here, there in ((one, other), (other, one)):
            if here in self.names and self.reaches(here, there):
                self.pacts[here].talk.joined(key_of(there).did)
                self.names[here].joined(there)

    async def serve(self, coop: Slug) -> None:
        """Have a home say what it has to, of all that it shares."""
        await self.pacts[coop].pass_due()
        await self.pacts[coop].talk.serve_due()
        await self.names[coop].serve_due()
        await super().serve(coop)

    async def waiting(self) -> int:
        """Return how many homes have something to say to one that runs."""
        sharing = sum(each.talk.waits for each in self.pacts.values())
        return await super().waiting() + sharing + sum(each.waits for each in self.names.values())

    async def hear_all(self) -> None:
        """Let everybody be believed again who was not, and everybody tell all once more."""
        banned = [at for each in self.pacts.values() for at in each.links.banned.values()]
        self.clock.advance(max([ROUND_MS, *(at - self.clock.now_ms() for at in banned)]))
        await self.come_to_rest()
