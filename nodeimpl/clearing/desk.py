"""What becomes of one side of an exchange, in one transaction: judged, posted, kept, announced.

Whatever it is that a side hears, its ledger, its positions, what it sets aside and what it still
has to say follow in the same breath, so a crash finds all of it or nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, replace

from nodeimpl.clearing import machine, rules
from nodeimpl.clearing import store as tables
from nodeimpl.clearing.books import NODE, Books, about
from nodeimpl.clearing.counts import Counts
from nodeimpl.clearing.machine import Side
from nodeimpl.clearing.ports import Agreements, Ledger
from nodeimpl.clearing.rules import Limits
from nodeimpl.clearing.store import Kept
from nodeimpl.kernel.store import Tx
from opkit.proof import clearing as proof
from opkit.proof import jws
from opkit.proof.clearing import Told, changes_of
from opkit.proof.genesis import GenesisView
from opkit.proof.keys import Identity
from opkit.wire import clearing as wire
from opkit.wire.base import Did, Jws, MemberId, RecordId, Slug
from opkit.wire.ledger import SETTLE_REFUSALS, AccountClosed
from opkit.wire.terms import PARTIES_MAX, Terms

LAPSED = "lapsed"
"""Why an offer is aborted that not all accepted in time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """An exchange that a member asks for."""

    coop: Slug
    exchange_id: str
    kind: wire.ExchangeKind
    unit: str
    legs: tuple[wire.Leg, ...]
    what: str
    period: str | None
    ttl_ms: int


