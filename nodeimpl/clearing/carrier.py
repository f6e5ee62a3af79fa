"""Carries what sides have to say to each other: at once, and again until it was heard.

Every message follows from what is journalled, and is repeated from there: a node that crashed, or
could not be reached for a month, goes on where it was. A silent node costs the others nothing: each
has its own turn, and its own patience. Source: ADR 0046.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

import structlog

from nodeimpl.clearing import outbox_store as outbox
from nodeimpl.clearing import store as tables
from nodeimpl.clearing.desk import LAPSED, Desk
from nodeimpl.clearing.outbox_store import Errand
from nodeimpl.clearing.ports import Nodes
from nodeimpl.clearing.store import Kept
from nodeimpl.kernel.clock import Clock
from nodeimpl.kernel.errors import StoreError
from nodeimpl.kernel.ids import incident_id
from nodeimpl.kernel.store import Store, Tx
from nodeimpl.p2p.deadline import set_or_passed
from opkit.proof.checks import ProofError
from opkit.proof.clearing import read_acceptance, read_evidence
from opkit.wire import clearing as wire
from opkit.wire.base import Did, RecordId, Slug, TimeMs
from opkit.wire.errors import Busy, Fault, Refusal, Unreachable
from opkit.wire.gateway import StoreBusy

IDLE_MS = 30_000
"""How long nothing is looked at if nothing is to be said."""

FINAL = tuple(each for each in wire.OFFER_EXCHANGE.refuses if each is not StoreBusy)
"""By what a party says no for good."""

TOLD: tuple[type[Refusal], ...] = (wire.ExchangeConflict, *wire.JUDGED_REFUSALS)
"""What of that its proposer's own member is told; anything else stands in `why`."""

_log = structlog.get_logger("clearing")


class Silent(Exception):
    """A node did not answer, or not as it should: it is asked again later."""

    def __init__(self, why: str, *, until_ms: TimeMs = 0) -> None:
        """Say why; `until_ms` is when it said that it may be asked again."""
        super().__init__(why)
        self.until_ms = until_ms


