"""Votes that any node witnesses: whoever is refused at home lodges elsewhere and can prove it.

The node signs that it was given a ballot, and when; hands it to the assembly's home, and goes on
doing so until the home has answered. What the home missed until the close voids its decision.
Source: ADR 0041.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial

import structlog

from nodeimpl.governance import ballots_store as votes
from nodeimpl.governance import lodgings_store as tables
from nodeimpl.governance.assemblies import Assemblies
from nodeimpl.governance.deciding import Deciding
from nodeimpl.governance.lodgings_store import WAITING, Lodged
from nodeimpl.governance.ports import Homes
from nodeimpl.governance.rules import Limits
from nodeimpl.governance.states import Missed, Signed
from nodeimpl.governance.voting import Voting
from nodeimpl.kernel.binding import Caller
from nodeimpl.kernel.clock import Clock
from nodeimpl.kernel.store import Store, Tx
from nodeimpl.kernel.timers import Timers
from nodeimpl.p2p.deadline import set_or_passed
from opkit.proof.ballots import sign_lodging_receipt
from opkit.wire import deciding as no
from opkit.wire import governance as wire
from opkit.wire.base import Did
from opkit.wire.errors import Busy, Fault, Refusal, Unreachable
from opkit.wire.votes import Ballot, LodgingReceipt

RETRY_MS = 5_000
"""How long until a ballot is handed over again whose home did not answer."""

AT_ONCE_MAX = 32
"""How many ballots are handed over in one round."""

IDLE_MS = 60_000
"""How long nothing is looked at if nothing waits."""

KEEP_MS = 180 * 24 * 3_600_000
"""For how long a lodged ballot is kept, in real time."""

_log = structlog.get_logger("governance")


class Lodging:
    """Witnesses ballots for assemblies elsewhere, and takes those witnessed elsewhere."""

    def __init__(
        self,
        assemblies: Assemblies,
        voting: Voting,
        deciding: Deciding,
        *,
        store: Store,
        clock: Clock,
        timers: Timers,
        homes: Homes,
        limits: Limits,
    ) -> None:
        """Join the parts."""
        self._assemblies = assemblies
        self._voting = voting
        self._deciding = deciding
        self._store = store
        self._clock = clock
        self._timers = timers
        self._homes = homes
        self._limits = limits
        self._wake = asyncio.Event()

    async def lodge(self, ask: wire.LodgeVote, caller: Caller | None) -> wire.VoteLodged:
        """Witness a ballot and try once to hand it over; at home, count it.

        Refuses, in this order:
            BallotRejected: it does not verify.
            AssemblyUnknown: no coop of that name has a charter.
            NotElector: nobody whom this node knows votes there with that key.
            LodgedExhausted: as many are kept as may be.
            (the rest): at home, as `rules.judge_ballot` does.
        """
        signed = self._voting.read(ask.ballot)
        said = signed.payload
        if said is None:
            raise no.BallotRejected(why=signed.why)
        charter = self._assemblies.genesis.charter(said.aud)
        if charter is None:
            raise no.AssemblyUnknown(coop=said.aud)
        if charter.home_node == self._assemblies.identity.did:
            return await self._count(signed, said)
        one = await self._store.write(
            lambda tx: self._witness(tx, signed, said, home=charter.home_node)
        )
        if one.answer == WAITING:
            one = await self._hand_over(one)
        if one.answer == WAITING:
            self._wake.set()
        return wire.VoteLodged(
            coop=one.coop,
            proposal=one.proposal,
            member_id=one.member_id,
            ballot=one.ballot_id,
            receipt=one.receipt,
            counted=one.counted,
        )

    async def passed(self, peer: Did, ask: wire.PassBallot) -> wire.BallotPassed:
        """Count a ballot that another node witnessed, or void the decision that missed it.

        Refuses: AssemblyElsewhere, ProposalUnknown, then as `rules.judge_ballot` while it is open,
            and as `rules.judge_challenge` after.
        """
        del peer  # What counts is who signed the receipt.
        signed = self._voting.read(ask.ballot)
        missed = self._deciding.read_missed(ask.ballot, ask.receipt)
        if signed.payload is None:
            raise no.BallotRejected(why=signed.why)
        if isinstance(missed, str):
            raise no.ChallengeUnfounded(why=missed)
        self._assemblies.own(signed.payload.aud)
        return await self._store.write(lambda tx: self._take(tx, signed, missed, ask))

    async def run(self) -> None:
        """Hand over what waits, whenever homes answer again, until cancelled.

        Raises:
            StoreFailed: the store broke.
        """
        while True:
            self._wake.clear()
            wait_ms = IDLE_MS
            try:
                before_ms = self._clock.now_ms() - RETRY_MS
                look = partial(tables.waiting, before_ms=before_ms, count_max=AT_ONCE_MAX)
                for one in await self._store.read(look):
                    await self._hand_over(one)
                if await self._store.read(_anything_waits):
                    wait_ms = RETRY_MS
            except Busy as busy:
                _log.warning("lodged ballots are handed over later", why=str(busy))
                wait_ms = RETRY_MS
            await set_or_passed(self._wake, clock=self._clock, ms=wait_ms)

    async def _count(self, signed: Signed[Ballot], said: Ballot) -> wire.VoteLodged:
        """Count a ballot that was lodged at its very home."""

        def write(tx: Tx) -> wire.VoteCounted:
            self._timers.catch_up(tx)
            standing = self._assemblies.standing(tx, said.aud, said.proposal)
            return self._voting.take(tx, standing, signed)

        done = await self._store.write(write)
        return wire.VoteLodged(
            coop=said.aud,
            proposal=said.proposal,
            member_id=said.member_id,
            ballot=done.ballot,
            receipt=done.receipt,
            counted=done.receipt,
        )

    def _witness(self, tx: Tx, signed: Signed[Ballot], said: Ballot, *, home: Did) -> Lodged:
        """Keep a ballot with the receipt for it; the very same again is what it was."""
        known = tables.get(tx, signed.id)
        if known is not None:
            return known
        member = self._assemblies.members.member(tx, said.member_id)
        if member is None or member.did != said.did:
            why = "this node knows no such member with this key"
            raise no.NotElector(member_id=said.member_id, why=why)
        in_all, of_member = tables.used(tx, said.member_id)
        if in_all >= self._limits.lodged_max:
            raise no.LodgedExhausted(limit=self._limits.lodged_max)
        if of_member >= self._limits.lodged_per_member_max:
            raise no.LodgedExhausted(limit=self._limits.lodged_per_member_max)
        receipt = LodgingReceipt(
            network=said.network,
            aud=said.aud,
            did=self._assemblies.identity.did,
            proposal=said.proposal,
            member_id=said.member_id,
            ballot=signed.id,
            sequence=said.sequence,
            received_ms=tx.now_ms,
            world_ms=tx.world_ms,
        )
        one = Lodged(
            ballot_id=signed.id,
            coop=said.aud,
            home=home,
            proposal=said.proposal,
            member_id=said.member_id,
            ballot=signed.token,
            receipt=sign_lodging_receipt(receipt, self._assemblies.identity),
            lodged_ms=tx.now_ms,
            keep_until_ms=tx.now_ms + KEEP_MS,
        )
        tables.put(tx, one)
        tx.announce(
            wire.BallotLodged(coop=one.coop, proposal=one.proposal, member_id=one.member_id)
        )
        return one

    async def _hand_over(self, one: Lodged) -> Lodged:
        """Hand a ballot to its home, and keep what it answers."""
        ask = wire.PassBallot(ballot=one.ballot, receipt=one.receipt)
        answer, counted = WAITING, None
        try:
            passed = await self._homes.pass_ballot(one.home, ask)
            answer = "voided" if passed.voided else "counted"
            counted = passed.receipt
        except (Unreachable, Fault, Busy) as silent:
            _log.info("a lodged ballot waits for its home", coop=one.coop, why=str(silent))
        except Refusal as refused:
            answer = refused.code
            _log.info("a lodged ballot was refused at home", coop=one.coop, why=str(refused))
        after = replace(one, tried_ms=self._clock.now_ms(), answer=answer, counted=counted)
        await self._store.write(lambda tx: tables.put(tx, after))
        return after

    def _take(
        self, tx: Tx, signed: Signed[Ballot], missed: Missed, ask: wire.PassBallot
    ) -> wire.BallotPassed:
        said = missed.ballot
        self._timers.catch_up(tx)
        standing = self._assemblies.standing(tx, said.aud, said.proposal)
        if standing.state in ("draft", "open") or self._stands(tx, standing.hash, signed):
            done = self._voting.take(tx, standing, signed, at_ms=missed.world_ms)
            return wire.BallotPassed(receipt=done.receipt, voided=False)
        self._deciding.void(tx, standing, missed, ballot=ask.ballot, receipt=ask.receipt)
        return wire.BallotPassed(receipt=None, voided=True)

    @staticmethod
    def _stands(tx: Tx, proposal: str, signed: Signed[Ballot]) -> bool:
        """Return whether a ballot is the one of its member that was counted."""
        assert signed.payload is not None, "what does not verify was refused"
        cast = votes.get(tx, proposal, signed.payload.member_id)
        return cast is not None and cast.id == signed.id


def _anything_waits(tx: Tx) -> bool:
    return bool(tables.waiting(tx, before_ms=tx.now_ms, count_max=1))
