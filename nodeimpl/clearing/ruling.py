"""The arbiter: asked when a proposer is silent, it finds out what it can, and rules once.

Source: ADR 0046.
"""

from __future__ import annotations

import asyncio
from collections import Counter

import structlog

from nodeimpl.clearing import outbox_store as outbox
from nodeimpl.clearing import rules
from nodeimpl.clearing.desk import Desk
from nodeimpl.clearing.hearing import verified
from nodeimpl.clearing.outbox_store import Errand
from nodeimpl.clearing.ports import Nodes
from nodeimpl.kernel.clock import Clock
from nodeimpl.kernel.store import Store, Tx
from opkit.proof.checks import ProofError
from opkit.proof.clearing import Told, ending_of, read_evidence, sign_ruling
from opkit.wire import clearing as wire
from opkit.wire.agreements import AgreementUnknown
from opkit.wire.base import Did, Slug
from opkit.wire.errors import Fault, Refusal, Unreachable

LOOK_MS = 4_000
"""How long the arbiter waits for what the sides know."""

NOT_AGREED: tuple[type[Refusal], ...] = (
    AgreementUnknown,
    wire.NotParty,
    wire.UnitMismatch,
    wire.ArbiterDiffers,
    wire.PeriodWrong,
)
"""By what an exchange is not one that this arbiter rules on."""

_log = structlog.get_logger("clearing")


