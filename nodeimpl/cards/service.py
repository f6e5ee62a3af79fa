"""Agent cards on one node: looked for, checked, remembered for a moment, published for agents.

What is found is read anew here, whoever brought it: a record by its owner's signature, a card by
its agent's, a large card also by the name under which it was fetched. Source: ADR 0036.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import structlog

from nodeimpl.cards import rules
from nodeimpl.kernel.binding import Caller
from nodeimpl.kernel.clock import Clock
from nodeimpl.kernel.store import Tx
from nodeimpl.overlay.search import Outcome
from opkit.proof.cards import CardView, match_card, read_card, read_card_bytes
from opkit.proof.checks import ProofError
from opkit.proof.record import Record, is_lapsed
from opkit.wire import cards as wire
from opkit.wire.agents import CardValue
from opkit.wire.base import Cid, Did, NetworkId
from opkit.wire.compute import BlobUnknown
from opkit.wire.errors import Refusal
from opkit.wire.records import Carried, SignedRecordRejected

_log = structlog.get_logger("cards")


class Overlay(Protocol):
    """What this domain asks of the network around the node."""

    async def find(self, did: Did) -> Outcome:
        """Find what stands under an agent's name. Refuses: LookupsFull."""

    async def spread(self, carried: Carried) -> Outcome:
        """Have a record kept here, committed, and by the nearest nodes.

        Refuses, in this order: RecordOutdated, RecordsExhausted, LookupsFull.
        """

    def read(self, carried: Carried) -> Record:
        """Return a record that verifies. Raises `SignedRecordRejected`."""

    def check(self, carried: Carried) -> Record:
        """Return a record that its namespace takes now.

        Refuses, in this order: SignedRecordRejected, RecordNotOwners, RecordLapsed.
        """

    def standing(self, did: Did) -> Carried | None:
        """Return what stands here under an agent's name."""


class Blobs(Protocol):
    """What this domain asks of the blob store, and of whoever else keeps blobs."""

    async def put(self, data: bytes, cid: Cid) -> None:
        """Keep bytes, and say so in the network. Refuses: StorageFull."""

    async def get(self, cid: Cid, size_bytes: int) -> bytes:
        """Return bytes that are here or that somebody gives. Refuses: BlobUnknown, …."""

    def touch(self, cid: Cid) -> None:
        """Keep bytes from being collected for a while."""


@dataclass(frozen=True, slots=True)
class _Cached:
    """A card as it was resolved, and until when it is believed."""

    answer: wire.ResolvedCard
    until_ms: int
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """What became of a record that was published."""

    record: Record
    cid: Cid | None
    holders: int


