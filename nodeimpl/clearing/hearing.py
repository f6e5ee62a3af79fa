"""What other nodes say and ask of exchanges; what counts is who signed, never who sent."""

from __future__ import annotations

from functools import partial

from nodeimpl.clearing import store as tables
from nodeimpl.clearing.desk import Desk
from nodeimpl.clearing.store import Kept
from nodeimpl.kernel.store import Store
from opkit.proof import jws
from opkit.proof.checks import ProofError
from opkit.proof.clearing import Told, read_evidence, read_offer
from opkit.proof.genesis import GenesisView
from opkit.wire import clearing as wire
from opkit.wire.base import Did, Jws, Slug


class Hearing:
    """Answers other nodes for the coops whose home this is."""

    def __init__(self, desk: Desk, *, store: Store) -> None:
        """Keep the parts."""
        self._desk = desk
        self._store = store

    async def offered(self, peer: Did, ask: wire.OfferExchange) -> wire.OfferAccepted:
        """Accept an offer for a coop, or say why not.

        Refuses, in this order:
            OfferRejected: it is not signed by its proposer's home, or not for a coop of this node.
            ExchangeEnded, ExchangeConflict.
            OfferRejected: it was made in the future.
            OfferLapsed; then as `JUDGED_REFUSALS`.
        """
        del peer
        offer = self._read_offer(ask.offer, ask.coop)
        if ask.coop == offer.coop:
            raise wire.OfferRejected(why=f"{ask.coop} proposed it itself")
        acceptance = await self._store.write(
            lambda tx: self._desk.accept(tx, ask.offer, offer, ask.coop)
        )
        return wire.OfferAccepted(acceptance=acceptance)

    async def told(self, peer: Did, ask: wire.TellOutcome) -> wire.OutcomeTaken:
        """Take how an exchange ended, and say how it stands here.

        Refuses:
            OfferRejected: something of it does not verify, or it is not for a coop of this node.
        """
        del peer
        told = verified(ask.evidence, self._desk.genesis)
        self._judge_party(told.offer, ask.coop)
        if told.ending is None:
            raise wire.OfferRejected(why="it tells of no end")
        kept = await self._store.write(
            lambda tx: self._desk.hear(
                tx, coop=ask.coop, evidence=ask.evidence, told=told, by=_other(told, ask.coop)
            )
        )
        if kept is None:
            # Nothing of it is kept here, so it stands as whoever told it says.
            return wire.OutcomeTaken(state=told.ending, evidence=ask.evidence)
        return taken(kept)

    async def asked(self, peer: Did, ask: wire.AskOutcome) -> wire.OutcomeTaken:
        """Say how an exchange stands here.

        Refuses, in this order:
            OfferRejected: it is not signed by its proposer's home, or not for a coop of this node.
            ExchangeUnknown: this node does not know it; that decides nothing.
        """
        del peer
        self._read_offer(ask.offer, ask.coop)
        name = jws.record_id(ask.offer)
        kept = await self._store.read(partial(tables.get, coop=ask.coop, exchange=name))
        if kept is None:
            raise wire.ExchangeUnknown(exchange=name)
        return taken(kept)

    def _read_offer(self, token: Jws, coop: Slug) -> wire.Offer:
        try:
            offer = read_offer(token, self._desk.genesis)
        except ProofError as bad:
            raise wire.OfferRejected(why=bad.why) from bad
        self._judge_party(offer, coop)
        return offer

    def _judge_party(self, offer: wire.Offer, coop: Slug) -> None:
        if coop not in offer.parties or coop not in self._desk.coops:
            raise wire.OfferRejected(why=f"{coop} is no party of it, or not at home here")


def verified(evidence: wire.Evidence, genesis: GenesisView) -> Told:
    """Return what evidence says. Refuses: OfferRejected."""
    try:
        return read_evidence(evidence, genesis)
    except ProofError as bad:
        raise wire.OfferRejected(why=bad.why) from bad


def taken(kept: Kept) -> wire.OutcomeTaken:
    """Return how a side stands, as another one is answered."""
    return wire.OutcomeTaken(state=kept.side.state, evidence=kept.evidence)


def _other(told: Told, coop: Slug) -> Slug | None:
    """Return who certainly knows how it ended: the proposer, if it said so itself."""
    if told.ruling is not None or told.outcome is None or coop == told.offer.coop:
        return None
    return told.offer.coop
