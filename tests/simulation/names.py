"""A home's names as a node has them, and a post that carries records from shelf to shelf.

Claims go to the home of the name's coop, records to everybody: by a message to each that the
weather may lose, and all of them once more whenever two homes find each other again. How a large
network spreads records is the simulation of the overlay's to show.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from nodeimpl.kernel.store import Store, Tx
from nodeimpl.naming.index import Index
from nodeimpl.naming.registry import Registry
from nodeimpl.naming.rules import Limits
from nodeimpl.naming.service import Asked, Naming
from nodeimpl.naming.watch import Watch
from nodeimpl.overlay.shelf import Kept, Shelf
from opkit.proof.membership import founding_member
from opkit.proof.names import home_of
from opkit.proof.record import Verifier
from opkit.wire import names as wire
from opkit.wire.base import Did, Jws, MemberId, Slug
from opkit.wire.dht import PUT, PutRecord, RecordTaken
from opkit.wire.errors import CoopError, Refusal
from opkit.wire.membership import Member
from opkit.wire.records import Carried, RecordOutdated
from tests.simulation.town import GENESIS, NETWORK, Between, Town, key_of

DEADLINE_MS = 2_000


class Founders:
    """The members by genesis; there are no others here."""

    def member(self, tx: Tx, member_id: MemberId) -> Member | None:
        return founding_member(member_id, genesis=GENESIS)

    def records(self, tx: Tx, member_id: MemberId) -> tuple[Jws, ...]:
        return ()


class DueWatch(Watch):
    """Sees to what is due when it is served, and not by itself."""

    async def serve_due(self) -> None:
        await self._do_what_is_due()


class Names:
    """The names of one home, from its start to its stop; the shelf is not kept beyond it.

    Attributes:
        handlers: what peers ask, by method.
        due: which records others are to be told.
    """

    def __init__(self, town: Town, coop: Slug, store: Store) -> None:
        self.coop = coop
        self.store = store
        self.due: dict[Slug, dict[wire.NameText, None]] = {}
        self._town = town
        self._between = Between(town, coop)
        did = key_of(coop).did
        self.shelf = Shelf(Verifier(GENESIS))
        self.index = Index(self.standing)
        self.registry = Registry(
            key_of(coop), network=NETWORK, store=store, members=Founders(), shelf=self
        )
        self.watch = DueWatch(
            did,
            genesis=GENESIS,
            store=store,
            clock=town.clock,
            shelf=self,
            index=self.index,
            registry=self.registry,
            limits=Limits(),
        )
        self.naming = Naming(
            own=did,
            genesis=GENESIS,
            store=store,
            clock=town.clock,
            members=Founders(),
            shelf=self,
            homes=self,
            index=self.index,
            registry=self.registry,
            limits=Limits(),
        )
        self.shelf.on_kept.append(self._kept)
        self.shelf.on_changed.append(lambda _, name, __: self.watch.changed(name))
        self.shelf.on_compared["name"] = self.watch.compared
        self.handlers: dict[str, Callable[[Did, Any], Awaitable[Any]]] = {
            wire.CLAIM_NAME.name: self.naming.claim,
            PUT.name: self.put,
        }

    # What naming asks of a node.

    def standing(self, name: wire.NameText) -> Carried | None:
        home = home_of(name, genesis=GENESIS)
        return None if home is None else self.shelf.standing("name", name, home)

    async def recall(self, name: wire.NameText) -> None:
        """Ask nobody: no home's tables are put back from an old copy here."""

    def keep(self, carried: Carried) -> None:
        with suppress(Refusal):
            self.shelf.offer(carried, self._town.clock.now_ms())

    async def ask(self, home: Did, ask: wire.PassClaim) -> wire.NameHeld:
        return await self._between.ask(home, wire.CLAIM_NAME, ask, deadline_ms=DEADLINE_MS)

    # What goes from shelf to shelf.

    def _kept(self, kept: Kept) -> None:
        for other in self._town.coops:
            if other != self.coop:
                self.due.setdefault(other, {})[kept.name] = None

    def joined(self, other: Slug) -> None:
        """Have another home told of all that is here."""
        self.due.setdefault(other, {}).update(dict.fromkeys(self.shelf.names("name")))

    async def put(self, peer: Did, ask: PutRecord) -> RecordTaken:
        """Keep a record that somebody hands on, unless it is to be refused."""
        self.shelf.offer(ask.record, self._town.clock.now_ms())
        return RecordTaken(new=True)

    async def serve_due(self) -> None:
        """Tell others of records, and let lapse what is due; what fails is told another time."""
        self.shelf.tick(self._town.clock.now_ms())
        await self.watch.serve_due()
        for other in self._reached():
            for name in list(self.due[other]):
                carried = self.standing(name)
                if carried is None or await self._told(other, carried):
                    self.due[other].pop(name, None)

    async def _told(self, other: Slug, carried: Carried) -> bool:
        ask = PutRecord(record=carried)
        try:
            await self._between.ask(key_of(other).did, PUT, ask, deadline_ms=DEADLINE_MS)
        except RecordOutdated:
            return True
        except Refusal as no:
            raise AssertionError(f"{other} refused what {self.coop} keeps: {no!r}") from no
        except CoopError:
            return False
        return True

    def _reached(self) -> list[Slug]:
        return [each for each in self.due if self._town.reaches(self.coop, each)]

    @property
    def waits(self) -> bool:
        """Whether there is something to say to one that can be reached."""
        return any(self.due[other] for other in self._reached())

    # What members do.

    async def claim(self, claim: Jws) -> wire.NameHeld:
        """Hand in a claim at this home, whosever the name is."""
        ask = wire.RegisterName(claim=claim)
        asked: Asked | wire.NameHeld = await self.naming.hand_in(ask, None)
        return await self.store.write(lambda tx: self.naming.register(tx, ask, None, asked))

    async def look_up(self, name: wire.NameText) -> wire.NameHeld | None:
        """Return who holds a name, as this home answers; None if nobody does."""
        try:
            return await self.naming.look_up(wire.LookUpName(name=name), None)
        except wire.NameUnknown:
            return None

    def records(self) -> dict[wire.NameText, tuple[Jws, ...]]:
        """Return all that is on the shelf."""
        return {
            name: tuple(each.jws for each in self.shelf.get("name", name))
            for name in self.shelf.names("name")
        }