class Cards:
    """The cards domain; `resolve` is also for what is built on it in this process."""

    def __init__(
        self,
        *,
        network: NetworkId,
        overlay: Overlay,
        blobs: Blobs,
        clock: Clock,
        limits: rules.Limits | None = None,
    ) -> None:
        """Remember no card yet."""
        self._network = network
        self._overlay = overlay
        self._blobs = blobs
        self._clock = clock
        self._limits = limits or rules.Limits()
        self._cached: dict[Did, _Cached] = {}
        self._cached_bytes = 0
        self._large: dict[Did, Cid] = {}

    async def run(self) -> None:
        """Keep large cards that were published here from being collected, until cancelled."""
        while True:
            await self._clock.sleep(self._limits.touched_ms)
            self._touch()

    async def resolve(self, did: Did) -> wire.ResolvedCard:
        """Return the card of an agent, wherever it is kept: it and its record verify.

        Refuses:
            LookupsFull: as many searches wait as may.
            CardUnknown, CardRevoked: nobody knows one, or the agent took it back.
            CardUnfetched: it is a large one, and nobody gave it.
            CardRejected: the agent's record names something that is not its card.
        """
        known = self._known(did)
        if known is not None:
            return known
        found = await self._overlay.find(did)
        now_ms = self._clock.now_ms()
        records = [(self._overlay.read(one), one) for one in found.records]
        live = [
            (record, carried)
            for record, carried in records
            if record.body.owner == did and not is_lapsed(record.body, now_ms=now_ms)
        ]
        if not live:
            raise wire.CardUnknown(did=did)
        record, carried = live[0]
        body = record.body
        if body.value is None:
            raise wire.CardRevoked(did=did, revoked_at_ms=body.issued_at_ms)
        view = await self._view(record)
        answer = wire.ResolvedCard(
            did=did,
            cid=view.cid,
            sequence=body.sequence,
            card_sequence=view.agent.sequence,
            lapses_at_ms=body.lapses_at_ms,
            card=view.card,
            record=carried,
            cached=False,
            hops=found.hops,
        )
        self._remember(answer, view.size_bytes)
        return answer

    async def look_up(self, ask: wire.AskCard, caller: Caller | None) -> wire.ResolvedCard:
        """Answer a member who asks for a card; refuses as `resolve`."""
        return await self.resolve(ask.did)

    def told(self, did: Did) -> None:
        """Learn that another record of an agent came here: what was remembered is forgotten."""
        self._forget(did)

    async def spread(self, ask: wire.PublishCard, caller: Caller | None) -> Spread:
        """Have a card found in the network, or taken back. Refuses: as `PUBLISH_CARD` says."""
        record = self._overlay.check(ask.carried)
        body = record.body
        if body.aud != "card":
            raise SignedRecordRejected(why=f"it is a record of {body.aud!r}, not of 'card'")
        cid = None
        if body.value is None:
            if ask.card is not None:
                raise wire.CardRejected(why="what takes a card back brings none")
            self._large.pop(body.owner, None)
        else:
            cid = await self._take(record, ask)
        said = await self._overlay.spread(ask.carried)
        self._forget(body.owner)
        return Spread(record=record, cid=cid, holders=said.kept)

    def publish(
        self, tx: Tx, ask: wire.PublishCard, caller: Caller | None, said: Spread
    ) -> wire.PublishedCard:
        """Journal that a card was published or taken back here."""
        body, cid = said.record.body, said.cid
        if cid is None:
            tx.announce(wire.CardTakenBack(did=body.owner, sequence=body.sequence))
        else:
            tx.announce(wire.CardPublished(did=body.owner, cid=cid, sequence=body.sequence))
        return wire.PublishedCard(
            did=body.owner,
            cid=cid,
            sequence=body.sequence,
            lapses_at_ms=body.lapses_at_ms,
            holders=said.holders,
        )

    # Cards that are brought.

    async def _take(self, record: Record, ask: wire.PublishCard) -> Cid:
        """Check a card that a record names, keep it if it is large, and return its name."""
        body = record.body
        value = CardValue.model_validate(body.value)
        if ask.card is not None:
            new = rules.read_brought(body, value, ask.card, network=self._network)
        else:
            try:
                new = await self._view(record)
            except wire.CardUnfetched as gone:
                raise wire.CardRejected(why="the card that the record names is missing") from gone
        rules.judge_update(await self._stands(body.owner), new)
        if value.card is None:
            await self._blobs.put(rules.bytes_of(new), new.cid)
            self._large[body.owner] = new.cid
        else:
            self._large.pop(body.owner, None)
        return new.cid

    async def _stands(self, did: Did) -> CardView | None:
        """Return the card that stands here, if one does that can be read."""
        carried = self._overlay.standing(did)
        if carried is None:
            return None
        record = self._overlay.read(carried)
        if record.body.value is None:
            return None
        try:
            return await self._view(record)
        except (wire.CardUnfetched, wire.CardRejected) as no:
            # What nobody can read keeps no agent from saying more.
            _log.info("a card that stands here cannot be read", did=did, why=str(no))
            return None

    async def _view(self, record: Record) -> CardView:
        """Return the card that a record leads to, checked. Refuses: CardUnfetched, CardRejected."""
        body = record.body
        value = CardValue.model_validate(body.value)
        try:
            if value.card is not None:
                view = read_card(value.card, did=body.owner, network=self._network)
            else:
                data = await self._fetch(body.owner, value)
                view = read_card_bytes(data, did=body.owner, network=self._network)
            match_card(body, value, view)
        except ProofError as bad:
            raise wire.CardRejected(why=bad.why) from bad
        return view

    async def _fetch(self, did: Did, value: CardValue) -> bytes:
        try:
            return await self._blobs.get(value.cid, value.size_bytes)
        except BlobUnknown as gone:
            raise wire.CardUnfetched(did=did, cid=value.cid) from gone
        except Refusal as no:
            _log.warning("a card could not be kept here", did=did, cid=value.cid, why=str(no))
            raise wire.CardUnfetched(did=did, cid=value.cid) from no

    def _touch(self) -> None:
        now_ms = self._clock.now_ms()
        for did, cid in list(self._large.items()):
            carried = self._overlay.standing(did)
            if carried is None or is_lapsed(self._overlay.read(carried).body, now_ms=now_ms):
                del self._large[did]
            else:
                self._blobs.touch(cid)

    # What is remembered.

    def _known(self, did: Did) -> wire.ResolvedCard | None:
        kept = self._cached.get(did)
        if kept is None:
            return None
        now_ms = self._clock.now_ms()
        # A clock that went back keeps nothing for longer than a card is believed.
        if not now_ms < kept.until_ms <= now_ms + self._limits.cached_ms:
            self._forget(did)
            return None
        return kept.answer

    def _remember(self, answer: wire.ResolvedCard, size_bytes: int) -> None:
        self._forget(answer.did)
        until_ms = min(self._clock.now_ms() + self._limits.cached_ms, answer.lapses_at_ms)
        shown = answer.model_copy(update={"cached": True, "hops": 0})
        self._cached[answer.did] = _Cached(shown, until_ms, size_bytes)
        self._cached_bytes += size_bytes
        limits = self._limits
        while len(self._cached) > limits.cached_max or self._cached_bytes > limits.cached_bytes_max:
            self._forget(next(iter(self._cached)))

    def _forget(self, did: Did) -> None:
        kept = self._cached.pop(did, None)
        if kept is not None:
            self._cached_bytes -= kept.size_bytes