class Desk:
    """The sides of exchanges whose coops have their home here; what takes a `tx` runs in it.

    Attributes:
        coops: whose home this is.
        org: the organisation whose node this is.
        counts: how often what happened.
        due: set once something is kept that is to be said or done: for whoever waits for that.
    """

    def __init__(
        self,
        *,
        identity: Identity,
        genesis: GenesisView,
        ledger: Ledger,
        agreements: Agreements,
        limits: Limits,
    ) -> None:
        """Keep the parts."""
        self.identity = identity
        self.genesis = genesis
        self.limits = limits
        charters = [signed.charter for signed in genesis.genesis.charters]
        self.coops = tuple(each.coop for each in charters if each.home_node == identity.did)
        node = genesis.node(identity.did)
        self.org = None if node is None else node.org
        self.agreements = agreements
        self.counts = Counts()
        self.due = asyncio.Event()
        self._books = Books(
            genesis=genesis, ledger=ledger, limits=limits, counts=self.counts, due=self.due
        )

    # What a side does.

    def propose(self, tx: Tx, wanted: Wanted, *, by: MemberId) -> Kept:
        """Journal an offer and set aside what it may cost, or return what the same ask made before.

        Refuses, in this order:
            ExchangeConflict: its id names something else.
            (the rest): as `JUDGED_REFUSALS`.
        """
        standing = tables.by_id(
            tx, coop=wanted.coop, proposer=wanted.coop, exchange_id=wanted.exchange_id
        )
        if standing is not None:
            if not _is_same(wanted, standing.offer):
                raise wire.ExchangeConflict(
                    exchange_id=wanted.exchange_id, standing=standing.exchange
                )
            return standing
        offer = self._offer(tx, wanted)
        self._judge(tx, offer, wanted.coop)
        token = proof.sign_offer(offer, self.identity)
        kept = Kept(
            coop=wanted.coop,
            exchange=jws.record_id(token),
            sequence=offer.sequence,
            offer=offer,
            side=machine.offered(_others(offer, wanted.coop)),
            evidence=wire.Evidence(offer=token),
            by=by,
        )
        kept = self._books.begin(tx, self._books.set_aside(tx, kept))
        tx.announce(wire.ExchangeOffered(coop=kept.coop, exchange=kept.exchange, **about(offer)))
        return kept

    def accept(self, tx: Tx, token: Jws, offer: wire.Offer, coop: Slug) -> Jws:
        """Return a coop's acceptance of a verified offer, journalled; the same for the same offer.

        Refuses, in this order:
            ExchangeEnded, ExchangeConflict, OfferRejected, OfferLapsed; then as `JUDGED_REFUSALS`.
        """
        name = jws.record_id(token)
        known = tables.get(tx, coop=coop, exchange=name)
        if known is not None:
            given = _given_by(known.evidence.acceptances).get(coop)
            if given is None or known.side.ending == "aborted":
                raise wire.ExchangeEnded(exchange=name, state=known.side.state)
            return given
        self._judge_id(tx, offer, coop)
        rules.judge_time(offer, now_ms=tx.now_ms, limits=self.limits)
        self._judge(tx, offer, coop)
        acceptance = proof.sign_acceptance(
            wire.Acceptance(
                network=offer.network,
                did=self.identity.did,
                coop=coop,
                aud=offer.coop,
                offer=name,
                accepted_ms=tx.now_ms,
            ),
            self.identity,
        )
        kept = Kept(
            coop=coop,
            exchange=name,
            sequence=tables.next_sequence(tx, coop),
            offer=offer,
            side=machine.accepted(_others(offer, coop)),
            evidence=wire.Evidence(offer=token, acceptances=(acceptance,)),
            by=NODE,
        )
        self._books.begin(tx, self._books.set_aside(tx, kept))
        tx.announce(
            wire.ExchangeAccepted(coop=coop, proposer=offer.coop, exchange=name, **about(offer))
        )
        return acceptance

    def hear_acceptance(
        self, tx: Tx, *, coop: Slug, exchange: RecordId, party: Slug, acceptance: Jws
    ) -> Kept:
        """Take a party's verified acceptance; commit and post if it was the last.

        If the ledger does not take it after all, nothing comes of the exchange.
        """
        kept = self._kept(tx, coop, exchange)
        if kept.side.ending is not None or party not in kept.side.awaited:
            return kept
        given = {**_given_by(kept.evidence.acceptances), party: acceptance}
        heard = replace(
            kept,
            side=machine.hear_acceptance(kept.side, party),
            evidence=kept.evidence.model_copy(update={"acceptances": _in_order(given)}),
        )
        if not machine.may_commit(heard.side):
            return self._books.turn(tx, kept, heard)
        ids = tuple(jws.record_id(each) for each in heard.evidence.acceptances)
        commit = wire.Commit(
            network=kept.offer.network,
            did=self.identity.did,
            coop=coop,
            offer=exchange,
            acceptances=ids,
            decided_ms=tx.now_ms,
        )
        decided = self._decided(heard, commit)
        try:
            return self._books.turn(tx, kept, self._books.post(tx, decided))
        except SETTLE_REFUSALS as no:
            # What was set aside is let go of, and the ledger did nothing.
            return self._abort(tx, kept, replace(heard, aside=False), why=no.code)

    def abort(self, tx: Tx, *, coop: Slug, exchange: RecordId, why: str) -> Kept:
        """Decide that nothing comes of an own offer, unless it was decided before."""
        kept = self._kept(tx, coop, exchange)
        if not machine.may_abort(kept.side):
            return kept
        return self._abort(tx, kept, kept, why=why)

    def hear(
        self, tx: Tx, *, coop: Slug, evidence: wire.Evidence, told: Told, by: Slug | None
    ) -> Kept | None:
        """Take what was verified of an exchange; return how this side stands then.

        What it never accepted does not concern this side, whoever says what of it: nothing is kept,
        and None is returned.

        Args:
            coop: which side of those here.
            evidence: what was told.
            told: the same, verified.
            by: which other side told it, and so knows it.

        Refuses:
            OfferRejected: another exchange of that proposer has its id.
        """
        kept = tables.get(tx, coop=coop, exchange=told.hash)
        if kept is None:
            kept = self._overhear(tx, coop, evidence, told)
            if kept is None:
                return None
        side = kept.side
        for outcome in (told.outcome, told.rival):
            if outcome is not None:
                ending = proof.ending_of(outcome)
                side = machine.hear_outcome(side, ending, proposer=told.offer.coop)
        if told.ruling is not None and told.ruling_id is not None:
            side = machine.hear_ruling(side, told.ruling.ending, told.ruling_id, by=by)
        # Whoever holds the proposer's other word against it knows as much: more, the arbiter says.
        even = side.rival and side.ruling is None
        if by is not None and told.ending is not None and (told.ending == side.ending or even):
            side = machine.hear_told(side, by)
        self._notice(tx, kept, side, told)
        heard = replace(kept, side=side, evidence=_merged(kept, evidence, side))
        if side.ending == "aborted" and kept.side.ending is None:
            heard = replace(heard, why=_why(told))
        return self._books.turn(tx, kept, self._books.try_post(tx, heard))

    def hear_told(self, tx: Tx, *, coop: Slug, exchange: RecordId, party: Slug) -> Kept:
        """Take note that another side knows how it ended."""
        kept = self._kept(tx, coop, exchange)
        return self._books.turn(tx, kept, replace(kept, side=machine.hear_told(kept.side, party)))

    def post_again(self, tx: Tx, *, coop: Slug, exchange: RecordId) -> Kept:
        """Have the ledger take what it refused before, if it does now."""
        kept = self._kept(tx, coop, exchange)
        return self._books.turn(tx, kept, self._books.try_post(tx, kept))

    # What it knows.

    def home_of(self, coop: Slug) -> Did:
        """Return the home node of a party."""
        return self._books.home_of(coop)

    def _kept(self, tx: Tx, coop: Slug, exchange: RecordId) -> Kept:
        kept = tables.get(tx, coop=coop, exchange=exchange)
        assert kept is not None, f"{exchange} was journalled before"
        return kept

    def _offer(self, tx: Tx, wanted: Wanted) -> wire.Offer:
        """Return the offer that is asked for; whose arbiter it names, its agreement says.

        Refuses, in this order:
            ExchangeMalformed, UnitUnknown, AgreementUnknown, AgreementInactive.
        """
        parties = tuple(sorted({each for leg in wanted.legs for each in (leg.payer, leg.payee)}))
        if not 2 <= len(parties) <= PARTIES_MAX:
            raise wire.ExchangeMalformed(why=f"{len(parties)} coops take part")
        drafted = wire.Offer(
            network=self.genesis.network,
            did=self.identity.did,
            coop=wanted.coop,
            parties=parties,
            exchange_id=wanted.exchange_id,
            kind=wanted.kind,
            unit=wanted.unit,
            legs=wanted.legs,
            what=wanted.what,
            period=wanted.period,
            arbiter=wanted.coop,
            sequence=tables.next_sequence(tx, wanted.coop),
            offered_ms=tx.now_ms,
            expires_ms=tx.now_ms + wanted.ttl_ms,
        )
        rules.judge_shape(drafted)
        terms = self._terms(tx, drafted, wanted.coop)
        first = rules.own_legs(drafted, wanted.coop)[0]
        return drafted.model_copy(update={"arbiter": terms[first.agreement].arbiter})

    def _terms(self, tx: Tx, offer: wire.Offer, coop: Slug) -> dict[RecordId, Terms]:
        """Return the terms of the agreements of a coop's legs.

        What is exchanged needs an agreement in force; debts are settled and netted also after.

        Refuses:
            AgreementUnknown, AgreementInactive: there is none.
        """
        names = dict.fromkeys(leg.agreement for leg in rules.own_legs(offer, coop))
        if offer.kind == "exchange":
            return {each: self.agreements.active(tx, each, tx.world_ms) for each in names}
        return {each: self.agreements.terms(tx, each) for each in names}

    def _judge(self, tx: Tx, offer: wire.Offer, coop: Slug) -> None:
        """Return if a coop takes part in an offer. Refuses as `JUDGED_REFUSALS`."""
        rules.judge_shape(offer)
        terms = self._terms(tx, offer, coop)
        rules.judge_terms(offer, coop, terms)
        changes = changes_of(offer.legs, coop)
        rules.judge_stands(
            offer,
            coop,
            terms=terms,
            stands={
                (other, agreement): tables.stand(
                    tx,
                    coop=coop,
                    other=other,
                    agreement=agreement,
                    unit=offer.unit,
                    period=offer.period,
                )
                for other, agreement in changes
            },
            open_with={other: tables.open_with(tx, coop=coop, other=other) for other, _ in changes},
            limits=self.limits,
        )
        for each in proof.postings_of(offer, coop):
            view = self._books.ledger.account(tx, coop=coop, account=each.account, unit=each.unit)
            if view.closed:
                raise AccountClosed(account=each.account, unit=each.unit)

    def _judge_id(self, tx: Tx, offer: wire.Offer, coop: Slug) -> None:
        """Refuses: ExchangeConflict."""
        named = tables.by_id(tx, coop=coop, proposer=offer.coop, exchange_id=offer.exchange_id)
        if named is not None:
            raise wire.ExchangeConflict(exchange_id=offer.exchange_id, standing=named.exchange)

    def _overhear(self, tx: Tx, coop: Slug, evidence: wire.Evidence, told: Told) -> Kept | None:
        """Return the side of an exchange that this node does not know, but once accepted.

        It signed the acceptance, so it judged the offer then, and what it kept of it was lost. Of
        anything else nothing is kept: nobody else can put something here, and an offer that comes
        after its end is accepted in vain, until its proposer is asked.
        """
        offer = told.offer
        if coop not in told.acceptances:
            return None
        try:
            self._judge_id(tx, offer, coop)
        except wire.ExchangeConflict as no:
            raise wire.OfferRejected(why=f"its id names {no.standing}") from no
        kept = Kept(
            coop=coop,
            exchange=told.hash,
            sequence=tables.next_sequence(tx, coop),
            offer=offer,
            side=machine.overheard(_others(offer, coop)),
            evidence=wire.Evidence(offer=evidence.offer),
            by=NODE,
        )
        return self._books.begin(tx, kept)

    def _decided(self, kept: Kept, outcome: wire.Commit | wire.Abort) -> Kept:
        token = proof.sign_outcome(outcome, self.identity)
        return replace(
            kept,
            side=machine.decide(kept.side, proof.ending_of(outcome)),
            evidence=kept.evidence.model_copy(update={"outcome": token}),
        )

    def _abort(self, tx: Tx, before: Kept, kept: Kept, *, why: str) -> Kept:
        abort = wire.Abort(
            network=kept.offer.network,
            did=self.identity.did,
            coop=kept.coop,
            offer=kept.exchange,
            why=why,
            decided_ms=tx.now_ms,
        )
        return self._books.turn(tx, before, replace(self._decided(kept, abort), why=why))

    def _notice(self, tx: Tx, kept: Kept, side: Side, told: Told) -> None:
        """Announce that a proposer, or an arbiter, was heard to contradict itself."""
        said: list[tuple[Slug, RecordId, RecordId]] = []
        if side.rival and not kept.side.rival:
            first = kept.side.outcome or "committed"
            second = "aborted" if first == "committed" else "committed"
            said.append((kept.offer.coop, first, second))
        ruled = kept.side.ruling
        if side.rival_ruling and not kept.side.rival_ruling:
            assert ruled is not None and told.ruling is not None, "it is the second that was heard"
            said.append((kept.offer.arbiter, ruled[0], told.ruling.ending))
        for by, one, other in said:
            self.counts.contradict(tx)
            tx.announce(
                wire.OutcomesContradict(
                    coop=kept.coop,
                    exchange=kept.exchange,
                    exchange_id=kept.offer.exchange_id,
                    by=by,
                    first=one,
                    second=other,
                )
            )