class Carrier:
    """Says to others what the desk journalled; what runs by itself is `run`."""

    def __init__(self, desk: Desk, *, store: Store, clock: Clock, nodes: Nodes) -> None:
        """Keep the parts."""
        self._desk = desk
        self._store = store
        self._clock = clock
        self._nodes = nodes
        self._limits = desk.limits
        self._wake = desk.due
        self._busy: set[str] = set()
        self._quiet: dict[str, tuple[int, TimeMs]] = {}
        self._linked: set[Did] = set()
        self._do: dict[str, Callable[[Errand], Awaitable[None]]] = {
            "offer": self._offer_again,
            "lapse": self._lapse,
            "tell": self._tell,
            "ask": self._ask,
            "plead": self._plead,
            "post": self._post,
        }

    def joined(self, node: Did) -> None:
        """Take note that a node is connected: what it did not hear is said to it at once."""
        self._linked.add(node)
        self._wake.set()

    async def conclude(self, kept: Kept) -> Kept:
        """Return an own exchange after trying once to bring it to its end, and to tell of that.

        Refuses:
            (any of `TOLD`): a party said no, and nothing comes of it.
        """
        refused: list[Refusal] = []
        if kept.side.ending is None and self._clock.now_ms() < kept.offer.expires_ms:
            asked = [self._offer(kept, party) for party in sorted(kept.side.awaited)]
            for done in await asyncio.gather(*asked, return_exceptions=True):
                if isinstance(done, Refusal):
                    refused.append(done)
                elif done is not None and not isinstance(done, Silent):
                    raise done
        kept = await self._read(kept.coop, kept.exchange)
        told = [self._tell_one(kept, party) for party in sorted(kept.side.untold)]
        for said in await asyncio.gather(*told, return_exceptions=True):
            if said is not None and not isinstance(said, Silent):
                raise said
        self._wake.set()
        for no in refused:
            if isinstance(no, TOLD):
                raise no
        return await self._read(kept.coop, kept.exchange)

    async def run(self) -> None:
        """Say what is due, to whoever is there, until cancelled.

        Raises:
            StoreFailed: the store broke.
        """
        async with asyncio.TaskGroup() as group:
            while True:
                self._wake.clear()
                wait_ms = await self._begin_due(group)
                await set_or_passed(self._wake, clock=self._clock, ms=wait_ms)

    async def serve_due(self) -> None:
        """Say all that is due now, to one node after another, and return.

        For whoever has nothing run by itself: it is what `run` does, without the waiting.
        """
        await self._hasten()
        for node, due_ms in await self._store.read(outbox.nodes):
            at_ms = max(due_ms, self._quiet.get(node, (0, 0))[1])
            if at_ms <= self._clock.now_ms():
                await self._serve(node)

    async def _begin_due(self, group: asyncio.TaskGroup) -> int:
        """Begin on each node to which something is due; return how long nothing else will be."""
        try:
            await self._hasten()
            waiting = await self._store.read(outbox.nodes)
        except Busy as busy:
            _log.info("what is to be said waits for the store", node="", why=str(busy))
            return self._limits.retry_ms_min
        now_ms, next_ms = self._clock.now_ms(), self._clock.now_ms() + IDLE_MS
        for node, due_ms in waiting:
            at_ms = max(due_ms, self._quiet.get(node, (0, 0))[1])
            if node in self._busy:
                continue
            if at_ms <= now_ms:
                self._busy.add(node)
                group.create_task(self._serve(node))
            else:
                next_ms = min(next_ms, at_ms)
        return max(1, next_ms - now_ms)

    async def _hasten(self) -> None:
        """Forget that nodes were silent that are connected now."""
        linked, self._linked = self._linked, set()
        for node in linked:
            self._quiet.pop(node, None)

        def hasten(tx: Tx) -> None:
            for node in linked:
                outbox.hasten(tx, node, now_ms=tx.now_ms)

        if linked:
            await self._store.write(hasten)

    async def _serve(self, node: Did) -> None:
        """Do all that is due to one node, until it is silent or nothing is left."""
        try:
            while await self._serve_some(node):
                pass
        except Busy as busy:
            _log.info("what is to be said waits for the store", node=node, why=str(busy))
            self._hush(node)
        finally:
            self._busy.discard(node)
            self._wake.set()

    async def _serve_some(self, node: Did) -> bool:
        """Do some of what is due to one node; return whether to go on."""
        look = partial(
            outbox.due,
            node=node,
            now_ms=self._clock.now_ms(),
            count_max=self._limits.at_once_max,
        )
        errands = await self._store.read(look)
        done = await asyncio.gather(
            *(self._do[each.task](each) for each in errands), return_exceptions=True
        )
        silent = False
        for errand, error in zip(errands, done, strict=True):
            if isinstance(error, Silent):
                silent = silent or not error.until_ms
                await self._postpone(errand, error)
            elif isinstance(error, Refusal) and not isinstance(error, Busy):
                # A party's refusal of an offer was journalled; nobody waits to be told.
                _log.info("an offer was refused", exchange=errand.exchange, why=error.code)
            elif isinstance(error, Exception) and not isinstance(error, Busy | StoreError):
                await self._broke(errand, error)
            elif error is not None:
                raise error
        if silent:
            why = next(str(each) for each in done if isinstance(each, Silent))
            _log.info("a node does not hear of exchanges", node=node, waiting=len(errands), why=why)
            self._hush(node)
        elif errands:
            self._quiet.pop(node, None)
        return bool(errands) and not silent

    async def _broke(self, errand: Errand, defect: Exception) -> None:
        """Have an errand tried again later at which this node broke: it costs no other one."""
        self._desk.counts.broken += 1
        _log.error(
            "an errand broke",
            incident=incident_id(),
            task=errand.task,
            exchange=errand.exchange,
            exc_info=defect,
        )
        await self._postpone(errand, Silent("a defect"))

    async def _postpone(self, errand: Errand, silent: Silent) -> None:
        limits = self._limits
        wait_ms = min(limits.retry_ms_max, limits.retry_ms_min << min(errand.tries, 16))
        due_ms = max(silent.until_ms, self._clock.now_ms() + wait_ms)
        await self._store.write(lambda tx: outbox.postpone(tx, [errand], due_ms=due_ms))

    def _hush(self, node: Did) -> None:
        """Leave a silent node alone for a while, longer each time."""
        tries, _ = self._quiet.get(node, (0, 0))
        limits = self._limits
        wait_ms = min(limits.retry_ms_max, limits.retry_ms_min << min(tries, 16))
        self._quiet[node] = (tries + 1, self._clock.now_ms() + wait_ms)

    # What is said.

    async def _offer(self, kept: Kept, party: Slug) -> None:
        """Offer an exchange to a party, and take its acceptance.

        Raises:
            Silent: it did not answer.
            Refusal: it said no for good, and the exchange is aborted.
        """
        offer, name = kept.offer, kept.exchange
        ask = wire.OfferExchange(offer=kept.evidence.offer, coop=party)
        try:
            said = await self._nodes.ask(
                self._desk.home_of(party),
                wire.OFFER_EXCHANGE,
                ask,
                deadline_ms=self._limits.send_ms,
            )
            by = read_acceptance(said.acceptance, offer, name, self._desk.genesis)
        except FINAL as no:
            why = no.code
            await self._store.write(
                lambda tx: self._desk.abort(tx, coop=kept.coop, exchange=name, why=why)
            )
            raise
        except (Unreachable, Fault, Refusal, ProofError) as silent:
            raise Silent(str(silent)) from silent
        if by != party:
            raise Silent(f"{by} accepted what was offered to {party}")
        await self._store.write(
            lambda tx: self._desk.hear_acceptance(
                tx, coop=kept.coop, exchange=name, party=party, acceptance=said.acceptance
            )
        )

    async def _offer_again(self, errand: Errand) -> None:
        kept = await self._read(errand.coop, errand.exchange)
        if errand.party not in kept.side.awaited or kept.side.ending is not None:
            return
        if self._clock.now_ms() >= kept.offer.expires_ms:
            raise Silent("its time is over", until_ms=kept.offer.expires_ms + IDLE_MS)
        await self._offer(kept, errand.party)

    async def _lapse(self, errand: Errand) -> None:
        """Abort an offer that not all accepted in time."""
        await self._store.write(
            lambda tx: self._desk.abort(tx, coop=errand.coop, exchange=errand.exchange, why=LAPSED)
        )

    async def _post(self, errand: Errand) -> None:
        """Have the ledger asked again to take what it refused."""
        kept = await self._store.write(
            lambda tx: self._desk.post_again(tx, coop=errand.coop, exchange=errand.exchange)
        )
        if kept.side.is_owing:
            until_ms = self._clock.now_ms() + self._limits.retry_ms_max
            raise Silent(kept.why, until_ms=until_ms)

    async def _tell(self, errand: Errand) -> None:
        kept = await self._store.read(
            partial(tables.get, coop=errand.coop, exchange=errand.exchange)
        )
        if kept is None:
            await self._tell_ruling(errand)
        elif errand.party in kept.side.untold:
            await self._tell_one(kept, errand.party)

    async def _tell_one(self, kept: Kept, party: Slug) -> None:
        """Tell a side how it ended, and take what it knows. Raises `Silent`."""
        said = await self._say(party, kept.evidence)
        if said.state == kept.side.ending and said.evidence.ruling is None:
            await self._store.write(
                lambda tx: self._desk.hear_told(
                    tx, coop=kept.coop, exchange=kept.exchange, party=party
                )
            )
            return
        heard = await self._hear(kept.coop, kept.exchange, said.evidence, by=party)
        if party in heard.side.untold:
            raise Silent(f"{party} stands otherwise")

    async def _tell_ruling(self, errand: Errand) -> None:
        """Tell a party what this node ruled."""
        evidence = await self._store.read(lambda tx: outbox.ruling(tx, errand.exchange))
        assert evidence is not None, "what is told was journalled"
        await self._say(errand.party, evidence)
        await self._store.write(
            lambda tx: outbox.drop(
                tx,
                coop=errand.coop,
                exchange=errand.exchange,
                task="tell",
                party=errand.party,
            )
        )

    async def _say(self, party: Slug, evidence: wire.Evidence) -> wire.OutcomeTaken:
        try:
            return await self._nodes.ask(
                self._desk.home_of(party),
                wire.TELL_OUTCOME,
                wire.TellOutcome(coop=party, evidence=evidence),
                deadline_ms=self._limits.send_ms,
            )
        except (Unreachable, Fault, Refusal) as silent:
            raise Silent(str(silent)) from silent

    async def _ask(self, errand: Errand) -> None:
        """Ask the proposer how it ended."""
        kept = await self._read(errand.coop, errand.exchange)
        if kept.side.ending is not None:
            return
        ask = wire.AskOutcome(coop=kept.offer.coop, offer=kept.evidence.offer)
        try:
            said = await self._nodes.ask(
                errand.node, wire.ASK_OUTCOME, ask, deadline_ms=self._limits.send_ms
            )
        except (Unreachable, Fault, Refusal) as silent:
            raise Silent(str(silent)) from silent
        heard = await self._hear(errand.coop, errand.exchange, said.evidence, by=errand.party)
        if heard.side.ending is None:
            until_ms = self._clock.now_ms() + self._limits.ask_after_ms
            raise Silent("it is not decided", until_ms=until_ms)

    async def _plead(self, errand: Errand) -> None:
        """Ask the arbiter to rule."""
        kept = await self._read(errand.coop, errand.exchange)
        if not kept.side.is_pleading:
            return
        ask = wire.AskRuling(coop=errand.coop, evidence=kept.evidence)
        try:
            said = await self._nodes.ask(
                errand.node,
                wire.ASK_RULING,
                ask,
                deadline_ms=wire.ASK_RULING.deadline_ms,
            )
        except wire.RulingEarly as early:
            # It may say anything: it is asked again after as long as it waits itself at the latest.
            latest_ms = self._clock.now_ms() + self._limits.rule_after_ms
            raise Silent(str(early), until_ms=min(early.until_ms, latest_ms)) from early
        except (Unreachable, Fault, Refusal) as silent:
            raise Silent(str(silent)) from silent
        heard = await self._hear(errand.coop, errand.exchange, said.evidence, by=None)
        if heard.side.is_pleading:
            raise Silent("the arbiter says nothing")

    async def _hear(
        self, coop: Slug, exchange: RecordId, evidence: wire.Evidence, *, by: Slug | None
    ) -> Kept:
        """Take what another node has of an exchange. Raises `Silent`: it does not verify."""
        try:
            told = read_evidence(evidence, self._desk.genesis)
        except ProofError as bad:
            raise Silent(bad.why) from bad
        if told.hash != exchange:
            raise Silent("it speaks of another exchange")
        heard = await self._store.write(
            lambda tx: self._desk.hear(tx, coop=coop, evidence=evidence, told=told, by=by)
        )
        assert heard is not None, "this side is known"
        return heard

    async def _read(self, coop: Slug, exchange: RecordId) -> Kept:
        kept = await self._store.read(partial(tables.get, coop=coop, exchange=exchange))
        assert kept is not None, f"{exchange} was journalled"
        return kept