class Rulings:
    """What this node rules for the organisation that it belongs to."""

    def __init__(self, desk: Desk, *, store: Store, clock: Clock, nodes: Nodes) -> None:
        """Keep the parts."""
        self._desk = desk
        self._store = store
        self._clock = clock
        self._nodes = nodes
        self._given: Counter[tuple[Slug, int]] = Counter()

    async def rule(self, peer: Did, ask: wire.AskRuling) -> wire.Ruled:
        """Say how an exchange ends whose proposer is silent, and tell all sides of it.

        Refuses, in this order:
            OfferRejected: what was sent does not verify.
            ArbiterElsewhere: this node is not the arbiter's.
            OfferRejected: the coop that asks did not accept it, or agreements that this node keeps
                do not provide for it.
            RulingEarly: the proposer may still decide, or answers and has not for so long; or the
                coop asked for too much today.
        """
        del peer
        told = verified(ask.evidence, self._desk.genesis)
        if self._desk.org != told.offer.arbiter:
            raise wire.ArbiterElsewhere(arbiter=told.offer.arbiter)
        if ask.coop not in told.acceptances:
            raise wire.OfferRejected(why=f"{ask.coop} did not accept it")
        given = await self._store.read(lambda tx: outbox.ruling(tx, told.hash))
        if given is not None:
            return wire.Ruled(evidence=given)
        await self._store.read(lambda tx: self._judge_terms(tx, told.offer))
        today = rules.day_of(self._clock.now_ms())
        if any(day != today for _, day in self._given):
            self._given.clear()
        rules.judge_asker(
            self._given[ask.coop, today], now_ms=self._clock.now_ms(), limits=self._desk.limits
        )
        # Whether it is time is judged before anybody is asked, and again when all have answered.
        rules.judge_ruling(
            told.offer,
            endings=frozenset(),
            now_ms=self._clock.now_ms(),
            limits=self._desk.limits,
        )
        heard = await self._ask_all(told, ask.evidence, ask.coop)
        ended = [each for each in heard if each[1].ending is not None]
        clear = [each for each in ended if each[1].rival is None]
        endings = frozenset(
            ending_of(outcome)
            for _, each in ended
            for outcome in (each.outcome, each.rival)
            if outcome is not None
        )
        if len(endings) == 1 and clear:
            return wire.Ruled(evidence=clear[0][0])
        evidence = await self._store.write(
            lambda tx: self._rule(tx, told, ask.evidence, heard, endings)
        )
        self._given[ask.coop, today] += 1
        return wire.Ruled(evidence=evidence)

    def _judge_terms(self, tx: Tx, offer: wire.Offer) -> None:
        """Return if the agreements of all legs provide for an offer, and name this arbiter.

        Refuses:
            OfferRejected: they do not, or this node does not keep one of them.
        """
        try:
            names = dict.fromkeys(leg.agreement for leg in offer.legs)
            terms = {each: self._desk.agreements.terms(tx, each) for each in names}
            for coop in offer.parties:
                rules.judge_terms(offer, coop, terms)
        except NOT_AGREED as no:
            raise wire.OfferRejected(why=f"it is not agreed: {no.code}") from no

    async def _ask_all(
        self, told: Told, given: wire.Evidence, asks: Slug
    ) -> list[tuple[wire.Evidence, Told]]:
        """Return what all sides say, the one that asks among them.

        Refuses:
            RulingEarly: the proposer is there and has not decided, and has time left.
        """
        others = [each for each in told.offer.parties if each != asks]
        asked = await asyncio.gather(*(self._ask(coop, told, given) for coop in others))
        for coop, said in zip(others, asked, strict=True):
            if coop == told.offer.coop and said is not None and said[1].ending is None:
                now_ms = self._clock.now_ms()
                rules.judge_undecided(told.offer, now_ms=now_ms, limits=self._desk.limits)
        return [(given, told), *(each for each in asked if each is not None)]

    async def _ask(
        self, coop: Slug, told: Told, given: wire.Evidence
    ) -> tuple[wire.Evidence, Told] | None:
        try:
            said = await self._nodes.ask(
                self._desk.home_of(coop),
                wire.ASK_OUTCOME,
                wire.AskOutcome(coop=coop, offer=given.offer),
                deadline_ms=LOOK_MS,
            )
            heard = read_evidence(said.evidence, self._desk.genesis)
        except (Unreachable, Fault, Refusal, ProofError) as silent:
            _log.info("a side does not say how it stands", coop=coop, why=str(silent))
            return None
        return (said.evidence, heard) if heard.hash == told.hash else None

    def _rule(
        self,
        tx: Tx,
        told: Told,
        given: wire.Evidence,
        heard: list[tuple[wire.Evidence, Told]],
        endings: frozenset[wire.Ending],
    ) -> wire.Evidence:
        """Rule, journalled, unless it was ruled meanwhile."""
        known = outbox.ruling(tx, told.hash)
        if known is not None:
            return known
        limits = self._desk.limits
        ending = rules.judge_ruling(told.offer, endings=endings, now_ms=tx.now_ms, limits=limits)
        ruling = wire.Ruling(
            network=told.offer.network,
            did=self._desk.identity.did,
            coop=told.offer.arbiter,
            offer=told.hash,
            ending=ending,
            ruled_ms=tx.now_ms,
        )
        # The proof on which it rests goes along: a commit that one side has not seen.
        evidence = _resting_on(ending, heard, given).model_copy(
            update={"ruling": sign_ruling(ruling, self._desk.identity), "rival": None}
        )
        outbox.put_ruling(tx, told.hash, ending, evidence)
        self._desk.counts.rule(tx, ending)
        for party in told.offer.parties:
            errand = Errand(
                coop=told.offer.arbiter,
                exchange=told.hash,
                task="tell",
                party=party,
                node=self._desk.home_of(party),
                due_ms=tx.now_ms,
            )
            outbox.put(tx, errand)
        tx.after_commit(self._desk.due.set)
        read = read_evidence(evidence, self._desk.genesis)
        assert read.ruling_id is not None, "it was signed here"
        tx.announce(
            wire.RulingGiven(
                coop=told.offer.arbiter,
                exchange=told.hash,
                exchange_id=told.offer.exchange_id,
                ending=ending,
                ruling=read.ruling_id,
            )
        )
        return evidence


def _resting_on(
    ending: wire.Ending, heard: list[tuple[wire.Evidence, Told]], given: wire.Evidence
) -> wire.Evidence:
    """Return what shows that the proposer decided so; what was given if nobody shows that."""
    for evidence, said in heard:
        for token, decided in ((evidence.outcome, said.outcome), (evidence.rival, said.rival)):
            if decided is not None and ending_of(decided) == ending:
                return evidence.model_copy(update={"outcome": token})
    return given