def _is_same(wanted: Wanted, offer: wire.Offer) -> bool:
    return (wanted.kind, wanted.unit, wanted.legs, wanted.what, wanted.period) == (
        offer.kind,
        offer.unit,
        offer.legs,
        offer.what,
        offer.period,
    )


def _others(offer: wire.Offer, coop: Slug) -> frozenset[Slug]:
    return frozenset(offer.parties) - {coop}


def _given_by(acceptances: Iterable[Jws]) -> dict[Slug, Jws]:
    """Return acceptances, verified before, by the coops that gave them."""
    return {str(jws.reread(each)["coop"]): each for each in acceptances}


def _in_order(given: dict[Slug, Jws]) -> tuple[Jws, ...]:
    return tuple(given[coop] for coop in sorted(given))


def _merged(kept: Kept, heard: wire.Evidence, side: Side) -> wire.Evidence:
    """Return all that is kept of an exchange with what was heard; all of it was verified.

    It verifies as both did: of two decisions that agree the first is kept, and the acceptances that
    stay are those that the commit among it cites.
    """
    known = kept.evidence
    given = [_given_by(known.acceptances), _given_by(heard.acceptances)]
    if _commits(heard) and not _commits(known):
        given.reverse()
    outcome, rival = known.outcome, known.rival
    for token in (heard.outcome, heard.rival):
        if token is not None and outcome is None:
            outcome = token
        elif token is not None and rival is None and _is_commit(token) != _is_commit(outcome):
            rival = token
    ruling = known.ruling
    if heard.ruling is not None and side.ruling is not None:
        ruling = heard.ruling if jws.record_id(heard.ruling) == side.ruling[1] else ruling
    return wire.Evidence(
        offer=known.offer,
        acceptances=_in_order({**given[1], **given[0]}),
        outcome=outcome,
        rival=rival,
        ruling=ruling,
    )


def _commits(evidence: wire.Evidence) -> bool:
    return any(each and _is_commit(each) for each in (evidence.outcome, evidence.rival))


def _is_commit(decision: Jws | None) -> bool:
    """Return which of the two a decision is, verified before."""
    return decision is not None and jws.peek(decision).typ == wire.COMMIT_TYP


def _why(told: Told) -> str:
    """Return why an exchange was aborted, as its proposer says; an arbiter gives no reason."""
    if told.ruling is None and isinstance(told.outcome, wire.Abort):
        return told.outcome.why
    return "ruled"
