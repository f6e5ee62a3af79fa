"""A home's agreements as a node has them: decided, shared with their keepers, and believed.

What spreads them is the node's own, too; only when it speaks is the town's to say, so that one seed
is one order of all that is said.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Any

from nodeimpl.agreeing import join_agreements
from nodeimpl.kernel.store import Store, Tx
from nodeimpl.kernel.timers import Timers
from nodeimpl.sharing.replicating import Replicator
from nodeimpl.sharing.service import Sharing
from opkit.proof.governance import charter_rule
from opkit.proof.terms import agreement_id
from opkit.wire import agreements as wire
from opkit.wire import objects
from opkit.wire.agreements import SignedBy
from opkit.wire.base import Did, RecordId, Slug, TimeMs
from opkit.wire.endpoint import Answer, Ask
from opkit.wire.errors import CoopError
from opkit.wire.peer import PeerMethod
from opkit.wire.terms import Action, AgreementEffect, Terms
from opkit.wire.votes import EXECUTE_WITHIN_MS
from tests.opkit.proof.pacts import signed_by
from tests.simulation.town import GENESIS, NETWORK, Between, Town, key_of

DEADLINE_MS = 2_000


def decided_by(
    coop: Slug, terms: Terms, action: Action = "adopt", *, at_ms: TimeMs, **changes: Any
) -> SignedBy:
    """Return what a coop's home signs of a decision that was accepted a moment ago.

    Args:
        changes: what is otherwise than it would be (`tests.opkit.proof.pacts.signed_by`).
    """
    charter = GENESIS.charter(coop)
    assert charter is not None, coop
    ends_ms = at_ms - 1
    closed_ms = ends_ms - charter.challenge_window_ms
    decision = {
        "did": charter.home_node,
        "rule": charter_rule(charter),
        "opened_ms": closed_ms - charter.voting_period_ms,
        "closes_ms": closed_ms,
        "closed_ms": closed_ms,
        "challenge_ends_ms": ends_ms,
        "executable_until_ms": ends_ms + EXECUTE_WITHIN_MS,
    }
    decision.update(changes.pop("decision", {}))
    home = changes.pop("home", key_of(coop))
    return signed_by(coop, terms, action, at_ms=at_ms, home=home, decision=decision, **changes)


class Links:
    """A home's connections, as far as shared objects go over them.

    Attributes:
        banned: of whom nothing is taken, and until when.
    """

    def __init__(self, town: Town, own: Slug) -> None:
        self.banned: dict[Did, TimeMs] = {}
        self._town = town
        self._own = own
        self._between = Between(town, own)

    def connected(self) -> tuple[Did, ...]:
        """Return who can be reached, in one order, and is not banned."""
        now_ms = self._town.clock.now_ms()
        return tuple(
            key_of(coop).did
            for coop in self._town.coops
            if coop != self._own
            and self._town.reaches(self._own, coop)
            and self.banned.get(key_of(coop).did, 0) <= now_ms
        )

    async def ask(self, peer: Did, method: PeerMethod[Ask, Answer], ask: Ask) -> Answer:
        """Ask another home, as the weather lets it."""
        return await self._between.ask(peer, method, ask, deadline_ms=DEADLINE_MS)

    def ban(self, peer: Did, *, why: str, ms: int) -> None:
        """Take nothing of a peer for so long."""
        self.banned[peer] = self._town.clock.now_ms() + ms


class Talk(Replicator):
    """A home's traffic about what it shares: one thing after the other, and only when served."""

    def __init__(self, sharing: Sharing, *, store: Store, links: Links, town: Town) -> None:
        super().__init__(sharing, store=store, links=links, clock=town.clock)
        self._round_at_ms = 0

    async def serve_due(self) -> None:
        """Tell who is to be told, and pull what is lacking; what fails is tried another time."""
        now_ms = self._clock.now_ms()
        if now_ms >= self._round_at_ms:
            self._round_at_ms = now_ms + self._limits.round_ms
            for peer in self._links.connected():
                self.joined(peer)
        for peer in self._links.connected():
            if peer in self._tell:
                try:
                    await self._tell_heads(peer, self._tell.pop(peer))
                except CoopError:
                    self.joined(peer)
        for peer in self._links.connected():
            while lacking := self._pulls.pop(peer, None):
                for each in lacking:
                    await self._try(peer, each)

    async def _try(self, peer: Did, object_id: str) -> None:
        try:
            await self._pull(peer, object_id)
        except CoopError:
            self.counts["pulls that failed"] += 1

    @property
    def waits(self) -> bool:
        """Whether there is something to say to one that can be reached."""
        return any(each in self._tell or each in self._pulls for each in self._links.connected())


class Pacts:
    """The agreements of one home, from its start to its stop.

    Attributes:
        handlers: what peers ask, by method.
        touched: whether something of what is shared is new since somebody looked.
    """

    def __init__(self, town: Town, coop: Slug, store: Store) -> None:
        self.coop = coop
        self.store = store
        self.touched = True
        self.timers = Timers(store=store, clock=town.clock)
        self.links = Links(town, coop)
        self.sharing = Sharing(key_of(coop), network=NETWORK)
        self.agreements = join_agreements(key_of(coop), GENESIS, self.sharing, timers=self.timers)
        self.talk = Talk(self.sharing, store=store, links=self.links, town=town)
        self.sharing.when_touched.append(self._touched)
        self.handlers: dict[str, Callable[[Did, Any], Awaitable[Any]]] = {
            objects.TELL_HEADS.name: self.talk.heard,
            objects.LACKING.name: self.talk.lacking,
            objects.GIVE.name: self.talk.give,
        }

    # What clearing asks.

    def active(self, tx: Tx, agreement: str, now_world_ms: TimeMs) -> Terms:
        return self.agreements.active(tx, agreement, now_world_ms)

    def terms(self, tx: Tx, agreement: str) -> Terms:
        return self.agreements.show(tx, wire.ReadAgreement(agreement=agreement), None).terms

    # What happens at the home.

    async def decide(self, terms: Terms, action: Action, signed: SignedBy) -> RecordId:
        """Have the home sign what its coop decided, as governance does when it executes."""
        name = agreement_id(terms)
        said = terms if action == "adopt" else None
        effect = AgreementEffect(action=action, agreement=name, terms=said)
        return await self.store.write(
            lambda tx: self.agreements.decided(
                tx, effect, coop=self.coop, decision=signed.decision, attested=signed.attested
            )
        )

    async def bring(self, file: bytes) -> wire.AgreementView:
        """Hand in a file, as somebody may who has one."""
        ask = wire.BringAgreement(file=file)
        proven = await self.agreements.prove(ask, None)
        return await self.store.write(lambda tx: self.agreements.bring(tx, ask, None, proven))

    async def pass_due(self) -> None:
        """Do what is due."""
        await self.store.write(self.timers.catch_up)

    # What is so.

    async def files(self) -> dict[RecordId, tuple[wire.AgreementView, bytes]]:
        """Return every agreement that is here, as it stands, with its file."""

        def read(tx: Tx) -> dict[RecordId, tuple[wire.AgreementView, bytes]]:
            ask = wire.ListAgreements(agreements_max=wire.AGREEMENTS_PER_PAGE_MAX)
            page = self.agreements.list(tx, ask, None)
            assert not page.next_before, "a story has fewer agreements than a page"
            return {
                each.agreement: (each, self._file(tx, each.agreement)) for each in page.agreements
            }

        return await self.store.read(read)

    async def in_force(self, names: Iterable[RecordId]) -> set[RecordId]:
        """Return which agreements an exchange could be made under now."""

        def read(tx: Tx) -> set[RecordId]:
            found = set()
            for name in names:
                with suppress(wire.AgreementInactive):
                    self.active(tx, name, tx.world_ms)
                    found.add(name)
            return found

        return await self.store.read(read)

    def _touched(self, object_id: str) -> None:
        self.touched = True

    def _file(self, tx: Tx, agreement: RecordId) -> bytes:
        return self.agreements.file(tx, wire.ReadAgreementFile(agreement=agreement), None).file


def amended(terms: Terms, title: str) -> Terms:
    """Return terms that take the place of others."""
    said = terms.model_copy(update={"title": title, "amends": agreement_id(terms)})
    return Terms.model_validate(said.model_dump())
